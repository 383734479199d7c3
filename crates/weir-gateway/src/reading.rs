//! What is read of a provider's answer on its way: usage, its end, an error within it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_core::ApiKind;
use weir_dialect::rename::{JsonRenamer, StreamRenamer};
use weir_dialect::sse::Sieve;
use weir_dialect::{Observed, UsageReader};

use crate::cut::{Before, after_end, before_error, passable};
use crate::tail::Tail;

/// What is read of an answer on its way.
pub(crate) struct Reading {
    pub(crate) kind: ApiKind,
    pub(crate) usage: UsageReader,
    renamer: Renamer,
    pub(crate) asked_model: Arc<str>,
    /// Whether the answer is a stream of events, which can be ended in words.
    pub(crate) events: bool,
    /// The beginning of what may be an error.
    held: Bytes,
    /// How what was passed on ends.
    passed: Before,
    /// What of a stream is no event does not pass.
    sieve: Sieve,
    /// What comes after a stream's end.
    tail: Option<Tail>,
    /// Whether an error was found already.
    failed: bool,
    /// Whether that error is no event, but a text between them.
    stray: bool,
    /// Whether it is compressed in a way that is not opened: then nothing is read of it.
    closed: bool,
}

/// Puts the asked name in the place of the real one, in a downgraded answer.
pub(crate) enum Renamer {
    Nothing,
    Events(StreamRenamer),
    Json(JsonRenamer),
}

impl Renamer {
    fn push(&mut self, data: Bytes) -> Bytes {
        match self {
            Self::Nothing => data,
            Self::Events(renamer) => renamer.push(&data),
            Self::Json(renamer) => renamer.push(&data),
        }
    }
}

/// A piece of an answer, read.
pub(crate) enum Piece {
    /// Good: what the client is sent for it, which may be nothing yet.
    Good(Bytes),
    /// It tells an error: what comes before it, and the piece from there on.
    Error { before: Bytes, rest: Bytes },
}

impl Reading {
    pub(crate) fn new(kind: ApiKind, events: bool, asked_model: Arc<str>, renamer: Renamer) -> Self {
        Self {
            kind,
            usage: UsageReader::new(kind, events),
            renamer,
            asked_model,
            events,
            held: Bytes::new(),
            passed: Before::default(),
            sieve: Sieve::default(),
            tail: None,
            failed: false,
            stray: false,
            closed: false,
        }
    }

    /// Nothing of the answer can be read.
    pub(crate) fn leave_closed(&mut self) {
        self.closed = true;
        self.events = false;
        self.usage = UsageReader::unreadable(self.kind);
    }

    /// Whether the answer has come to its end as far as can be told. Of one that cannot be read its length is the end.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether an error was found in it.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// What an error is read from. One within a choice stands beside what was generated, of which nothing is read.
    pub(crate) fn said(&self, rest: Bytes) -> Bytes {
        if self.usage.is_error_of_choice() { told(&self.usage.observed()) } else { rest }
    }

    /// Whether the error is no event, but a text between them: it is in no form that a caller could read.
    pub(crate) const fn is_stray(&self) -> bool {
        self.stray
    }

    /// Reads a piece of the answer.
    pub(crate) fn read(&mut self, data: Bytes) -> Piece {
        if self.closed {
            self.usage.push(&data);
            return Piece::Good(data);
        }
        if !self.events {
            return self.read_clean(data);
        }
        let mut sifted = self.sieve.push(data);
        if sifted.stray.is_none() {
            return self.read_events(sifted.events);
        }
        let mut sent = Vec::new();
        loop {
            match self.read_events(sifted.events) {
                Piece::Good(events) => sent.push(events),
                Piece::Error { before, rest } => {
                    sent.push(before);
                    return Piece::Error { before: joined(sent), rest };
                }
            }
            let Some((said, rest)) = sifted.stray else { return Piece::Good(joined(sent)) };
            if !self.failed && self.tail.is_none() {
                (self.failed, self.stray) = (true, true);
                self.held = Bytes::new();
                return Piece::Error { before: joined(sent), rest: said };
            }
            sifted = self.sieve.push(rest);
        }
    }

    /// Reads events. What follows the one that ends the answer is none of it.
    fn read_events(&mut self, data: Bytes) -> Piece {
        let Some(tail) = &mut self.tail else { return self.read_clean(data) };
        let more = tail.push(&data);
        Piece::Good(self.renamer.push(more))
    }

    fn read_clean(&mut self, data: Bytes) -> Piece {
        self.usage.push(&data);
        if self.usage.has_error() && !self.failed {
            return self.error(data);
        }
        if self.events && !self.failed && self.usage.is_finished() {
            return Piece::Good(self.last(data));
        }
        if self.usage.mid_event() || !self.held.is_empty() {
            return Piece::Good(self.unended(data));
        }
        self.passed = Before::default();
        Piece::Good(self.renamer.push(data))
    }

    /// The piece in which the answer ends.
    fn last(&mut self, data: Bytes) -> Bytes {
        let data = self.with_held(data);
        let end = after_end(self.kind, &data, self.passed);
        let more = self.tail.insert(Tail::default()).push(&data.slice(end..));
        self.passed = Before::default();
        let answer = self.renamer.push(data.slice(..end));
        joined(vec![answer, self.renamer.push(more)])
    }

    /// Reads the end of the answer: an event whose blank line never came may be an error.
    pub(crate) fn end(&mut self) -> Option<Bytes> {
        if self.closed {
            return None;
        }
        self.usage.end();
        if let Some(said) = self.sieve.end()
            && !(self.failed || self.usage.has_error() || self.usage.is_finished())
        {
            (self.failed, self.stray) = (true, true);
            return Some(said);
        }
        let rest = std::mem::take(&mut self.held);
        (self.usage.has_error() && !self.failed).then(|| {
            self.failed = true;
            rest
        })
    }

    /// What was held back, when the answer broke.
    pub(crate) fn take_held(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() { self.sieve.end().unwrap_or_default() } else { held }
    }

    /// Whether what the client was sent ends within an event, so that a terminal one must end that first.
    pub(crate) const fn within_event(&self) -> bool {
        self.passed.within
    }

    /// What the client is sent of a piece after all, when the provider's own words may reach it.
    pub(crate) fn renamed(&mut self, data: Bytes) -> Bytes {
        self.passed = self.passed.and(&data);
        self.renamer.push(data)
    }

    fn error(&mut self, data: Bytes) -> Piece {
        self.failed = true;
        let data = self.with_held(data);
        if !self.events {
            return Piece::Error { before: Bytes::new(), rest: data };
        }
        let (before, rest) = before_error(self.kind, &data, self.passed);
        self.passed = self.passed.and(&before);
        Piece::Error { before: self.renamer.push(before), rest }
    }

    /// A piece that ends within an event, or goes on with one.
    fn unended(&mut self, data: Bytes) -> Bytes {
        let data = self.with_held(data);
        let waits = self.usage.mid_event() && !self.failed;
        let passed = if waits { passable(&data, self.passed) } else { data.len() };
        self.held = data.slice(passed..);
        let data = data.slice(..passed);
        self.passed = if self.usage.mid_event() { self.passed.and(&data) } else { Before::default() };
        self.renamer.push(data)
    }

    fn with_held(&mut self, data: Bytes) -> Bytes {
        if self.held.is_empty() {
            return data;
        }
        let mut joined = BytesMut::from(&self.held[..]);
        joined.extend_from_slice(&data);
        self.held = Bytes::new();
        joined.freeze()
    }
}

/// An error of which only its members were kept, as a body.
pub(crate) fn told(seen: &Observed) -> Bytes {
    let Some(error) = &seen.error else { return Bytes::new() };
    let members = serde_json::json!({"code": error.code, "type": error.kind, "message": error.message});
    serde_json::json!({ "error": members }).to_string().into()
}

/// One piece of several, without a copy where all but one are empty.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    pieces.retain(|piece| !piece.is_empty());
    match pieces.as_mut_slice() {
        [] => Bytes::new(),
        [one] => std::mem::take(one),
        more => more.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "credit balance";

    /// However a stream is cut into pieces, the client is sent what came before the error, and nothing of it.
    #[test]
    fn nothing_of_an_error_is_passed_on_however_it_is_cut() {
        let chat = "data: {\"id\":\"c\",\"error\":null,\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\": no\"}}]}\n\n";
        let plain = format!("data: {{\"error\":{{\"message\":\"{SECRET}\"}}}}\n\n");
        let late = format!(
            "data: {{\"id\":\"c\",\"model\":\"m\",\"error\":{{\"code\":402,\"message\":\"{SECRET}\"}}}}\n\n"
        );
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n";
        let message = format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"t\",\"message\":\"{SECRET}\"}}}}\n\n"
        );
        let response = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n";
        let failed = format!(
            "event: response.failed\ndata: {{\"type\":\"response.failed\",\"response\":{{\"id\":\"r\",\"error\":{{\"code\":\"c\",\"message\":\"{SECRET}\"}}}}}}\n\n"
        );
        let table = [
            (ApiKind::ChatCompletions, chat, plain),
            (ApiKind::ChatCompletions, chat, late),
            (ApiKind::Messages, delta, message),
            (ApiKind::Responses, response, failed),
        ];
        for (kind, good, bad) in table {
            for (good, bad) in
                [(good.to_owned(), bad.clone()), (good.replace('\n', "\r\n"), bad.replace('\n', "\r\n"))]
            {
                let stream = format!("{good}{bad}");
                // A carriage return alone ends a line, too.
                let whole = good.strip_suffix('\n').unwrap_or(&good);
                for first in 0..=stream.len() {
                    for second in [first, first + 1, first + 2, first + 9, stream.len()] {
                        let second = second.min(stream.len());
                        let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                        let (passed, within) = passed(kind, &pieces);
                        assert!(
                            !passed.contains("balance") && !passed.contains("credit"),
                            "{pieces:?}: {passed}"
                        );
                        assert!(
                            passed.starts_with(whole) && stream.starts_with(&passed),
                            "{pieces:?}: {passed}"
                        );
                        assert_eq!(within, passed.len() > good.len(), "{pieces:?}: {passed}");
                    }
                }
            }
        }
    }

    /// What the client is sent of these pieces, and whether that ends within an event.
    fn passed(kind: ApiKind, pieces: &[&str]) -> (String, bool) {
        let mut reading = Reading::new(kind, true, "m".into(), Renamer::Nothing);
        let mut passed = String::new();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            match reading.read(Bytes::from((*piece).to_owned())) {
                Piece::Good(bytes) => passed.push_str(std::str::from_utf8(&bytes).unwrap()),
                Piece::Error { before, .. } => {
                    passed.push_str(std::str::from_utf8(&before).unwrap());
                    return (passed, reading.within_event());
                }
            }
        }
        panic!("the error was not found: {pieces:?}");
    }

    /// However a good stream is cut into pieces, all of it is passed on in the end.
    #[test]
    fn a_good_stream_is_passed_on_whole_however_it_is_cut() {
        let stream = "data: {\"id\":\"c\",\"error\":null,\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\": {\"}}]}\n\nevent: ping\ndata: {\"e\":1}\n\ndata: [DONE]\n\n";
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let mut reading = Reading::new(ApiKind::ChatCompletions, true, "m".into(), Renamer::Nothing);
                let mut passed = String::new();
                for piece in [&stream[..first], &stream[first..second], &stream[second..]] {
                    match reading.read(Bytes::from(piece.to_owned())) {
                        Piece::Good(bytes) => passed.push_str(std::str::from_utf8(&bytes).unwrap()),
                        Piece::Error { .. } => panic!("{piece}"),
                    }
                }
                assert_eq!(passed, stream, "cut at {first} and {second}");
                assert!(!reading.within_event());
            }
        }
    }
}
