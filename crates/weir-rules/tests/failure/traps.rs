//! What looks like evidence and is none; and bytes that are no text.

use std::io::Write;

use proptest::prelude::*;
use serde_json::json;
use weir_core::Boundary;
use weir_core::Timestamp;
use weir_core::failure::Class;
use weir_dialect::failure::{Evidence, FailureInput, Via};
use weir_rules::failure::{Circumstances, facts};
use weir_rules::{EvaluateContext, RuleSet};

use super::classified;

#[test]
fn what_is_quoted_of_the_request_is_no_evidence() {
    let table: &[(u16, &str, Class)] = &[
        (
            400,
            r#"{"error":{"message":"Invalid value: 'rate limit exceeded'. Supported values are: 'a'","code":"invalid_value"}}"#,
            Class::InvalidRequest,
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","input"],"msg":"Field required","type":"missing","input":"insufficient_quota, 429, rate limit"}]}"#,
            Class::InvalidRequest,
        ),
        (
            500,
            r#"{"error":{"message":"it broke"},"request":{"messages":[{"content":"maximum context length rate limit exceeded"}]}}"#,
            Class::Upstream5xx,
        ),
        (
            500,
            r#"{"error":{"message":"it broke"},"input":"overloaded_error insufficient_quota","prompt":"invalid api key"}"#,
            Class::Upstream5xx,
        ),
        (
            500,
            r#"{"error":{"message":"it broke, see https://docs.example.com/errors/429/rate-limit?x=insufficient_quota"}}"#,
            Class::Upstream5xx,
        ),
        (
            500,
            r#"{"error":{"message":"it broke"},"request_id":"req_429_rate_limit_insufficient_quota"}"#,
            Class::Upstream5xx,
        ),
        (500, r#"{"error":{"message":"it broke (request id: rate_limit_429_4013)"}}"#, Class::Upstream5xx),
        (
            500,
            "it broke\n    at rateLimit (/app/rate limit/insufficient_quota.js:429:11)\n",
            Class::Upstream5xx,
        ),
        (
            500,
            "Traceback (most recent call last):\n  File \"/app/rate_limit.py\", line 429, in insufficient_quota\n    raise overloaded_error\nit broke",
            Class::Upstream5xx,
        ),
        (
            500,
            r#"{"error":{"message":"it broke","failed_generation":"too many requests"}}"#,
            Class::Upstream5xx,
        ),
        (0, "request 14290 failed to generate limits", Class::Unknown),
        (
            0,
            "litellm.RateLimitError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"x\"}}",
            Class::AuthInvalid,
        ),
    ];
    for (status, body, class) in table {
        let found = classified(&json!({"status": status, "body": body}));
        assert_eq!(found.class, *class, "{body}: {found:?}");
    }
}

#[test]
fn an_inner_code_is_stronger_than_the_outer_status() {
    let table = [
        (
            500,
            "{'error': True, 'message': 'Error code: 429, with error text {\"error\":{\"code\":\"1113\"}}', 'status_code': 500}",
            429,
            Class::QuotaExhausted,
        ),
        (502, r#"{"error":"{\"error\":{\"code\":401,\"message\":\"no\"}}"}"#, 401, Class::AuthInvalid),
        (200, "data: {\"error\":{\"code\":503,\"message\":\"no\"}}", 503, Class::Overloaded),
    ];
    for (status, body, inner, class) in table {
        let evidence = Evidence::read(&FailureInput {
            status: Some(status),
            body: body.as_bytes(),
            ..FailureInput::default()
        });
        assert_eq!((evidence.status, evidence.http_status), (inner, status), "{body}");
        assert_eq!(classified(&json!({"status": status, "body": body})).class, class, "{body}");
    }
}

#[test]
fn compressed_bodies_are_opened_and_bombs_are_not() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let read = |body: &[u8]| {
        Evidence::read(&FailureInput {
            status: Some(429),
            body,
            headers: &[("Content-Encoding", "gzip")],
            ..FailureInput::default()
        })
    };
    let body = gzip(br#"{"error":{"code":"insufficient_quota"}}"#);
    assert_eq!(read(&body).code, "insufficient_quota");
    assert_eq!(read(&body[..body.len() - 8]).code, "insufficient_quota", "cut short");
    assert_eq!(
        read(br#"{"error":{"code":"insufficient_quota"}}"#).code,
        "insufficient_quota",
        "opened on the way"
    );
    let bomb = gzip(&vec![b'x'; 32 << 20]);
    assert!(read(&bomb).text.len() < 64 << 10);
}

fn classify(body: &[u8], status: u16, via: Via) {
    let evidence = Evidence::read(&FailureInput {
        status: Some(status),
        body,
        transport: via,
        ..FailureInput::default()
    });
    assert!(evidence.text.len() <= 64 << 10 && evidence.message.len() <= 4 << 10);
    let facts = facts(&evidence, &Circumstances::default());
    let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
    let found = RuleSet::default().decide_failure(&facts, &context);
    assert!(found.errored.is_empty(), "{:?}", found.errored);
    assert_eq!(facts.boundary(), Boundary::Failure);
}

#[test]
fn large_and_deep_bodies_are_bounded() {
    let big = 2 << 20;
    let bodies: Vec<Vec<u8>> = vec![
        "{\"error\":".repeat(big / 9).into_bytes(),
        "{\"".repeat(big / 2).into_bytes(),
        "{\"a\":\"".repeat(big / 6).into_bytes(),
        "[".repeat(big).into_bytes(),
        "{'".repeat(big / 2).into_bytes(),
        "\\".repeat(big).into_bytes(),
        "{\\".repeat(big / 2).into_bytes(),
        "<title>".repeat(big / 7).into_bytes(),
        "<script".repeat(big / 7).into_bytes(),
        "data: {\"error\":{\"message\":\"x\"}}\n".repeat(big / 32).into_bytes(),
        "429 ".repeat(big / 4).into_bytes(),
        "retry in 1s ".repeat(big / 12).into_bytes(),
        "localhost:1 ".repeat(big / 12).into_bytes(),
        "https://".repeat(big / 8).into_bytes(),
        vec![0; big],
        vec![0xff; big],
        (0..=255).cycle().take(big).collect(),
    ];
    for body in &bodies {
        let started = std::time::Instant::now();
        classify(body, 500, Via::Http);
        // Far above what it takes on a machine that does other things, and far below what anything quadratic would.
        assert!(started.elapsed().as_secs() < 120, "{:?}…", &body[..16]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_classified(body in proptest::collection::vec(any::<u8>(), 0..600), status in 0u16..1000) {
        for via in Via::ALL {
            classify(&body, status, via);
        }
    }

    #[test]
    fn nearly_json_is_classified(
        body in r#"([{}\[\]"':,=\\ ]|error|message|code|null|None|429|data: |<title>|https://|\\u[0-9a-f]{4}|é|\n){0,120}"#,
        status in 0u16..1000,
    ) {
        classify(body.as_bytes(), status, Via::Wrapped);
    }

    #[test]
    fn what_any_message_says_beside_its_code_is_read(id in "[0-9a-f]{32}", at in 0usize..60) {
        let body = format!("{{\"request_id\":\"{id}\",\"error\":{{\"message\":\"Out of it\",\"code\":\"insufficient_quota\"}},\"x\":\"{}\"}}", "y".repeat(at));
        let found = classified(&json!({"status": 429, "body": body}));
        prop_assert_eq!(found.class, Class::QuotaExhausted);
    }
}
