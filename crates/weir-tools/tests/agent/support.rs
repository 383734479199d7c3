//! A model that says what a test wrote, and everything around it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_config::config::{Approvals, Approver, LoopGuard, Tools};
use weir_core::tool::{CallSource, PermissionLevel};
use weir_rules::{LiveRules, LoadOptions, SourceFile, load};
use weir_store::{Database, DatabaseLocation, DatabaseOptions, Recorder, RecorderOptions};
use weir_testkit::ManualClock;
use weir_tools::agent::{
    Api, Event, Events, Executor, History, Keeper, Model, ModelError, Nobody, Person, Said, Toolbox, Turn,
    TurnResult,
};
use weir_tools::{Caller, Executed, Gate, Parts, Permitted, Policies, ToolDefinition};

/// Says one answer after the other; the last again and again.
#[derive(Clone, Default)]
pub struct Scripted {
    answers: Arc<Mutex<VecDeque<Json>>>,
    pub asked: Arc<Mutex<Vec<Json>>>,
}

impl Scripted {
    pub fn of(answers: Vec<Json>) -> Self {
        let model = Self::default();
        model.answers.lock().unwrap().extend(answers);
        model
    }
}

impl Model for Scripted {
    async fn ask(&self, _: Api, request: Json, said: Said<'_>) -> Result<Json, ModelError> {
        self.asked.lock().unwrap().push(request);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        if let Some(text) =
            next.as_ref().and_then(|next| next.pointer("/choices/0/message/content")?.as_str())
        {
            said(text);
        }
        next.ok_or_else(|| ModelError { refused: true, ..ModelError::failed("no more answers") })
    }
}

/// An answer that calls tools: names and arguments as the model would write them.
pub fn calls(calls: &[(&str, &str)]) -> Json {
    let call = |(place, (name, arguments)): (usize, &(&str, &str))| json!({"id": format!("c{place}"), "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls: Vec<Json> = calls.iter().enumerate().map(call).collect();
    json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": calls}}]})
}

pub fn answer(text: &str) -> Json {
    json!({"choices": [{"message": {"role": "assistant", "content": text}}]})
}

/// What was told, as JSON.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<Vec<Json>>>);

impl Events for Told {
    fn tell(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(serde_json::to_value(event).unwrap());
    }
}

impl Told {
    pub fn of(&self, kind: &str) -> Vec<Json> {
        self.0.lock().unwrap().iter().filter(|event| event["event"] == kind).cloned().collect()
    }
}

/// What was kept last.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<History>>);

impl Keeper for Kept {
    fn keep(&self, history: &History) {
        *self.0.lock().unwrap() = history.clone();
    }
}

impl Kept {
    pub fn last(&self) -> History {
        self.0.lock().unwrap().clone()
    }
}

/// Runs `ok`, fails `bad`, lets `strict` refuse by itself, and never comes back from `hang`.
#[derive(Default)]
pub struct Hands {
    pub ran: AtomicUsize,
    pub at_once: AtomicUsize,
    pub at_once_max: AtomicUsize,
    pub hanging: Notify,
}

impl Executor for Hands {
    fn run<'a>(&'a self, permitted: Permitted) -> BoxFuture<'a, Executed<String>> {
        async move {
            self.ran.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.at_once_max.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            match permitted.tool() {
                "bad" => Executed::failed(String::new(), "it broke"),
                "strict" => Executed::ok("[policy-blocked] nobody writes to /etc".to_owned()),
                "hang" => {
                    self.hanging.notify_one();
                    std::future::pending().await
                }
                _ => Executed::ok("fine".to_owned()),
            }
        }
        .boxed()
    }
}

pub struct Bench {
    pub turn: Turn<Scripted>,
    pub told: Told,
    pub kept: Kept,
    pub hands: Arc<Hands>,
    pub database: Database,
    pub clock: ManualClock,
    pub cancel: CancellationToken,
}

fn settings(approver: Approver) -> Tools {
    use PermissionLevel::{Execute, ReadOnly};
    let levels = [
        ("echo", ReadOnly),
        ("fail", ReadOnly),
        ("die", ReadOnly),
        ("ok", ReadOnly),
        ("bad", ReadOnly),
        ("strict", ReadOnly),
        ("hang", ReadOnly),
        ("deploy", Execute),
    ];
    Tools {
        channel_permissions: [("web".to_owned(), ReadOnly)].into(),
        levels: levels.map(|(name, level)| (name.to_owned(), level)).into(),
        allowed_roots: Vec::new(),
        own_files: Vec::new(),
        fetch_private: weir_core::address::TrustedProxies::default(),
        timeout: weir_testkit::deadline::PATIENCE,
        loop_guard: LoopGuard { identical: 3, failures: 6 },
        approvals: Approvals { ttl: Duration::from_secs(600), approver, webhook: None },
        mcp_servers: Vec::new(),
    }
}

impl Bench {
    pub async fn new(rules: &str, approver: Approver, answers: Vec<Json>) -> Self {
        Self::with(rules, approver, answers, Policies::new()).await
    }

    pub async fn with(rules: &str, approver: Approver, answers: Vec<Json>, policies: Policies) -> Self {
        let database = Database::open(DatabaseOptions::new(DatabaseLocation::SqliteMemory)).await.unwrap();
        let clock = ManualClock::at_ten();
        let recorder = Recorder::start(database.clone(), RecorderOptions::default(), Arc::new(clock.clone()));
        let text = if rules.is_empty() { "rules: []".to_owned() } else { format!("rules:\n{rules}") };
        let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
        let rules = load(&[SourceFile { name: "rules.yaml".into(), text }], &options).unwrap().rules;
        let tools = settings(approver);
        let loop_guard = tools.loop_guard;
        let gate = Gate::new(Parts {
            tools,
            rules: Arc::new(LiveRules::new(rules, 1)),
            database: database.clone(),
            recorder,
            clock: Arc::new(clock.clone()),
            policies,
        });
        let definition = |name: &str| ToolDefinition {
            name: name.to_owned(),
            server: String::new(),
            description: String::new(),
            schema: json!({"type": "object"}),
            annotations: Json::Null,
        };
        let tools = ["ok", "bad", "strict", "hang", "deploy", "secret"].map(definition);
        gate.report_built_in(tools.into_iter().map(|tool| (tool, PermissionLevel::ReadOnly)).collect());
        let kept = Kept::default();
        let (told, hands) = (Told::default(), Arc::new(Hands::default()));
        let model = Scripted::of(answers);
        let turn = Turn {
            gate,
            caller: Arc::new(Caller {
                session: "s1".into(),
                ..Caller::user("ada", "web", CallSource::Session)
            }),
            model,
            api: Api::ChatCompletions,
            model_name: "m".to_owned(),
            system: String::new(),
            tools: Toolbox::new().with("", hands.clone()),
            loop_guard,
            events: Arc::new(told.clone()),
            person: Arc::new(Nobody),
            asking: tokio::sync::Mutex::default(),
            history: History::default(),
            keeper: Arc::new(kept.clone()),
        };
        Self { turn, told, kept, hands, database, clock, cancel: CancellationToken::new() }
    }

    pub fn person(&mut self, person: impl Person + 'static) {
        self.turn.person = Arc::new(person);
    }

    pub async fn run(&self) -> TurnResult {
        self.turn.run("go", &self.cancel).await
    }

    pub fn ran(&self) -> usize {
        self.hands.ran.load(Ordering::SeqCst)
    }

    pub fn asked(&self) -> Vec<Json> {
        self.turn.model.asked.lock().unwrap().clone()
    }

    /// Every start has exactly one end, in the same call.
    #[track_caller]
    pub fn every_call_ended_once(&self, calls: usize) {
        let ids = |kind| {
            let mut ids: Vec<String> = self.told.of(kind).iter().map(|e| e["call_id"].to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids("tool_started").len(), calls);
        assert_eq!(ids("tool_started"), ids("tool_completed"));
        for event in self.told.of("tool_completed") {
            assert_eq!(event["success"] == true, event["error"].is_null(), "{event}");
        }
    }
}
