//! Pools of keys, keys that are known to be dead, the house's session, and a caller's own key.

use serde_json::json;
use weir_core::failure::{Class, CredentialOwner, Owner, Report};
use weir_core::record::NextStep;
use weir_testkit::Script;
use weir_testkit::http::Response;

use super::{Bench, asked, chain, error, retries};
use crate::support::Ask;

async fn pool(keys: &str, more: &'static str) -> Bench {
    let keys = keys.to_owned();
    Bench::with_url("", move |config, url| {
        config
            .set("providers", format!("[{{name: main, base_url: \"{url}\", apis: [chat_completions], api_keys: [{keys}]{more}}}]"))
            .set("models", "[{id: m, provider: main}, {id: n, provider: main}]")
            .set("failures", retries(1))
    })
    .await
}

/// The keys that the provider was shown, in order.
fn shown(bench: &Bench) -> Vec<String> {
    let requests = bench.world.upstream.requests();
    let key = |request: &weir_testkit::RecordedRequest| {
        request.header("authorization").unwrap().trim_start_matches("Bearer canary-").to_owned()
    };
    requests.iter().map(key).collect()
}

async fn ask(bench: &Bench) -> Response {
    bench.send(&Ask::chat("m")).await.0
}

#[tokio::test]
async fn the_next_key_of_a_pool_is_taken_and_the_dead_one_left_alone() {
    for (status, code) in [(401, "invalid_api_key"), (402, "insufficient_quota"), (429, "insufficient_quota")]
    {
        let bench = pool("canary-k1, canary-k2, canary-k3", "").await;
        bench.world.upstream.respond_once(error(status, code, "No."));
        assert_eq!(ask(&bench).await.status, 200);
        assert_eq!(ask(&bench).await.status, 200);
        assert_eq!(shown(&bench), ["k1", "k2", "k2"], "{status} {code}");
        // It may have come back after a while, of which the provider said nothing.
        bench.world.clock.advance_ms(61_000);
        assert_eq!(ask(&bench).await.status, 200);
        assert_eq!(shown(&bench).last().unwrap(), "k1");
    }
}

#[tokio::test]
async fn a_throttled_key_makes_room_for_the_next_at_once() {
    let bench = pool("canary-k1, canary-k2", "").await;
    bench
        .world
        .upstream
        .respond_once(error(429, "rate_limit_exceeded", "Rate limit reached.").header("retry-after", "20"));
    let (answer, pauses) = bench.send(&Ask::chat("m")).await;
    assert_eq!((answer.status, pauses.len()), (200, 0));
    assert_eq!(shown(&bench), ["k1", "k2"]);
    let record = bench.node.record_of(&answer).await;
    let attempt = &record.result.failures[0];
    assert_eq!(
        (attempt.next, attempt.key, attempt.credential),
        (NextStep::NextKey, 1, CredentialOwner::Pooled)
    );
}

/// Each key's own death is logged; the operator is called when the last one is gone.
#[tokio::test]
async fn a_dead_pool_pages_once() {
    let bench = pool("canary-k1, canary-k2", "").await;
    bench.world.upstream.respond_with(error(
        401,
        "invalid_api_key",
        "Incorrect API key provided: canary-k1.",
    ));
    let answer = ask(&bench).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["error_type"]),
        (503, &json!("temporarily_unavailable"))
    );
    assert_eq!(shown(&bench), ["k1", "k2"]);
    let reports: Vec<_> =
        bench.watcher.take_failed().iter().map(|event| (event.credential, event.report)).collect();
    assert_eq!(reports, [(CredentialOwner::Pooled, Report::Log), (CredentialOwner::Platform, Report::Page)]);
    // Later requests try one key, which may have come back, and not all.
    assert_eq!(ask(&bench).await.status, 503);
    assert_eq!(shown(&bench).len(), 3);
    bench.node.leaks_nothing(&bench.world).await;
}

#[tokio::test]
async fn what_is_known_dead_is_not_tried_before_its_reset() {
    let bench = pool("canary-k1", "").await;
    let spent =
        error(429, "insufficient_quota", "You exceeded your current quota.").header("retry-after", "3600");
    bench.world.upstream.respond_once(spent);
    assert_eq!(ask(&bench).await.status, 503);
    bench.world.clock.advance_ms(1_000_000);
    let answer = ask(&bench).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2600")), "{}", answer.text());
    assert_eq!(shown(&bench).len(), 1, "not tried");
    let record = bench.node.record_of(&answer).await;
    let attempt = &record.result.failures[0];
    assert_eq!((attempt.number, attempt.class), (0, Class::QuotaExhausted));
    assert_eq!(bench.watcher.take_failed().len(), 1, "nothing has failed anew");
    // Another model's quota is another one.
    assert_eq!(bench.send(&Ask::chat("n")).await.0.status, 200);
    bench.world.clock.advance_ms(2_600_000);
    assert_eq!(ask(&bench).await.status, 200);
}

/// A new configuration begins without a memory: the operator may have mended what was dead.
#[tokio::test]
async fn a_new_configuration_forgets_what_was_dead() {
    let bench = pool("canary-k1", "").await;
    bench.world.upstream.respond_once(error(402, "insufficient_quota", "No.").header("retry-after", "3600"));
    assert_eq!(ask(&bench).await.status, 503);
    let url = bench.world.upstream.base_url();
    let config = bench
        .world
        .config()
        .set("abuse", "{mode: inline}")
        .set(
            "providers",
            format!("[{{name: main, base_url: \"{url}\", apis: [chat_completions], api_keys: [canary-k1]}}]"),
        )
        .set("models", "[{id: m, provider: main}]");
    bench.node.gateway.reload(config.load()).unwrap();
    assert_eq!(ask(&bench).await.status, 200);
}

/// The platform's own backend: its 401 and 403 are the session's, told to whoever embeds weir, never paged.
#[tokio::test]
async fn the_houses_session_is_told_and_never_paged() {
    for status in [401, 403] {
        let bench = pool("canary-k1, canary-k2", ", house: true").await;
        bench.world.upstream.respond_with(error(status, "invalid_token", "Session expired."));
        let answer = ask(&bench).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        let events = bench.watcher.take_failed();
        assert!(!events.is_empty());
        for event in events {
            assert!(event.is_session_expired());
            assert_eq!(
                (event.class, event.owner, event.report),
                (Class::AuthInvalid, Owner::User, Report::Log)
            );
        }
        // A session that is renewed works at once: no key is dead.
        bench.world.upstream.respond_by_default();
        let before = shown(&bench).len();
        assert_eq!(ask(&bench).await.status, 200);
        assert_eq!(shown(&bench)[before..], ["k1"]);
    }
}

async fn own_key_bench() -> Bench {
    Bench::with_url("", |config, url| {
        let provider = |name: &str| format!("{{name: {name}, base_url: \"{url}\", apis: [chat_completions, messages], api_key: canary-{name}}}");
        config
            .set("providers", format!("[{}, {}]", provider("one"), provider("two")))
            .set("models", "[{id: m, provider: one, fallbacks: [same, other]}, {id: same, provider: one}, {id: other, provider: two}]")
            .set("failures", retries(1))
    })
    .await
}

/// A key that was brought along goes to its provider alone, and its request never to the platform's.
#[tokio::test]
async fn a_callers_own_key_never_falls_over_to_the_platforms() {
    let bench = own_key_bench().await;
    bench.world.upstream.respond_with(error(500, "server_error", "It broke."));
    let ask = Ask::chat("m").header("x-weir-byok", "canary-own");
    assert_eq!(bench.send(&ask).await.0.status, 502);
    assert_eq!(shown(&bench), ["own", "own"], "its own model and the fallback of the same provider");
    let record = &bench.node.records().await[0];
    assert!(record.result.failures[1].skipped[0].because.contains("own key"), "{:?}", record.result.failures);
    assert!(record.result.failures.iter().all(|attempt| attempt.credential == CredentialOwner::User));
}

/// Its errors keep their meaning: as the provider sent them, and nobody is called.
#[tokio::test]
async fn the_errors_of_a_callers_own_key_are_its_own() {
    for (status, code) in [
        (401, "invalid_api_key"),
        (402, "insufficient_quota"),
        (403, "permission_denied"),
        (429, "rate_limit_exceeded"),
    ] {
        let bench = own_key_bench().await;
        bench.world.upstream.respond_with(error(status, code, "Your own account."));
        let ask = Ask::chat("other").header("x-weir-byok", "canary-own");
        let answer = bench.send(&ask).await.0;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "as it was sent"
        );
        assert_eq!(answer.json()["error"]["message"], "Your own account.");
        assert!(bench.watcher.take_failed().iter().all(|event| event.report != Report::Page));
        let answer = bench.send(&ask.clone().seed()).await.0;
        assert_eq!((answer.status, &answer.json()["error_type"]), (status, &json!("byok_error")));
        // A key that the provider repeats is not told on, neither its owner's nor, after it, the platform's.
        bench.world.upstream.respond_with(error(status, code, "Wrong key: canary-own."));
        let answer = bench.send(&ask).await.0;
        assert!(!answer.text().contains("canary-own"), "{}", answer.text());
        // No key of the caller's own is remembered as dead.
        bench.world.upstream.respond_by_default();
        assert_eq!(bench.send(&ask).await.0.status, 200);
    }
}

/// What is known dead makes room for the fallback without a call.
#[tokio::test]
async fn a_fallback_stands_in_for_what_is_known_dead() {
    let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(1))).await;
    let spent = error(402, "insufficient_quota", "No credit.").header("retry-after", "3600");
    bench.world.upstream.respond_to_model("a", spent);
    for calls in [vec!["a", "b"], vec!["a", "b", "b"]] {
        let answer = bench.send(&Ask::chat("a")).await.0;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(asked(&bench.world), calls);
        let record = bench.node.record_of(&answer).await;
        assert_eq!(record.result.failures[0].next, NextStep::Fallback);
        assert_eq!(record.result.served_model.as_deref(), Some("b"));
    }
}

/// Some providers refuse a wrong key with a 400: it is the caller's own all the same.
#[tokio::test]
async fn a_wrong_key_of_the_callers_own_is_told_whatever_its_status() {
    let bench = own_key_bench().await;
    let body = json!({"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}});
    let ask = Ask::chat("other").header("x-weir-byok", "canary-own");
    bench.world.upstream.respond_with(Script::json(400, &body));
    let answer = bench.send(&ask).await.0;
    assert_eq!((answer.status, answer.json()), (400, body.clone()));
    // Within a 200 there is no answer of the provider's to pass on.
    bench.world.upstream.respond_with(Script::json(200, &body));
    let answer = bench.send(&ask).await.0;
    assert_eq!(
        (answer.status, &answer.json()["error"]["error_type"]),
        (401, &json!("auth_invalid")),
        "{}",
        answer.text()
    );
    // With the platform's it is the operator's.
    let answer = bench.send(&Ask::chat("other")).await.0;
    assert_eq!(answer.status, 503, "{}", answer.text());
}
