//! The abuse service (spec A9) over HTTP.

use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};

use crate::plane::{ACCESS, Plane};

const RULES: &str = r#"
rules:
  - {id: bad-agent, on: request, when: 'request.user_agent.contains("python-requests/")', then: quarantine-2, score: 40, tags: [scripted, abuse]}
  - {id: bob, on: request, when: 'identity.key == "user:bob"', then: block, score: 70, tags: [abuse], because: Bob is out.}
  - {id: watched, on: request, when: 'request.user_prompt.contains("launch codes")', then: block, score: 9, mode: shadow}
  - {id: paced, on: request, when: 'identity.user_id == "cyd"', then: {rate-limit: {requests: 2, per: 1m}}, because: Slowly.}
  - {id: trial, on: request, when: 'identity.plan == "trial" && identity.age_days >= 3 && identity.verified && "new" in identity.tags', then: log}
  - {id: facts, on: request, when: 'request.provider == "openai" && request.model == "free/one" && request.free && request.max_tokens == 7 && request.has_tools && request.stream && request.byok && request.editor == "vi" && request.feature == "chat" && request.ip == "203.0.113.5" && request.ja4 == "t13" && request.country == "NL" && request.city == "Delft" && request.system_prompt == "be kind" && identity.org_id == "acme" && identity.project_id == "p"', then: rate-limit}
  - {id: greedy, on: request, when: 'stats.requests_1h >= 1 && identity.user_id == "eve"', then: log}
  - {id: rich, on: request, when: 'stats.spend_1h_usd > 1.0 && stats.tokens_1h == 30', then: quarantine-1}
"#;

async fn plane() -> Plane {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    plane
}

async fn classify(plane: &Plane, body: Value) -> Value {
    let answer = plane.call_with("POST", "/api/classify", &ACCESS, body.to_string()).await;
    answer.ok()
}

fn engine(answer: &Value) -> (&Value, &Value) {
    (&answer["rules_engine"]["resolved_action"], &answer["rules_engine"]["matched_abuse_rule_ids"])
}

#[tokio::test]
async fn the_answer_has_the_members_of_the_protocol() {
    let plane = plane().await;
    let clean = classify(&plane, json!({})).await;
    assert_eq!(clean["verdict"], "ALLOW");
    assert_eq!(
        (&clean["risk_score"], &clean["signals"], &clean["action_metadata"]),
        (&json!(0.0), &json!([]), &json!({}))
    );
    assert_eq!(
        clean["rules_engine"],
        json!({"matches": [], "sus_score": 0, "resolved_action": null, "matched_abuse_rule_ids": []})
    );
    assert_eq!(
        clean["context"],
        json!({
            "identity_key": "fingerprint:22af7331d27fdc39ab1c65981a5123550cb5ae7e038be2d2c1d3909d81c56d4a",
            "current_spend_1h": 0.0, "is_new_user": true, "requests_per_second": 0.0,
        })
    );
    let id = clean["request_id"].as_u64().unwrap();
    assert!(id > 0 && id < 1 << 53);

    let bad = classify(&plane, json!({"kilo_user_id": "bob", "user_agent": "python-requests/2"})).await;
    assert_eq!((&bad["verdict"], &bad["risk_score"]), (&json!("HARD_BLOCK"), &json!(1.0)));
    assert_eq!(bad["signals"], json!(["abuse", "scripted"]));
    assert_eq!(
        bad["rules_engine"],
        json!({
            "matches": [{"rule_id": "bad-agent", "action": "quarantine-2", "score": 40}, {"rule_id": "bob", "action": "block", "score": 70}],
            "sus_score": 110, "resolved_action": "block", "matched_abuse_rule_ids": ["bad-agent", "bob"],
        })
    );
    let soft = classify(&plane, json!({"kilo_user_id": "ada", "user_agent": "python-requests/2"})).await;
    assert_eq!((&soft["verdict"], &soft["risk_score"]), (&json!("SOFT_BLOCK"), &json!(0.4)));
}

#[tokio::test]
async fn every_member_reaches_the_rules() {
    let plane = plane().await;
    let whole = json!({
        "kilo_user_id": "dan", "organization_id": "acme", "project_id": "p", "ip_address": "1.1.1.1, 203.0.113.5, 10.0.0.1",
        "geo_city": "Delft", "geo_country": "NL", "geo_latitude": 52.0, "geo_longitude": 4.3, "ja4_digest": "t13", "user_agent": "ua",
        "provider": "openai", "requested_model": "free/one", "user_prompt": "hello", "system_prompt": "be kind", "max_tokens": 7,
        "has_middle_out_transform": false, "has_tools": true, "streamed": true, "is_user_byok": true, "editor_name": "vi", "feature": "chat",
    });
    let answer = classify(&plane, whole.clone()).await;
    assert_eq!(engine(&answer), (&json!("rate-limit"), &json!(["facts"])));
    assert_eq!(answer["action_metadata"], json!({"retry_after_seconds": 60}));
    let mut nulls = whole.clone();
    for member in nulls.as_object_mut().unwrap().values_mut() {
        *member = Value::Null;
    }
    assert_eq!(engine(&classify(&plane, nulls).await).0, &json!(null));
    for member in whole.as_object().unwrap().keys() {
        let mut wrong = whole.clone();
        wrong[member] = json!({"no": "such"});
        let answer = plane.call_with("POST", "/api/classify", &ACCESS, wrong.to_string()).await;
        assert_eq!(answer.faults(400), [member.as_str()], "{member}");
    }
    plane.call_with("POST", "/api/classify", &ACCESS, "[]").await.problem(400);
}

#[tokio::test]
async fn a_shadow_rule_is_listed_and_counts_for_nothing() {
    let plane = plane().await;
    let answer =
        classify(&plane, json!({"kilo_user_id": "ada", "user_prompt": "the launch codes please"})).await;
    assert_eq!(engine(&answer), (&json!(null), &json!([])));
    assert_eq!(
        answer["rules_engine"]["matches"],
        json!([{"rule_id": "watched", "action": "block", "score": 0}])
    );
    assert_eq!((&answer["rules_engine"]["sus_score"], &answer["verdict"]), (&json!(0), &json!("ALLOW")));
}

#[tokio::test]
async fn the_asking_request_is_counted_for_limits() {
    let plane = plane().await;
    let ask = async || classify(&plane, json!({"kilo_user_id": "cyd"})).await;
    for _ in 0..2 {
        assert_eq!(engine(&ask().await).0, &json!(null));
    }
    plane.clock.advance(Duration::from_secs(20));
    let over = ask().await;
    assert_eq!((engine(&over).0, &over["verdict"]), (&json!("rate-limit"), &json!("SOFT_BLOCK")));
    assert_eq!(over["action_metadata"], json!({"retry_after_seconds": 40}));
    plane.clock.advance(Duration::from_secs(41));
    assert_eq!(engine(&ask().await).0, &json!(null));

    plane.parts.recorder.flush().await.unwrap();
    let limited = plane.get("/api/decisions?outcome=rate-limit").await.ok();
    let record = &limited["items"][0];
    assert_eq!(
        (&record["rule"], &record["because"], &record["result"]["limit"]),
        (&json!("paced"), &json!("Slowly."), &json!("rule:paced"))
    );
}

#[tokio::test]
async fn an_exempt_identity_is_left_alone() {
    let plane = plane().await;
    plane
        .json("PUT", "/api/identities/user%3Abob/exemption", json!({"until": "2026-11-20T11:00:00Z"}))
        .await
        .ok();
    let exempt = classify(&plane, json!({"kilo_user_id": "bob"})).await;
    assert_eq!((engine(&exempt).0, &exempt["verdict"]), (&json!(null), &json!("ALLOW")));
    assert_eq!(exempt["rules_engine"]["matches"][0]["rule_id"], "bob");
    plane.clock.advance(Duration::from_secs(3600));
    assert_eq!(engine(&classify(&plane, json!({"kilo_user_id": "bob"})).await).0, &json!("block"));
}

#[tokio::test]
async fn requests_and_costs_become_stats() {
    let plane = plane().await;
    let first = classify(&plane, json!({"kilo_user_id": "eve", "ip_address": "203.0.113.5"})).await;
    assert_eq!(engine(&first).0, &json!(null));
    let cost = json!({
        "request_id": first["request_id"], "message_id": "m1", "cost": 2_000_000, "requested_model": "x",
        "input_tokens": 10, "output_tokens": 20, "cache_write_tokens": 0, "cache_hit_tokens": null,
    });
    let counted = plane.call_with("POST", "/api/usage/cost", &ACCESS, cost.to_string()).await.ok();
    assert_eq!(counted, json!({"identity_key": "user:eve", "matched": true, "duplicate": false}));
    let again = plane.call_with("POST", "/api/usage/cost", &ACCESS, cost.to_string()).await.ok();
    assert_eq!(again["duplicate"], true);

    let second = classify(&plane, json!({"kilo_user_id": "eve"})).await;
    assert_eq!(engine(&second), (&json!("quarantine-1"), &json!(["greedy", "rich"])));
    assert_eq!(
        (&second["context"]["current_spend_1h"], &second["context"]["is_new_user"]),
        (&json!(2.0), &json!(false))
    );
    let stats = plane.get("/api/identities/user%3Aeve").await.ok()["stats"].clone();
    assert_eq!(
        (&stats["requests_1h"], &stats["tokens_1h"], &stats["ips_1h"]),
        (&json!(2), &json!(30), &json!(1))
    );
}

#[tokio::test]
async fn a_cost_whose_classification_is_unknown_is_counted_by_its_members() {
    let plane = plane().await;
    let cost = json!({"request_id": 5, "message_id": "m", "cost": 7, "kilo_user_id": "ada"});
    let counted = plane.json("POST", "/api/usage/cost", cost).await.ok();
    assert_eq!(counted, json!({"identity_key": "user:ada", "matched": false, "duplicate": false}));
    let anonymous = json!({"kilo_user_id": "anon:127.0.0.1", "ip_address": "127.0.0.1", "cost": 7});
    let counted = plane.json("POST", "/api/usage/cost", anonymous).await.ok();
    assert_eq!(
        counted["identity_key"],
        "fingerprint:aa2f01fa20b82bcf31d0ef1e4387bbcb650f885d254434472b037fd920af4494"
    );
    assert_eq!(
        plane.json("POST", "/api/usage/cost", json!({"request_id": 5, "cost": 7})).await.faults(400),
        ["request_id"]
    );
    for (member, wrong) in
        [("cost", json!(-1)), ("cost", json!("7")), ("input_tokens", json!(1.5)), ("request_id", json!("5"))]
    {
        let body = json!({"kilo_user_id": "ada", member: wrong});
        assert_eq!(plane.json("POST", "/api/usage/cost", body).await.faults(400), [member]);
    }
}

#[tokio::test]
async fn events_feed_the_facts_and_bad_ones_are_listed() {
    let plane = plane().await;
    let batch = json!({"events": [
        {"type": "user.signup", "occurred_at": "2026-11-10T10:00:00Z", "data": {"kilo_user_id": "fay"}},
        {"type": "plan.changed", "data": {"kilo_user_id": 7}},
        {"type": "anything at all", "data": {"kilo_user_id": "fay", "plan": "trial", "verified": true, "tags": ["new"], "extra": [1]}},
        "nonsense",
        {"type": "user.blocked", "data": {"kilo_user_id": "fay", "blocked": true, "plan": null}},
    ]});
    let answer = plane.call_with("POST", "/api/events", &ACCESS, batch.to_string()).await;
    assert_eq!(answer.status, 202);
    let accepted = answer.ok();
    assert_eq!(accepted["accepted"], 3);
    let rejected: Vec<_> = accepted["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["index"].as_u64().unwrap(), r["path"].clone()))
        .collect();
    assert_eq!(rejected, [(1, json!("data.kilo_user_id")), (3, json!(null))]);
    let facts = plane.get("/api/identities/user%3Afay").await.ok()["facts"].clone();
    assert_eq!((&facts["plan"], &facts["age_days"]), (&json!("trial"), &json!(10)));
    assert_eq!((&facts["verified"], &facts["blocked"]), (&json!(true), &json!(true)));
    assert_eq!(engine(&classify(&plane, json!({"kilo_user_id": "fay"})).await).1, &json!(["trial"]));

    for bad in [json!({}), json!({"events": {}}), json!({"events": vec![json!({}); 1001]})] {
        plane.json("POST", "/api/events", bad).await.problem(400);
    }
}

#[tokio::test]
async fn a_signup_makes_the_age() {
    let plane = plane().await;
    let signup = json!({"kilo_user_id": "gus", "event_type": "signup", "occurred_at": "2026-11-18T10:00:00Z", "email": "ignored"});
    assert_eq!(plane.call_with("POST", "/api/auth-event", &ACCESS, signup.to_string()).await.status, 202);
    let signin = json!({"kilo_user_id": "gus", "event_type": "signin", "verified": true});
    assert_eq!(plane.json("POST", "/api/auth-event", signin).await.status, 202);
    let facts = plane.get("/api/identities/user%3Agus").await.ok()["facts"].clone();
    assert_eq!((&facts["age_days"], &facts["verified"]), (&json!(2), &json!(true)));
    for (bad, path) in [
        (json!({"kilo_user_id": "gus", "event_type": "logout"}), "event_type"),
        (json!({"kilo_user_id": 7, "event_type": "signin"}), "kilo_user_id"),
        (json!({"kilo_user_id": "anon:1", "event_type": "signin"}), "kilo_user_id"),
    ] {
        assert_eq!(plane.json("POST", "/api/auth-event", bad).await.faults(400), [path]);
    }
    plane.call("POST", "/api/auth-event", Body::from("{}")).await.problem(400);
}
