//! What is kept of a tool call: never the value of an argument.

use serde::{Deserialize, Serialize};

use crate::tool::{Denial, PermissionLevel};

/// A tool call and what came of it. Members are kept by their position: new ones go to the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolRecord {
    /// The call's id: the model's or a made one.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its server; empty for a built-in tool.
    pub server: String,
    /// The tool's own level.
    pub tool_level: Option<PermissionLevel>,
    /// The level of this call.
    pub level: Option<PermissionLevel>,
    /// The channel.
    pub channel: String,
    /// Its ceiling.
    pub ceiling: Option<PermissionLevel>,
    /// The agent.
    pub agent: String,
    /// The session.
    pub session: String,
    /// Where the call came from.
    pub source: String,
    /// The turn's round, from 1; 0 when unknown.
    pub iteration: u32,
    /// The digest of the canonical arguments (RFC 8785).
    pub args_digest: String,
    /// The names of the arguments.
    pub args: Vec<String>,
    /// How it ended: `ran`, `failed`, `denied`, `timed_out`, `gone`, or `decided` where another program runs it.
    pub ended: String,
    /// Why it did not run.
    pub denial: Option<Denial>,
    /// The approval that let it through.
    pub approval_id: Option<String>,
    /// How long the tool took, in milliseconds.
    pub duration_ms: f64,
    /// The level that the arguments were classed at, before rules raised it.
    pub floor: Option<PermissionLevel>,
}
