//! Stage *pass*: the answer on its way to the client, whether weir's own or a provider's.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use weir_core::Boundary;
use weir_core::failure::{Class, CredentialOwner, Owner};
use weir_core::redact::{tells_of_account, without_accounts};
use weir_dialect::{Dialect, Refusal, RefusalKind, models_list, seed_error};
use weir_rules::Fact;

use crate::begin::{Answered, Begun};
use crate::body::ResponseBody;
use crate::exchange::{Exchange, Stage, X_REQUEST_ID};
use crate::failed::{Failed, Tried};
use crate::guest::GuestBody;
use crate::pass::{Call, PassBody};
use crate::reading::Reading;

/// The headers of a provider's answer that reach the client. The rest would tell one provider from another, which a
/// quarantine must not, or describe the connection to the provider.
const PASSED: [HeaderName; 3] = [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER];

const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_WEIR_DECISION: HeaderName = HeaderName::from_static("x-weir-decision");
const X_WEIR_OVERHEAD_MS: HeaderName = HeaderName::from_static("x-weir-overhead-ms");

/// The answer to a request that a stage has ended.
pub(crate) fn refuse(mut exchange: Exchange, stage: Stage, refusal: &Refusal) -> Response<ResponseBody> {
    let answer = refusal.answer(exchange.dialect, &exchange.id, &exchange.draft.result.request_id);
    exchange.refused(stage, refusal, answer.retry_after_s());
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
    let Answered { head, reading, begun, prompts } = answered;
    let (begun, body) = match begun {
        Begun::Whole(bytes) => return whole_answer(exchange, &head, bytes, &reading),
        Begun::Going(begun, body) => (begun, body),
    };
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    pass_headers(&head.headers, response.headers_mut());
    if let Some(encoding) = head.headers.get(CONTENT_ENCODING) {
        // One that was not opened.
        response.headers_mut().insert(CONTENT_ENCODING, encoding.clone());
    }
    finish_head(&mut exchange, head.status, response.headers_mut());
    exchange.enter(Stage::Pass);
    let reads = exchange.inner.rules.peek().rules.reads_on(Boundary::Failure, Fact::RequestHeaders);
    let call = Call { tried, status: head.status.as_u16(), headers: reads.then(|| headers.clone()), prompts };
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
        return as_sent(exchange, failed, own);
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

/// A provider's error as it came, without what looks like a secret ([`crate::trouble::Trouble::clean`]); `own` says that the key was the
/// caller's. Under the seed's prefixes it is made readable first.
fn as_sent(mut exchange: Exchange, failed: &Failed, own: bool) -> Response<ResponseBody> {
    let trouble = &failed.trouble;
    let (status, body, error_type) = match exchange.dialect {
        Dialect::Seed => under_the_seeds_prefixes(failed, own),
        Dialect::OpenAi | Dialect::Anthropic => (trouble.status, trouble.body.clone(), None),
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
    // As with weir's own answers: the SDKs would try a 5xx again, which has been done.
    if !matches!(status, 429 | 503) {
        response.headers_mut().insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    complete(exchange, response)
}

/// What spec A10 makes of a provider's error, without what tells of the platform's account.
fn under_the_seeds_prefixes(failed: &Failed, own: bool) -> (u16, Bytes, Option<&'static str>) {
    let (failure, trouble) = (&failed.failure, &failed.trouble);
    if let Some((estimated, window)) = failed.too_long {
        let body = seed_error::too_long(estimated, window);
        return (trouble.status, body, Some(seed_error::CONTEXT_LENGTH_EXCEEDED));
    }
    let kind = trouble.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if own && trouble.status == 429 && failure.class() == Class::QuotaExhausted {
        let (body, error_type) = seed_error::own_quota();
        return (trouble.status, body, Some(error_type));
    }
    if own {
        return seed_error::rewrite(trouble.status, kind, &trouble.body, own);
    }
    if tells_of_the_platform(failed, &trouble.body) {
        let (body, error_type) = seed_error::generic(failure.class());
        return (trouble.status, body, Some(error_type));
    }
    seed_error::rewrite(trouble.status, kind, &without_names(&trouble.body), own)
}

/// Whether an error with the platform's key speaks of its account, in words that help no caller. Where the request
/// itself is at fault they do help, and only names are taken out.
pub(crate) fn tells_of_the_platform(failed: &Failed, said: &[u8]) -> bool {
    failed.failure.circumstances().credential != CredentialOwner::User
        && !failed.failure.is_the_requests()
        && tells_of_account(&String::from_utf8_lossy(said))
}

/// Without the names of accounts.
pub(crate) fn without_names(said: &Bytes) -> Bytes {
    match std::str::from_utf8(said).map(without_accounts) {
        Ok(Cow::Owned(clean)) => clean.into(),
        Ok(Cow::Borrowed(_)) | Err(_) => said.clone(),
    }
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
    let overhead = exchange.answered(status.as_u16());
    if let Ok(value) = HeaderValue::from_str(&exchange.draft.result.request_id) {
        if exchange.dialect == Dialect::Anthropic {
            // Where Anthropic's SDKs look for it.
            headers.insert(REQUEST_ID, value.clone());
        }
        headers.insert(X_REQUEST_ID, value);
    }
    if let Ok(value) = HeaderValue::try_from(exchange.id.to_text()) {
        headers.insert(X_WEIR_DECISION, value);
    }
    if let Ok(value) = HeaderValue::try_from(milliseconds(overhead)) {
        headers.insert(X_WEIR_OVERHEAD_MS, value);
    }
    if exchange.settings.disclose {
        disclose(exchange, headers);
    }
}

/// With three decimals. Formatting machinery, the more so a float's, would cost more than the rest of the head.
fn milliseconds(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let thousandths = (1000 + micros % 1000).to_string();
    [&(micros / 1000).to_string(), ".", thousandths.get(1..).unwrap_or_default()].concat()
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
