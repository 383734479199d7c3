//! Responses.

use serde_json::{Map, Value, json};

use super::scene::Scene;
use super::{Head, Said, Sent};

pub(super) fn whole(head: &Head<'_>, scene: &Scene, said: &Said) -> Value {
    response(head, "completed", vec![item(head, said, "completed")], Some(usage(scene, said)))
}

pub(super) fn stream(head: &Head<'_>, scene: &Scene, said: &Said) -> Vec<Sent> {
    let mut events = Events(Vec::new());
    for kind in ["response.created", "response.in_progress"] {
        events.push(kind, json!({"response": response(head, "in_progress", Vec::new(), None)}));
    }
    match said {
        Said::Text(pieces) => text(head, pieces, &mut events),
        Said::Call { name, arguments } => call(head, name, arguments, &mut events),
    }
    let item = item(head, said, "completed");
    events.push("response.output_item.done", json!({"output_index": 0, "item": item}));
    events.push("response.completed", json!({"response": whole(head, scene, said)}));
    events.0
}

fn text(head: &Head<'_>, pieces: &[String], events: &mut Events) {
    let id = head.id("msg_");
    let empty =
        json!({"id": id, "type": "message", "role": "assistant", "status": "in_progress", "content": []});
    events.push("response.output_item.added", json!({"output_index": 0, "item": empty}));
    let at = |more: Value| {
        let mut members = Map::from_iter([
            ("item_id".to_owned(), json!(id)),
            ("output_index".to_owned(), json!(0)),
            ("content_index".to_owned(), json!(0)),
        ]);
        members.extend(more.as_object().cloned().unwrap_or_default());
        Value::Object(members)
    };
    events.push("response.content_part.added", at(json!({"part": part("")})));
    for piece in pieces {
        events.push("response.output_text.delta", at(json!({"delta": piece, "logprobs": []})));
    }
    let text = pieces.concat();
    events.push("response.output_text.done", at(json!({"text": text, "logprobs": []})));
    events.push("response.content_part.done", at(json!({"part": part(&text)})));
}

fn call(head: &Head<'_>, name: &str, arguments: &str, events: &mut Events) {
    let id = head.id("fc_");
    let empty = call_item(head, name, "", "in_progress");
    events.push("response.output_item.added", json!({"output_index": 0, "item": empty}));
    events.push(
        "response.function_call_arguments.delta",
        json!({"item_id": id, "output_index": 0, "delta": arguments}),
    );
    events.push(
        "response.function_call_arguments.done",
        json!({"item_id": id, "output_index": 0, "name": name, "arguments": arguments}),
    );
}

/// The events so far; each has its number.
struct Events(Vec<Sent>);

impl Events {
    fn push(&mut self, kind: &str, members: Value) {
        let mut event = Map::from_iter([
            ("type".to_owned(), json!(kind)),
            ("sequence_number".to_owned(), json!(self.0.len())),
        ]);
        event.extend(members.as_object().cloned().unwrap_or_default());
        self.0.push(Sent::named(&Value::Object(event), kind.ends_with(".delta")));
    }
}

fn item(head: &Head<'_>, said: &Said, status: &str) -> Value {
    match said {
        Said::Text(pieces) => json!({
            "id": head.id("msg_"),
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [part(&pieces.concat())],
        }),
        Said::Call { name, arguments } => call_item(head, name, arguments, status),
    }
}

fn call_item(head: &Head<'_>, name: &str, arguments: &str, status: &str) -> Value {
    json!({
        "id": head.id("fc_"),
        "type": "function_call",
        "call_id": head.id("call_"),
        "name": name,
        "arguments": arguments,
        "status": status,
    })
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn response(head: &Head<'_>, status: &str, output: Vec<Value>, usage: Option<Value>) -> Value {
    json!({
        "id": head.id("resp_"),
        "object": "response",
        "created_at": head.created.as_second(),
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "model": head.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": null,
        "metadata": {},
    })
}

fn usage(scene: &Scene, said: &Said) -> Value {
    let (input, output) = (scene.input_words, said.words());
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input.saturating_add(output),
    })
}
