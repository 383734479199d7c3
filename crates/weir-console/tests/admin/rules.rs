//! The rules over HTTP.

use std::path::PathBuf;

use axum::body::Body;
use serde_json::{Value, json};
use weir_console::Master;

use crate::plane::{ADMIN, Plane, memory};

const TWO: &str = "# kept
rules:
  # of the first
  - id: first
    on: request
    when: request.model == \"a\"
    then: log

  - id: second
    on: request
    when: request.model == \"b\"
    then: block
    because: No b.
";

const THIRD: &str = "id: third\non: request\nwhen: request.stream\nthen: quarantine-1\n";

fn ids(rules: &Value) -> Vec<String> {
    rules["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_set_is_replaced_read_back_and_in_force() {
    let plane = Plane::start().await;
    let empty = plane.get("/api/rules").await;
    assert_eq!((empty.ok(), empty.header("etag")), (json!({"epoch": 0, "rules": []}), "\"0\""));

    let put = plane.yaml("PUT", "/api/rules", TWO).await;
    assert_eq!((put.ok()["epoch"].as_u64(), put.header("etag")), (Some(1), "\"1\""));
    assert_eq!(put.value()["changes"][0], json!({"rule": "first", "kind": "added", "fields": []}));
    assert_eq!(plane.parts.rules.load().epoch, 1);
    assert_eq!(plane.parts.rules.load().rules.rules().len(), 2);

    let read = plane.get("/api/rules").await.ok();
    assert_eq!(ids(&read), ["first", "second"]);
    assert_eq!(read["rules"][1]["because"], "No b.");
    let token = format!("Bearer {ADMIN}");
    let headers = [("authorization", token.as_str()), ("accept", "application/yaml")];
    let text = plane.call_with("GET", "/api/rules", &headers, Body::empty()).await;
    assert_eq!((text.text().as_str(), text.header("content-type")), (TWO, "application/yaml"));
}

#[tokio::test]
async fn what_was_read_as_json_can_be_put_back_as_json() {
    let plane = Plane::start().await;
    plane.rules(TWO).await;
    let mut read = plane.get("/api/rules").await.ok();
    let same = plane.json("PUT", "/api/rules", read.clone()).await.ok();
    assert_eq!(same["changes"], json!([]));
    read["rules"][0]["then"] = json!("block");
    let changed = plane.json("PUT", "/api/rules", read["rules"].clone()).await.ok();
    assert_eq!(changed["changes"], json!([{"rule": "first", "kind": "changed", "fields": ["then"]}]));
    assert_eq!(plane.get("/api/rules/first").await.ok()["then"], "block");
    plane.json("PUT", "/api/rules", json!({"rules": [{"id": "x"}]})).await.problem(422);
}

#[tokio::test]
async fn the_same_text_makes_no_epoch() {
    let plane = Plane::start().await;
    plane.rules(TWO).await;
    assert_eq!(
        plane.yaml("PUT", "/api/rules", TWO).await.ok(),
        json!({"epoch": 1, "changes": [], "warnings": []})
    );
    assert_eq!(plane.audited().await, ["rules.apply"]);
}

#[tokio::test]
async fn a_bad_set_is_refused_with_places_and_the_old_one_stays() {
    let plane = Plane::start().await;
    plane.rules(TWO).await;
    let bad = "rules:\n  - id: a\n    on: request\n    when: request.modle == \"a\"\n    then: log\n  - id: b\n    on: request\n    when: request.stream\n    then: blok\n";
    let problem = plane.yaml("PUT", "/api/rules", bad).await.problem(422);
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{problem}");
    for (error, rule, line) in [(&errors[0], "a", 4), (&errors[1], "b", 9)] {
        assert_eq!((&error["rule"], &error["line"]), (&json!(rule), &json!(line)), "{error}");
        for member in ["rule", "path", "line", "column", "message", "help"] {
            assert!(error.get(member).is_some(), "{member} in {error}");
        }
    }
    for bad in ["rules: 7", "rule: []", "rules:\n - id: [", "[]"] {
        plane.yaml("PUT", "/api/rules", bad).await.problem(422);
    }
    plane.yaml("POST", "/api/rules", "id: x\non: request\nwhen: 'true'\nthen: blok\n").await.problem(422);
    assert_eq!(ids(&plane.get("/api/rules").await.ok()), ["first", "second"]);
    assert_eq!(plane.parts.rules.load().epoch, 1);
}

#[tokio::test]
async fn single_rules_are_added_changed_and_removed_and_comments_stay() {
    let plane = Plane::start().await;
    plane.rules(TWO).await;
    let added = plane.yaml("POST", "/api/rules", THIRD).await;
    assert_eq!((added.status.as_u16(), added.header("location")), (201, "/api/rules/third"));
    assert_eq!((added.value()["id"].as_str(), added.header("etag")), (Some("third"), "\"2\""));
    assert_eq!(plane.get(added.header("location")).await.ok()["then"], "quarantine-1");
    plane.yaml("POST", "/api/rules", THIRD).await.problem(409);

    let changed = json!({"id": "second", "on": "request", "when": "request.model == \"b\"", "then": "log"});
    let put = plane.json("PUT", "/api/rules/second", changed.clone()).await.ok();
    assert_eq!(put["changes"], json!([{"rule": "second", "kind": "changed", "fields": ["because", "then"]}]));
    assert_eq!(ids(&plane.get("/api/rules").await.ok()), ["first", "second", "third"]);
    plane
        .json("PUT", "/api/rules/none", json!({"id": "none", "on": "request", "when": "true", "then": "log"}))
        .await
        .problem(404);
    assert_eq!(plane.json("PUT", "/api/rules/first", changed).await.faults(422), ["id"]);

    let gone = plane.call("DELETE", "/api/rules/second", Body::empty()).await;
    assert_eq!((gone.status.as_u16(), gone.header("etag")), (204, "\"4\""));
    plane.call("DELETE", "/api/rules/second", Body::empty()).await.problem(404);
    plane.get("/api/rules/second").await.problem(404);
    assert_eq!(ids(&plane.get("/api/rules").await.ok()), ["first", "third"]);
    let (_, text) = plane.parts.rulebook.export().await.unwrap();
    assert!(text.contains("# kept") && text.contains("# of the first"), "{text}");
    assert_eq!(plane.parts.rules.load().rules.rules().len(), 2);
    assert_eq!(plane.audited().await, ["rules.delete", "rules.put", "rules.add", "rules.apply"]);
}

#[tokio::test]
async fn faults_of_one_rule_have_the_places_of_what_was_sent() {
    let plane = Plane::start().await;
    let problem = plane
        .yaml("POST", "/api/rules", "# mine\nid: x\non: request\nwhen: request.modle == \"a\"\nthen: log\n")
        .await
        .problem(422);
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["rule"], &error["path"], &error["line"], &error["column"]),
        (&json!("x"), &json!("when"), &json!(4), &json!(15)),
        "{problem}"
    );
    plane.yaml("POST", "/api/rules", TWO).await.problem(422);
    plane.json("POST", "/api/rules", json!([])).await.problem(422);
    let token = format!("Bearer {ADMIN}");
    let json = [("authorization", token.as_str()), ("content-type", "application/json")];
    plane.call_with("POST", "/api/rules", &json, "{\"id\": ").await.problem(400);
}

#[tokio::test]
async fn a_write_that_is_based_on_another_epoch_is_refused() {
    let plane = Plane::start().await;
    plane.rules(TWO).await;
    let token = format!("Bearer {ADMIN}");
    let write = async |method: &str, path: &str, epoch: &str, body: &str| {
        let headers =
            [("authorization", token.as_str()), ("if-match", epoch), ("content-type", "application/yaml")];
        plane.call_with(method, path, &headers, body.to_owned()).await
    };
    let one = "id: first\non: request\nwhen: 'true'\nthen: log\n";
    for (method, path, body) in [
        ("PUT", "/api/rules", "rules: []"),
        ("POST", "/api/rules", THIRD),
        ("PUT", "/api/rules/first", one),
        ("DELETE", "/api/rules/first", ""),
        ("POST", "/api/rules/rollback", "{\"epoch\": 1}"),
    ] {
        let refused = write(method, path, "\"7\"", body).await.problem(409);
        assert_eq!(refused["epoch"], 1, "{method} {path}");
        write(method, path, "seven", body).await.problem(400);
    }
    assert_eq!(write("POST", "/api/rules", "\"1\"", THIRD).await.status, 201);
    assert_eq!(write("DELETE", "/api/rules/third", "2", "").await.status, 204);
    assert_eq!(write("PUT", "/api/rules", "*", "rules: []").await.status, 200);
}

#[tokio::test]
async fn the_history_says_who_changed_what_and_can_be_gone_back_to() {
    let plane = Plane::start().await;
    plane.rules(TWO).await;
    plane.yaml("POST", "/api/rules", THIRD).await.ok();
    let history = plane.get("/api/rules/history").await.ok();
    let summaries: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["summary"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(summaries, ["added third", "added first, second"]);
    assert_eq!(
        (&history["items"][0]["author"], &history["items"][0]["at"]),
        (&json!("admin"), &json!("2026-11-20T10:00:00Z"))
    );
    assert_eq!(plane.get("/api/rules/history/1").await.ok()["text"], TWO);
    plane.get("/api/rules/history/9").await.problem(404);
    plane.get("/api/rules/history/x").await.problem(404);

    let back = plane.json("POST", "/api/rules/rollback", json!({"epoch": 1})).await.ok();
    assert_eq!((&back["epoch"], &back["changes"][0]["rule"]), (&json!(3), &json!("third")));
    assert_eq!(ids(&plane.get("/api/rules").await.ok()), ["first", "second"]);
    assert_eq!(
        plane.get("/api/rules/history?limit=1").await.ok()["items"][0]["summary"],
        "rolled back to epoch 1: removed third"
    );
    plane.json("POST", "/api/rules/rollback", json!({"epoch": 9})).await.problem(404);
    assert_eq!(plane.json("POST", "/api/rules/rollback", json!({"epoch": "1"})).await.faults(400), ["epoch"]);
    plane.json("POST", "/api/rules/rollback", json!({})).await.problem(400);
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let plane = Plane::start().await;
    assert_eq!(plane.yaml("POST", "/api/rules/check", TWO).await.ok(), json!({"diagnostics": []}));
    let found = plane
        .yaml(
            "POST",
            "/api/rules/check",
            "rules:\n  - {id: a, on: request, when: 'request.modle == \"\"', then: log}\n",
        )
        .await
        .ok();
    assert_eq!(
        (&found["diagnostics"][0]["severity"], &found["diagnostics"][0]["rule"]),
        (&json!("error"), &json!("a"))
    );
    let expired =
        "rules:\n  - {id: a, on: request, when: request.stream, then: log, expires: 2020-01-01T00:00:00Z}\n";
    assert_eq!(
        plane.yaml("POST", "/api/rules/check", expired).await.ok()["diagnostics"][0]["severity"],
        "warning"
    );
    assert_eq!(plane.yaml("PUT", "/api/rules", expired).await.ok()["warnings"][0]["rule"], "a");
    assert_eq!(plane.get("/api/rules/history").await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn with_files_as_master_every_write_names_them() {
    let master = Master::Files(vec![PathBuf::from("conf/rules"), PathBuf::from("more.yaml")]);
    let plane = Plane::with(memory().await, master).await;
    for (method, path, body) in [
        ("PUT", "/api/rules", TWO),
        ("POST", "/api/rules", THIRD),
        ("PUT", "/api/rules/first", THIRD),
        ("DELETE", "/api/rules/first", ""),
        ("POST", "/api/rules/rollback", "{\"epoch\": 1}"),
    ] {
        let problem = plane.yaml(method, path, body).await.problem(409);
        assert_eq!(problem["files"], json!(["conf/rules", "more.yaml"]), "{method} {path}");
    }
    assert_eq!(plane.yaml("POST", "/api/rules/check", TWO).await.ok(), json!({"diagnostics": []}));
    plane.get("/api/rules").await.ok();
}

#[tokio::test]
async fn who_writes_one_rule_is_warned_of_that_rule_only() {
    let plane = Plane::start().await;
    plane
        .rules("rules:\n  - {id: a, on: request, when: request.stream, then: log, expires: 2020-01-01T00:00:00Z}\n")
        .await;
    let rule = |id: &str, expires: &str| json!({"id": id, "on": "request", "when": format!("request.free && request.model != \"{id}\""), "then": "log", "expires": expires});
    let (past, future) = ("2020-01-01T00:00:00Z", "2035-01-01T00:00:00Z");
    for (method, path, rule, expected) in [
        ("POST", "/api/rules", rule("b", future), vec![]),
        ("POST", "/api/rules", rule("c", past), vec!["c"]),
        ("PUT", "/api/rules/b", rule("b", past), vec!["b"]),
    ] {
        let warnings = plane.json(method, path, rule).await.value()["warnings"].clone();
        let of: Vec<_> = warnings.as_array().unwrap().iter().map(|w| w["rule"].as_str().unwrap()).collect();
        assert_eq!(of, expected, "{method} {path} tells of its own rule only: {warnings}");
    }
}
