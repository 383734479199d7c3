//! Fetching a URL.
//!
//! A URL that a model names may lead anywhere, also to what listens only because nobody from outside can reach it: this
//! machine, the private network, the cloud's metadata. Addresses are judged as they are about to be connected to, so that
//! no name and no way of writing one leads there.

mod reach;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde_json::Value as Json;
use url::{Host, Url};
use weir_core::address::TrustedProxies;
use weir_core::tool::{cleaned, quoted};

use super::{Outcome, read};
use reach::{NotReached, Public};

/// How long a page may be, in bytes.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// How much of a header is told, in characters.
const HEADER_CHARS_MAX: usize = 500;

/// How long a connection may take to be made.
const CONNECT_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FetchArgs {
    url: String,
}

/// What fetches pages.
pub(super) struct Web {
    client: Client<HttpsConnector<HttpConnector<Public>>, Full<Bytes>>,
    public: Public,
}

impl Web {
    /// `opened` are the networks that may be reached besides the public ones.
    pub(super) fn new(opened: TrustedProxies) -> Self {
        let public = Public::new(opened);
        let mut connector = HttpConnector::new_with_resolver(public.clone());
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        // Nothing is kept: a page is fetched now and then, and a kept connection is one that nobody judges again.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self { client, public }
    }

    /// Fetches with GET. A redirect is told and not followed: where it leads is a call of its own, which the gate sees.
    pub(super) async fn fetch(&self, args: Json) -> Outcome {
        let FetchArgs { url } = read(args)?;
        let parsed = Url::parse(&url).map_err(|error| format!("{} is no URL: {error}", quoted(&url)))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!("{} is neither http nor https", quoted(&url)));
        }
        // An address is connected to without being looked up.
        let address = match parsed.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) | None => None,
        };
        if let Some(address) = address {
            self.public.admits(address).map_err(|not| said(&url, &not))?;
        }
        let request = Request::get(parsed.as_str())
            .header(header::USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "text/*, application/json;q=0.9, */*;q=0.1")
            .body(Full::<Bytes>::default())
            .map_err(|error| format!("{}: {error}", quoted(&url)))?;
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| match NotReached::among(&error) {
            Some(not) => said(&url, not),
            None => format!("{} cannot be reached: {error}", quoted(&url)),
        })?;
        page(&url, answer).await
    }
}

fn said(url: &str, not: &NotReached) -> String {
    format!("{} is not fetched: {not}; the operator opens networks with `tools.fetch_private`", quoted(url))
}

async fn page(url: &str, answer: http::Response<hyper::body::Incoming>) -> Outcome {
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
    let body = body
        .map_err(|_| format!("{} broke off, or is longer than {} KiB", quoted(url), PAGE_BYTES_MAX / 1024))?;
    let text = String::from_utf8(body.to_bytes().to_vec())
        .map_err(|_| format!("{} is no text in UTF-8 but {}", quoted(url), quoted(&kind)))?;
    if status == StatusCode::OK { Ok(text) } else { told_status(status, text) }
}

fn told_status(status: StatusCode, text: String) -> Outcome {
    if status.is_success() {
        Ok(text)
    } else {
        Err(format!("{status}: {}", cleaned(&text, HEADER_CHARS_MAX)))
    }
}
