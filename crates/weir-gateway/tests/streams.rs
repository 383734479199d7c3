//! Answers on their way: chunk by chunk, in the caller's protocol, with usage read on the way.

use bytes::Bytes;
use serde_json::{Value, json};
use weir_testkit::upstream::{INPUT_TOKENS, OUTPUT_TOKENS, TEXT, messages};
use weir_testkit::{Gate, Script};

use crate::support::{Api, Ask, Node, PROMPT, World};

async fn node(world: &World) -> Node {
    Node::start(world, &world.open_config()).await
}

fn chat_chunk(n: usize) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-9\",\"model\":\"big-1\",\"choices\":[{{\"delta\":{{\"content\":\"{n}\"}}}}]}}\n\n"
    )
}

#[tokio::test]
async fn each_chunk_is_passed_on_before_the_next_one_comes() {
    let world = World::new().await;
    let node = node(&world).await;
    let gate = Gate::new();
    let chunks: Vec<String> = (0..5).map(chat_chunk).chain(["data: [DONE]\n\n".to_owned()]).collect();
    world.upstream.respond_with(Script::gated(&gate, chunks.clone()));
    let mut stream = node.open(&Ask::chat("paid/big").streamed()).await;
    assert_eq!((stream.status, stream.headers["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    for chunk in &chunks {
        gate.release();
        assert_eq!(stream.next_text().await, *chunk);
    }
    assert!(stream.next_chunk().await.is_none());
}

#[tokio::test]
async fn events_that_are_cut_anywhere_arrive_as_they_were_sent() {
    let world = World::new().await;
    let node = node(&world).await;
    let whole: String = (0..3).map(chat_chunk).chain(["data: [DONE]\n\n".to_owned()]).collect();
    for size in [1, 7, 64] {
        let pieces: Vec<Bytes> = whole.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        world.upstream.respond_with(Script::chunks(pieces));
        assert_eq!(node.send(&Ask::chat("paid/big").streamed()).await.text(), whole, "{size}");
    }
}

/// A provider stops reading when its client does: nothing piles up in between.
#[tokio::test]
async fn a_client_that_leaves_gets_its_usage_record_and_the_provider_sees_it_leave() {
    let world = World::new().await;
    let node = node(&world).await;
    let gate = Gate::new();
    let mut begun = messages("big-1");
    begun["content"] = json!([]);
    let start =
        format!("event: message_start\ndata: {}\n\n", json!({"type": "message_start", "message": begun}));
    let delta = |n: usize| {
        let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": n.to_string()}});
        format!("event: content_block_delta\ndata: {delta}\n\n")
    };
    world.upstream.respond_with(Script::gated(&gate, [start, delta(1), delta(2), delta(3)]));
    let mut stream = node.open(&Ask::new(Api::Messages, "paid/big").streamed()).await;
    for _ in 0..3 {
        gate.release();
        stream.next_text().await;
    }
    drop(stream);
    world.upstream.wait_for_aborted(1).await;
    let records = node.wait_for_records(1).await;
    assert_eq!(records.len(), 1);
    assert!(records[0].result.client_gone);
    assert_eq!(records[0].result.status, 200);
    let usage = node.usage().await;
    assert_eq!(usage.len(), 1);
    // What the start of the message told.
    assert_eq!(usage[0].usage.input_tokens, INPUT_TOKENS);
    assert_eq!(usage[0].message_id.as_deref(), Some("msg_1"));
    assert!(usage[0].stream);
    world.upstream.wait_for_open_connections_at_most(0).await;
}

#[tokio::test]
async fn usage_and_cost_are_read_in_all_protocols() {
    for api in Api::ALL {
        for (ask, streamed) in
            [(Ask::new(api, "paid/big"), false), (Ask::new(api, "paid/big").streamed(), true)]
        {
            for ask in [ask.clone(), ask.seed()] {
                let world = World::new().await;
                let node = node(&world).await;
                let answer = node.send(&ask).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(answer.text().contains("big-1"), "{api:?}");
                let row = node.usage_of(&answer).await;
                assert_eq!(
                    (row.usage.input_tokens, row.usage.output_tokens),
                    (INPUT_TOKENS, OUTPUT_TOKENS),
                    "{api:?} {streamed}"
                );
                assert_eq!(
                    row.usage.cost_microusd, 98,
                    "27.5 and 70 micro-dollars, rounded up: {api:?} {streamed}"
                );
                assert_eq!((row.stream, row.status, row.user_byok), (streamed, 200, false));
                assert_eq!(
                    (row.requested_model.as_str(), row.upstream_model.as_str(), row.provider.as_str()),
                    ("paid/big", "big-1", "main")
                );
                assert_eq!(
                    (row.user_id.as_str(), row.org_id.as_str(), row.project_id.as_str()),
                    ("user-123", "acme", "demo")
                );
                assert!(row.message_id.is_some() && row.key_id.is_some());
                assert_eq!((row.abuse_delay, row.abuse_downgraded_from), (None, None));
                let record = node.record_of(&answer).await;
                assert_eq!(record.result.usage.map(|usage| usage.cost_microusd), Some(98));
                assert!(!record.result.client_gone);
                assert!(record.result.timings.upstream_head_ms > 0.0);
                node.leaks_nothing(&world).await;
            }
        }
    }
}

/// What a provider calls its answer goes into the store and to the abuse service, so it is not taken at any length.
#[tokio::test]
async fn the_id_of_an_answer_is_recorded_up_to_512_bytes() {
    let world = World::new().await;
    let node = node(&world).await;
    for (bytes, kept) in [(512, true), (513, false)] {
        let id = "i".repeat(bytes);
        let message = json!({"role": "assistant", "content": "Yes."});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        let answer = json!({"id": id, "object": "chat.completion", "model": "big-1", "choices": choices});
        world.upstream.respond_with(Script::json(200, &answer));
        let answer = node.send(&Ask::new(Api::Chat, "paid/big")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = node.record_of(&answer).await;
        assert_eq!(record.call.unwrap().message_id, kept.then_some(id), "{bytes}");
    }
}

#[tokio::test]
async fn embeddings_and_the_count_of_tokens_are_served() {
    let world = World::new().await;
    let node = node(&world).await;
    let embeddings = Ask::new(Api::Responses, "paid/big").path("/v1/embeddings");
    let answer = node.send(&embeddings).await;
    assert_eq!((answer.status, &answer.json()["data"][0]["object"]), (200, &json!("embedding")));
    assert_eq!(node.usage_of(&answer).await.usage.input_tokens, INPUT_TOKENS);
    let count = Ask::new(Api::Messages, "paid/big").path("/v1/messages/count_tokens");
    let answer = node.send(&count).await;
    assert_eq!((answer.status, &answer.json()["input_tokens"]), (200, &json!(INPUT_TOKENS)));
    assert_eq!(world.upstream.last().path, "/v1/messages/count_tokens");
}

#[tokio::test]
async fn the_list_of_models_is_given() {
    let world = World::new().await;
    let node = node(&world).await;
    let answer = node.send(&Ask::get("/v1/models")).await;
    assert_eq!(answer.status, 200);
    let ids: Vec<Value> =
        answer.json()["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, [json!("free/small"), json!("own/keys-only"), json!("paid/big")]);
    assert_eq!(node.record_of(&answer).await.result.ended_at.as_deref(), Some("models"));
    let wrong = node.send(&Ask::get("/v1/models").header("authorization", "Bearer canary-wrong")).await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn a_body_reaches_the_provider_byte_for_byte_but_for_what_must_change() {
    let odd = r#" {"z" : [1.0, 1e3, "\u00e9\ud83d\ude00"],  "model":"paid/big" , "messages":[{"role":"user","content":"the canary\n"}],
        "unknown": {"model": "paid/big", "models": [1]}, "temperature":0.10 } "#;
    let table = [
        (odd.to_owned(), odd.replacen("\"paid/big\"", "\"big-1\"", 1)),
        (
            r#"{"models":["a","b"],"model":"paid/big","messages":[],"models":[]}"#.to_owned(),
            r#"{"model":"big-1","messages":[]}"#.to_owned(),
        ),
        (
            r#"{"model":"paid/big","messages":[],"stream":true}"#.to_owned(),
            r#"{"model":"big-1","stream_options":{"include_usage":true},"messages":[],"stream":true}"#.to_owned(),
        ),
        (
            r#"{"model":"paid/big","messages":[],"stream":true,"stream_options":{"x": 1, "include_usage": false}}"#.to_owned(),
            r#"{"model":"big-1","messages":[],"stream":true,"stream_options":{"x": 1, "include_usage": true}}"#.to_owned(),
        ),
    ];
    let world = World::new().await;
    let node = node(&world).await;
    for (sent, expected) in table {
        let answer = node.send(&Ask::chat("paid/big").body(sent.clone())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(String::from_utf8_lossy(&world.upstream.last().body), expected, "{sent}");
    }
}

#[tokio::test]
async fn only_some_headers_reach_the_provider_and_only_some_come_back() {
    let world = World::new().await;
    let node = node(&world).await;
    world.upstream.respond_with(
        Script::json(200, &messages("big-1"))
            .header("x-provider", "secret")
            .header("set-cookie", "a=b")
            .header("cache-control", "no-store"),
    );
    let ask = Ask::new(Api::Messages, "paid/big")
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "x")
        .header("traceparent", "00-1-2-01")
        .header("cookie", "canary=1")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-weir-feature", "f")
        .header("user-agent", "ua/1");
    let answer = node.send(&ask).await;
    let sent = world.upstream.last();
    for (name, value) in [
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "x"),
        ("traceparent", "00-1-2-01"),
        ("user-agent", "ua/1"),
    ] {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    for name in ["cookie", "x-forwarded-for", "x-weir-feature", "x-api-key", "x-request-id"] {
        assert_eq!(sent.header(name), None, "{name}");
    }
    assert_eq!(sent.header("authorization"), Some("Bearer canary-platform-key-main"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("x-provider").is_none() && answer.header("set-cookie").is_none());
    let given = answer.header("x-request-id").unwrap();
    assert!(given.starts_with("req_") && answer.header("request-id") == Some(given), "{given}");
}

/// The terminal event of each protocol, by what broke.
#[tokio::test]
async fn a_stream_that_breaks_ends_in_the_protocols_own_words() {
    let begins = |api: Api| match api {
        Api::Chat => chat_chunk(1),
        Api::Responses => {
            let response =
                json!({"id": "resp_9", "object": "response", "status": "in_progress", "model": "big-1"});
            format!(
                "event: response.created\ndata: {}\n\n",
                json!({"type": "response.created", "response": response, "sequence_number": 0})
            )
        }
        Api::Messages => format!(
            "event: message_start\ndata: {}\n\n",
            json!({"type": "message_start", "message": messages("big-1")})
        ),
    };
    for api in Api::ALL {
        let begun = begins(api);
        let half = format!("{begun}data: {{\"id\":");
        let scripts = [
            ("cut", Script::cut_mid_stream([begun.clone()])),
            ("cut within an event", Script::cut_mid_stream([half])),
            ("ended without its end", Script::chunks([begun.clone()])),
            ("idle", Script::hang_mid_stream([begun.clone()])),
            ("garbage", Script::chunks([begun.as_bytes(), b"\0\xff\xfe\r\n\0"].map(<[u8]>::to_vec))),
        ];
        for (what, script) in scripts {
            let world = World::new().await;
            let limits = if what == "idle" { "{upstream: {idle: 100ms}}" } else { "{}" };
            let node = Node::start(&world, &world.open_config().set("limits", limits)).await;
            world.upstream.respond_with(script);
            let answer = node.send(&Ask::new(api, "paid/big").streamed()).await;
            assert_eq!(answer.status, 200);
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(text.starts_with(&begun), "{api:?} {what}: {text}");
            let last = text.trim_end().rsplit("\n\n").next().unwrap();
            let data = last.lines().find_map(|line| line.strip_prefix("data: "));
            let data: Value =
                serde_json::from_str(data.unwrap_or_else(|| panic!("{api:?} {what}: {text}"))).unwrap();
            let error = match api {
                Api::Chat => &data["error"],
                Api::Responses => {
                    assert!(last.starts_with("event: response.failed\n"), "{what}: {last}");
                    assert_eq!(
                        (&data["type"], &data["response"]["status"]),
                        (&json!("response.failed"), &json!("failed"))
                    );
                    &data["response"]["error"]
                }
                Api::Messages => {
                    assert!(last.starts_with("event: error\n"), "{what}: {last}");
                    assert_eq!(data["type"], "error");
                    &data["error"]
                }
            };
            let class = "stream_error_other";
            assert_eq!(error["error_type"], class, "{api:?} {what}: {text}");
            assert_eq!(error["decision"], answer.header("x-weir-decision").unwrap(), "{api:?} {what}");
            let record = node.record_of(&answer).await;
            assert_eq!(record.result.failure_class.as_deref(), Some(class), "{api:?} {what}");
            assert!(!record.result.client_gone);
            assert_eq!(node.usage().await.len(), 1, "{api:?} {what}");
            assert_eq!(record.result.failures.len(), 1, "{api:?} {what}");
            assert_eq!(record.result.failures[0].evidence.phase, "stream", "{api:?} {what}");
            node.leaks_nothing(&world).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_ended_well_is_not_ended_twice() {
    for end in ["data: [DONE]\n", "data: [DONE]"] {
        let world = World::new().await;
        let node = node(&world).await;
        let sent = format!("{}{end}", chat_chunk(1));
        world.upstream.respond_with(Script::chunks([sent.clone()]));
        let answer = node.send(&Ask::chat("paid/big").streamed()).await;
        assert_eq!(answer.text(), sent);
        assert_eq!(node.record_of(&answer).await.result.failure_class, None);
    }
}

#[tokio::test]
async fn a_json_answer_that_breaks_is_a_clear_502() {
    let world = World::new().await;
    let node = Node::start(&world, &world.open_config().set("limits", "{upstream: {idle: 100ms}}")).await;
    let scripts = [
        Script::cut_mid_body(1_000, 10),
        Script::malformed_json(),
        Script::body(200, "text/plain", "not an object"),
        Script::body(200, "application/json", ""),
    ];
    for script in scripts {
        for api in Api::ALL {
            world.upstream.respond_with(script.clone());
            let answer = node.send(&Ask::new(api, "paid/big")).await;
            assert_eq!(answer.status, 502, "{script:?}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
}

#[tokio::test]
async fn the_simulated_provider_is_a_provider() {
    let world = World::new().await;
    let config = world.open_config().set("providers", "[{name: sim, simulated: true}]").set("models", "[]");
    let node = Node::start(&world, &config).await;
    for api in Api::ALL {
        for ask in
            [Ask::new(api, "sim/echo"), Ask::new(api, "sim/echo").streamed(), Ask::anonymous(api, "sim/free")]
        {
            let answer = node.send(&ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let said: String = PROMPT.split(' ').next_back().unwrap().to_owned();
            assert!(answer.text().contains(&said), "{}", answer.text());
            assert!(!answer.text().contains(TEXT));
            assert!(node.usage_of(&answer).await.usage.output_tokens > 0);
        }
        assert_eq!(node.send(&Ask::new(api, "sim/error-404")).await.status, 503, "the operator's");
        assert_eq!(node.send(&Ask::new(api, "sim/error-500")).await.status, 502);
        let cut = node.send(&Ask::new(api, "sim/cut").streamed()).await;
        assert!(cut.text().contains("stream_error_other"), "{}", cut.text());
    }
}
