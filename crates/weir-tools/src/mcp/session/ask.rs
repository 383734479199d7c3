//! Questions of weir's own to a client's person: approvals, in the way of the client's version.
//!
//! Before 2026-07-28 a question is a request to the client while its call waits. Since then it is the call's result: it
//! says what is missing, and the client sends the call again with the answer and the sealed state that came with the
//! question. Who may say yes is a setting; where it is another's, the person here can say no, or look again.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use weir_core::tool::{Arguments, cleaned};

use super::call::Call;
use super::*;
use crate::approval::digest_of;
use crate::mcp::answer::Form;
use crate::outcome::{PendingApproval, UsedApproval};

/// How long a client is asked while its call waits; the approval stays open for longer.
const ASK_DEADLINE: Duration = Duration::from_secs(120);

/// How much of the arguments a question shows, in characters.
const VALUES_CHARS_MAX: usize = 2_000;

/// The key of the question in a result, and of its answer.
const QUESTION: &str = "weir-approval";

/// What a state of weir's begins with; others are the server's.
const STATE: &str = "weir.";

/// Questions that wait for an answer.
#[derive(Default)]
pub(crate) struct Asks {
    open: Mutex<HashMap<IdKey, oneshot::Sender<Frame>>>,
    count: AtomicU64,
}

impl Asks {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IdKey, oneshot::Sender<Frame>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an answer to the question that it belongs to; false when it answers the server's question and not weir's.
    pub(crate) fn answered(&self, frame: &Frame) -> bool {
        let Some(asked) = frame.id_key().and_then(|id| self.lock().remove(&id)) else { return false };
        // Whoever asked may have stopped waiting.
        let _ = asked.send(frame.clone());
        true
    }

    /// Asks a client and waits for its result.
    async fn ask(&self, outlet: &Outlet, params: &Value) -> Option<Value> {
        let id = format!("\"weir-ask-{}\"", self.count.fetch_add(1, Ordering::Relaxed));
        let key = IdKey::of(&id);
        let (tx, rx) = oneshot::channel();
        self.lock().insert(key.clone(), tx);
        let open = OpenQuestion { asks: self, key, outlet, id: &id };
        outlet.send(Frame::request(&id, "elicitation/create", &params.to_string())).await.ok()?;
        let answer = rx.await.ok()?;
        drop(open);
        serde_json::from_str(answer.result()?).ok()
    }
}

/// A question that nobody has answered yet; the client hears when it need not be any more.
struct OpenQuestion<'a> {
    asks: &'a Asks,
    key: IdKey,
    outlet: &'a Outlet,
    id: &'a str,
}

impl Drop for OpenQuestion<'_> {
    fn drop(&mut self) {
        if self.asks.lock().remove(&self.key).is_some()
            && let Ok(frame) = Frame::read(crate::mcp::rewrite::cancelled(self.id))
        {
            let _ = self.outlet.try_send(frame);
        }
    }
}

/// What a person said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    /// Neither, or that somebody else may have.
    Nothing,
}

impl Said {
    fn of(result: &Value) -> Self {
        let answer = result.pointer("/content/answer").and_then(Value::as_str);
        match (result.get("action").and_then(Value::as_str), answer) {
            (Some("accept"), Some("approve")) => Self::Yes,
            (Some("accept"), Some("deny")) | (Some("decline"), _) => Self::No,
            _ => Self::Nothing,
        }
    }
}

/// The question as a form. The values of the arguments go back to the client that sent them, for its person to see what
/// they agree to; they are kept nowhere.
fn form(pending: &PendingApproval, arguments: &Arguments, theirs: bool) -> Value {
    let values = arguments.as_value().to_string();
    let cut = if values.chars().count() > VALUES_CHARS_MAX { " (cut)" } else { "" };
    let values = cleaned(&values, VALUES_CHARS_MAX);
    let (hint, first) = if theirs {
        (String::new(), "approve")
    } else {
        let said = format!(
            " Somebody else must approve it (`weir approvals approve {}`): look again once they have.",
            pending.id
        );
        (said, "look again")
    };
    json!({
        "mode": "form",
        "message": format!("{}{hint} Arguments{cut}: {values}", pending.question),
        "requestedSchema": {
            "type": "object",
            "properties": {"answer": {"type": "string", "title": "Answer", "enum": [first, "deny"]}},
            "required": ["answer"],
        },
    })
}

/// What a question in a result is bound to. The seal binds the caller.
#[derive(Serialize, Deserialize)]
struct State {
    approval: String,
    server: String,
    tool: String,
    digest: String,
    /// What the client's call brought along for the server; of a leg, what the server's result did.
    theirs: Value,
    /// The state belongs to a result in which the server asked for input: the yes that had let the call through, which
    /// lets its next leg through.
    #[serde(default)]
    leg: Option<UsedApproval>,
}

/// A call that came back to weir.
pub(super) struct Back {
    /// The call as the server is to see it.
    pub(super) frame: Frame,
    /// Whether a person has answered weir's question.
    pub(super) answered: bool,
    /// The yes that the leg before was let through by.
    pub(super) leg: Option<UsedApproval>,
}

impl Session {
    /// Asks the person while the call waits; true when the call is worth another try.
    pub(super) async fn asked_meanwhile(
        &self,
        pending: &PendingApproval,
        arguments: &Arguments,
        outlet: &Outlet,
    ) -> bool {
        let gate = &self.shared.gate;
        let question = form(pending, arguments, gate.lets_askers_approve());
        let asking = async {
            let said =
                self.asks.ask(outlet, &question).await.map_or(Said::Nothing, |result| Said::of(&result));
            self.takes(said, &pending.id).await;
        };
        let asked = async {
            tokio::select! {
                // Somebody else was faster.
                () = gate.settled(&pending.id) => {}
                () = asking => {}
            }
        };
        tokio::time::timeout(ASK_DEADLINE, asked).await.is_ok()
    }

    async fn takes(&self, said: Said, approval: &str) {
        let gate = &self.shared.gate;
        let counts = match said {
            Said::Yes => gate.answer_own(approval, true, &self.caller).await,
            Said::No => gate.answer_own(approval, false, &self.caller).await,
            Said::Nothing => true,
        };
        if !counts {
            tracing::info!(%approval, "an answer to an approval did not count");
        }
    }

    /// The result that asks the person, with the state that must come back with the answer.
    pub(super) fn question(&self, id: &str, call: &Call, pending: &PendingApproval) -> Option<Frame> {
        let state = State {
            approval: pending.id.clone(),
            server: self.shared.server.clone(),
            tool: call.tool.clone(),
            digest: digest_of(&call.arguments),
            theirs: call.theirs.clone(),
            leg: None,
        };
        let sealed = self.shared.gate.seal(&self.caller, serde_json::to_string(&state).ok()?)?;
        let params = form(pending, &call.arguments, self.shared.gate.lets_askers_approve());
        let asks = json!({QUESTION: {"method": "elicitation/create", "params": params}});
        let result = json!({
            "resultType": "input_required",
            "inputRequests": asks,
            "requestState": format!("{STATE}{sealed}"),
        });
        Some(answer::result(id, result, Form { says_complete: true, promised: false }))
    }

    /// A result in which the server asks for input, with a state that lets the next leg of this call, and nothing else,
    /// through by the same yes. Any other result stays as it is.
    pub(super) fn with_leg(&self, frame: Frame, call: &Call, used: &UsedApproval) -> Frame {
        let Some(Ok(result)) = frame.result().map(Members::read) else { return frame };
        if result.string("resultType").as_deref() != Some("input_required") {
            return frame;
        }
        let state = State {
            approval: used.id.clone(),
            server: self.shared.server.clone(),
            tool: call.tool.clone(),
            digest: digest_of(&call.arguments),
            theirs: json!({"requestState": result.string("requestState")}),
            leg: Some(used.clone()),
        };
        let sealed =
            serde_json::to_string(&state).ok().and_then(|text| self.shared.gate.seal(&self.caller, text));
        let Some(sealed) = sealed else { return frame };
        let with = json!({"requestState": format!("{STATE}{sealed}")});
        let id = frame.id().unwrap_or_default().to_owned();
        Frame::answer(&id, "result", &result.replaced(&["requestState"], &with))
    }

    /// A call that comes back with an answer for weir: takes the answer, and gives the call as it was before it was
    /// asked. `Ok(None)`: it does not come back to weir.
    ///
    /// # Errors
    /// The state is not weir's, another caller's, or another call's.
    pub(super) async fn comes_back(&self, frame: &Frame, call: &Call) -> Result<Option<Back>, String> {
        let state = call.theirs.get("requestState").and_then(Value::as_str);
        let Some(sealed) = state.and_then(|state| state.strip_prefix(STATE)) else { return Ok(None) };
        let opened = self.shared.gate.open(&self.caller, sealed);
        let state: Option<State> = opened.and_then(|text| serde_json::from_str(&text).ok());
        let state = state.ok_or("`requestState` is not one that this caller was given")?;
        let same = state.server == self.shared.server && state.tool == call.tool;
        if !same || state.digest != digest_of(&call.arguments) {
            return Err("`requestState` belongs to another call".to_owned());
        }
        let params = Members::read(frame.params().unwrap_or_default())?;
        if let Some(leg) = state.leg {
            // The answers are the server's; so is the state, if it gave one.
            let theirs = state.theirs.get("requestState").filter(|state| !state.is_null());
            let with = theirs.map_or_else(|| json!({}), |theirs| json!({"requestState": theirs}));
            let frame = frame.with_params(&params.replaced(&["requestState"], &with));
            return Ok(Some(Back { frame, answered: false, leg: Some(leg) }));
        }
        let said =
            call.theirs.pointer(&format!("/inputResponses/{QUESTION}")).map_or(Said::Nothing, Said::of);
        self.takes(said, &state.approval).await;
        let frame = frame.with_params(&params.replaced(&["requestState", "inputResponses"], &state.theirs));
        Ok(Some(Back { frame, answered: true, leg: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        let table = [
            (json!({"action": "accept", "content": {"answer": "approve"}}), Said::Yes),
            (json!({"action": "accept", "content": {"answer": "deny"}}), Said::No),
            (json!({"action": "decline"}), Said::No),
            (json!({"action": "decline", "content": {"answer": "approve"}}), Said::No),
            (json!({"action": "cancel", "content": {"answer": "approve"}}), Said::Nothing),
            (json!({"action": "accept"}), Said::Nothing),
            (json!({"action": "accept", "content": {"answer": "look again"}}), Said::Nothing),
            (json!({}), Said::Nothing),
        ];
        for (result, said) in table {
            assert_eq!(Said::of(&result), said, "{result}");
        }
    }
}
