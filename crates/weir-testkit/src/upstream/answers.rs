//! What a provider answers when nothing is scripted: the shapes of the three protocols, with usage.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{RecordedRequest, Script};

/// The text of every default answer.
pub const TEXT: &str = "Hello from the upstream.";
/// Input tokens of every default answer.
pub const INPUT_TOKENS: u64 = 11;
/// Output tokens of every default answer.
pub const OUTPUT_TOKENS: u64 = 7;

const CREATED: u64 = 1_760_000_000;

pub(super) fn default(request: &RecordedRequest, call: usize) -> Script {
    let body = request.json();
    let streamed = body["stream"] == json!(true);
    let path = request.path.split('?').next().unwrap_or_default();
    let model = request.model.as_str();
    match (path.strip_prefix("/v1").unwrap_or(path), streamed) {
        ("/chat/completions", false) => Script::json(200, &with_id(chat(model), &format!("chatcmpl-{call}"))),
        ("/chat/completions", true) => {
            Script::chunks(chat_stream(model, body["stream_options"]["include_usage"] == json!(true)))
        }
        ("/responses", false) => Script::json(200, &with_id(responses(model), &format!("resp_{call}"))),
        ("/responses", true) => Script::chunks(responses_stream(model)),
        ("/messages", false) => Script::json(200, &with_id(messages(model), &format!("msg_{call}"))),
        ("/messages", true) => Script::chunks(messages_stream(model)),
        ("/messages/count_tokens", _) => Script::json(200, &json!({"input_tokens": INPUT_TOKENS})),
        ("/embeddings", _) => Script::json(200, &embeddings(model)),
        ("/models", _) => Script::json(200, &json!({"object": "list", "data": []})),
        (other, _) => Script::error(404, "not_found", &format!("no such path here: {other}")),
    }
    .header("x-upstream-call", &call.to_string())
}

fn with_id(mut answer: Value, id: &str) -> Value {
    answer["id"] = json!(id);
    answer
}

/// The default chat completion, to be changed by a test.
#[must_use]
pub fn chat(model: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": model,
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": TEXT, "refusal": null},
        }],
        "usage": chat_usage(),
    })
}

fn chat_usage() -> Value {
    json!({
        "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": 0},
    })
}

fn chat_chunk(model: &str, members: Value) -> Value {
    let mut chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": model,
    });
    for (name, value) in members.as_object().into_iter().flatten() {
        chunk[name] = value.clone();
    }
    chunk
}

/// One event of a chat stream that carries `text`.
pub(super) fn chat_event(model: &str, text: &str) -> Vec<u8> {
    let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    data(&chat_chunk(model, json!({"choices": [choice]}))).to_vec()
}

/// The end of a chat stream: the reason, the usage, the terminal event.
pub(super) fn chat_end(model: &str) -> Vec<Bytes> {
    let stop = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
    vec![
        data(&chat_chunk(model, json!({"choices": [stop]}))),
        data(&chat_chunk(model, json!({"choices": [], "usage": chat_usage()}))),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ]
}

fn chat_stream(model: &str, include_usage: bool) -> Vec<Bytes> {
    let role = json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null});
    let mut events = vec![data(&chat_chunk(model, json!({"choices": [role]})))];
    events.extend(words().map(|word| chat_event(model, word).into()));
    let mut end = chat_end(model);
    if !include_usage {
        end.remove(1);
    }
    events.extend(end);
    events
}

/// The default answer of the responses API, to be changed by a test.
#[must_use]
pub fn responses(model: &str) -> Value {
    response(model, "completed", &[output_message("completed", Some(TEXT))], &responses_usage())
}

fn responses_usage() -> Value {
    json!({
        "input_tokens": INPUT_TOKENS, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT_TOKENS, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    })
}

fn response(model: &str, status: &str, output: &[Value], usage: &Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": CREATED, "status": status, "model": model,
        "output": output, "usage": usage, "error": null, "incomplete_details": null, "instructions": null,
        "metadata": {}, "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [],
        "top_p": 1.0,
    })
}

/// The message of an answer; without a text it has no content yet.
fn output_message(status: &str, text: Option<&str>) -> Value {
    let content: Vec<_> =
        text.iter().map(|text| json!({"type": "output_text", "text": text, "annotations": []})).collect();
    json!({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content})
}

fn responses_stream(model: &str) -> Vec<Bytes> {
    let begun = response(model, "in_progress", &[], &Value::Null);
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": output_message("in_progress", None)}),
        json!({
            "type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []},
        }),
    ];
    events.extend(words().map(|word| {
        json!({
            "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
            "delta": word,
        })
    }));
    events.push(json!({
        "type": "response.output_text.done", "item_id": "msg_1", "output_index": 0, "content_index": 0,
        "text": TEXT,
    }));
    events.push(json!({
        "type": "response.content_part.done", "item_id": "msg_1", "output_index": 0, "content_index": 0,
        "part": {"type": "output_text", "text": TEXT, "annotations": []},
    }));
    events.push(json!({
        "type": "response.output_item.done", "output_index": 0, "item": output_message("completed", Some(TEXT)),
    }));
    events.push(json!({"type": "response.completed", "response": responses(model)}));
    events.into_iter().enumerate().map(|(number, event)| named(numbered(event, number))).collect()
}

fn numbered(mut event: Value, number: usize) -> Value {
    event["sequence_number"] = json!(number);
    event
}

/// The default message, to be changed by a test.
#[must_use]
pub fn messages(model: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {
            "input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        },
    })
}

fn messages_stream(model: &str) -> Vec<Bytes> {
    let mut begun = messages(model);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"]["output_tokens"] = json!(1);
    let mut events = vec![
        json!({"type": "message_start", "message": begun}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ];
    events.extend(words().map(|word| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
    }));
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.push(json!({
        "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        "usage": {"output_tokens": OUTPUT_TOKENS},
    }));
    events.push(json!({"type": "message_stop"}));
    events.into_iter().map(named).collect()
}

fn embeddings(model: &str) -> Value {
    json!({
        "object": "list", "model": model,
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}],
        "usage": {"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS},
    })
}

/// [`TEXT`] in pieces.
fn words() -> impl Iterator<Item = &'static str> {
    TEXT.split_inclusive(' ')
}

fn data(event: &Value) -> Bytes {
    format!("data: {event}\n\n").into()
}

/// An event whose name is its `type`, as the responses and messages APIs send them.
fn named(event: Value) -> Bytes {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()).into()
}
