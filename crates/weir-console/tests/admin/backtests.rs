//! Backtests over HTTP.

use serde_json::{Value, json};
use weir_core::record::{Record, RecordedFacts, RequestFacts, RequestResult};
use weir_core::{Decision, DecisionId, Source, Timestamp};

use crate::plane::{Plane, VIEWER};

const NO_CURL: &str =
    "rules: [{id: no-curl, on: request, when: 'request.user_agent == \"curl\"', then: block}]";

fn record(n: i64, at: Timestamp, agent: &str) -> Record {
    let at = at.checked_sub(jiff::SignedDuration::from_secs(n + 1)).unwrap();
    let id = DecisionId::new(at, [3; 10]);
    let decision =
        Decision { source: Source::Fresh, ..Decision::unasked(id, format!("user:{}", n % 3), 1, at) };
    let request = RequestFacts { user_agent: agent.to_owned(), ..RequestFacts::default() };
    let facts = RecordedFacts { request, ..RecordedFacts::default() };
    Record { decision, result: RequestResult::default(), facts, call: None }
}

async fn with_records() -> Plane {
    let plane = Plane::start().await;
    let now = plane.parts.clock.now();
    let records: Vec<Record> =
        (0..30).map(|n| record(n, now, if n % 2 == 0 { "curl" } else { "agent" })).collect();
    plane.parts.database.write_records(&records).await.unwrap();
    plane
}

/// Asks after a backtest until it has ended.
async fn ended(plane: &Plane, id: &str) -> Value {
    let path = format!("/api/backtests/{id}");
    loop {
        let view = plane.get(&path).await.ok();
        if view["state"] != "running" {
            return view;
        }
        tokio::task::yield_now().await;
    }
}

async fn start(plane: &Plane, body: Value) -> String {
    let answer = plane.json("POST", "/api/backtests", body).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
    let id = answer.value()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/api/backtests/{id}"));
    id
}

#[tokio::test]
async fn a_backtest_is_started_asked_after_and_listed() {
    let plane = with_records().await;
    let id = start(&plane, json!({"rules": NO_CURL})).await;
    let view = ended(&plane, &id).await;
    assert_eq!((&view["state"], &view["error"]), (&json!("done"), &Value::Null), "{view}");
    assert_eq!(view["progress"], json!({"done": 30, "total": 30}));
    let side = &view["report"]["boundaries"][0];
    assert_eq!((&side["decisions"], &side["replayed"]), (&json!(30), &json!(30)), "{view}");
    let change = &side["changes"][0];
    assert_eq!((&change["effect"], &change["decisions"]), (&json!("newly_blocked"), &json!(15)));
    assert_eq!(change["identities"], 3);
    assert_eq!(view["report"]["rules"][0]["hits"], 15);
    let listed = plane.get("/api/backtests").await.ok();
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["by"]), (&json!(id), &json!("admin")));
    // Stopping one that has ended changes nothing.
    plane.call("DELETE", &format!("/api/backtests/{id}"), "").await;
    assert_eq!(ended(&plane, &id).await["state"], "done");
}

#[tokio::test]
async fn the_rules_in_force_and_several_files_can_be_replayed_over_a_part_of_the_time() {
    let plane = with_records().await;
    plane.rules(NO_CURL).await;
    let id = start(&plane, json!({"since": "10s"})).await;
    let view = ended(&plane, &id).await;
    assert_eq!(view["report"]["boundaries"][0]["decisions"], 10, "{view}");
    let files = json!([{"name": "a.yaml", "text": NO_CURL}, {"name": "b.yaml", "text": "rules: []"}]);
    let id = start(&plane, json!({"files": files, "until": "20s", "boundary": "request"})).await;
    let view = ended(&plane, &id).await;
    assert_eq!(view["report"]["boundaries"][0]["decisions"], 10, "{view}");
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_place() {
    let plane = with_records().await;
    let table = [
        (json!({"since": "yesterday"}), 400, "since"),
        (json!({"since": "1h", "until": "2h"}), 400, "until"),
        (json!({"boundary": "requests"}), 400, "boundary"),
        (json!({"rules": NO_CURL, "files": []}), 400, "files"),
        (json!({"rulez": ""}), 400, "rulez"),
        (json!({"rules": "rules: [{id: a}]"}), 422, "rules[0]"),
    ];
    for (body, status, place) in table {
        let answer = plane.json("POST", "/api/backtests", body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text());
        assert!(answer.text().contains(place), "{body}: {}", answer.text());
    }
    plane.get("/api/backtests/bt_none").await.problem(404);
    plane.call("DELETE", "/api/backtests/bt_none", "").await.problem(404);
}

#[tokio::test]
async fn texts_that_are_meant_to_harm_get_a_clear_error() {
    let plane = Plane::start().await;
    let rule = |when: &str| json!({"rules": [{"id": "a", "on": "request", "when": when, "then": "block"}]});
    let deep = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
    let nots = format!("{}true", "!".repeat(1000));
    let megabyte = format!("request.model == \"{}\"", "x".repeat(1 << 20));
    let exploding = "request.model.matches(\"((((a{1,100}){1,100}){1,100}){1,100}){1,100}\")";
    for when in [deep.as_str(), &nots, &megabyte, exploding] {
        let text = rule(when).to_string();
        let answer = plane.json("POST", "/api/backtests", json!({"rules": text})).await;
        let problem = answer.problem(422);
        let faults = problem["errors"].as_array().unwrap();
        assert!(!faults.is_empty() && faults[0]["rule"] == "a", "{problem}");
        assert!(answer.text().len() < 10_000, "{} bytes", answer.text().len());
    }
}

#[tokio::test]
async fn a_viewer_reads_and_starts_none() {
    let plane = with_records().await;
    let id = start(&plane, json!({"rules": NO_CURL})).await;
    let token = format!("Bearer {VIEWER}");
    let headers = [("authorization", token.as_str())];
    let path = format!("/api/backtests/{id}");
    assert_eq!(plane.call_with("GET", &path, &headers, "").await.status.as_u16(), 200);
    for (method, path) in [("POST", "/api/backtests"), ("DELETE", path.as_str())] {
        assert_eq!(plane.call_with(method, path, &headers, "{}").await.status.as_u16(), 403, "{method}");
    }
}
