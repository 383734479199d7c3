//! Keys that a provider throttles: what it asks for is remembered, and nobody waits in vain.

use serde_json::json;
use weir_core::failure::{Class, CredentialOwner, Report};
use weir_core::record::NextStep;
use weir_testkit::Script;

use super::{Bench, asked, chain, error, retries};
use crate::support::Ask;

fn limited(seconds: &str) -> Script {
    error(429, "rate_limit_exceeded", "Rate limit reached.").header("retry-after", seconds)
}

async fn chained(attempts: u32) -> Bench {
    Bench::with_url("", |config, url| chain(config, url).set("failures", retries(attempts))).await
}

async fn pool() -> Bench {
    Bench::with_url("", |config, url| {
        config
            .set(
                "providers",
                format!("[{{name: main, base_url: \"{url}\", apis: [chat_completions], api_keys: [canary-k1, canary-k2]}}]"),
            )
            .set("models", "[{id: m, provider: main}, {id: n, provider: main}]")
            .set("failures", retries(1))
    })
    .await
}

/// The keys that the provider was shown, in order.
fn shown(bench: &Bench) -> Vec<String> {
    let key = |request: weir_testkit::RecordedRequest| {
        request.header("authorization").unwrap().trim_start_matches("Bearer canary-").to_owned()
    };
    bench.world.upstream.requests().into_iter().map(key).collect()
}

/// Nobody waits half a minute for what comes back in two hours while another model can serve.
#[tokio::test]
async fn a_hint_beyond_what_is_waited_goes_to_the_fallback_at_once() {
    let bench = chained(3).await;
    bench.world.upstream.respond_to_model("a", limited("7200"));
    for calls in [vec!["a", "b"], vec!["a", "b", "b"]] {
        let (answer, pauses) = bench.send(&Ask::chat("a")).await;
        assert_eq!((answer.status, pauses), (200, vec![]), "{}", answer.text());
        assert_eq!(asked(&bench.world), calls, "remembered until its hint");
        let record = bench.node.record_of(&answer).await;
        assert_eq!(record.result.failures[0].class, Class::RateLimited);
        assert_eq!(record.result.failures[0].next, NextStep::Fallback);
    }
    assert_eq!(bench.watcher.take_failed().len(), 1, "what was not called has not failed anew");
    bench.world.clock.advance_ms(7_200_000);
    bench.world.upstream.respond_to_model("a", Script::error(500, "server_error", "x"));
    bench.send(&Ask::chat("a")).await;
    assert_eq!(asked(&bench.world)[3], "a", "its time has come");
}

/// Without another way the request itself waits as long as is allowed (spec B11); later ones are told at once.
#[tokio::test]
async fn without_another_way_the_wait_is_capped_and_later_requests_are_told_at_once() {
    let bench = chained(2).await;
    bench.world.upstream.respond_with(limited("7200"));
    let (answer, pauses) = bench.send(&Ask::chat("c")).await;
    assert_eq!((answer.status, pauses), (429, vec![30_000]));
    assert_eq!(answer.header("retry-after"), Some("7200"));
    assert_eq!(asked(&bench.world).len(), 2);
    bench.world.clock.advance_ms(100_000);
    let (answer, pauses) = bench.send(&Ask::chat("c")).await;
    assert_eq!((answer.status, pauses), (429, vec![]), "{}", answer.text());
    assert_eq!(answer.json()["error"]["error_type"], json!("rate_limit_exceeded"));
    assert_eq!(answer.header("retry-after"), Some("7100"));
    assert_eq!(asked(&bench.world).len(), 2, "not called");
    // A hint that is short enough to wait for keeps nobody from asking.
    let short = chained(1).await;
    short.world.upstream.respond_once(limited("20"));
    assert_eq!(short.send(&Ask::chat("c")).await.0.status, 429);
    assert_eq!(short.send(&Ask::chat("c")).await.0.status, 200);
}

#[tokio::test]
async fn a_throttled_key_is_passed_over_until_its_hint() {
    let bench = pool().await;
    bench.world.upstream.respond_once(limited("20"));
    for _ in 0..2 {
        assert_eq!(bench.send(&Ask::chat("m")).await.0.status, 200);
    }
    assert_eq!(shown(&bench), ["k1", "k2", "k2"]);
    // The limit is of one model.
    assert_eq!(bench.send(&Ask::chat("n")).await.0.status, 200);
    assert_eq!(shown(&bench)[3], "k1");
    bench.world.clock.advance_ms(21_000);
    assert_eq!(bench.send(&Ask::chat("m")).await.0.status, 200);
    assert_eq!(shown(&bench)[4], "k1");
}

/// A pool that has a throttled key is not empty: nobody is called for the other one.
#[tokio::test]
async fn a_throttled_key_is_no_dead_one() {
    let bench = pool().await;
    bench.world.upstream.respond_once(limited("20"));
    bench.world.upstream.respond_once(error(401, "invalid_api_key", "Incorrect API key provided."));
    bench.send(&Ask::chat("m")).await;
    assert_eq!(shown(&bench), ["k1", "k2"]);
    let told: Vec<_> = bench
        .watcher
        .take_failed()
        .iter()
        .map(|event| (event.class, event.credential, event.report))
        .collect();
    assert_eq!(told[1], (Class::AuthInvalid, CredentialOwner::Pooled, Report::Log));
}

/// The time at which the first key of a dead pool comes back is told, whichever key was asked last.
#[tokio::test]
async fn a_dead_pool_says_when_its_first_key_comes_back() {
    let bench = pool().await;
    bench.world.upstream.respond_once(error(402, "insufficient_quota", "No.").header("retry-after", "3600"));
    bench.world.upstream.respond_with(error(401, "invalid_api_key", "Incorrect API key provided."));
    assert_eq!(bench.send(&Ask::chat("m")).await.0.status, 503);
    bench.world.clock.advance_ms(600_000);
    let answer = bench.send(&Ask::chat("m")).await.0;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3000")), "{}", answer.text());
}
