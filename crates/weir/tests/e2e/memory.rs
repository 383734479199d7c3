//! What many requests and large answers cost in memory. The figures of record are those of a release build, in
//! docs/benchmarks.md; these bounds are for a build without optimisation and catch what grows with the load.

use serde_json::{Value, json};
use weir_testkit::{Script, ScriptedUpstream, WeirProcess, http};

use crate::life::resident_bytes;
use crate::support::{PAID, admin, binary, chat, config, eventually, make_key, rule_for, simulated, write};

/// How many requests are held at once.
const HELD: usize = 2_000;
/// What each may cost in resident memory, in bytes, with its connection and its body.
const HELD_BYTES_MAX: u64 = 64 * 1024;
/// How much a large answer may add to resident memory, in bytes, however large it is.
const ANSWER_BYTES_MAX: u64 = 48 * 1024 * 1024;

/// The value of a gauge or counter without labels.
async fn metric(weir: &WeirProcess, name: &str) -> f64 {
    let text = admin(weir, "GET", "/metrics", &Value::Null).await;
    let line = text.text().lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn requests_that_are_held_take_little_memory() {
    let quarantine = format!("quarantine: {{first: 1h, held_max: {HELD}, held_per_identity_max: {HELD}}}");
    let weir = WeirProcess::start(binary(), &simulated(&format!("abuse: {{{quarantine}}}"))).await;
    let (held, free) = (make_key(&weir, "held").await, make_key(&weir, "free").await);
    write(&weir, "POST", "/api/rules", &rule_for("held", &json!("quarantine-1")), 201).await;
    for _ in 0..20 {
        assert_eq!(crate::support::ask(&weir, &free, "sim/echo").await.status, 200);
    }
    let before = resident_bytes(&weir);
    let body = chat("sim/echo").to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {held}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut waiting = Vec::with_capacity(HELD);
    for _ in 0..HELD {
        let mut connection = http::Raw::connect(weir.data()).await;
        connection.send(request.as_bytes()).await.unwrap();
        waiting.push(connection);
    }
    #[expect(clippy::cast_precision_loss, reason = "two thousand")]
    let all = HELD as f64;
    eventually("all to be held", async || (metric(&weir, "weir_quarantine_held").await >= all).then_some(()))
        .await;
    let each = resident_bytes(&weir).saturating_sub(before) / u64::try_from(HELD).unwrap();
    assert!(each < HELD_BYTES_MAX, "{each} bytes for each request that is held");
    let refused = crate::support::ask(&weir, &held, "sim/echo").await;
    assert_eq!((refused.status, refused.header("x-weir-limit")), (429, Some("abuse")), "{}", refused.text());
    assert_eq!(crate::support::ask(&weir, &free, "sim/echo").await.status, 200, "others are served");
    drop(waiting);
    eventually("the places to be given back", async || {
        (metric(&weir, "weir_quarantine_held").await < 1.0).then_some(())
    })
    .await;
}

/// Streams an answer and gives its length and the most that memory grew on the way.
async fn streamed(weir: &WeirProcess, key: &str, body: &Value) -> (u64, u64) {
    let before = resident_bytes(weir);
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let url = format!("{}/v1/chat/completions", weir.data());
    let mut stream = http::stream("POST", &url, &headers, body.to_string()).await;
    assert_eq!(stream.status, 200);
    let (mut bytes, mut grown, mut looked) = (0, 0, 0);
    while let Some(Ok(chunk)) = stream.next_chunk().await {
        bytes += u64::try_from(chunk.len()).unwrap();
        if bytes >= looked + 1024 * 1024 {
            looked = bytes;
            grown = grown.max(resident_bytes(weir).saturating_sub(before));
        }
    }
    (bytes, grown)
}

#[tokio::test]
async fn a_large_stream_and_a_line_without_end_pass_in_bounded_memory() {
    const LARGE: u64 = 100 * 1024 * 1024;
    let upstream = ScriptedUpstream::start().await;
    let weir = WeirProcess::start(binary(), &config(&upstream, "")).await;
    let key = make_key(&weir, "me").await;
    assert_eq!(crate::support::ask(&weir, &key, PAID.0).await.status, 200);
    let mut body = chat(PAID.0);
    body["stream"] = json!(true);
    for script in [Script::large_stream(PAID.1, LARGE), Script::endless_line(LARGE)] {
        upstream.respond_once(script);
        let (bytes, grown) = streamed(&weir, &key, &body).await;
        assert!(bytes > LARGE * 99 / 100, "{bytes} bytes came");
        assert!(grown < ANSWER_BYTES_MAX, "memory grew by {grown} bytes");
    }
    // The usage at the end of a stream is read however long it was; of the endless line nothing could be.
    let usage = eventually("three records of usage", async || {
        let usage = crate::support::read(&weir, "/api/usage?subject=user:me&limit=10").await;
        (usage["items"].as_array().unwrap().len() == 3).then_some(usage)
    })
    .await;
    let tokens: Vec<_> =
        usage["items"].as_array().unwrap().iter().map(|u| u["output_tokens"].as_u64()).collect();
    let expected = Some(weir_testkit::upstream::OUTPUT_TOKENS);
    assert_eq!(tokens[1..], [expected, expected], "{usage}");
}
