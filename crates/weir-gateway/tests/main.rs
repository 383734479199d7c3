//! The gateway as its callers see it: the real [`weir_gateway::Gateway`] on a real socket, before a scripted provider and a scripted
//! classifier. Doubles are the clock, the stores where a test says so, and the list of candidates in three cases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod area_a;
mod bad_input;
mod cached;
mod callers;
mod exits;
mod failures;
mod held;
mod inline;
mod quarantine;
mod stop_loss;
mod streams;
mod support;
mod uncounted;
