//! Cost of reading requests and streams, beside the plain way with `serde_json::Value`.
//!
//! `cargo bench -p weir-dialect`. Requests: the body is read, its facts are looked at, and the body for upstream is
//! made with another model's name. Streams: one iteration reads 1,000 chunks of one event each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails should panic")]

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::{Value, json};
use weir_core::ApiKind;
use weir_dialect::rename::StreamRenamer;
use weir_dialect::sse::Scanner;
use weir_dialect::usage::EVENT_BYTES_MAX;
use weir_dialect::{RequestBody, UsageReader};

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [2_300, 50_000, 1_000_000];
const CHUNKS: usize = 1_000;

/// A chat of about `bytes` bytes, with escapes, text beyond ASCII and tools; the model comes last.
fn chat(bytes: usize) -> Bytes {
    let turn = json!({"role": "user", "content": "Wie geht es \"Ihnen\"?\nline two: {a: [1, 2]} \u{1f600} ".repeat(6)});
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["a"]}}});
    let turns = vec![turn; (bytes / 400).max(1)];
    let body = json!({"messages": turns, "model": "openai/gpt-4o", "stream": true, "temperature": 0.7, "tools": [tool]});
    body.to_string().into()
}

#[divan::bench(args = SIZES)]
fn request_read_and_rewritten(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = chat(bytes);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let request = RequestBody::read(ApiKind::ChatCompletions, body.clone()).unwrap();
        black_box((request.stream(), request.max_tokens(), request.has_tools()));
        request.upstream_body(Some("gpt-4o"))
    });
}

#[divan::bench(args = SIZES)]
fn request_with_serde_json_value(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = chat(bytes);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let mut value: Value = serde_json::from_slice(&body).unwrap();
        value["model"] = "gpt-4o".into();
        value["stream_options"]["include_usage"] = true.into();
        serde_json::to_vec(&value).unwrap()
    });
}

#[divan::bench(args = SIZES)]
fn request_prompts(bencher: Bencher<'_, '_>, bytes: usize) {
    let request = RequestBody::read(ApiKind::ChatCompletions, chat(bytes)).unwrap();
    bencher.counter(BytesCount::new(request.body_len())).bench_local(|| request.prompts());
}

fn chat_chunks() -> Vec<Bytes> {
    let chunk = |i: usize| {
        let delta = json!({"content": format!(" word{i}")});
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": null});
        let chunk = json!({"id": "chatcmpl-BxAm9l2kq", "object": "chat.completion.chunk", "created": 1_763_632_836,
            "model": "gpt-4o-2024-08-06", "system_fingerprint": "fp_a288", "choices": [choice], "usage": null});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    (0..CHUNKS).map(chunk).collect()
}

fn messages_chunks() -> Vec<Bytes> {
    let chunk = |i: usize| {
        let delta = json!({"type": "text_delta", "text": format!(" word{i}")});
        let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        Bytes::from(format!("event: content_block_delta\ndata: {event}\n\n"))
    };
    (0..CHUNKS).map(chunk).collect()
}

#[divan::bench]
fn chunk_scanned(bencher: Bencher<'_, '_>) {
    let chunks = chat_chunks();
    bencher.counter(ItemsCount::new(CHUNKS)).bench_local(|| {
        let mut scanner = Scanner::new(EVENT_BYTES_MAX);
        let mut bytes = 0;
        for chunk in &chunks {
            scanner.push(chunk, &mut |event| bytes += event.data.len());
        }
        bytes
    });
}

#[divan::bench(args = ["chat", "messages"])]
fn chunk_usage(bencher: Bencher<'_, '_>, api: &str) {
    let (kind, chunks) = match api {
        "chat" => (ApiKind::ChatCompletions, chat_chunks()),
        _ => (ApiKind::Messages, messages_chunks()),
    };
    bencher.counter(ItemsCount::new(CHUNKS)).bench_local(|| {
        let mut reader = UsageReader::new(kind, true);
        for chunk in &chunks {
            reader.push(chunk);
        }
        reader.finish()
    });
}

#[divan::bench]
fn chunk_renamed(bencher: Bencher<'_, '_>) {
    let chunks = chat_chunks();
    bencher.counter(ItemsCount::new(CHUNKS)).bench_local(|| {
        let mut renamer = StreamRenamer::new(ApiKind::ChatCompletions, "openai/gpt-4o");
        chunks.iter().map(|chunk| renamer.push(chunk).len()).sum::<usize>()
    });
}

#[divan::bench]
fn chunk_with_serde_json_value(bencher: Bencher<'_, '_>) {
    let chunks = chat_chunks();
    bencher.counter(ItemsCount::new(CHUNKS)).bench_local(|| {
        let mut usage = None;
        for chunk in &chunks {
            for line in chunk.split(|byte| *byte == b'\n') {
                let Some(data) = line.strip_prefix(b"data: ") else { continue };
                let value: Value = serde_json::from_slice(data).unwrap();
                if value["usage"].is_object() {
                    usage = Some(value["usage"].clone());
                }
            }
        }
        usage
    });
}

/// A whole answer of a provider, with a text of `bytes`.
fn chat_answer(bytes: usize) -> Bytes {
    let text = "And so it went on, \\\"line\\\" by line,\\n".repeat(bytes / 38 + 1);
    let body = format!(
        r#"{{"id":"chatcmpl-123","object":"chat.completion","created":1770000000,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}},"service_tier":"default"}}"#
    );
    body.into()
}

#[divan::bench(args = [200, 2_000, 50_000, 500_000])]
fn answer_read(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = chat_answer(bytes);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| UsageReader::read_body(ApiKind::ChatCompletions, &body));
}
