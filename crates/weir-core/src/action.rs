//! The seven abuse actions (spec A1, A2): a closed set, ordered by severity.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a request rule asks for. The order of the variants is the order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing is done and nothing is noted beyond the record.
    Nothing,
    /// The request passes; the match is worth a look.
    Log,
    /// 429 at once.
    RateLimit,
    /// The first delay.
    #[serde(rename = "quarantine-1")]
    Quarantine1,
    /// The second delay.
    #[serde(rename = "quarantine-2")]
    Quarantine2,
    /// The second delay and a silent downgrade to a free model.
    #[serde(rename = "quarantine-3")]
    Quarantine3,
    /// 403 at once.
    Block,
}

/// How long a quarantined request waits before the upstream call (configuration: `abuse.quarantine`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineDelays {
    /// Of quarantine-1.
    pub first: Duration,
    /// Of quarantine-2 and quarantine-3.
    pub second: Duration,
}

impl Default for QuarantineDelays {
    fn default() -> Self {
        Self { first: Duration::from_secs(2), second: Duration::from_secs(6) }
    }
}

impl Action {
    /// All actions, from the mildest to the most severe.
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Log,
        Self::RateLimit,
        Self::Quarantine1,
        Self::Quarantine2,
        Self::Quarantine3,
        Self::Block,
    ];

    /// The word on the wire, in rules and in the action cache.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Log => "log",
            Self::RateLimit => "rate-limit",
            Self::Quarantine1 => "quarantine-1",
            Self::Quarantine2 => "quarantine-2",
            Self::Quarantine3 => "quarantine-3",
            Self::Block => "block",
        }
    }

    /// Whether a *cached* action makes a request wait for a fresh classification (spec A1, the enforcing set).
    ///
    /// This is the only place that says so. `nothing` and `log` change nothing for the caller, so waiting on
    /// their account would slow down every well-behaved identity; each of the others does change something, and
    /// must not be enforced on stale word alone when a fresh one can be had.
    #[must_use]
    pub const fn enforces(self) -> bool {
        match self {
            Self::Nothing | Self::Log => false,
            Self::RateLimit | Self::Quarantine1 | Self::Quarantine2 | Self::Quarantine3 | Self::Block => true,
        }
    }

    /// The delay before the upstream call, zero for an action that has none.
    #[must_use]
    pub const fn delay(self, delays: QuarantineDelays) -> Duration {
        match self {
            Self::Quarantine1 => delays.first,
            Self::Quarantine2 | Self::Quarantine3 => delays.second,
            Self::Nothing | Self::Log | Self::RateLimit | Self::Block => Duration::ZERO,
        }
    }

    /// The verdict word of the abuse service's protocol (design, section 6).
    #[must_use]
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Nothing | Self::Log => "ALLOW",
            Self::RateLimit | Self::Quarantine1 | Self::Quarantine2 | Self::Quarantine3 => "SOFT_BLOCK",
            Self::Block => "HARD_BLOCK",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of the seven actions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown action `{0}`")]
pub struct UnknownAction(pub String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL.into_iter().find(|a| a.as_str() == text).ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

/// The word that the action cache holds for "classified, and nothing to do" (spec A5).
pub const CACHED_NONE: &str = "none";

/// Reads a value of the action cache (spec A5): the seven words and `none`; anything else is an error that the
/// caller logs and treats as a miss.
///
/// # Errors
/// The value is none of the accepted words: another case, an old JSON blob, a typing error.
pub fn parse_cached(value: &str) -> Result<Action, UnknownAction> {
    if value == CACHED_NONE { Ok(Action::Nothing) } else { value.parse() }
}

/// The value to write into the action cache: no action and `nothing` both become `none`.
#[must_use]
pub const fn cached_value(action: Option<Action>) -> &'static str {
    match action {
        None | Some(Action::Nothing) => CACHED_NONE,
        Some(other) => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_are_ordered_by_severity() {
        for pair in Action::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
            assert_eq!(serde_json::to_string(&action).unwrap(), format!("\"{action}\""));
        }
        assert!("BLOCK".parse::<Action>().is_err());
    }

    /// Spec A1 and A2, as a table that does not ask the code what is right.
    #[test]
    fn what_follows_from_an_action_is_written_down() {
        let (none, first, second) = (Duration::ZERO, Duration::from_secs(2), Duration::from_secs(6));
        let table = [
            (Action::Nothing, false, none, "ALLOW"),
            (Action::Log, false, none, "ALLOW"),
            (Action::RateLimit, true, none, "SOFT_BLOCK"),
            (Action::Quarantine1, true, first, "SOFT_BLOCK"),
            (Action::Quarantine2, true, second, "SOFT_BLOCK"),
            (Action::Quarantine3, true, second, "SOFT_BLOCK"),
            (Action::Block, true, none, "HARD_BLOCK"),
        ];
        assert_eq!(table.map(|(action, ..)| action), Action::ALL);
        for (action, enforces, delay, verdict) in table {
            let found = (action.enforces(), action.delay(QuarantineDelays::default()), action.verdict());
            assert_eq!(found, (enforces, delay, verdict), "{action}");
        }
    }

    #[test]
    fn cached_values_accept_both_words_for_nothing_and_write_one() {
        assert_eq!(parse_cached("none"), Ok(Action::Nothing));
        assert_eq!(parse_cached("nothing"), Ok(Action::Nothing));
        assert_eq!(cached_value(None), "none");
        assert_eq!(cached_value(Some(Action::Nothing)), "none");
        assert_eq!(cached_value(Some(Action::Block)), "block");
        for bad in ["", "BLOCK", "quarantine", "7", "{\"action\":\"block\"}"] {
            assert!(parse_cached(bad).is_err(), "{bad}");
        }
    }
}
