//! What it costs to read a failure and to classify it by the built-in pack.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that fails should panic")]

use divan::{Bencher, black_box};
use weir_core::Timestamp;
use weir_dialect::failure::{Evidence, FailureInput, Via};
use weir_rules::failure::{Circumstances, facts, pack};
use weir_rules::{EvaluateContext, RuleSet};

fn main() {
    assert!(!pack().rules().is_empty());
    divan::main();
}

const TYPICAL: &[u8] = br#"{"error": {"message": "Rate limit reached for m in organization org-abcdefghijkl1 on tokens per min (TPM): Limit 30000, Used 18928, Requested 11159. Please try again in 174ms. Visit https://platform.example.com/account/rate-limits to learn more.", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}}"#;

fn read(body: &[u8], via: Via) -> Evidence {
    Evidence::read(&FailureInput { status: Some(429), body, transport: via, ..FailureInput::default() })
}

fn classify(evidence: &Evidence) -> usize {
    let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
    RuleSet::default().decide_failure(&facts(evidence, &Circumstances::default()), &context).matched.len()
}

/// Bodies by name: a typical one, one of 2 KiB that is wrapped twice, and those of 1 MiB.
fn body(name: &str) -> Vec<u8> {
    let typical = String::from_utf8_lossy(TYPICAL);
    let wrapped = format!("{{\"error\": {{\"message\": {}}}}}", serde_json::to_string(&typical).unwrap());
    let prompt = |size: usize| "the quick brown fox \\\"jumps\\\" over the lazy dog, ".repeat(size / 48);
    match name {
        "typical" => TYPICAL.to_vec(),
        "wrapped, 2 KiB" => format!("API error (429): {wrapped} {}", "and so on ".repeat(120)).into_bytes(),
        "1 MiB, the request echoed" => {
            format!("{{\"input\": \"{}\", \"error\": {{\"code\": \"x\"}}}}", prompt(1 << 20)).into_bytes()
        }
        "1 MiB of prose" => prompt(1 << 20).into_bytes(),
        _ => "{\"error\":".repeat((1 << 20) / 9).into_bytes(),
    }
}

const BODIES: [&str; 5] =
    ["typical", "wrapped, 2 KiB", "1 MiB, the request echoed", "1 MiB of prose", "1 MiB of braces"];

#[divan::bench(args = BODIES)]
fn read_and_classify(bencher: Bencher<'_, '_>, name: &str) {
    let body = body(name);
    bencher.bench_local(|| classify(&read(black_box(&body), Via::Http)));
}

#[divan::bench(args = BODIES)]
fn only_read(bencher: Bencher<'_, '_>, name: &str) {
    let body = body(name);
    bencher.bench_local(|| read(black_box(&body), Via::Http));
}
