//! Anthropic messages.

use serde_json::{Value as Json, json};

use super::{Asked, CallResult, Said, text};
use crate::agent::offer::Offer;

/// How long an answer may be, in tokens: this protocol wants it said.
const ANSWER_TOKENS_MAX: u32 = 8_192;

pub(super) fn request(model: &str, system: &str, items: &[Json], offer: &Offer) -> Json {
    let mut body =
        json!({"model": model, "max_tokens": ANSWER_TOKENS_MAX, "system": system, "messages": items});
    if let Some(members) = body.as_object_mut().filter(|_| !offer.tools.is_empty()) {
        let tool = |(name, tool): &(String, std::sync::Arc<crate::ToolDefinition>)| json!({"name": name, "description": tool.description, "input_schema": tool.schema});
        members.insert("tools".to_owned(), offer.tools.iter().map(tool).collect());
    }
    body
}

/// The answer. Its blocks go back as they came.
pub(super) fn read(answer: &Json) -> Option<(Said, Vec<Json>)> {
    let content = answer.get("content")?.as_array()?;
    let mut said = Said::default();
    for block in content {
        match text(block, "type") {
            "text" => said.text.push_str(text(block, "text")),
            "tool_use" => said.calls.push(Asked {
                id: text(block, "id").to_owned(),
                name: text(block, "name").to_owned(),
                arguments: block.get("input").cloned().unwrap_or_default(),
            }),
            _ => {}
        }
    }
    // An input that could not be read is told the model; the provider would refuse it.
    let blocks: Vec<Json> = content.iter().cloned().map(sendable).collect();
    // An empty message would be refused.
    let item = (!blocks.is_empty()).then(|| json!({"role": "assistant", "content": blocks}));
    Some((said, item.into_iter().collect()))
}

fn sendable(mut block: Json) -> Json {
    if let Some(input) = block.get_mut("input").filter(|input| !input.is_object()) {
        *input = json!({});
    }
    block
}

pub(super) fn results(results: &[CallResult]) -> Json {
    let block = |result: &CallResult| {
        json!({
            "type": "tool_result", "tool_use_id": result.id, "content": result.content,
            "is_error": result.failed,
        })
    };
    json!({"role": "user", "content": results.iter().map(block).collect::<Vec<_>>()})
}
