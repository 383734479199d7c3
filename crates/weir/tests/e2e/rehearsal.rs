//! Rehearsal: what a backtest predicts is what the rules then do, over the same traffic.

use serde_json::{Value, json};
use weir_testkit::{ScriptedUpstream, WeirProcess};

use crate::support::{
    FREE, PAID, admin, binary, chat, config, decision_id, eventually, make_key_of, post, read, write,
};

/// A rule in the words of a rule file.
fn rule(id: &str, when: &str, then: Value) -> Value {
    json!({"id": id, "on": "request", "when": when, "then": then})
}

fn in_force() -> Value {
    let mut some = rule("some", "identity.user_id == \"b\"", json!("log"));
    some["rollout"] = json!(50);
    json!({"rules": [
        rule("no-stream", "request.stream && identity.plan == \"free\"", json!("block")),
        some,
        rule("few", "identity.user_id == \"c\"", json!({"rate-limit": {"requests": 3, "per": "1h"}})),
        rule("let-through", "\"vip\" in identity.tags", json!("skip")),
        rule("words", "request.user_prompt.contains(\"sing\") && request.model == \"none\"", json!("block")),
        rule("busy", "stats.requests_1h > 1000", json!("block")),
    ]})
}

const CANDIDATES: [&str; 4] = ["free-limit", "no-b", "half", "never"];

fn candidate() -> Value {
    let mut half = rule("half", "identity.plan != \"pro\"", json!("log"));
    half["rollout"] = json!(50);
    json!({"rules": [
        rule("free-limit", "request.free", json!({"rate-limit": {"requests": 1, "per": "1h"}})),
        rule("no-b", "identity.user_id == \"b\"", json!("block")),
        half,
        rule("never", "request.model == \"never\"", json!("block")),
    ]})
}

fn in_shadow(mut rules: Value) -> Value {
    for rule in rules["rules"].as_array_mut().unwrap() {
        rule["mode"] = json!("shadow");
    }
    rules
}

/// The same requests each time; the ids of their decisions.
async fn traffic(weir: &WeirProcess, keys: &[String]) -> Vec<String> {
    let mut ids = Vec::new();
    for round in 0..4 {
        for key in keys {
            let authorization = format!("Bearer {key}");
            let headers = [("authorization", authorization.as_str())];
            let mut body = chat(if round % 2 == 0 { PAID.0 } else { FREE.0 });
            body["stream"] = json!(round == 3);
            ids.push(decision_id(&post(weir, "/v1/chat/completions", &headers, &body).await));
        }
    }
    // A record is filed when its answer has gone out, each on the thread of its connection: they may overtake each other.
    for id in &ids {
        recorded(weir, id).await;
    }
    ids
}

async fn recorded(weir: &WeirProcess, id: &str) -> Value {
    let path = format!("/api/decisions/{id}");
    eventually(&path, async || {
        let answer = admin(weir, "GET", &path, &Value::Null).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await
}

async fn backtest(weir: &WeirProcess, body: &Value) -> Value {
    let id = write(weir, "POST", "/api/backtests", body, 202).await.json()["id"].as_str().unwrap().to_owned();
    eventually("the backtest to end", async || {
        let view = read(weir, &format!("/api/backtests/{id}")).await;
        (view["state"] != "running").then_some(view)
    })
    .await
}

fn requests(view: &Value) -> &Value {
    let sides = view["report"]["boundaries"].as_array().unwrap_or_else(|| panic!("{view}"));
    sides.iter().find(|side| side["boundary"] == "request").unwrap_or_else(|| panic!("{view}"))
}

fn hits(view: &Value) -> Vec<(String, u64)> {
    let rules = view["report"]["rules"].as_array().unwrap();
    rules
        .iter()
        .map(|rule| (rule["rule"].as_str().unwrap().to_owned(), rule["hits"].as_u64().unwrap()))
        .collect()
}

/// How often each rule matched in shadow, by the records of these decisions.
async fn shadow_hits(weir: &WeirProcess, ids: &[String]) -> Vec<(String, u64)> {
    let mut hits: Vec<(String, u64)> = CANDIDATES.map(|rule| (rule.to_owned(), 0)).to_vec();
    for id in ids {
        let record = recorded(weir, id).await;
        for matched in record["matched"].as_array().unwrap() {
            assert_eq!(matched["mode"], "shadow", "{record}");
            let rule = matched["rule"].as_str().unwrap();
            hits.iter_mut().find(|(known, _)| known == rule).unwrap().1 += 1;
        }
    }
    hits
}

#[tokio::test]
async fn a_backtest_predicts_what_a_later_shadow_run_counts() {
    let upstream = ScriptedUpstream::start().await;
    let weir = WeirProcess::start(binary(), &config(&upstream, "")).await;
    let mut keys = Vec::new();
    for owner in [
        json!({"user": "a", "plan": "free"}),
        json!({"user": "b", "plan": "pro"}),
        json!({"user": "c"}),
        json!({"user": "d", "plan": "free", "tags": ["vip"]}),
    ] {
        keys.push(make_key_of(&weir, &owner).await);
    }
    write(&weir, "PUT", "/api/rules", &in_force(), 200).await;
    let first = traffic(&weir, &keys).await;

    // The set that was in force reproduces every decision: none of them hangs on a prompt.
    let same = backtest(&weir, &json!({})).await;
    let side = requests(&same);
    assert_eq!(
        (&side["replayed"], &side["unchanged"]),
        (&json!(first.len()), &json!(first.len())),
        "{same:#}"
    );
    assert_eq!((&side["changes"], &side["share"]), (&json!([]), &json!(1.0)), "{same:#}");

    let predicted = backtest(&weir, &json!({"rules": candidate().to_string()})).await;
    assert_eq!(requests(&predicted)["share"], 1.0, "{predicted:#}");

    write(&weir, "PUT", "/api/rules", &in_shadow(candidate()), 200).await;
    let second = traffic(&weir, &keys).await;
    assert_eq!(hits(&predicted), shadow_hits(&weir, &second).await, "{predicted:#}");

    // Enforced, the same traffic is blocked and limited as often as was predicted.
    let (blocked, limited) = (outcomes(&predicted, "block"), outcomes(&predicted, "limited"));
    assert!(blocked > 0 && limited > 0, "{predicted:#}");
    write(&weir, "PUT", "/api/rules", &candidate(), 200).await;
    let third = traffic(&weir, &keys).await;
    let mut seen = (0, 0);
    for id in &third {
        let record = recorded(&weir, id).await;
        seen.0 += u64::from(record["outcome"] == "block");
        seen.1 += u64::from(record["result"]["limit"] == "rule:free-limit");
    }
    assert_eq!(seen, (blocked, limited));
}

/// The decisions that would have an outcome.
fn outcomes(view: &Value, outcome: &str) -> u64 {
    let transitions = requests(view)["transitions"].as_array().unwrap();
    transitions.iter().filter(|t| t["to"] == outcome).map(|t| t["decisions"].as_u64().unwrap()).sum()
}
