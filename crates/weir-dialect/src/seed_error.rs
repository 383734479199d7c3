//! What the seed's prefixes do to a provider's errors (spec A10): readable words when the caller's own key is at
//! fault, and `error_type: context_length_exceeded` beside an error that says so. All else passes as it came.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use weir_core::failure::Class;

use crate::json;
use crate::refusal::to_bytes;

/// The `error_type` of an error with the caller's own key.
pub const BYOK_ERROR: &str = "byok_error";

/// The `error_type` of a request that is longer than the model's window.
pub const CONTEXT_LENGTH_EXCEEDED: &str = "context_length_exceeded";

/// Rewrites a provider's answer of 400 or above. The status never changes; the third value is the `error_type` that
/// was put in, and the body is then `application/json`. Without it these are the same bytes.
#[must_use]
pub fn rewrite(
    status: u16,
    content_type: &str,
    body: &Bytes,
    byok: bool,
) -> (u16, Bytes, Option<&'static str>) {
    if let (true, Some(text)) = (byok, byok_text(status)) {
        let body = to_bytes(&Seed { error: text, error_type: BYOK_ERROR, message: text });
        return (status, body, Some(BYOK_ERROR));
    }
    match overflow(status, content_type, body) {
        Some(body) => (status, body, Some(CONTEXT_LENGTH_EXCEEDED)),
        None => (status, body.clone(), None),
    }
}

/// The answer to a quota that is used up of a key of the caller's own: some providers send that as 429, and waiting does
/// not help.
#[must_use]
pub fn own_quota() -> (Bytes, &'static str) {
    let text =
        "[BYOK] Your provider account's quota is used up. Raise the quota, or add credit, with the provider.";
    (to_bytes(&Seed { error: text, error_type: BYOK_ERROR, message: text }), BYOK_ERROR)
}

/// The answer in the place of a provider's that tells of the platform's account: of the same status, in weir's words.
#[must_use]
pub fn generic(class: Class) -> (Bytes, &'static str) {
    let (error_type, text) = match class {
        Class::RateLimited => {
            ("rate_limit_exceeded", "The provider limits requests at present. Try again later.")
        }
        Class::ModelNotFound => {
            ("model_not_found", "The provider does not serve this model. Choose another model.")
        }
        Class::Overloaded => {
            ("temporarily_unavailable", "The provider is out of capacity at present. Try again shortly.")
        }
        class => (class.as_str(), "The provider failed. Choose another model, or send the request later."),
    };
    (to_bytes(&Seed { error: text, error_type, message: text }), error_type)
}

/// What the house's own model, which answers too long a request with a bare 500, would have said.
#[must_use]
pub fn too_long(estimated: u64, window: u64) -> Bytes {
    let text = format!(
        "This model's maximum context length is {window} tokens. The request needs about {estimated} tokens, with what may be written. Send less, or lower the maximum of output tokens."
    );
    to_bytes(&Seed { error: &text, error_type: CONTEXT_LENGTH_EXCEEDED, message: &text })
}

#[derive(Serialize)]
struct Seed<'a> {
    error: &'a str,
    error_type: &'static str,
    message: &'a str,
}

/// The four statuses that a key of one's own can be at fault for.
const fn byok_text(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "[BYOK] Your provider key is not valid. Check that it is right and has not been revoked.",
        402 => "[BYOK] Your provider account has no credit left. Add credit with the provider.",
        403 => "[BYOK] Your provider key may not be used for this. Check its permissions with the provider.",
        429 => {
            "[BYOK] Your provider account has reached its rate limit. Try again later, or raise the limit with the provider."
        }
        _ => return None,
    })
}

/// The body with the `error_type` added, if it speaks of the context's length in a form that is understood.
fn overflow(status: u16, content_type: &str, body: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok().filter(|_| status >= 400)?;
    if !says_overflow(text) {
        return None;
    }
    if json::validate(text).is_ok() {
        return error_message(text).filter(|message| says_overflow(message)).map(|_| with_type(text));
    }
    // Broken JSON and pages are not wrapped: only what is meant as plain text.
    let plain = !content_type.contains("json") && !content_type.contains("html");
    plain.then(|| to_bytes(&Seed { error: text, error_type: CONTEXT_LENGTH_EXCEEDED, message: text }))
}

/// Whether the text says "maximum context length is N tokens", in any case.
fn says_overflow(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.match_indices("maximum context length is ").any(|(at, found)| {
        let rest = text.get(at.saturating_add(found.len())..).unwrap_or_default();
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ',' | '_' | '.'));
        after.len() < rest.len() && after.starts_with(" tokens")
    })
}

/// The message of an error in a known shape: `{"error": {"message"}}`, `{"error": "…"}`, `{"message": "…"}`.
fn error_message(text: &str) -> Option<Cow<'_, str>> {
    let [error, message] = json::pick(text, ["error", "message"]);
    let nested = error.map(|error| json::pick(error, ["message"])).and_then(|[message]| message);
    [nested, error, message].into_iter().flatten().find_map(json::string)
}

/// The object `text` with `error_type` at the top, all else byte for byte.
fn with_type(text: &str) -> Bytes {
    let mut old = None;
    let _ = json::members(text, |member| {
        if member.key == "error_type" {
            old = Some(json::span(text, member.value));
        }
    });
    let quoted = json::quoted(CONTEXT_LENGTH_EXCEEDED);
    let (range, put_in) = match old {
        Some(range) => (range, quoted),
        // Behind the opening brace; an object with a message is never empty.
        None => {
            let inside = text.find('{').map_or(0, |brace| brace.saturating_add(1));
            (inside..inside, format!("\"error_type\":{quoted},"))
        }
    };
    let mut out = text.to_owned();
    out.replace_range(range, &put_in);
    out.into()
}

#[cfg(test)]
mod tests;
