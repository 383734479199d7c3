//! What the caller is told of each class, in each dialect.

use serde_json::json;
use weir_core::failure::Class;
use weir_testkit::Script;

use super::{Bench, error, told};
use crate::support::{Api, Ask};

/// An error of each class as providers send it: status, code, message. Two classes come of broken connections alone.
pub const fn members(class: Class) -> Option<(u16, &'static str, &'static str)> {
    Some(match class {
        Class::RateLimited => (429, "rate_limit_exceeded", "Rate limit reached for requests."),
        Class::Overloaded => (529, "overloaded_error", "Overloaded"),
        Class::Upstream5xx => (500, "server_error", "The server had an error."),
        Class::Timeout => (504, "timeout", "The upstream timed out."),
        Class::QuotaExhausted => (402, "insufficient_quota", "Your credit balance is too low."),
        Class::AuthInvalid => (401, "invalid_api_key", "Incorrect API key provided."),
        Class::PermissionDenied => (403, "permission_error", "Your account may not use this."),
        Class::AccessPolicyDenied => {
            (403, "access_terminated_error", "This is currently only available for Coding Agents.")
        }
        Class::ModelNotFound => (404, "model_not_found", "The model `x` does not exist."),
        Class::ContextLengthExceeded => {
            (400, "context_length_exceeded", "This model's maximum context length is 10 tokens.")
        }
        Class::MaxTokensInvalid => (
            400,
            "invalid_request_error",
            "max_tokens is too large: 9. This model supports at most 5 completion tokens.",
        ),
        Class::InvalidRequest => (400, "invalid_request_error", "`messages[3]` must not be empty."),
        Class::PayloadTooLarge => (413, "request_too_large", "Request exceeds the maximum size."),
        Class::ContentPolicy => (400, "content_policy_violation", "Rejected by the safety system."),
        Class::GatewayMisconfig => (405, "method_not_allowed", "Method Not Allowed"),
        Class::LocalModelUnavailable => {
            (500, "api_error", "model requires more system memory than is available")
        }
        Class::Unknown => (418, "x", "x"),
        Class::Network | Class::StreamErrorOther => return None,
    })
}

/// The same as an answer.
pub fn sent(class: Class) -> Option<Script> {
    members(class).map(|(status, code, message)| error(status, code, message))
}

/// What a caller is told: the table of design section 6.
pub const fn answer(class: Class) -> (u16, &'static str, &'static str, &'static str) {
    match class {
        Class::RateLimited => (429, "rate_limit_exceeded", "rate_limit_error", "rate_limit_error"),
        Class::Overloaded
        | Class::QuotaExhausted
        | Class::AuthInvalid
        | Class::PermissionDenied
        | Class::ModelNotFound
        | Class::GatewayMisconfig
        | Class::LocalModelUnavailable => (503, "temporarily_unavailable", "server_error", "api_error"),
        Class::Upstream5xx | Class::Network | Class::StreamErrorOther | Class::Unknown => {
            (502, class.as_str(), "server_error", "api_error")
        }
        Class::Timeout => (504, class.as_str(), "server_error", "api_error"),
        Class::AccessPolicyDenied => (403, class.as_str(), "permission_error", "permission_error"),
        Class::ContextLengthExceeded
        | Class::MaxTokensInvalid
        | Class::InvalidRequest
        | Class::ContentPolicy => (400, class.as_str(), "invalid_request_error", "invalid_request_error"),
        Class::PayloadTooLarge => (413, class.as_str(), "invalid_request_error", "request_too_large"),
    }
}

#[tokio::test]
async fn every_class_has_its_answer_in_each_dialect() {
    let bench = Bench::new(|config| config).await;
    for class in Class::ALL {
        let Some(script) = sent(class) else { continue };
        bench.world.upstream.respond_with(script);
        for api in Api::ALL {
            let answer = bench.send(&Ask::new(api, "paid/big")).await.0;
            let (status, error_type, openai, anthropic) = self::answer(class);
            let error = told(api, &answer.body);
            assert_eq!(
                (answer.status, &error["error_type"]),
                (status, &json!(error_type)),
                "{class} {api:?}"
            );
            assert_eq!(error["type"], if api == Api::Messages { anthropic } else { openai }, "{class}");
            assert_eq!(error["decision"], answer.header("x-weir-decision").unwrap());
            let waits = matches!(class, Class::RateLimited | Class::Overloaded);
            assert_eq!(answer.header("retry-after").is_some(), waits, "{class}");
            let retries = matches!(status, 429 | 503);
            assert_eq!(
                answer.header("x-should-retry"),
                if retries { None } else { Some("false") },
                "{class}"
            );
            let words = error["message"].as_str().unwrap().to_lowercase();
            assert!(retries || !words.contains("try again"), "{class}: {words}");
            assert!(words.len() > 30 && words.contains(". "), "what happened, and what to do: {words}");
        }
    }
}

/// Of the platform's account a caller learns nothing, whichever prefix it uses and wherever the provider says it.
#[tokio::test]
async fn the_platforms_account_shows_nowhere() {
    const SECRETS: [&str; 4] = ["credit", "balance", "api key", "account"];
    let bench = Bench::new(|config| config).await;
    for class in [Class::QuotaExhausted, Class::AuthInvalid, Class::PermissionDenied] {
        bench.world.upstream.respond_with(sent(class).unwrap());
        for api in Api::ALL {
            for ask in [
                Ask::new(api, "paid/big"),
                Ask::new(api, "paid/big").streamed(),
                Ask::new(api, "paid/big").seed(),
            ] {
                let answer = bench.send(&ask).await.0;
                assert_eq!(answer.status, 503, "{class} {}", answer.text());
                let words = answer.text().to_lowercase();
                assert!(SECRETS.iter().all(|secret| !words.contains(secret)), "{class}: {words}");
            }
        }
    }
}

/// Where the request itself is at fault the provider's words help, without what looks like a secret; of another's fault
/// they do not reach the caller.
#[tokio::test]
async fn the_providers_words_are_told_where_they_help() {
    let bench = Bench::new(|config| config).await;
    let secret = "sk-abcDEF1234567890abcDEF1234567890";
    let message = format!("`messages[3]` must not be empty ({secret})");
    for (status, code, tells) in [(400, "invalid_request_error", true), (500, "server_error", false)] {
        bench.world.upstream.respond_with(error(status, code, &message));
        for ask in [Ask::chat("paid/big"), Ask::chat("paid/big").seed()] {
            let answer = bench.send(&ask).await.0;
            let words = answer.text();
            // Under the seed's prefixes the provider's own answer passes (spec A10).
            let seed = ask.path.starts_with("/api");
            assert_eq!(words.contains("must not be empty"), tells || seed, "{words}");
            assert!(!words.contains(secret), "{words}");
        }
    }
}

/// Records and what is given to those who watch hold none of the provider's words; a known code is no text of its.
#[tokio::test]
async fn records_hold_no_word_of_the_providers() {
    let bench = Bench::new(|config| config).await;
    let bodies = [
        error(400, "canary-code", "canary message"),
        error(429, "insufficient_quota", "canary message"),
        Script::body(500, "text/html", "<html><title>canary</title></html>"),
        Script::json(200, &json!({"error": {"code": "canary", "type": "canary", "message": "canary"}})),
        Script::chunks([
            "data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"canary\",\"code\":\"canary\"}}\n\n",
        ]),
    ];
    for script in bodies {
        bench.world.upstream.respond_with(script);
        for api in Api::ALL {
            bench.send(&Ask::new(api, "paid/big").streamed()).await;
        }
    }
    bench.node.leaks_nothing(&bench.world).await;
    let records = bench.node.records().await;
    assert!(records.iter().all(|record| record.result.failures.len() == 1));
    let known: Vec<_> =
        records.iter().filter_map(|record| record.result.failures[0].evidence.code.clone()).collect();
    assert_eq!(known, ["insufficient_quota"; 3]);
    assert!(
        records.iter().all(|record| record.result.failures[0]
            .evidence
            .read
            .iter()
            .any(|name| name == "failure.status"))
    );
}
