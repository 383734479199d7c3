//! The calls of one round: each is read, told of, put through the gate, and answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use serde_json::Value as Json;
use weir_core::DecisionId;
use weir_core::tool::{Arguments, Denial, DenialKind, PermissionLevel, cleaned, quoted};

use super::api::Asked;
use super::event::Event;
use super::history::Waiting;
use super::model::Model;
use super::offer::Offer;
use super::result::{Notice, PendingNotice};
use super::turn::Turn;
use crate::approval::digest_of;
use crate::call::{ToolCall, ToolDefinition};
use crate::markers::with_shape;
use crate::outcome::{Denied, Ended, Executed, PendingApproval, ToolOutcome};

/// How many calls of one round are run.
pub(super) const CALLS_MAX: usize = 64;

/// How many calls run at the same time.
const PARALLEL_MAX: usize = 8;

/// How much of a tool's output a model is given, in bytes. Denials are never cut.
const OUTPUT_BYTES_MAX: usize = 48 * 1024;

/// How much of an error of the JSON reader is told, in characters.
const ERROR_CHARS_MAX: usize = 200;

/// What is noted while calls run: it stays when the turn is stopped in their middle.
#[derive(Default)]
pub(super) struct Ledger {
    notices: Mutex<Vec<Notice>>,
    waiting: Mutex<Vec<Waiting>>,
}

impl Ledger {
    fn note(&self, notice: Notice) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }

    pub(super) fn waits(&self, waiting: Waiting) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
    }

    /// The calls that wait for an approval, each once.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut seen = std::collections::HashSet::new();
        waiting.retain(|call| seen.insert(call.approval.clone()));
        waiting
    }

    pub(super) fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How a call ended.
pub(super) struct Finished {
    pub(super) id: String,
    pub(super) tool: String,
    /// What the model is given.
    pub(super) content: String,
    /// What went wrong, and the denial's kind if it was one.
    pub(super) error: Option<(String, Option<DenialKind>)>,
    /// What tells its arguments from others.
    pub(super) digest: String,
}

/// What the started and the completed event have in common. Dropped before the end it tells that the caller left.
struct Told<'t, M: Model> {
    turn: &'t Turn<M>,
    id: &'t str,
    tool: String,
    iteration: u32,
    begun: Instant,
    open: bool,
}

struct Completed<'c> {
    ended: &'c str,
    output: &'c str,
    error: Option<&'c str>,
    denial: Option<&'c Denial>,
    decision: Option<DecisionId>,
}

impl<'t, M: Model> Told<'t, M> {
    fn begin(
        turn: &'t Turn<M>,
        asked: &'t Asked,
        tool: &ToolDefinition,
        args: &Json,
        iteration: u32,
    ) -> Self {
        let name = tool.name.clone();
        turn.tell(&Event::ToolStarted {
            call_id: &asked.id,
            tool: &name,
            server: &tool.server,
            args,
            iteration,
        });
        Self { turn, id: &asked.id, tool: name, iteration, begun: Instant::now(), open: true }
    }

    fn end(&mut self, completed: &Completed<'_>) {
        self.open = false;
        self.turn.tell(&Event::ToolCompleted {
            call_id: self.id,
            tool: &self.tool,
            success: completed.error.is_none(),
            ended: completed.ended,
            output: completed.output,
            error: completed.error,
            denial: completed.denial,
            decision: completed.decision,
            elapsed_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            iteration: self.iteration,
        });
    }
}

impl<M: Model> Drop for Told<'_, M> {
    fn drop(&mut self) {
        if self.open {
            let error = Some("the turn was stopped");
            self.end(&Completed { ended: "gone", output: "", error, denial: None, decision: None });
        }
    }
}

impl<M: Model> Turn<M> {
    /// Runs the calls of a round and gives what came of them in the order in which they were asked.
    /// Calls that only read run several at a time. As soon as one of a round may change something, they run one after another,
    /// and each is judged when its turn comes: where a path leads may be another by then.
    pub(super) async fn run_calls(
        &self,
        calls: &[Asked],
        offer: &Offer,
        iteration: u32,
        ledger: &Ledger,
    ) -> Vec<Finished> {
        let run = |(place, asked)| async move {
            if place >= CALLS_MAX {
                let said = format!(
                    "Not run: {CALLS_MAX} calls at once are run, and this was one more. Ask for it again when you have \
                     seen the results of the others."
                );
                return self.reject(asked, offer, iteration, said);
            }
            match arguments_of(&asked.arguments) {
                Ok(args) => self.run_call(asked, offer, args, iteration, ledger).await,
                Err(wrong) => {
                    let tool = quoted(&asked.name);
                    let said = format!(
                        "Not run: the arguments of tool {tool} must be one JSON object, and {wrong}. Ask again with \
                         arguments that fit the tool's schema."
                    );
                    self.reject(asked, offer, iteration, said)
                }
            }
        };
        let read = calls.iter().all(|asked| self.only_reads(asked, offer));
        let at_once = if read { PARALLEL_MAX } else { 1 };
        stream::iter(calls.iter().enumerate()).map(run).buffered(at_once).collect().await
    }

    /// Whether a call changes nothing, as far as its tool and its arguments say. Of what cannot be read nothing is known.
    fn only_reads(&self, asked: &Asked, offer: &Offer) -> bool {
        let tool = meant(asked, offer);
        arguments_of(&asked.arguments).is_ok_and(|args| {
            self.gate.level_of(&tool.server, &tool.name, &args) <= PermissionLevel::ReadOnly
        })
    }

    /// Answers what cannot be judged as a call.
    fn reject(&self, asked: &Asked, offer: &Offer, iteration: u32, said: String) -> Finished {
        let tool = meant(asked, offer);
        let mut told = Told::begin(self, asked, &tool, &Json::Null, iteration);
        let error = Some(said.as_str());
        told.end(&Completed { ended: "rejected", output: &said, error, denial: None, decision: None });
        let raw = Arguments::new(serde_json::json!({"raw": asked.arguments}));
        Finished {
            id: asked.id.clone(),
            tool: tool.name.clone(),
            content: said.clone(),
            error: Some((said, None)),
            digest: digest_of(&raw),
        }
    }

    async fn run_call(
        &self,
        asked: &Asked,
        offer: &Offer,
        args: Arguments,
        iteration: u32,
        ledger: &Ledger,
    ) -> Finished {
        let tool = meant(asked, offer);
        let digest = digest_of(&args);
        let mut told = Told::begin(self, asked, &tool, args.as_value(), iteration);
        let call = ToolCall {
            id: Some(asked.id.clone()),
            tool: tool.name.clone(),
            server: tool.server.clone(),
            args,
            iteration,
            caller: Arc::clone(&self.caller),
        };
        // Boxed: what goes through the gate is large, and many calls wait at once.
        let mut outcome = Box::pin(self.through_the_gate(call.clone())).await;
        if let Some(pending) = outcome.denied().and_then(|denied| denied.pending.clone())
            && Box::pin(self.ask_person(&asked.id, &pending, call.args.as_value())).await
        {
            outcome = Box::pin(self.through_the_gate(call)).await;
        }
        if let Some(denied) = outcome.denied() {
            if let Some(pending) = &denied.pending {
                ledger.waits(Waiting { approval: pending.id.clone(), tool: tool.name.clone() });
            }
            ledger.note(Notice::new(&asked.id, denied));
        }
        self.finish(&mut told, outcome, digest)
    }

    async fn through_the_gate(&self, call: ToolCall) -> ToolOutcome<String> {
        let executor = self.tools.executor(&call.server);
        self.gate
            .call(call, |permitted| async move {
                match executor {
                    Some(executor) => executor.run(permitted).await,
                    None => Executed::failed(String::new(), "nobody runs the tools of this server"),
                }
            })
            .await
    }

    /// Asks the person about a call that waits, one question at a time. True: it is worth trying again.
    async fn ask_person(&self, call_id: &str, pending: &PendingApproval, args: &Json) -> bool {
        let _one = self.asking.lock().await;
        self.tell(&Event::ApprovalRequested { call_id, approval: &PendingNotice::from(pending) });
        let answered = async {
            match self.person.ask(pending, args, self.gate.lets_askers_approve()).await {
                Some(yes) => self.gate.answer_own(&pending.id, yes, &self.caller).await,
                None => false,
            }
        };
        tokio::select! {
            biased;
            again = answered => again,
            // Somebody else answers, or it is too late for any answer.
            () = self.gate.settled(&pending.id) => true,
        }
    }

    fn finish(&self, told: &mut Told<'_, M>, outcome: ToolOutcome<String>, digest: String) -> Finished {
        let error = outcome.error();
        let (ended, decision, kind) = (ended_word(&outcome), outcome.decision, outcome.denial_kind());
        let denied: Option<Denied> = outcome.denied().cloned();
        let content = match outcome.ended {
            Ended::Ran(executed) => content_of(executed, &told.tool, &self.caller.channel),
            Ended::Denied(_) | Ended::TimedOut(_) => error.clone().unwrap_or_default(),
        };
        told.end(&Completed {
            ended,
            output: &content,
            error: error.as_deref(),
            denial: denied.as_ref().map(|denied| &denied.denial),
            decision: Some(decision),
        });
        Finished {
            id: told.id.to_owned(),
            tool: told.tool.clone(),
            content,
            error: error.map(|error| (error, kind)),
            digest,
        }
    }
}

/// The tool that a call means. What was not offered is left to the gate under the name that the model gave: it does not
/// know it, or conceals it.
fn meant(asked: &Asked, offer: &Offer) -> Arc<ToolDefinition> {
    offer.find(&asked.name).cloned().unwrap_or_else(|| {
        Arc::new(ToolDefinition {
            name: asked.name.clone(),
            server: String::new(),
            description: String::new(),
            schema: Json::Null,
            annotations: Json::Null,
        })
    })
}

/// The arguments of a call. A model that needs none may send nothing.
fn arguments_of(given: &Json) -> Result<Arguments, String> {
    let value = match given {
        Json::String(text) if text.trim().is_empty() => return Ok(Arguments::default()),
        Json::Null => return Ok(Arguments::default()),
        Json::String(text) => serde_json::from_str(text)
            .map_err(|error| format!("they are no JSON: {}", cleaned(&error.to_string(), ERROR_CHARS_MAX)))?,
        other => other.clone(),
    };
    let kind = match value {
        Json::Object(members) => return Ok(Arguments::from(members)),
        Json::Array(_) => "a list",
        Json::String(_) => "a text",
        Json::Number(_) => "a number",
        Json::Bool(_) => "a truth value",
        Json::Null => return Ok(Arguments::default()),
    };
    Err(format!("they are {kind}"))
}

const fn ended_word(outcome: &ToolOutcome<String>) -> &'static str {
    match &outcome.ended {
        Ended::Ran(Executed { error: None, .. }) => "ran",
        Ended::Ran(_) => "failed",
        Ended::Denied(_) => "denied",
        Ended::TimedOut(_) => "timed_out",
    }
}

/// What a tool gave, within bounds, after its own error. A denial of the tool's own is put into weir's words.
fn content_of(executed: Executed<String>, tool: &str, channel: &str) -> String {
    let output = with_shape(tool, channel, &bounded(executed.value));
    match executed.error.map(|error| with_shape(tool, channel, &error)) {
        None => output,
        Some(error) if output.is_empty() => format!("Error: {error}"),
        Some(error) => format!("Error: {error}\n{output}"),
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > OUTPUT_BYTES_MAX {
        let left_out = text.len() - text.floor_char_boundary(OUTPUT_BYTES_MAX);
        text.truncate(text.floor_char_boundary(OUTPUT_BYTES_MAX));
        text.push_str(&format!("\n[{left_out} bytes more are left out]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_one_object_or_none() {
        for good in [json!("{}"), json!(""), json!(" "), json!(null), json!("null"), json!({"a": 1})] {
            assert!(arguments_of(&good).is_ok(), "{good}");
        }
        let table = [
            (json!("{"), "no JSON"),
            (json!("{} {}"), "no JSON"),
            (json!("[1]"), "a list"),
            (json!("\"x\""), "a text"),
            (json!(7), "a number"),
            (json!([]), "a list"),
        ];
        for (bad, said) in table {
            let wrong = arguments_of(&bad).err().unwrap();
            assert!(wrong.contains(said), "{bad}: {wrong}");
        }
    }

    #[test]
    fn output_is_cut_between_characters_and_says_so() {
        let long = "é".repeat(OUTPUT_BYTES_MAX);
        let cut = bounded(long);
        assert!(
            cut.len() < OUTPUT_BYTES_MAX + 100 && cut.ends_with("bytes more are left out]"),
            "{}",
            cut.len()
        );
        assert_eq!(bounded("short".to_owned()), "short");
    }
}
