//! Enforcement on LLM traffic: identify, decide, enforce, send, classify, record.
//!
//! The life of a request is the list of stages in ARCHITECTURE.md; `pipeline.rs` reads like it. Nothing here decides:
//! decisions come from `weir-rules`, and only the permit made there opens the way to the upstream client.

mod answer;
mod body;
mod callers;
mod classifier;
mod decide;
mod exchange;
mod gateway;
mod hold;
mod identify;
mod meters;
mod pipeline;
mod read;
mod resolve;
mod route;
mod server;
mod settings;
mod upstream;

pub use gateway::{Candidates, Counter, Counters, Gateway, GatewayError, Parts};
