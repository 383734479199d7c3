//! The cases of area B that are about one failure's classification, read as spec B0 says.
//!
//! Cases about retrying, redaction, Sentry and logging are the gateway's; they are listed in [`ELSEWHERE`], so that a new
//! case cannot be forgotten.

use serde_json::{Value, json};
use weir_core::failure::{Class, Owner, Retry};
use weir_rules::Report;

use super::{classified, lines};

/// Cases that no classification alone can show: pre-send filter, aggregates, retries, redaction, log.
const ELSEWHERE: &[&str] = &[
    "B165", "B168", "B171", "B174", "B175", "B177", "B178", "B181", "B185", "B186", "B187", "B188", "B189",
    "B191", "B192",
];

/// One product's own parts: backend calls, local AI, binaries. They need only not be silenced where `sentry` is 1.
const OTHER_PARTS: &[&str] = &["B155", "B161", "B163", "B164"];

/// What the cases with `class: null` are (spec B0: `unknown`, or the class of the status that the text names), and what the
/// words of two of them say more: B139, a call of one product's backend, and B143. A number that is no status must not
/// become one.
const WITHOUT_CLASS: &[(&str, Class)] = &[
    ("B130", Class::AuthInvalid),
    ("B132", Class::Upstream5xx),
    ("B133", Class::Upstream5xx),
    ("B135", Class::PermissionDenied),
    ("B136", Class::Upstream5xx),
    ("B139", Class::Network),
    ("B140", Class::Overloaded),
    ("B143", Class::LocalModelUnavailable),
    ("B147", Class::AuthInvalid),
    ("B148", Class::AuthInvalid),
];

/// The cases on budget, missing scopes and missing key run with the caller's own credential.
const OF_USER: &[&str] = &["B113", "B114", "B157", "B162"];

#[test]
fn every_case_of_area_b_holds() {
    let mut ran = 0;
    for case in lines("cases.jsonl").iter().filter(|case| case["area"] == "B") {
        let id = case["id"].as_str().unwrap();
        if !ELSEWHERE.contains(&id) {
            check(id, &case["given"], &case["expect"]);
            ran += 1;
        }
    }
    assert!(ran >= 55, "only {ran} cases were run");
}

fn check(id: &str, given: &Value, expect: &Value) {
    let message = given["text"].as_str().or(given["error"].as_str());
    let line = json!({
        "provider": given["provider"].as_str().unwrap_or("custom_openai"),
        "operation": given["operation"].as_str().unwrap_or("api_error"),
        "status": given["status"],
        "body": message.unwrap_or(given["body"].as_str().unwrap_or_default()),
        "transport": if message.is_some() { "wrapped" } else { "http" },
        "credential_owner": if OF_USER.contains(&id) { "user" } else { "platform" },
    });
    let found = classified(&line);
    let said = format!("{id}: {found:?}");
    // What is the provider's own fault or passes is reported once, when the last attempt has failed.
    let reported = found.report == Report::Page || found.owner == Owner::Provider;
    if expect["sentry"] == 1 {
        let passes = found.class == Class::RateLimited;
        assert!(reported && !passes, "must be reported: {said}");
    }
    if expect["sentry"] == 0 || expect["sentry_total_all_layers"] == 0 {
        assert!(found.report != Report::Page || OTHER_PARTS.contains(&id), "must not be paged: {said}");
    }
    if let Some(class) = expect["class"].as_str() {
        assert!(OTHER_PARTS.contains(&id) || means(class, found.class), "{class}: {said}");
    }
    if expect.get("class") == Some(&Value::Null) {
        let named = WITHOUT_CLASS.iter().find(|(of, _)| *of == id);
        assert_eq!(found.class, named.map_or(Class::Unknown, |(_, class)| *class), "{said}");
    }
    match expect["log"]["kind"].as_str() {
        Some("provider_access_policy") => assert_eq!(found.class, Class::AccessPolicyDenied, "{said}"),
        Some("context_window_exceeded") => assert_eq!(found.class, Class::ContextLengthExceeded, "{said}"),
        Some(other) => panic!("{id}: a kind of line that nobody reads: {other}"),
        None => {}
    }
    if let Some(class) = expect["class_not"].as_str() {
        assert!(!means(class, found.class), "not {class}: {said}");
    }
    if expect["retryable"] == true {
        assert_eq!(found.retry, Retry::Same, "{said}");
    }
    if expect["event"] == "SessionExpired" {
        assert_eq!((found.class, found.owner), (Class::AuthInvalid, Owner::User), "{said}");
    }
    if expect["rate_limited"] == false {
        assert_ne!(found.class, Class::RateLimited, "{said}");
    }
    // Nobody asks to wait in the others.
    let retry_after_s = expect["retry_after_ms"].as_f64().map(|ms| ms / 1000.0);
    assert_eq!(found.retry_after_s, retry_after_s, "{said}");
    if expect["upstream_calls"] == 1 {
        assert_ne!(found.retry, Retry::Same, "{said}");
    }
}

/// The seed's classes in weir's words (spec B0).
fn means(seed: &str, class: Class) -> bool {
    match seed {
        "access_policy" => class == Class::AccessPolicyDenied,
        "budget" => class == Class::QuotaExhausted,
        "context_window" => class == Class::ContextLengthExceeded,
        "TransientUpstreamHttp" => {
            matches!(class, Class::RateLimited | Class::Overloaded | Class::Upstream5xx | Class::Timeout)
        }
        "NetworkUnreachable" => class == Class::Network,
        "ApiKeyMissing" | "SessionExpired" => class == Class::AuthInvalid,
        // Whatever class is not paged, which `sentry` says.
        "ProviderUserState" | "BackendUserError" => true,
        other => panic!("a class that spec B0 does not map: {other}"),
    }
}

/// Spec B10: what must not be silenced, beyond the cases.
#[test]
fn the_regression_list_holds() {
    let lines = [
        json!({"status": 401, "body": "{\"error\":{\"code\":\"invalid_api_key\"}}"}),
        json!({"status": 401, "body": "{\"error\":{\"type\":\"authentication_error\"}}"}),
        json!({"body": "Invalid token"}),
        json!({"status": 400, "body": "x"}),
        json!({"status": 400, "body": ""}),
        json!({"status": 403, "body": "{\"error\":{\"message\":\"forbidden\"}}"}),
        json!({"status": 404, "body": "nope"}),
        json!({"status": 400, "body": "{\"error\":{\"type\":\"access_terminated_error\"}}"}),
        json!({"status": 500, "body": "{\"error\":{\"type\":\"access_terminated_error\"}}"}),
        json!({"transport": "wrapped", "body": "HTTP error: 401 Unauthorized"}),
        json!({"transport": "wrapped", "body": "HTTP error: 404 Not Found"}),
        json!({"transport": "wrapped", "body": "HTTP error: 5023"}),
        json!({"transport": "wrapped", "body": "the answer was 401 or 400 or 504 lines long"}),
        json!({"transport": "wrapped", "body": "binary failed to spawn"}),
        json!({"transport": "wrapped", "body": "file not found"}),
        json!({"transport": "wrapped", "body": "session_expired"}),
        json!({"transport": "transport", "body": "certificate verify failed"}),
        json!({"transport": "transport", "body": "invalid certificate"}),
        json!({"transport": "wrapped", "body": "thread 'main' panicked: index out of bounds"}),
    ];
    for line in lines {
        let found = classified(&line);
        assert_eq!(found.report, Report::Page, "{line}: {found:?}");
    }
    for (status, body) in [(500, "x"), (502, ""), (0, "HTTP error: 502")] {
        let found = classified(&json!({"status": status, "body": body}));
        assert_eq!((found.class, found.owner), (Class::Upstream5xx, Owner::Provider), "{status} {body}");
    }
}

#[test]
fn operations_do_not_change_the_class() {
    for operation in [
        "responses_api",
        "streaming_chat",
        "chat_completions",
        "native_chat",
        "stream_chat",
        "embeddings",
        "",
    ] {
        let body = r#"{"error":{"type":"access_terminated_error"}}"#;
        let found = classified(&json!({"status": 403, "body": body, "operation": operation}));
        assert_eq!((found.class, found.report), (Class::AccessPolicyDenied, Report::Log), "{operation}");
    }
}
