//! What a request over HTTP must be before anything of it is believed.

use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;

use super::answer::Refused;
use crate::mcp::frame::{FRAME_BYTES_MAX, Frame};
use crate::mcp::headers;

/// How long a message may take to come in.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Refuses pages of other sites: a browser sends `Origin`, and a page may reach this machine under a name of its own.
/// Only pages of this machine that know it as such are served.
pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(origin) = headers::one(headers, &ORIGIN).map_err(Refused::header)? else { return Ok(()) };
    let host = headers::one(headers, &HOST).map_err(Refused::header)?.unwrap_or_default();
    let site = origin.split_once("://").map_or("", |(_, site)| site);
    if is_loopback(site) && is_loopback(host) { Ok(()) } else { Err(Refused::origin()) }
}

/// Whether `host[:port]` is this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The headers that every message has.
pub(crate) fn check_post(headers: &HeaderMap) -> Result<(), Refused> {
    let kind = headers::one(headers, &CONTENT_TYPE).map_err(Refused::header)?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refused::media_type());
    }
    let good = accepts(headers, "application/json") && accepts(headers, "text/event-stream");
    if good { Ok(()) } else { Err(Refused::not_acceptable()) }
}

/// Whether a client takes this type; one that does not say takes any.
pub(crate) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let whole = wanted.split('/').next().unwrap_or_default();
    let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if values.peek().is_none() {
        return true;
    }
    let named = |part: &str| {
        let kind = part.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(wanted) || kind == "*/*" || kind.strip_suffix("/*") == Some(whole)
    };
    values.any(|value| value.split(',').any(named))
}

/// A version is a date; the body may name another one only where that is said to be wrong elsewhere.
pub(crate) fn check_version(headers: &HeaderMap, frame: &Frame) -> Result<(), Refused> {
    let version = headers::one(headers, &headers::VERSION).map_err(Refused::header)?;
    if version.is_none_or(headers::is_version) { Ok(()) } else { Err(Refused::version(frame)) }
}

/// Reads a message, within its limit and its time.
pub(crate) async fn read<B: Body<Data = Bytes> + Unpin>(body: B) -> Result<Frame, Refused> {
    let bytes = tokio::time::timeout(BODY_DEADLINE, gathered(body)).await.map_err(|_| Refused::slow())??;
    Frame::read(bytes).map_err(|error| Refused::malformed(&error))
}

async fn gathered<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Bytes, Refused> {
    let limit = u64::try_from(FRAME_BYTES_MAX).unwrap_or(u64::MAX);
    if body.size_hint().lower() > limit {
        return Err(Refused::too_long());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Refused::cut()) };
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > FRAME_BYTES_MAX {
                return Err(Refused::too_long());
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn pages_of_other_sites_are_refused_under_any_name() {
        let table = [
            (None, "weir.example", true),
            (Some("http://localhost:3000"), "127.0.0.1:8080", true),
            (Some("http://[::1]:3000"), "localhost", true),
            (Some("http://evil.example"), "evil.example", false),
            (Some("http://evil.example"), "127.0.0.1:8080", false),
            (Some("http://localhost"), "evil.example", false),
            (Some("http://localhost.evil.example"), "127.0.0.1", false),
            (Some("http://127.0.0.1.evil.example"), "127.0.0.1", false),
            (Some("null"), "127.0.0.1", false),
        ];
        for (origin, host, good) in table {
            let mut given = headers(&[(HOST, host)]);
            if let Some(origin) = origin {
                given.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(check_origin(&given).is_ok(), good, "{origin:?} {host}");
        }
    }

    #[test]
    fn a_message_is_json_for_a_client_that_reads_both_forms() {
        let table = [
            ("application/json", Some("application/json, text/event-stream"), true),
            ("application/json; charset=utf-8", Some("text/event-stream;q=0.9,application/json"), true),
            ("application/json", Some("*/*"), true),
            ("application/json", None, true),
            ("application/json", Some("application/json"), false),
            ("text/plain", Some("*/*"), false),
        ];
        for (kind, accept, good) in table {
            let mut given = headers(&[(CONTENT_TYPE, kind)]);
            if let Some(accept) = accept {
                given.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(check_post(&given).is_ok(), good, "{kind} {accept:?}");
        }
    }
}
