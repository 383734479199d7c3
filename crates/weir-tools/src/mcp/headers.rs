//! The headers of the protocol: what of them is passed on, and whether they say what the body says.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::mcp::client::{is_without_sessions, version_in};
use crate::mcp::frame::Frame;

/// Names a session, before 2026-07-28.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Names the version of the protocol.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Names the method, since 2026-07-28.
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// Names what the method is about, since 2026-07-28.
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Names the last event that was read of a stream.
pub(crate) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// What the names of headers begin with that repeat arguments, since 2026-07-28.
pub(crate) const PARAMETER_PREFIX: &str = "mcp-param-";

/// The headers of a client that a server is sent: those of the protocol, but for the session, which is weir's own.
/// The client's key for weir is never among them.
pub(crate) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let ours = |name: &HeaderName| name == SESSION || name == LAST_EVENT;
    let theirs = |name: &HeaderName| {
        matches!(name.as_str(), "traceparent" | "tracestate")
            || (name.as_str().starts_with("mcp-") && !ours(name))
    };
    let mut passed = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| theirs(name)) {
        passed.append(name, value.clone());
    }
    passed
}

/// The headers of a list that is asked for in the course of a call.
pub(crate) fn of_list(call: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in call {
        if name != NAME && !name.as_str().starts_with(PARAMETER_PREFIX) {
            headers.append(name, value.clone());
        }
    }
    if headers.contains_key(METHOD) {
        headers.insert(METHOD, HeaderValue::from_static("tools/list"));
    }
    headers
}

/// The one value of a header.
///
/// # Errors
/// It is there more than once, or is no text.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| format!("the header `{name}` is no text"))
        }
        (Some(_), Some(_)) => Err(format!("the header `{name}` is there twice")),
    }
}

/// Whether a version looks like one: a date.
pub(crate) fn is_version(version: &str) -> bool {
    let digits =
        |range| version.get(range).is_some_and(|part: &str| part.bytes().all(|b| b.is_ascii_digit()));
    version.len() == 10
        && digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && version.get(4..5) == Some("-")
        && version.get(7..8) == Some("-")
}

/// Refuses headers that contradict the body: whoever is on the way may go by the one, and the server by the other.
/// What weir decides, it decides by the body. Since 2026-07-28 the headers must be there, too.
///
/// # Errors
/// What differs.
pub(crate) fn agree(headers: &HeaderMap, frame: &Frame, params: &Value) -> Result<(), String> {
    let strict = version_in(params.get("_meta").unwrap_or(&Value::Null)).is_some_and(is_without_sessions);
    let method = frame.method().unwrap_or_default();
    let version = version_in(params.get("_meta").unwrap_or(&Value::Null));
    same(headers, &VERSION, version.filter(|_| strict), strict)?;
    same(headers, &METHOD, Some(method), strict)?;
    let name = subject(method).and_then(|member| params.get(member)).and_then(Value::as_str);
    same(headers, &NAME, name, strict && name.is_some())
}

/// The member that `Mcp-Name` repeats.
fn subject(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

fn same(headers: &HeaderMap, name: &HeaderName, body: Option<&str>, required: bool) -> Result<(), String> {
    let header = one(headers, name)?;
    match (header, body) {
        (Some(header), Some(body)) if decoded(header).as_deref() != Some(body) => {
            Err(format!("the header `{name}` says something else than the body"))
        }
        (None, _) if required => Err(format!("the header `{name}` is missing")),
        _ => Ok(()),
    }
}

/// Refuses headers that repeat an argument and differ from it, by the tool's schema.
///
/// # Errors
/// What differs.
pub(crate) fn parameters_agree(headers: &HeaderMap, schema: &Value, arguments: &Value) -> Result<(), String> {
    let mut annotated = Vec::new();
    annotations(schema, arguments, 0, &mut annotated);
    for (header, argument) in annotated {
        let Ok(name) = HeaderName::try_from(format!("{PARAMETER_PREFIX}{}", header.to_ascii_lowercase()))
        else {
            continue;
        };
        let said = one(headers, &name)?;
        let is = argument.and_then(primitive);
        if said.is_some_and(|said| decoded(said) != is) {
            return Err(format!("the header `{name}` says something else than the body"));
        }
    }
    Ok(())
}

/// How deep a schema is looked through for arguments that headers repeat.
const SCHEMA_DEPTH_MAX: usize = 16;

fn annotations<'a>(
    schema: &'a Value,
    value: &'a Value,
    depth: usize,
    found: &mut Vec<(&'a str, Option<&'a Value>)>,
) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        let argument = value.get(name);
        if let Some(header) = property.get("x-mcp-header").and_then(Value::as_str) {
            found.push((header, argument));
        }
        if depth < SCHEMA_DEPTH_MAX {
            annotations(property, argument.unwrap_or(&Value::Null), depth + 1, found);
        }
    }
}

fn primitive(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The text of a header's value: what no header may hold is sent as `=?base64?…?=`.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(inner) => String::from_utf8(BASE64_STANDARD.decode(inner).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests;
