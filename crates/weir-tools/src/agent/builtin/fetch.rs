//! Fetching a URL.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use serde_json::Value as Json;
use url::Url;
use weir_core::tool::{cleaned, quoted};

use super::{Outcome, read};
use crate::mcp::link::HttpClient;

/// How long a page may be, in bytes.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// How much of a header is told, in characters.
const HEADER_CHARS_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FetchArgs {
    url: String,
}

/// Fetches with GET. A redirect is told and not followed: where it leads is a call of its own, which the gate sees.
pub(super) async fn fetch(client: &HttpClient, args: Json) -> Outcome {
    let FetchArgs { url } = read(args)?;
    let parsed = Url::parse(&url).map_err(|error| format!("{} is no URL: {error}", quoted(&url)))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(format!("{} is neither http nor https", quoted(&url)));
    }
    let request = Request::get(parsed.as_str())
        .header(header::USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "text/*, application/json;q=0.9, */*;q=0.1")
        .body(Full::<Bytes>::default())
        .map_err(|error| format!("{}: {error}", quoted(&url)))?;
    let answer = client.request(request).await;
    let answer = answer.map_err(|error| format!("{} cannot be reached: {error}", quoted(&url)))?;
    let status = answer.status();
    let told = |name: header::HeaderName| {
        let value = answer.headers().get(name)?;
        Some(cleaned(&String::from_utf8_lossy(value.as_bytes()), HEADER_CHARS_MAX))
    };
    if let Some(location) = told(header::LOCATION).filter(|_| status.is_redirection()) {
        return Ok(format!("{status}: it has moved to {location}"));
    }
    let kind = told(header::CONTENT_TYPE).unwrap_or_default();
    let body = Limited::new(answer.into_body(), PAGE_BYTES_MAX).collect().await;
    let body = body.map_err(|_| {
        format!("{} broke off, or is longer than {} KiB", quoted(&url), PAGE_BYTES_MAX / 1024)
    })?;
    let text = String::from_utf8(body.to_bytes().to_vec())
        .map_err(|_| format!("{} is no text in UTF-8 but {}", quoted(&url), quoted(&kind)))?;
    if status == StatusCode::OK { Ok(text) } else { told_status(status, text) }
}

fn told_status(status: StatusCode, text: String) -> Outcome {
    if status.is_success() {
        Ok(text)
    } else {
        Err(format!("{status}: {}", cleaned(&text, HEADER_CHARS_MAX)))
    }
}
