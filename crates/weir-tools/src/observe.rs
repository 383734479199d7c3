//! Who watches calls: a timeline, a terminal, hooks after a turn (spec C6).

use std::time::Duration;

use crate::call::ToolCall;

/// A call begins.
pub struct Started<'e> {
    /// The call's id, the same as in [`Completed`].
    pub call_id: &'e str,
    /// The call.
    pub call: &'e ToolCall,
}

/// A call has ended. Exactly one follows each [`Started`].
#[derive(Clone, Copy, Debug)]
pub struct Completed<'e> {
    /// The call's id.
    pub call_id: &'e str,
    /// The tool.
    pub tool: &'e str,
    /// Whether the tool ran and succeeded. Never true of a denied call.
    pub success: bool,
    /// What went wrong: the denial's line for the model, the timeout, the tool's own error.
    pub error: Option<&'e str>,
    /// `ran`, `failed`, `denied`, `timed_out`, `gone`, `decided`.
    pub ended: &'e str,
    /// How long it took, with the deciding.
    pub elapsed: Duration,
    /// The turn's round, from 1.
    pub iteration: u32,
}

/// Watches calls. Both methods are called in the middle of a call, so they only note what they see.
pub trait Observer: Send + Sync {
    /// A call begins.
    fn started(&self, started: &Started<'_>);

    /// A call has ended.
    fn completed(&self, completed: &Completed<'_>);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn started(&self, _: &Started<'_>) {}

    fn completed(&self, _: &Completed<'_>) {}
}
