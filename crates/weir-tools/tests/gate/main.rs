//! The gate as programs meet it: cases of area C, approvals and their races, records, drift.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod advice;
mod approvals;
mod calls;
mod cases;
mod definitions;
mod levels;
mod overrides;
mod sequences;
mod support;
