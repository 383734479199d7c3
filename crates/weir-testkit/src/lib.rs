//! For tests only: a scripted upstream, a scripted classifier, a fake Sentry, a clock moved by hand, real Redis and
//! PostgreSQL, the real `weir` as a process, a small HTTP client, captured logs and the cases of the specification.
//!
//! Nothing here waits by the clock on the wall: what a test waits for is an event (a call came in, a sleep was
//! registered, a line was printed). Each such wait has a deadline, [`deadline::PATIENCE`], after which the test
//! fails and says what it was waiting for. That deadline is the runtime's, so tests must not pause tokio's time;
//! they have [`ManualClock`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate serves tests only, and a test that fails should panic"
)]

mod authority;
pub mod cases;
pub mod classifier;
pub mod clock;
pub mod collector;
pub mod deadline;
pub mod http;
pub mod logs;
pub mod mcp;
pub mod postgres;
mod program;
pub mod redis;
pub mod repository;
pub mod sentry;
mod server;
pub mod upstream;
pub mod weir;

pub use classifier::{ClassifierScript, ScriptedClassifier};
pub use clock::ManualClock;
pub use collector::FakeCollector;
pub use logs::LogCapture;
pub use postgres::PostgresServer;
pub use redis::RedisServer;
pub use sentry::FakeSentry;
pub use server::free_port;
pub use upstream::{Gate, RecordedRequest, Script, ScriptedUpstream};
pub use weir::{WeirCommand, WeirProcess};
