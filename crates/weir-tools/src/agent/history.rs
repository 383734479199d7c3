//! What is kept of a session, so that it can be gone on with.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use weir_core::tool::quoted;
use weir_store::database::ApprovalState;

use super::model::Api;

/// All that was said in a session, and what it waits for. It holds prompts, arguments and results: whoever keeps it keeps
/// it from others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The protocol that `items` are of.
    pub api: Api,
    /// What was said, as the protocol has it, without the system prompt.
    pub items: Vec<Json>,
    /// The calls of the last turn that wait for an approval.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
}

/// A call that waits for an approval, which the store keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The approval's id.
    pub approval: String,
    /// The tool.
    pub tool: String,
}

impl Waiting {
    /// A line for the model.
    pub(super) fn told(&self, state: Option<ApprovalState>) -> String {
        let (tool, id) = (quoted(&self.tool), &self.approval);
        match state {
            Some(ApprovalState::Approved) => format!(
                "Approval {id} of your call of tool {tool} was given: exactly the same call passes now. Make it if it is still wanted.\n"
            ),
            Some(ApprovalState::Denied) => {
                format!("Approval {id} of your call of tool {tool} was refused: do not make it again.\n")
            }
            Some(ApprovalState::Pending) => {
                format!("Approval {id} of your call of tool {tool} still waits.\n")
            }
            Some(ApprovalState::Expired) => {
                format!(
                    "Approval {id} of your call of tool {tool} ran out: the same call asks for a new one.\n"
                )
            }
            None => String::new(),
        }
    }
}

/// Keeps what is said. Called after each round, with the whole of it; what it does must not take long.
pub trait Keeper: Send + Sync {
    /// Keeps this in place of what was kept before.
    fn keep(&self, history: &History);
}

/// Keeps nothing: the session ends with its turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotKept;

impl Keeper for NotKept {
    fn keep(&self, _: &History) {}
}
