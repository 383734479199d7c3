//! One turn, from a prompt to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use weir_config::config::LoopGuard as Thresholds;
use weir_store::database::ApprovalState;

use super::api::{CallResult, Conversation};
use super::calls::{Finished, Ledger};
use super::event::{Event, Events};
use super::history::{History, Keeper};
use super::model::{Api, Model};
use super::offer::Toolbox;
use super::person::Person;
use super::result::{TurnEnd, TurnResult};
use crate::call::Caller;
use crate::gate::Gate;
use crate::loop_guard::{Advice, CallEnd, LoopGuard};

/// How often a model is asked in one turn.
pub const ITERATIONS_MAX: u32 = 50;

/// How long one answer of the model is waited for.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// What the model is told where many calls of one round failed at once.
const CHANGE_WAY: &str = "These calls did not work, and the next that fails so will end the turn. Change your way: use \
                          another tool or other arguments, or tell the user what is in the way.";

/// What a turn is made of.
pub struct Turn<M> {
    /// The gate that every call goes through.
    pub gate: Gate,
    /// Who calls.
    pub caller: Arc<Caller>,
    /// Who answers.
    pub model: M,
    /// The protocol it is asked in.
    pub api: Api,
    /// Its name.
    pub model_name: String,
    /// What it is told before it begins.
    pub system: String,
    /// Who runs the tools.
    pub tools: Toolbox,
    /// When a turn that goes nowhere is ended.
    pub loop_guard: Thresholds,
    /// Who is told what happens.
    pub events: Arc<dyn Events>,
    /// Who is asked where a call waits for a yes.
    pub person: Arc<dyn Person>,
    /// One question at a time: `Mutex::default()`.
    pub asking: Mutex<()>,
    /// What was said in this session before; empty: nothing.
    pub history: History,
    /// Who keeps what is said, so that the session can be resumed.
    pub keeper: Arc<dyn Keeper>,
}

/// Why a turn ended, its last words, and the class of what went wrong with the model.
type Ended = (TurnEnd, String, Option<String>);

/// What grows while a turn goes on.
struct Progress {
    conversation: Conversation,
    guard: LoopGuard,
    /// Whether the model was told to change its way, and has not succeeded with anything since.
    advised: bool,
    iterations: u32,
    calls: u32,
}

impl<M: Model> Turn<M> {
    /// Plays the turn to its end, or until `cancel`. Calls that run then are stopped.
    pub async fn run(&self, prompt: &str, cancel: &CancellationToken) -> TurnResult {
        let session = &self.caller.session;
        self.tell(&Event::TurnStarted { session, model: &self.model_name, channel: &self.caller.channel });
        let items = self.history.items.clone();
        let mut conversation = Conversation::of(self.api, &self.model_name, &self.system, items);
        let ledger = Ledger::default();
        if let Some(note) = self.of_waiting(&ledger).await {
            conversation.says(&note);
        }
        conversation.says(prompt);
        let mut progress = Progress {
            conversation,
            guard: LoopGuard::new(self.loop_guard),
            advised: false,
            iterations: 0,
            calls: 0,
        };
        self.keep(&progress, &ledger);
        let (end, text, error_type) = tokio::select! {
            biased;
            () = cancel.cancelled() => (TurnEnd::Cancelled, "Stopped by the user.".to_owned(), None),
            ended = Box::pin(self.rounds(&mut progress, &ledger)) => ended,
        };
        let (iterations, calls) = (progress.iterations, progress.calls);
        let notices = ledger.take();
        let result =
            TurnResult { session: session.clone(), end, text, error_type, iterations, calls, notices };
        self.tell(&Event::Result(&result));
        result
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        self.events.tell(event);
    }

    async fn rounds(&self, progress: &mut Progress, ledger: &Ledger) -> Ended {
        while progress.iterations < ITERATIONS_MAX {
            progress.iterations += 1;
            if let Some(ended) = Box::pin(self.round(progress, ledger)).await {
                return ended;
            }
        }
        let said = format!("Stopped: the model was asked {ITERATIONS_MAX} times without an end.");
        (TurnEnd::Exhausted, said, None)
    }

    async fn round(&self, progress: &mut Progress, ledger: &Ledger) -> Option<Ended> {
        let iteration = progress.iterations;
        let offer = self.tools.offer(&self.gate, &self.caller);
        let told = AtomicBool::new(false);
        let said = |text: &str| {
            told.store(true, Ordering::Relaxed);
            self.tell(&Event::TextDelta { iteration, text });
        };
        let asked = self.model.ask(self.api, progress.conversation.request(&offer), &said);
        let answer = match tokio::time::timeout(ANSWER_DEADLINE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let end = if error.refused { TurnEnd::Refused } else { TurnEnd::Failed };
                return Some((end, error.message, error.error_type));
            }
            Err(_) => {
                let said = "the model did not answer in time".to_owned();
                return Some((TurnEnd::Failed, said, Some("timeout".to_owned())));
            }
        };
        let said = match progress.conversation.take(&answer, iteration) {
            Ok(said) => said,
            Err(wrong) => return Some((TurnEnd::Failed, wrong, None)),
        };
        // A model that answered all at once.
        if !told.load(Ordering::Relaxed) && !said.text.is_empty() {
            self.tell(&Event::TextDelta { iteration, text: &said.text });
        }
        if said.calls.is_empty() {
            self.keep(progress, ledger);
            return Some((TurnEnd::Answered, said.text, None));
        }
        if !said.text.is_empty() {
            self.tell(&Event::Message { iteration, text: &said.text });
        }
        progress.calls = progress.calls.saturating_add(u32::try_from(said.calls.len()).unwrap_or(u32::MAX));
        let mut finished = self.run_calls(&said.calls, &offer, iteration, ledger).await;
        if let Some(halted) = self.guard(progress, &mut finished) {
            self.keep_results(progress, finished, ledger);
            return Some((TurnEnd::Halted, halted, None));
        }
        self.keep_results(progress, finished, ledger);
        None
    }

    fn keep_results(&self, progress: &mut Progress, finished: Vec<Finished>, ledger: &Ledger) {
        let results: Vec<CallResult> = finished.into_iter().map(CallResult::from).collect();
        progress.conversation.results(&results);
        self.keep(progress, ledger);
    }

    /// Keeps what was said. Only where every call has its result: no provider takes a conversation otherwise.
    fn keep(&self, progress: &Progress, ledger: &Ledger) {
        let items = progress.conversation.items().to_vec();
        self.keeper.keep(&History { api: self.api, items, waiting: ledger.waiting() });
    }

    /// What became of the calls that waited for an approval when the session was left.
    async fn of_waiting(&self, ledger: &Ledger) -> Option<String> {
        let mut note = String::new();
        for waiting in &self.history.waiting {
            let state = self.gate.approval_state(&waiting.approval, &self.caller).await;
            note.push_str(&waiting.told(state));
            if matches!(state, Some(ApprovalState::Pending | ApprovalState::Approved)) {
                ledger.waits(waiting.clone());
            }
        }
        (!note.is_empty()).then_some(note)
    }

    /// Lets the loop guard see how the calls ended. What it advises goes to the model below the last failure, whose own
    /// words stay whole. A turn is not ended before the model has been told to change its way, which within one round of
    /// many calls it could not have heard.
    fn guard(&self, progress: &mut Progress, finished: &mut [Finished]) -> Option<String> {
        let mut advice: Option<(usize, String)> = None;
        for (place, call) in finished.iter().enumerate() {
            let end = match &call.error {
                None => CallEnd::Success,
                Some((error, kind)) => {
                    CallEnd::Failure { tool: &call.tool, digest: &call.digest, kind: *kind, error }
                }
            };
            match progress.guard.note(end) {
                Advice::Continue if call.error.is_none() => {
                    progress.advised = false;
                    advice = None;
                }
                Advice::Continue => {}
                Advice::ChangeWay(text) => advice = Some((place, text)),
                Advice::Halt(text) if progress.advised => return Some(text),
                Advice::Halt(_) => advice = Some((place, CHANGE_WAY.to_owned())),
            }
        }
        let (place, text) = advice?;
        progress.advised = true;
        self.tell(&Event::Advice { iteration: progress.iterations, text: &text });
        if let Some(call) = finished.get_mut(place) {
            call.content.push_str("\n\n");
            call.content.push_str(&text);
        }
        None
    }
}

impl From<Finished> for CallResult {
    fn from(finished: Finished) -> Self {
        Self { id: finished.id, content: finished.content, failed: finished.error.is_some() }
    }
}
