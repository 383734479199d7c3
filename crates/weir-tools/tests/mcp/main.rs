//! The MCP proxy before a real program, over pipes and over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod approvals;
mod http;
mod remote;
mod stdio;
mod support;

/// Not a test: this binary run as a tool server.
#[test]
#[ignore = "a run of it is a tool server, which other tests start"]
fn scripted_server() {
    weir_testkit::mcp::serve_if_asked();
}
