//! Exactly one decision record for each request that reached an endpoint, and one usage record for each that a provider
//! answered, however it ended.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_testkit::http::{Raw, Response};
use weir_testkit::{Gate, Script, ScriptedUpstream, WeirProcess, http};

use crate::support::{
    FREE, NO_RETRIES, PAID, admin, ask, assert_no_canary, binary, chat, config, decision_id, eventually,
    make_key, make_key_of, post, read, record, rule_for, write,
};

/// What is known of each request by its answer: the decision's id, the status, and where it ended.
type Seen = BTreeMap<String, (u16, Option<&'static str>)>;

fn note(seen: &mut Seen, answer: &Response, ended_at: Option<&'static str>) {
    let before = seen.insert(decision_id(answer), (answer.status, ended_at));
    assert!(before.is_none(), "an id was given twice: {answer:?}");
}

/// Requests that end at every stage.
async fn end_everywhere(weir: &WeirProcess, upstream: &ScriptedUpstream) -> Seen {
    let mut seen = Seen::new();
    let key = make_key(weir, "plain").await;
    note(&mut seen, &ask(weir, &key, PAID.0).await, None);
    let mut streamed = chat(PAID.0);
    streamed["stream"] = json!(true);
    let authorization = format!("Bearer {key}");
    let me = [("authorization", authorization.as_str())];
    note(&mut seen, &post(weir, "/v1/chat/completions", &me, &streamed).await, None);
    note(&mut seen, &post(weir, "/v1/chat/completions", &me, &json!([])).await, Some("read"));
    note(&mut seen, &ask(weir, "no-such-canary-key", PAID.0).await, Some("identify"));
    note(&mut seen, &ask(weir, &key, "no/such/model").await, Some("identify"));
    note(&mut seen, &post(weir, "/v1/chat/completions", &[], &chat(PAID.0)).await, Some("identify"));
    note(&mut seen, &post(weir, "/v1/chat/completions", &[], &chat(FREE.0)).await, None);
    let mut endless = chat(PAID.0);
    endless["max_tokens"] = json!(100_000_000_000_u64);
    note(&mut seen, &post(weir, "/v1/chat/completions", &me, &endless).await, Some("precheck"));
    upstream.respond_once(Script::error(500, "server_error", "not today"));
    note(&mut seen, &ask(weir, &key, PAID.0).await, Some("send"));
    upstream.respond_once(Script::cut_before_head());
    note(&mut seen, &ask(weir, &key, PAID.0).await, Some("send"));
    for (user, then, ended_at) in [
        ("stopped", json!("block"), Some("enforce")),
        ("slowed", json!("quarantine-1"), None),
        ("limited", json!({"rate-limit": {"requests": 1, "per": "1h"}}), None),
    ] {
        let key = make_key(weir, user).await;
        write(weir, "POST", "/api/rules", &rule_for(user, &then), 201).await;
        note(&mut seen, &ask(weir, &key, PAID.0).await, ended_at);
        if user == "limited" {
            note(&mut seen, &ask(weir, &key, PAID.0).await, Some("limit"));
        }
    }
    let models = http::request("GET", &format!("{}/v1/models", weir.data()), &me, "").await;
    note(&mut seen, &models, Some("models"));
    seen
}

#[tokio::test]
async fn every_request_that_reached_an_endpoint_has_one_record() {
    let upstream = ScriptedUpstream::start().await;
    let more = format!("abuse: {{quarantine: {{first: 5ms}}}}\n{NO_RETRIES}");
    let weir = WeirProcess::start(binary(), &config(&upstream, &more)).await;
    let mut seen = end_everywhere(&weir, &upstream).await;
    // No endpoint is reached by these; they are refused, and so have a record that can be explained.
    let nowhere = post(&weir, "/v1/nothing", &[], &json!({})).await;
    let method = http::get(&format!("{}/v1/chat/completions", weir.data())).await;
    assert_eq!((nowhere.status, method.status), (404, 405));
    note(&mut seen, &nowhere, Some("route"));
    note(&mut seen, &method, Some("route"));

    let path = "/api/decisions?limit=1000";
    let items = eventually("all records", async || {
        let items = read(&weir, path).await["items"].as_array().unwrap().clone();
        (items.len() >= seen.len()).then_some(items)
    })
    .await;
    assert_eq!(items.len(), seen.len(), "one for each");
    for item in &items {
        let id = item["id"].as_str().unwrap();
        let (status, ended_at) = seen.get(id).unwrap_or_else(|| panic!("nobody was told of {item}"));
        assert_eq!(item["result"]["status"], *status, "{item}");
        assert_eq!(item["result"]["ended_at"], json!(ended_at), "{item}");
    }
    let used = read(&weir, "/api/usage?limit=1000").await["items"].as_array().unwrap().len();
    let sent = items
        .iter()
        .filter(|item| item["result"]["ended_at"].is_null() || item["result"]["ended_at"] == "send");
    assert_eq!(used, sent.count(), "one usage record for each that was sent to a provider");
    assert_no_canary(&weir).await;
}

/// The one record of a subject, once it is there.
async fn only_record(weir: &WeirProcess, list: &str, user: &str) -> Value {
    let path = format!("/api/{list}?subject=user:{user}&limit=10");
    let items = eventually(&path, async || {
        let items = read(weir, &path).await["items"].as_array().unwrap().clone();
        (!items.is_empty()).then_some(items)
    })
    .await;
    assert_eq!(items.len(), 1, "{items:?}");
    items[0].clone()
}

#[tokio::test]
async fn a_client_that_leaves_leaves_one_record_and_one_of_usage() {
    let upstream = ScriptedUpstream::start().await;
    let weir = WeirProcess::start(binary(), &config(&upstream, "abuse: {quarantine: {first: 1h}}")).await;
    // After three chunks.
    let key = make_key(&weir, "leaver").await;
    let gate = Gate::new();
    let chunk = "data: {\"id\":\"chatcmpl-9\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    upstream.respond_once(Script::gated(&gate, [chunk; 100]));
    let mut body = chat(PAID.0);
    body["stream"] = json!(true);
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let url = format!("{}/v1/chat/completions", weir.data());
    let mut stream = http::stream("POST", &url, &headers, body.to_string()).await;
    for _ in 0..3 {
        gate.release();
        stream.next_text().await;
    }
    drop(stream);
    upstream.wait_for_aborted(1).await;
    let left = only_record(&weir, "decisions", "leaver").await;
    assert_eq!(
        (&left["result"]["client_gone"], &left["result"]["status"]),
        (&json!(true), &json!(200)),
        "{left}"
    );
    let usage = only_record(&weir, "usage", "leaver").await;
    assert_eq!((&usage["decision"], &usage["stream"]), (&left["id"], &json!(true)), "{usage}");

    // While it is held: nothing was sent, so nothing was used.
    let key = make_key(&weir, "impatient").await;
    write(&weir, "POST", "/api/rules", &rule_for("impatient", &json!("quarantine-1")), 201).await;
    let calls = upstream.calls();
    let body = chat(PAID.0).to_string();
    let mut held = Raw::connect(weir.data()).await;
    let head = format!("host: weir\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n", body.len());
    held.send(format!("POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n{body}").as_bytes()).await.unwrap();
    weir.wait_for_stderr("the request is delayed").await;
    drop(held);
    let left = only_record(&weir, "decisions", "impatient").await;
    assert_eq!(
        (&left["result"]["client_gone"], &left["result"]["status"]),
        (&json!(true), &json!(0)),
        "{left}"
    );
    assert_eq!(upstream.calls(), calls, "nothing was sent for it");
    let usage = read(&weir, "/api/usage?subject=user:impatient").await;
    assert_eq!(usage["items"], json!([]), "{usage}");

    // In the middle of its own body.
    let mut half = Raw::connect(weir.data()).await;
    let head = format!("host: weir\r\nauthorization: Bearer {key}\r\ncontent-length: 1000\r\n");
    half.send(format!("POST /v1/messages HTTP/1.1\r\n{head}\r\n{{\"model\": \"canary").as_bytes())
        .await
        .unwrap();
    let ask_on = ask(&weir, &make_key(&weir, "other").await, PAID.0).await;
    assert_eq!(ask_on.status, 200, "a request that is half sent keeps nobody");
    drop(half);
    let second = eventually("the record of the half-sent request", async || {
        let page = read(&weir, "/api/decisions?subject=user:impatient").await;
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["facts"]["request"]["api"] == "messages")
            .cloned()
    })
    .await;
    let result = &second["result"];
    assert_eq!((&result["ended_at"], &result["status"]), (&json!("read"), &json!(400)), "{second}");
    assert_no_canary(&weir).await;
}

/// Who hangs up before the provider has counted evades no budget: what has come is estimated, and said to be.
#[tokio::test]
async fn a_client_that_always_hangs_up_early_is_refused_when_its_budget_is_used_up() {
    const LEAVING_MAX: usize = 20;
    let upstream = ScriptedUpstream::start().await;
    let weir = WeirProcess::start(binary(), &config(&upstream, "")).await;
    let key = make_key_of(&weir, &json!({"user": "leaver", "budget_usd": 0.1})).await;
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let url = format!("{}/v1/chat/completions", weir.data());
    let mut body = chat(PAID.0);
    body["stream"] = json!(true);
    let spent = async || {
        let keys = read(&weir, "/api/keys").await;
        let mine = keys["items"].as_array().unwrap().iter().find(|item| item["user"] == "leaver").cloned();
        mine.unwrap()["spent_usd"].as_f64().unwrap()
    };
    let chunk = "data: {\"id\":\"chatcmpl-9\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"some words\"}}]}\n\n";
    let mut before = 0.0;
    let mut left = 0;
    let refused = loop {
        let gate = Gate::new();
        upstream.respond_with(Script::gated(&gate, [chunk; 100]));
        let mut stream = http::stream("POST", &url, &headers, body.to_string()).await;
        if stream.status != 200 {
            break stream;
        }
        left += 1;
        assert!(left <= LEAVING_MAX, "nothing was ever refused; {before} dollars were spent");
        for _ in 0..3 {
            gate.release();
            stream.next_text().await;
        }
        drop(stream);
        upstream.wait_for_aborted(left).await;
        before =
            eventually("the spend to rise", async || Some(spent().await).filter(|now| *now > before)).await;
    };
    assert!(left > 1 && before >= 0.1, "{left}: {before}");
    assert_eq!(refused.status, 402);
    assert_eq!(upstream.calls(), left, "the last one was not sent");
    let answer = ask(&weir, &key, PAID.0).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (402, &json!("usage_limit_exceeded")));

    let usage = eventually("a record of usage for each", async || {
        let page = read(&weir, "/api/usage?subject=user:leaver").await;
        Some(page["items"].as_array().unwrap().clone()).filter(|items| items.len() >= left)
    })
    .await;
    assert_eq!(usage.len(), left, "{usage:?}");
    for item in &usage {
        assert_eq!((&item["estimated"], &item["output_tokens"]), (&json!(true), &json!(8)), "{item}");
        assert!(item["input_tokens"].as_u64() > Some(0), "{item}");
    }
    let decision = read(&weir, &format!("/api/decisions/{}", usage[0]["decision"].as_str().unwrap())).await;
    assert_eq!(decision["result"]["usage"]["estimated"], true, "{decision}");
    assert_no_canary(&weir).await;
}

#[tokio::test]
async fn a_record_holds_the_facts_for_a_backtest_and_nothing_else() {
    let upstream = ScriptedUpstream::start().await;
    let weir = WeirProcess::start(binary(), &config(&upstream, "")).await;
    let key = make_key(&weir, "me").await;
    write(&weir, "POST", "/api/rules", &rule_for("me", &json!("log")), 201).await;
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("user-agent", "a-program/1.0"),
        ("x-weir-feature", "chat-window"),
        ("x-weir-editor", "an-editor"),
        ("x-weir-project", "a-project"),
        ("x-request-id", "id-of-the-caller"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-vercel-ip-country", "XA"),
        ("x-secret", "canary"),
    ];
    let mut body = chat(PAID.0);
    body["max_tokens"] = json!(77);
    let answer = post(&weir, "/v1/chat/completions", &headers, &body).await;
    assert_eq!(answer.header("x-request-id"), Some("id-of-the-caller"));
    let record = record(&weir, &answer).await;
    let request = &record["facts"]["request"];
    let expected = json!({
        "api": "chat_completions", "path": "/v1/chat/completions", "model": PAID.0, "provider": "vendor", "free": false,
        "stream": false, "max_tokens": 77, "has_tools": false, "byok": false, "feature": "chat-window",
        "editor": "an-editor", "user_agent": "a-program/1.0", "ip": "203.0.113.9", "ja4": "", "country": "XA", "city": "",
        "body_bytes": body.to_string().len(),
    });
    assert_eq!(request, &expected);
    let identity = &record["facts"]["identity"];
    assert_eq!(
        (&identity["key"], &identity["project_id"]),
        (&json!("user:me"), &json!("a-project")),
        "{identity}"
    );
    let usage = &record["result"]["usage"];
    let cost = (weir_testkit::upstream::INPUT_TOKENS + weir_testkit::upstream::OUTPUT_TOKENS) * 1000;
    assert_eq!(usage["cost_microusd"], cost, "{usage}");
    assert_eq!(record["matched"][0]["rule"], "of-me", "{record}");

    // The same facts give the same decision: that is what they are kept for.
    let unknown =
        admin(&weir, "GET", "/api/decisions/dec_00000000-0000-7000-8000-000000000000", &Value::Null).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert_no_canary(&weir).await;
}
