//! A gate over a database in memory and a clock that is moved by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use weir_config::config::{Approvals, Approver, LoopGuard, Tools};
use weir_core::record::{Record, ToolRecord};
use weir_core::tool::{Arguments, CallSource, PermissionLevel};
use weir_core::{Boundary, DecisionId};
use weir_rules::{LiveRules, LoadOptions, RuleSet, SourceFile, load};
use weir_store::database::{Answer, ApprovalFilter, ApprovalScope, ApprovalState, DecisionFilter};
use weir_store::{Database, DatabaseLocation, DatabaseOptions, Recorder, RecorderOptions};
use weir_testkit::ManualClock;
use weir_tools::observe::{Completed, Observer, Started};
use weir_tools::{Caller, Executed, Gate, Parts, Policies, ToolCall, ToolDefinition, ToolOutcome};

/// What was seen of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Started(String),
    Completed { id: String, success: bool, error: Option<String>, ended: String },
}

#[derive(Clone, Default)]
pub struct Timeline(Arc<Mutex<Vec<Event>>>);

impl Timeline {
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub fn completed(&self) -> usize {
        self.events().iter().filter(|event| matches!(event, Event::Completed { .. })).count()
    }
}

impl Observer for Timeline {
    fn started(&self, started: &Started<'_>) {
        self.0.lock().unwrap().push(Event::Started(started.call_id.to_owned()));
    }

    fn completed(&self, completed: &Completed<'_>) {
        self.0.lock().unwrap().push(Event::Completed {
            id: completed.call_id.to_owned(),
            success: completed.success,
            error: completed.error.map(str::to_owned),
            ended: completed.ended.to_owned(),
        });
    }
}

pub fn tools() -> Tools {
    Tools {
        channel_permissions: BTreeMap::new(),
        levels: BTreeMap::new(),
        allowed_roots: Vec::new(),
        own_files: Vec::new(),
        fetch_private: weir_core::address::TrustedProxies::default(),
        timeout: weir_testkit::deadline::PATIENCE,
        loop_guard: LoopGuard { identical: 3, failures: 6 },
        approvals: Approvals { ttl: Duration::from_secs(600), approver: Approver::Other, webhook: None },
        mcp_servers: Vec::new(),
    }
}

/// Ceilings and levels.
pub fn configured(ceilings: &[(&str, PermissionLevel)], levels: &[(&str, PermissionLevel)]) -> Tools {
    let map = |pairs: &[(&str, PermissionLevel)]| pairs.iter().map(|(n, l)| ((*n).to_owned(), *l)).collect();
    Tools { channel_permissions: map(ceilings), levels: map(levels), ..tools() }
}

pub fn set(rules: &str) -> RuleSet {
    let text = if rules.is_empty() { "rules: []".to_owned() } else { format!("rules:\n{rules}") };
    let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
    load(&[SourceFile { name: "rules.yaml".into(), text }], &options).unwrap().rules
}

pub fn definition(name: &str) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        server: String::new(),
        description: format!("does {name}"),
        schema: json!({"type": "object"}),
        annotations: Json::Null,
    }
}

pub struct Bench {
    pub gate: Gate,
    pub database: Database,
    pub recorder: Recorder,
    pub clock: ManualClock,
    pub timeline: Timeline,
    pub rules: Arc<LiveRules>,
    /// How often a tool really ran.
    pub ran: AtomicUsize,
}

impl Bench {
    pub async fn new(tools: Tools, rules: &str, policies: Policies) -> Self {
        let database = Database::open(DatabaseOptions::new(DatabaseLocation::SqliteMemory)).await.unwrap();
        Self::over(database, tools, rules, policies).await
    }

    pub async fn over(database: Database, tools: Tools, rules: &str, policies: Policies) -> Self {
        let clock = ManualClock::at_ten();
        let recorder = Recorder::start(database.clone(), RecorderOptions::default(), Arc::new(clock.clone()));
        let timeline = Timeline::default();
        let rules = Arc::new(LiveRules::new(set(rules), 1));
        let parts = Parts {
            tools,
            rules: Arc::clone(&rules),
            database: database.clone(),
            recorder: recorder.clone(),
            clock: Arc::new(clock.clone()),
            policies,
        };
        let gate = Gate::observed(parts, Arc::new(timeline.clone()));
        let names = ["run_script", "read_notes", "write_notes", "read", "shell", "hangs", "t", "tool"];
        gate.report_definitions("", names.map(definition).to_vec()).await;
        Self { gate, database, recorder, clock, timeline, rules, ran: AtomicUsize::new(0) }
    }

    pub fn caller(channel: &str) -> Caller {
        Caller { session: "s1".to_owned(), ..Caller::user("ada", channel, CallSource::Session) }
    }

    pub fn call_as(caller: Caller, tool: &str, args: Json) -> ToolCall {
        ToolCall {
            id: Some("call_1".to_owned()),
            tool: tool.to_owned(),
            server: String::new(),
            args: Arguments::new(args),
            iteration: 1,
            caller: Arc::new(caller),
        }
    }

    pub async fn run(&self, call: ToolCall) -> ToolOutcome<&'static str> {
        self.gate.call(call, |_| self.execute()).await
    }

    pub async fn execute(&self) -> Executed<&'static str> {
        self.ran.fetch_add(1, Ordering::SeqCst);
        Executed::ok("done")
    }

    /// A call of ada's on the channel `web`.
    pub async fn ask(&self, tool: &str, args: Json) -> ToolOutcome<&'static str> {
        self.run(Self::call_as(Self::caller("web"), tool, args)).await
    }

    pub fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }

    pub async fn approve(&self, id: &str) -> weir_store::database::Answered {
        let answer = Answer::Approve { scope: ApprovalScope::Once, until: None };
        self.database.approval_answer(id, &answer, "bob", self.clock.now()).await.unwrap()
    }

    pub async fn pending(&self) -> usize {
        let filter =
            ApprovalFilter { state: Some(ApprovalState::Pending), limit: 100, ..ApprovalFilter::default() };
        self.database.approvals(&filter, self.clock.now()).await.unwrap().items.len()
    }

    pub async fn records(&self) -> Vec<ToolRecord> {
        self.recorder.flush().await.unwrap();
        let filter =
            DecisionFilter { boundary: Some(Boundary::Tool), limit: 100, ..DecisionFilter::default() };
        let page = self.database.decisions(&filter).await.unwrap();
        page.items.into_iter().map(|record| *record.result.tool.unwrap()).collect()
    }

    pub async fn record(&self, id: &DecisionId) -> Record {
        self.recorder.flush().await.unwrap();
        self.database.decision(id).await.unwrap().unwrap()
    }
}

/// The approval that a denied call waits for.
pub fn pending_id<T>(outcome: &ToolOutcome<T>) -> String {
    outcome.denied().unwrap().pending.as_ref().unwrap().id.clone()
}

pub const ASK: &str =
    "  - {id: ask, on: tool, when: 'true', then: require-approval, because: A person should look.}\n";
