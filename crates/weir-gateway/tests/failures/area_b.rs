//! The cases of area B that are the gateway's, through a real socket and under their ids, read as spec B0 says. Each runs
//! on every path: what a case says of one of the seed's operations holds for all of weir's.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_core::failure::{Class, FailureEvent, Report};
use weir_testkit::Script;
use weir_testkit::cases::{self, Case};

use super::{Bench, asked, error, retries};
use crate::support::{Api, Ask};

/// The cases on budget run with the caller's own key.
const OF_USER: [&str; 2] = ["B113", "B114"];

fn case(id: &str) -> Case {
    cases::area("B").into_iter().find(|case| case.id == id).unwrap_or_else(|| panic!("there is no case {id}"))
}

/// A model for each provider that a case names; `OpenHuman` is of the house.
async fn bench(attempts: u32) -> Bench {
    let all = cases::area("B");
    let names: BTreeSet<&str> = all.iter().filter_map(|case| case.given["provider"].as_str()).collect();
    Bench::with_url("", |config, url| {
        let provider = |name: &&str| {
            let house = *name == "OpenHuman";
            format!("{{name: {name}, base_url: \"{url}\", api_key: canary-{name}, house: {house}, apis: [chat_completions, responses, messages]}}")
        };
        let providers: Vec<String> = names.iter().map(provider).collect();
        let mut models: Vec<String> = names.iter().map(|name| format!("{{id: {name}, provider: {name}}}")).collect();
        models.push("{id: m1, provider: custom_openai, context_window: 10, fallbacks: [m2]}".to_owned());
        models.push("{id: m2, provider: OpenHuman, context_window: 10}".to_owned());
        config
            .set("providers", format!("[{}]", providers.join(", ")))
            .set("models", format!("[{}]", models.join(", ")))
            .set("failures", retries(attempts))
    })
    .await
}

/// Cases of the provider's layer: a status and a body.
#[tokio::test]
async fn the_cases_of_the_provider_layer_hold_on_every_path() {
    let bench = bench(2).await;
    let mut ran = 0;
    for case in cases::area("B").iter().filter(|case| case.given["layer"] == "provider") {
        for api in Api::ALL {
            for streamed in [false, true] {
                run(&bench, case, api, streamed).await;
            }
        }
        ran += 1;
    }
    assert!(ran >= 29, "only {ran} cases");
    bench.world.logs_leak_nothing();
}

async fn run(bench: &Bench, case: &Case, api: Api, streamed: bool) {
    let (id, given, expect) = (&case.id, &case.given, &case.expect);
    let status = u16::try_from(given["status"].as_u64().unwrap()).unwrap();
    let body = given["body"].as_str().unwrap().to_owned();
    bench.world.upstream.respond_with(Script::body(status, "application/json", body));
    let mut ask = Ask::new(api, given["provider"].as_str().unwrap());
    if streamed {
        ask = ask.streamed();
    }
    if OF_USER.contains(&id.as_str()) {
        ask = ask.header("x-weir-byok", "canary-own");
    }
    // A quota of the case before may have named its reset.
    bench.world.clock.advance_ms(25 * 60 * 60 * 1000);
    let calls = asked(&bench.world).len();
    let answer = bench.send(&ask).await.0;
    let calls = asked(&bench.world).len() - calls;
    let events = bench.watcher.take_failed();
    let exhausted = bench.watcher.take_exhausted();
    let said = format!("{id} {api:?} {streamed}: {events:?} {}", answer.text());
    assert!(answer.status >= 400, "the error reaches the caller: {said}");
    assert_eq!(
        (events.len(), exhausted.len()),
        (calls, 1),
        "one event for each attempt, one for the request: {said}"
    );
    let event = &events[0];
    assert!(!event.operation.is_empty() && event.status == status, "{said}");
    check(expect, event, calls, &said);
}

fn check(expect: &Value, event: &FailureEvent, calls: usize, said: &str) {
    let paged = event.report == Report::Page;
    if expect["sentry"] == 1 {
        // What passes by itself is reported when the last attempt has failed: spec B0.
        assert!(paged || event.class == Class::Upstream5xx, "must be reported: {said}");
    }
    if expect["sentry"] == 0 || expect["sentry_total_all_layers"] == 0 {
        assert!(!paged, "must not be paged: {said}");
    }
    if expect["retryable"] == true {
        assert_eq!(calls, 2, "tried again: {said}");
    }
    match (expect["class"].as_str(), expect["class_not"].as_str()) {
        (Some("access_policy"), _) => {
            assert_eq!((event.class, calls), (Class::AccessPolicyDenied, 1), "{said}")
        }
        (Some("budget"), _) => assert_eq!(event.class, Class::QuotaExhausted, "{said}"),
        (Some("context_window"), _) => assert_eq!(event.class, Class::ContextLengthExceeded, "{said}"),
        (_, Some("access_policy")) => assert_ne!(event.class, Class::AccessPolicyDenied, "{said}"),
        (_, Some("budget")) => assert_ne!(event.class, Class::QuotaExhausted, "{said}"),
        (_, Some("context_window")) => assert_ne!(event.class, Class::ContextLengthExceeded, "{said}"),
        _ => {}
    }
    if expect["log"]["kind"] == "context_window_exceeded" {
        assert_eq!(event.class, Class::ContextLengthExceeded, "{said}");
    }
    if expect["event"] == "SessionExpired" {
        assert!(event.is_session_expired(), "{said}");
    }
}

#[tokio::test]
async fn b175_an_outage_of_every_attempt_is_one_report() {
    let case = case("B175");
    let attempts = case.given["attempt_errors"].as_array().unwrap().len();
    let bench = bench(u32::try_from(attempts).unwrap()).await;
    bench.world.upstream.respond_with(error(502, "x", "x"));
    assert_eq!(bench.send(&Ask::chat("OpenHuman")).await.0.status, 502);
    let exhausted = bench.watcher.take_exhausted();
    assert_eq!((exhausted.len(), exhausted[0].attempts().len()), (1, attempts));
    assert_eq!(exhausted[0].class(), Class::Upstream5xx);
}

#[tokio::test]
async fn b176_a_denial_by_policy_is_one_call_streamed_or_not() {
    let case = case("B176");
    let retries = u32::try_from(case.given["max_retries"].as_u64().unwrap()).unwrap();
    let bench = bench(retries + 1).await;
    let body = case.given["body"].as_str().unwrap().to_owned();
    bench.world.upstream.respond_with(Script::body(403, "application/json", body));
    let answer = bench.send(&Ask::chat("custom_openai").streamed()).await.0;
    assert_eq!((answer.status, asked(&bench.world).len()), (403, 1));
    assert_eq!(case.expect["upstream_calls"], 1);
}

#[tokio::test]
async fn b177_a_temporary_error_is_tried_again_and_then_good() {
    let case = case("B177");
    let bench = bench(u32::try_from(case.given["max_retries"].as_u64().unwrap()).unwrap() + 1).await;
    bench.world.upstream.respond_once(error(503, "temporary", "temporary"));
    let answer = bench.send(&Ask::chat("custom_openai")).await.0;
    assert_eq!(answer.status == 200, case.expect["ok"] == true);
    assert_eq!(json!(asked(&bench.world).len()), case.expect["calls"]);
}

#[tokio::test]
async fn b178_a_refused_key_falls_to_the_next_provider_at_once() {
    let case = case("B178");
    let bench = bench(3).await;
    bench.world.upstream.respond_to_model("m1", error(401, "unauthorized", "401 Unauthorized"));
    let (answer, pauses) = bench.send(&Ask::chat("m1")).await;
    assert_eq!((answer.status, pauses.len()), (200, 0));
    let asked = asked(&bench.world);
    let calls = |model: &str| json!(asked.iter().filter(|name| *name == model).count());
    assert_eq!(
        (calls("m1"), calls("m2")),
        (case.expect["p1_calls"].clone(), case.expect["p2_calls"].clone())
    );
}

#[tokio::test]
async fn b179_what_is_too_long_ends_and_says_that_others_were_skipped() {
    let case = case("B179");
    let bench = bench(3).await;
    let message = case.given["error"].as_str().unwrap();
    bench.world.upstream.respond_with(error(400, "invalid_request_error", message));
    let answer = bench.send(&Ask::chat("m1")).await.0;
    assert_eq!(json!(asked(&bench.world).len()), case.expect["calls"]);
    let words = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    for part in case.expect["message_contains"].as_array().unwrap() {
        assert!(words.contains(part.as_str().unwrap()), "{words}");
    }
}

#[tokio::test]
async fn b181_a_long_wait_is_capped() {
    let case = case("B181");
    let bench = bench(2).await;
    bench
        .world
        .upstream
        .respond_once(error(429, "rate_limit_exceeded", "Slow down.").header("retry-after", "120"));
    let (answer, pauses) = bench.send(&Ask::chat("custom_openai")).await;
    assert_eq!((answer.status, json!(pauses)), (200, json!([case.expect["wait_ms"]])));
}

#[tokio::test]
async fn b182_a_wait_is_read_from_the_words() {
    let case = case("B182");
    let bench = bench(2).await;
    bench.world.upstream.respond_once(error(
        429,
        "rate_limit_exceeded",
        case.given["error"].as_str().unwrap(),
    ));
    let (answer, pauses) = bench.send(&Ask::chat("custom_openai")).await;
    assert_eq!((answer.status, json!(pauses)), (200, json!([case.expect["retry_after_ms"]])));
}

/// Spec B10: what must not be silenced, as it reaches the gateway.
#[tokio::test]
async fn the_regression_list_pages_on_every_path() {
    let bench = bench(1).await;
    let access = r#"{"error":{"type":"access_terminated_error"}}"#;
    let bodies = [
        (400, ""),
        (400, "x"),
        (401, "x"),
        (403, "nope"),
        (404, "nope"),
        (401, r#"{"error":{"code":"invalid_api_key"}}"#),
        (401, r#"{"error":{"type":"authentication_error"}}"#),
        (401, "Invalid token"),
        (403, r#"{"error":{"message":"forbidden"}}"#),
        (400, access),
        (404, access),
        (500, access),
        (418, "cache is not enabled"),
        (418, "file not found"),
    ];
    for (status, body) in bodies {
        bench.world.upstream.respond_with(Script::body(status, "application/json", body));
        for api in Api::ALL {
            for ask in [Ask::new(api, "custom_openai"), Ask::new(api, "custom_openai").streamed()] {
                bench.send(&ask).await;
                let events = bench.watcher.take_failed();
                assert_eq!(events[0].report, Report::Page, "{status} {body}: {events:?}");
            }
        }
    }
    // The provider's own fault is told once, when the last attempt has failed.
    bench.watcher.take_exhausted();
    bench.world.upstream.respond_with(Script::body(500, "application/json", "x"));
    bench.send(&Ask::chat("custom_openai")).await;
    assert_eq!(bench.watcher.take_exhausted().len(), 1);
}
