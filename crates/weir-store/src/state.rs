//! How a dependency is doing, for `/readyz` and the log.

use serde::Serialize;
use weir_core::Timestamp;

/// How a dependency is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyState {
    /// It answers.
    Up,
    /// Its last call failed; it is still asked.
    Degraded,
    /// It is not asked until a probe in the background has succeeded.
    Down,
}

impl DependencyState {
    /// The word in `/readyz`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// One entry of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// How it is doing.
    pub state: DependencyState,
    /// Since when.
    pub since: Timestamp,
    /// The last failure, unless it is up. It holds no secret.
    pub error: Option<String>,
}
