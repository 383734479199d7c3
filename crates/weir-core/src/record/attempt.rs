//! What is kept of a failed attempt: its classification and what it was read from, without any text of the provider's.

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Errored, Matched, Outcome};
use crate::failure::{Class, CredentialOwner, Owner, Report, Retry};

/// One failed attempt of a request, in the order in which they were made.
///
/// A provider's words may repeat a prompt or a key, so none of them is kept: a code or a type only where it is one of
/// the words that rules know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Which attempt of the request it was, from 1; 0 when no call was made, because the key was known to be dead.
    pub number: u32,
    /// The model that was tried.
    pub model: String,
    /// Its provider.
    pub provider: String,
    /// Whose credential was used.
    pub credential: CredentialOwner,
    /// Which key of the pool it was, from 1; 0 where there is no pool.
    pub key: u32,
    /// What the failure is.
    pub class: Class,
    /// Who must act.
    pub owner: Owner,
    /// Whether another try can help.
    pub retry: Retry,
    /// Whether it is reported.
    pub report: Report,
    /// The rule that decided; none when nothing matched.
    pub rule: Option<String>,
    /// The rule's reason.
    pub because: Option<String>,
    /// The rules that matched up to the one that decided, those in shadow too.
    pub matched: Vec<Matched>,
    /// The rules that could not be evaluated.
    pub errored: Vec<Errored>,
    /// What was read of the failure.
    pub evidence: RecordedEvidence,
    /// What was done about it.
    pub next: NextStep,
    /// How long was waited before that, in milliseconds.
    pub wait_ms: u64,
    /// Fallback models that could not take over, and why.
    pub skipped: Vec<Skipped>,
}

/// The evidence of a failure as far as it is no text of the provider's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedEvidence {
    /// What happened, in weir's words.
    pub cause: String,
    /// The innermost status that it shows, else the head's, else 0.
    pub status: u16,
    /// The head's status, else 0.
    pub http_status: u16,
    /// How far the call had come.
    pub phase: String,
    /// What the transport says failed; empty for nothing.
    pub transport: String,
    /// The code, where rules know it.
    pub code: Option<String>,
    /// The type, where rules know it.
    pub kind: Option<String>,
    /// How long the provider asks to wait, in seconds.
    pub retry_after_s: Option<f64>,
    /// The facts that were found in it, by their names.
    pub read: Vec<String>,
    /// What was left aside, in weir's words.
    pub ignored: Vec<String>,
}

/// What is done about a failed attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// The caller is told.
    #[default]
    End,
    /// The same model is tried again.
    Again,
    /// The next key of the pool is taken.
    NextKey,
    /// The next fallback model is tried.
    Fallback,
}

impl NextStep {
    /// In words, for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::End => "the caller was told",
            Self::Again => "the same model was tried again",
            Self::NextKey => "the next key of the pool was taken",
            Self::Fallback => "a fallback model was tried",
        }
    }
}

/// The decision about one of the models that a request went to besides the one of the record: a fallback is a request
/// of its own, and was decided anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FallbackDecision {
    /// The model.
    pub model: String,
    /// What was decided about it.
    pub outcome: Outcome,
    /// The rule that decided; none when nothing matched.
    pub rule: Option<String>,
    /// The rule's reason.
    pub because: Option<String>,
    /// The sum of the scores of the rules that matched.
    pub sus_score: i64,
    /// The rules that matched.
    pub matched: Vec<Matched>,
    /// The rules that could not be evaluated.
    pub errored: Vec<Errored>,
    /// The epoch of the rules that were asked.
    pub epoch: u64,
    /// Whether the model took over.
    pub taken: bool,
}

impl FallbackDecision {
    /// What is kept of a decision about a model.
    #[must_use]
    pub fn of(model: &str, decision: &Decision, taken: bool) -> Self {
        Self {
            model: model.to_owned(),
            outcome: decision.outcome.clone(),
            rule: decision.rule.clone(),
            because: decision.because.clone(),
            sus_score: decision.sus_score,
            matched: decision.matched.clone(),
            errored: decision.errored.clone(),
            epoch: decision.epoch,
            taken,
        }
    }
}

/// A fallback model that could not take over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The model.
    pub model: String,
    /// Why, in weir's words.
    pub because: String,
}
