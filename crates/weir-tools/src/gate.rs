//! The gate: every call of every entry point goes through [`Gate::call`] or [`Gate::evaluate`], in the order of spec C4.
//!
//! resolve -> class the arguments -> decide (`weir_rules`) -> policies -> approval -> permit -> execute -> record.

mod answer;
mod built_in;
mod catalogue;
mod exchange;
mod layers;
mod settle;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use weir_config::config::Tools;
use weir_core::clock::SharedClock;
use weir_core::tool::{Arguments, PermissionLevel};
use weir_rules::tool::Permitted;
use weir_rules::{EvaluateContext, LiveRules};
use weir_store::database::Overrides;
use weir_store::{Database, Recorder};
use weir_telemetry::Telemetry;

use crate::approval::Webhook;
use crate::call::{Caller, ToolCall, ToolDefinition};
use crate::observe::{Observer, Unobserved};
use crate::outcome::{Denied, Ended, Executed, ToolOutcome, UsedApproval};
use crate::policy::Policies;
use catalogue::{Catalogue, Entry};
use exchange::Exchange;
use layers::Settings;

pub use catalogue::{DefinitionState, tool_level};

/// What a gate is made of.
pub struct Parts {
    /// The `tools` section of the configuration.
    pub tools: Tools,
    /// The rules in force.
    pub rules: Arc<LiveRules>,
    /// Where approvals and known definitions are kept.
    pub database: Database,
    /// Where calls are recorded.
    pub recorder: Recorder,
    /// The time.
    pub clock: SharedClock,
    /// Policies of the program that embeds weir.
    pub policies: Policies,
}

/// The gate. Cheap to clone; clones are one gate.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ArcSwap<Settings>,
    overrides: OnceLock<watch::Receiver<Arc<Overrides>>>,
    rules: Arc<LiveRules>,
    database: Database,
    recorder: Recorder,
    clock: SharedClock,
    policies: Policies,
    observer: Arc<dyn Observer>,
    telemetry: Telemetry,
    webhook: Webhook,
    catalogue: Catalogue,
}

/// What a program that runs its tools itself says of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlisted<'a> {
    /// The level of the tool that is asked about.
    pub level: Option<PermissionLevel>,
    /// All tools that it has, with their levels; `None`: those that the configuration names may be its.
    pub others: Option<&'a [(&'a str, PermissionLevel)]>,
}

impl Gate {
    /// A gate that knows no tool yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self::observed(parts, Arc::new(Unobserved))
    }

    /// A gate whose calls somebody watches.
    #[must_use]
    pub fn observed(parts: Parts, observer: Arc<dyn Observer>) -> Self {
        Self::told(parts, observer, Telemetry::default())
    }

    /// As [`Gate::observed`], with a span for each call.
    #[must_use]
    pub fn told(parts: Parts, observer: Arc<dyn Observer>, telemetry: Telemetry) -> Self {
        let Parts { tools, rules, database, recorder, clock, policies } = parts;
        let inner = Inner {
            settings: ArcSwap::from_pointee(Settings::new(tools, Arc::default())),
            overrides: OnceLock::new(),
            rules,
            database,
            recorder,
            clock,
            policies,
            observer,
            telemetry,
            webhook: Webhook::default(),
            catalogue: Catalogue::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes over the tools of a server, as it has just listed them: all of them, in its order. Says of each whether it
    /// is new, as before, or changed; a changed one is `dangerous` until the operator accepts it. While the store cannot
    /// say what was accepted, all of them are.
    pub async fn report_definitions(
        &self,
        server: &str,
        definitions: Vec<ToolDefinition>,
    ) -> Vec<(String, DefinitionState)> {
        let inner = &self.inner;
        inner.catalogue.report(&inner.database, server, definitions, inner.clock.now()).await
    }

    /// Whether a server's tools have been reported.
    #[must_use]
    pub fn knows_server(&self, server: &str) -> bool {
        self.inner.catalogue.knows(server)
    }

    /// The tools of a server that a caller may see, in the server's order: those of the session's set that no rule
    /// conceals. `None`: of all servers.
    #[must_use]
    pub fn list(&self, caller: &Caller, server: Option<&str>) -> Vec<Arc<ToolDefinition>> {
        let inner = &self.inner;
        let settings = inner.settings();
        let rules = inner.rules.load();
        let context = EvaluateContext { subject: &caller.identity.key, at: inner.clock.now() };
        let sees = |entry: &Arc<Entry>| {
            let mut facts = settle::facts_of(caller, settings.ceiling(&caller.channel));
            settle::set_tool(&mut facts, entry, entry.level(&settings.tools));
            caller.sees(&entry.definition.name) && !rules.rules.conceals(&mut facts, &context)
        };
        let entries = inner.catalogue.entries(server);
        entries.iter().filter(|entry| sees(entry)).map(|entry| Arc::clone(&entry.definition)).collect()
    }

    /// The level of a call as its tool and its arguments say, before rules raise it. A tool that nobody lists is `dangerous`.
    #[must_use]
    pub fn level_of(&self, server: &str, tool: &str, args: &Arguments) -> PermissionLevel {
        let settings = self.inner.settings();
        let entries = self.inner.catalogue.entries(Some(server));
        let entry = entries.iter().find(|entry| entry.definition.name == tool);
        let own = entry.map_or(PermissionLevel::Dangerous, |entry| entry.level(&settings.tools));
        own.max(crate::level::of_call(tool, args, &settings.roots))
    }

    /// Runs one call through the gate. `executor` is called if and only if the call is permitted, and is stopped when it
    /// takes longer than `tools.timeout`. A call that needs an approval is denied at once, with the approval's id.
    pub async fn call<T, F, Fut>(&self, call: ToolCall, executor: F) -> ToolOutcome<T>
    where
        F: FnOnce(Permitted) -> Fut,
        Fut: Future<Output = Executed<T>>,
    {
        self.call_and_wait(call, Duration::ZERO, executor).await
    }

    /// As [`Self::call`], but a call that needs an approval waits for the answer, `patience` at most. Then the approval
    /// stays open. Who stops waiting by dropping the future has left: the approval is denied.
    pub async fn call_and_wait<T, F, Fut>(
        &self,
        call: ToolCall,
        patience: Duration,
        executor: F,
    ) -> ToolOutcome<T>
    where
        F: FnOnce(Permitted) -> Fut,
        Fut: Future<Output = Executed<T>>,
    {
        self.run(call, patience, None, executor).await
    }

    /// As [`Self::call`], for a further leg of a call whose tool asked for input: a yes for one run that let the leg before
    /// through lets this one through, once.
    pub(crate) async fn go_on<T, F, Fut>(
        &self,
        call: ToolCall,
        leg: Option<&UsedApproval>,
        executor: F,
    ) -> ToolOutcome<T>
    where
        F: FnOnce(Permitted) -> Fut,
        Fut: Future<Output = Executed<T>>,
    {
        self.run(call, Duration::ZERO, leg, executor).await
    }

    async fn run<T, F, Fut>(
        &self,
        call: ToolCall,
        patience: Duration,
        leg: Option<&UsedApproval>,
        executor: F,
    ) -> ToolOutcome<T>
    where
        F: FnOnce(Permitted) -> Fut,
        Fut: Future<Output = Executed<T>>,
    {
        let call_id = call.id_or_made();
        let inner = &self.inner;
        let mut made = inner.decide(&call, None).await;
        let mut exchange = Exchange::begin(Arc::clone(inner), &call, &call_id, &made);
        // Boxed: what waits for the store is large, and most calls need none of it.
        let mut settled = Box::pin(inner.settle(made, &call, &call_id, leg)).await;
        if let Some(pending) = settled.pending.as_ref().filter(|_| patience > Duration::ZERO) {
            Box::pin(inner.wait_for_answer(&pending.id, patience)).await;
            // Other rules may be in force by now, and the answer is found as any other call would find it.
            made = inner.decide(&call, None).await;
            settled = Box::pin(inner.settle(made, &call, &call_id, None)).await;
        }
        exchange.settled(&settled);
        let decision = settled.made.decision().id;
        let tool = call.tool.clone();
        let (denied, used) = (settled.denied(), settled.used.clone());
        let ended = match settled.made.permit(call.args) {
            Ok(permitted) => {
                exchange.runs();
                let timeout = inner.settings().tools.timeout;
                match tokio::time::timeout(timeout, executor(permitted)).await {
                    Ok(executed) => Ended::Ran(executed),
                    Err(_) => Ended::TimedOut(timeout),
                }
            }
            Err(made) => {
                Ended::Denied(Box::new(denied.unwrap_or_else(|| Denied::new(made.unexplained(), None))))
            }
        };
        let outcome = ToolOutcome { call_id, tool, decision, used, ended };
        exchange.ended(&outcome);
        outcome
    }

    /// Decides on a call that another program runs: the whole gate but for the execution. An approval for one run is used
    /// up by it. A tool that nobody has reported is known by its name alone; `level` is what the asking program says of
    /// it, which counts where the configuration has no level for it and can raise one.
    pub async fn evaluate(&self, call: ToolCall, level: Option<PermissionLevel>) -> ToolOutcome<()> {
        self.evaluate_among(call, Unlisted { level, others: None }).await
    }

    /// As [`Self::evaluate`], for a program whose own tools are known: what a denial suggests is among them.
    pub async fn evaluate_among(&self, call: ToolCall, unlisted: Unlisted<'_>) -> ToolOutcome<()> {
        let call_id = call.id_or_made();
        let inner = &self.inner;
        let made = inner.decide(&call, Some(unlisted)).await;
        let mut exchange = Exchange::begin(Arc::clone(inner), &call, &call_id, &made);
        let settled = Box::pin(inner.settle(made, &call, &call_id, None)).await;
        exchange.settled(&settled);
        let decision = settled.made.decision().id;
        let tool = call.tool.clone();
        let (denied, used) = (settled.denied(), settled.used.clone());
        let ended = match settled.made.permit(call.args) {
            Ok(_) => Ended::Ran(Executed::ok(())),
            Err(made) => {
                Ended::Denied(Box::new(denied.unwrap_or_else(|| Denied::new(made.unexplained(), None))))
            }
        };
        let outcome = ToolOutcome { call_id, tool, decision, used, ended };
        exchange.evaluated(&outcome);
        outcome
    }
}

/// The ceiling of a channel by the configuration (spec C2).
#[must_use]
pub fn channel_ceiling(tools: &Tools, channel: &str) -> PermissionLevel {
    let permissions = tools.channel_permissions.iter().map(|(name, level)| (name.as_str(), level.token()));
    weir_rules::tool::ceiling(permissions, channel)
}
