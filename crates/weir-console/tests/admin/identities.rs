//! Identities over HTTP.

use axum::body::Body;
use serde_json::json;

use crate::plane::{Plane, identity};

const ANON: &str = "fingerprint:22af7331d27fdc39ab1c65981a5123550cb5ae7e038be2d2c1d3909d81c56d4a";

#[tokio::test]
async fn an_identity_shows_what_is_known_of_it() {
    let plane = Plane::start().await;
    let nothing = plane.get(&format!("/api/identities/{ANON}")).await.ok();
    assert_eq!(
        (&nothing["key"], &nothing["action"], &nothing["exempt_until"]),
        (&json!(ANON), &json!(null), &json!(null))
    );
    assert_eq!(nothing["facts"]["kind"], "anonymous");
    assert_eq!(nothing["stats"]["requests_1h"], 0);

    plane.parts.cache.action_set(&identity("user:configured"), "quarantine-2").await.unwrap();
    let known = plane.get("/api/identities/user%3Aconfigured").await.ok();
    assert_eq!((&known["action"], &known["facts"]["plan"]), (&json!("quarantine-2"), &json!("pro")));
    assert_eq!(
        (&known["facts"]["user_id"], &known["facts"]["tags"]),
        (&json!("configured"), &json!(["internal"]))
    );
    assert_eq!(known, plane.get("/api/identities/user:configured").await.ok());
}

/// Its standing, and its latest decisions with where they are explained.
#[tokio::test]
async fn an_identity_shows_how_it_stands_and_what_was_decided() {
    let plane = Plane::start().await;
    plane.rules("rules: [{id: no-bob, on: request, when: 'identity.user_id == \"bob\"', then: block}]").await;
    for model in ["one", "two"] {
        let ask = json!({"kilo_user_id": "bob", "requested_model": model});
        plane.json("POST", "/api/classify", ask).await.ok();
        plane.clock.advance(std::time::Duration::from_secs(1));
    }
    plane.parts.recorder.flush().await.unwrap();
    let bob = async || plane.get("/api/identities/user:bob").await.ok();
    let seen = bob().await;
    assert_eq!((&seen["standing"], &seen["action_expires_at"]), (&json!("none"), &json!(null)));
    let recent = seen["recent"].as_array().unwrap();
    assert_eq!((recent.len(), &recent[0]["asked"], &recent[1]["asked"]), (2, &json!("two"), &json!("one")));
    assert_eq!((&recent[0]["outcome"], &recent[0]["rule"]), (&json!("block"), &json!("no-bob")));
    let explained = plane.get(recent[0]["explanation"].as_str().unwrap()).await.ok();
    assert_eq!((&explained["id"], &explained["subject"]), (&recent[0]["id"], &json!("user:bob")));

    for (cached, standing) in [("block", "block"), ("none", "none"), ("log", "none"), ("nonsense", "none")] {
        plane.parts.cache.action_set(&identity("user:bob"), cached).await.unwrap();
        assert_eq!(bob().await["standing"], standing, "{cached}");
    }
    plane.parts.cache.action_set(&identity("user:bob"), "block").await.unwrap();
    let until = json!({"until": "2026-11-20T11:00:00Z"});
    plane.json("PUT", "/api/identities/user:bob/exemption", until).await.ok();
    assert_eq!(bob().await["standing"], "exempt");
    plane.clock.advance(std::time::Duration::from_secs(3_600));
    assert_eq!(bob().await["standing"], "block", "the exemption is over");
    let elsewhere = plane.get("/api/identities/user:nobody").await.ok();
    assert_eq!((&elsewhere["standing"], &elsewhere["recent"]), (&json!("none"), &json!([])));
}

#[tokio::test]
async fn keys_are_percent_decoded_once() {
    let plane = Plane::start().await;
    for (path, key) in [
        ("user%3Aa%2Fb", "user:a/b"),
        ("user:a%20b", "user:a b"),
        ("user%3Aa%253Ab", "user:a%3Ab"),
        ("user:%C3%A9", "user:é"),
        ("user:a+b", "user:a+b"),
    ] {
        assert_eq!(plane.get(&format!("/api/identities/{path}")).await.ok()["key"], key);
    }
    for bad in ["demo", "user:", "fingerprint:xyz", "user:%FF"] {
        plane.get(&format!("/api/identities/{bad}")).await.problem(400);
    }
}

#[tokio::test]
async fn cached_actions_are_cleared_one_by_one_and_all_at_once() {
    let plane = Plane::start().await;
    for user in ["user:a", "user:b", "user:c"] {
        plane.parts.cache.action_set(&identity(user), "block").await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(plane.call("DELETE", "/api/identities/user%3Aa/action", Body::empty()).await.status, 204);
    }
    assert!(plane.get("/api/identities/user%3Aa").await.ok()["action"].is_null());
    assert_eq!(plane.get("/api/identities/user%3Ab").await.ok()["action"], "block");
    assert_eq!(plane.call("DELETE", "/api/actions", Body::empty()).await.ok(), json!({"cleared": 2}));
    assert!(plane.get("/api/identities/user%3Ab").await.ok()["action"].is_null());
    plane.call("DELETE", "/api/identities/nobody/action", Body::empty()).await.problem(400);
    assert_eq!(plane.audited().await, ["actions.clear", "action.clear", "action.clear"]);
}

#[tokio::test]
async fn an_exemption_is_for_a_time_to_come_and_in_force_at_once() {
    let plane = Plane::start().await;
    let path = "/api/identities/user%3Aa/exemption";
    let set = plane.json("PUT", path, json!({"until": "2026-11-21T10:00:00+01:00"})).await.ok();
    assert_eq!(set, json!({"key": "user:a", "exempt_until": "2026-11-21T09:00:00Z"}));
    let row = plane.parts.directory.identity(&identity("user:a"), plane.clock.now()).await;
    assert_eq!(row.exempt_until.unwrap().to_string(), "2026-11-21T09:00:00Z");
    assert_eq!(plane.get("/api/identities/user%3Aa").await.ok()["exempt_until"], "2026-11-21T09:00:00Z");

    assert_eq!(plane.call("DELETE", path, Body::empty()).await.status, 204);
    assert!(
        plane.parts.directory.identity(&identity("user:a"), plane.clock.now()).await.exempt_until.is_none()
    );
    for bad in [json!({"until": "2026-11-20T10:00:00Z"}), json!({"until": "2126-01-01T00:00:00Z"})] {
        assert_eq!(plane.json("PUT", path, bad).await.faults(400), ["until"]);
    }
    for bad in [json!({"until": "soon"}), json!({"until": null}), json!({}), json!({"untill": 1})] {
        plane.json("PUT", path, bad).await.problem(400);
    }
    assert_eq!(plane.audited().await, ["identity.unexempt", "identity.exempt"]);
}

#[tokio::test]
async fn tags_are_replaced_and_read_by_rules() {
    let plane = Plane::start().await;
    let path = "/api/identities/user%3Aa/tags";
    assert_eq!(
        plane.json("PUT", path, json!({"tags": ["b", "a", "b"]})).await.ok()["tags"],
        json!(["a", "b"])
    );
    assert_eq!(plane.get("/api/identities/user%3Aa").await.ok()["facts"]["tags"], json!(["a", "b"]));
    assert_eq!(plane.json("PUT", path, json!({"tags": []})).await.ok()["tags"], json!([]));
    assert_eq!(plane.get("/api/identities/user%3Aa").await.ok()["facts"]["tags"], json!([]));
    for bad in [
        json!({"tags": [""]}),
        json!({"tags": "a"}),
        json!({"tags": vec!["t"; 65]}),
        json!({"tags": ["x".repeat(200)]}),
    ] {
        assert_eq!(plane.json("PUT", path, bad).await.faults(400), ["tags"]);
    }
}
