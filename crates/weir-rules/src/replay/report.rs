//! What a rehearsal found: one value that the command line, the API and the console render.

use serde::{Deserialize, Serialize};
use weir_core::{Boundary, DecisionId, Mode, Timestamp};

/// What a rule set would have decided on the records of a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When the first of the records was made.
    pub from: Option<Timestamp>,
    /// When the last was.
    pub until: Option<Timestamp>,
    /// How many records were read.
    pub records: u64,
    /// Whether all records of the time were: not when it was stopped.
    pub complete: bool,
    /// Whether identities were counted to the end; otherwise their numbers are "at least".
    pub identities_exact: bool,
    /// What would have changed, at each boundary that has records.
    pub boundaries: Vec<BoundaryReport>,
    /// The rules, in their order.
    pub rules: Vec<RuleReport>,
}

/// What would have changed at one boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundaryReport {
    /// Which.
    pub boundary: Boundary,
    /// Decisions that rules are asked for.
    pub decisions: u64,
    /// Records beside them that ended before a rule is asked, and would still.
    pub ended_before: u64,
    /// Of the decisions, those that could be replayed.
    pub replayed: u64,
    /// Their share, from 0 to 1; 1 when there are no decisions.
    pub share: f64,
    /// Of the replayed, those that would be decided as they were.
    pub unchanged: u64,
    /// Why the others could not be replayed.
    pub not_replayed: Vec<NotReplayed>,
    /// What would be new, by kind.
    pub changes: Vec<Change>,
    /// From which outcome to which, the most frequent first. Those that stay as they are, too.
    pub transitions: Vec<Transition>,
}

/// Why decisions could not be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReplayed {
    /// Why.
    pub why: Why,
    /// The same for people.
    pub reason: String,
    /// How many decisions.
    pub decisions: u64,
}

/// Why a decision could not be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A rule reads what is not recorded, and could have changed the outcome.
    NotRecorded,
    /// The action cache decided.
    ActionCache,
    /// A remote classifier decided.
    RemoteClassifier,
    /// No rule was asked.
    NotAsked,
    /// A rule hid the tool, and what would have come of the call is not recorded.
    Concealed,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NotRecorded, Self::ActionCache, Self::RemoteClassifier, Self::NotAsked, Self::Concealed];

    /// For people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NotRecorded => "a rule reads what is not recorded, and could have changed the outcome",
            Self::ActionCache => "the action cache decided, not the rules (abuse.mode: cached)",
            Self::RemoteClassifier => "a remote classifier decided, not the rules",
            Self::NotAsked => "no rule was asked (abuse.mode: off, or the client left before)",
            Self::Concealed => "a rule hid the tool: whether the session had it is not recorded",
        }
    }
}

/// What is new for those whom it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A request would be blocked that was not.
    NewlyBlocked,
    /// A request would be answered with 429 that was not.
    NewlyLimited,
    /// A request would be delayed or downgraded that was not.
    NewlySlowed,
    /// A tool call would be denied that was not.
    NewlyDenied,
    /// A tool call would need an approval that needed none, or was denied.
    NewlyAsked,
    /// A failure would be classed otherwise.
    Reclassified,
    /// What was blocked, limited, slowed, denied or asked would pass.
    Freed,
    /// Another outcome that means the same for who asks, such as another quarantine.
    Other,
}

impl Effect {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NewlyBlocked,
        Self::NewlyLimited,
        Self::NewlySlowed,
        Self::NewlyDenied,
        Self::NewlyAsked,
        Self::Reclassified,
        Self::Freed,
        Self::Other,
    ];

    /// For people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NewlyBlocked => "newly blocked",
            Self::NewlyLimited => "newly limited",
            Self::NewlySlowed => "newly slowed",
            Self::NewlyDenied => "newly denied",
            Self::NewlyAsked => "newly asked for approval",
            Self::Reclassified => "classed otherwise",
            Self::Freed => "freed",
            Self::Other => "changed in kind",
        }
    }
}

/// Everything that would be new in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// In which.
    pub effect: Effect,
    /// Decisions.
    pub decisions: u64,
    /// Identities.
    pub identities: u64,
    /// Decisions about identities that pay: those whose plan is neither empty nor `free`.
    pub paying_decisions: u64,
    /// Identities that pay.
    pub paying_identities: u64,
    /// Requests with the caller's own key.
    pub own_key_decisions: u64,
    /// By plan, the most frequent first.
    pub by_plan: Vec<Share>,
    /// By the id of the API key, where a provider was called with one.
    pub by_key: Vec<Share>,
    /// By identity.
    pub by_identity: Vec<Share>,
    /// By the rule that would decide; of what is freed, the rule that did.
    pub by_rule: Vec<Share>,
}

/// One of several that share a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Its name; empty for those that have none.
    pub name: String,
    /// Decisions.
    pub decisions: u64,
    /// Identities.
    pub identities: u64,
}

/// From one outcome to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// What was decided. `limited`: a limit of a rule was exceeded.
    pub from: String,
    /// What would be.
    pub to: String,
    /// What that means; none when it stays as it was.
    pub effect: Option<Effect>,
    /// Decisions.
    pub decisions: u64,
    /// Identities.
    pub identities: u64,
    /// Some of the decisions, the latest last.
    pub samples: Vec<DecisionId>,
}

/// What one rule would have done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Its id.
    pub rule: String,
    /// The version of its text.
    pub version: String,
    /// Its boundary.
    pub boundary: Boundary,
    /// Its mode.
    pub mode: Mode,
    /// What it asks for.
    pub then: String,
    /// Decisions on which it matches; also those that could not be replayed as a whole.
    pub hits: u64,
    /// Identities on which it matches.
    pub identities: u64,
    /// Decisions that it would decide.
    pub decided: u64,
    /// Decisions of which is not known whether it matches, because it reads what is not recorded.
    pub undecided: u64,
    /// The facts it reads that are never recorded.
    pub not_recorded: Vec<String>,
    /// Some of the decisions on which it matches, the latest last.
    pub samples: Vec<DecisionId>,
}

impl RuleReport {
    /// Whether it was asked and never matched, for certain.
    #[must_use]
    pub fn never_matched(&self) -> bool {
        self.hits == 0 && self.undecided == 0 && self.mode != Mode::Off
    }
}

impl Report {
    /// Decisions with another outcome.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.boundaries.iter().flat_map(|of| &of.changes).map(|change| change.decisions).sum()
    }

    /// The boundaries that people are told of: those that the candidate has rules on, or on which it would decide
    /// otherwise. All of them where there is none of that kind.
    #[must_use]
    pub fn concerned(&self) -> Vec<&BoundaryReport> {
        let is_concerned = |of: &&BoundaryReport| {
            of.changes.iter().any(|change| change.decisions > 0)
                || self.rules.iter().any(|rule| rule.boundary == of.boundary)
        };
        let concerned: Vec<_> = self.boundaries.iter().filter(is_concerned).collect();
        if concerned.is_empty() { self.boundaries.iter().collect() } else { concerned }
    }

    /// The changes of one kind, over all boundaries: how many decisions.
    #[must_use]
    pub fn decisions(&self, effect: Effect) -> u64 {
        let of = self.boundaries.iter().flat_map(|of| &of.changes);
        of.filter(|change| change.effect == effect).map(|change| change.decisions).sum()
    }
}
