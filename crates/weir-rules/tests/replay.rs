//! Rehearsal: what is replayed is what was, or would be, decided.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

#[path = "replay/failures.rs"]
mod failures;
#[path = "replay/limits.rs"]
mod limits;
#[path = "replay/requests.rs"]
mod requests;
#[path = "replay/support.rs"]
mod support;
#[path = "replay/tools.rs"]
mod tools;
