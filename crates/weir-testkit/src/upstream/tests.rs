use serde_json::json;

use super::*;
use crate::http::{post_json, request, stream, try_request};

async fn chat_body(streamed: bool) -> (ScriptedUpstream, String, Value) {
    let upstream = ScriptedUpstream::start().await;
    let url = format!("{}/chat/completions", upstream.base_url());
    let body = json!({"model": "gpt-4o", "messages": [], "stream": streamed,
        "stream_options": {"include_usage": true}});
    (upstream, url, body)
}

#[tokio::test]
async fn every_operation_has_an_answer_that_names_the_model() {
    let upstream = ScriptedUpstream::start().await;
    let table = [
        ("/chat/completions", "/choices/0/message/content", json!(TEXT)),
        ("/responses", "/output/0/content/0/text", json!(TEXT)),
        ("/messages", "/content/0/text", json!(TEXT)),
        ("/embeddings", "/data/0/embedding/0", json!(0.25)),
        ("/messages/count_tokens", "/input_tokens", json!(INPUT_TOKENS)),
    ];
    for (path, pointer, expected) in &table {
        let url = format!("{}{path}", upstream.base_url());
        let answer = post_json(&url, &[], &json!({"model": "m-1"})).await;
        assert_eq!((answer.status, answer.json().pointer(pointer)), (200, Some(expected)), "{path}");
        if *path != "/messages/count_tokens" {
            assert_eq!(answer.json()["model"], "m-1", "{path}");
        }
        assert_eq!((upstream.last().path, upstream.last().model), (format!("/v1{path}"), "m-1".to_owned()));
    }
    let lost = post_json(&format!("{}/lost", upstream.base_url()), &[], &json!({})).await;
    assert_eq!((lost.status, upstream.calls()), (404, table.len() + 1));
}

#[tokio::test]
async fn streams_end_as_their_protocols_do_and_carry_usage() {
    let upstream = ScriptedUpstream::start().await;
    let table = [
        ("/chat/completions", "[DONE]", "\"completion_tokens\":7"),
        ("/responses", "response.completed", "\"output_tokens\":7"),
        ("/messages", "message_stop", "\"output_tokens\":7"),
    ];
    for (path, end, usage) in table {
        let body = json!({"model": "m-1", "stream": true, "stream_options": {"include_usage": true}});
        let answer = post_json(&format!("{}{path}", upstream.base_url()), &[], &body).await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{path}");
        assert!(answer.events().last().unwrap().contains(end), "{path}: {}", answer.text());
        assert!(answer.text().contains(usage), "{path}: {}", answer.text());
    }
    let body = json!({"model": "m-1", "stream": true});
    let plain = post_json(&format!("{}/chat/completions", upstream.base_url()), &[], &body).await;
    assert!(!plain.text().contains("usage"), "usage only when asked for: {}", plain.text());
}

#[tokio::test]
async fn chunks_pass_when_the_test_releases_them() {
    let (upstream, url, body) = chat_body(true).await;
    let gate = Gate::new();
    upstream.respond_with(Script::gated(&gate, ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]));
    let mut answer = stream("POST", &url, &[], body.to_string()).await;
    for expected in ["data: 1\n\n", "data: 2\n\n"] {
        gate.release();
        assert_eq!(answer.next_text().await, expected);
    }
    assert_eq!((upstream.aborted(), upstream.open_connections()), (0, 1));
    drop(answer);
    upstream.wait_for_aborted(1).await;
    upstream.wait_for_open_connections_at_most(0).await;
}

#[tokio::test]
async fn scripts_are_chosen_once_by_model_always() {
    let (upstream, url, body) = chat_body(false).await;
    upstream.respond_with(Script::error(500, "always", "no"));
    upstream.respond_to_model("gpt-4o", Script::status(204));
    upstream.respond_once(Script::body(418, "text/plain", "tea").header("retry-after", "3"));
    let tea = post_json(&url, &[("x-a", "b")], &body).await;
    assert_eq!((tea.status, tea.text(), tea.header("retry-after")), (418, "tea", Some("3")));
    assert_eq!(upstream.last().header("x-a"), Some("b"));
    assert_eq!(upstream.last().body, body.to_string());
    assert_eq!(post_json(&url, &[], &body).await.status, 204);
    assert_eq!(post_json(&url, &[], &json!({"model": "other"})).await.json()["error"]["code"], "always");
    upstream.respond_by_default();
    assert_eq!(post_json(&url, &[], &body).await.status, 200);
    assert_eq!(upstream.aborted(), 0);
}

#[tokio::test]
async fn connections_are_cut_where_the_script_says() {
    let (upstream, url, body) = chat_body(false).await;
    upstream.respond_once(Script::cut_before_head());
    assert!(try_request("POST", &url, &[], body.to_string()).await.is_err());
    upstream.respond_once(Script::cut_mid_body(100, 10));
    assert!(try_request("POST", &url, &[], body.to_string()).await.is_err());
    upstream.respond_once(Script::cut_mid_stream(["data: 1\n\n"]));
    let mut cut = stream("POST", &url, &[], body.to_string()).await;
    assert_eq!(cut.next_text().await, "data: 1\n\n");
    assert!(cut.next_chunk().await.unwrap().is_err());
    assert!(try_request("POST", &format!("{}/v1", refused_url()), &[], "").await.is_err());
    assert_eq!(upstream.aborted(), 0, "the script's own cuts are not the client's");
}

#[tokio::test]
async fn a_hanging_upstream_sees_its_client_go() {
    let (upstream, url, body) = chat_body(false).await;
    upstream.respond_once(Script::hang());
    let waiting = tokio::spawn({
        let (url, body) = (url.clone(), body.to_string());
        async move { try_request("POST", &url, &[], body).await }
    });
    upstream.wait_for_calls(1).await;
    waiting.abort();
    upstream.wait_for_aborted(1).await;
    upstream.respond_once(Script::hang_mid_stream(["data: 1\n\n"]));
    let mut answer = stream("POST", &url, &[], body.to_string()).await;
    assert_eq!(answer.next_text().await, "data: 1\n\n");
    drop(answer);
    upstream.wait_for_aborted(2).await;
}

#[tokio::test]
async fn a_held_head_waits_for_its_gate() {
    let (upstream, url, body) = chat_body(false).await;
    let gate = Gate::new();
    upstream.respond_with(Script::status(200).held_by(&gate));
    let waiting = tokio::spawn(async move { post_json(&url, &[], &body).await.status });
    upstream.wait_for_calls(1).await;
    assert!(!waiting.is_finished());
    gate.open();
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn bad_answers_are_as_bad_as_they_say() {
    let (upstream, url, body) = chat_body(false).await;
    upstream.respond_once(Script::malformed_json());
    let malformed = post_json(&url, &[], &body).await;
    assert!(serde_json::from_slice::<Value>(&malformed.body).is_err());
    upstream.respond_once(Script::garbage());
    let garbage = request("POST", &url, &[], body.to_string()).await;
    assert!(std::str::from_utf8(&garbage.body).is_err());
}

#[tokio::test]
async fn large_answers_are_made_as_they_are_sent() {
    const BYTES: u64 = 3_000_000;
    let (upstream, url, body) = chat_body(true).await;
    for (script, line_breaks) in
        [(Script::endless_line(BYTES), 2), (Script::large_stream("gpt-4o", BYTES), 2 * 2900)]
    {
        upstream.respond_once(script);
        let mut answer = stream("POST", &url, &[], body.to_string()).await;
        let (mut bytes, mut breaks, mut last) = (0, 0, Bytes::new());
        while let Some(chunk) = answer.next_chunk().await {
            last = chunk.unwrap();
            bytes += last.len() as u64;
            breaks += last.iter().filter(|byte| **byte == b'\n').count();
        }
        assert!((BYTES - 200_000..BYTES + 200_000).contains(&bytes), "{bytes}");
        assert!(breaks >= line_breaks && (line_breaks > 2 || breaks == 2), "{breaks}");
        assert!(last.ends_with(b"\n\n"));
    }
}
