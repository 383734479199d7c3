//! Traces, metrics over OTLP and the access log, as a collector and an operator get them from the real program.

mod access_log;
mod collector;
mod requests;
mod tools;

use serde_json::{Value, json};
use weir_testkit::collector::ReceivedSpan;
use weir_testkit::http::Response;
use weir_testkit::{FakeCollector, ScriptedUpstream, WeirCommand, WeirProcess};

use crate::support::{ADMIN_TOKEN, PROMPT, admin, binary, decision_id, post};

/// The server that a test stands behind `/mcp/kit`.
#[test]
#[ignore = "a server for other tests, which start it"]
fn scripted_server() {
    weir_testkit::mcp::serve_if_asked();
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

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

#[track_caller]
fn assert_attributes(span: &ReceivedSpan, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(span.attributes.get(*name), Some(value).filter(|v| !v.is_null()), "{name} of {span:#?}");
    }
}

async fn metrics(weir: &WeirProcess) -> String {
    admin(weir, "GET", "/metrics", &Value::Null).await.text().to_owned()
}
