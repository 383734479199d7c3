//! OpenAI responses.

use serde_json::{Value as Json, json};

use super::{Asked, CallResult, Said, text};
use crate::agent::offer::Offer;

pub(super) fn request(model: &str, system: &str, items: &[Json], offer: &Offer) -> Json {
    let mut body = json!({"model": model, "instructions": system, "input": items});
    if let Some(members) = body.as_object_mut().filter(|_| !offer.tools.is_empty()) {
        let tool = |(name, tool): &(String, std::sync::Arc<crate::ToolDefinition>)| {
            json!({
                "type": "function", "name": name, "description": tool.description,
                "parameters": tool.schema, "strict": false,
            })
        };
        members.insert("tools".to_owned(), offer.tools.iter().map(tool).collect());
    }
    body
}

/// The answer. Its items go back as they came: reasoning belongs to the calls that it led to.
pub(super) fn read(answer: &Json) -> Option<(Said, Vec<Json>)> {
    let output = answer.get("output")?.as_array()?;
    let mut said = Said::default();
    for item in output {
        match text(item, "type") {
            "message" => {
                for part in item.get("content").and_then(Json::as_array).into_iter().flatten() {
                    said.text.push_str(text(part, "text"));
                    said.text.push_str(text(part, "refusal"));
                }
            }
            "function_call" => said.calls.push(Asked {
                id: text(item, "call_id").to_owned(),
                name: text(item, "name").to_owned(),
                arguments: item.get("arguments").cloned().unwrap_or_default(),
            }),
            _ => {}
        }
    }
    Some((said, output.clone()))
}

pub(super) fn result(result: &CallResult) -> Json {
    json!({"type": "function_call_output", "call_id": result.id, "output": result.content})
}
