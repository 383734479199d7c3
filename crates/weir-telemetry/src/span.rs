//! Spans, written as they are sent.

use crate::wire;

/// The fields of `opentelemetry.proto.trace.v1.Span`.
mod field {
    pub(super) const TRACE_ID: u64 = 1;
    pub(super) const SPAN_ID: u64 = 2;
    pub(super) const PARENT_SPAN_ID: u64 = 4;
    pub(super) const NAME: u64 = 5;
    pub(super) const KIND: u64 = 6;
    pub(super) const START: u64 = 7;
    pub(super) const END: u64 = 8;
    pub(super) const ATTRIBUTES: u64 = 9;
    pub(super) const STATUS: u64 = 15;
    pub(super) const FLAGS: u64 = 16;
    pub(super) const STATUS_CODE: u64 = 3;
    /// `ScopeSpans.spans`.
    pub(super) const SPANS: u64 = 2;
    pub(super) const KEY: u64 = 1;
    pub(super) const VALUE: u64 = 2;
}

/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// The flag that the trace is kept, and those that say whether the parent is of another process.
const SAMPLED: u32 = 1;
const PARENT_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// The id of a span; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

/// What part a span plays in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Within weir.
    Internal,
    /// A request of a caller.
    Server,
    /// A call of a provider.
    Client,
}

impl Kind {
    const fn number(self) -> u64 {
        match self {
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
        }
    }
}

/// One span. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Its name: of a small set, never what a caller made up.
    pub name: &'a str,
    /// Words that follow the name after a space: a model, a tool. Empty: none.
    pub subject: &'a str,
    /// What part it plays.
    pub kind: Kind,
    /// Its id.
    pub id: SpanId,
    /// The span that it belongs to.
    pub parent: Option<SpanId>,
    /// Whether the parent is of another process.
    pub remote_parent: bool,
    /// When it began.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Whether what it stands for has failed.
    pub failed: bool,
}

/// Writes the spans of one trace.
pub struct Spans<'a> {
    out: &'a mut Vec<u8>,
    trace_id: [u8; 16],
    count: u64,
}

impl<'a> Spans<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, trace_id: [u8; 16]) -> Self {
        Self { out, trace_id, count: 0 }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Writes a span with these attributes.
    pub fn write(&mut self, span: &Span<'_>, attributes: impl FnOnce(&mut Attributes<'_>)) {
        self.count += 1;
        let trace_id = self.trace_id;
        wire::message(self.out, field::SPANS, |out| {
            wire::bytes(out, field::TRACE_ID, &trace_id);
            wire::bytes(out, field::SPAN_ID, &span.id.0.to_be_bytes());
            if let Some(parent) = span.parent {
                wire::bytes(out, field::PARENT_SPAN_ID, &parent.0.to_be_bytes());
            }
            wire::message(out, field::NAME, |out| {
                out.extend_from_slice(span.name.as_bytes());
                if !span.subject.is_empty() {
                    out.push(b' ');
                    out.extend_from_slice(span.subject.as_bytes());
                }
            });
            wire::uint(out, field::KIND, span.kind.number());
            wire::fixed64(out, field::START, span.start_ns);
            wire::fixed64(out, field::END, span.end_ns.max(span.start_ns));
            attributes(&mut Attributes { out, field: field::ATTRIBUTES });
            if span.failed {
                wire::message(out, field::STATUS, |out| wire::uint(out, field::STATUS_CODE, ERROR));
            }
            let remote = if span.remote_parent { PARENT_IS_REMOTE } else { 0 };
            wire::fixed32(out, field::FLAGS, SAMPLED | PARENT_IS_KNOWN | remote);
        });
    }
}

/// Writes attributes.
pub struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    field: u64,
}

/// The members of `AnyValue`.
mod any {
    pub(super) const STRING: u64 = 1;
    pub(super) const BOOL: u64 = 2;
    pub(super) const INT: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const ARRAY: u64 = 5;
    pub(super) const VALUES: u64 = 1;
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(out: &'a mut Vec<u8>, field: u64) -> Self {
        Self { out, field }
    }

    /// All of an attribute but its value, which takes so many bytes: they are known before it is written.
    #[inline]
    fn head(&mut self, key: &str, value_len: usize) {
        let value_head = 1 + wire::varint_len(u64::try_from(value_len).unwrap_or(u64::MAX));
        wire::head(self.out, self.field, wire::text_len(key) + value_head + value_len);
        wire::text(self.out, field::KEY, key);
        wire::head(self.out, field::VALUE, value_len);
    }

    /// A text.
    #[inline]
    pub fn text(&mut self, key: &str, value: &str) {
        self.head(key, wire::text_len(value));
        wire::text(self.out, any::STRING, value);
    }

    /// A text, if there is any.
    #[inline]
    pub fn some(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.text(key, value);
        }
    }

    /// Texts.
    pub fn texts<'v>(&mut self, key: &str, values: impl Iterator<Item = &'v str>) {
        wire::message(self.out, self.field, |out| {
            wire::text(out, field::KEY, key);
            wire::message(out, field::VALUE, |out| {
                wire::message(out, any::ARRAY, |out| {
                    for value in values {
                        wire::message(out, any::VALUES, |out| wire::text(out, any::STRING, value));
                    }
                });
            });
        });
    }

    /// Yes or no.
    #[inline]
    pub fn flag(&mut self, key: &str, value: bool) {
        self.head(key, 2);
        wire::uint(self.out, any::BOOL, u64::from(value));
    }

    /// A whole number.
    #[inline]
    pub fn int(&mut self, key: &str, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX).cast_unsigned();
        self.head(key, 1 + wire::varint_len(value));
        wire::uint(self.out, any::INT, value);
    }

    /// A number.
    #[inline]
    pub fn double(&mut self, key: &str, value: f64) {
        self.head(key, 9);
        wire::double(self.out, any::DOUBLE, value);
    }
}
