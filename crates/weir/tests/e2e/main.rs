//! The product as its operators and callers see it: the real binary as a process, real Redis and PostgreSQL, a scripted
//! provider. Each test states what is seen from outside; nothing reaches into the process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod canary;
mod corpus;
mod life;
mod memory;
mod metrics;
mod nodes;
mod outages;
mod records;
mod refusals;
mod rehearsal;
mod reports;
mod seed;
mod service;
mod support;
mod telemetry;
