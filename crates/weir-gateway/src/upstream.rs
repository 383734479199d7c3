//! The client that reaches providers. It takes a [`Permit`], which only a decision gives.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use weir_config::config::UpstreamTimeouts;
use weir_core::{ApiKind, Timestamp};
use weir_dialect::failure::{Phase, TransportFault};
use weir_dialect::simulate::{End, simulate};
use weir_rules::enforce::Permit;

use crate::alarm::Alarm;
use crate::body::{SimulatedBody, UpstreamBody};
use crate::client::{ClientError, HttpClient};
use crate::encoded::{EncodedBody, Encoding};
use crate::resolve::Target;
use crate::resolver::DnsFailed;
use crate::settings::Credential;
use crate::trouble::Trouble;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a caller's headers may tell a provider. All others end here: they are meant for weir, name the caller's key
/// or connection, or would tell one provider of another.
const FORWARDED: [HeaderName; 9] = [
    ACCEPT,
    USER_AGENT,
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("idempotency-key"),
    TRACEPARENT,
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-session-id"),
];

/// The way to all providers.
pub(crate) struct Upstream {
    client: HttpClient,
}

/// One call of a provider.
pub(crate) struct Call<'a> {
    pub(crate) kind: ApiKind,
    pub(crate) target: &'a Arc<Target>,
    /// What the provider is shown, if it wants to be shown anything.
    pub(crate) credential: Option<&'a Credential>,
    pub(crate) body: Bytes,
    /// The caller's headers, of which some are passed on.
    pub(crate) headers: &'a HeaderMap,
    /// The name that the caller asked for.
    pub(crate) asked_model: &'a str,
    pub(crate) first_byte: Duration,
    pub(crate) alarm: &'a Alarm,
    /// The time and a random number for the simulated provider, which has neither clock nor randomness; none when the
    /// provider is a real one.
    pub(crate) simulated: Option<(Timestamp, u128)>,
    /// The attempt's place in a trace, as `traceparent`; none: the caller's is passed on as it came.
    pub(crate) trace: Option<HeaderValue>,
}

impl Upstream {
    pub(crate) fn new(timeouts: &UpstreamTimeouts) -> Self {
        Self { client: HttpClient::new(timeouts.connect) }
    }

    /// Sends the request that the permit was given for, and waits for the head of the answer.
    ///
    /// # Errors
    /// There was none in time, or no connection.
    pub(crate) async fn send(
        &self,
        _permit: Permit,
        call: Call<'_>,
    ) -> Result<Response<UpstreamBody>, Trouble> {
        let (first_byte, alarm) = (call.first_byte, call.alarm);
        if let Some((at, seed)) = call.simulated {
            // Apart, so that what all others wait in stays small, and is moved less.
            let played = Box::pin(async { alarm.timeout(first_byte, pin!(play(call, at, seed))).await });
            return played.await.ok_or_else(silent)?;
        }
        let destination = call.target.provider.destination(call.kind).ok_or_else(no_destination)?;
        let answer = pin!(self.client.request(destination, request(call)));
        let answer = alarm.timeout(first_byte, answer).await.ok_or_else(silent)?;
        let mut answer = answer.map_err(|error| no_answer(&error))?;
        Ok(match Encoding::take(answer.headers_mut()) {
            None => answer.map(UpstreamBody::Incoming),
            Some(encoding) => {
                answer.map(|body| UpstreamBody::Encoded(Box::new(EncodedBody::new(body, encoding))))
            }
        })
    }
}

fn silent() -> Trouble {
    let cause = "the provider sent nothing within `limits.upstream.first_byte`";
    Trouble::no_answer(TransportFault::Timeout, Phase::Head, cause)
}

fn no_destination() -> Trouble {
    let cause = "the provider has no URL for this operation";
    Trouble {
        body: Bytes::from_static(cause.as_bytes()),
        ..Trouble::no_answer(TransportFault::None, Phase::Connect, cause)
    }
}

fn request(call: Call<'_>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(call.body));
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What is passed on is read on the way.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // The few headers there are are looked through once, which costs less than looking each of these up.
    for (name, value) in call.headers {
        if FORWARDED.contains(name) && !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(trace) = call.trace {
        headers.insert(TRACEPARENT, trace);
    }
    if let Some(credential) = call.credential {
        headers.insert(credential.name.clone(), credential.value.clone());
    }
    request
}

/// What kind of trouble an error of the client is, by its type and never by its text.
fn no_answer(error: &ClientError) -> Trouble {
    let (fault, cause) = fault(error);
    let phase = if error.is_connect() { Phase::Connect } else { Phase::Head };
    let body =
        if fault == TransportFault::None { Bytes::from_static(cause.as_bytes()) } else { Bytes::new() };
    Trouble { body, causes: causes(error), ..Trouble::no_answer(fault, phase, cause) }
}

fn fault(error: &ClientError) -> (TransportFault, &'static str) {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<DnsFailed>() {
            return (TransportFault::Dns, "the provider's name could not be resolved");
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            if io.kind() == std::io::ErrorKind::TimedOut {
                return (TransportFault::Timeout, "no connection within `limits.upstream.connect`");
            }
            if is_tls(io) {
                return (TransportFault::Tls, "no TLS session with the provider");
            }
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && hyper.is_parse()
        {
            return (TransportFault::None, "the provider's answer is no HTTP");
        }
        source = cause.source();
    }
    if error.is_connect() {
        (TransportFault::Connect, "no connection to the provider")
    } else {
        (TransportFault::Reset, "the provider closed the connection")
    }
}

/// Whether the error is of the TLS session. Such errors come in layers of the same type, which are not sources.
fn is_tls(io: &std::io::Error) -> bool {
    io.get_ref().is_some_and(|inner| {
        inner.is::<rustls::Error>() || inner.downcast_ref::<std::io::Error>().is_some_and(is_tls)
    })
}

/// The errors from the outer to the inner, as text.
fn causes(error: &ClientError) -> Vec<String> {
    const CAUSES_MAX: usize = 8;
    let mut causes = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next.filter(|_| causes.len() < CAUSES_MAX) {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}

/// Plays the simulated provider.
async fn play(call: Call<'_>, at: Timestamp, seed: u128) -> Result<Response<UpstreamBody>, Trouble> {
    let played = simulate(call.kind, &call.target.upstream_name, call.asked_model, &call.body, seed, at);
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
