//! How much text a model has written, for where its provider does not count.
//!
//! Nothing is parsed or kept: the strings that follow chosen names are measured, wherever chunks are cut. It never fails,
//! and of text that is no JSON it says nothing useful.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;
use weir_core::ApiKind;

/// The member that holds what an event adds.
pub(super) static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));

/// Longer names are none of the chosen ones, in bytes.
const NAME_BYTES_MAX: usize = 20;

/// Measures what a model has written, in the parts of answers that hold it.
#[derive(Clone, Debug)]
pub(super) struct TextMeter {
    kind: ApiKind,
    /// Bytes of answers and of calls.
    said: u64,
    /// Bytes of thoughts by the two names that providers have for the same, and some send both.
    thought: [u64; 2],
    at: Place,
}

/// Where in the JSON it is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The string that was read last, or is being read, as far as it may be a name, and its length.
    name: [u8; NAME_BYTES_MAX],
    length: usize,
    /// What the value that follows is.
    holds: Option<Text>,
    within: Within,
    /// How deep it is within the arguments of a call that are no string.
    deep: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    String,
    /// Behind a backslash.
    Escape,
    /// Before so many digits of an escaped letter.
    Digits(u8),
}

/// What a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Said,
    Thought(usize),
    /// Arguments: a string, or an object of which all strings count.
    Arguments,
}

impl Text {
    fn of(kind: ApiKind, name: &[u8]) -> Option<Self> {
        match kind {
            ApiKind::ChatCompletions => match name {
                b"content" | b"refusal" | b"arguments" | b"name" | b"transcript" => Some(Self::Said),
                b"reasoning_content" => Some(Self::Thought(0)),
                b"reasoning" => Some(Self::Thought(1)),
                _ => None,
            },
            ApiKind::Responses => match name {
                b"delta" | b"text" | b"refusal" | b"arguments" | b"name" | b"code" => Some(Self::Said),
                b"input" => Some(Self::Arguments),
                _ => None,
            },
            ApiKind::Messages => match name {
                b"text" | b"thinking" | b"partial_json" | b"name" => Some(Self::Said),
                b"input" => Some(Self::Arguments),
                _ => None,
            },
            ApiKind::Embeddings | ApiKind::CountTokens => None,
        }
    }
}

impl TextMeter {
    pub(super) fn new(kind: ApiKind) -> Self {
        Self { kind, said: 0, thought: [0; 2], at: Place::default() }
    }

    /// The bytes of text that were read.
    pub(super) fn bytes(&self) -> u64 {
        let [one, other] = self.thought;
        self.said.saturating_add(one.max(other))
    }

    /// Forgets what was read: it is counted.
    pub(super) fn clear(&mut self) {
        (self.said, self.thought) = (0, [0; 2]);
    }

    /// Reads a piece of JSON that stands by itself. Gives the place of the text in one that adds a text without escapes
    /// and nothing else.
    pub(super) fn read(&mut self, piece: &[u8]) -> Option<Range<usize>> {
        let plain = self.plain(piece);
        if let Some(text) = &plain {
            self.add(text.len());
        } else {
            self.at = Place::default();
            self.feed(piece);
        }
        plain
    }

    /// Counts text that was found elsewhere.
    pub(super) fn add(&mut self, bytes: usize) {
        self.said = self.said.saturating_add(bytes as u64);
    }

    /// The text of a piece that adds one without escapes and nothing else, as nearly all do: this is faster.
    fn plain(&self, piece: &[u8]) -> Option<Range<usize>> {
        let at = DELTA.find(piece)?;
        let (begin, end): (&[u8], &[u8]) = match self.kind {
            ApiKind::ChatCompletions => (br#""delta":{"content":""#, br#""}"#),
            ApiKind::Messages => (br#""delta":{"type":"text_delta","text":""#, br#""}"#),
            ApiKind::Responses => (br#""delta":""#, br#"""#),
            ApiKind::Embeddings | ApiKind::CountTokens => return None,
        };
        let text = piece.get(at..)?.strip_prefix(begin)?;
        let length = memchr2(b'"', b'\\', text)?;
        let rest = text.get(length..)?.strip_prefix(end)?;
        let from = at.saturating_add(begin.len());
        // Of several choices each adds something.
        DELTA.find(rest).is_none().then_some(from..from.saturating_add(length))
    }

    /// Reads on.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        if matches!(self.kind, ApiKind::Embeddings | ApiKind::CountTokens) {
            return;
        }
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            rest = match self.at.within {
                Within::Nothing => {
                    self.structure(*byte);
                    after
                }
                Within::String => self.string(rest),
                Within::Escape => {
                    // As in a request: of the six bytes of an escaped letter three count.
                    let letter = *byte == b'u';
                    self.count(if letter { 3 } else { 1 });
                    self.at.within = if letter { Within::Digits(4) } else { Within::String };
                    after
                }
                Within::Digits(left) => {
                    self.at.within = if left > 1 { Within::Digits(left - 1) } else { Within::String };
                    after
                }
            };
        }
    }

    fn structure(&mut self, byte: u8) {
        let at = &mut self.at;
        match byte {
            b'"' => {
                at.length = 0;
                at.within = Within::String;
            }
            b':' => {
                at.holds = at.name.get(..at.length).and_then(|name| Text::of(self.kind, name));
                at.length = 0;
            }
            b'{' => {
                if at.deep > 0 || at.holds == Some(Text::Arguments) {
                    at.deep = at.deep.saturating_add(1);
                }
                at.holds = None;
            }
            b'}' => {
                at.deep = at.deep.saturating_sub(1);
                at.holds = None;
            }
            b',' => at.holds = None,
            _ => {}
        }
    }

    /// Reads on within a string, and says what follows.
    fn string<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        let end = memchr2(b'"', b'\\', rest);
        let (part, rest) = rest.split_at(end.unwrap_or(rest.len()));
        if let Some(sum) = self.sum() {
            *sum = sum.saturating_add(part.len() as u64);
        } else {
            self.at.keep(part);
        }
        let Some((stop, after)) = rest.split_first() else { return rest };
        if *stop == b'"' {
            self.at.within = Within::Nothing;
        } else {
            // A name with escapes is none of the chosen ones.
            self.at.length = NAME_BYTES_MAX.saturating_add(1);
            self.at.within = Within::Escape;
        }
        after
    }

    fn count(&mut self, bytes: u64) {
        if let Some(sum) = self.sum() {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// What the string that is being read counts for, if it counts.
    fn sum(&mut self) -> Option<&mut u64> {
        match self.at.holds {
            Some(Text::Said | Text::Arguments) => Some(&mut self.said),
            Some(Text::Thought(name)) => self.thought.get_mut(name),
            None => (self.at.deep > 0).then_some(&mut self.said),
        }
    }
}

impl Place {
    /// Keeps a part of a string that may be a name.
    fn keep(&mut self, part: &[u8]) {
        let end = self.length.saturating_add(part.len());
        if let Some(room) = self.name.get_mut(self.length..end) {
            room.copy_from_slice(part);
        }
        self.length = end;
    }
}
