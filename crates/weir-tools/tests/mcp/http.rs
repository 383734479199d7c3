//! `/mcp/{server}`: sessions, streams, the era without sessions, and what bad requests get.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use weir_core::tool::CallSource;
use weir_testkit::deadline::within;
use weir_tools::Caller;
use weir_tools::mcp::{Mcp, McpBody};

use crate::support::{Bench, text};

/// The server behind it, unless another is meant.
pub const PATH: &str = "/mcp/scripted";

const BOTH: &str = "application/json, text/event-stream";

pub struct Web {
    pub mcp: Mcp,
    pub user: &'static str,
    pub session: Option<String>,
    pub path: &'static str,
}

/// An answer, read to its end.
pub struct Answered {
    status: u16,
    pub headers: HeaderMap,
    pub messages: Vec<Value>,
}

impl Web {
    pub fn new(bench: &Bench) -> Self {
        Self { mcp: bench.mcp(Vec::new()), user: "ada", session: None, path: PATH }
    }

    async fn begin(&self, method: &str, headers: &[(&str, &str)], body: String) -> Response<McpBody> {
        let mut request = Request::builder().method(method).uri(self.path).header("accept", BOTH);
        if method == "POST" {
            request = request.header("content-type", "application/json");
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let caller = Caller::user(self.user, "mcp", CallSource::Channel);
        within("the head of an answer", self.mcp.handle(request, caller)).await
    }

    async fn text(&self, method: &str, headers: &[(&str, &str)], body: String) -> Answered {
        let (head, body) = self.begin(method, headers, body).await.into_parts();
        let bytes = within("the end of an answer", body.collect()).await.unwrap().to_bytes();
        let body = std::str::from_utf8(&bytes).unwrap();
        let messages = if head.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            body.lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .map(|d| serde_json::from_str(d).unwrap())
                .collect()
        } else if body.is_empty() {
            Vec::new()
        } else {
            vec![serde_json::from_str(body).unwrap()]
        };
        Answered { status: head.status.as_u16(), headers: head.headers, messages }
    }

    pub async fn post(&self, headers: &[(&str, &str)], message: Value) -> Answered {
        self.text("POST", headers, message.to_string()).await
    }

    pub async fn shake_hands(&mut self) {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = self
            .post(&[], json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))
            .await;
        assert_eq!(answer.status, 200, "{:?}", answer.messages);
        self.session = Some(answer.headers["mcp-session-id"].to_str().unwrap().to_owned());
        let ready = self.post(&[], json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!((ready.status, ready.messages.len()), (202, 0));
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> Answered {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": 5}});
        self.post(&[], json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": params})).await
    }
}

impl Answered {
    pub fn last(&self) -> &Value {
        self.messages.last().unwrap()
    }

    fn code(&self) -> (u16, i64) {
        (self.status, self.last()["error"]["code"].as_i64().unwrap_or_default())
    }
}

const NO_ECHO: &str = "- {id: no-echo, on: tool, when: tool.name == \"echo\" && identity.user_id == \"eve\", then: deny, because: No.}\n";

#[tokio::test]
async fn a_session_is_its_users_own_and_ends_with_delete() {
    let bench = Bench::new(NO_ECHO).await;
    let mut ada = Web::new(&bench);
    ada.shake_hands().await;
    assert_eq!(text(&ada.call("echo", json!({"a": 1})).await.last()["result"]), r#"{"a":1}"#);
    // Whoever has the id but another key has no session.
    let stolen = Web { mcp: ada.mcp.clone(), user: "eve", session: ada.session.clone(), path: PATH };
    assert_eq!(stolen.call("echo", json!({})).await.code(), (404, -32600));
    let mut eve = Web { mcp: ada.mcp.clone(), user: "eve", session: None, path: PATH };
    eve.shake_hands().await;
    assert_eq!(eve.call("echo", json!({})).await.last()["result"]["structuredContent"]["rule"], "no-echo");
    assert_eq!(ada.text("DELETE", &[], String::new()).await.status, 200);
    assert_eq!(ada.call("echo", json!({})).await.status, 404);
    assert_eq!(eve.call("count", json!({})).await.last()["result"]["structuredContent"]["calls"], 0);
    ada.mcp.shutdown().await;
}

#[tokio::test]
async fn what_comes_before_an_answer_makes_it_a_stream() {
    let bench = Bench::new("").await;
    let mut web = Web::new(&bench);
    web.shake_hands().await;
    let answer = web.call("progress", json!({})).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let steps: Vec<_> = answer.messages.iter().map(|m| &m["params"]["progress"]).collect();
    assert_eq!(steps, [&json!(1), &json!(2), &Value::Null]);
    // What the server asks goes where the client surely listens, and its answer comes by another request.
    let mut asking = web
        .begin(
            "POST",
            &[],
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask"}}).to_string(),
        )
        .await
        .into_body();
    let event = within("the question", asking.frame()).await.unwrap().unwrap().into_data().unwrap();
    let question: Value =
        serde_json::from_str(std::str::from_utf8(&event).unwrap().split("data: ").nth(1).unwrap()).unwrap();
    assert_eq!(question["method"], "elicitation/create");
    let said = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    assert_eq!(web.post(&[], said).await.status, 202);
    let rest = within("the answer", asking.collect()).await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&rest).unwrap().contains("decline"));
    web.mcp.shutdown().await;
}

#[tokio::test]
async fn what_belongs_to_no_request_goes_to_who_listens() {
    let bench = Bench::new("").await;
    let mut web = Web::new(&bench);
    web.shake_hands().await;
    let mut general = web.begin("GET", &[], String::new()).await;
    assert_eq!(general.status(), 200);
    assert_eq!(web.text("GET", &[], String::new()).await.status, 409);
    assert_eq!(web.call("change", json!({})).await.messages.len(), 1);
    let event =
        within("the notification", general.body_mut().frame()).await.unwrap().unwrap().into_data().unwrap();
    assert!(std::str::from_utf8(&event).unwrap().contains("list_changed"));
    web.mcp.shutdown().await;
}

pub fn modern(id: &str, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": id,
    });
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[tokio::test]
async fn without_sessions_all_share_one_server_and_keep_their_own_ids() {
    let bench = Bench::new(NO_ECHO).await;
    let ada = Web::new(&bench);
    let eve = Web { mcp: ada.mcp.clone(), user: "eve", session: None, path: PATH };
    let head = |name: &'static str| {
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", name)]
    };
    let progress = || modern("same", "tools/call", json!({"name": "progress"}));
    let headers = head("progress");
    let (one, two) = tokio::join!(ada.post(&headers, progress()), eve.post(&headers, progress()));
    for answer in [&one, &two] {
        assert_eq!(answer.last()["id"], "same");
        assert_eq!(answer.messages.len(), 3, "{:?}", answer.messages);
        assert_eq!(answer.messages[0]["params"]["progressToken"], "same");
    }
    let denied = eve.post(&head("echo"), modern("e", "tools/call", json!({"name": "echo"}))).await;
    assert_eq!(
        (&denied.last()["result"]["resultType"], &denied.last()["result"]["isError"]),
        (&json!("complete"), &json!(true))
    );
    let ran = ada.post(&head("count"), modern("n", "tools/call", json!({"name": "count"}))).await;
    assert_eq!(ran.last()["result"]["structuredContent"]["calls"], 2);
    ada.mcp.shutdown().await;
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let bench = Bench::new("").await;
    let mut web = Web::new(&bench);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let call = modern("x", "tools/call", json!({"name": "echo"})).to_string();
    let version = ("mcp-protocol-version", "2026-07-28");
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, String, (u16, i64));
    let table: Vec<Case<'_>> = vec![
        ("PUT", vec![], ping.clone(), (405, -32600)),
        ("GET", vec![], String::new(), (405, -32600)),
        ("POST", vec![], "nonsense".to_owned(), (400, -32700)),
        ("POST", vec![], format!("[{ping}]"), (400, -32600)),
        ("POST", vec![], ping.clone(), (400, -32600)),
        ("POST", vec![("mcp-session-id", "none")], ping.clone(), (404, -32600)),
        (
            "POST",
            vec![("origin", "http://evil.example"), ("host", "evil.example")],
            ping.clone(),
            (403, -32600),
        ),
        ("POST", vec![("mcp-protocol-version", "latest")], ping.clone(), (400, -32022)),
        ("POST", vec![("mcp-method", "tools/list")], ping.clone(), (400, -32020)),
        (
            "POST",
            vec![version, ("mcp-method", "tools/call"), ("mcp-name", "other")],
            call.clone(),
            (400, -32020),
        ),
        (
            "POST",
            vec![version, ("mcp-method", "tools/list"), ("mcp-name", "echo")],
            call.clone(),
            (400, -32020),
        ),
        ("POST", vec![("mcp-method", "tools/call"), ("mcp-name", "echo")], call.clone(), (400, -32020)),
        ("POST", vec![], format!("\"{}\"", "x".repeat(17 << 20)), (413, -32600)),
        ("DELETE", vec![], String::new(), (400, -32600)),
    ];
    for (method, headers, body, expected) in table {
        let said = body.get(..100).unwrap_or(&body).to_owned();
        assert_eq!(web.text(method, &headers, body).await.code(), expected, "{method} {headers:?} {said}");
    }
    web.shake_hands().await;
    let json_only = Request::post("/mcp/scripted")
        .header("content-type", "text/plain")
        .body(Full::new(Bytes::from(ping)));
    let caller = Caller::user("ada", "mcp", CallSource::Channel);
    assert_eq!(web.mcp.handle(json_only.unwrap(), caller.clone()).await.status(), 415);
    let elsewhere = Request::post("/mcp/nowhere").body(Full::new(Bytes::new())).unwrap();
    assert_eq!(web.mcp.handle(elsewhere, caller).await.status(), 404);
    web.mcp.shutdown().await;
}

#[tokio::test]
async fn a_configured_server_sees_none_of_our_environment_but_what_programs_need() {
    let bench = Bench::new("").await;
    let mut web = Web::new(&bench);
    web.shake_hands().await;
    let answer = web.call("environment", json!({})).await;
    let names = text(&answer.last()["result"]).to_owned();
    assert!(names.split(' ').any(|name| name == "PATH"), "{names}");
    assert!(!names.contains("CARGO"), "{names}");
    web.mcp.shutdown().await;
}
