use std::cell::RefCell;

use serde_json::json;

use super::*;

fn sse(events: &[Json]) -> String {
    events.iter().map(|event| format!("event: x\ndata: {event}\n\n")).collect()
}

/// The same answer in the three protocols: a text in two pieces, then two calls whose arguments come in pieces.
fn streams() -> [(Api, String); 3] {
    let chunk = |delta: Json| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let call = |at: u8, call: Json| {
        let mut call = call;
        call["index"] = at.into();
        chunk(json!({"tool_calls": [call]}))
    };
    let chat = sse(&[
        chunk(json!({"role": "assistant", "content": "so "})),
        chunk(json!({"content": "far"})),
        call(0, json!({"id": "c1", "type": "function", "function": {"name": "read", "arguments": ""}})),
        call(0, json!({"function": {"arguments": "{\"path\""}})),
        call(1, json!({"id": "c2", "function": {"name": "list", "arguments": "{}"}})),
        call(0, json!({"function": {"arguments": ":\"a\"}"}})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        json!({"choices": [], "usage": {"total_tokens": 3}}),
    ]) + "data: [DONE]\n\n";
    let event = |kind: &str, more: Json| {
        let mut event = more;
        event["type"] = kind.into();
        event
    };
    let item =
        |id: &str, name: &str| json!({"type": "function_call", "call_id": id, "name": name, "arguments": ""});
    let responses = sse(&[
        event("response.created", json!({"response": {"output": []}})),
        event(
            "response.output_item.added",
            json!({"output_index": 0, "item": {"type": "message", "content": []}}),
        ),
        event("response.output_text.delta", json!({"output_index": 0, "delta": "so "})),
        event("response.output_text.delta", json!({"output_index": 0, "delta": "far"})),
        event(
            "response.output_item.done",
            json!({"output_index": 0, "item":
            {"type": "message", "content": [{"type": "output_text", "text": "so far"}]}}),
        ),
        event("response.output_item.added", json!({"output_index": 1, "item": item("c1", "read")})),
        event("response.function_call_arguments.delta", json!({"output_index": 1, "delta": "{\"path\":"})),
        event("response.function_call_arguments.delta", json!({"output_index": 1, "delta": "\"a\"}"})),
        event("response.output_item.added", json!({"output_index": 2, "item": item("c2", "list")})),
        event("response.completed", json!({"response": {"output": []}})),
    ]);
    let delta = |at: u8, delta: Json| event("content_block_delta", json!({"index": at, "delta": delta}));
    let start =
        |at: u8, block: Json| event("content_block_start", json!({"index": at, "content_block": block}));
    let messages = sse(&[
        event("message_start", json!({"message": {"content": []}})),
        start(0, json!({"type": "thinking", "thinking": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "s"})),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "so "})),
        event("ping", json!({})),
        delta(1, json!({"type": "text_delta", "text": "far"})),
        start(2, json!({"type": "tool_use", "id": "c1", "name": "read", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"path\""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ":\"a\"}"})),
        start(3, json!({"type": "tool_use", "id": "c2", "name": "list", "input": {}})),
        event("message_stop", json!({})),
    ]);
    [(Api::ChatCompletions, chat), (Api::Responses, responses), (Api::Messages, messages)]
}

/// The answer and what was told of it, from a stream in chunks of this size.
fn assembled(api: Api, stream: &str, size: usize) -> (Result<Json, ModelError>, Vec<String>) {
    let said = RefCell::new(Vec::new());
    let mut assembler = Assembler::new(api);
    let pushed = stream
        .as_bytes()
        .chunks(size)
        .try_for_each(|chunk| assembler.push(chunk, &|text| said.borrow_mut().push(text.to_owned())));
    (pushed.and_then(|()| assembler.finish()), said.into_inner())
}

#[test]
fn text_is_told_as_it_comes_and_calls_are_put_together_in_each_protocol() {
    for (api, stream) in streams() {
        for size in [1, 7, 100_000] {
            let (answer, said) = assembled(api, &stream, size);
            assert_eq!(said, ["so ", "far"], "{api:?}");
            let mut conversation = crate::agent::api::Conversation::new(api, "m", "", "p");
            let read = conversation.take(&answer.unwrap(), 1).unwrap();
            assert_eq!(read.text, "so far", "{api:?}");
            let calls: Vec<_> =
                read.calls.iter().map(|call| (call.id.as_str(), call.name.as_str())).collect();
            assert_eq!(calls, [("c1", "read"), ("c2", "list")], "{api:?}");
            let arguments = &read.calls[0].arguments;
            let path = arguments
                .as_str()
                .map_or_else(|| arguments.clone(), |text| serde_json::from_str(text).unwrap());
            assert_eq!(path, json!({"path": "a"}), "{api:?}");
        }
    }
}

#[test]
fn a_stream_that_fails_says_of_which_class_and_one_that_breaks_off_that_it_did() {
    let error = json!({"message": "the provider is overloaded", "type": "server_error", "error_type": "temporarily_unavailable"});
    let table = [
        (
            Api::ChatCompletions,
            sse(&[json!({"choices": [{"delta": {"content": "so "}}]}), json!({"error": error})]),
        ),
        (
            Api::Responses,
            sse(&[
                json!({"type": "response.output_text.delta", "delta": "so "}),
                json!({"type": "response.failed", "response": {"error": error}}),
            ]),
        ),
        (
            Api::Messages,
            sse(&[
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "so "}}),
                json!({"type": "error", "error": error}),
            ]),
        ),
    ];
    for (api, stream) in table {
        let (answer, said) = assembled(api, &stream, 10);
        let failed = answer.unwrap_err();
        assert_eq!(said, ["so "], "{api:?}");
        assert_eq!(failed.error_type.as_deref(), Some("temporarily_unavailable"), "{api:?}");
        assert!(failed.message.contains("the provider is overloaded") && !failed.refused, "{failed:?}");
    }
    for (api, stream) in streams() {
        let (answer, _) = assembled(api, &stream[..stream.len() / 2], 50);
        let failed = answer.unwrap_err();
        assert_eq!(failed.error_type.as_deref(), Some("stream_error_other"), "{api:?}: {failed}");
    }
    let (answer, _) = assembled(Api::ChatCompletions, "data: {nonsense\n\n", 50);
    assert!(answer.unwrap_err().message.contains("no JSON"));
}

#[test]
fn an_answer_of_endless_parts_is_bounded() {
    let far = json!({"choices": [{"delta": {"tool_calls": [{"index": u64::MAX, "id": "x", "function": {"name": "a"}}]}}]});
    let (answer, _) = assembled(Api::ChatCompletions, &(sse(&[far]) + "data: [DONE]\n\n"), 1000);
    assert!(answer.unwrap()["choices"][0]["message"].get("tool_calls").is_none());
    let mut assembler = Assembler::new(Api::Messages);
    let long = vec![b':'; 1024 * 1024];
    let ended = (0..40).find_map(|_| assembler.push(&long, &|_| {}).err());
    assert!(ended.unwrap().message.contains("too long"));
}
