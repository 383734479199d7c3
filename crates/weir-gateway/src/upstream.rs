//! The client that reaches providers. It takes a [`Permit`], which only a decision gives.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use weir_config::config::UpstreamTimeouts;
use weir_core::failure::Class;
use weir_core::{ApiKind, Timestamp};
use weir_dialect::simulate::{End, simulate};
use weir_rules::enforce::Permit;

use crate::body::{SimulatedBody, UpstreamBody};
use crate::resolve::Target;

/// How long an idle connection to a provider is kept: below what providers and their load balancers allow, so that a
/// request seldom meets a connection that has just been closed.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a caller's headers may tell a provider. All others end here: they are meant for weir, name the caller's key
/// or connection, or would tell one provider of another.
const FORWARDED: [&str; 7] = [
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "x-session-id",
];

/// The HTTP client underneath, also of the abuse service's client.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Builds a client over HTTP/1.1: one connection a stream, so that none waits behind another.
pub(crate) fn http_client(connect: Duration) -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect));
    connector.set_keepalive(Some(Duration::from_secs(30)));
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector)
}

/// The way to all providers.
pub(crate) struct Upstream {
    client: HttpClient,
}

/// One call of a provider.
pub(crate) struct Call<'a> {
    pub(crate) kind: ApiKind,
    pub(crate) target: &'a Arc<Target>,
    pub(crate) body: Bytes,
    /// The caller's headers, of which some are passed on.
    pub(crate) headers: &'a HeaderMap,
    /// The name that the caller asked for.
    pub(crate) asked_model: &'a str,
    pub(crate) first_byte: Duration,
    /// For the simulated provider, which has neither clock nor randomness.
    pub(crate) at: Timestamp,
    pub(crate) seed: u128,
}

/// A call that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    pub(crate) class: Class,
    /// What happened, for the log.
    pub(crate) cause: &'static str,
}

impl Upstream {
    pub(crate) fn new(timeouts: &UpstreamTimeouts) -> Self {
        Self { client: http_client(timeouts.connect) }
    }

    /// Sends the request that the permit was given for, and waits for the head of the answer.
    ///
    /// # Errors
    /// There was none in time, or no connection.
    pub(crate) async fn send(
        &self,
        _permit: Permit,
        call: Call<'_>,
    ) -> Result<Response<UpstreamBody>, NoAnswer> {
        let first_byte = call.first_byte;
        let answer =
            async { if call.target.provider.simulated { play(call).await } else { self.fetch(call).await } };
        tokio::time::timeout(first_byte, answer).await.unwrap_or(Err(NoAnswer {
            class: Class::Timeout,
            cause: "the provider sent nothing within `limits.upstream.first_byte`",
        }))
    }

    async fn fetch(&self, call: Call<'_>) -> Result<Response<UpstreamBody>, NoAnswer> {
        let request = request(call).ok_or(NoAnswer {
            class: Class::GatewayMisconfig,
            cause: "the provider has no URL for this operation",
        })?;
        match self.client.request(request).await {
            Ok(response) => Ok(response.map(UpstreamBody::Incoming)),
            Err(error) => Err(no_answer(&error)),
        }
    }
}

fn request(call: Call<'_>) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(call.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = call.target.provider.uri(call.kind)?.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in [ACCEPT, USER_AGENT] {
        if let Some(value) = call.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    for name in FORWARDED {
        if let Some(value) = call.headers.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if let Some(credential) = &call.target.credential {
        headers.insert(credential.name.clone(), credential.value.clone());
    }
    Some(request)
}

/// What kind of trouble an error of the client is, by its type and never by its text.
fn no_answer(error: &legacy::Error) -> NoAnswer {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            if io.kind() == std::io::ErrorKind::TimedOut {
                return NoAnswer {
                    class: Class::Timeout,
                    cause: "no connection within `limits.upstream.connect`",
                };
            }
            if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                return NoAnswer { class: Class::Network, cause: "no TLS session with the provider" };
            }
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && hyper.is_parse()
        {
            return NoAnswer { class: Class::Upstream5xx, cause: "the provider's answer is no HTTP" };
        }
        source = cause.source();
    }
    let cause = if error.is_connect() {
        "no connection to the provider"
    } else {
        "the provider closed the connection"
    };
    NoAnswer { class: Class::Network, cause }
}

/// Plays the simulated provider.
async fn play(call: Call<'_>) -> Result<Response<UpstreamBody>, NoAnswer> {
    let played =
        simulate(call.kind, &call.target.upstream_name, call.asked_model, &call.body, call.seed, call.at);
    if played.parts.is_empty() && played.end == End::Hang {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(());
    *response.status_mut() =
        http::StatusCode::from_u16(played.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &played.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response.map(|()| UpstreamBody::Simulated(SimulatedBody::new(played.parts, played.end))))
}
