//! Errors in the shapes of the providers' own.

use std::time::Duration;

use serde_json::{Value, json};
use weir_core::ApiKind;

use super::{Head, Part, Simulated};
use crate::Refusal;
use crate::refusal::to_bytes;

/// The answer of `error-<status>`.
pub(super) fn status(head: &Head<'_>, status: u16) -> Simulated {
    let (openai, anthropic, code, message) = words(status);
    let message = format!("{message} (simulated {status})");
    let mut answer = answer(head, status, &shaped(head, [openai, anthropic], code, &message));
    if matches!(status, 429 | 503 | 529) {
        answer.headers.push(("retry-after".to_owned(), "1".to_owned()));
    }
    answer
}

pub(super) fn unknown_model(head: &Head<'_>) -> Simulated {
    let message = format!("The model `{}` does not exist or you do not have access to it.", head.model);
    let types = ["invalid_request_error", "not_found_error"];
    answer(head, 404, &shaped(head, types, Some("model_not_found"), &message))
}

pub(super) fn bad_request(head: &Head<'_>, refusal: &Refusal) -> Simulated {
    let message = refusal.operator_message();
    answer(head, 400, &shaped(head, ["invalid_request_error"; 2], None, &message))
}

fn answer(head: &Head<'_>, status: u16, body: &Value) -> Simulated {
    let part = Part { after: Duration::ZERO, bytes: to_bytes(body) };
    Simulated { status, ..head.answer("application/json", vec![part]) }
}

fn shaped(head: &Head<'_>, types: [&str; 2], code: Option<&str>, message: &str) -> Value {
    let [openai, anthropic] = types;
    match head.kind {
        ApiKind::Messages | ApiKind::CountTokens => json!({
            "type": "error",
            "error": {"type": anthropic, "message": message},
            "request_id": head.id("req_"),
        }),
        ApiKind::ChatCompletions | ApiKind::Responses | ApiKind::Embeddings => {
            json!({"error": {"message": message, "type": openai, "param": null, "code": code}})
        }
    }
}

/// The types of both families, OpenAI's code and a message, as the providers word them.
const fn words(status: u16) -> (&'static str, &'static str, Option<&'static str>, &'static str) {
    const BAD: &str = "invalid_request_error";
    match status {
        401 => (BAD, "authentication_error", Some("invalid_api_key"), "Incorrect API key provided"),
        402 => (
            "insufficient_quota",
            "billing_error",
            Some("insufficient_quota"),
            "You exceeded your current quota",
        ),
        403 => (
            "permission_error",
            "permission_error",
            Some("permission_denied"),
            "Your key may not use this resource",
        ),
        404 => (BAD, "not_found_error", Some("model_not_found"), "The model does not exist"),
        413 => (BAD, "request_too_large", Some("request_too_large"), "The request is too large"),
        429 => {
            ("requests", "rate_limit_error", Some("rate_limit_exceeded"), "Rate limit reached for requests")
        }
        503 => ("server_error", "overloaded_error", Some("overloaded"), "The engine is currently overloaded"),
        529 => ("server_error", "overloaded_error", None, "Overloaded"),
        504 => ("server_error", "timeout_error", None, "The request timed out"),
        500.. => ("server_error", "api_error", None, "The server had an error while processing your request"),
        _ => (BAD, BAD, None, "The request was refused"),
    }
}
