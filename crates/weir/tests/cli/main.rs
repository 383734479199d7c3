//! The real binary, as people and programs meet it: every command, good and bad.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should panic"
)]

mod agent;
mod backtest;
mod check;
mod decide;
mod docs;
mod durability;
mod explain;
mod help;
mod import;
mod keys;
mod lifecycle;
mod readme;
mod reload;
mod rules;
mod support;
mod tools;
