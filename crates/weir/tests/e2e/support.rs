//! Configurations, callers and operators that the tests share.

use std::future::Future;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::http::{self, Response};
use weir_testkit::{ScriptedUpstream, WeirProcess};

/// Stands in every key, prompt and secret header of these tests, and so must stand in nothing that is kept or shown.
pub const CANARY: &str = "canary";
/// What every caller asks.
pub const PROMPT: &str = "why does the canary sing?";
/// The token of the admin plane.
pub const ADMIN_TOKEN: &str = "admin-canary-token";
/// The key that is sent to the scripted provider.
pub const PROVIDER_KEY: &str = "provider-canary-key";
/// The model that costs, and what the provider calls it.
pub const PAID: (&str, &str) = ("vendor/paid", "paid-upstream");
/// The model that is free, and what the provider calls it.
pub const FREE: (&str, &str) = ("vendor/free", "free-upstream");

/// The longest that something may take which the contract gives a second, on a machine that builds and tests at once: in
/// most of several tries, since one of them may meet any pause of the machine.
pub const A_SECOND: Duration = Duration::from_secs(3);

/// What is shared is exact while Redis answers in time, which is 50 ms by default. A machine that builds and tests at once
/// is slow, so the time is long.
pub const PATIENT: &str = "cache_timeout: 1m";

/// Every key that was made, so that none of them can be shown again unnoticed.
static MADE: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_weir"))
}

/// What a configuration says where a failure is to stay one.
pub const NO_RETRIES: &str = "failures: {retries: {attempts: 1}}";

/// A configuration with a paid and a free model of one provider, and these lines.
pub fn config(upstream: &ScriptedUpstream, more: &str) -> String {
    format!(
        "admin: {{token: {ADMIN_TOKEN}}}\n\
         providers:\n\
         - {{name: vendor, base_url: \"{}\", apis: [chat_completions, responses, messages, embeddings], api_key: {PROVIDER_KEY}}}\n\
         models:\n\
         - {{id: {}, provider: vendor, upstream_model: {}, price: {{input: 1000, output: 1000}}}}\n\
         - {{id: {}, provider: vendor, upstream_model: {}, free: true}}\n\
         {more}\n",
        upstream.base_url(),
        PAID.0,
        PAID.1,
        FREE.0,
        FREE.1
    )
}

/// A configuration of the simulated provider alone, with these lines.
pub fn simulated(more: &str) -> String {
    format!("admin: {{token: {ADMIN_TOKEN}}}\n{more}\n")
}

/// A chat request.
pub fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": PROMPT}]})
}

/// Sends a chat request with this key.
pub async fn ask(weir: &WeirProcess, key: &str, model: &str) -> Response {
    post(weir, "/v1/chat/completions", &[("authorization", &format!("Bearer {key}"))], &chat(model)).await
}

/// Posts to the data plane.
pub async fn post(weir: &WeirProcess, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    http::post_json(&format!("{}{path}", weir.data()), headers, body).await
}

/// The decision of an answer, as its header names it.
#[track_caller]
pub fn decision_id(answer: &Response) -> String {
    answer.header("x-weir-decision").unwrap_or_else(|| panic!("no decision: {answer:?}")).to_owned()
}

/// Asks the admin plane with the administrator's token.
pub async fn admin(weir: &WeirProcess, method: &str, path: &str, body: &Value) -> Response {
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    http::request(method, &format!("{}{path}", weir.admin()), &headers, body).await
}

/// Reads from the admin plane.
pub async fn read(weir: &WeirProcess, path: &str) -> Value {
    let answer = admin(weir, "GET", path, &Value::Null).await;
    assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
    answer.json()
}

/// Writes through the admin plane, which must take it so.
pub async fn write(weir: &WeirProcess, method: &str, path: &str, body: &Value, status: u16) -> Response {
    let answer = admin(weir, method, path, body).await;
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    answer
}

/// Makes a key for a user and gives it.
pub async fn make_key(weir: &WeirProcess, user: &str) -> String {
    make_key_of(weir, &json!({"user": user})).await
}

/// Makes a key with these members and gives it.
pub async fn make_key_of(weir: &WeirProcess, owner: &Value) -> String {
    let made = write(weir, "POST", "/api/keys", owner, 201).await.json();
    let key = made["key"].as_str().unwrap().to_owned();
    MADE.lock().unwrap().push(key.clone());
    key
}

/// A rule that concerns one user.
pub fn rule_for(user: &str, then: &Value) -> Value {
    json!({
        "id": format!("of-{user}"), "on": "request", "when": format!("identity.user_id == \"{user}\""), "then": then,
        "because": "A test says so.", "instead": "Ask another way.",
    })
}

/// What was recorded of a request.
pub async fn record(weir: &WeirProcess, answer: &Response) -> Value {
    let path = format!("/api/decisions/{}", decision_id(answer));
    eventually(&path, async || {
        let answer = admin(weir, "GET", &path, &Value::Null).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await
}

/// How often one looks for what another process does: no more, since the looking delays it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer, and fails when there is none in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let since = Instant::now();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < weir_testkit::deadline::PATIENCE, "waited in vain for {what}");
    }
}

/// The state of a dependency, as `/readyz` shows it, with the status of the whole.
pub async fn readiness(weir: &WeirProcess, dependency: &str) -> (u16, String, String) {
    let answer = http::get(&format!("{}/readyz", weir.admin())).await;
    let report = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (answer.status, text(&report["status"]), text(&report["dependencies"][dependency]["state"]))
}

/// Waits until a dependency is in this state.
pub async fn wait_for_dependency(weir: &WeirProcess, dependency: &str, state: &str) {
    let what = format!("the {dependency} to be {state} in /readyz");
    eventually(&what, async || (readiness(weir, dependency).await.2 == state).then_some(())).await;
}

/// Asserts that nothing which weir shows or logs holds a key, a prompt or a secret header.
pub async fn assert_no_canary(weir: &WeirProcess) {
    let metrics = admin(weir, "GET", "/metrics", &Value::Null).await;
    let decisions = admin(weir, "GET", "/api/decisions?limit=1000", &Value::Null).await;
    let usage = admin(weir, "GET", "/api/usage?limit=1000", &Value::Null).await;
    let shown = [
        ("the log", weir.stderr()),
        ("stdout", weir.stdout()),
        ("/metrics", metrics.text().to_owned()),
        ("/api/decisions", decisions.text().to_owned()),
        ("/api/usage", usage.text().to_owned()),
    ];
    for (place, text) in shown {
        assert!(!text.is_empty(), "{place} is empty");
        if let Some((at, secret)) = secret_in(text.as_bytes()) {
            let around = &text.as_bytes()[at.saturating_sub(120)..text.len().min(at + 60)];
            panic!("`{secret}` is in {place}: {}", String::from_utf8_lossy(around));
        }
    }
}

/// Where the first secret is, and which: a canary, or a key that was made.
pub fn secret_in(bytes: &[u8]) -> Option<(usize, String)> {
    let made = MADE.lock().unwrap();
    let mut secrets = made.iter().map(String::as_str).chain([CANARY]);
    secrets.find_map(|secret| Some((place_of(bytes, secret)?, secret.to_owned())))
}

/// Where a word is among bytes.
pub fn place_of(bytes: &[u8], word: &str) -> Option<usize> {
    let first = *word.as_bytes().first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(word.as_bytes()) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
