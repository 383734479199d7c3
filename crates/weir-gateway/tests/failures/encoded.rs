//! Answers that a provider compresses though it was asked not to.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;
use weir_core::failure::Class;
use weir_testkit::{Gate, Script};

use super::within::{content, failure};
use super::{Bench, chain, error, retries};
use crate::support::{Api, Ask};

fn gzip(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().into()
}

fn zlib(text: &str) -> Bytes {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().into()
}

/// A compressed stream, each of whose pieces can be read before the next comes.
fn gzip_pieces(pieces: &[&str]) -> Vec<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut sent: Vec<Bytes> = pieces
        .iter()
        .map(|piece| {
            encoder.write_all(piece.as_bytes()).unwrap();
            encoder.flush().unwrap();
            std::mem::take(encoder.get_mut()).into()
        })
        .collect();
    sent.push(encoder.finish().unwrap().into());
    sent
}

fn answer_text() -> String {
    json!({"id": "c", "object": "chat.completion", "model": "big-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
        .to_string()
}

async fn bench() -> Bench {
    Bench::with_url("", |config, url| chain(config, url).set("failures", retries(1))).await
}

#[tokio::test]
async fn a_compressed_answer_is_opened_and_its_usage_read() {
    let bench = bench().await;
    let text = answer_text();
    for (encoding, body) in [
        ("gzip", gzip(&text)),
        ("x-gzip", gzip(&text)),
        ("deflate", zlib(&text)),
        ("gzip", text.clone().into()),
    ] {
        bench
            .world
            .upstream
            .respond_with(Script::body(200, "application/json", body).header("content-encoding", encoding));
        let answer = bench.send(&Ask::chat("c")).await.0;
        assert_eq!((answer.status, answer.text()), (200, text.as_str()), "{encoding}");
        assert_eq!(answer.header("content-encoding"), None, "it is not encoded any more");
        let usage = bench.node.usage_of(&answer).await.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (7, 5), "{encoding}");
    }
}

#[tokio::test]
async fn a_compressed_stream_is_passed_on_piece_by_piece() {
    let bench = bench().await;
    let end = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
    let content = content(Api::Chat);
    let gate = Gate::new();
    let script = Script::gated(&gate, gzip_pieces(&[&content, end])).header("content-encoding", "gzip");
    bench.world.upstream.respond_with(script);
    let mut stream = bench.node.open(&Ask::chat("c").streamed()).await;
    gate.release();
    assert_eq!(stream.next_text().await, content, "before the rest has come");
    gate.open();
    let mut rest = String::new();
    while let Some(chunk) = stream.next_chunk().await {
        rest.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
    }
    assert_eq!(rest, end);
    let records = bench.node.wait_for_records(1).await;
    assert_eq!(records[0].result.usage.unwrap().output_tokens, 5);
}

#[tokio::test]
async fn a_compressed_error_is_an_error_wherever_it_stands() {
    let told = json!({"code": "insufficient_quota", "type": "insufficient_quota", "message": "Your credit balance is too low."});
    let whole = json!({"error": told}).to_string();
    let stream = format!("{}{}", content(Api::Chat), failure(Api::Chat, &told));
    let table = [
        (Script::body(200, "application/json", gzip(&whole)), 503),
        (Script::body(402, "application/json", gzip(&whole)), 503),
        (Script::chunks([gzip(&stream)]), 200),
    ];
    for (script, status) in table {
        for ask in [Ask::chat("c"), Ask::chat("c").seed()] {
            // Each on its own: a key that is out of credit is remembered.
            let bench = bench().await;
            bench.world.upstream.respond_with(script.clone().header("content-encoding", "gzip"));
            let answer = bench.send(&ask.streamed()).await.0;
            assert_eq!(answer.status, status, "{}", answer.text());
            assert!(answer.text().contains("temporarily_unavailable"), "{}", answer.text());
            assert_eq!(bench.watcher.take_failed()[0].class, Class::QuotaExhausted);
        }
    }
    // One that may pass can be read.
    let bench = bench().await;
    let body = json!({"error": {"message": "It broke."}}).to_string();
    bench
        .world
        .upstream
        .respond_with(Script::body(500, "application/json", gzip(&body)).header("content-encoding", "gzip"));
    let answer = bench.send(&Ask::chat("c").seed()).await.0;
    assert_eq!((answer.status, answer.text(), answer.header("content-encoding")), (500, body.as_str(), None));
}

/// What weir cannot open passes byte for byte, with the header that says what it is.
#[tokio::test]
async fn an_encoding_that_is_not_opened_passes_as_it_is() {
    let bytes = Bytes::from_static(b"\x0b\x02\x80brotli, or what looks like it\x03");
    let bench = bench().await;
    for kind in ["application/json", "text/event-stream"] {
        bench
            .world
            .upstream
            .respond_with(Script::body(200, kind, bytes.clone()).header("content-encoding", "br"));
        for ask in [Ask::chat("c"), Ask::chat("c").streamed()] {
            let answer = bench.send(&ask).await.0;
            assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("br")));
            assert_eq!(answer.body, bytes);
        }
    }
    assert!(bench.watcher.take_failed().is_empty());
}

/// A body that is cut off, or is none of what it says, is no answer; one that unfolds without end is bounded.
#[tokio::test]
async fn a_broken_or_endless_encoding_is_bounded() {
    let bench = bench().await;
    let whole = gzip(&answer_text());
    let cut = whole.slice(..whole.len() / 2);
    bench
        .world
        .upstream
        .respond_with(Script::body(200, "application/json", cut).header("content-encoding", "gzip"));
    assert_eq!(bench.send(&Ask::chat("c")).await.0.status, 502);
    let bomb = gzip(&" ".repeat(64 * 1024 * 1024));
    bench
        .world
        .upstream
        .respond_with(Script::body(500, "application/json", bomb).header("content-encoding", "gzip"));
    assert_eq!(bench.send(&Ask::chat("c")).await.0.status, 502);
    bench.world.upstream.respond_with(error(400, "invalid_request_error", "`messages` must not be empty."));
    assert_eq!(bench.send(&Ask::chat("c")).await.0.status, 400);
}
