//! The answers that weir gives by itself: denials and failures of calls as results that the model sees, everything
//! else as errors of JSON-RPC.

use serde_json::{Value, json};

use crate::mcp::frame::Frame;
use crate::mcp::link::Trouble;
use crate::outcome::Denied;

/// Wrong parameters.
pub(crate) const INVALID_PARAMS: i64 = -32602;

/// Something failed behind the request.
pub(crate) const INTERNAL_ERROR: i64 = -32603;

/// The member of `_meta` that holds a denial as data.
const DENIAL: &str = "weir/denial";

/// How an answer must look for the client that asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// The protocol is 2026-07-28 or later: results say that they are complete.
    pub(crate) says_complete: bool,
    /// The tool has promised a form for its structured results, which a denial does not have: some clients would throw
    /// such a result away before the model sees it.
    pub(crate) promised: bool,
}

/// An error of JSON-RPC.
pub(crate) fn error(id: &str, code: i64, message: &str) -> Frame {
    Frame::answer(id, "error", &json!({"code": code, "message": message}).to_string())
}

/// A request, other than a call, that a server did not answer.
pub(crate) fn trouble(id: &str, server: &str, trouble: &Trouble) -> Frame {
    error(id, INTERNAL_ERROR, &format!("tool server `{server}`: {trouble}"))
}

/// A call that failed: the model sees why.
pub(crate) fn failed(id: &str, text: &str, form: Form) -> Frame {
    result(id, json!({"content": [{"type": "text", "text": text}], "isError": true}), form)
}

/// A call that did not run: the line for the model, and the denial as data.
pub(crate) fn denied(id: &str, denied: &Denied, form: Form) -> Frame {
    let data = serde_json::to_value(&denied.denial).unwrap_or_default();
    let mut answer = json!({
        "content": [{"type": "text", "text": denied.message}],
        "isError": true,
        "_meta": {DENIAL: data},
    });
    if !form.promised
        && let Some(members) = answer.as_object_mut()
    {
        members.insert("structuredContent".to_owned(), data);
    }
    result(id, answer, form)
}

/// A result.
pub(crate) fn result(id: &str, mut answer: Value, form: Form) -> Frame {
    if form.says_complete
        && let Some(members) = answer.as_object_mut()
    {
        members.entry("resultType").or_insert_with(|| "complete".into());
    }
    Frame::answer(id, "result", &answer.to_string())
}
