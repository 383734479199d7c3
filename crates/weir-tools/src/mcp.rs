//! The MCP proxy: a client on one side, a tool server on the other, the gate between them.
//!
//! A call of a tool goes through [`Gate::call`](crate::Gate::call), a list of tools shows what the caller may see, and
//! everything else passes as it came, byte for byte, in both directions: resources, prompts, completion, progress,
//! cancellation, logging, and what a server asks its client. Both eras of the protocol are spoken: 2026-07-28, in which
//! every request stands for itself, and the earlier ones with their handshake and sessions.

mod answer;
mod client;
pub(crate) mod frame;
mod headers;
mod http;
mod hub;
mod lines;
pub(crate) mod link;
pub(crate) mod listing;
mod members;
mod rewrite;
mod session;
mod skim;
mod stdio;
mod timed;

pub use http::{Mcp, McpBody};
pub use link::{ChildCommand, Stderr, Trouble};
pub use stdio::{Stdio, serve_stdio};
