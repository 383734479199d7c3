//! What is done about a failure: another try, another model, or nothing.

use serde_json::json;
use weir_core::failure::{Class, Retry};
use weir_core::record::NextStep;
use weir_testkit::Script;

use super::{Bench, asked, chain, error, retries};
use crate::support::{Api, Ask};

async fn bench(attempts: u32) -> Bench {
    Bench::with_url("", |config, url| chain(config, url).set("failures", retries(attempts))).await
}

#[tokio::test]
async fn what_passes_is_tried_again_after_a_pause_that_doubles() {
    let bench = bench(3).await;
    for _ in 0..2 {
        bench.world.upstream.respond_once(error(500, "server_error", "Something broke."));
    }
    let (answer, pauses) = bench.send(&Ask::chat("a")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asked(&bench.world), ["a", "a", "a"]);
    assert!((100..=150).contains(&pauses[0]) && (200..=300).contains(&pauses[1]), "{pauses:?}");
    let record = bench.node.record_of(&answer).await;
    let failures = &record.result.failures;
    assert_eq!(failures.len(), 2);
    for (index, attempt) in failures.iter().enumerate() {
        assert_eq!(attempt.number as usize, index + 1);
        assert_eq!(
            (attempt.class, attempt.model.as_str(), attempt.provider.as_str()),
            (Class::Upstream5xx, "a", "one")
        );
        assert_eq!((attempt.next, attempt.wait_ms), (NextStep::Again, pauses[index]));
        assert!(attempt.rule.is_some());
    }
    assert_eq!(record.result.failure_class, None, "the request has not failed");
    assert_eq!(bench.watcher.take_failed().len(), 2);
    assert!(bench.watcher.take_exhausted().is_empty());
}

/// What a provider asks for is honoured, within bounds, wherever it says so.
#[tokio::test]
async fn the_providers_own_hints_are_followed() {
    let limited = || error(429, "rate_limit_exceeded", "Rate limit reached.");
    let said = |text: &str| error(429, "rate_limit_exceeded", text);
    let table = [
        (limited().header("retry-after", "7"), 7_000),
        (limited().header("retry-after-ms", "1500"), 1_500),
        (limited().header("retry-after", "120"), 30_000),
        (said("Rate limit reached. Please try again in 2m30s."), 30_000),
        (said("Rate limit reached. Please try again in 4.5s."), 4_500),
        (
            limited()
                .header("x-ratelimit-remaining-requests", "0")
                .header("x-ratelimit-reset-requests", "3s"),
            3_000,
        ),
    ];
    for (script, wait) in table {
        let bench = bench(2).await;
        bench.world.upstream.respond_once(script.clone());
        let (answer, pauses) = bench.send(&Ask::chat("b")).await;
        assert_eq!((answer.status, pauses), (200, vec![wait]), "{script:?}");
    }
}

#[tokio::test]
async fn what_can_never_succeed_is_sent_once() {
    for (status, code, class) in [
        (400, "invalid_request_error", "invalid_request"),
        (400, "content_policy_violation", "content_policy"),
        (413, "request_too_large", "payload_too_large"),
    ] {
        let bench = bench(3).await;
        bench.world.upstream.respond_with(error(status, code, "No."));
        let (answer, pauses) = bench.send(&Ask::chat("a")).await;
        assert_eq!(answer.json()["error"]["error_type"], class, "{}", answer.text());
        assert_eq!((asked(&bench.world).len(), pauses.len()), (1, 0), "{code}");
    }
}

#[tokio::test]
async fn fallbacks_are_tried_in_order_and_none_twice() {
    let bench = bench(2).await;
    bench
        .world
        .upstream
        .respond_to_model("a", error(404, "model_not_found", "The model `a` does not exist."));
    bench.world.upstream.respond_to_model("b", error(503, "overloaded", "Overloaded"));
    for streamed in [false, true] {
        for api in Api::ALL {
            let before = asked(&bench.world).len();
            let ask = if streamed { Ask::new(api, "a").streamed() } else { Ask::new(api, "a") };
            let (answer, pauses) = bench.send(&ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(asked(&bench.world)[before..], ["a", "b", "b", "c"], "{api:?}");
            assert_eq!(pauses.len(), 1);
            let record = bench.node.record_of(&answer).await;
            let steps: Vec<NextStep> = record.result.failures.iter().map(|attempt| attempt.next).collect();
            assert_eq!(steps, [NextStep::Fallback, NextStep::Again, NextStep::Fallback]);
            assert_eq!(record.result.served_model.as_deref(), Some("c"));
            assert_eq!(record.facts.request.model, "a", "the facts are those of the request");
            let usage = bench.node.usage_of(&answer).await;
            assert_eq!((usage.requested_model.as_str(), usage.provider.as_str()), ("c", "three"));
        }
    }
}

#[tokio::test]
async fn a_longer_window_alone_helps_what_is_too_long() {
    let bench = bench(3).await;
    let too_long =
        || error(400, "context_length_exceeded", "This model's maximum context length is 1000 tokens.");
    bench.world.upstream.respond_to_model("a", too_long());
    let (answer, _) = bench.send(&Ask::chat("a")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(asked(&bench.world), ["a", "c"], "b is no larger");
    let record = bench.node.record_of(&answer).await;
    assert_eq!(record.result.failures[0].skipped[0].model, "b");

    bench.world.upstream.respond_to_model("c", too_long());
    let (answer, _) = bench.send(&Ask::chat("a")).await;
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["error_type"]), (400, &json!("context_length_exceeded")));
    let words = error["message"].as_str().unwrap();
    assert!(words.contains("1 fallback model was skipped"), "{words}");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
}

/// The most informative class is kept, not the last one; of two alike the first.
#[tokio::test]
async fn the_answer_after_everything_failed_is_the_most_informative_one() {
    let table = [
        ((429, "rate_limit_exceeded"), (401, "invalid_api_key"), 429, "rate_limit_exceeded"),
        ((500, "server_error"), (429, "rate_limit_exceeded"), 429, "rate_limit_exceeded"),
        ((401, "invalid_api_key"), (500, "server_error"), 503, "temporarily_unavailable"),
        ((500, "server_error"), (504, "timeout"), 502, "upstream_5xx"),
    ];
    for ((first, first_code), (second, second_code), status, error_type) in table {
        let bench = bench(1).await;
        bench.world.upstream.respond_to_model("a", error(first, first_code, "No."));
        for model in ["b", "c"] {
            bench.world.upstream.respond_to_model(model, error(second, second_code, "No."));
        }
        let (answer, _) = bench.send(&Ask::chat("a")).await;
        assert_eq!((answer.status, &answer.json()["error"]["error_type"]), (status, &json!(error_type)));
        let exhausted = bench.watcher.take_exhausted();
        assert_eq!(exhausted.len(), 1);
        assert_eq!((exhausted[0].attempts().len(), exhausted[0].model()), (3, "a"));
        assert_eq!(bench.watcher.take_failed().len(), 3);
        let record = bench.node.record_of(&answer).await;
        assert_eq!(record.result.failure_class.as_deref(), Some(exhausted[0].class().as_str()));
    }
}

/// All checks of the fallback model hold: a decision of its own, and who may ask for it.
#[tokio::test]
async fn a_fallback_is_a_new_decision() {
    let rules = "rules:\n\
        - {id: not-b, on: request, when: 'request.model == \"b\"', then: block, because: A test.}\n";
    let bench = Bench::with_url(rules, chain).await;
    bench.world.upstream.respond_to_model("a", error(404, "model_not_found", "There is no model `a`."));
    let (answer, _) = bench.send(&Ask::chat("a")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(asked(&bench.world), ["a", "c"]);
    let record = bench.node.record_of(&answer).await;
    let skipped = &record.result.failures[0].skipped;
    assert_eq!((skipped[0].model.as_str(), skipped[0].because.as_str()), ("b", "blocked by rule `not-b`"));
    let (answer, _) = bench.send(&Ask::chat("b")).await;
    assert_eq!(answer.status, 403, "asked for by itself it is blocked");
}

/// The delay of a quarantine is applied once, also when the fallback's own decision asks for it.
#[tokio::test]
async fn the_artificial_delay_is_applied_once() {
    let everybody = "{id: q, on: request, when: 'true', then: quarantine-1, because: A test.}";
    let only_b = "{id: q, on: request, when: 'request.model == \"b\"', then: quarantine-1, because: A test.}";
    for (rule, delays) in [(everybody, 1), (only_b, 1)] {
        let rules = format!("rules:\n- {rule}\n");
        let bench =
            Bench::with_url(&rules, |config, url| chain(config, url).set("failures", retries(2))).await;
        bench.world.upstream.respond_to_model("a", error(500, "server_error", "It broke."));
        let (answer, pauses) = bench.send(&Ask::chat("a")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(asked(&bench.world), ["a", "a", "b"]);
        assert_eq!(pauses.iter().filter(|ms| **ms == 2_000).count(), delays, "{rule}: {pauses:?}");
        assert_eq!(pauses.len(), 2, "one delay, one pause: {pauses:?}");
        let record = bench.node.record_of(&answer).await;
        assert_eq!(record.result.abuse_delay, Some(2_000));
        assert_eq!(record.decision.outcome.as_str(), "quarantine-1");
    }
}

/// A request that is sent to a free model instead never reaches a paid one by way of a fallback.
#[tokio::test]
async fn a_fallback_does_not_lift_a_downgrade() {
    let rules = "rules:\n- {id: q, on: request, when: 'true', then: quarantine-3, because: A test.}\n";
    let bench = Bench::with_url(rules, |config, url| {
        chain(config, url)
            .set("abuse", "{quarantine: {first: 0s, second: 0s}}")
            .set("models", "[{id: a, provider: one}, {id: f, provider: two, free: true, fallbacks: [a, g]}, {id: g, provider: three, free: true}]")
    })
    .await;
    bench.world.upstream.respond_to_model("f", error(500, "server_error", "It broke."));
    let (answer, _) = bench.send(&Ask::chat("a")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(asked(&bench.world), ["f", "g"]);
    assert_eq!(answer.json()["model"], "a", "a quarantine stays invisible");
    let record = bench.node.record_of(&answer).await;
    assert!(record.result.failures[0].skipped[0].because.contains("only free models"));
}

#[tokio::test]
async fn an_anonymous_caller_does_not_fall_back_to_what_it_may_not_ask_for() {
    let bench = Bench::with_url("", |config, url| {
        chain(config, url).set(
            "models",
            "[{id: f, provider: one, free: true, fallbacks: [paid]}, {id: paid, provider: two}]",
        )
    })
    .await;
    bench.world.upstream.respond_to_model("f", error(500, "server_error", "It broke."));
    let (answer, _) = bench.send(&Ask::anonymous(Api::Chat, "f")).await;
    assert_eq!((answer.status, asked(&bench.world).len()), (502, 1));
}

/// Bounds: tries of one model, calls in all, and the words of the plan in the record.
#[tokio::test]
async fn attempts_are_bounded() {
    let bench = Bench::with_url("", |config, url| {
        let names: Vec<String> = (1..30).map(|n| format!("m{n}")).collect();
        let mut models: Vec<String> =
            names.iter().map(|name| format!("{{id: {name}, provider: one}}")).collect();
        models.push(format!("{{id: m0, provider: one, fallbacks: [{}]}}", names.join(", ")));
        chain(config, url).set("models", format!("[{}]", models.join(", "))).set("failures", retries(100))
    })
    .await;
    bench.world.upstream.respond_with(error(500, "server_error", "It broke."));
    let (answer, pauses) = bench.send(&Ask::chat("m0")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(asked(&bench.world).len(), 20, "so many calls for one request");
    assert!(pauses.iter().sum::<u64>() <= 60_000, "{pauses:?}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_tries() {
    let bench = bench(5).await;
    bench.world.upstream.respond_with(error(500, "server_error", "It broke."));
    let request = bench.node.spawn(&Ask::chat("b"));
    bench.world.clock.nth_sleep(0).await;
    request.abort();
    let records = bench.node.wait_for_records(1).await;
    assert!(records[0].result.client_gone);
    assert_eq!((records[0].result.failures.len(), asked(&bench.world).len()), (1, 1));
    assert!(bench.watcher.take_exhausted().is_empty(), "nobody was told that all has failed");
}

/// A timeout and a connection that is cut are tried again, too; a refused one of the own network is the operator's.
#[tokio::test]
async fn failures_without_an_answer_are_acted_on() {
    for (script, class) in [(Script::hang(), Class::Timeout), (Script::cut_before_head(), Class::Network)] {
        let bench = Bench::with_url("", |config, url| {
            chain(config, url).set("failures", retries(2)).set("limits", "{upstream: {first_byte: 100ms}}")
        })
        .await;
        bench.world.upstream.respond_once(script);
        let (answer, pauses) = bench.send(&Ask::chat("b")).await;
        assert_eq!((answer.status, pauses.len()), (200, 1), "{class}: {}", answer.text());
        let record = bench.node.record_of(&answer).await;
        let attempt = &record.result.failures[0];
        assert_eq!((attempt.class, attempt.retry), (class, Retry::Same));
    }
}

/// What the transport says is typed where it happens: a name that is not found, a server that is not there, no TLS.
#[tokio::test]
async fn transport_failures_are_typed_at_the_source() {
    let bench = Bench::with_url("", |config, url| {
        let refused = weir_testkit::upstream::refused_url();
        let tls = url.replace("http://", "https://");
        let provider = |name: &str, url: &str| {
            format!("{{name: {name}, base_url: \"{url}\", api_key: canary-key, apis: [chat_completions]}}")
        };
        let providers = [
            provider("dns", "http://no-such-host.invalid/v1"),
            provider("connect", &format!("{refused}/v1")),
            provider("tls", &tls),
            provider("reset", url),
        ];
        let models =
            ["dns", "connect", "tls", "reset"].map(|name| format!("{{id: {name}, provider: {name}}}"));
        config
            .set("providers", format!("[{}]", providers.join(", ")))
            .set("models", format!("[{}]", models.join(", ")))
            .set("limits", "{upstream: {first_byte: 10s}}")
    })
    .await;
    bench.world.upstream.respond_to_model("reset", Script::cut_before_head());
    for (model, status, owner) in [
        ("dns", 502, "provider"),
        ("connect", 503, "operator"),
        ("tls", 503, "operator"),
        ("reset", 502, "provider"),
    ] {
        let (answer, _) = bench.send(&Ask::chat(model)).await;
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
        let event = &bench.watcher.take_failed()[0];
        assert_eq!(
            (event.class, event.transport, event.owner.as_str()),
            (Class::Network, model, owner),
            "{event:?}"
        );
        assert!(!event.causes.is_empty(), "{event:?}");
    }
}

/// The operator's rules are asked before the built-in pack, with the facts of the request, wherever the failure is met.
#[tokio::test]
async fn the_operators_rules_come_first_on_every_path() {
    let rules = "rules:\n\
        - id: mine\n  on: failure\n  \
          when: 'failure.operation == request.api && request.headers[\"x-team\"] == \"blue\" && request.model == \"a\" \
          && identity.user_id == \"user-123\" && credential.owner == \"platform\" && attempt.number == 1 && attempt.of == 3'\n  \
          then: {class: content_policy, retry: never}\n  because: A test.\n";
    let bench = Bench::with_url(rules, |config, url| chain(config, url).set("failures", retries(1))).await;
    for api in Api::ALL {
        let scripts = [
            error(500, "server_error", "It broke."),
            Script::cut_before_head(),
            Script::cut_mid_stream([super::within::content(api)]),
        ];
        for script in scripts {
            bench.world.upstream.respond_with(script);
            let ask = Ask::new(api, "a").streamed().header("x-team", "blue");
            bench.send(&ask).await;
            let event = &bench.watcher.take_failed()[0];
            assert_eq!(
                (event.class, event.rule.as_deref()),
                (Class::ContentPolicy, Some("mine")),
                "{event:?}"
            );
        }
        bench.world.upstream.respond_with(error(500, "server_error", "It broke."));
        bench.send(&Ask::new(api, "a").header("x-team", "red")).await;
        assert_eq!(bench.watcher.take_failed()[0].class, Class::Upstream5xx);
    }
}
