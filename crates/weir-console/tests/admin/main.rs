//! The admin plane as its users see it: through the router, on SQLite in memory and the cache in process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod abuse;
mod access;
mod audited;
mod backtests;
mod browser;
mod decisions;
mod drafts;
mod forms;
mod identities;
mod keys;
mod overrides;
mod pages;
mod plane;
mod rulebook;
mod rules;
mod secrets;
mod service;
mod sessions;
mod stats;
mod tools;
