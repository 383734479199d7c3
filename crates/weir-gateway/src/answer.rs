//! Stage *pass*: the answer on its way to the client, whether weir's own or a provider's.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use weir_core::ApiKind;
use weir_core::failure::Class;
use weir_dialect::rename::{JsonRenamer, StreamRenamer};
use weir_dialect::{Dialect, Refusal, RefusalKind, UsageReader, models_list, seed_error};

use crate::body::{PassBody, Reading, Renamer, ResponseBody, UpstreamBody};
use crate::exchange::{Exchange, Stage};

/// A JSON answer up to this size is read whole before its head is sent, so that one that breaks off is a clear 502
/// and not a broken 200. Larger ones are passed on as they come.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;

/// How much of a provider's error is read, in bytes.
const ERROR_BYTES_MAX: usize = 256 * 1024;

/// The headers of a provider's answer that reach the client. The rest would tell one provider from another, which a
/// quarantine must not, or describe the connection to the provider.
const PASSED: [HeaderName; 3] = [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER];

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_WEIR_DECISION: HeaderName = HeaderName::from_static("x-weir-decision");
const X_WEIR_OVERHEAD_MS: HeaderName = HeaderName::from_static("x-weir-overhead-ms");

/// The answer to a request that a stage has ended.
pub(crate) fn refuse(mut exchange: Exchange, stage: Stage, refusal: &Refusal) -> Response<ResponseBody> {
    exchange.refused(stage, refusal);
    let answer = refusal.answer(exchange.dialect, &exchange.id, &exchange.draft.result.request_id);
    log_refusal(&exchange, stage, refusal, answer.status);
    let mut response = Response::new(ResponseBody::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    complete(exchange, response)
}

/// One line that names the cause. An address over its limit is told at debug alone: a flood must not become one of
/// log lines.
fn log_refusal(exchange: &Exchange, stage: Stage, refusal: &Refusal, status: u16) {
    let (error_type, cause) = (refusal.error_type(exchange.dialect), refusal.operator_message());
    let (decision, stage) = (exchange.id, stage.as_str());
    if refusal.kind() == RefusalKind::RateLimitAddress {
        tracing::debug!(%decision, status, error_type, stage, %cause, "refused");
    } else {
        tracing::info!(%decision, status, error_type, stage, %cause, "refused");
    }
}

/// The list of models.
pub(crate) fn models(exchange: Exchange) -> Response<ResponseBody> {
    let body = models_list(exchange.settings.config.models.listed());
    let mut response = Response::new(ResponseBody::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    complete(exchange, response)
}

/// A provider's answer.
pub(crate) async fn pass(
    mut exchange: Exchange,
    response: Response<UpstreamBody>,
    kind: ApiKind,
    asked_model: Arc<str>,
    stream: bool,
) -> Response<ResponseBody> {
    let (head, body) = response.into_parts();
    if head.status.as_u16() >= 400 {
        return failed(exchange, &head, body).await;
    }
    let events = is_event_stream(&head.headers, stream);
    let usage = UsageReader::new(kind, events);
    let renamer = renamer(&exchange, kind, events, &asked_model);
    let mut reading = Reading { kind, usage, renamer, asked_model, events };
    let (begun, body) = if events {
        (None, body)
    } else {
        match begin(&exchange, body, &mut reading).await {
            Begun::Whole(bytes) => return whole_answer(exchange, &head, bytes, &reading),
            Begun::Broken(class, cause) => return broken(exchange, class, cause),
            Begun::Longer(bytes, body) => (Some(bytes), body),
        }
    };
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    pass_headers(&head.headers, response.headers_mut());
    finish_head(&mut exchange, head.status, response.headers_mut());
    let idle = exchange.settings.config.limits.upstream.idle;
    let body = PassBody::new(body, begun, reading, exchange, idle);
    response.map(|()| ResponseBody::Pass(Box::new(body)))
}

/// Whether an answer is a stream of events: by its type, or because one was asked for and it does not say that it is
/// anything else.
fn is_event_stream(headers: &HeaderMap, asked: bool) -> bool {
    match headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase()) {
        None => asked,
        Some(kind) => kind.starts_with(b"text/event-stream") || (asked && kind.starts_with(b"text/plain")),
    }
}

fn renamer(exchange: &Exchange, kind: ApiKind, events: bool, asked_model: &str) -> Renamer {
    if exchange.draft.result.abuse_downgraded_from.is_none() || exchange.settings.disclose {
        Renamer::Nothing
    } else if events {
        Renamer::Events(StreamRenamer::new(kind, asked_model))
    } else {
        Renamer::Json(JsonRenamer::new(kind, asked_model))
    }
}

/// What the beginning of a body that is no stream turned out to be.
enum Begun {
    Whole(Bytes),
    Longer(Bytes, UpstreamBody),
    Broken(Class, &'static str),
}

async fn begin(exchange: &Exchange, mut body: UpstreamBody, reading: &mut Reading) -> Begun {
    let idle = exchange.settings.config.limits.upstream.idle;
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(idle, body.frame()).await {
            Err(_) => {
                return Begun::Broken(Class::Timeout, "the provider stopped in the middle of its answer");
            }
            Ok(Some(Err(_))) => return Begun::Broken(Class::Network, "the provider's answer broke off"),
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let data = reading.read(data);
        match &first {
            None => first = Some(data),
            Some(_) => more.extend_from_slice(&data),
        }
        if first.as_ref().map_or(0, Bytes::len) + more.len() > WHOLE_BYTES_MAX {
            return Begun::Longer(joined(first, &more), body);
        }
    }
    if reading.usage.observed().finished {
        Begun::Whole(joined(first, &more))
    } else {
        Begun::Broken(Class::Upstream5xx, "the provider's answer is no JSON object")
    }
}

fn joined(first: Option<Bytes>, more: &[u8]) -> Bytes {
    match first {
        Some(first) if more.is_empty() => first,
        Some(first) => [&first, more].concat().into(),
        None => Bytes::new(),
    }
}

fn whole_answer(
    mut exchange: Exchange,
    head: &http::response::Parts,
    bytes: Bytes,
    reading: &Reading,
) -> Response<ResponseBody> {
    let seen = reading.usage.observed();
    exchange.observed(&seen);
    let mut response = Response::new(ResponseBody::from(bytes));
    *response.status_mut() = head.status;
    pass_headers(&head.headers, response.headers_mut());
    complete(exchange, response)
}

/// The answer when a provider's broke off before any of it was passed on.
fn broken(mut exchange: Exchange, class: Class, cause: &str) -> Response<ResponseBody> {
    exchange.failed(class, 0, cause);
    let refusal = Refusal::failed(class, exchange.provider_name(), 0);
    refuse(exchange, Stage::Send, &refusal)
}

/// The answer when a provider refused or failed (design section 6; spec A10 under the seed's prefixes).
async fn failed(
    mut exchange: Exchange,
    head: &http::response::Parts,
    body: UpstreamBody,
) -> Response<ResponseBody> {
    let status = head.status.as_u16();
    let body = error_body(&exchange, body).await;
    let byok = exchange.draft.target.as_ref().is_some_and(|target| target.byok);
    let class = Class::of_status(status);
    exchange.failed(class, status, "the provider answered with an error");
    let unavailable = status == 402 && !byok;
    if exchange.dialect == Dialect::Seed && !unavailable {
        return seed_failed(exchange, head, &body, byok);
    }
    if byok && matches!(status, 401 | 402 | 403 | 429) {
        return as_sent(exchange, head, status, body, None);
    }
    let refusal = Refusal::Failed {
        class,
        owner: class.owner(),
        provider: exchange.provider_name(),
        upstream_status: status,
        retry_after_s: retry_after_s(&head.headers),
    };
    refuse(exchange, Stage::Send, &refusal)
}

fn seed_failed(
    exchange: Exchange,
    head: &http::response::Parts,
    body: &Bytes,
    byok: bool,
) -> Response<ResponseBody> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (status, body, error_type) = seed_error::rewrite(head.status.as_u16(), kind, body, byok);
    as_sent(exchange, head, status, body, error_type)
}

/// A provider's error as it came; `error_type` says that its body was rewritten.
fn as_sent(
    mut exchange: Exchange,
    head: &http::response::Parts,
    status: u16,
    body: Bytes,
    error_type: Option<&'static str>,
) -> Response<ResponseBody> {
    exchange.draft.result.error_type = error_type.map(str::to_owned);
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    pass_headers(&head.headers, response.headers_mut());
    if error_type.is_some() || !response.headers().contains_key(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    complete(exchange, response)
}

async fn error_body(exchange: &Exchange, mut body: UpstreamBody) -> Bytes {
    let idle = exchange.settings.config.limits.upstream.idle;
    let mut read = BytesMut::new();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(idle, body.frame()).await {
        if let Ok(data) = frame.into_data() {
            let room = ERROR_BYTES_MAX.saturating_sub(read.len());
            read.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        }
        if read.len() >= ERROR_BYTES_MAX {
            break;
        }
    }
    read.freeze()
}

fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// A whole answer, given at once: the exchange ends with it.
fn complete(mut exchange: Exchange, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    let status = response.status();
    finish_head(&mut exchange, status, response.headers_mut());
    exchange.draft.complete = true;
    response
}

fn pass_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for name in PASSED {
        if let Some(value) = from.get(&name) {
            to.insert(name, value.clone());
        }
    }
}

/// The headers that every answer has (design section 6), and the note of its head in the record.
fn finish_head(exchange: &mut Exchange, status: StatusCode, headers: &mut HeaderMap) {
    exchange.answered(status.as_u16());
    if let Ok(value) = HeaderValue::from_str(&exchange.draft.result.request_id) {
        if exchange.dialect == Dialect::Anthropic {
            // Where Anthropic's SDKs look for it.
            headers.insert(REQUEST_ID, value.clone());
        }
        headers.insert(X_REQUEST_ID, value);
    }
    if let Ok(value) = HeaderValue::try_from(exchange.id.to_string()) {
        headers.insert(X_WEIR_DECISION, value);
    }
    let overhead = format!("{:.3}", exchange.draft.result.timings.overhead_ms);
    if let Ok(value) = HeaderValue::try_from(overhead) {
        headers.insert(X_WEIR_OVERHEAD_MS, value);
    }
    if exchange.settings.disclose {
        disclose(exchange, headers);
    }
}

/// `abuse.disclose: true`: the answer tells of a delay and of a downgrade.
fn disclose(exchange: &Exchange, headers: &mut HeaderMap) {
    let result = &exchange.draft.result;
    if let Some(delay_ms) = result.abuse_delay {
        headers.insert(HeaderName::from_static("x-weir-delay-ms"), HeaderValue::from(delay_ms));
    }
    if let (Some(_), Some(target)) = (&result.abuse_downgraded_from, &exchange.draft.target)
        && let Ok(value) = HeaderValue::from_str(&target.id)
    {
        headers.insert(HeaderName::from_static("x-weir-downgraded-to"), value);
    }
}
