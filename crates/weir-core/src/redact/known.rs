//! Secrets that are known by themselves, and what somebody has said: taken out of what a provider says back.

use std::borrow::Cow;

use super::PLACEHOLDER;

/// How short a secret is that is still looked for, in bytes: of a shorter one nothing can be told apart.
const SECRET_BYTES_MIN: usize = 6;

/// How long a passage is that counts as repeated, in bytes.
const ECHO_BYTES_MIN: usize = 12;

/// How much of what was said is looked at, in bytes: its end, where the newest words are.
const SAID_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What stands in the place of what was repeated.
const ECHO: &str = "[...]";

/// The text without these very secrets, whatever they look like.
///
/// ```
/// assert_eq!(weir_core::redact::without_secrets("no such key: hunter22", &["hunter22"]), "no such key: [REDACTED]");
/// ```
#[must_use]
pub fn without_secrets<'t>(text: &'t str, secrets: &[&str]) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
        if text.contains(secret) {
            text = Cow::Owned(text.replace(secret, PLACEHOLDER));
        }
    }
    text
}

/// The text without passages of prose that repeat what was said, so that an error which quotes a prompt can be logged.
/// Names of parameters and models, which are no prose, stay. The time is linear in both lengths.
///
/// ```
/// use weir_core::redact::without_echo;
///
/// let said = br#"{"model": "gpt-4o-2024-08-06", "messages": [{"content": "who was the first to sing?"}]}"#;
/// let text = "gpt-4o-2024-08-06 cannot answer 'who was the first to sing?'";
/// assert_eq!(without_echo(text, said), "gpt-4o-2024-08-06 cannot answer '[...]'");
/// ```
#[must_use]
pub fn without_echo<'t>(text: &'t str, said: &[u8]) -> Cow<'t, str> {
    let repeated = repeated(text.as_bytes(), said);
    let mut out = String::new();
    let (mut written, mut at) = (0, 0);
    while let Some(start) = repeated.iter().skip(at).position(|hit| *hit).map(|skipped| at + skipped) {
        let length = repeated.iter().skip(start).take_while(|hit| **hit).count();
        at = start + length;
        let (start, end) = (text.ceil_char_boundary(start), text.floor_char_boundary(at));
        let found = text.get(start..end).unwrap_or_default();
        let passage = found.trim();
        let start = start + found.len() - found.trim_start().len();
        if passage.contains(|c: char| c.is_whitespace() || !c.is_ascii()) {
            out.push_str(text.get(written..start).unwrap_or_default());
            out.push_str(ECHO);
            written = start + passage.len();
        }
    }
    if written == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(written..).unwrap_or_default());
    Cow::Owned(out)
}

/// Which bytes of a text lie in a passage that was said.
fn repeated(text: &[u8], said: &[u8]) -> Vec<bool> {
    let mut hits = vec![false; text.len()];
    if text.len() < ECHO_BYTES_MIN || said.len() < ECHO_BYTES_MIN {
        return hits;
    }
    let mut windows = Windows::of(text);
    let said = said.get(said.len().saturating_sub(SAID_BYTES_MAX)..).unwrap_or_default();
    for passage in said.windows(ECHO_BYTES_MIN) {
        windows.mark(text, passage);
    }
    for (at, same) in windows.same.iter().enumerate() {
        if windows.marked.get(*same).is_some_and(|marked| *marked)
            && let Some(hits) = hits.get_mut(at..at + ECHO_BYTES_MIN)
        {
            hits.fill(true);
        }
    }
    hits
}

/// The different windows of a text, by a hash.
struct Windows {
    /// The first window of each hash.
    first: Vec<Option<usize>>,
    /// After a window, the next one of the same hash.
    next: Vec<Option<usize>>,
    /// For each window the first that has the same bytes: only that one is found by its hash.
    same: Vec<usize>,
    /// Which of those were said.
    marked: Vec<bool>,
}

/// How many hashes there are.
const HASHES: usize = 1 << 14;

/// How many windows of one hash are compared; of 4 KiB of text hardly two have the same.
const ALIKE_MAX: usize = 8;

fn hash(window: &[u8]) -> usize {
    let word = |at: usize| {
        window.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
    };
    let mixed = (word(0) ^ word(4).rotate_left(11) ^ word(8).rotate_left(22)).wrapping_mul(0x9e37_79b1);
    usize::try_from(mixed >> 18).unwrap_or(0) % HASHES
}

impl Windows {
    fn of(text: &[u8]) -> Self {
        let number = text.len().saturating_sub(ECHO_BYTES_MIN - 1);
        let mut windows = Self {
            first: vec![None; HASHES],
            next: vec![None; number],
            same: Vec::new(),
            marked: vec![false; number],
        };
        for (at, window) in text.windows(ECHO_BYTES_MIN).enumerate() {
            let known = windows.find(text, window);
            windows.same.push(known.unwrap_or(at));
            if known.is_none()
                && let (Some(first), Some(next)) =
                    (windows.first.get_mut(hash(window)), windows.next.get_mut(at))
            {
                *next = first.replace(at);
            }
        }
        windows
    }

    fn find(&self, text: &[u8], passage: &[u8]) -> Option<usize> {
        let first = self.first.get(hash(passage)).copied().flatten();
        std::iter::successors(first, |at| self.next.get(*at).copied().flatten())
            .take(ALIKE_MAX)
            .find(|at| text.get(*at..at + ECHO_BYTES_MIN) == Some(passage))
    }

    fn mark(&mut self, text: &[u8], passage: &[u8]) {
        if let Some(marked) = self.find(text, passage).and_then(|at| self.marked.get_mut(at)) {
            *marked = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_go_whatever_they_look_like() {
        let table: &[(&str, &[&str], &str)] = &[
            ("bad key provider-key-one", &["provider-key-one"], "bad key [REDACTED]"),
            ("a a a", &["a"], "a a a"),
            ("nothing of it", &["provider-key-one", ""], "nothing of it"),
            ("one-secret two-secret", &["one-secret", "two-secret"], "[REDACTED] [REDACTED]"),
        ];
        for (text, secrets, seen) in table {
            assert_eq!(without_secrets(text, secrets), *seen);
        }
    }

    #[test]
    fn what_was_said_is_not_repeated() {
        let said = r#"{"messages": [{"content": "why does the bird sing? 参数错误参数错误"}], "tools": ["get_weather_report"]}"#;
        let table = [
            ("you asked `why does the bird sing?`", "you asked `[...]`"),
            ("why does the bird", "[...]"),
            ("why does", "why does"),
            ("no tool get_weather_report here", "no tool get_weather_report here"),
            ("it said 参数错误参数错误.", "it said [...]."),
            ("nothing of it", "nothing of it"),
            ("", ""),
        ];
        for (text, seen) in table {
            assert_eq!(without_echo(text, said.as_bytes()), seen);
        }
        assert_eq!(without_echo("why does the bird sing?", b""), "why does the bird sing?");
    }

    #[test]
    fn a_long_text_and_a_long_request_that_say_one_thing_again_and_again_are_read_soon() {
        let said = "and again ".repeat(40_000);
        assert_eq!(without_echo(&"and again ".repeat(400), said.as_bytes()).trim(), "[...]");
    }
}
