//! The end of a stream that breaks after its first byte, in the protocol's own words.

use bytes::Bytes;
use serde::Serialize;
use weir_core::ApiKind;
use weir_core::ids::DecisionId;

use super::Refusal;
use super::body::{Anthropic, OpenAi, to_bytes};
use super::table::Row;
use crate::{Dialect, Observed};

/// The terminal event of a broken stream: chat `data: {"error": …}`, messages `event: error`, responses
/// `event: response.failed` with a whole response object.
///
/// `model` is the name that was asked for; `seen` is what was read of the stream so far. Where the stream broke within
/// an event, that event is ended first, so that the terminal one stands by itself.
#[must_use]
pub fn stream_error(
    kind: ApiKind,
    refusal: &Refusal,
    decision: &DecisionId,
    request_id: &str,
    model: &str,
    seen: &Observed,
) -> Bytes {
    let (event, data) = match kind {
        ApiKind::ChatCompletions | ApiKind::Embeddings => {
            (None, to_bytes(&OpenAi::of(&refusal.row(Dialect::OpenAi), decision)))
        }
        ApiKind::Messages | ApiKind::CountTokens => {
            (Some("error"), to_bytes(&Anthropic::of(&refusal.row(Dialect::Anthropic), decision, request_id)))
        }
        ApiKind::Responses => {
            (Some("response.failed"), failed_response(&refusal.row(Dialect::OpenAi), decision, model, seen))
        }
    };
    let mut out = Vec::with_capacity(data.len().saturating_add(40));
    if seen.mid_event {
        out.extend_from_slice(b"\n\n");
    }
    if let Some(event) = event {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\n\n");
    out.into()
}

fn failed_response(row: &Row<'_>, decision: &DecisionId, model: &str, seen: &Observed) -> Bytes {
    let made = format!("resp_{decision}");
    let error = ResponseError {
        code: response_code(row.status),
        message: &row.message,
        error_type: row.error_type,
        decision,
    };
    to_bytes(&ResponseFailed {
        r#type: "response.failed",
        sequence_number: seen.events,
        response: Response {
            id: seen.message_id.as_deref().unwrap_or(&made),
            object: "response",
            created_at: decision.at().as_second(),
            status: "failed",
            error,
            incomplete_details: (),
            instructions: (),
            max_output_tokens: (),
            model,
            output: [],
            parallel_tool_calls: true,
            previous_response_id: (),
            store: false,
            temperature: (),
            tool_choice: "auto",
            tools: [],
            top_p: (),
            truncation: "disabled",
            usage: (),
            metadata: Empty {},
        },
    })
}

/// The protocol's own closed set of codes has these three for what weir reports.
const fn response_code(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_exceeded",
        400 | 413 => "invalid_prompt",
        _ => "server_error",
    }
}

#[derive(Serialize)]
struct ResponseFailed<'a> {
    r#type: &'static str,
    sequence_number: u64,
    response: Response<'a>,
}

#[derive(Serialize)]
struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: i64,
    status: &'static str,
    error: ResponseError<'a>,
    incomplete_details: (),
    instructions: (),
    max_output_tokens: (),
    model: &'a str,
    output: [(); 0],
    parallel_tool_calls: bool,
    previous_response_id: (),
    store: bool,
    temperature: (),
    tool_choice: &'static str,
    tools: [(); 0],
    top_p: (),
    truncation: &'static str,
    usage: (),
    metadata: Empty,
}

#[derive(Serialize)]
struct ResponseError<'a> {
    code: &'static str,
    message: &'a str,
    error_type: &'static str,
    decision: &'a DecisionId,
}

#[derive(Serialize)]
struct Empty {}
