//! Where in a stream an error begins, so that what a provider says of the platform's account does not reach a caller.
//!
//! Chunks are passed on as they come. Only the end of a chunk that may be the beginning of an error event waits for the
//! rest of that event.

use bytes::Bytes;
use memchr::memmem;
use weir_core::ApiKind;
use weir_dialect::UsageReader;

/// How long the beginning of an event may be that is held back, in bytes; a longer one is passed on.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// How much of its beginning is looked at, in bytes.
const SEEN_BYTES_MAX: usize = 256;

/// The names of events that end a stream badly.
const ERROR_NAMES: [&str; 2] = ["error", "response.failed"];

/// How the data of such an event begins, without white space.
const ERROR_DATA: [&str; 3] = [r#"{"error""#, r#"{"type":"error""#, r#"{"type":"response.failed""#];

/// Splits a chunk in which an error was read before the event that tells it.
pub(crate) fn before_error(kind: ApiKind, chunk: &Bytes, before: Before) -> (Bytes, Bytes) {
    let mut from = 0;
    let mut first = true;
    let continued = before.within;
    // The blank line that ends what was passed on already.
    if let Some(at) = first_blank(chunk, before.last).filter(|_| continued) {
        from = at;
        first = false;
    }
    while from < chunk.len() {
        let end = end_of_event(chunk.get(from..).unwrap_or_default()).map_or(chunk.len(), |len| from + len);
        let whole = !(first && continued);
        if whole && tells_error(kind, chunk.get(from..end).unwrap_or_default()) {
            return (chunk.slice(..from), chunk.slice(from..));
        }
        first = false;
        from = end;
    }
    // The event that was passed on in part, or one that only the whole stream makes readable.
    (Bytes::new(), chunk.clone())
}

/// The length of a chunk up to the end of the event that ends the answer.
pub(crate) fn after_end(kind: ApiKind, chunk: &Bytes, before: Before) -> usize {
    let event = |from: usize| {
        let length = chunk.get(from..).and_then(end_of_event);
        length.map_or(chunk.len(), |length| from.saturating_add(length))
    };
    // One that began before the chunk cannot be read by itself: it is the one if no later one is.
    let begun = if before.within { first_blank(chunk, before.last).unwrap_or_else(|| event(0)) } else { 0 };
    let mut from = begun;
    while from < chunk.len() {
        let end = event(from);
        let mut reader = UsageReader::new(kind, true);
        reader.push(chunk.get(from..end).unwrap_or_default());
        reader.end();
        if reader.is_finished() {
            return end;
        }
        from = end;
    }
    if before.within { begun } else { chunk.len() }
}

fn tells_error(kind: ApiKind, event: &[u8]) -> bool {
    let mut reader = UsageReader::new(kind, true);
    reader.push(event);
    reader.end();
    reader.has_error()
}

/// The length of the first event with the blank line that ends it.
fn end_of_event(bytes: &[u8]) -> Option<usize> {
    [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"]
        .iter()
        .filter_map(|blank| Some(memmem::find(bytes, blank)? + blank.len()))
        .min()
}

/// The first event of a stream's piece.
pub(crate) fn first_event(bytes: &Bytes) -> Bytes {
    bytes.slice(..end_of_event(bytes).unwrap_or(bytes.len()))
}

/// Where the last event begins, which this chunk does not end.
fn last_event(bytes: &[u8]) -> Option<usize> {
    [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"]
        .iter()
        .filter_map(|blank| Some(memmem::rfind(bytes, blank)? + blank.len()))
        .max()
}

/// How what was passed on before a chunk ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// Within an event.
    pub(crate) within: bool,
    /// With this byte: at the end of a line a blank one ends the event.
    pub(crate) last: u8,
}

impl Before {
    /// How a stream ends after this, too, was passed on.
    pub(crate) fn and(self, passed: &[u8]) -> Self {
        let Some(last) = passed.last() else { return self };
        Self { within: event_begins(passed, self) != Some(passed.len()), last: *last }
    }
}

/// Where the event begins in which a chunk ends; none if that was before the chunk.
fn event_begins(chunk: &[u8], before: Before) -> Option<usize> {
    last_event(chunk).or_else(|| if before.within { first_blank(chunk, before.last) } else { Some(0) })
}

/// The length of the blank line that a chunk begins with, after a line whose end was passed on, or the most of it.
fn first_blank(chunk: &[u8], last: u8) -> Option<usize> {
    let rest_of_end = usize::from(last == b'\r' && chunk.first() == Some(&b'\n'));
    let rest = chunk.get(rest_of_end..).unwrap_or_default();
    let blank = [&b"\r\n"[..], b"\n", b"\r"].into_iter().find(|blank| rest.starts_with(blank))?;
    matches!(last, b'\n' | b'\r').then(|| rest_of_end.saturating_add(blank.len()))
}

/// How much of a chunk that ends within an event may be passed on at once: all of it, but for what may tell an error.
pub(crate) fn passable(chunk: &[u8], before: Before) -> usize {
    let begins = event_begins(chunk, before);
    let event = chunk.get(begins.unwrap_or(0)..).unwrap_or_default();
    let from = if begins.is_some() && may_tell_error(event) { Some(0) } else { error_member(event) };
    match from {
        Some(from) if event.len() <= HELD_BYTES_MAX => begins.unwrap_or(0).saturating_add(from),
        _ => chunk.len(),
    }
}

/// Where an event has a member `error`, or may be about to have one. Within a text its quotes would be escaped.
fn error_member(event: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\"error\"";
    let whole = memmem::find_iter(event, NAME).find(|at| {
        let after = event.get(at.saturating_add(NAME.len())..).unwrap_or_default().trim_ascii_start();
        let value = after.strip_prefix(b":").unwrap_or(after).trim_ascii_start();
        matches!(value.first(), None | Some(b'{' | b'"'))
    });
    whole.or_else(|| {
        let cut = (1..NAME.len()).rev().find(|len| event.ends_with(NAME.get(..*len).unwrap_or_default()))?;
        let at = event.len().saturating_sub(cut);
        // An escaped quote begins no member.
        (at == 0 || event.get(at.saturating_sub(1)) != Some(&b'\\')).then_some(at)
    })
}

/// Whether the beginning of an event may be that of an error.
fn may_tell_error(event: &[u8]) -> bool {
    let text = String::from_utf8_lossy(event.get(..event.len().min(SEEN_BYTES_MAX)).unwrap_or_default());
    let text = text.trim_start_matches(['\n', '\r', '\u{feff}']);
    if let Some(name) = text.strip_prefix("event:") {
        return match name.split_once(['\n', '\r']) {
            Some((name, _)) => ERROR_NAMES.contains(&name.trim()),
            None => ERROR_NAMES.iter().any(|error| error.starts_with(name.trim())),
        };
    }
    if let Some(data) = text.strip_prefix("data:") {
        let data: String = data.chars().filter(|c| !c.is_whitespace()).take(40).collect();
        return ERROR_DATA.iter().any(|error| data.starts_with(error) || error.starts_with(data.as_str()));
    }
    ["event:", "data:"].iter().any(|field| field.starts_with(text))
}

/// Whether these events only announce an answer, of which nothing has come yet.
pub(crate) fn only_announces(kind: ApiKind, events: &[u8]) -> bool {
    let events = String::from_utf8_lossy(events);
    // A carriage return alone ends a line, too.
    let mut lines = events.split(['\n', '\r']);
    if kind == ApiKind::ChatCompletions {
        return lines.all(|line| match line.split_once(':') {
            Some(("data", data)) => names_a_role_alone(data),
            _ => true,
        });
    }
    let announcing: &[&str] = match kind {
        ApiKind::Messages | ApiKind::CountTokens => &["message_start", "ping"],
        ApiKind::Responses => &["response.created", "response.queued", "response.in_progress"],
        // Chunks have no names.
        ApiKind::ChatCompletions | ApiKind::Embeddings => &[],
    };
    let mut announces = false;
    lines.all(|line| match line.split_once(':') {
        Some(("event", name)) => {
            announces = announcing.contains(&name.trim());
            announces
        }
        Some(("data", _)) => announces,
        // Blank lines, comments and fields that hold nothing of an answer.
        _ => true,
    })
}

/// Whether a chunk of a chat only says who will speak: its deltas hold nothing besides the role but what is empty.
fn names_a_role_alone(data: &str) -> bool {
    let Ok(chunk) = serde_json::from_str::<serde_json::Value>(data) else { return false };
    let Some(choices) = chunk.get("choices").and_then(serde_json::Value::as_array) else { return false };
    let is_empty = |value: &serde_json::Value| {
        value.is_null() || value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty)
    };
    let says_nothing = |choice: &serde_json::Value| {
        let delta = choice.get("delta").and_then(serde_json::Value::as_object);
        choice.get("finish_reason").is_none_or(is_empty)
            && delta.is_some_and(|delta| delta.iter().all(|(name, value)| name == "role" || is_empty(value)))
    };
    !choices.is_empty() && choices.iter().all(says_nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_an_error_waits_for_its_end() {
        let table: &[(&str, bool, &str)] = &[
            ("data: {\"id\":1}\n\ndata: {\"id\":", false, "data: {\"id\":1}\n\ndata: {\"id\":"),
            ("data: {\"id\":1}\n\ndata: {\"err", false, "data: {\"id\":1}\n\n"),
            ("data: {\"id\":1}\n\ndata: { \"error\": {\"mess", false, "data: {\"id\":1}\n\n"),
            ("data: {\"id\":1}\r\n\r\ndata: {\"error", false, "data: {\"id\":1}\r\n\r\n"),
            ("event: error\ndata: {\"type\":", false, ""),
            ("event: err", false, ""),
            ("event: response.fail", false, ""),
            ("event: content_block_delta\ndata: {", false, "event: content_block_delta\ndata: {"),
            ("event: errors_are_fine\ndata: {", false, "event: errors_are_fine\ndata: {"),
            ("data: {\"choices\": [{\"delta\"", false, "data: {\"choices\": [{\"delta"),
            ("da", false, ""),
            ("tial\": 1, \"err", true, "tial\": 1, "),
            ("tial\": 1, \"error\": null, \"x", true, "tial\": 1, \"error\": null, \"x"),
            ("data: {\"id\": 1, \"error\": {\"mess", false, "data: {\"id\": 1, "),
            ("data: {\"text\": \"an \\\"error\\\": {", false, "data: {\"text\": \"an \\\"error\\\": {"),
            (": a comment", false, ": a comment"),
        ];
        for (chunk, continued, expected) in table {
            let passed = passable(chunk.as_bytes(), Before { within: *continued, last: b'x' });
            assert_eq!(&chunk[..passed], *expected, "{chunk}");
        }
        let endless = format!("data: {{\"error\": \"{}", "x".repeat(HELD_BYTES_MAX));
        assert_eq!(passable(endless.as_bytes(), Before::default()), endless.len());
    }

    #[test]
    fn a_chunk_is_cut_before_the_event_that_tells_the_error() {
        let good = "data: {\"id\":\"a\",\"choices\":[]}\n\n";
        let bad = "data: {\"error\":{\"message\":\"no\"}}\n\n";
        let messages =
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
        let failed =
            "event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"server_error\"}}}\n\n";
        let table = [
            (ApiKind::ChatCompletions, format!("{good}{good}{bad}{good}"), false, good.len() * 2),
            (ApiKind::ChatCompletions, bad.to_owned(), false, 0),
            (ApiKind::ChatCompletions, format!("rest\"}}\n\n{bad}"), true, "rest\"}\n\n".len()),
            (ApiKind::ChatCompletions, "essage\":\"no\"}}\n\n".to_owned(), true, 0),
            (ApiKind::Messages, format!("event: ping\ndata: {{}}\n\n{messages}"), false, 22),
            (ApiKind::Responses, failed.to_owned(), false, 0),
        ];
        for (kind, chunk, continued, at) in table {
            let passed = Before { within: continued, last: b'x' };
            let (before, event) = before_error(kind, &Bytes::from(chunk.clone()), passed);
            assert_eq!((before.len(), event.len()), (at, chunk.len() - at), "{chunk}");
        }
    }

    #[test]
    fn what_only_announces_an_answer_is_told_from_an_answer() {
        let start = "event: message_start\ndata: {\"message\":{}}\n\n";
        let table = [
            (ApiKind::ChatCompletions, "", true),
            (ApiKind::ChatCompletions, ": PROCESSING\n\n", true),
            (ApiKind::ChatCompletions, "data: {\"choices\":[]}\n\n", false),
            (ApiKind::Messages, start, true),
            (
                ApiKind::Messages,
                "event: message_start\ndata: {}\n\nevent: content_block_delta\ndata: {}\n\n",
                false,
            ),
            (ApiKind::Messages, "data: {\"type\":\"message_start\"}\n\n", false),
            (ApiKind::Responses, "event: response.created\ndata: {}\n\n", true),
            (ApiKind::Responses, start, false),
        ];
        for (kind, events, expected) in table {
            assert_eq!(only_announces(kind, events.as_bytes()), expected, "{kind}: {events}");
        }
    }
}
