use serde_json::Value;
use weir_core::failure::{Class, Owner};
use weir_core::{ApiKind, DecisionId};

use super::{Answer, FailedCall, RateLimit, Refusal, RefusalKind, Unavailable, stream_error};
use crate::{Dialect, Observed};

fn decision() -> DecisionId {
    "dec_019aa0b5-6f80-7000-8000-000000000000".parse().unwrap()
}

/// One of each kind. The match has no `_` arm, so that a new kind does not go untested.
fn sample(kind: RefusalKind) -> Refusal {
    let limited = |limit, retry_after_s| Refusal::RateLimitExceeded { limit, retry_after_s };
    let model = || "openai/gpt-4o".to_owned();
    match kind {
        RefusalKind::InvalidRequest => {
            Refusal::invalid(Some("messages"), "`messages` must be an array of messages.")
        }
        RefusalKind::UnsupportedField => Refusal::UnsupportedField { field: "store" },
        RefusalKind::ApiKindNotSupported => {
            Refusal::ApiKindNotSupported { kind: ApiKind::Messages, model: model() }
        }
        RefusalKind::InvalidPath => Refusal::InvalidPath { path: "/api/gateway/v1/models".to_owned() },
        RefusalKind::InvalidApiKey => Refusal::InvalidApiKey,
        RefusalKind::PaidModelAuthRequired => Refusal::PaidModelAuthRequired { model: model() },
        RefusalKind::UsageLimitExceeded => Refusal::UsageLimitExceeded { budget_usd: Some(25.0) },
        RefusalKind::AbuseBlocked => Refusal::AbuseBlocked {
            rule: Some("no-scripts".to_owned()),
            instead: Some("Sign in.".to_owned()),
        },
        RefusalKind::NotFound => Refusal::NotFound { path: "/v1/nothing".to_owned() },
        RefusalKind::ModelNotFound => Refusal::ModelNotFound { model: Some("gpt-nothing".to_owned()) },
        RefusalKind::DiscontinuedFreeModel => {
            Refusal::DiscontinuedFreeModel { model: "old/free-model".to_owned() }
        }
        RefusalKind::MethodNotAllowed => {
            Refusal::MethodNotAllowed { method: "PUT".to_owned(), allow: "POST" }
        }
        RefusalKind::PayloadTooLarge => Refusal::PayloadTooLarge { limit_bytes: 33_554_432 },
        RefusalKind::RateLimitAbuse => limited(RateLimit::Abuse, None),
        RefusalKind::RateLimitHoldFull => limited(RateLimit::HoldFull, None),
        RefusalKind::RateLimitFreeModel => limited(RateLimit::FreeModel, Some(1800)),
        RefusalKind::RateLimitAddress => limited(RateLimit::Address, Some(0)),
        RefusalKind::RateLimitRule => limited(RateLimit::Rule("sixty-a-minute".to_owned()), Some(17)),
        RefusalKind::TooManyMaxTokens => {
            Refusal::TooManyMaxTokens { member: "max_tokens", limit: 99_999_999_999 }
        }
        RefusalKind::TemporarilyUnavailable => Refusal::TemporarilyUnavailable {
            reason: Unavailable::NoCredential { provider: "openai".to_owned() },
            retry_after_s: None,
        },
        RefusalKind::Failed => Refusal::failed(Class::Timeout, "openai", 0),
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
}

fn shown(answer: &Answer) -> String {
    let headers: Vec<String> =
        answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{}\n{}\n{}\n", answer.status, headers.join("\n"), std::str::from_utf8(&answer.body).unwrap())
}

#[test]
fn every_answer_in_every_dialect() {
    let mut all = String::new();
    for kind in RefusalKind::ALL {
        let refusal = sample(kind);
        assert_eq!(refusal.kind(), kind);
        all.push_str(&format!("=== {kind:?}\nlog: {refusal}\n"));
        for dialect in Dialect::ALL {
            all.push_str(&format!(
                "--- {dialect:?}\n{}",
                shown(&refusal.answer(dialect, &decision(), "req_1"))
            ));
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn all_answers_keep_the_rules_of_the_design() {
    for kind in RefusalKind::ALL {
        let refusal = sample(kind);
        for dialect in Dialect::ALL {
            let answer = refusal.answer(dialect, &decision(), "req_1");
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(
                (answer.status, header(&answer, "content-type")),
                (refusal.status(dialect), Some("application/json"))
            );
            let retried = matches!(answer.status, 429 | 503);
            assert_eq!(
                header(&answer, "x-should-retry"),
                if retried { None } else { Some("false") },
                "{kind:?}"
            );
            assert_eq!(header(&answer, "x-weir-limit").map(str::to_owned), refusal.limit(), "{kind:?}");
            assert_eq!(header(&answer, "x-weir-limit").is_some(), answer.status == 429, "{kind:?}");
            assert_eq!(header(&answer, "allow").is_some(), answer.status == 405);
            if answer.status == 429 {
                assert!(header(&answer, "retry-after").unwrap().parse::<u64>().unwrap() >= 1, "{kind:?}");
            }
            let error_type = match dialect {
                Dialect::Seed => &body["error_type"],
                Dialect::OpenAi | Dialect::Anthropic => &body["error"]["error_type"],
            };
            assert_eq!(error_type, refusal.error_type(dialect));
            if dialect == Dialect::Seed {
                assert_eq!(body.as_object().unwrap().len(), 3, "{kind:?}");
            }
        }
    }
}

#[test]
fn the_seeds_texts_stand_to_the_letter() {
    let table = [
        (
            sample(RefusalKind::AbuseBlocked),
            r#"{"error":"Request blocked by abuse prevention rules.","error_type":"abuse_blocked","message":"Request blocked by abuse prevention rules."}"#,
        ),
        (
            sample(RefusalKind::RateLimitAbuse),
            r#"{"error":"Rate limit exceeded. Please try again later.","error_type":"rate_limit_exceeded","message":"Rate limit exceeded. Please try again later."}"#,
        ),
    ];
    for (refusal, expected) in table {
        let body = refusal.answer(Dialect::Seed, &decision(), "r").body;
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }
}

#[test]
fn a_full_hold_looks_like_the_action() {
    for dialect in Dialect::ALL {
        let [action, hold] = [RefusalKind::RateLimitAbuse, RefusalKind::RateLimitHoldFull]
            .map(|kind| sample(kind).answer(dialect, &decision(), "r"));
        assert_eq!(action, hold);
        assert_eq!(header(&action, "retry-after"), Some("60"));
    }
}

#[test]
fn a_failed_upstream_is_answered_by_class_and_owner() {
    use Class as C;
    let table: &[(Class, Option<Owner>, u16, &str)] = &[
        (C::RateLimited, None, 429, "rate_limit_exceeded"),
        (C::Overloaded, None, 503, "temporarily_unavailable"),
        (C::Upstream5xx, None, 502, "upstream_5xx"),
        (C::Timeout, None, 504, "timeout"),
        (C::Network, None, 502, "network"),
        (C::Network, Some(Owner::Operator), 503, "temporarily_unavailable"),
        (C::StreamErrorOther, None, 502, "stream_error_other"),
        (C::QuotaExhausted, None, 503, "temporarily_unavailable"),
        (C::QuotaExhausted, Some(Owner::User), 503, "temporarily_unavailable"),
        (C::AuthInvalid, None, 503, "temporarily_unavailable"),
        (C::PermissionDenied, None, 503, "temporarily_unavailable"),
        (C::AccessPolicyDenied, None, 403, "access_policy_denied"),
        (C::AccessPolicyDenied, Some(Owner::Operator), 503, "temporarily_unavailable"),
        (C::ModelNotFound, None, 503, "temporarily_unavailable"),
        (C::ContextLengthExceeded, None, 400, "context_length_exceeded"),
        (C::MaxTokensInvalid, None, 400, "max_tokens_invalid"),
        (C::InvalidRequest, None, 400, "invalid_request"),
        (C::PayloadTooLarge, None, 413, "payload_too_large"),
        (C::ContentPolicy, None, 400, "content_policy"),
        (C::GatewayMisconfig, None, 503, "temporarily_unavailable"),
        (C::LocalModelUnavailable, None, 503, "temporarily_unavailable"),
        (C::Unknown, None, 502, "unknown"),
    ];
    for class in Class::ALL {
        assert!(table.iter().any(|(found, ..)| *found == class), "{class}");
    }
    for (class, by, status, error_type) in table {
        let owner = by.unwrap_or(class.owner());
        let call = FailedCall { owner, retry_after_s: Some(3), ..FailedCall::new(*class, "kimi", 0) };
        let refusal = Refusal::Failed(call);
        for dialect in Dialect::ALL {
            assert_eq!(
                (refusal.status(dialect), refusal.error_type(dialect)),
                (*status, *error_type),
                "{class} {owner:?}"
            );
            let answer = refusal.answer(dialect, &decision(), "r");
            let waits = matches!(status, 429 | 503);
            assert_eq!(header(&answer, "retry-after"), waits.then_some("3"), "{class}");
            assert!(header(&answer, "x-weir-limit").is_none());
        }
    }
}

#[test]
fn what_nobody_timed_has_a_stated_wait() {
    for (class, expected) in [
        (Class::RateLimited, Some("5")),
        (Class::Overloaded, Some("5")),
        (Class::AuthInvalid, None),
        (Class::Timeout, None),
    ] {
        let answer = Refusal::failed(class, "p", 0).answer(Dialect::OpenAi, &decision(), "r");
        assert_eq!(header(&answer, "retry-after"), expected, "{class}");
    }
}

#[test]
fn the_log_names_the_cause() {
    let unavailable = |reason| Refusal::TemporarilyUnavailable { reason, retry_after_s: None }.to_string();
    let table = [
        (unavailable(Unavailable::Dependency { name: "store" }), "the store does not answer"),
        (unavailable(Unavailable::Draining), "shutting down"),
        (unavailable(Unavailable::Busy), "no room for another request"),
        (unavailable(Unavailable::Defect), "a defect of weir's own"),
        (Refusal::UsageLimitExceeded { budget_usd: None }.to_string(), "the key's budget is used up"),
        (Refusal::AbuseBlocked { rule: None, instead: None }.to_string(), "blocked by the classifier"),
        (Refusal::ModelNotFound { model: None }.to_string(), "no model was named"),
        (
            Refusal::header_not_text("x-weir-feature").to_string(),
            "invalid request: The header `x-weir-feature` must be visible ASCII or UTF-8 text.",
        ),
        (
            Refusal::body_incomplete().to_string(),
            "invalid request: The body ended before it was complete, or took too long. Send it again.",
        ),
        (
            Refusal::failed(Class::AuthInvalid, "kimi", 401).to_string(),
            "upstream `kimi` failed: auth_invalid (status 401, owner operator)",
        ),
        (
            Refusal::failed(Class::ContentPolicy, "kimi", 400).to_string(),
            "upstream `kimi` failed: content_policy (status 400, owner user)",
        ),
        (
            Refusal::failed(Class::InvalidRequest, "kimi", 400).to_string(),
            "upstream `kimi` failed: invalid_request (status 400, owner caller)",
        ),
        (
            Refusal::failed(Class::Timeout, "kimi", 0).to_string(),
            "upstream `kimi` failed: timeout (status 0, owner provider)",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
    for reason in [
        Unavailable::Dependency { name: "store" },
        Unavailable::Draining,
        Unavailable::Busy,
        Unavailable::Defect,
    ] {
        let refusal = Refusal::TemporarilyUnavailable { reason, retry_after_s: Some(2) };
        let answer = refusal.answer(Dialect::OpenAi, &decision(), "r");
        assert_eq!((answer.status, header(&answer, "retry-after")), (503, Some("2")));
    }
}

#[test]
fn what_a_caller_sent_is_repeated_in_part_and_without_control_characters() {
    let model = format!("a\u{1b}[31m\n{}", "x".repeat(1_000_000));
    let refusal = Refusal::ModelNotFound { model: Some(model) };
    let answer = refusal.answer(Dialect::OpenAi, &decision(), "r");
    assert!(answer.body.len() < 800, "{}", answer.body.len());
    assert!(refusal.operator_message().starts_with("no model `a [31m xxx"));
    assert!(refusal.operator_message().ends_with("x…`"));
}

#[test]
fn a_broken_stream_ends_in_the_protocols_own_words() {
    let refusal = Refusal::failed(Class::StreamErrorOther, "openai", 200);
    let seen = Observed { message_id: Some("resp_7".to_owned()), events: 4, ..Observed::default() };
    let mut all = String::new();
    for kind in [ApiKind::ChatCompletions, ApiKind::Messages, ApiKind::Responses] {
        let bytes = stream_error(kind, &refusal, &decision(), "req_1", "openai/gpt-4o", &seen);
        all.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_stream_that_broke_within_an_event_ends_that_event_first() {
    let refusal = Refusal::failed(Class::Timeout, "openai", 200);
    let seen = Observed { mid_event: true, ..Observed::default() };
    let bytes = stream_error(ApiKind::Embeddings, &refusal, &decision(), "r", "m", &seen);
    assert!(bytes.starts_with(b"\n\ndata: {\"error\":"));
    let bytes = stream_error(ApiKind::CountTokens, &refusal, &decision(), "r", "m", &Observed::default());
    assert!(bytes.starts_with(b"event: error\ndata: {\"type\":\"error\""));
}

#[test]
fn a_failed_response_has_an_id_of_its_own_and_the_protocols_code() {
    for (class, code) in [
        (Class::RateLimited, "rate_limit_exceeded"),
        (Class::ContentPolicy, "invalid_prompt"),
        (Class::PayloadTooLarge, "invalid_prompt"),
        (Class::Timeout, "server_error"),
    ] {
        let refusal = Refusal::failed(class, "openai", 200);
        let bytes = stream_error(ApiKind::Responses, &refusal, &decision(), "r", "m", &Observed::default());
        let data =
            std::str::from_utf8(&bytes).unwrap().strip_prefix("event: response.failed\ndata: ").unwrap();
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["response"]["id"], "resp_dec_019aa0b5-6f80-7000-8000-000000000000");
        assert_eq!(event["response"]["error"]["code"], code);
        assert_eq!(event["response"]["created_at"], decision().at().as_second());
    }
}

#[test]
fn where_another_try_is_no_use_no_words_ask_for_one() {
    for class in Class::ALL {
        for owner in [Owner::Operator, Owner::Provider, Owner::User, Owner::Caller] {
            for own_key in [false, true] {
                let call = FailedCall { owner, own_key, skipped: 2, ..FailedCall::new(class, "kimi", 0) };
                let answer = Refusal::Failed(call).answer(Dialect::OpenAi, &decision(), "r");
                let words = String::from_utf8_lossy(&answer.body).to_lowercase();
                let asks = words.contains("try again") || words.contains("retry");
                assert!(!(asks && header(&answer, "x-should-retry") == Some("false")), "{class}: {words}");
            }
        }
    }
}

#[test]
fn what_the_provider_said_of_the_request_and_what_was_skipped_is_told() {
    let call = FailedCall {
        said: Some("`messages[3]` must not be empty".to_owned()),
        skipped: 1,
        ..FailedCall::new(Class::ContextLengthExceeded, "kimi", 400)
    };
    let answer = Refusal::Failed(call).answer(Dialect::Anthropic, &decision(), "r");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("The provider says: `messages[3]` must not be empty"), "{message}");
    assert!(
        message.ends_with("1 fallback model was skipped: its window is not known to be larger."),
        "{message}"
    );
}

#[test]
fn a_key_of_the_callers_own_is_told_of_as_its_own() {
    for (class, status) in
        [(Class::AuthInvalid, 401), (Class::QuotaExhausted, 402), (Class::PermissionDenied, 403)]
    {
        let of = |own_key| {
            let call = FailedCall { owner: Owner::User, own_key, ..FailedCall::new(class, "kimi", 200) };
            Refusal::Failed(call)
        };
        let own = of(true).answer(Dialect::OpenAi, &decision(), "r");
        assert_eq!((own.status, of(true).error_type(Dialect::OpenAi)), (status, class.as_str()));
        assert!(String::from_utf8_lossy(&own.body).contains("Your provider"));
        assert_eq!(of(false).status(Dialect::OpenAi), 503);
    }
}
