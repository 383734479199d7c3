//! One signal's way to the collector: tries, pauses, what the collector says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use metrics::counter;
use rustls::ClientConfig;
use weir_core::clock::SharedClock;

use super::Delivery;
use crate::settings::Settings;

/// How often the same data is tried, where the collector says that another try can help.
const TRIES: u32 = 3;

/// How long after the first try the second comes; twice as long before the third.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause that a collector may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// Sends one signal.
pub(super) struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Chain<Bytes, Bytes>>>,
    signal: Signal,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    try_max: Duration,
    clock: SharedClock,
    delivery: Arc<Mutex<Delivery>>,
}

/// What came of one try.
enum Tried {
    /// It was taken, but for so many.
    Sent(u64),
    /// Another try may help, after this time perhaps.
    Again(String, Option<Duration>),
    /// None will.
    Refused(String),
}

impl Client {
    pub(super) fn new(
        settings: &Settings,
        signal: Signal,
        clock: SharedClock,
        delivery: Arc<Mutex<Delivery>>,
    ) -> Self {
        let connector = match &settings.roots {
            None => HttpsConnectorBuilder::new().with_webpki_roots(),
            Some(roots) => {
                let trusting = ClientConfig::builder().with_root_certificates(roots.clone());
                HttpsConnectorBuilder::new().with_tls_config(trusting.with_no_client_auth())
            }
        };
        let connector = connector.https_or_http().enable_http1().build();
        let http = Http::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let uri = match signal {
            Signal::Traces => settings.traces.clone(),
            Signal::Metrics => settings.metrics.clone(),
        };
        let (headers, try_max) = (settings.headers.clone(), settings.try_max);
        Self { http, signal, uri, headers, try_max, clock, delivery }
    }

    /// Sends a request, whose body has two parts; says how much of it was not taken, or none when it was lost.
    pub(super) async fn send(&mut self, before: Bytes, content: Bytes) -> Option<u64> {
        let mut tries = 0;
        let (result, cause) = loop {
            tries += 1;
            match self.try_once(before.clone().chain(content.clone())).await {
                Tried::Sent(rejected) => {
                    self.ended("sent");
                    if self.delivers(None) {
                        tracing::info!(signal = self.signal.as_str(), "telemetry is taken again");
                    }
                    return Some(rejected);
                }
                Tried::Refused(cause) => break ("refused", cause),
                Tried::Again(cause, _) if tries >= TRIES => break ("failed", cause),
                Tried::Again(_, pause) => {
                    tokio::time::sleep(pause.unwrap_or(PAUSE * tries).min(PAUSE_MAX)).await
                }
            }
        };
        self.ended(result);
        if self.delivers(Some(cause.clone())) {
            let signal = self.signal.as_str();
            tracing::warn!(
                signal,
                cause,
                "telemetry is lost; what is lost is counted, and this is not told again until it is over"
            );
        }
        None
    }

    /// Notes whether what is sent arrives, and says whether that is new.
    fn delivers(&self, error: Option<String>) -> bool {
        let mut delivery = self.delivery.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = delivery.error.is_some() != error.is_some();
        if changed {
            delivery.since = self.clock.now();
        }
        delivery.error = error;
        changed
    }

    fn ended(&self, result: &'static str) {
        counter!("weir_telemetry_exports_total", "signal" => self.signal.as_str(), "result" => result)
            .increment(1);
    }

    async fn try_once(&self, body: Chain<Bytes, Bytes>) -> Tried {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let answer = async {
            let (head, body) = self.http.request(request).await.map_err(|error| chain(&error))?.into_parts();
            // Read to its end, so that the connection can be used again.
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok::<_, String>((head, body.map(http_body_util::Collected::to_bytes).unwrap_or_default()))
        };
        match tokio::time::timeout(self.try_max, answer).await {
            Err(_) => Tried::Again(format!("no answer within {:?}", self.try_max), None),
            Ok(Err(error)) => Tried::Again(error, None),
            Ok(Ok((head, body))) => judged(head.status, &head.headers, &body),
        }
    }
}

/// What an answer means (OTLP/HTTP, "Failures").
fn judged(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Tried {
    match status.as_u16() {
        200..=299 => Tried::Sent(rejected(body)),
        429 | 502..=504 => {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Tried::Again(format!("the collector answered {status}"), seconds.map(Duration::from_secs))
        }
        _ => Tried::Refused(format!("the collector answered {status}")),
    }
}

/// How much a collector says that it has not taken: `partial_success.rejected_spans`, or of data points. What cannot be
/// read says nothing.
fn rejected(body: &[u8]) -> u64 {
    member(body, 1, 2).and_then(|(success, _)| Some(member(success, 1, 0)?.1)).unwrap_or(0)
}

/// The first member of a message with this field and wire type: its bytes, or its number.
fn member(mut message: &[u8], field: u64, wire: u64) -> Option<(&[u8], u64)> {
    loop {
        let tag = take_varint(&mut message)?;
        let (found, number) = match tag & 7 {
            0 => (&[][..], take_varint(&mut message)?),
            1 => (take(&mut message, 8)?, 0),
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                (take(&mut message, length)?, 0)
            }
            5 => (take(&mut message, 4)?, 0),
            _ => return None,
        };
        if (tag >> 3, tag & 7) == (field, wire) {
            return Some((found, number));
        }
    }
}

fn take<'m>(message: &mut &'m [u8], length: usize) -> Option<&'m [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(message, 1)? else { return None };
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn what_a_collector_rejects_is_read() {
        let with = |rejected_spans| {
            let success = ExportTracePartialSuccess { rejected_spans, error_message: "no room".to_owned() };
            ExportTraceServiceResponse { partial_success: Some(success) }.encode_to_vec()
        };
        for spans in [0, 1, 300, i64::MAX] {
            assert_eq!(rejected(&with(spans)), spans.cast_unsigned());
        }
        for garbage in
            [&b""[..], b"{}", b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"<html>"]
        {
            assert_eq!(rejected(garbage), 0, "{garbage:?}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let table = [
            (200, "sent"),
            (204, "sent"),
            (400, "refused"),
            (401, "refused"),
            (429, "7"),
            (500, "refused"),
            (503, "7"),
        ];
        for (status, expected) in table {
            let seen = match judged(StatusCode::from_u16(status).unwrap(), &headers, b"") {
                Tried::Sent(_) => "sent".to_owned(),
                Tried::Refused(_) => "refused".to_owned(),
                Tried::Again(_, pause) => pause.unwrap().as_secs().to_string(),
            };
            assert_eq!(seen, expected, "{status}");
        }
    }
}
