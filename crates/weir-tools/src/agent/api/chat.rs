//! OpenAI chat completions.

use serde_json::{Value as Json, json};

use super::{Asked, CallResult, Said, id_or_made, text};
use crate::agent::offer::Offer;

pub(super) fn request(model: &str, system: &str, items: &[Json], offer: &Offer) -> Json {
    let system = (!system.is_empty()).then(|| json!({"role": "system", "content": system}));
    let messages: Vec<&Json> = system.iter().chain(items).collect();
    let mut body = json!({"model": model, "messages": messages});
    if let Some(members) = body.as_object_mut().filter(|_| !offer.tools.is_empty()) {
        let tool = |(name, tool): &(String, std::sync::Arc<crate::ToolDefinition>)| {
            json!({"type": "function", "function": {
                "name": name, "description": tool.description, "parameters": tool.schema,
            }})
        };
        members.insert("tools".to_owned(), offer.tools.iter().map(tool).collect());
    }
    body
}

/// The answer, and the assistant's message: made anew, so that it refers to the calls as their results do.
pub(super) fn read(answer: &Json, iteration: u32) -> Option<(Said, Vec<Json>)> {
    let message = answer.pointer("/choices/0/message")?;
    let calls: Vec<Asked> = message
        .get("tool_calls")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|call| {
            let function = call.get("function").unwrap_or(&Json::Null);
            let name = text(function, "name").to_owned();
            let id = id_or_made(text(call, "id"), &name, iteration);
            Asked { id, name, arguments: function.get("arguments").cloned().unwrap_or_default() }
        })
        .collect();
    let said = Said { text: text(message, "content").to_owned(), calls };
    let mut item = json!({"role": "assistant", "content": message.get("content")});
    if let Some(members) = item.as_object_mut().filter(|_| !said.calls.is_empty()) {
        members.insert("tool_calls".to_owned(), said.calls.iter().map(call_item).collect());
    }
    Some((said, vec![item]))
}

fn call_item(call: &Asked) -> Json {
    let arguments = call.arguments.as_str().map_or_else(|| call.arguments.to_string(), ToOwned::to_owned);
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}

pub(super) fn result(result: &CallResult) -> Json {
    json!({"role": "tool", "tool_call_id": result.id, "content": result.content})
}
