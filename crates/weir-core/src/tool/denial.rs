//! A denial is data; its texts for the model, the person and the log are made here and nowhere else (spec C5).

use serde::{Deserialize, Serialize};

use super::PermissionLevel;
use super::text::{QUOTED_CHARS_MAX, cleaned, quoted};
use crate::ids::DecisionId;

/// Why a call was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialKind {
    /// There is no such tool for this caller.
    UnknownTool,
    /// The session's set of tools does not have it.
    NotVisible,
    /// The tool's own level is above the channel's ceiling.
    SessionForbidden,
    /// The level of this very call is above the channel's ceiling.
    PermissionTooLow,
    /// A rule denies it.
    RuleDenied,
    /// A pluggable policy denies it.
    PolicyDenied,
    /// A person must agree first.
    ApprovalRequired,
    /// A person was asked and said no.
    ApprovalDenied,
    /// Nobody answered in time.
    ApprovalExpired,
    /// A rule or what it depends on could not be evaluated.
    EvaluationError,
}

impl DenialKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::UnknownTool,
        Self::NotVisible,
        Self::SessionForbidden,
        Self::PermissionTooLow,
        Self::RuleDenied,
        Self::PolicyDenied,
        Self::ApprovalRequired,
        Self::ApprovalDenied,
        Self::ApprovalExpired,
        Self::EvaluationError,
    ];

    /// The word in answers, records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownTool => "unknown_tool",
            Self::NotVisible => "not_visible",
            Self::SessionForbidden => "session_forbidden",
            Self::PermissionTooLow => "permission_too_low",
            Self::RuleDenied => "rule_denied",
            Self::PolicyDenied => "policy_denied",
            Self::ApprovalRequired => "approval_required",
            Self::ApprovalDenied => "approval_denied",
            Self::ApprovalExpired => "approval_expired",
            Self::EvaluationError => "evaluation_error",
        }
    }

    /// Whether the same call, asked again with nothing else changed, is denied again.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        !matches!(self, Self::ApprovalRequired | Self::ApprovalExpired)
    }
}

/// A denial as data (design, section 5). What does not apply is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Why.
    pub kind: DenialKind,
    /// The tool that was asked for, as it was asked for.
    pub tool: String,
    /// The channel.
    pub channel: String,
    /// The level that the call needs.
    pub required: Option<PermissionLevel>,
    /// The channel's ceiling.
    pub allowed: Option<PermissionLevel>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The policy that decided.
    pub policy: Option<String>,
    /// Why, for people: one clause without a full stop.
    pub reason: String,
    /// What to do instead, for people; each sentence is true, or a note of the operator's.
    pub workaround: String,
    /// Other tools that this caller may call.
    pub alternatives: Vec<String>,
    /// The approval that waits for an answer, or was answered.
    pub approval_id: Option<String>,
    /// Whether the same call would be denied again.
    pub permanent: bool,
    /// The decision, for `weir explain`.
    pub decision: Option<DecisionId>,
}

/// That the tool did not run; and the prohibition to make something up (spec C5, LATER).
const DID_NOT_RUN: &str = "The tool did not run and gave no output: do not invent a result.";

/// What the model is told to do with it.
const RELAY: &str = "Relay this to the user: say what was blocked and why, and offer the workaround; do not stop \
                     without a word and do not retry the same call unchanged.";

/// As [`RELAY`], where the same call passes once it is approved.
const RELAY_AND_RETRY: &str = "Relay this to the user: say what waits and why, and offer the workaround; do not stop \
                               without a word, and retry only after they have answered.";

impl Denial {
    /// What was blocked, as a clause.
    #[must_use]
    pub fn what(&self) -> String {
        let tool = quoted(&self.tool);
        let policy = || quoted(self.policy.as_deref().unwrap_or("unknown"));
        match self.kind {
            DenialKind::UnknownTool => format!("Tool {tool} is unknown"),
            DenialKind::NotVisible => format!("Tool {tool} is not available to this agent"),
            DenialKind::SessionForbidden => format!("Tool {tool} is forbidden by the session tool policy"),
            DenialKind::PermissionTooLow => format!("Tool {tool} failed the per-call permission check"),
            DenialKind::RuleDenied => match &self.rule {
                Some(rule) => format!("Tool {tool} is denied by rule {}", quoted(rule)),
                None => format!("Tool {tool} is denied by a rule"),
            },
            DenialKind::PolicyDenied => format!("Tool {tool} is denied by policy {}", policy()),
            DenialKind::ApprovalRequired => match (&self.policy, &self.rule) {
                (Some(_), _) => format!("Tool {tool} requires approval under policy {}", policy()),
                (None, Some(rule)) => format!("Tool {tool} requires approval under rule {}", quoted(rule)),
                (None, None) => format!("Tool {tool} requires approval"),
            },
            DenialKind::ApprovalDenied => format!("Tool {tool} was refused by the person who was asked"),
            DenialKind::ApprovalExpired => format!("Tool {tool} was not approved in time"),
            DenialKind::EvaluationError => format!("Tool {tool} could not be checked, so it may not run"),
        }
    }

    /// The one line for the model: what, why, what to do, that nothing ran, and that the user must be told.
    #[must_use]
    pub fn message(&self) -> String {
        let relay = if self.kind == DenialKind::ApprovalRequired { RELAY_AND_RETRY } else { RELAY };
        let id = self.decision.map(|id| format!(" (decision {id})")).unwrap_or_default();
        format!("{}{id} {DID_NOT_RUN} {relay}", self.summary())
    }

    /// The line for a person: what, why, what to do.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "Blocked: {}. Reason: {}. Workaround: {}.",
            self.what(),
            clause(&self.reason, "no reason was given"),
            clause(&self.workaround, "none is known"),
        )
    }

    /// The line for a log: machine words only, no foreign text but names.
    #[must_use]
    pub fn log_line(&self) -> String {
        let by = self.policy.as_deref().or(self.rule.as_deref()).unwrap_or("ceiling");
        let level = |level: Option<PermissionLevel>| level.map_or("-", PermissionLevel::token);
        format!(
            "{} tool={} channel={} by={} required={} allowed={}",
            self.kind.as_str(),
            quoted(&self.tool),
            quoted(&self.channel),
            quoted(by),
            level(self.required),
            level(self.allowed),
        )
    }
}

/// A text as a clause: cleaned, not empty, and without the full stop that the sentence adds. A workaround may be as long
/// as it must: weir's own words are bounded, foreign ones were cut when they came in.
fn clause(text: &str, empty: &str) -> String {
    let clean = cleaned(text, 4 * QUOTED_CHARS_MAX);
    let bare = clean.trim_end_matches(['.', ' ']);
    if bare.is_empty() { empty.to_owned() } else { bare.to_owned() }
}
