//! Stage *pass*: the answer on its way to the client, whether weir's own or a provider's.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use weir_core::Boundary;
use weir_core::failure::{CredentialOwner, Owner};
use weir_dialect::{Dialect, Refusal, RefusalKind, models_list, seed_error};
use weir_rules::Fact;

use crate::begin::{Answered, Begun};
use crate::body::ResponseBody;
use crate::exchange::{Exchange, Stage, X_REQUEST_ID};
use crate::failed::{Failed, Tried};
use crate::guest::GuestBody;
use crate::pass::{Call, PassBody};
use crate::reading::Reading;
use crate::trouble::Trouble;

/// The headers of a provider's answer that reach the client. The rest would tell one provider from another, which a
/// quarantine must not, or describe the connection to the provider.
const PASSED: [HeaderName; 3] = [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER];

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
/// log lines. So is a failed call, whose attempts have had a line each.
fn log_refusal(exchange: &Exchange, stage: Stage, refusal: &Refusal, status: u16) {
    let (error_type, cause) = (refusal.error_type(exchange.dialect), refusal.operator_message());
    let (decision, stage) = (exchange.id, stage.as_str());
    if matches!(refusal.kind(), RefusalKind::RateLimitAddress | RefusalKind::Failed) {
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

/// The answer of a guest, with the headers that every answer has.
pub(crate) fn of_guest(mut exchange: Exchange, response: Response<GuestBody>) -> Response<ResponseBody> {
    let mut response = response.map(|body| ResponseBody::Guest(Box::new(body)));
    let status = response.status();
    finish_head(&mut exchange, status, response.headers_mut());
    // It names decisions of its own.
    response.headers_mut().remove(X_WEIR_DECISION);
    response
}

/// A provider's answer.
pub(crate) fn pass(
    mut exchange: Exchange,
    answered: Answered,
    tried: Tried,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    let Answered { head, reading, begun } = answered;
    let (begun, body) = match begun {
        Begun::Whole(bytes) => return whole_answer(exchange, &head, bytes, &reading),
        Begun::Going(begun, body) => (begun, body),
    };
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    pass_headers(&head.headers, response.headers_mut());
    finish_head(&mut exchange, head.status, response.headers_mut());
    exchange.enter(Stage::Pass);
    let reads = exchange.inner.rules.peek().rules.reads_on(Boundary::Failure, Fact::RequestHeaders);
    let call = Call { tried, status: head.status.as_u16(), headers: reads.then(|| headers.clone()) };
    let body = PassBody::new(body, begun, reading, exchange, call);
    response.map(|()| ResponseBody::Pass(Box::new(body)))
}

fn whole_answer(
    mut exchange: Exchange,
    head: &http::response::Parts,
    bytes: Bytes,
    reading: &Reading,
) -> Response<ResponseBody> {
    exchange.observed(&reading.usage.observed());
    let mut response = Response::new(ResponseBody::from(bytes));
    *response.status_mut() = head.status;
    pass_headers(&head.headers, response.headers_mut());
    complete(exchange, response)
}

/// The answer when the last attempt has failed (design section 6; spec A10 under the seed's prefixes).
pub(crate) fn failed(exchange: Exchange, failed: &Failed) -> Response<ResponseBody> {
    if passes_as_sent(&exchange, failed) {
        let own = failed.failure.circumstances().credential == CredentialOwner::User;
        return as_sent(exchange, &failed.trouble, own);
    }
    let refusal = failed.refusal(&exchange);
    refuse(exchange, Stage::Send, &refusal)
}

/// Whether the provider's own answer reaches the caller: its refusal of the caller's own key, and under the seed's
/// prefixes all that does not tell of the platform's account.
fn passes_as_sent(exchange: &Exchange, failed: &Failed) -> bool {
    let (failure, trouble) = (&failed.failure, &failed.trouble);
    if !trouble.passes() {
        return false;
    }
    let own = failure.circumstances().credential == CredentialOwner::User;
    match exchange.dialect {
        Dialect::Seed => own || !(failure.is_the_platforms_account() || trouble.status == 402),
        Dialect::OpenAi | Dialect::Anthropic => {
            own && (matches!(trouble.status, 401 | 402 | 403 | 429) || failure.owner() == Owner::User)
        }
    }
}

/// A provider's error as it came, without what looks like a secret ([`Trouble::clean`]); `own` says that the key was the
/// caller's. Under the seed's prefixes it is made readable first.
fn as_sent(mut exchange: Exchange, trouble: &Trouble, own: bool) -> Response<ResponseBody> {
    let kind = trouble.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let body = trouble.body.clone();
    let (status, body, error_type) = match exchange.dialect {
        Dialect::Seed => seed_error::rewrite(trouble.status, kind, &body, own),
        Dialect::OpenAi | Dialect::Anthropic => (trouble.status, body, None),
    };
    exchange.draft.result.error_type = error_type.map(str::to_owned);
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    pass_headers(&trouble.headers, response.headers_mut());
    if error_type.is_some() || !response.headers().contains_key(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if let Some(encoding) = trouble.headers.get(CONTENT_ENCODING) {
        response.headers_mut().insert(CONTENT_ENCODING, encoding.clone());
    }
    complete(exchange, response)
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
    if let Ok(value) = HeaderValue::try_from(milliseconds(exchange.overhead())) {
        headers.insert(X_WEIR_OVERHEAD_MS, value);
    }
    if exchange.settings.disclose {
        disclose(exchange, headers);
    }
}

/// With three decimals. Formatting a float as exactly as it could be costs more than the rest of the head.
fn milliseconds(duration: Duration) -> String {
    let micros = duration.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
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
