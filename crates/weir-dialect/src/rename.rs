//! The model's name in a downgraded answer: the caller sees the name that it asked for (design, section 6, "a
//! quarantine stays invisible").
//!
//! Only the value of `model` is replaced, where the API has it: at the top, in `response` (responses) and in `message`
//! (messages). All else stays byte for byte. Nothing is held back and nothing is gathered, whatever the chunks.

use bytes::Bytes;
use memchr::memchr2;
use weir_core::ApiKind;

use crate::json;
use crate::walk::{Path, Step, Walker};

/// The JSON answer with `model` as the model's name.
#[must_use]
pub fn rename_json(body: &[u8], kind: ApiKind, model: &str) -> Bytes {
    JsonRenamer::new(kind, model).push(&Bytes::copy_from_slice(body))
}

/// Renames in a JSON answer that comes in chunks.
pub struct JsonRenamer(Renamer);

impl JsonRenamer {
    /// Puts `model` in the place of the model's name.
    #[must_use]
    pub fn new(kind: ApiKind, model: &str) -> Self {
        Self(Renamer::new(kind, model))
    }

    /// What to send in the place of this chunk; the same bytes when nothing in it changes.
    #[must_use]
    pub fn push(&mut self, chunk: &Bytes) -> Bytes {
        let mut splice = Splice::new(chunk, self.0.swallowing);
        self.0.feed(0..chunk.len(), &mut splice);
        splice.finish()
    }
}

/// Renames in every event of a stream.
pub struct StreamRenamer {
    renamer: Renamer,
    line: Line,
    /// The line holds no byte yet.
    line_empty: bool,
    after_cr: bool,
    /// How much of a byte order mark was read; more than its length when the start is over.
    bom: usize,
}

/// What is known of the line being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So many bytes of `data:` were read.
    Name(usize),
    Data,
    Other,
}

const DATA: &[u8] = b"data:";
const BOM: &[u8] = b"\xef\xbb\xbf";

impl StreamRenamer {
    /// Puts `model` in the place of the model's name.
    #[must_use]
    pub fn new(kind: ApiKind, model: &str) -> Self {
        let renamer = Renamer::new(kind, model);
        Self { renamer, line: Line::Name(0), line_empty: true, after_cr: false, bom: 0 }
    }

    /// What to send in the place of this chunk; the same bytes when nothing in it changes.
    #[must_use]
    pub fn push(&mut self, chunk: &Bytes) -> Bytes {
        let mut splice = Splice::new(chunk, self.renamer.swallowing);
        let mut at = self.start(chunk);
        while let Some(&byte) = chunk.get(at) {
            if matches!(byte, b'\n' | b'\r') {
                self.line_end(byte, at, &mut splice);
                at = at.saturating_add(1);
                continue;
            }
            self.after_cr = false;
            self.line_empty = false;
            at = match self.line {
                Line::Name(matched) => {
                    self.line = next(matched, byte);
                    at.saturating_add(1)
                }
                Line::Data => {
                    let end = line_end(chunk, at);
                    self.renamer.feed(at..end, &mut splice);
                    end
                }
                Line::Other => line_end(chunk, at),
            };
        }
        splice.finish()
    }

    /// Steps over a byte order mark at the stream's start.
    fn start(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        while self.bom < BOM.len() {
            let Some(byte) = chunk.get(at) else { return at };
            if BOM.get(self.bom) != Some(byte) {
                self.bom = BOM.len();
                return at;
            }
            self.bom = self.bom.saturating_add(1);
            at = at.saturating_add(1);
        }
        at
    }

    fn line_end(&mut self, byte: u8, at: usize, splice: &mut Splice<'_>) {
        let second_half = byte == b'\n' && self.after_cr;
        self.after_cr = byte == b'\r';
        if second_half {
            return;
        }
        self.renamer.line_end(at, splice);
        if self.line_empty {
            self.renamer.walker.reset();
        }
        self.line = Line::Name(0);
        self.line_empty = true;
    }
}

fn line_end(chunk: &[u8], at: usize) -> usize {
    let rest = chunk.get(at..).unwrap_or_default();
    memchr2(b'\n', b'\r', rest).map_or(chunk.len(), |length| at.saturating_add(length))
}

fn next(matched: usize, byte: u8) -> Line {
    let after = matched.saturating_add(1);
    match DATA.get(matched) {
        Some(expected) if *expected == byte && after == DATA.len() => Line::Data,
        Some(expected) if *expected == byte => Line::Name(after),
        _ => Line::Other,
    }
}

/// Finds the name and says what to put in its place.
struct Renamer {
    walker: Walker,
    /// The new name, as JSON.
    name: Vec<u8>,
    /// The old name is being passed over.
    swallowing: bool,
}

const MODEL: usize = 0;

impl Renamer {
    fn new(kind: ApiKind, model: &str) -> Self {
        let names: &'static [&'static str] = match kind {
            ApiKind::ChatCompletions | ApiKind::Embeddings | ApiKind::CountTokens => &["model"],
            ApiKind::Responses => &["model", "response"],
            ApiKind::Messages => &["model", "message"],
        };
        Self { walker: Walker::new(names), name: json::quoted(model).into_bytes(), swallowing: false }
    }

    fn feed(&mut self, part: std::ops::Range<usize>, splice: &mut Splice<'_>) {
        let base = part.start;
        let text = splice.chunk.get(part).unwrap_or_default();
        let (name, swallowing) = (&self.name, &mut self.swallowing);
        self.walker.feed(text, &mut |path, step| match step {
            Step::Start { at, string: true } if is_model(path) => {
                splice.cut(base.saturating_add(at), name);
                *swallowing = true;
            }
            Step::End { at } if *swallowing && is_model(path) => {
                splice.resume(base.saturating_add(at));
                *swallowing = false;
            }
            Step::Start { .. } | Step::End { .. } => {}
        });
    }

    /// A name that a line's end cuts short is no JSON; the line's end itself must stay.
    fn line_end(&mut self, at: usize, splice: &mut Splice<'_>) {
        if std::mem::take(&mut self.swallowing) {
            splice.resume(at);
            self.walker.reset();
        }
    }
}

fn is_model(path: Path) -> bool {
    match path.inner {
        None => path.outer == MODEL,
        Some(inner) => inner == MODEL && path.outer != MODEL,
    }
}

/// A chunk of which some parts are left out and others put in.
struct Splice<'c> {
    chunk: &'c Bytes,
    out: Option<Vec<u8>>,
    /// Where the part begins that was not copied yet; `None` while bytes are left out.
    from: Option<usize>,
}

impl<'c> Splice<'c> {
    fn new(chunk: &'c Bytes, swallowing: bool) -> Self {
        if swallowing {
            Self { chunk, out: Some(Vec::new()), from: None }
        } else {
            Self { chunk, out: None, from: Some(0) }
        }
    }

    fn cut(&mut self, at: usize, put_in: &[u8]) {
        let kept = self.from.take().and_then(|from| self.chunk.get(from..at)).unwrap_or_default();
        let out =
            self.out.get_or_insert_with(|| Vec::with_capacity(self.chunk.len().saturating_add(put_in.len())));
        out.extend_from_slice(kept);
        out.extend_from_slice(put_in);
    }

    fn resume(&mut self, at: usize) {
        self.from = Some(at);
    }

    fn finish(self) -> Bytes {
        let Some(mut out) = self.out else { return self.chunk.clone() };
        let rest = self.from.and_then(|from| self.chunk.get(from..)).unwrap_or_default();
        out.extend_from_slice(rest);
        out.into()
    }
}

#[cfg(test)]
mod tests;
