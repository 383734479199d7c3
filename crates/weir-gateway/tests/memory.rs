//! Answers without end pass in bounded memory. A program of its own: what is measured is the memory of its process,
//! in which provider, gateway and client all run, and nothing else does.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

#[allow(dead_code, unused_imports, reason = "the harness of all tests, of which this one needs a part")]
mod support;

use serde_json::json;
use support::{Ask, ConfigText, Node, Options, World, settle};
use weir_testkit::Script;
use weir_testkit::upstream::chat;

/// What the peak may grow by, in bytes: four times the largest thing that is held (one event of an answer), with the
/// buffers of five sockets' ends and what the allocator keeps.
const GROWTH_BYTES_MAX: u64 = 24 << 20;

/// The peak of the memory that the process has held since [`forget_peak`], in bytes.
fn peak_bytes() -> u64 {
    status("VmHWM:")
}

fn status(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Begins to measure the peak anew, and says what is held now.
fn forget_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    status("VmRSS:")
}

/// Reads an answer without keeping it, and says how long it was and how it ended.
async fn drain(node: &Node, ask: &Ask) -> (u64, Vec<u8>) {
    let mut stream = node.open(ask).await;
    assert_eq!(stream.status, 200);
    let (mut bytes, mut end) = (0_u64, Vec::new());
    while let Some(chunk) = stream.next_chunk().await {
        let chunk = chunk.unwrap();
        bytes += chunk.len() as u64;
        end.extend_from_slice(&chunk[chunk.len().saturating_sub(1_000)..]);
        end.drain(..end.len().saturating_sub(1_000));
    }
    (bytes, end)
}

fn grew_little(what: &str, before: u64) {
    let grown = peak_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{what}: the peak grew by {grown} bytes");
}

/// Whoever asks with the feature `downgraded` gets the free model, without a delay, so that every event is rewritten.
async fn node(world: &World) -> Node {
    let rules = "rules:\n- {id: r, on: request, when: request.feature == \"downgraded\", then: quarantine-3, because: A test.}\n";
    let config: ConfigText =
        world.open_config().set("abuse", "{mode: inline, quarantine: {first: 0s, second: 0s}}");
    Node::with(world, &config, Options { rules: rules.to_owned(), ..Options::default() }).await
}

#[tokio::test]
async fn answers_without_end_pass_in_bounded_memory() {
    let world = World::new().await;
    let node = node(&world).await;
    let streamed = Ask::chat("paid/big").streamed();
    let downgraded = streamed.clone().header("x-weir-feature", "downgraded");
    // Whatever is set up once is set up now.
    world.upstream.respond_with(Script::large_stream("big-1", 8 << 20));
    drain(&node, &streamed).await;
    drain(&node, &downgraded).await;

    let before = forget_peak();
    world.upstream.respond_with(Script::large_stream("big-1", 100 << 20));
    for (what, ask) in [("a stream of 100 MB", &streamed), ("one that is rewritten", &downgraded)] {
        let (bytes, end) = drain(&node, ask).await;
        assert!(bytes >= 100_000_000, "{what}: {bytes}");
        assert!(end.ends_with(b"data: [DONE]\n\n"), "{what}");
        grew_little(what, before);
    }

    world.upstream.respond_with(Script::endless_line(64 << 20));
    let (bytes, end) = drain(&node, &streamed).await;
    assert!(bytes >= 64 << 20 && String::from_utf8_lossy(&end).contains("stream_error_other"));
    grew_little("a line of 64 MiB", before);

    // A terabyte, for a client that does not read it.
    world.upstream.respond_with(Script::large_stream("big-1", 1 << 40));
    let mut unread = node.open(&streamed).await;
    unread.next_chunk().await.unwrap().unwrap();
    settle().await;
    grew_little("a client that does not read", before);
    drop(unread);
    world.upstream.wait_for_aborted(1).await;
}

#[tokio::test]
async fn a_large_json_answer_is_passed_on_as_it_comes() {
    let world = World::new().await;
    let node = node(&world).await;
    let mut answer = chat("big-1");
    answer["choices"][0]["message"]["content"] = json!("x".repeat(64 << 20));
    world.upstream.respond_with(Script::json(200, &answer));
    drop(answer);
    let before = forget_peak();
    let (bytes, end) = drain(&node, &Ask::chat("paid/big")).await;
    assert!(bytes > 64 << 20 && end.ends_with(b"}"));
    grew_little("a JSON answer of 64 MiB", before);
    assert_eq!(node.usage().await[0].usage.output_tokens, 7);
}
