//! What comes of a turn.

use serde::Serialize;
use weir_core::tool::Denial;

use crate::outcome::{Denied, PendingApproval};

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    /// The model answered.
    Answered,
    /// The loop guard ended it.
    Halted,
    /// It took as many rounds as it may.
    Exhausted,
    /// The person stopped it.
    Cancelled,
    /// The model's request was refused.
    Refused,
    /// The model could not be asked, or its answer not be read.
    Failed,
}

/// An approval that a call waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PendingNotice {
    /// Its id, such as `apr_…`.
    pub id: String,
    /// What is asked.
    pub question: String,
    /// Until when an answer counts.
    pub expires_at: String,
}

impl From<&PendingApproval> for PendingNotice {
    fn from(pending: &PendingApproval) -> Self {
        Self {
            id: pending.id.clone(),
            question: pending.question.clone(),
            expires_at: pending.expires_at.to_string(),
        }
    }
}

/// A call that did not run, for the person, whether or not the model speaks of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The call's id.
    pub call_id: String,
    /// The line for a person.
    pub message: String,
    /// The denial as fields.
    pub denial: Denial,
    /// The approval that would let the same call through, if one waits.
    pub pending: Option<PendingNotice>,
}

impl Notice {
    pub(super) fn new(call_id: &str, denied: &Denied) -> Self {
        Self {
            call_id: call_id.to_owned(),
            message: denied.denial.summary(),
            denial: denied.denial.clone(),
            pending: denied.pending.as_ref().map(PendingNotice::from),
        }
    }
}

/// What came of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TurnResult {
    /// The session's id.
    pub session: String,
    /// Why it ended.
    pub end: TurnEnd,
    /// The model's answer, or why there is none.
    pub text: String,
    /// The class of what went wrong with the model (`error_type`), if one was told.
    pub error_type: Option<String>,
    /// How often the model was asked.
    pub iterations: u32,
    /// How many calls of tools there were.
    pub calls: u32,
    /// Every denial and every pending approval, in the order of their ends.
    pub notices: Vec<Notice>,
}
