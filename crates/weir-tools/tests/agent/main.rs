//! The turn loop, whole turns of it: a scripted model on one side, the gate and an executor on the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod approvals;
mod servers;
mod support;
mod turns;
