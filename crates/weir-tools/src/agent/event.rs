//! What a turn tells while it goes on (spec C6).

use serde::Serialize;
use serde_json::Value as Json;
use weir_core::DecisionId;
use weir_core::tool::Denial;

use super::result::{PendingNotice, TurnResult};

/// Something happened. As JSON each is an object with its kind in `event`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'e> {
    /// The turn begins.
    TurnStarted {
        /// The session's id.
        session: &'e str,
        /// The model that is asked.
        model: &'e str,
        /// The channel, whose ceiling holds.
        channel: &'e str,
    },
    /// A piece of what the model says, as it comes.
    TextDelta {
        /// The round, from 1.
        iteration: u32,
        /// The piece.
        text: &'e str,
    },
    /// The model said something besides calling tools.
    Message {
        /// The round, from 1.
        iteration: u32,
        /// What it said.
        text: &'e str,
    },
    /// A call of a tool begins.
    ToolStarted {
        /// The call's id.
        call_id: &'e str,
        /// The tool.
        tool: &'e str,
        /// Its server; empty for a built-in tool.
        server: &'e str,
        /// What it is asked for; null where that cannot be read.
        args: &'e Json,
        /// The round, from 1.
        iteration: u32,
    },
    /// A call has ended. Exactly one follows each start.
    ToolCompleted {
        /// The call's id.
        call_id: &'e str,
        /// The tool.
        tool: &'e str,
        /// Whether it ran and succeeded.
        success: bool,
        /// `ran`, `failed`, `denied`, `timed_out`, `rejected` (it was no call that could be judged), `gone`.
        ended: &'e str,
        /// What the model is given.
        output: &'e str,
        /// What went wrong.
        error: Option<&'e str>,
        /// The denial as fields.
        denial: Option<&'e Denial>,
        /// The decision, for `weir explain`.
        decision: Option<DecisionId>,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
        /// The round, from 1.
        iteration: u32,
    },
    /// A call waits for a person.
    ApprovalRequested {
        /// The call's id.
        call_id: &'e str,
        /// The approval.
        approval: &'e PendingNotice,
    },
    /// The loop guard tells the model to change its way.
    Advice {
        /// The round, from 1.
        iteration: u32,
        /// What it is told.
        text: &'e str,
    },
    /// The turn has ended; always the last.
    Result(&'e TurnResult),
}

/// Is told what happens. It is called in the middle of a call, so it only notes or shows.
pub trait Events: Send + Sync {
    /// Something happened.
    fn tell(&self, event: &Event<'_>);
}
