//! The simulated provider's answers as data (design, section 7): which bytes come, when, and how the answer ends.
//!
//! The answers are those of the real protocols, whole enough for the official SDKs, and count usage in words. The
//! caller of [`simulate`] plays them; nothing here waits or sends.

use std::time::Duration;

use bytes::Bytes;
use weir_core::{ApiKind, Timestamp};

/// One simulated answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names are lower-case.
    pub headers: Vec<(String, String)>,
    /// The body's parts, each with the time to wait before it.
    pub parts: Vec<Part>,
    /// How it ends.
    pub end: End,
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How long after the part before it, or after the request.
    pub after: Duration,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Complete,
    /// The connection breaks after the last part.
    Cut,
    /// Nothing more ever comes; with no part, not even the head.
    Hang,
}

/// The answer of the simulated model `model_word` (with or without `sim/`) to the request `body`.
///
/// `model_as_sent` is the name in the answer; `id_seed` makes its ids, so that the same arguments give the same answer.
#[must_use]
pub fn simulate(
    kind: ApiKind,
    model_word: &str,
    model_as_sent: &str,
    body: &[u8],
    id_seed: u128,
    created: Timestamp,
) -> Simulated {
    todo_replace(kind, model_word, model_as_sent, body, id_seed, created)
}

fn todo_replace(_: ApiKind, _: &str, _: &str, _: &[u8], _: u128, _: Timestamp) -> Simulated {
    Simulated { status: 404, headers: Vec::new(), parts: Vec::new(), end: End::Complete }
}
