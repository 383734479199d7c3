//! What is read of a provider's answer on its way: usage, its end, an error within it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_core::ApiKind;
use weir_dialect::UsageReader;
use weir_dialect::rename::{JsonRenamer, StreamRenamer};

use crate::cut::{before_error, passable};

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
    /// Whether what was passed on ends within an event.
    within: bool,
    /// Whether an error was found already.
    failed: bool,
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
            within: false,
            failed: false,
        }
    }

    /// Reads a piece of the answer.
    pub(crate) fn read(&mut self, data: Bytes) -> Piece {
        self.usage.push(&data);
        if self.usage.has_error() && !self.failed {
            return self.error(data);
        }
        if self.usage.mid_event() || !self.held.is_empty() {
            return Piece::Good(self.unended(data));
        }
        self.within = false;
        Piece::Good(self.renamer.push(data))
    }

    /// Reads the end of the answer: an event whose blank line never came may be an error.
    pub(crate) fn end(&mut self) -> Option<Bytes> {
        self.usage.end();
        let rest = std::mem::take(&mut self.held);
        (self.usage.has_error() && !self.failed).then(|| {
            self.failed = true;
            rest
        })
    }

    /// What was held back, when the answer broke.
    pub(crate) fn take_held(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }

    /// Whether what the client was sent ends within an event, so that a terminal one must end that first.
    pub(crate) const fn within_event(&self) -> bool {
        self.within
    }

    /// What the client is sent of a piece after all, when the provider's own words may reach it.
    pub(crate) fn renamed(&mut self, data: Bytes) -> Bytes {
        self.within = self.usage.mid_event();
        self.renamer.push(data)
    }

    fn error(&mut self, data: Bytes) -> Piece {
        self.failed = true;
        let data = self.with_held(data);
        if !self.events {
            return Piece::Error { before: Bytes::new(), rest: data };
        }
        let (before, rest) = before_error(self.kind, &data, self.within);
        if !before.is_empty() {
            self.within = false;
        }
        Piece::Error { before: self.renamer.push(before), rest }
    }

    /// A piece that ends within an event.
    fn unended(&mut self, data: Bytes) -> Bytes {
        let data = self.with_held(data);
        let waits = self.usage.mid_event() && !self.failed;
        let passed = if waits { passable(&data, self.within) } else { data.len() };
        self.held = data.slice(passed..);
        if passed > 0 {
            self.within = self.usage.mid_event() && self.held.is_empty();
        }
        self.renamer.push(data.slice(..passed))
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
