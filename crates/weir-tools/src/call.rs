//! What the gate is told: who calls which tool with what, and which tools there are.

use std::sync::Arc;

use serde_json::Value as Json;
use uuid::Builder;
use weir_core::record::{IdentityFacts, Stats};
use weir_core::tool::{Arguments, CallSource, cleaned};
use weir_telemetry::Trace;

/// Who calls. An entry point makes one for each session or client.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The identity; its `key` is whom decisions and approvals are about, such as `user:ada`.
    pub identity: IdentityFacts,
    /// Counters over the identity's earlier requests.
    pub stats: Stats,
    /// The channel, whose ceiling holds.
    pub channel: String,
    /// The agent's id; empty when unknown.
    pub agent: String,
    /// The session's id; empty when unknown.
    pub session: String,
    /// Where calls come from.
    pub source: CallSource,
    /// The session's set of tools, if its maker gave one; `None`: all.
    pub visible: Option<Arc<[String]>>,
    /// Its place in a trace, to which its calls belong; without one each call begins a trace.
    pub trace: Option<Trace>,
}

impl Caller {
    /// A user on a channel.
    #[must_use]
    pub fn user(user: &str, channel: &str, source: CallSource) -> Self {
        let identity = IdentityFacts {
            key: format!("user:{user}"),
            kind: "user".to_owned(),
            user_id: user.to_owned(),
            ..IdentityFacts::default()
        };
        Self { identity, channel: channel.to_owned(), source, ..Self::default() }
    }

    /// Whether the session's set of tools has this one. An empty set is none at all (spec C2).
    #[must_use]
    pub fn sees(&self, tool: &str) -> bool {
        match self.visible.as_deref() {
            None | Some([]) => true,
            Some(names) => names.iter().any(|name| name == tool),
        }
    }
}

/// One call of a tool.
#[derive(Clone)]
pub struct ToolCall {
    /// The id that the model gave it; `None`: the gate makes one.
    pub id: Option<String>,
    /// The tool's name, as it was asked for.
    pub tool: String,
    /// The tool's server; empty for a built-in tool.
    pub server: String,
    /// What it asks for.
    pub args: Arguments,
    /// The turn's round, from 1; 0 when unknown.
    pub iteration: u32,
    /// Who calls.
    pub caller: Arc<Caller>,
}

/// How long an id or a name that is taken over may be, in characters.
const TAKEN_OVER_MAX: usize = 200;

impl ToolCall {
    /// The model's own id, or one that is made: `turn-<iteration>-<tool>-<uuid>` (spec C6).
    #[must_use]
    pub fn id_or_made(&self) -> String {
        match self.id.as_deref().map(|id| cleaned(id, TAKEN_OVER_MAX)).filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => made_id(self.iteration, &self.tool),
        }
    }
}

/// An id for a call that the model gave none: `turn-<iteration>-<tool>-<uuid>`.
#[must_use]
pub fn made_id(iteration: u32, tool: &str) -> String {
    format!(
        "turn-{iteration}-{}-{}",
        cleaned(tool, TAKEN_OVER_MAX),
        Builder::from_random_bytes(rand::random()).into_uuid()
    )
}

/// A tool as its server describes it. Descriptions and annotations are the server's word: they may raise a level, never
/// lower one.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// Its server; empty for a built-in tool.
    pub server: String,
    /// What it says it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub schema: Json,
    /// MCP annotations: `readOnlyHint` and its kin; null when there are none.
    pub annotations: Json,
}
