//! Who may do what, and what an answer looks like whatever was asked.

use std::sync::Arc;

use axum::body::Body;

use crate::plane::{ACCESS, ADMIN, Plane, VIEWER, config};

fn every_route() -> Vec<(String, String)> {
    let document = serde_json::to_value(weir_console::openapi()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{key}", "user%3Aa").replace("{id}", "x").replace("{epoch}", "1");
            routes.push((method.to_uppercase(), path));
        }
    }
    assert!(routes.len() > 25, "{routes:?}");
    routes
}

#[tokio::test]
async fn without_a_token_only_health_is_open() {
    let plane = Plane::start().await;
    for (method, path) in every_route() {
        for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic eDp5")]] {
            let answer = plane.call_with(&method, &path, headers, Body::empty()).await;
            if path == "/healthz" || path == "/readyz" {
                assert_eq!(answer.status, 200, "{method} {path}");
            } else {
                answer.problem(401);
                assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
            }
        }
    }
    plane.call_with("GET", "/nothing", &[], Body::empty()).await.problem(401);
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let plane = Plane::start().await;
    let token = format!("Bearer {VIEWER}");
    for (method, path) in every_route() {
        let answer = plane.call_with(&method, &path, &[("authorization", &token)], Body::empty()).await;
        if method == "GET" {
            assert_ne!(answer.status, 403, "{method} {path}");
        } else {
            answer.problem(403);
        }
    }
    assert!(plane.audited().await.is_empty());
}

#[tokio::test]
async fn a_reload_brings_new_tokens_and_ends_old_ones() {
    let plane = Plane::start().await;
    let status = async |token: &str| {
        let authorization = format!("Bearer {token}");
        plane.call_with("GET", "/api/keys", &[("authorization", &authorization)], Body::empty()).await.status
    };
    let text = "admin: {tokens: [{name: new, token: canary-new-token, role: viewer}]}\n";
    for (token, expected) in [(ADMIN, 200), (VIEWER, 200), ("canary-new-token", 401)] {
        assert_eq!(status(token).await, expected, "{token}");
    }
    plane.parts.live.replace(Arc::new(config(text)), &"canary-other-admin".into());
    for (token, expected) in
        [(ADMIN, 401), (VIEWER, 401), ("canary-new-token", 200), ("canary-other-admin", 200), ("", 401)]
    {
        assert_eq!(status(token).await, expected, "{token}");
    }
    let pair = plane.call_with("POST", "/api/events", &ACCESS, "{\"events\": []}").await;
    assert_eq!(pair.status, 401, "the pair went with the configuration that named it");
}

#[tokio::test]
async fn the_pair_opens_the_abuse_service_only() {
    let plane = Plane::start().await;
    for (method, path) in every_route() {
        let answer = plane.call_with(&method, &path, &ACCESS, "{}").await;
        let open =
            ["/healthz", "/readyz", "/api/classify", "/api/usage/cost", "/api/auth-event", "/api/events"];
        assert_eq!(answer.status != 401, open.contains(&path.as_str()), "{method} {path}: {}", answer.status);
        if answer.status != 401 && !path.contains("health") {
            let half = plane.call_with(&method, &path, &ACCESS[..1], "{}").await;
            assert!(half.status == 401 || path == "/readyz", "{path}");
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems() {
    let plane = Plane::start().await;
    for path in ["/nothing", "/api", "/api/nothing", "/api/rules/a/b", "/API/rules", "/api/keys/"] {
        plane.get(path).await.problem(404);
    }
    for (method, path, allow) in [
        ("PATCH", "/api/rules", "GET,HEAD,PUT,POST"),
        ("GET", "/api/classify", "POST"),
        ("PUT", "/api/keys", "GET,HEAD,POST"),
        ("DELETE", "/healthz", "GET,HEAD"),
    ] {
        let answer = plane.call(method, path, Body::empty()).await;
        answer.problem(405);
        let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        let mut expected: Vec<&str> = allow.split(',').collect();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn every_answer_protects_itself_and_is_no_html() {
    let plane = Plane::start().await;
    for path in
        ["/healthz", "/api/rules", "/api/nothing", "/metrics", "/api/decisions/x", "/api/openapi.json"]
    {
        let answer = plane.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(!answer.header("content-type").contains("html"), "{path}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_and_their_faults_have_places() {
    let plane = Plane::start().await;
    let large = vec![b' '; (1 << 20) + 1];
    for path in ["/api/keys", "/api/events", "/api/usage/cost"] {
        let problem = plane.call("POST", path, large.clone()).await.problem(413);
        let said = "the body is larger than 1 MiB, the most that is read here: send less at once";
        assert_eq!(problem["detail"], said, "{path}");
    }
    let token = format!("Bearer {ADMIN}");
    let announced = [("authorization", token.as_str()), ("content-length", "99999999999")];
    plane.call_with("PUT", "/api/rules", &announced, Body::empty()).await.problem(413);
    for path in ["/api/keys", "/api/events", "/api/usage/cost", "/api/auth-event", "/api/classify"] {
        let problem = plane.call("POST", path, "{\n\n  x").await.problem(400);
        assert_eq!(problem["errors"][0]["line"], 3, "{path}: {problem}");
        assert!(problem["errors"][0]["column"].is_number(), "{path}");
    }
    for (path, bad) in [("/api/rules", &b"\xff\xfe"[..]), ("/api/rules", b" \n"), ("/api/rules/check", b"")] {
        let method = if path == "/api/rules" { "PUT" } else { "POST" };
        plane.call(method, path, bad).await.problem(400);
    }
}
