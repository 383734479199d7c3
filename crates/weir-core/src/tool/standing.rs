//! How a tool or a channel stands: its level or ceiling, and which layer decides it.

use serde::Serialize;

use super::PermissionLevel;

/// The layer that decides a level or a ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Nobody says anything.
    Default,
    /// weir knows the tool: it is its own.
    BuiltIn,
    /// The configuration.
    Configuration,
    /// An operator, above the configuration.
    Override,
    /// The tool's annotations, which raise its level.
    Annotation,
    /// The tool's definition is not the accepted one.
    Drift,
}

/// The own level of a tool, and what each layer says of it. Rules may raise the level of a single call further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolStanding {
    /// The tool's server; empty for a tool that no server has listed here.
    pub server: String,
    /// The tool.
    pub name: String,
    /// What its server says of it; empty while it has not been listed.
    pub description: String,
    /// Whether its server has listed it to this node.
    pub listed: bool,
    /// The level that counts.
    pub level: PermissionLevel,
    /// Which layer decides it.
    pub layer: Layer,
    /// weir's own level for it.
    pub built_in: Option<PermissionLevel>,
    /// The configuration's.
    pub configured: Option<PermissionLevel>,
    /// The one that an operator set.
    pub overridden: Option<PermissionLevel>,
    /// The least that its annotations leave.
    pub annotated: Option<PermissionLevel>,
}

/// The ceiling of a channel, and what each layer says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CeilingStanding {
    /// The channel; nothing for all that are not named.
    pub channel: Option<String>,
    /// The ceiling that counts.
    pub ceiling: PermissionLevel,
    /// Which layer decides it.
    pub layer: Layer,
    /// The configuration's.
    pub configured: Option<PermissionLevel>,
    /// The one that an operator set.
    pub overridden: Option<PermissionLevel>,
}
