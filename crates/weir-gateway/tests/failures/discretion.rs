//! What must not get out: the platform's account, a caller's own key, the prompt.

use serde_json::{Value, json};
use weir_testkit::{Gate, Script};

use super::within::{content, failure};
use super::{Bench, chain, error, retries};
use crate::support::{Api, Ask};

const ORGANISATION: &str = "org-canAry7Q2xT9zLm41";

/// Under the seed's prefixes a provider's errors pass as they came, but for what tells of the platform's account.
#[tokio::test]
async fn the_platforms_account_does_not_show_under_the_seeds_prefixes() {
    let limited = format!(
        "Rate limit reached for big-1 in organization {ORGANISATION} on tokens per min (TPM): Limit 10000."
    );
    let missing = format!("The model `big-1` does not exist or {ORGANISATION} has no access to it.");
    let long =
        format!("This model's maximum context length is 10 tokens ({ORGANISATION}, acct_1NfCanaryA8x2).");
    let table = [
        (429, "rate_limit_exceeded", limited, "rate_limit_exceeded"),
        (404, "model_not_found", missing, "model_not_found"),
        (400, "context_length_exceeded", long, "context_length_exceeded"),
        (500, "server_error", "Your project is broken.".to_owned(), "upstream_5xx"),
    ];
    let bench = Bench::new(|config| config).await;
    for (status, code, message, error_type) in table {
        bench.world.upstream.respond_with(error(status, code, &message));
        for api in Api::ALL {
            let answer = bench.send(&Ask::new(api, "paid/big").seed()).await.0;
            let text = answer.text().to_lowercase();
            assert_eq!((answer.status, &answer.json()["error_type"]), (status, &json!(error_type)), "{text}");
            for secret in ["org-", "canary", "organization", "billing", "acct_"] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
        }
    }
    // What says nothing of the account passes as it came.
    let plain = json!({"error": {"message": "The model `big-1` does not exist", "code": "model_not_found"}});
    bench.world.upstream.respond_with(Script::json(404, &plain));
    let answer = bench.send(&Ask::chat("paid/big").seed()).await.0;
    assert_eq!((answer.status, answer.json()), (404, plain));
}

/// In the middle of a stream as well, and in what is told along of a wrong request.
#[tokio::test]
async fn the_platforms_account_does_not_show_in_a_stream_either() {
    for api in Api::ALL {
        let bench = Bench::new(|config| config).await;
        let told = json!({"code": "rate_limit_exceeded", "type": "rate_limit_error",
            "message": format!("Rate limit reached in organization {ORGANISATION}.")});
        bench.world.upstream.respond_with(Script::chunks([content(api), failure(api, &told)]));
        let text = bench.send(&Ask::new(api, "paid/big").streamed().seed()).await.0.text().to_owned();
        assert!(text.contains("Hello") && !text.contains("org-") && text.contains("rate_limit"), "{text}");
        let wrong = format!("`messages` must not be empty ({ORGANISATION})");
        bench.world.upstream.respond_with(error(400, "invalid_request_error", &wrong));
        let text = bench.send(&Ask::new(api, "paid/big")).await.0.text().to_owned();
        assert!(text.contains("must not be empty") && !text.contains("org-"), "{text}");
    }
}

/// A caller's own key that a provider repeats in the middle of a stream reaches nobody.
#[tokio::test]
async fn a_callers_own_key_is_not_repeated_in_a_stream() {
    for api in Api::ALL {
        let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(1))).await;
        let told = json!({"code": "invalid_api_key", "type": "authentication_error",
            "message": "No such key: canary-own-word."});
        let late = format!(": canary-own-word\n\n{}", content(api));
        bench.world.upstream.respond_with(Script::chunks([content(api), failure(api, &told), late]));
        let ask = Ask::new(api, "c").streamed().header("x-weir-byok", "canary-own-word");
        for ask in [ask.clone(), ask.seed()] {
            let text = bench.send(&ask).await.0.text().to_owned();
            assert!(text.contains("No such key"), "the caller's own error keeps its words: {text}");
            assert!(!text.contains("own-word"), "{text}");
        }
        let told = format!("{:?}", bench.watcher.take_failed());
        assert!(!told.contains("own-word"), "{told}");
        bench.node.leaks_nothing(&bench.world).await;
    }
}

/// Of the prompt not even a word with its letters changed gets into what is logged, wherever the provider repeats it.
#[tokio::test]
async fn no_word_of_the_prompt_is_told_of() {
    let messages = [
        "Invalid value: CANARY",
        "Your input \"the Canary Sings\" was refused",
        "`Sings` is not allowed here, nor canar",
        "Blocked word(s): [canary]; see the policy",
    ];
    for message in messages {
        let told = json!({"code": "Canary", "type": "sings", "message": message});
        for api in Api::ALL {
            let bench = Bench::new(|config| config).await;
            let scripts = [
                Script::json(418, &json!({"error": told})),
                Script::json(200, &json!({"error": told})),
                Script::chunks([content(api), failure(api, &told)]),
            ];
            for script in scripts {
                bench.world.upstream.respond_with(script);
                bench.send(&Ask::new(api, "paid/big").streamed()).await;
                bench.send(&Ask::new(api, "paid/big")).await;
            }
            let events = bench.watcher.take_failed();
            assert!(events.len() >= 5, "{}", events.len());
            for event in events {
                let all = format!("{} {} {}", event.chain(), event.code, event.kind).to_lowercase();
                assert!(!all.contains("canar") && !all.contains("sings"), "{all}");
            }
        }
    }
}

/// What an operator needs stays: the message without what was repeated.
#[tokio::test]
async fn the_rest_of_a_providers_message_is_told_of() {
    let bench = Bench::new(|config| config).await;
    let table = [
        ("The teapot brews at pressure 7; canary", "The teapot brews at pressure 7; …"),
        (
            "This model's maximum context length is 8192 tokens.",
            "This model's maximum context length is 8192 tokens.",
        ),
        (
            "Invalid value for `messages[0].content`: \"the canary sings\"",
            "Invalid value for `messages[0].content`: [...]",
        ),
    ];
    for (message, logged) in table {
        bench.world.upstream.respond_with(error(500, "server_error", message));
        bench.send(&Ask::chat("paid/big")).await;
        assert_eq!(bench.watcher.take_failed()[0].message, logged);
    }
}

/// A key that no provider could have given is refused before anything is sent.
#[tokio::test]
async fn a_malformed_key_of_the_callers_own_is_refused_at_once() {
    let bench = Bench::new(|config| config).await;
    let long = "k".repeat(5_000);
    for key in ["bad key with space", "tab\tkey", "schlüssel", "\"quoted\" key", &long] {
        for api in Api::ALL {
            let answer = bench.send(&Ask::new(api, "paid/big").header("x-weir-byok", key)).await.0;
            let error = &answer.json()["error"];
            assert_eq!((answer.status, &error["error_type"]), (400, &json!("invalid_request")), "{key}");
            let words = error["message"].as_str().unwrap();
            assert!(words.contains("x-weir-byok") && !words.contains(key), "{words}");
        }
    }
    assert!(bench.world.upstream.requests().is_empty());
}

/// No answer to a failure asks for another try but 429 and 503: also not one that is the provider's own.
#[tokio::test]
async fn a_providers_own_answer_asks_for_no_other_try() {
    let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(1))).await;
    for (status, code, retries) in [
        (401, "invalid_api_key", false),
        (402, "insufficient_quota", false),
        (403, "permission_denied", false),
        (429, "rate_limit_exceeded", true),
    ] {
        bench.world.upstream.respond_with(error(status, code, "Your own account."));
        for ask in [Ask::chat("c"), Ask::new(Api::Messages, "c"), Ask::chat("c").seed()] {
            let answer = bench.send(&ask.header("x-weir-byok", "canary-own")).await.0;
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("x-should-retry"), (!retries).then_some("false"), "{status}");
            assert!(answer.header("x-weir-decision").is_some());
        }
    }
    // Under the seed's prefixes the platform's errors pass, too.
    bench.world.upstream.respond_with(error(500, "server_error", "It broke."));
    let answer = bench.send(&Ask::chat("c").seed()).await.0;
    assert_eq!((answer.status, answer.header("x-should-retry")), (500, Some("false")));
}

/// Rules on failures read the prompt as any other fact, also when a stream breaks; nothing of it is recorded.
#[tokio::test]
async fn a_rule_on_failures_can_read_the_prompt() {
    let rules = "rules:\n  - {id: sings, on: failure, when: 'request.user_prompt.contains(\"canary sings\")', then: {class: content_policy}}\n";
    let bench = Bench::with_url(rules, |config, _| config).await;
    for api in Api::ALL {
        for script in [error(500, "server_error", "It broke."), Script::cut_mid_stream([content(api)])] {
            bench.world.upstream.respond_with(script);
            bench.send(&Ask::new(api, "paid/big").streamed()).await;
            let events = bench.watcher.take_failed();
            assert_eq!(events[0].rule.as_deref(), Some("sings"), "{api:?} {events:?}");
        }
    }
    bench.node.leaks_nothing(&bench.world).await;
}

/// Spec A10: a bare 500 of the house's own model on a request that cannot fit says so.
#[tokio::test]
async fn a_bare_500_of_the_house_on_too_long_a_request_says_so() {
    let bench = Bench::with_url("", |config, url| {
        config
            .set("providers", format!("[{{name: main, base_url: \"{url}\", apis: [chat_completions, responses, messages], api_key: canary-k, house: true}}, {{name: other, base_url: \"{url}\", apis: [chat_completions, responses, messages], api_key: canary-o}}]"))
            .set("models", "[{id: m, provider: main, context_window: 1000}, {id: strange, provider: other, context_window: 1000}]")
    })
    .await;
    let long = |api: Api, model: &str| {
        let ask = Ask::new(api, model).seed();
        let text = "word ".repeat(1_000);
        match api {
            Api::Responses => ask.with("input", Value::from(text)),
            _ => ask.with("messages", json!([{"role": "user", "content": text}])),
        }
    };
    bench.world.upstream.respond_with(Script::status(500));
    for api in Api::ALL {
        let answer = bench.send(&long(api, "m")).await.0;
        assert_eq!((answer.status, &answer.json()["error_type"]), (500, &json!("context_length_exceeded")));
        let words = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(words.contains("1000 tokens") && words.to_lowercase().contains("context"), "{words}");
        // What fits, and what is not the house's, passes as it came.
        for ask in [Ask::new(api, "m").seed(), long(api, "strange")] {
            let answer = bench.send(&ask).await.0;
            assert_eq!((answer.status, answer.text()), (500, ""));
        }
    }
    // The maximum of what is written counts.
    let answer = bench.send(&Ask::chat("m").seed().with("max_tokens", json!(1_000))).await.0;
    assert_eq!(answer.json()["error_type"], "context_length_exceeded");
    // A body that says something passes.
    bench.world.upstream.respond_with(error(500, "server_error", "It broke."));
    let answer = bench.send(&long(Api::Chat, "m")).await.0;
    assert_eq!(answer.json()["error"]["message"], "It broke.");
}

/// An error of the provider's that trickles in pieces after content keeps nothing back that is not its own.
#[tokio::test]
async fn an_echo_in_pieces_is_caught() {
    let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(1))).await;
    let api = Api::Chat;
    let event = failure(api, &json!({"message": "No such key: canary-own-word.", "code": "invalid_api_key"}));
    let (begin, end) = event.split_at(event.find("own-word").unwrap() + 3);
    let gate = Gate::new();
    bench.world.upstream.respond_with(Script::gated(&gate, [content(api), begin.to_owned(), end.to_owned()]));
    gate.open();
    let ask = Ask::new(api, "c").streamed().header("x-weir-byok", "canary-own-word");
    let text = bench.send(&ask).await.0.text().to_owned();
    assert!(text.contains("No such key") && !text.contains("own-word"), "{text}");
}
