//! What callers and providers may do wrong: each gets a clear answer in its own dialect, and leaves a log line that names
//! the cause and neither prompt nor key.

use std::io::Write as _;

use serde_json::{Value, json};
use tracing::Level;
use weir_testkit::Script;
use weir_testkit::http::{self, Raw, Response};
use weir_testkit::upstream::refused_url;

use crate::support::{Api, Ask, CANARY, ConfigText, Node, PROMPT, USER_KEY, World};

async fn node(world: &World, change: impl FnOnce(ConfigText) -> ConfigText) -> Node {
    Node::start(world, &change(world.open_config())).await
}

/// The error of an answer in the dialect of its path.
fn error(ask: &Ask, answer: &Response) -> Value {
    let body = answer.json();
    if ask.path.starts_with("/api/") {
        assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
        return body;
    }
    assert_eq!(body["type"] == "error", ask.path.starts_with("/v1/messages"), "{body}");
    body["error"].clone()
}

/// In all three protocols, under `/v1` and under the seed's prefix.
fn everywhere(ask: impl Fn(Api) -> Ask) -> Vec<Ask> {
    Api::ALL.into_iter().flat_map(|api| [ask(api), ask(api).seed()]).collect()
}

async fn refused(world: &World, node: &Node, ask: &Ask, status: u16, error_type: &str, cause: &str) {
    let answer = node.send(ask).await;
    assert_eq!(answer.status, status, "{}: {}", ask.path, answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(error(ask, &answer)["error_type"], error_type, "{}", answer.text());
    assert!(!answer.text().contains(CANARY), "the answer repeats what it should not: {}", answer.text());
    let id = json!(answer.header("x-weir-decision").unwrap());
    let lines = world.logs.matching(Level::INFO, "refused");
    let line = lines.iter().find(|line| *line.field("decision") == id).expect("a log line");
    let told = line.field("cause").as_str().unwrap().to_owned();
    assert!(told.contains(cause), "the log says `{told}`, not `{cause}`");
}

#[tokio::test]
async fn bodies_that_are_wrong_are_told_what_is_wrong() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    let malformed = [
        "",
        "{",
        "nonsense",
        "{\"model\": \"paid/big\",}",
        "{\"a\":1}{",
        "\u{feff}{}",
        "[",
        "{\"model\":\"a\\ud800\"",
    ];
    for body in malformed {
        for ask in everywhere(|api| Ask::new(api, "paid/big").body(body)) {
            refused(&world, &node, &ask, 400, "invalid_request", "").await;
        }
    }
    let typed: [(Value, u16, &str, &str); 9] = [
        (json!([]), 400, "invalid_request", "object"),
        (json!("text"), 400, "invalid_request", "object"),
        (json!({}), 404, "model_not_found", "no model was named"),
        (json!({"model": 7, "messages": [], "input": ""}), 404, "model_not_found", "no model was named"),
        (json!({"model": null, "messages": [], "input": ""}), 404, "model_not_found", "no model was named"),
        (json!({"model": "  ", "messages": [], "input": ""}), 404, "model_not_found", "no model was named"),
        (json!({"model": "no/such", "messages": [], "input": ""}), 404, "model_not_found", "no/such"),
        (json!({"model": "paid/big", "messages": {}, "input": {}}), 400, "invalid_request", "must be"),
        (json!({"model": "paid/big", "messages": "text", "input": 7}), 400, "invalid_request", "must be"),
    ];
    for (body, status, error_type, cause) in typed {
        for ask in everywhere(|api| Ask::new(api, "paid/big").body(body.to_string())) {
            refused(&world, &node, &ask, status, error_type, cause).await;
        }
    }
    let twice = format!(
        "{{\"model\":\"paid/big\",\"messages\":[],\"input\":\"\",\"model\":\"free/small\",\"x\":\"{PROMPT}\"}}"
    );
    for ask in everywhere(|api| Ask::new(api, "paid/big").body(twice.clone())) {
        refused(&world, &node, &ask, 400, "invalid_request", "`model` stands twice").await;
    }
    for api in [Api::Chat, Api::Messages] {
        let ask = Ask::new(api, "paid/big").body(json!({"model": "paid/big"}).to_string());
        refused(&world, &node, &ask, 400, "invalid_request", "messages").await;
    }
    let not_utf8 = Ask::chat("paid/big").body(&b"{\"model\": \"\xff\"}"[..]);
    refused(&world, &node, &not_utf8, 400, "invalid_request", "UTF-8").await;
    let deep = format!(
        "{{\"model\":\"paid/big\",\"messages\":[],\"x\":{}{}}}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    let answer = node.send(&Ask::chat("paid/big").body(deep)).await;
    assert!([200, 400].contains(&answer.status), "{}", answer.status);
    node.leaks_nothing(&world).await;
    assert_eq!(world.upstream.calls(), usize::from(answer.status == 200));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_declared_or_not() {
    let world = World::new().await;
    let node = node(&world, |config| config.set("limits", "{body_bytes_max: 200}")).await;
    for ask in everywhere(|api| Ask::new(api, "paid/big").with("padding", json!("x".repeat(300)))) {
        refused(&world, &node, &ask, 413, "payload_too_large", "200").await;
    }
    let exact = Ask::chat("paid/big");
    let padding = 200 - exact.clone().with("p", json!("")).body.len();
    assert_eq!(
        node.send(&exact.with("p", json!("x".repeat(padding)))).await.status,
        200,
        "as long as may be"
    );
    let head = chunked_head("/v1/chat/completions");
    let mut connection = Raw::connect(&node.url).await;
    connection.send(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        connection.send(format!("64\r\n{}\r\n", "y".repeat(100)).as_bytes()).await.unwrap();
    }
    let answer = String::from_utf8(connection.read_until(b"}").await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("payload_too_large"), "{answer}");
    let mut declared = Raw::connect(&node.url).await;
    let head = head.replace("transfer-encoding: chunked", "content-length: 99999999999");
    declared.send(head.as_bytes()).await.unwrap();
    let answer = String::from_utf8(declared.read_until(b"}").await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "before a byte of it has come: {answer}");
}

fn chunked_head(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {USER_KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_is_whole_and_one_that_does_not_come_is_given_up() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    let mut connection = Raw::connect(&node.url).await;
    connection.send(chunked_head("/v1/chat/completions").as_bytes()).await.unwrap();
    for byte in Ask::chat("paid/big").body.chunks(1) {
        connection.send(&[b"1\r\n", byte, b"\r\n"].concat()).await.unwrap();
    }
    connection.send(b"0\r\n\r\n").await.unwrap();
    assert!(connection.read_until(b"\r\n\r\n").await.starts_with(b"HTTP/1.1 200 "));
    assert_eq!(world.upstream.last().model, "big-1");
    assert_eq!(node.wait_for_records(1).await.len(), 1);

    // Half of it, and then the client is gone.
    let mut half = Raw::connect(&node.url).await;
    half.send(chunked_head("/v1/chat/completions").as_bytes()).await.unwrap();
    half.send(b"10\r\n{\"model\":").await.unwrap();
    drop(half);
    let records = node.wait_for_records(2).await;
    assert_eq!(records.len(), 2, "recorded though it never came whole");
    assert_eq!(records.iter().filter(|record| record.result.client_gone).count(), 1, "and whose client left");
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn a_compressed_body_is_refused_in_words() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    for ask in everywhere(|api| Ask::new(api, "paid/big").header("content-encoding", "gzip")) {
        refused(&world, &node, &ask, 400, "invalid_request", "compressed").await;
    }
    assert_eq!(node.send(&Ask::chat("paid/big").header("content-encoding", "identity")).await.status, 200);
}

#[tokio::test]
async fn paths_and_methods_that_lead_nowhere() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    for path in ["/", "/v1", "/v1/chat", "/v1/messages/batches", "/v1/chat/completions/"] {
        refused(&world, &node, &Ask::chat("paid/big").path(path), 404, "not_found", path).await;
    }
    for path in [
        "/api/gateway",
        "/api/gateway/v1/embeddings",
        "/api/openrouter/v2/messages",
        "/api/gateway/v1/models",
    ] {
        refused(&world, &node, &Ask::chat("paid/big").path(path), 400, "invalid_path", path).await;
    }
    for (ask, allow) in [
        (Ask::chat("paid/big").method("GET"), "POST"),
        (Ask::new(Api::Messages, "paid/big").method("DELETE"), "POST"),
        (Ask::chat("paid/big").seed().method("PATCH"), "POST"),
        (Ask::get("/v1/models").method("POST"), "GET"),
    ] {
        refused(&world, &node, &ask, 405, "method_not_allowed", &ask.method).await;
        assert_eq!(node.send(&ask).await.header("allow"), Some(allow));
    }
    let long = format!("/v1/{}", "x".repeat(5_000));
    let answer = node.send(&Ask::chat("paid/big").path(&long)).await;
    assert!(answer.status == 404 && answer.body.len() < 1_000, "{}", answer.text());
    let record = node.record_of(&answer).await;
    assert_eq!(record.result.ended_at.as_deref(), Some("route"), "its id can be explained");
    assert_eq!(record.facts.request.path.len(), 500, "of a path at which nothing is, the beginning is kept");
    let key = weir_core::IdentityKey::from_stored(record.decision.subject.clone());
    let stats = node.cache.stats_read(&key, record.decision.at).await;
    assert_eq!(stats.requests_1h, 0, "no endpoint was reached: it counts for nobody");
}

#[tokio::test]
async fn a_header_that_is_no_utf8_neither_fails_nor_hides() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    let body = Ask::chat("paid/big").body;
    let mut request = Vec::new();
    write!(
        request,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    )
    .unwrap();
    for (name, value) in
        [("user-agent", &b"curl\xff"[..]), ("x-request-id", b"\xfe"), ("x-weir-feature", b"f\xff")]
    {
        write!(request, "{name}: ").unwrap();
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    }
    let with_key =
        |auth: &[u8]| [&request[..], b"authorization: Bearer ", auth, b"\r\n\r\n", &body[..]].concat();
    let answer = String::from_utf8(http::raw(&node.url, &with_key(USER_KEY.as_bytes())).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("x-request-id: req_"), "{answer}");
    let facts = node.wait_for_records(1).await.remove(0).facts.request;
    assert_eq!((facts.user_agent.as_str(), facts.feature.as_str()), ("curl\u{fffd}", "f\u{fffd}"));
    let answer = String::from_utf8(http::raw(&node.url, &with_key(b"\xff\xfe")).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "a key that cannot be read is not valid: {answer}");
}

#[tokio::test]
async fn long_headers_are_cut_for_facts_and_ids_that_are_too_long_are_not_taken_over() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    let ask = Ask::chat("paid/big")
        .header("user-agent", &"u".repeat(3_000))
        .header("x-request-id", &"i".repeat(3_000));
    let answer = node.send(&ask).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
    assert_eq!(node.record_of(&answer).await.facts.request.user_agent.len(), 500);
    let taken = node.send(&Ask::chat("paid/big").header("x-request-id", "mine-1")).await;
    assert_eq!(taken.header("x-request-id"), Some("mine-1"));
}

#[tokio::test]
async fn what_is_no_http_is_closed_and_harms_nobody() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[b'A'; 100_000]]
    {
        let answer = http::raw(&node.url, bytes).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(Raw::connect(&node.url).await);
    }
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200);
    drop(silent);
}

/// A provider that does not answer, or not as providers do.
#[tokio::test]
async fn a_provider_that_fails_before_its_head_is_told_by_its_class() {
    let table: [(&str, Script, u16, &str, &str); 3] = [
        ("{upstream: {first_byte: 50ms}}", Script::hang(), 504, "timeout", "first_byte"),
        ("{}", Script::cut_before_head(), 502, "network", "closed the connection"),
        (
            "{}",
            Script::body(500, "text/html", "<html><h1>Internal error</h1></html>"),
            502,
            "upstream_5xx",
            "answered with an error",
        ),
    ];
    for (limits, script, status, class, cause) in table {
        let world = World::new().await;
        let node = node(&world, |config| config.set("limits", limits)).await;
        world.upstream.respond_with(script);
        for api in Api::ALL {
            for ask in [Ask::new(api, "paid/big"), Ask::new(api, "paid/big").streamed()] {
                failed(&world, &node, &ask, status, class, cause).await;
            }
        }
        node.leaks_nothing(&world).await;
    }
}

#[tokio::test]
async fn a_provider_of_the_own_network_that_refuses_connections_is_the_operators() {
    let world = World::new().await;
    let providers = format!(
        "[{{name: main, base_url: \"{}/v1\", apis: [chat_completions, responses, messages], api_key: canary-key}}]",
        refused_url()
    );
    let node = node(&world, |config| {
        config.set("providers", providers).set("models", "[{id: paid/big, provider: main}]")
    })
    .await;
    for api in Api::ALL {
        failed(&world, &node, &Ask::new(api, "paid/big"), 503, "network", "no connection").await;
    }
}

async fn failed(world: &World, node: &Node, ask: &Ask, status: u16, class: &str, cause: &str) {
    let answer = node.send(ask).await;
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(!answer.text().contains("<html"), "{}", answer.text());
    let told = if status == 503 { "temporarily_unavailable" } else { class };
    assert_eq!(error(ask, &answer)["error_type"], told);
    let record = node.record_of(&answer).await;
    assert_eq!(record.result.failure_class.as_deref(), Some(class));
    let [attempt] = &record.result.failures[..] else { panic!("{:?}", record.result.failures) };
    assert!(attempt.evidence.cause.contains(cause), "{attempt:?}");
    assert_eq!((attempt.class.as_str(), attempt.provider.as_str()), (class, "main"));
    world.logs_leak_nothing();
}
