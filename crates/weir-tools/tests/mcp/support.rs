//! A gate, and a client that speaks JSON a line at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::task::JoinHandle;
use weir_config::config::{Approvals, Approver, LoopGuard, McpServer, McpTransport, Tools};
use weir_core::Boundary;
use weir_core::record::ToolRecord;
use weir_core::tool::{CallSource, PermissionLevel};
use weir_rules::{LiveRules, LoadOptions, SourceFile, load};
use weir_store::clock::SystemClock;
use weir_store::database::DecisionFilter;
use weir_store::{Database, DatabaseLocation, DatabaseOptions, Recorder, RecorderOptions};
use weir_testkit::deadline::within;
use weir_tools::mcp::{ChildCommand, Mcp, Stdio, Trouble, serve_stdio};
use weir_tools::{Caller, Gate, Parts, Policies};

/// The name of the ignored test that is the server.
const SERVER: &str = "scripted_server";

/// Long enough for everything that ends.
pub const TIMEOUT: Duration = weir_testkit::deadline::PATIENCE;

pub fn command() -> Vec<String> {
    weir_testkit::mcp::command(SERVER)
}

pub struct Bench {
    pub gate: Gate,
    pub database: Database,
    recorder: Recorder,
}

impl Bench {
    pub async fn new(rules: &str) -> Self {
        Self::with(rules, |_| {}).await
    }

    pub async fn with(rules: &str, set: impl FnOnce(&mut Tools)) -> Self {
        let database = Database::open(DatabaseOptions::new(DatabaseLocation::SqliteMemory)).await.unwrap();
        let clock = SystemClock::shared();
        let recorder = Recorder::start(database.clone(), RecorderOptions::default(), clock.clone());
        let text = if rules.is_empty() { "rules: []".to_owned() } else { format!("rules:\n{rules}") };
        let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
        let rules = load(&[SourceFile { name: "rules.yaml".into(), text }], &options).unwrap().rules;
        let mut tools = Tools {
            channel_permissions: BTreeMap::new(),
            levels: weir_testkit::mcp::TOOLS
                .map(|(name, _)| (name.to_owned(), PermissionLevel::ReadOnly))
                .into(),
            allowed_roots: Vec::new(),
            own_files: Vec::new(),
            fetch_private: weir_core::address::TrustedProxies::default(),
            timeout: TIMEOUT,
            loop_guard: LoopGuard { identical: 3, failures: 6 },
            approvals: Approvals { ttl: Duration::from_secs(600), approver: Approver::Other, webhook: None },
            mcp_servers: Vec::new(),
        };
        set(&mut tools);
        let parts = Parts {
            tools,
            rules: Arc::new(LiveRules::new(rules, 1)),
            database: database.clone(),
            recorder: recorder.clone(),
            clock,
            policies: Policies::new(),
        };
        Self { gate: Gate::new(parts), database, recorder }
    }

    /// The records of calls, the last first.
    pub async fn records(&self) -> Vec<ToolRecord> {
        self.recorder.flush().await.unwrap();
        let filter =
            DecisionFilter { boundary: Some(Boundary::Tool), limit: 100, ..DecisionFilter::default() };
        let page = self.database.decisions(&filter).await.unwrap();
        page.items.into_iter().map(|record| *record.result.tool.unwrap()).collect()
    }

    pub fn caller(channel: &str) -> Caller {
        Caller { session: "s1".to_owned(), ..Caller::user("ada", channel, CallSource::Channel) }
    }

    /// A client before the scripted server.
    pub async fn client(&self) -> Client {
        self.client_of(command()).await
    }

    pub async fn client_of(&self, command: Vec<String>) -> Client {
        let mut words = command.into_iter().map(Into::into);
        let program = words.next().unwrap();
        let parts = Stdio {
            gate: self.gate.clone(),
            caller: Self::caller("mcp"),
            server: "scripted".to_owned(),
            command: ChildCommand::wrapped(program, words.collect()),
        };
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(far);
        let serving = tokio::spawn(serve_stdio(parts, BufReader::new(reader), writer));
        let (reader, writer) = tokio::io::split(near);
        Client { lines: BufReader::new(reader).lines(), writer: Some(writer), serving, next: 1 }
    }

    /// The scripted server, behind HTTP, as `scripted`; and others.
    pub fn mcp(&self, others: Vec<McpServer>) -> Mcp {
        let scripted = McpServer { name: "scripted".to_owned(), transport: McpTransport::Command(command()) };
        let servers: Vec<McpServer> = std::iter::once(scripted).chain(others).collect();
        Mcp::new(self.gate.clone(), &servers, PathBuf::from("."))
    }
}

/// A client over pipes.
pub struct Client {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: Option<WriteHalf<DuplexStream>>,
    serving: JoinHandle<Result<(), Trouble>>,
    next: u64,
}

impl Client {
    pub async fn send_text(&mut self, line: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    pub async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn line(&mut self) -> String {
        within("a line from the proxy", self.lines.next_line()).await.unwrap().expect("the proxy goes on")
    }

    pub async fn message(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// Asks and gives the answer; what comes before it is given, too.
    pub async fn ask(&mut self, method: &str, params: Value) -> (Value, Vec<Value>) {
        let id = self.next;
        self.next += 1;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        let mut before = Vec::new();
        loop {
            let message = self.message().await;
            if message["id"] == id && message.get("method").is_none() {
                return (message, before);
            }
            before.push(message);
        }
    }

    pub async fn shake_hands(&mut self, capabilities: Value) {
        let client = json!({"name": "test", "version": "1"});
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client});
        let (answer, _) = self.ask("initialize", params).await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "scripted", "{answer}");
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    }

    /// Calls a tool and gives its result.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let (answer, _) = self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await;
        answer.get("result").cloned().unwrap_or(answer)
    }

    /// How many calls have really run.
    pub async fn ran(&mut self) -> u64 {
        self.call("count", json!({})).await["structuredContent"]["calls"].as_u64().unwrap()
    }

    pub async fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let (answer, _) = self.ask("tools/list", params).await;
            let tools = answer["result"]["tools"].as_array().unwrap();
            names.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
            match answer["result"].get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return names,
            }
        }
    }

    /// Closes its end and waits for the proxy's.
    pub async fn end(mut self) -> Result<(), Trouble> {
        self.writer.take().unwrap().shutdown().await.unwrap();
        within("the proxy to end", self.serving).await.unwrap()
    }
}

/// The text of a result.
pub fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {result}"))
}
