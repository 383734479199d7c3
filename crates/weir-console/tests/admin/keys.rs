//! API keys over HTTP.

use axum::body::Body;
use serde_json::json;

use crate::plane::{CONFIGURED_KEY, Plane};

#[tokio::test]
async fn a_key_is_shown_once_works_at_once_and_ends_at_once() {
    let plane = Plane::start().await;
    let made = plane
        .json("POST", "/api/keys", json!({
            "user": " ada ", "org": "acme", "project": "p", "plan": "pro", "tags": ["a"], "budget_usd": 2.5,
            "byok": {"openai": "sk-own"}, "channel": "cli",
        }))
        .await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (201, "no-store"));
    let created = made.value();
    let (id, key) = (created["id"].as_str().unwrap(), created["key"].as_str().unwrap());
    assert_eq!(made.header("location"), format!("/api/keys/{id}"));

    let found = plane.parts.directory.find_key(key).expect("the key works at once");
    assert_eq!((found.owner.user.as_str(), found.owner.budget_usd), ("ada", Some(2.5)));
    assert_eq!(weir_core::secret::expose(&found.byok["openai"]), "sk-own");
    plane.parts.directory.spend(&found, 1_500_000);

    let list = plane.get("/api/keys").await;
    let items = list.ok()["items"].as_array().unwrap().clone();
    let item = items.iter().find(|item| item["id"] == id).unwrap();
    assert_eq!(item["spent_usd"], 1.5);
    assert_eq!(item["byok"], json!(["openai"]));
    assert_eq!((&item["user"], &item["origin"]), (&json!("ada"), &json!("runtime")));
    assert!(key.starts_with(item["prefix"].as_str().unwrap()));
    assert!(item["revoked_at"].is_null() && item["created_at"] == "2026-11-20T10:00:00Z");
    assert!(items.iter().any(|item| item["origin"] == "configured" && item["user"] == "configured"));
    for secret in [key, "sk-own", CONFIGURED_KEY] {
        assert!(!list.text().contains(secret));
    }

    let path = format!("/api/keys/{id}");
    assert_eq!(plane.call("DELETE", &path, Body::empty()).await.status, 204);
    assert!(plane.parts.directory.find_key(key).is_none(), "the key ends at once");
    plane.call("DELETE", &path, Body::empty()).await.problem(404);
    let items = plane.get("/api/keys").await.ok()["items"].as_array().unwrap().clone();
    assert!(items.iter().find(|item| item["id"] == id).unwrap()["revoked_at"].is_string());
    assert_eq!(plane.audited().await, ["key.revoke", "key.create"]);
}

#[tokio::test]
async fn what_cannot_be_a_key_is_refused_with_all_its_faults() {
    let plane = Plane::start().await;
    let table = [
        (json!({}), vec!["user"]),
        (json!({"user": " "}), vec!["user"]),
        (json!({"user": "anon:1.2.3.4"}), vec!["user"]),
        (json!({"user": 7}), vec!["user"]),
        (json!({"user": "a", "usr": "b"}), vec!["usr"]),
        (json!({"user": "a", "budget_usd": -1}), vec!["budget_usd"]),
        (json!({"user": "a", "budget_usd": 1e-7}), vec!["budget_usd"]),
        (json!({"user": "a", "budget_usd": "5"}), vec!["budget_usd"]),
        (json!({"user": "a", "tags": [" "], "org": "", "channel": "a\nb"}), vec!["org", "channel", "tags"]),
        (json!({"user": "a", "byok": {"nobody": "k", "openai": ""}}), vec!["byok.nobody", "byok.openai"]),
        (json!({"user": "a", "byok": {"openai": "a\r\nb: c"}}), vec!["byok.openai"]),
        (json!({"user": "x".repeat(300)}), vec!["user"]),
        (
            json!({"user": "a\u{0}", "plan": "\u{1b}[2J", "project": "\u{85}x", "tags": ["a\tb"]}),
            vec!["user", "project", "plan", "tags"],
        ),
    ];
    for (body, expected) in table {
        let faults = plane.json("POST", "/api/keys", body.clone()).await.faults(400);
        assert_eq!(faults, expected, "{body}");
    }
    assert_eq!(plane.get("/api/keys").await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_configured_key_is_ended_in_the_configuration() {
    let plane = Plane::start().await;
    let id = plane.parts.directory.find_key(CONFIGURED_KEY).unwrap().id.clone();
    plane.call("DELETE", &format!("/api/keys/{id}"), Body::empty()).await.problem(409);
    plane.call("DELETE", "/api/keys/key_0000000000000000", Body::empty()).await.problem(404);
}
