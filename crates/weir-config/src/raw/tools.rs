//! What bounds agents' tool calls, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{RawDuration, RawLevel, RawMap, RawNetwork, RawPath};

/// What bounds agents' tool calls.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTools {
    /// The ceiling of each channel: channel -> permission level. A channel that is not listed may only read.
    /// Empty: unrestricted.
    #[schemars(extend("default" = {}))]
    pub channel_permissions: Option<RawMap<RawLevel>>,
    /// The levels of single tools: tool -> permission level. A tool's own annotations can only raise it.
    #[schemars(extend("default" = {}))]
    pub levels: Option<RawMap<RawLevel>>,
    /// Where built-in tools may touch files. Empty: nowhere.
    #[schemars(extend("default" = []))]
    pub allowed_roots: Option<Vec<RawPath>>,
    /// Addresses and networks, in CIDR form, that the built-in `fetch_url` may reach although they are this machine's, private
    /// or link-local ones.
    #[schemars(extend("default" = []))]
    pub fetch_private: Option<Vec<RawNetwork>>,
    /// How long one call may take.
    #[schemars(extend("default" = "60s"))]
    pub timeout: Option<RawDuration>,
    /// When a turn that goes nowhere is ended.
    pub loop_guard: Option<RawLoopGuard>,
    /// How held calls are answered.
    pub approvals: Option<RawApprovals>,
    /// The tool servers; each is started on first use.
    #[schemars(extend("default" = []))]
    pub mcp_servers: Option<Vec<RawMcpServer>>,
}

/// When a turn that goes nowhere is ended.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLoopGuard {
    /// After this many identical failures.
    #[schemars(range(min = 2), extend("default" = 3))]
    pub identical: Option<u32>,
    /// After this many failures in a row.
    #[schemars(range(min = 1), extend("default" = 6))]
    pub failures: Option<u32>,
}

/// How held calls are answered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawApprovals {
    /// How long a call is held.
    #[schemars(extend("default" = "10m"))]
    pub ttl: Option<RawDuration>,
    /// Who may answer: `self`, `other` or `role:NAME`, a role of `admin.tokens`.
    #[schemars(extend("default" = "other"))]
    pub approver: Option<String>,
    /// A URL that is told about a held call. Empty: none.
    #[schemars(extend("default" = ""))]
    pub webhook: Option<String>,
}

/// A tool server: a command or a URL.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMcpServer {
    /// Its name, unique; the path is `/mcp/NAME`.
    #[schemars(required, length(min = 1))]
    pub name: Option<String>,
    /// A program and its arguments, spoken to over its standard input and output.
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,
    /// Streamable HTTP.
    pub url: Option<String>,
}
