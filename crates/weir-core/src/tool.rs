//! Tool calls: the permission ladder (spec C1), where calls come from, what they ask for, and how they are denied.

mod arguments;
mod denial;
mod standing;
mod text;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use arguments::Arguments;
pub use denial::{Denial, DenialKind};
pub use standing::{CeilingStanding, Layer, ToolStanding};
pub use text::{QUOTED_CHARS_MAX, cleaned, quoted};

/// How much a tool may do; each level includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermissionLevel {
    /// Nothing at all.
    None,
    /// Look.
    ReadOnly,
    /// Change data.
    Write,
    /// Run programs.
    Execute,
    /// What cannot be taken back.
    Dangerous,
}

impl PermissionLevel {
    /// All levels, from the least to the most.
    pub const ALL: [Self; 5] = [Self::None, Self::ReadOnly, Self::Write, Self::Execute, Self::Dangerous];

    /// The token in configuration and rules.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ReadOnly => "read_only",
            Self::Write => "write",
            Self::Execute => "execute",
            Self::Dangerous => "dangerous",
        }
    }

    /// Reads a token as people write it: case, `-` and `_` do not count (spec C1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word: String = text.trim().to_lowercase().chars().filter(|c| !matches!(c, '-' | '_')).collect();
        match word.as_str() {
            "none" => Some(Self::None),
            "readonly" | "read" => Some(Self::ReadOnly),
            "write" => Some(Self::Write),
            "execute" | "exec" => Some(Self::Execute),
            "dangerous" | "danger" => Some(Self::Dangerous),
            _ => None,
        }
    }
}

impl fmt::Display for PermissionLevel {
    /// The name for people: `None`, `ReadOnly`, `Write`, `Execute`, `Dangerous`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::ReadOnly => "ReadOnly",
            Self::Write => "Write",
            Self::Execute => "Execute",
            Self::Dangerous => "Dangerous",
        })
    }
}

/// Where a call comes from (spec C3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallSource {
    /// weir's own turn loop, or another program's session.
    Session,
    /// A message bus.
    Bus,
    /// A channel through which clients reach tools, such as MCP.
    Channel,
    /// A schedule.
    Cron,
    /// A call from outside that started a turn.
    Webhook,
    /// Nobody said.
    #[default]
    Unknown,
}

impl CallSource {
    /// All sources.
    pub const ALL: [Self; 6] =
        [Self::Session, Self::Bus, Self::Channel, Self::Cron, Self::Webhook, Self::Unknown];

    /// The word in rules and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Bus => "bus",
            Self::Channel => "channel",
            Self::Cron => "cron",
            Self::Webhook => "webhook",
            Self::Unknown => "unknown",
        }
    }
}
