//! Decisions and usage over HTTP.

use serde_json::json;

use crate::plane::Plane;

async fn classify(plane: &Plane, user: &str) -> u64 {
    let answer =
        plane.json("POST", "/api/classify", json!({"kilo_user_id": user, "user_agent": "curl/8"})).await.ok();
    answer["request_id"].as_u64().unwrap()
}

const RULES: &str = "
rules:
  - {id: curl, on: request, when: 'request.user_agent.startsWith(\"curl/\")', then: log}
  - {id: bob, on: request, when: 'identity.user_id == \"bob\"', then: block, because: Bob is out.}
";

#[tokio::test]
async fn decisions_are_listed_filtered_paged_and_read() {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    for user in ["ada", "bob", "cyd", "bob"] {
        classify(&plane, user).await;
    }
    plane.parts.recorder.flush().await.unwrap();
    let count = async |query: &str| {
        let page = plane.get(&format!("/api/decisions{query}")).await.ok();
        page["items"].as_array().unwrap().len()
    };
    for (query, expected) in [
        ("", 4),
        ("?boundary=request", 4),
        ("?boundary=tool", 0),
        ("?outcome=block", 2),
        ("?subject=user%3Aada", 1),
        ("?rule=bob&since=1h", 2),
        ("?since=2026-11-20T10:00:01Z", 0),
        ("?limit=3", 3),
    ] {
        assert_eq!(count(query).await, expected, "{query}");
    }
    let first = plane.get("/api/decisions?limit=3").await.ok();
    let cursor = first["next"].as_str().unwrap();
    let second = plane.get(&format!("/api/decisions?limit=3&cursor={cursor}")).await.ok();
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &json!(null)));

    let blocked = plane.get("/api/decisions?outcome=block&limit=1").await.ok()["items"][0].clone();
    let id = blocked["id"].as_str().unwrap();
    let one = plane.get(&format!("/api/decisions/{id}")).await.ok();
    assert_eq!(one, blocked);
    assert_eq!(
        (&one["rule"], &one["because"], &one["epoch"]),
        (&json!("bob"), &json!("Bob is out."), &json!(1))
    );
    assert_eq!(one["facts"]["request"]["user_agent"], "curl/8");
}

#[tokio::test]
async fn a_decision_can_be_read_as_soon_as_it_was_answered() {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    let asked = classify(&plane, "bob").await;
    assert!(plane.parts.recorder.pending() > 0);
    plane.parts.recorder.flush().await.unwrap();
    let listed = plane.get("/api/decisions").await.ok();
    assert_eq!(listed["items"][0]["result"]["request_id"], asked.to_string());
}

#[tokio::test]
async fn bad_parameters_are_named_and_unknown_ids_are_not_found() {
    let plane = Plane::start().await;
    for (query, expected) in [
        ("boundary=moon&limit=0", vec!["boundary", "limit"]),
        ("since=yesterday", vec!["since"]),
        ("cursor=%20nonsense", vec!["cursor"]),
        ("subjct=a", vec!["subjct"]),
        ("outcome=blok", vec!["outcome"]),
        ("boundary=tool&outcome=block", vec!["outcome"]),
        ("subject=ada", vec!["subject"]),
        ("limit=1&limit=2", vec!["limit"]),
    ] {
        assert_eq!(plane.get(&format!("/api/decisions?{query}")).await.faults(400), expected, "{query}");
    }
    let blok = plane.get("/api/decisions?outcome=blok").await.problem(400);
    let said = blok["errors"][0]["message"].as_str().unwrap();
    assert!(said.starts_with("did you mean `block`? it must be one of: nothing, log, rate-limit"), "{said}");
    assert_eq!(plane.get("/api/usage?outcome=block&limit=x").await.faults(400), ["outcome", "limit"]);
    assert_eq!(plane.get("/api/usage?cursor=%20nonsense").await.faults(400), ["cursor"]);
    for id in ["x", "dec_x", "dec_018f0000-0000-7000-8000-000000000000"] {
        plane.get(&format!("/api/decisions/{id}")).await.problem(404);
    }
    let now = weir_core::DecisionId::new(plane.clock.now(), [7; 10]);
    for (id, said) in [
        ("x", "no decision's id"),
        ("dec_018f0000-0000-7000-8000-000000000000", "kept no longer"),
        (now.to_text().as_str(), "recorded when its request has ended, so try again"),
    ] {
        let problem = plane.get(&format!("/api/decisions/{id}")).await.problem(404);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{id}: {problem}");
    }
    assert_eq!(
        plane.get("/api/usage?subject=user%3Aa&since=24h").await.ok(),
        json!({"items": [], "next": null})
    );
}

/// The parts of the rule as it was when it decided, also after it was changed; near misses; until when; who can lift it.
#[tokio::test]
async fn a_decision_is_explained_by_the_rules_of_its_time() {
    let plane = Plane::start().await;
    let rules = "
rules:
  - {id: bob, on: request, when: 'identity.user_id == \"bob\" && request.user_agent.startsWith(\"curl/\")', then: block}
  - {id: near, on: request, when: 'identity.user_id == \"bob\" && request.free', then: block}
  - {id: prompt, on: request, when: 'request.user_prompt == \"\" && identity.user_id == \"bob\"', then: log}
";
    plane.rules(rules).await;
    classify(&plane, "bob").await;
    plane.parts.recorder.flush().await.unwrap();
    let id = plane.get("/api/decisions").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let explain = async || plane.get(&format!("/api/decisions/{id}/explanation")).await.ok();
    let fresh = explain().await;
    let bob = &fresh["matched"][0];
    assert_eq!(
        (&fresh["outcome"], &bob["rule"], &bob["text"]),
        (&json!("block"), &json!("bob"), &json!("as_decided"))
    );
    let parts = &bob["condition"]["parts"];
    assert_eq!((&parts[0]["truth"], &parts[1]["truth"]), (&json!("true"), &json!("true")));
    assert_eq!(parts[1]["text"], "request.user_agent.startsWith(\"curl/\")");
    assert_eq!(
        parts[1]["values"][0],
        json!({"text": "request.user_agent", "value": "curl/8", "recorded": true})
    );
    let prompt = &fresh["matched"][1]["condition"]["parts"][0];
    assert_eq!((&prompt["inferred"], &prompt["values"][0]["recorded"]), (&json!(true), &json!(false)));
    let near = fresh["near_misses"].as_array().unwrap();
    assert_eq!((near.len(), &near[0]["rule"]), (1, &json!("near")));
    assert_eq!(fresh["until"][0]["what"], "the rule, which does not expire, is changed");
    assert_eq!(fresh["lifted_by"][0]["endpoint"], "PUT /api/rules/bob");
    assert_eq!(fresh["lifted_by"][1]["endpoint"], "PUT /api/identities/user:bob/exemption");

    // Another text now: the explanation keeps to the one that decided, which the history has.
    plane.rules("rules: [{id: bob, on: request, when: 'identity.user_id == \"eve\"', then: block}]").await;
    let later = explain().await;
    assert_eq!((&later["matched"], &later["near_misses"]), (&fresh["matched"], &fresh["near_misses"]));
    assert!(later["until"][0]["what"].as_str().unwrap().contains("has changed since"), "{later}");

    let unknown = "/api/decisions/dec_018f0000-0000-7000-8000-000000000000/explanation";
    plane.get(unknown).await.problem(404);
    plane.get("/api/decisions/x/explanation").await.problem(404);
}
