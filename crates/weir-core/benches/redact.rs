//! What it costs to look for secrets: in every name that is recorded, in every line of the log.
#![allow(missing_docs, reason = "a benchmark")]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use weir_core::redact::redact;

fn main() {
    divan::main();
}

const AGENT: &str = "claude-cli/2.0.14 (external, cli) node/22.11.0 linux-x64";
const LINE: &str = r#"{"timestamp":"2026-11-20T10:00:00.000000Z","level":"INFO","domain":"llm_provider","operation":"chat_completions","provider":"openai","model":"gpt-4o","status":429,"failure":"non_2xx","kind":"transient","class":"rate_limited","owner":"provider","decision":"dec_01a1f969-ae6e-75aa-8e51-86df7689c787","error":"openai API error (429): Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 18928. Please try again in 174ms."}"#;

/// Texts by name.
fn text(name: &str) -> String {
    match name {
        "a user agent" => AGENT.to_owned(),
        "a line of the log" => LINE.to_owned(),
        "a line with a key" => LINE.replace("gpt-4o on", "sk-proj-abc123DEF456 on"),
        "1 MiB of prose" => "the quick brown fox jumps over the lazy dog, ".repeat((1 << 20) / 45),
        _ => "api_key: sk- eyJ- bearer ".repeat((1 << 20) / 25),
    }
}

#[divan::bench(args = ["a user agent", "a line of the log", "a line with a key", "1 MiB of prose", "1 MiB of almost keys"])]
fn redacted(bencher: Bencher<'_, '_>, name: &str) {
    let text = text(name);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| redact(black_box(&text)).len());
}
