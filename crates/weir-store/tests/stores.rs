//! The stores against real files, PostgreSQL and Redis. Where it can, one test body runs on both kinds of store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod stores {
    pub mod approvals;
    pub mod cache;
    pub mod database;
    pub mod outages;
    pub mod recorder;
    pub mod records;
    pub mod replay;
    pub mod support;
    pub mod tallies;
    pub mod topologies;
}
