//! Reports of provider failures, from the provider's answer to Sentry, through the real program.

use serde_json::Value;
use weir_testkit::http::Raw;
use weir_testkit::weir::Signal;
use weir_testkit::{FakeSentry, Script, ScriptedUpstream, WeirProcess};

use crate::support::{ADMIN_TOKEN, binary, chat, make_key, post, read};

/// Two providers with a model each, of which the first falls back to the second.
fn config(sentry: &FakeSentry, first: &ScriptedUpstream, second: &ScriptedUpstream) -> String {
    let apis = "[chat_completions, responses, messages, embeddings]";
    format!(
        "admin: {{token: {ADMIN_TOKEN}}}\n\
         providers:\n\
         - {{name: first, base_url: \"{}\", apis: {apis}, api_key: first-key}}\n\
         - {{name: second, base_url: \"{}\", apis: {apis}, api_key: second-key}}\n\
         models:\n\
         - {{id: m/one, provider: first, upstream_model: one, fallbacks: [m/two]}}\n\
         - {{id: m/two, provider: second, upstream_model: two}}\n\
         failures: {{sentry_dsn: \"{}\", report_window: 1s, retries: {{attempts: 1, base: 50ms}}}}\n\
         telemetry: {{log_format: json}}\n",
        first.base_url(),
        second.base_url(),
        sentry.dsn()
    )
}

struct Scene {
    sentry: FakeSentry,
    first: ScriptedUpstream,
    second: ScriptedUpstream,
    weir: WeirProcess,
}

impl Scene {
    async fn new() -> Self {
        let sentry = FakeSentry::start().await;
        let (first, second) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
        let weir = WeirProcess::start(binary(), &config(&sentry, &first, &second)).await;
        Self { sentry, first, second, weir }
    }

    async fn ask(&self, key: &str, model: &str) -> u16 {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str())];
        post(&self.weir, "/v1/chat/completions", &headers, &chat(model)).await.status
    }

    /// Ends the program, which tells everything that is still to be told. What Sentry was sent, and the log's lines of
    /// failures.
    async fn end(mut self) -> (Vec<Value>, Vec<Value>) {
        self.weir.signal(Signal::TERM);
        assert_eq!(self.weir.wait().await.code(), Some(0), "{}", self.weir.stderr());
        assert_eq!(self.sentry.faults(), Vec::<String>::new());
        let stderr = self.weir.stderr();
        let lines = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        (self.sentry.events(), lines.filter(|line| line["domain"] == "llm_provider").collect())
    }
}

fn error(status: u16, kind: &str, message: &str) -> Script {
    Script::error(status, kind, message)
}

/// The counts of the metric of failures, by outcome.
async fn outcomes(weir: &WeirProcess) -> [u64; 3] {
    let answer = crate::support::admin(weir, "GET", "/metrics", &Value::Null).await;
    ["reported", "suppressed", "expected"].map(|outcome| {
        let lines = answer.text().lines().filter(|line| line.starts_with("weir_failures_total{"));
        let of = lines.filter(|line| line.contains(&format!("outcome=\"{outcome}\"")));
        of.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    })
}

#[tokio::test]
async fn one_user_s_rate_limits_make_no_event() {
    let scene = Scene::new().await;
    scene.first.respond_with(error(429, "rate_limit_exceeded", "Rate limit reached for requests per min"));
    scene.second.respond_with(error(429, "rate_limit_exceeded", "Rate limit reached for requests per min"));
    let key = make_key(&scene.weir, "one").await;
    // One after the other on some connections, each of which the program keeps open.
    const CLIENTS: u64 = 16;
    const REQUESTS: u64 = 8_000;
    let body = chat("m/two").to_string();
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (url, request) = (scene.weir.data().to_owned(), request.clone());
            tokio::spawn(async move {
                let mut connection = Raw::connect(&url).await;
                for _ in 0..REQUESTS / CLIENTS {
                    connection.send(request.as_bytes()).await.unwrap();
                    let answer = connection.read_until(b"}}").await;
                    assert!(answer.starts_with(b"HTTP/1.1 429"), "{}", String::from_utf8_lossy(&answer));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(outcomes(&scene.weir).await, [0, 0, REQUESTS]);
    let (events, lines) = scene.end().await;
    assert_eq!(events, Vec::<Value>::new());
    assert_eq!(lines.len() as u64, REQUESTS);
}

#[tokio::test]
async fn a_revoked_key_of_the_platform_pages_at_once_and_is_summed_up() {
    let scene = Scene::new().await;
    scene.second.respond_with(error(401, "invalid_api_key", "Incorrect API key provided: second-key"));
    let key = make_key(&scene.weir, "one").await;
    assert_eq!(scene.ask(&key, "m/two").await, 503);
    scene.sentry.wait_for_events(1).await;
    for _ in 0..20 {
        assert_eq!(scene.ask(&key, "m/two").await, 503);
    }
    let (events, lines) = scene.end().await;
    let [page, summaries @ ..] = events.as_slice() else { panic!("{events:?}") };
    assert!(summaries.iter().all(|event| event["tags"]["weir.report"] == "summary"), "{events:?}");
    assert!((1..=1 + windows(&lines)).contains(&summaries.len()), "{events:?}");
    let counted: u64 = summaries.iter().map(|event| event["extra"]["count"].as_u64().unwrap()).sum();
    // The page itself is in the count of its window.
    assert!((20..=21).contains(&counted), "{events:?}");
    let tags = &page["tags"];
    let expected = [
        ("provider", "second"),
        ("status", "401"),
        ("weir.class", "auth_invalid"),
        ("weir.owner", "operator"),
        ("operation", "chat_completions"),
        ("weir.report", "first"),
    ];
    for (tag, value) in expected {
        assert_eq!(tags[tag], value, "{tags}");
    }
    assert!(!scene_text(&events, &lines).contains("second-key"), "{events:?}");
    assert_eq!(lines.iter().filter(|line| line["level"] == "ERROR").count(), events.len(), "{lines:?}");
}

fn scene_text(events: &[Value], lines: &[Value]) -> String {
    events.iter().chain(lines).map(Value::to_string).collect()
}

#[tokio::test]
async fn an_outage_of_every_provider_makes_exactly_one() {
    let scene = Scene::new().await;
    for upstream in [&scene.first, &scene.second] {
        upstream.respond_with(error(503, "overloaded_error", "The server is overloaded"));
    }
    let keys = [make_key(&scene.weir, "one").await, make_key(&scene.weir, "two").await];
    for n in 0..40 {
        assert_eq!(scene.ask(&keys[n % 2], "m/one").await, 503);
    }
    scene.sentry.wait_for_events(1).await;
    assert_eq!(scene.sentry.events()[0]["tags"]["weir.providers"], "first,second");
    assert_eq!(outcomes(&scene.weir).await, [0, 0, 80]);
    let (events, lines) = scene.end().await;
    assert!(!events.is_empty() && events.len() <= 1 + windows(&lines), "{events:?}");
    assert!(events.iter().all(|event| event["tags"]["failure"] == "all_exhausted"), "{events:?}");
    assert_eq!(lines.iter().filter(|line| line["level"] == "INFO").count(), 80);
}

/// How many windows of a second the lines span, beyond the first.
fn windows(lines: &[Value]) -> usize {
    let at = |line: &Value| line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let (first, last) = (at(&lines[0]), at(lines.last().unwrap()));
    usize::try_from(last.duration_since(first).as_secs()).unwrap()
}

#[tokio::test]
async fn an_access_policy_s_403_makes_no_event_and_one_info_line_on_every_path() {
    let scene = Scene::new().await;
    let denied = "Kimi For Coding is currently only available for Coding Agents";
    scene.second.respond_with(error(403, "access_terminated_error", denied));
    let key = make_key(&scene.weir, "one").await;
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    let messages = serde_json::json!([{"role": "user", "content": "hello"}]);
    let mut asked = 0;
    for stream in [false, true] {
        for (path, mut body) in [
            ("/v1/chat/completions", serde_json::json!({"messages": messages})),
            ("/v1/responses", serde_json::json!({"input": "hello"})),
            ("/v1/messages", serde_json::json!({"messages": messages, "max_tokens": 9})),
            ("/v1/embeddings", serde_json::json!({"input": ["hello"]})),
            ("/v1/messages/count_tokens", serde_json::json!({"messages": messages})),
        ] {
            body["model"] = "m/two".into();
            if stream && !path.contains("embeddings") && !path.contains("count") {
                body["stream"] = true.into();
            }
            let answer = post(&scene.weir, path, &headers, &body).await;
            assert!(answer.status >= 400, "{path}: {}", answer.text());
            asked += 1;
        }
    }
    assert_eq!(outcomes(&scene.weir).await, [0, 0, asked]);
    read(&scene.weir, "/api/decisions").await;
    let (events, lines) = scene.end().await;
    assert_eq!(events, Vec::<Value>::new());
    assert_eq!(lines.len() as u64, asked);
    for line in lines {
        assert_eq!(
            (&line["level"], &line["kind"]),
            (&"INFO".into(), &"provider_access_policy".into()),
            "{line}"
        );
        assert_eq!((&line["status"], &line["failure"]), (&403.into(), &"non_2xx".into()), "{line}");
    }
}
