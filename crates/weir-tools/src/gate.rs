//! The gate: every call of every entry point goes through [`Gate::call`], in the order of spec C4.
//!
//! resolve -> class the arguments -> decide (`weir_rules`) -> policies -> approval -> permit -> execute -> record.

mod catalogue;

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use weir_config::config::Tools;
use weir_core::action::QuarantineDelays;
use weir_core::clock::SharedClock;
use weir_core::tool::{CallSource, PermissionLevel};
use weir_core::{Boundary, DecisionId};
use weir_rules::tool::{OtherTool, Permitted, Scene, Standing, ToolDecision};
use weir_rules::{DecideContext, EvaluateContext, Fact, Facts, LiveRules};
use weir_store::{Database, Recorder};

use crate::call::{Caller, ToolCall, ToolDefinition};
use crate::outcome::{Denied, Ended, Executed, ToolOutcome};
use crate::policy::{Policies, PolicyRequest};
use catalogue::{Catalogue, Entry};

pub use catalogue::DefinitionState;

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
    tools: ArcSwap<Tools>,
    rules: Arc<LiveRules>,
    #[expect(dead_code, reason = "approvals are the next step")]
    database: Database,
    #[expect(dead_code, reason = "records are the next step")]
    recorder: Recorder,
    clock: SharedClock,
    policies: Policies,
    catalogue: Catalogue,
}

impl Gate {
    /// A gate that knows no tool yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { tools, rules, database, recorder, clock, policies } = parts;
        let tools = ArcSwap::from_pointee(tools);
        let inner =
            Inner { tools, rules, database, recorder, clock, policies, catalogue: Catalogue::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Puts another configuration in force.
    pub fn reload(&self, tools: Tools) {
        self.inner.tools.store(Arc::new(tools));
    }

    /// Takes over the tools of a server, as it has just listed them: all of them, in its order. Says of each whether it
    /// is new, as before, or changed; a changed one is `dangerous` until the operator classifies it.
    pub async fn report_definitions(
        &self,
        server: &str,
        definitions: Vec<ToolDefinition>,
    ) -> Vec<(String, DefinitionState)> {
        self.inner.catalogue.report(server, definitions)
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
        let tools = inner.tools.load();
        let rules = inner.rules.load();
        let at = inner.clock.now();
        let context = EvaluateContext { subject: &caller.identity.key, at };
        let sees = |entry: &Arc<Entry>| {
            let mut facts = facts_of(caller);
            set_tool(&mut facts, entry, &tools);
            set_channel(&mut facts, caller, &tools);
            caller.sees(&entry.definition.name) && !rules.rules.conceals(&mut facts, &context)
        };
        let entries = inner.catalogue.entries(server);
        entries.iter().filter(|entry| sees(entry)).map(|entry| Arc::clone(&entry.definition)).collect()
    }

    /// Runs one call through the gate. `executor` is called if and only if the call is permitted, and is stopped when it
    /// takes longer than `tools.timeout`.
    pub async fn call<T, F, Fut>(&self, call: ToolCall, executor: F) -> ToolOutcome<T>
    where
        F: FnOnce(Permitted) -> Fut,
        Fut: Future<Output = Executed<T>>,
    {
        let call_id = call.id_or_made();
        let made = self.decide(&call, &call_id).await;
        let decision = made.decision().id;
        let denial = made.denial().cloned();
        let tool = call.tool.clone();
        let ended = match (made.permit(call.args), denial) {
            (Ok(permitted), _) => {
                let timeout = self.inner.tools.load().timeout;
                match tokio::time::timeout(timeout, executor(permitted)).await {
                    Ok(executed) => Ended::Ran(executed),
                    Err(_) => Ended::TimedOut(timeout),
                }
            }
            (Err(made), denial) => {
                let denial = denial.unwrap_or_else(|| made.unexplained());
                Ended::Denied(Box::new(Denied::new(denial, None)))
            }
        };
        ToolOutcome { call_id, tool, decision, ended }
    }

    async fn decide(&self, call: &ToolCall, call_id: &str) -> ToolDecision {
        let made = self.decide_by_rules(call);
        let made = self.ask_policies(made, call, call_id).await;
        made.with_approval("", &Standing::Unavailable("approvals are not there yet".to_owned()))
    }

    fn decide_by_rules(&self, call: &ToolCall) -> ToolDecision {
        let inner = &self.inner;
        let tools = inner.tools.load();
        let rules = inner.rules.load();
        let entries = inner.catalogue.entries(None);
        let entry = inner.catalogue.find(&call.server, &call.tool);
        let mut facts = facts_of(&call.caller);
        facts.set_str(Fact::ToolName, &call.tool);
        facts.set_str(Fact::ToolServer, &call.server);
        if let Some(entry) = &entry {
            set_tool(&mut facts, entry, &tools);
        }
        set_channel(&mut facts, &call.caller, &tools);
        facts.set_dynamic(Fact::CallArgs, call.args.as_value());
        facts.set_int(Fact::CallIteration, i64::from(call.iteration));
        let others: Vec<OtherTool<'_>> = entries
            .iter()
            .filter(|other| call.caller.sees(&other.definition.name))
            .map(|other| OtherTool {
                name: &other.definition.name,
                server: &other.definition.server,
                level: other.level(&tools),
                annotations: &other.definition.annotations,
            })
            .collect();
        let visible = call.caller.sees(&call.tool);
        let scene = Scene { known: entry.is_some(), visible, others: &others };
        let at = inner.clock.now();
        let context = DecideContext {
            id: DecisionId::new(at, rand::random()),
            subject: &call.caller.identity.key,
            epoch: rules.epoch,
            at,
            delays: QuarantineDelays::default(),
        };
        rules.rules.decide_tool(&mut facts, &scene, &context)
    }

    /// Asks the policies once, if they can still change something.
    async fn ask_policies(&self, mut made: ToolDecision, call: &ToolCall, call_id: &str) -> ToolDecision {
        if !made.asks_policies() {
            return made;
        }
        let request = PolicyRequest {
            call_id,
            tool: &call.tool,
            server: &call.server,
            args: &call.args,
            level: made.level(),
            iteration: call.iteration,
            caller: &call.caller,
        };
        for (name, verdict) in self.inner.policies.ask(&request).await {
            made = made.with_policy(&name, &verdict);
        }
        made
    }
}

/// The facts that follow from the caller alone.
fn facts_of(caller: &Caller) -> Facts<'_> {
    let mut facts = Facts::new(Boundary::Tool);
    facts.set_identity(&caller.identity);
    facts.set_stats(&caller.stats);
    facts.set_str(Fact::AgentId, &caller.agent);
    facts.set_str(Fact::SessionId, &caller.session);
    facts.set_str(Fact::CallSource, source(caller.source));
    facts
}

const fn source(source: CallSource) -> &'static str {
    source.as_str()
}

fn set_tool<'f>(facts: &mut Facts<'f>, entry: &'f Entry, tools: &Tools) {
    facts.set_str(Fact::ToolName, &entry.definition.name);
    facts.set_str(Fact::ToolServer, &entry.definition.server);
    facts.set_str(Fact::ToolLevel, entry.level(tools).token());
    facts.set_dynamic(Fact::ToolAnnotations, &entry.definition.annotations);
}

fn set_channel<'f>(facts: &mut Facts<'f>, caller: &'f Caller, tools: &Tools) {
    facts.set_str(Fact::ChannelName, &caller.channel);
    facts.set_str(Fact::ChannelCeiling, ceiling(tools, &caller.channel).token());
}

/// The ceiling of a channel by the configuration (spec C2).
fn ceiling(tools: &Tools, channel: &str) -> PermissionLevel {
    let permissions = tools.channel_permissions.iter().map(|(name, level)| (name.as_str(), level.token()));
    weir_rules::tool::ceiling(permissions, channel)
}
