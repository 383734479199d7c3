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
        ("limit=1&limit=2", vec!["limit"]),
    ] {
        assert_eq!(plane.get(&format!("/api/decisions?{query}")).await.faults(400), expected, "{query}");
    }
    assert_eq!(plane.get("/api/usage?outcome=block&limit=x").await.faults(400), ["outcome", "limit"]);
    assert_eq!(plane.get("/api/usage?cursor=%20nonsense").await.faults(400), ["cursor"]);
    for id in ["x", "dec_x", "dec_018f0000-0000-7000-8000-000000000000"] {
        plane.get(&format!("/api/decisions/{id}")).await.problem(404);
    }
    assert_eq!(
        plane.get("/api/usage?subject=user%3Aa&since=24h").await.ok(),
        json!({"items": [], "next": null})
    );
}
