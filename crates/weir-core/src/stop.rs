//! A rule that the stop-loss has taken back to shadow.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::DecisionId;
use crate::words::noun;

/// Why a rule was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopWhy {
    /// It hit more than the allowed share of the identities that were seen.
    Share,
    /// It hit an identity with a plan.
    Paying,
    /// It hit a request with the caller's own provider key.
    Byok,
}

impl StopWhy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Share, Self::Paying, Self::Byok];

    /// The word in the store and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Paying => "paying",
            Self::Byok => "byok",
        }
    }

    /// In words, for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Share => "it hit too large a share of the identities",
            Self::Paying => "it hit a paying identity",
            Self::Byok => "it hit a caller with a provider key of its own",
        }
    }
}

/// The word is none of [`StopWhy`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason of a stop")]
pub struct UnknownStopWhy(pub String);

impl FromStr for StopWhy {
    type Err = UnknownStopWhy;

    fn from_str(word: &str) -> Result<Self, UnknownStopWhy> {
        Self::ALL.into_iter().find(|why| why.as_str() == word).ok_or_else(|| UnknownStopWhy(word.to_owned()))
    }
}

/// One version of a rule that was taken back to shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStop {
    /// The rule's id.
    pub rule: String,
    /// The version of its text.
    pub version: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: StopWhy,
    /// How many identities it hit in the window, on the node that stopped it.
    pub hit: u64,
    /// How many identities that node saw in the window.
    pub seen: u64,
    /// The request at which it was stopped, and which it did not harm.
    pub decision: DecisionId,
}

impl RuleStop {
    /// The share of the identities that it hit, in per cent.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "numbers of identities are far below 2^52")]
    pub fn share_percent(&self) -> f64 {
        if self.seen == 0 { 0.0 } else { self.hit as f64 * 100.0 / self.seen as f64 }
    }
}

impl fmt::Display for RuleStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the rule `{}` is back in shadow: {} ({} of {} {}, {:.1} %)",
            self.rule,
            self.why.in_words(),
            self.hit,
            self.seen,
            noun(self.seen, "identity"),
            self.share_percent()
        )
    }
}
