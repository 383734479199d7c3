//! A decision is a value (design, section 2): what was decided, by which rules, and what must be done.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Action;
use crate::action::QuarantineDelays;
use crate::ids::DecisionId;

/// The three places where an AI product meets the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// A request comes in.
    Request,
    /// A provider fails.
    Failure,
    /// An agent reaches for a tool.
    Tool,
}

impl Boundary {
    /// All boundaries.
    pub const ALL: [Self; 3] = [Self::Request, Self::Failure, Self::Tool];

    /// The word after `on:` in a rule.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Failure => "failure",
            Self::Tool => "tool",
        }
    }
}

/// Whether a rule that matches changes anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is evaluated, listed and counted, and changes nothing.
    Shadow,
    /// It is not evaluated.
    Off,
}

impl Mode {
    /// The word after `mode:` in a rule.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// Where a decision comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Rules or the classifier were asked for this very request.
    #[default]
    Fresh,
    /// The action cache answered, because no fresh answer came in time.
    Cache,
    /// No rule was asked.
    Static,
}

/// What was decided, in the words of the boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outcome(String);

impl Outcome {
    /// An outcome in the boundary's own word: an action, a class, `allow`, `deny`, `require-approval`.
    #[must_use]
    pub fn new(word: impl Into<String>) -> Self {
        Self(word.into())
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Action> for Outcome {
    fn from(action: Action) -> Self {
        Self(action.as_str().to_owned())
    }
}

/// One rule that matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matched {
    /// The rule's id.
    pub rule: String,
    /// The version of its text, an opaque string.
    pub version: String,
    /// The action it asked for.
    pub action: String,
    /// Whether it counted.
    pub mode: Mode,
}

/// One rule whose condition could not be evaluated. Never a silent "no match".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errored {
    /// The rule's id.
    pub rule: String,
    /// What went wrong.
    pub error: String,
}

/// A limit that a rule puts on an identity: at most `requests` in a window that begins with the first counted one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The rule that asks for it; limits of different rules are counted apart.
    pub rule: String,
    /// How many requests may pass in one window.
    pub requests: u64,
    /// The window's length in seconds.
    pub per_s: u64,
}

/// What must be done along with letting the request pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obligation {
    /// Wait this long before the upstream call, and before any answer that follows the decision.
    DelayMs(u64),
    /// Send a free model instead, if there is one and the key is not the caller's own.
    Downgrade(bool),
    /// Count this request against a limit; beyond it the answer is 429.
    RateLimit(Limit),
}

/// One decision: everything needed to enforce it, to explain it and to record it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id, carried by the answer.
    pub id: DecisionId,
    /// Where it was made.
    pub boundary: Boundary,
    /// Whom it concerns: the identity's key.
    pub subject: String,
    /// What was decided.
    pub outcome: Outcome,
    /// The first in order among the rules that decided.
    pub rule: Option<String>,
    /// That rule's reason, for people.
    pub because: Option<String>,
    /// That rule's advice: what to do instead.
    pub instead: Option<String>,
    /// The sum of the scores of the enforced rules that matched.
    pub sus_score: i64,
    /// All rules that matched, in order.
    pub matched: Vec<Matched>,
    /// All rules whose condition failed to evaluate, in order.
    pub errored: Vec<Errored>,
    /// What must be done along with it.
    pub obligations: Vec<Obligation>,
    /// Where it comes from.
    pub source: Source,
    /// The number of the rule set that decided.
    pub epoch: u64,
    /// When.
    pub at: Timestamp,
}

impl Decision {
    /// The decision of a request that ended, or passed, before any rule was asked.
    #[must_use]
    pub fn unasked(id: DecisionId, subject: String, epoch: u64, at: Timestamp) -> Self {
        Self {
            id,
            boundary: Boundary::Request,
            subject,
            outcome: Action::Nothing.into(),
            rule: None,
            because: None,
            instead: None,
            sus_score: 0,
            matched: Vec::new(),
            errored: Vec::new(),
            obligations: Vec::new(),
            source: Source::Static,
            epoch,
            at,
        }
    }

    /// The request action that was decided; `nothing` for the outcome of another boundary.
    #[must_use]
    pub fn action(&self) -> Action {
        self.outcome.as_str().parse().unwrap_or(Action::Nothing)
    }

    /// The limits that count this request.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.obligations.iter().filter_map(|o| match o {
            Obligation::RateLimit(limit) => Some(limit),
            Obligation::DelayMs(_) | Obligation::Downgrade(_) => None,
        })
    }
}

/// The obligations that an action itself brings: its delay and, for quarantine-3, the downgrade.
#[must_use]
pub fn obligations_of(action: Action, delays: QuarantineDelays) -> Vec<Obligation> {
    let mut obligations = Vec::new();
    let delay = action.delay(delays);
    if delay > Duration::ZERO {
        obligations.push(Obligation::DelayMs(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)));
    }
    if action == Action::Quarantine3 {
        obligations.push(Obligation::Downgrade(true));
    }
    obligations
}
