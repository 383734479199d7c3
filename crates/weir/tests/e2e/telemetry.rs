//! Traces, metrics over OTLP and the access log, as a collector and an operator get them from the real program.

use std::time::Duration;

use serde_json::{Value, json};
use weir_testkit::collector::ReceivedSpan;
use weir_testkit::http::Response;
use weir_testkit::weir::Signal;
use weir_testkit::{FakeCollector, Script, ScriptedUpstream, WeirCommand, WeirProcess, http};

use crate::support::{
    ADMIN_TOKEN, CANARY, PROMPT, admin, assert_no_canary, binary, decision_id, eventually, make_key,
    place_of, post, rule_for, secret_in, write,
};

/// The server that a test stands behind `/mcp/kit`.
#[test]
#[ignore = "a server for other tests, which start it"]
fn scripted_server() {
    weir_testkit::mcp::serve_if_asked();
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The stages of a request that is answered without a delay, in their order.
const STAGES: [&str; 11] = [
    "route", "admit", "read", "identify", "resolve", "precheck", "decide", "limit", "enforce", "send", "pass",
];

/// A weir with two providers, of which the first falls back to the second, and a tool server.
struct Scene {
    collector: FakeCollector,
    first: ScriptedUpstream,
    second: ScriptedUpstream,
    weir: WeirProcess,
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(variables: &[(&str, &str)]) -> Self {
        Self::before(FakeCollector::start().await, variables).await
    }

    async fn before(collector: FakeCollector, variables: &[(&str, &str)]) -> Self {
        let (first, second) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
        let endpoint = collector.endpoint();
        let mut command = WeirCommand::new(binary(), &config(&first, &second, &endpoint))
            .env("OTEL_BSP_SCHEDULE_DELAY", "20")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "100");
        for (name, value) in variables {
            command = command.env(name, value);
        }
        Self { weir: command.start().await, collector, first, second }
    }

    async fn ask(&self, key: &str, body: &Value, headers: &[(&str, &str)]) -> Response {
        let authorization = format!("Bearer {key}");
        let headers: Vec<_> =
            headers.iter().copied().chain([("authorization", authorization.as_str())]).collect();
        post(&self.weir, "/v1/chat/completions", &headers, body).await
    }

    /// The spans of the request that was answered so, once its server span is there.
    async fn trace_of(&self, answer: &Response) -> Trace {
        let decision = decision_id(answer);
        let spans = self.collector.wait_for("the trace of a request", |spans| {
            let server = spans
                .iter()
                .find(|span| span.kind == 2 && span.attributes["weir.decision.id"] == decision)?;
            Some(spans.iter().filter(|span| span.trace == server.trace).cloned().collect())
        });
        Trace(spans.await)
    }

    async fn value_of(&self, metric: &str) -> f64 {
        let answer = admin(&self.weir, "GET", "/metrics", &Value::Null).await;
        let of = |line: &&str| line.starts_with(metric) && !line.starts_with('#');
        answer
            .text()
            .lines()
            .filter(of)
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}

fn config(first: &ScriptedUpstream, second: &ScriptedUpstream, endpoint: &str) -> String {
    let apis = "[chat_completions, responses, messages, embeddings]";
    let server = json!(weir_testkit::mcp::command("telemetry::scripted_server"));
    format!(
        "admin: {{token: {ADMIN_TOKEN}}}\n\
         providers:\n\
         - {{name: first, base_url: \"{}\", apis: {apis}, api_key: first-canary-key}}\n\
         - {{name: second, base_url: \"{}\", apis: {apis}, api_key: second-canary-key}}\n\
         models:\n\
         - {{id: m/one, provider: first, upstream_model: one, fallbacks: [m/two]}}\n\
         - {{id: m/two, provider: second, upstream_model: two}}\n\
         failures: {{retries: {{attempts: 1, base: 50ms}}}}\n\
         abuse: {{quarantine: {{first: 120ms}}}}\n\
         tools: {{channel_permissions: {{mcp: read_only}}, levels: {{echo: read_only, fail: read_only}}, \
         mcp_servers: [{{name: kit, command: {server}}}]}}\n\
         telemetry: {{log_format: json, otlp_endpoint: \"{endpoint}\"}}\n",
        first.base_url(),
        second.base_url(),
    )
}

fn chat(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "stream_options": stream.then(|| json!({"include_usage": true})),
        "messages": [{"role": "user", "content": PROMPT}]})
}

/// The spans of one trace.
#[derive(Debug)]
struct Trace(Vec<ReceivedSpan>);

impl Trace {
    #[track_caller]
    fn server(&self) -> &ReceivedSpan {
        self.0.iter().find(|span| span.kind == 2).unwrap_or_else(|| panic!("no server span: {self:#?}"))
    }

    #[track_caller]
    fn named(&self, name: &str) -> &ReceivedSpan {
        self.0.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span `{name}`: {self:#?}"))
    }

    /// The calls of providers, in their order.
    fn attempts(&self) -> Vec<&ReceivedSpan> {
        let mut attempts: Vec<_> = self.0.iter().filter(|span| span.kind == 3).collect();
        attempts.sort_by_key(|span| span.attributes["weir.attempt"].as_i64());
        attempts
    }
}

fn ms(span: &ReceivedSpan) -> f64 {
    Duration::from_nanos(span.end_ns - span.start_ns).as_secs_f64() * 1e3
}

#[track_caller]
fn assert_attributes(span: &ReceivedSpan, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(span.attributes.get(*name), Some(value).filter(|v| !v.is_null()), "{name} of {span:#?}");
    }
}

#[tokio::test]
async fn a_request_is_a_tree_of_its_stages_and_its_call() {
    let scene = Scene::with(&[
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=collector-key"),
    ])
    .await;
    let key = make_key(&scene.weir, "one").await;
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    let answer = scene.ask(&key, &chat("m/two", false), &headers).await;
    assert_eq!(answer.status, 200);
    let trace = scene.trace_of(&answer).await;

    let server = trace.server();
    assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, "00f067aa0ba902b7"));
    assert_eq!((server.name.as_str(), server.failed), ("POST /v1/chat/completions", false));
    assert_attributes(
        server,
        &[
            ("http.request.method", json!("POST")),
            ("http.route", json!("/v1/chat/completions")),
            ("http.response.status_code", json!(200)),
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.request.model", json!("m/two")),
            ("weir.decision.action", json!("nothing")),
            ("error.type", Value::Null),
            ("weir.delay_ms", Value::Null),
        ],
    );
    assert_eq!(server.resource["service.name"], "edge");
    assert_eq!(server.resource["deployment.environment.name"], "test");
    assert!(scene.collector.headers().iter().all(|headers| headers["api-key"] == "collector-key"));

    for stage in STAGES {
        let span = trace.named(stage);
        assert_eq!((span.parent.as_str(), span.kind), (server.id.as_str(), 1), "{span:#?}");
        assert!(server.start_ns <= span.start_ns && span.end_ns <= server.end_ns, "{span:#?} in {server:#?}");
    }
    let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert_eq!(
        (attempt.name.as_str(), attempt.parent.as_str()),
        ("chat two", trace.named("send").id.as_str())
    );
    assert_attributes(
        attempt,
        &[
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("second")),
            ("gen_ai.request.model", json!("two")),
            ("gen_ai.response.model", json!("two")),
            ("gen_ai.response.finish_reasons", json!(["stop"])),
            ("gen_ai.request.stream", json!(false)),
            ("gen_ai.usage.input_tokens", json!(weir_testkit::upstream::INPUT_TOKENS)),
            ("gen_ai.usage.output_tokens", json!(weir_testkit::upstream::OUTPUT_TOKENS)),
            ("error.type", Value::Null),
        ],
    );
    // The provider's own spans belong below the call.
    let sent = scene.second.last();
    assert_eq!(sent.header("traceparent"), Some(format!("00-{TRACE}-{}-01", attempt.id).as_str()));
    assert_eq!(sent.header("tracestate"), Some("vendor=1"));

    let ids: std::collections::HashSet<_> = trace.0.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), trace.0.len(), "ids are unique: {trace:#?}");
    assert_eq!(scene.collector.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_stream_s_call_lasts_to_its_end_and_knows_its_first_piece() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/two", true), &[]).await;
    assert!(answer.text().contains("[DONE]"));
    let trace = scene.trace_of(&answer).await;
    let server = trace.server();
    assert_eq!(server.parent, "", "a trace of its own");
    let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert_attributes(
        attempt,
        &[
            ("gen_ai.request.stream", json!(true)),
            ("gen_ai.usage.output_tokens", json!(weir_testkit::upstream::OUTPUT_TOKENS)),
        ],
    );
    let first = attempt.attributes["gen_ai.response.time_to_first_chunk"].as_f64().unwrap();
    assert!(first > 0.0 && first * 1e3 <= ms(attempt), "{attempt:#?}");
    assert_eq!((attempt.end_ns, trace.named("pass").end_ns), (server.end_ns, server.end_ns), "{trace:#?}");
    // The same trace that the provider was told of.
    assert!(scene.second.last().header("traceparent").unwrap().contains(&attempt.id));
}

#[tokio::test]
async fn why_the_model_stopped_is_told_for_every_api_streamed_or_not() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let authorization = format!("Bearer {key}");
    let table = [("chat/completions", "stop"), ("messages", "end_turn"), ("responses", "completed")];
    for ((path, reason), stream) in table.into_iter().flat_map(|row| [(row, false), (row, true)]) {
        let mut body = json!({"model": "m/two", "stream": stream, "max_tokens": 100,
            "messages": [{"role": "user", "content": PROMPT}]});
        if path == "responses" {
            body = json!({"model": "m/two", "stream": stream, "input": PROMPT});
        }
        let headers = [("authorization", authorization.as_str())];
        let answer = post(&scene.weir, &format!("/v1/{path}"), &headers, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let trace = scene.trace_of(&answer).await;
        let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
        assert_attributes(attempt, &[("gen_ai.response.finish_reasons", json!([reason]))]);
    }
    // What is no word of the protocol could be anything.
    scene.second.respond_with(Script::json(
        200,
        &json!({"id": "1", "object": "chat.completion", "model": "two", "choices": [
            {"index": 0, "finish_reason": "canary said so", "message": {"role": "assistant", "content": "x"}},
            {"index": 1, "finish_reason": "length", "message": {"role": "assistant", "content": "y"}},
        ]}),
    ));
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    let trace = scene.trace_of(&answer).await;
    let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert_attributes(attempt, &[("gen_ai.response.finish_reasons", json!(["_OTHER", "length"]))]);
}

#[tokio::test]
async fn each_failed_attempt_is_a_call_with_its_class() {
    let scene = Scene::new().await;
    scene.first.respond_with(Script::error(500, "server_error", "it broke"));
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/one", false), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let trace = scene.trace_of(&answer).await;
    let [failed, served] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert!(failed.failed && !served.failed && !trace.server().failed, "{trace:#?}");
    assert_attributes(
        failed,
        &[
            ("error.type", json!("upstream_5xx")),
            ("weir.error.owner", json!("provider")),
            ("http.response.status_code", json!(500)),
            ("gen_ai.provider.name", json!("first")),
            ("gen_ai.usage.input_tokens", Value::Null),
        ],
    );
    assert_attributes(served, &[("error.type", Value::Null), ("gen_ai.provider.name", json!("second"))]);
    assert!(failed.end_ns <= served.start_ns, "{trace:#?}");

    scene.second.respond_with(Script::cut_mid_stream([
        "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
    ]));
    let answer = scene.ask(&key, &chat("m/two", true), &[]).await;
    let trace = scene.trace_of(&answer).await;
    let [broken] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert!(broken.failed && broken.attributes["error.type"].is_string(), "{broken:#?}");

    // A policy's refusal is an answer and no error of weir's.
    write(&scene.weir, "POST", "/api/rules", &rule_for("blocked", &json!("block")), 201).await;
    let blocked = make_key(&scene.weir, "blocked").await;
    let answer = eventually("the rule to block", async || {
        let answer = scene.ask(&blocked, &chat("m/two", false), &[]).await;
        (answer.status == 403).then_some(answer)
    });
    let trace = scene.trace_of(&answer.await).await;
    assert!(trace.attempts().is_empty() && !trace.server().failed, "{trace:#?}");
    assert_attributes(
        trace.server(),
        &[
            ("weir.decision.action", json!("block")),
            ("weir.decision.rule", json!("of-blocked")),
            ("weir.ended_at", json!("enforce")),
            ("http.response.status_code", json!(403)),
        ],
    );
}

#[tokio::test]
async fn a_quarantine_shows_to_operators_alone_and_its_delay_is_no_overhead() {
    let scene = Scene::new().await;
    write(&scene.weir, "POST", "/api/rules", &rule_for("slow", &json!("quarantine-1")), 201).await;
    let key = make_key(&scene.weir, "slow").await;
    let (answer, trace) = eventually("the rule to slow down", async || {
        let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
        let trace = scene.trace_of(&answer).await;
        (trace.server().attributes["weir.decision.action"] == "quarantine-1").then_some((answer, trace))
    })
    .await;
    assert_eq!(answer.status, 200);
    let told: Vec<String> = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    assert!(!told.concat().contains("quarantine") && !told.concat().contains("delay"), "{told:?}");
    assert!(!scene.second.last().headers.iter().any(|(_, value)| value.as_bytes() == b"quarantine-1"));

    let server = trace.server();
    assert_attributes(server, &[("weir.delay_ms", json!(120)), ("weir.decision.rule", json!("of-slow"))]);
    let overhead = server.attributes["weir.overhead_ms"].as_f64().unwrap();
    let hold = trace.named("hold");
    assert!(
        ms(hold) >= 120.0 && ms(server) - ms(hold) >= overhead && overhead < ms(server) - 119.0,
        "{trace:#?}"
    );
    assert!(scene.value_of("weir_quarantine_delay_seconds_sum").await >= 0.12);
    assert!(scene.value_of("weir_quarantine_delay_seconds_count").await >= 1.0);
}

/// A client of `/mcp/kit` that has shaken hands.
async fn mcp(scene: &Scene, key: &str, session: Option<&str>, message: &Value) -> Response {
    let authorization = format!("Bearer {key}");
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("traceparent", PARENT),
    ];
    headers.extend(session.map(|session| ("mcp-session-id", session)));
    let url = format!("{}/mcp/kit", scene.weir.data());
    http::request("POST", &url, &headers, message.to_string()).await
}

async fn begin_mcp(scene: &Scene, key: &str) -> String {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let begin = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let answer = mcp(scene, key, None, &begin).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = answer.header("mcp-session-id").unwrap().to_owned();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(mcp(scene, key, Some(&session), &ready).await.status, 202);
    session
}

async fn call_tool(scene: &Scene, key: &str, session: &str, name: &str) -> ReceivedSpan {
    let arguments = json!({"text": "canary-argument"});
    let call = json!({"jsonrpc": "2.0", "id": name, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let answer = mcp(scene, key, Some(session), &call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let span = format!("execute_tool {name}");
    let spans = scene.collector.wait_for(&span, |spans| {
        let of_tool = spans.iter().find(|found| found.name == span)?.clone();
        spans.iter().any(|parent| parent.id == of_tool.parent).then_some(of_tool)
    });
    spans.await
}

#[tokio::test]
async fn a_tool_s_call_belongs_to_the_request_that_made_it() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let session = begin_mcp(&scene, &key).await;
    let table = [
        // What the tool is, how it ended, its error, what was decided.
        ("echo", "ran", Value::Null, "allow", Value::Null),
        ("fail", "failed", json!("tool_error"), "allow", Value::Null),
        ("die", "denied", json!("tool_error"), "deny", json!("session_forbidden")),
    ];
    for (name, ended, error, action, kind) in table {
        let span = call_tool(&scene, &key, &session, name).await;
        assert_eq!(span.trace, TRACE, "{span:#?}");
        let parent = scene.collector.spans().into_iter().find(|other| other.id == span.parent).unwrap();
        assert_eq!((parent.name.as_str(), parent.kind), ("POST /mcp/{server}", 2));
        assert_attributes(
            &span,
            &[
                ("gen_ai.operation.name", json!("execute_tool")),
                ("gen_ai.tool.name", json!(name)),
                ("mcp.method.name", json!("tools/call")),
                ("weir.tool.server", json!("kit")),
                ("weir.tool.channel", json!("mcp")),
                ("weir.tool.ended", json!(ended)),
                ("weir.decision.action", json!(action)),
                ("weir.denial.kind", kind),
                ("error.type", error),
            ],
        );
    }
    // A method that somebody has made up is none of the labels.
    let odd = json!({"jsonrpc": "2.0", "id": "odd", "method": "canary/method", "params": {}});
    assert_eq!(mcp(&scene, &key, Some(&session), &odd).await.status, 200);
    let shown = metrics(&scene.weir).await;
    for (side, method, error, count) in [
        ("server", "initialize", "", 1),
        ("client", "initialize", "", 1),
        ("server", "tools/call", "", 1),
        ("client", "tools/call", "", 1),
        // The tool that failed; weir's own denial never came to the tool server.
        ("server", "tools/call", "tool_error", 2),
        ("client", "tools/call", "tool_error", 1),
        ("server", "_OTHER", "", 1),
        ("client", "_OTHER", "", 1),
    ] {
        let series = format!(
            "mcp_{side}_operation_duration_seconds_count{{mcp_method_name=\"{method}\",error_type=\"{error}\"}} {count}\n"
        );
        assert!(shown.contains(&series), "{series} in {shown}");
    }
    assert_no_canary_anywhere(&scene).await;
}

async fn assert_no_canary_anywhere(scene: &Scene) {
    assert_no_canary(&scene.weir).await;
    let bytes = scene.collector.bytes();
    assert!(!bytes.is_empty() && place_of(&bytes, "weir.decision.id").is_some());
    if let Some((at, secret)) = secret_in(&bytes) {
        let around = &bytes[at.saturating_sub(100)..(at + 60).min(bytes.len())];
        panic!("the collector was sent `{secret}`: {}", String::from_utf8_lossy(around));
    }
}

#[tokio::test]
async fn no_prompt_key_header_or_made_up_path_reaches_the_collector_the_log_or_the_metrics() {
    let scene = Scene::new().await;
    scene.first.respond_with(Script::error(
        400,
        "canary_code",
        &format!("you said `{PROMPT}` with first-canary-key"),
    ));
    let key = make_key(&scene.weir, "one").await;
    let headers = [
        ("cookie", "session=canary"),
        ("x-anything", "canary"),
        ("user-agent", "canary/1"),
        ("x-weir-feature", "canary"),
        ("tracestate", "canary=1"),
        ("x-weir-byok", "own-canary-key"),
    ];
    for model in ["m/one", "m/two", "canary/model"] {
        for stream in [false, true] {
            let answer = scene.ask(&key, &chat(model, stream), &headers).await;
            scene.trace_of(&answer).await;
        }
    }
    for path in ["/v1/canary", "/canary", "/mcp/canary"] {
        let authorization = format!("Bearer {key}");
        let answer =
            post(&scene.weir, path, &[("authorization", &authorization)], &chat("m/two", false)).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let (unknown, body) = ([("authorization", "Bearer canary")], chat("m/two", false));
    assert_eq!(post(&scene.weir, "/v1/chat/completions", &unknown, &body).await.status, 401);
    scene.collector.wait_for_metric("weir_requests_total").await;
    // The records show what an operator may see of a request, the model that was asked for and the user agent among it.
    let bytes = scene.collector.bytes();
    for (place, bytes) in [("the collector", bytes), ("/metrics", metrics(&scene.weir).await.into_bytes())] {
        assert_eq!(secret_in(&bytes), None, "{place}");
    }
    let lines = access_lines(&scene.weir, 10).await;
    for line in lines {
        assert!(!line.to_string().contains(CANARY), "{line}");
    }
}

async fn metrics(weir: &WeirProcess) -> String {
    admin(weir, "GET", "/metrics", &Value::Null).await.text().to_owned()
}

/// The lines of the access log, once there are so many.
async fn access_lines(weir: &WeirProcess, count: usize) -> Vec<Value> {
    eventually("the access log", async || {
        let stderr = weir.stderr();
        let lines = stderr.lines().filter(|line| line.contains("\"weir::access\""));
        let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn metrics_are_sent_as_they_are_shown() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    scene.ask(&key, &chat("m/two", true), &[]).await;
    scene.collector.wait_for_metric("gen_ai.client.operation.time_to_first_chunk").await;
    let points = scene.collector.points();
    let usage = points.iter().rfind(|point| {
        point.metric == "gen_ai.client.token.usage" && point.attributes["gen_ai.token.type"] == "output"
    });
    let usage = usage.unwrap();
    let expected = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "second"),
        ("gen_ai.request.model", "m/two"),
    ];
    for (name, value) in expected {
        assert_eq!(usage.attributes[name], value, "{usage:?}");
    }
    assert_eq!((usage.unit.as_str(), usage.value), ("{token}", weir_testkit::upstream::OUTPUT_TOKENS as f64));
    assert_eq!((usage.bounds[0], usage.buckets.iter().sum::<u64>()), (1.0, 1));
    let duration = points.iter().rfind(|point| point.metric == "gen_ai.client.operation.duration").unwrap();
    assert_eq!((duration.unit.as_str(), &duration.attributes["error.type"]), ("s", &json!("")));
    assert!(points.iter().any(|point| point.metric == "weir_policy_epoch"));
    assert_eq!(scene.collector.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_collector_in_trouble_costs_spans_and_one_line_and_no_request() {
    let mut scene = Scene::with(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]).await;
    let key = make_key(&scene.weir, "one").await;
    scene.collector.hang(4);
    scene.collector.refuse(400, 2);
    for _ in 0..20 {
        assert_eq!(scene.ask(&key, &chat("m/two", false), &[]).await.status, 200);
    }
    scene.collector.wait_for_answers().await;
    // It is well again, and what comes from now on arrives.
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.trace_of(&answer).await;
    eventually("the lost spans to be counted", async || {
        (scene.value_of("weir_telemetry_exports_total{signal=\"traces\",result=\"sent\"}").await > 0.0)
            .then_some(())
    })
    .await;
    assert!(scene.value_of("weir_telemetry_exports_total").await > 1.0);
    eventually("a rejection to be counted", async || {
        // Each time: an answer that comes too late for the exporter is not counted.
        scene.collector.reject_once(1_000_000);
        scene.ask(&key, &chat("m/two", false), &[]).await;
        (scene.value_of("weir_telemetry_spans_total{result=\"rejected\"}").await > 0.0).then_some(())
    })
    .await;
    for signal in ["traces", "metrics"] {
        let told = scene.weir.stderr().matches(&format!("\"signal\":\"{signal}\",\"cause\"")).count();
        assert!(told <= 2, "{signal} was told {told} times: {}", scene.weir.stderr());
    }
    scene.collector.recover();
    scene.collector.hang(100);
    // So that there is something to send at the end.
    scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.weir.signal(Signal::TERM);
    assert_eq!(scene.weir.wait().await.code(), Some(0), "{}", scene.weir.stderr());
    // Three tries take two of the three seconds: it has given up by itself, or was cut off in a second round of them.
    eventually("the loss to be told", async || {
        let log = scene.weir.stderr();
        let lost = log.rfind("telemetry is lost") > log.rfind("telemetry is taken again");
        (lost || log.contains("could not be sent")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_is_gone_is_noted_where_health_is_shown_and_keeps_weir_ready() {
    let scene = Scene::with(&[("OTEL_METRIC_EXPORT_INTERVAL", "3600000")]).await;
    let key = make_key(&scene.weir, "one").await;
    let health = async || admin(&scene.weir, "GET", "/readyz", &Value::Null).await;
    let noted = |answer: &Response| answer.json()["dependencies"]["telemetry"].clone();
    assert_eq!(noted(&health().await)["state"], "up");
    scene.collector.refuse(418, 1);
    scene.ask(&key, &chat("m/two", false), &[]).await;
    let seen = eventually("the loss to be noted", async || {
        let answer = health().await;
        (noted(&answer)["state"] == "degraded").then_some(answer)
    });
    let seen = seen.await;
    assert_eq!((seen.status, &seen.json()["status"]), (200, &json!("ready")), "{}", seen.text());
    assert!(noted(&seen)["error"].as_str().unwrap().contains("418"), "{}", seen.text());
    eventually("the collector to be well again", async || {
        scene.ask(&key, &chat("m/two", false), &[]).await;
        (noted(&health().await)["state"] == "up").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_collector_behind_tls_is_trusted_by_the_authority_that_is_set_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    let collector = FakeCollector::start_tls().await;
    std::fs::write(&file, FakeCollector::AUTHORITY).unwrap();
    let scene = Scene::before(collector, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap())]).await;
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.trace_of(&answer).await;
    scene.collector.wait_for_metric("weir_policy_epoch").await;
    assert_eq!(scene.collector.faults(), Vec::<String>::new());

    let stranger = Scene::before(FakeCollector::start_tls().await, &[]).await;
    let key = make_key(&stranger.weir, "one").await;
    assert_eq!(stranger.ask(&key, &chat("m/two", false), &[]).await.status, 200);
    eventually("the certificate to be refused", async || {
        stranger.weir.stderr().contains("invalid peer certificate").then_some(())
    })
    .await;
    assert!(stranger.collector.spans().is_empty() && stranger.collector.bytes().is_empty());
}

#[tokio::test]
async fn the_last_spans_are_sent_at_the_end() {
    let mut scene = Scene::with(&[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]).await;
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.weir.signal(Signal::TERM);
    assert_eq!(scene.weir.wait().await.code(), Some(0));
    scene.trace_of(&answer).await;
}

#[tokio::test]
async fn without_an_endpoint_the_caller_s_context_passes_as_it_came() {
    let (first, second) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let weir = WeirProcess::start(binary(), &config(&first, &second, "")).await;
    let key = make_key(&weir, "one").await;
    let authorization = format!("Bearer {key}");
    for given in [PARENT, "what the caller calls a context"] {
        let headers = [("authorization", authorization.as_str()), ("traceparent", given)];
        assert_eq!(post(&weir, "/v1/chat/completions", &headers, &chat("m/two", false)).await.status, 200);
        assert_eq!(second.last().header("traceparent"), Some(given));
    }
}

#[tokio::test]
async fn a_trace_that_is_not_kept_is_passed_on_and_not_sent() {
    let scene = Scene::with(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await;
    let key = make_key(&scene.weir, "one").await;
    assert_eq!(scene.ask(&key, &chat("m/two", false), &[]).await.status, 200);
    let sent = scene.second.last().header("traceparent").unwrap().to_owned();
    assert!(sent.ends_with("-00"), "{sent}");
    let kept = scene.ask(&key, &chat("m/two", false), &[("traceparent", PARENT)]).await;
    let trace = scene.trace_of(&kept).await;
    assert_eq!(trace.server().trace, TRACE);
    assert!(scene.collector.spans().iter().all(|span| span.trace == TRACE));
}

#[tokio::test]
async fn each_request_has_one_line_in_the_access_log() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let before = access_lines(&scene.weir, 0).await.len();
    let answer =
        scene.ask(&key, &chat("m/two", false), &[("x-request-id", "mine-1"), ("traceparent", PARENT)]).await;
    let refused = scene.ask(&key, &chat("canary/model", false), &[]).await;
    assert_eq!(refused.status, 404);
    let lines = access_lines(&scene.weir, before + 2).await;
    let line = lines.iter().find(|line| line["request_id"] == "mine-1").unwrap();
    let expected = [
        ("level", json!("INFO")),
        ("message", json!("request")),
        ("decision", json!(decision_id(&answer))),
        ("trace_id", json!(TRACE)),
        ("operation", json!("chat_completions")),
        ("model", json!("m/two")),
        ("upstream", json!("second")),
        ("status", json!(200)),
        ("outcome", json!("nothing")),
        ("delay_ms", json!(0)),
        ("attempts", json!(1)),
        ("input_tokens", json!(weir_testkit::upstream::INPUT_TOKENS)),
        ("output_tokens", json!(weir_testkit::upstream::OUTPUT_TOKENS)),
        ("client_gone", json!(false)),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name} of {line}");
    }
    assert!(line["overhead_ms"].as_f64().unwrap() <= line["duration_ms"].as_f64().unwrap(), "{line}");
    let refused = lines.iter().find(|line| line["decision"] == decision_id(&refused)).unwrap();
    assert_eq!(
        (&refused["status"], &refused["model"], &refused["ended_at"]),
        (&json!(404), &Value::Null, &json!("identify"))
    );
    assert_eq!(lines.len(), before + 2, "one for each request: {lines:#?}");
    assert!(lines.iter().all(|line| line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z'))));
}

#[tokio::test]
async fn the_access_log_can_be_turned_off_by_the_filter_and_is_not_for_people() {
    for telemetry in ["{log_format: json, log: \"info,weir::access=off\"}", "{log_format: pretty}"] {
        let upstream = ScriptedUpstream::start().await;
        let mut weir = WeirProcess::start(
            binary(),
            &crate::support::config(&upstream, &format!("telemetry: {telemetry}")),
        )
        .await;
        let key = make_key(&weir, "one").await;
        assert_eq!(crate::support::ask(&weir, &key, "vendor/paid").await.status, 200);
        weir.signal(Signal::TERM);
        weir.wait().await;
        assert!(!weir.stderr().contains("weir::access"), "{telemetry}: {}", weir.stderr());
    }
}
