//! Anthropic messages.

use serde_json::{Value, json};

use super::scene::Scene;
use super::{Head, Said, Sent};

pub(super) fn whole(head: &Head<'_>, scene: &Scene, said: &Said) -> Value {
    let block = match said {
        Said::Text(pieces) => json!({"type": "text", "text": pieces.concat()}),
        Said::Call { name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_default();
            json!({"type": "tool_use", "id": head.id("toolu_"), "name": name, "input": input})
        }
    };
    message(head, vec![block], Some(stop_reason(said)), usage(scene, said.words()))
}

pub(super) fn stream(head: &Head<'_>, scene: &Scene, said: &Said) -> Vec<Sent> {
    let start = message(head, Vec::new(), None, usage(scene, 1));
    let mut events = vec![Sent::named(&json!({"type": "message_start", "message": start}), false)];
    let block = match said {
        Said::Text(_) => json!({"type": "text", "text": ""}),
        Said::Call { name, .. } => {
            json!({"type": "tool_use", "id": head.id("toolu_"), "name": name, "input": {}})
        }
    };
    events.push(Sent::named(
        &json!({"type": "content_block_start", "index": 0, "content_block": block}),
        false,
    ));
    events.push(Sent::named(&json!({"type": "ping"}), false));
    events.extend(
        deltas(said).into_iter().map(|delta| {
            Sent::named(&json!({"type": "content_block_delta", "index": 0, "delta": delta}), true)
        }),
    );
    events.push(Sent::named(&json!({"type": "content_block_stop", "index": 0}), false));
    let end = json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(said), "stop_sequence": null},
        "usage": {"output_tokens": said.words()},
    });
    events.push(Sent::named(&end, false));
    events.push(Sent::named(&json!({"type": "message_stop"}), false));
    events
}

fn deltas(said: &Said) -> Vec<Value> {
    match said {
        Said::Text(pieces) => {
            pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect()
        }
        Said::Call { arguments, .. } => vec![json!({"type": "input_json_delta", "partial_json": arguments})],
    }
}

const fn stop_reason(said: &Said) -> &'static str {
    match said {
        Said::Text(_) => "end_turn",
        Said::Call { .. } => "tool_use",
    }
}

fn message(head: &Head<'_>, content: Vec<Value>, stop_reason: Option<&str>, usage: Value) -> Value {
    json!({
        "id": head.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": usage,
    })
}

fn usage(scene: &Scene, output: usize) -> Value {
    json!({
        "input_tokens": scene.input_words,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
        "service_tier": "standard",
    })
}
