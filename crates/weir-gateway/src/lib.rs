//! Enforcement on LLM traffic: identify, decide, enforce, send, classify, record.
//!
//! The life of a request is the list of stages in ARCHITECTURE.md; `pipeline.rs` reads like it. Nothing here decides:
//! decisions come from `weir-rules`, and only the permit made there opens the way to the upstream client.

mod alarm;
mod answer;
mod attempts;
mod begin;
mod bell;
mod body;
mod callers;
mod classifier;
mod client;
mod cut;
mod decide;
mod encoded;
mod exchange;
mod failed;
mod gateway;
mod guest;
mod hold;
mod identify;
mod known_dead;
mod link;
mod meters;
mod pass;
mod pipeline;
mod read;
mod reading;
mod resolve;
mod resolver;
mod route;
mod server;
mod settings;
mod stop_loss;
mod tail;
mod telemetry;
mod trouble;
mod turn;
mod upstream;

pub use gateway::{Candidates, Counter, Counters, Gateway, GatewayError, Parts};
pub use guest::{Guest, GuestBody, Visitor};
