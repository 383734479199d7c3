//! What comes back from the gate.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::DecisionId;
use weir_core::Timestamp;
use weir_core::tool::{Denial, DenialKind};

/// What an executor gives back: the tool's answer, and whether the tool itself called it a failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed<T> {
    /// The answer as it came.
    pub value: T,
    /// The tool's own error, in one line; `None`: it succeeded.
    pub error: Option<String>,
}

impl<T> Executed<T> {
    /// The tool succeeded.
    pub const fn ok(value: T) -> Self {
        Self { value, error: None }
    }

    /// The tool ran and failed.
    pub fn failed(value: T, error: impl Into<String>) -> Self {
        Self { value, error: Some(error.into()) }
    }
}

/// An approval that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingApproval {
    /// Its id, such as `apr_…`.
    pub id: String,
    /// What is asked, for a person: tool, reason, argument names.
    pub question: String,
    /// Until when an answer counts.
    pub expires_at: Timestamp,
}

/// A call that did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The denial as data.
    pub denial: Denial,
    /// The line for the model.
    pub message: String,
    /// The approval that would let the same call through, if it waits for one.
    pub pending: Option<PendingApproval>,
}

impl Denied {
    /// Renders a denial.
    #[must_use]
    pub fn new(denial: Denial, pending: Option<PendingApproval>) -> Self {
        Self { message: denial.message(), denial, pending }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended<T> {
    /// It was permitted and ran, well or not.
    Ran(Executed<T>),
    /// It was not permitted. The tool did not run.
    Denied(Box<Denied>),
    /// It was permitted, ran, and did not come back in time. It was stopped.
    TimedOut(Duration),
}

/// What came of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolOutcome<T> {
    /// The call's id: the model's or a made one.
    pub call_id: String,
    /// The tool's name, as it was asked for.
    pub tool: String,
    /// The decision, for `weir explain`.
    pub decision: DecisionId,
    /// The yes for one run that let it through, if one did.
    pub used: Option<UsedApproval>,
    /// How it ended.
    pub ended: Ended<T>,
}

/// A yes for one run, and when it was used: with it the next leg of the same call goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedApproval {
    /// The approval's id.
    pub id: String,
    /// When it let the call through.
    pub at: Timestamp,
}

impl<T> ToolOutcome<T> {
    /// Whether the tool ran and succeeded.
    #[must_use]
    pub const fn success(&self) -> bool {
        matches!(&self.ended, Ended::Ran(Executed { error: None, .. }))
    }

    /// What went wrong: the rendered denial, the timeout, or the tool's own error. Of a call that did not run this is
    /// also the content of its result.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        match &self.ended {
            Ended::Ran(executed) => executed.error.clone(),
            Ended::Denied(denied) => Some(denied.message.clone()),
            Ended::TimedOut(after) => Some(timed_out(&self.tool, *after)),
        }
    }

    /// The denial, if there is one.
    #[must_use]
    pub const fn denied(&self) -> Option<&Denied> {
        if let Ended::Denied(denied) = &self.ended { Some(denied) } else { None }
    }

    /// The kind of the denial, if there is one.
    #[must_use]
    pub fn denial_kind(&self) -> Option<DenialKind> {
        self.denied().map(|denied| denied.denial.kind)
    }

    /// The tool's answer, if it ran.
    #[must_use]
    pub fn into_value(self) -> Option<T> {
        if let Ended::Ran(executed) = self.ended { Some(executed.value) } else { None }
    }
}

fn timed_out(tool: &str, after: Duration) -> String {
    let seconds = after.as_secs_f64();
    format!("Tool {} timed out after {seconds} seconds and was stopped", weir_core::tool::quoted(tool))
}
