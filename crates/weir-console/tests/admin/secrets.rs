//! No key, token or prompt appears where it does not belong: canaries are sent everywhere and looked for everywhere.

use axum::body::Body;
use serde_json::json;
use weir_testkit::LogCapture;

use crate::plane::{ACCESS, ADMIN, CONFIGURED_KEY, Plane, VIEWER};

const PROMPT: &str = "canary-user-prompt";
const SYSTEM: &str = "canary-system-prompt";
const BYOK: &str = "canary-byok-key";

#[tokio::test]
async fn no_secret_appears_in_an_answer_a_log_or_a_record() {
    let logs = LogCapture::thread();
    let plane = Plane::start().await;
    plane.rules("rules:\n  - {id: p, on: request, when: 'request.user_prompt.contains(\"canary\")', then: block, because: No.}\n").await;
    let mut seen = String::new();

    let made = plane.json("POST", "/api/keys", json!({"user": "ada", "byok": {"openai": BYOK}})).await;
    let key = made.ok()["key"].as_str().unwrap().to_owned();
    seen.push_str(&made.text().replace(&key, ""));

    let question = json!({"kilo_user_id": "ada", "user_prompt": PROMPT, "system_prompt": SYSTEM});
    let asked = plane.call_with("POST", "/api/classify", &ACCESS, question.to_string()).await;
    assert_eq!(asked.ok()["verdict"], "HARD_BLOCK");
    seen.push_str(&asked.text());

    // Wrong in every way that repeats what was sent.
    let wrong = [
        json!({"user_prompt": {"text": PROMPT}}),
        json!({"max_tokens": PROMPT}),
        json!({"streamed": format!("{PROMPT}, expected {SYSTEM}")}),
    ];
    for body in wrong {
        let answer = plane.call_with("POST", "/api/classify", &ACCESS, body.to_string()).await;
        answer.problem(400);
        seen.push_str(&answer.text());
    }
    for body in [
        json!({"user": "a", "byok": BYOK}),
        json!({"user": "a", "byok": {"nobody": BYOK}}),
        json!({"user": "a", "byok": {"openai": format!("{BYOK}\n")}}),
    ] {
        let answer = plane.json("POST", "/api/keys", body).await;
        answer.problem(400);
        seen.push_str(&answer.text());
    }
    let other = format!("Bearer {key}");
    seen.push_str(
        &plane.call_with("GET", "/api/rules", &[("authorization", &other)], Body::empty()).await.text(),
    );
    let viewer = format!("Bearer {VIEWER}");
    seen.push_str(
        &plane.call_with("DELETE", "/api/actions", &[("authorization", &viewer)], Body::empty()).await.text(),
    );

    plane.parts.recorder.flush().await.unwrap();
    for path in [
        "/api/keys",
        "/api/decisions",
        "/api/usage",
        "/api/audit",
        "/api/rules/history",
        "/api/identities/user:ada",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
    ] {
        seen.push_str(&plane.get(path).await.text());
    }
    let decision = plane.get("/api/decisions?outcome=block").await.ok()["items"][0].clone();
    assert_eq!(decision["rule"], "p");
    seen.push_str(&plane.get(&format!("/api/decisions/{}", decision["id"].as_str().unwrap())).await.text());

    let log = logs.text();
    assert!(log.contains("SECURITY: classified"), "{log}");
    let [(_, id), (_, secret)] = ACCESS;
    for canary in
        [PROMPT, SYSTEM, BYOK, ADMIN, VIEWER, CONFIGURED_KEY, "canary-provider-key", id, secret, key.as_str()]
    {
        assert!(!seen.contains(canary), "`{canary}` is in an answer");
        assert!(!log.contains(canary), "`{canary}` is in the log");
    }
}
