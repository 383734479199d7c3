//! What of a stream is server-sent events at all. Whoever forwards a stream byte for byte forwards what stands between its
//! events as well; there some providers say in plain text what a caller must not read.
//!
//! Lines of the four fields and blank ones stay as they are. A comment stays if it is a known sign of life, else without its
//! text. Any other line is left out, and handed over if it tells of an error.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The fields of an event. Their case counts.
const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];

/// How much of a line's beginning decides what it is, in bytes: a byte order mark, the longest name and its colon.
const HEAD_BYTES: usize = 9;

/// Comments that only say that the provider is still there, in lower case.
const SIGNS_OF_LIFE: [&str; 8] =
    ["", "keep-alive", "keepalive", "ping", "heartbeat", "processing", "openrouter processing", "ok"];

/// How much of a comment is looked at, in bytes.
const COMMENT_BYTES_MAX: usize = 48;

/// How much of what is no event is kept to be read, in bytes.
const STRAY_BYTES_MAX: usize = 64 * 1024;

/// What lines in plain text have that tell of an error, in lower case.
const OF_ERRORS: [&str; 21] = [
    "error",
    "exception",
    "fail",
    "invalid",
    "incorrect",
    "unauthori",
    "forbidden",
    "denied",
    "not allowed",
    "exceeded",
    "insufficient",
    "overloaded",
    "capacity",
    "limit",
    "quota",
    "balance",
    "billing",
    "unavailable",
    "timeout",
    "timed out",
    "api key",
];

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Lets events through, and nothing else.
#[derive(Clone, Debug)]
pub struct Sieve {
    line: Line,
    /// The beginning of a line that is not known yet, or of a comment.
    begun: Vec<u8>,
    /// What is no event: a line, or several that belong together.
    stray: Vec<u8>,
    first_line: bool,
    /// The last byte was `\r`, and whether it was let through: a `\n` that follows belongs to it.
    after_cr: Option<bool>,
}

/// What the present line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Unknown,
    Field,
    Comment,
    Stray,
    /// The rest of a line that was handed over already, or is too long.
    Spent,
}

/// A chunk without what is no event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// What is let through; the chunk itself where nothing is left out.
    pub events: Bytes,
    /// What was found that tells of an error, and the part of the chunk that comes after it, which is still to be sifted.
    pub stray: Option<(Bytes, Bytes)>,
}

impl Default for Sieve {
    fn default() -> Self {
        Self { line: Line::Unknown, begun: Vec::new(), stray: Vec::new(), first_line: true, after_cr: None }
    }
}

impl Sieve {
    /// Sifts a chunk, up to the first error in plain text.
    #[must_use]
    pub fn push(&mut self, chunk: Bytes) -> Sifted {
        let mut out = Out { chunk: &chunk, copied: BytesMut::new(), from: 0, to: 0 };
        let mut at = 0;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(passed) = self.after_cr.take()
                && rest.starts_with(b"\n")
            {
                if passed {
                    out.keep(at, at + 1);
                }
                at += 1;
                continue;
            }
            let length = memchr2(b'\n', b'\r', rest);
            let part = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
            let ends = length.is_some();
            if self.line == Line::Unknown {
                self.decide(part, ends);
                if self.line == Line::Field && !self.stray.is_empty() {
                    // What was gathered is over; the line is looked at again, if it is.
                    if self.begun.is_empty() && part.is_empty() {
                        self.line = Line::Stray;
                    } else {
                        self.line = Line::Unknown;
                        return Sifted {
                            events: out.finish(),
                            stray: Some((self.take_stray(), chunk.slice(at..))),
                        };
                    }
                }
            }
            let passed = self.part(part, at, ends, &mut out);
            at += part.len();
            if ends {
                let end = chunk.get(at).copied();
                if passed {
                    out.keep(at, at + 1);
                }
                at += 1;
                self.after_cr = (end == Some(b'\r')).then_some(passed);
                if self.ended() {
                    return Sifted {
                        events: out.finish(),
                        stray: Some((self.take_stray(), chunk.slice(at..))),
                    };
                }
            }
        }
        let whole = self.line == Line::Stray && is_whole(&self.stray);
        if whole {
            self.line = Line::Spent;
        }
        // It is handed on without a look at how many hold it, where all of it passes.
        let events = if out.is_all() { None } else { Some(out.finish()) };
        Sifted { events: events.unwrap_or(chunk), stray: whole.then(|| (self.take_stray(), Bytes::new())) }
    }

    /// Says that no more will come, and gives what was gathered if it tells of an error.
    pub fn end(&mut self) -> Option<Bytes> {
        let stray = self.take_stray();
        tells_error(&stray).then_some(stray)
    }

    fn take_stray(&mut self) -> Bytes {
        std::mem::take(&mut self.stray).into()
    }

    /// What a line is, by its beginning.
    fn decide(&mut self, part: &[u8], ends: bool) {
        let room = HEAD_BYTES.saturating_sub(self.begun.len()).min(part.len());
        let part = part.get(..room).unwrap_or_default();
        let head: Cow<'_, [u8]> =
            if self.begun.is_empty() { part.into() } else { [&self.begun, part].concat().into() };
        let unmarked = if self.first_line { head.strip_prefix(BOM).unwrap_or(&head) } else { &head };
        self.line = if self.first_line && !ends && BOM.starts_with(&head) {
            Line::Unknown
        } else {
            kind(unmarked, ends)
        };
    }

    /// Takes a part of the present line; says whether the line's end is let through.
    fn part(&mut self, part: &[u8], at: usize, ends: bool, out: &mut Out<'_>) -> bool {
        match self.line {
            Line::Field => {
                out.insert(&std::mem::take(&mut self.begun), at);
                out.keep(at, at + part.len());
                true
            }
            Line::Unknown => {
                self.begun.extend_from_slice(part);
                false
            }
            Line::Comment => {
                let room = COMMENT_BYTES_MAX.saturating_sub(self.begun.len()).min(part.len());
                self.begun.extend_from_slice(part.get(..room).unwrap_or_default());
                if ends {
                    let comment = std::mem::take(&mut self.begun);
                    out.insert(if is_sign_of_life(&comment) { &comment } else { b":" }, at);
                }
                true
            }
            Line::Stray => {
                let begun = std::mem::take(&mut self.begun);
                let room = STRAY_BYTES_MAX.saturating_sub(self.stray.len());
                self.stray.extend(begun.iter().chain(part).take(room));
                false
            }
            Line::Spent => false,
        }
    }

    /// A line has ended. Says whether what was gathered is an error that is over.
    fn ended(&mut self) -> bool {
        self.first_line = false;
        if std::mem::replace(&mut self.line, Line::Unknown) != Line::Stray {
            return false;
        }
        if self.stray.len() >= STRAY_BYTES_MAX || is_whole(&self.stray) {
            return true;
        }
        if is_document(&self.stray) {
            self.stray.push(b'\n');
            return false;
        }
        let tells = tells_error(&self.stray);
        if !tells {
            self.stray.clear();
        }
        tells
    }
}

fn kind(head: &[u8], ends: bool) -> Line {
    if head.is_empty() {
        return if ends { Line::Field } else { Line::Unknown };
    }
    if head.starts_with(b":") {
        return Line::Comment;
    }
    for name in FIELDS {
        match head.strip_prefix(name) {
            Some([b':', ..]) => return Line::Field,
            Some([]) => return if ends { Line::Field } else { Line::Unknown },
            None if !ends && name.starts_with(head) => return Line::Unknown,
            Some(_) | None => {}
        }
    }
    Line::Stray
}

fn is_sign_of_life(comment: &[u8]) -> bool {
    let text = comment.strip_prefix(BOM).unwrap_or(comment);
    let Ok(text) = std::str::from_utf8(text.strip_prefix(b":").unwrap_or(text)) else { return false };
    comment.len() < COMMENT_BYTES_MAX && SIGNS_OF_LIFE.contains(&text.trim().to_ascii_lowercase().as_str())
}

/// Whether a text is JSON or a page, of which more lines may come.
fn is_document(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'[' | b'<'))
}

/// Whether it is a JSON text with its end.
fn is_whole(text: &[u8]) -> bool {
    is_document(text)
        && matches!(text.trim_ascii_end().last(), Some(b'}' | b']'))
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

fn tells_error(text: &[u8]) -> bool {
    if is_document(text) {
        return true;
    }
    let lower = String::from_utf8_lossy(text).to_lowercase();
    OF_ERRORS.iter().any(|words| lower.contains(words))
}

/// What is let through of a chunk: a part of it as long as that lies together, else a copy.
struct Out<'c> {
    chunk: &'c Bytes,
    copied: BytesMut,
    from: usize,
    to: usize,
}

impl Out<'_> {
    fn keep(&mut self, from: usize, to: usize) {
        if from != self.to {
            self.flush();
            self.from = from;
        }
        self.to = to;
    }

    /// Puts something before what comes next, which begins at `at`.
    fn insert(&mut self, bytes: &[u8], at: usize) {
        if !bytes.is_empty() {
            self.flush();
            self.copied.extend_from_slice(bytes);
            (self.from, self.to) = (at, at);
        }
    }

    fn flush(&mut self) {
        self.copied.extend_from_slice(self.chunk.get(self.from..self.to).unwrap_or_default());
        (self.from, self.to) = (self.to, self.to);
    }

    /// Whether all of the chunk is let through, and nothing else.
    fn is_all(&self) -> bool {
        self.copied.is_empty() && (self.from, self.to) == (0, self.chunk.len())
    }

    fn finish(mut self) -> Bytes {
        if self.copied.is_empty() {
            return self.chunk.slice(self.from..self.to);
        }
        self.flush();
        self.copied.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is let through of these pieces, and the first error.
    fn sift(pieces: &[&str]) -> (String, Option<String>) {
        let mut sieve = Sieve::default();
        let mut passed = String::new();
        for piece in pieces {
            let sifted = sieve.push(Bytes::from((*piece).to_owned()));
            passed.push_str(std::str::from_utf8(&sifted.events).unwrap());
            if let Some((said, _)) = sifted.stray {
                return (passed, Some(String::from_utf8_lossy(&said).trim().to_owned()));
            }
        }
        let said = sieve.end().map(|said| String::from_utf8_lossy(&said).trim().to_owned());
        (passed, said)
    }

    #[test]
    fn only_events_pass_however_a_stream_is_cut() {
        let good = "\u{feff}event: a\ndata: {\"x\":1}\nid: 3\nretry:1\ndata\n\n:\n: ping\n\n: OPENROUTER PROCESSING\n\ndata: [DONE]\n\n";
        let table = [
            (good.to_owned(), good.to_owned(), None),
            (good.replace('\n', "\r"), good.replace('\n', "\r"), None),
            (good.replace('\n', "\r\n"), good.replace('\n', "\r\n"), None),
            ("data: 1\n\n: the key is k\n\ndata: 2\n\n".into(), "data: 1\n\n:\n\ndata: 2\n\n".into(), None),
            (
                "data: 1\r\n\r\nhello\r\n\r\ndata: 2\r\n\r\n".into(),
                "data: 1\r\n\r\n\r\ndata: 2\r\n\r\n".into(),
                None,
            ),
            ("DATA: 1\n\ndataX: 2\nidle\n".into(), "\n".into(), None),
            ("data: 1\n\n{\"error\":\"k\"}\n".into(), "data: 1\n\n".into(), Some("{\"error\":\"k\"}")),
            ("data: 1\n\n{\"error\":\"k\"}".into(), "data: 1\n\n".into(), Some("{\"error\":\"k\"}")),
            (
                "data: 1\n\n{\n\n\"error\":\n\"k\"}\n".into(),
                "data: 1\n\n".into(),
                Some("{\n\n\"error\":\n\"k\"}"),
            ),
            ("data: 1\n\n{\"error\":\ndata: 2\n\n".into(), "data: 1\n\n".into(), Some("{\"error\":")),
            ("data: 1\nError: k\n\n".into(), "data: 1\n".into(), Some("Error: k")),
            ("data: 1\nno quota".into(), "data: 1\n".into(), Some("no quota")),
        ];
        for (stream, passes, error) in table {
            let cuts = || (0..=stream.len()).filter(|at| stream.is_char_boundary(*at));
            for first in cuts() {
                for second in cuts().filter(|second| *second >= first) {
                    let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                    let (passed, said) = sift(&pieces);
                    assert_eq!((passed.as_str(), said.as_deref()), (passes.as_str(), error), "{pieces:?}");
                }
            }
        }
    }

    #[test]
    fn a_good_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"data: 1\n\nevent: x\ndata: {\"content\":\"error\"}\n\nda");
        let sifted = Sieve::default().push(chunk.clone());
        assert_eq!((sifted.events.as_ptr(), sifted.events.len()), (chunk.as_ptr(), chunk.len() - 2));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut sieve = Sieve::default();
        let mut found = 0;
        let _ = sieve.push(Bytes::from_static(b"{\"a\":\""));
        for _ in 0..10 {
            let sifted = sieve.push(Bytes::from(vec![b'x'; STRAY_BYTES_MAX / 2]));
            assert!(sifted.events.is_empty());
            found += usize::from(sifted.stray.is_some());
            assert!(sieve.stray.len() <= STRAY_BYTES_MAX && sieve.begun.is_empty());
        }
        assert_eq!(found, 0);
        assert!(sieve.push(Bytes::from_static(b"\n")).stray.is_some());
    }
}
