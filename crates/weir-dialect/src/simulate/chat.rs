//! Chat completions.

use serde_json::{Value, json};

use super::scene::Scene;
use super::{Head, Said, Sent};

pub(super) fn whole(head: &Head<'_>, scene: &Scene, said: &Said) -> Value {
    let (message, finish_reason) = match said {
        Said::Text(pieces) => {
            (json!({"role": "assistant", "content": pieces.concat(), "refusal": null}), "stop")
        }
        Said::Call { name, arguments } => {
            let call = json!({
                "id": head.id("call_"), "type": "function", "function": {"name": name, "arguments": arguments},
            });
            (
                json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]}),
                "tool_calls",
            )
        }
    };
    json!({
        "id": head.id("chatcmpl-"),
        "object": "chat.completion",
        "created": head.created.as_second(),
        "model": head.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason}],
        "usage": usage(scene, said),
    })
}

pub(super) fn stream(head: &Head<'_>, scene: &Scene, said: &Said) -> Vec<Sent> {
    let chunk = |delta: Value, finish_reason: Option<&str>, content| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        Sent::data(&envelope(head, json!([choice])), content)
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": "", "refusal": null}), None, false)];
    let finish_reason = match said {
        Said::Text(pieces) => {
            events.extend(pieces.iter().map(|piece| chunk(json!({"content": piece}), None, true)));
            "stop"
        }
        Said::Call { name, arguments } => {
            let id = head.id("call_");
            let function = json!({"name": name, "arguments": ""});
            let opening = json!({"index": 0, "id": id, "type": "function", "function": function});
            events.push(chunk(json!({"tool_calls": [opening]}), None, true));
            let rest = json!({"index": 0, "function": {"arguments": arguments}});
            events.push(chunk(json!({"tool_calls": [rest]}), None, true));
            "tool_calls"
        }
    };
    events.push(chunk(json!({}), Some(finish_reason), false));
    if scene.include_usage {
        let mut last = envelope(head, json!([]));
        if let Some(members) = last.as_object_mut() {
            members.insert("usage".to_owned(), usage(scene, said));
        }
        events.push(Sent::data(&last, false));
    }
    events.push(Sent { bytes: "data: [DONE]\n\n".to_owned(), content: false });
    events
}

fn envelope(head: &Head<'_>, choices: Value) -> Value {
    json!({
        "id": head.id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": head.created.as_second(),
        "model": head.model,
        "choices": choices,
    })
}

fn usage(scene: &Scene, said: &Said) -> Value {
    let (input, output) = (scene.input_words, said.words());
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input.saturating_add(output),
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}
