//! The bodies of refusals. The order of the members is that of design section 6.

use bytes::Bytes;
use serde::Serialize;
use weir_core::ids::DecisionId;

use super::table::Row;

/// Serialises what cannot fail to serialise: named members of text, numbers and lists.
pub(crate) fn to_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}

#[derive(Serialize)]
pub(super) struct OpenAi<'a> {
    pub error: OpenAiError<'a>,
}

#[derive(Serialize)]
pub(super) struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: &'static str,
    error_type: &'static str,
    decision: &'a DecisionId,
}

impl<'a> OpenAi<'a> {
    pub(super) fn of(row: &'a Row<'_>, decision: &'a DecisionId) -> Self {
        Self {
            error: OpenAiError {
                message: &row.message,
                r#type: openai_type(row.status),
                param: row.param,
                code: row.error_type,
                error_type: row.error_type,
                decision,
            },
        }
    }
}

#[derive(Serialize)]
pub(super) struct Anthropic<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
    error_type: &'static str,
    decision: &'a DecisionId,
}

impl<'a> Anthropic<'a> {
    pub(super) fn of(row: &'a Row<'_>, decision: &'a DecisionId, request_id: &'a str) -> Self {
        let (message, error_type) = (&*row.message, row.error_type);
        let error = AnthropicError { r#type: anthropic_type(row.status), message, error_type, decision };
        Self { r#type: "error", error, request_id }
    }
}

#[derive(Serialize)]
struct Seed<'a> {
    error: &'a str,
    error_type: &'static str,
    message: &'a str,
}

pub(super) fn openai(row: &Row<'_>, decision: &DecisionId) -> Bytes {
    to_bytes(&OpenAi::of(row, decision))
}

pub(super) fn anthropic(row: &Row<'_>, decision: &DecisionId, request_id: &str) -> Bytes {
    to_bytes(&Anthropic::of(row, decision, request_id))
}

pub(super) fn seed(row: &Row<'_>) -> Bytes {
    let error = row.title.unwrap_or(&row.message);
    to_bytes(&Seed { error, error_type: row.error_type, message: &row.message })
}

/// OpenAI's `type` by status: the table of design section 6 has one for each.
const fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// Anthropic's `type` by status.
const fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
