//! The one redactor (spec B7): what looks like a secret does not leave weir, in whatever text it turns up.
//!
//! It knows the formats of keys that providers hand out, PEM blocks, JSON web tokens, credentials in headers, in
//! assignments, in queries and in URLs. A format is looked for at the beginning of a word, so that `disk-full` is no
//! key. Texts are read once from front to back: the time is linear in their length, whatever they hold. A secret is
//! replaced within the quotes that hold it, so that JSON stays JSON.

mod accounts;
mod formats;
mod known;
mod records;
mod scan;
mod words;

use std::borrow::Cow;

pub use accounts::{tells_of_account, without_accounts};
pub use known::{without_echo, without_secrets};
pub use words::{without_words, words};

/// What stands in the place of a secret.
pub const PLACEHOLDER: &str = "[REDACTED]";

/// What stands at the end of an excerpt that was cut.
pub const CUT: &str = "...";

/// How much more than an excerpt's own length is read for it, in bytes: redaction shortens.
const AHEAD_BYTES: usize = 16 * 1024;

/// How much before the place where the reading ends is not shown, in bytes: a secret that begins there would be seen
/// too little of to be known.
const EDGE_BYTES: usize = 256;

/// The text without what looks like a secret.
///
/// ```
/// use weir_core::redact::redact;
///
/// assert_eq!(redact("bad key sk-abc123DEF.x:y failed"), "bad key [REDACTED] failed");
/// assert_eq!(redact("Authorization: Bearer eyJhbGciOi"), "Authorization: [REDACTED]");
/// assert_eq!(redact("disk-full on node"), "disk-full on node");
/// ```
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    redact_until(text, text.len())
}

/// The redacted beginning of a text, at most `chars_max` characters and an ellipsis. What is read of a longer text is
/// bounded as well.
#[must_use]
pub fn excerpt(text: &str, chars_max: usize) -> String {
    let window_bytes = chars_max.saturating_mul(4).saturating_add(AHEAD_BYTES);
    let window = text.get(..text.floor_char_boundary(window_bytes)).unwrap_or_default();
    let whole = window.len() == text.len();
    let shown = if whole { window.len() } else { window.len().saturating_sub(EDGE_BYTES) };
    let redacted = redact_until(window, shown);
    match redacted.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}{CUT}", redacted.get(..end).unwrap_or_default().trim_end()),
        None if whole => redacted.into_owned(),
        None => format!("{}{CUT}", redacted.trim_end()),
    }
}

/// Redacts the part of a text that lies before `shown`; what follows is read, and left out.
fn redact_until(text: &str, shown: usize) -> Cow<'_, str> {
    let shown = text.floor_char_boundary(shown);
    let mut out = String::new();
    let mut written = 0;
    for secret in scan::Secrets::of(text.as_bytes()) {
        if secret.start >= shown {
            break;
        }
        out.push_str(text.get(written..secret.start).unwrap_or_default());
        out.push_str(PLACEHOLDER);
        written = secret.end;
    }
    let rest = text.get(written..shown).unwrap_or_default();
    if written == 0 {
        return Cow::Borrowed(rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
