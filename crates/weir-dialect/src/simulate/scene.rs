//! What a request means to the simulated provider.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use weir_core::ApiKind;

use super::{Said, words};
use crate::json as text_json;
use crate::request::{all_texts, text_of};
use crate::{Refusal, RequestBody};

pub(super) struct Scene {
    pub stream: bool,
    pub include_usage: bool,
    /// What the user said last; empty when nothing.
    pub user: String,
    /// The words of all texts of the request.
    pub input_words: usize,
    /// Of embeddings: the inputs, each as it is made into a vector.
    pub inputs: Vec<String>,
    pub base64: bool,
    pub dimensions: Option<usize>,
    tool: Option<Tool>,
    tool_result: Option<String>,
}

/// The first tool that the request offers.
struct Tool {
    name: String,
    schema: Value,
}

impl Scene {
    pub(super) fn read(kind: ApiKind, body: &[u8]) -> Result<Self, Refusal> {
        let request = RequestBody::read(kind, Bytes::copy_from_slice(body))?;
        let text = std::str::from_utf8(body).unwrap_or_default();
        let [messages, input, tools, options, format, dimensions] = text_json::pick(
            text,
            ["messages", "input", "tools", "stream_options", "encoding_format", "dimensions"],
        );
        let include_usage = options
            .map(|options| text_json::pick(options, ["include_usage"]))
            .is_some_and(|[include]| include == Some("true"));
        let inputs = if kind == ApiKind::Embeddings { inputs(input.unwrap_or_default()) } else { Vec::new() };
        let input_words = match kind {
            ApiKind::Embeddings => inputs.iter().map(|input| words(input)).sum(),
            _ => all_texts(&request).iter().map(|text| words(text)).sum(),
        };
        Ok(Self {
            stream: request.stream(),
            include_usage,
            user: request.prompts().user.map(|user| user.expose().to_owned()).unwrap_or_default(),
            input_words,
            inputs,
            base64: format == Some("\"base64\""),
            dimensions: dimensions.and_then(text_json::count).and_then(|n| usize::try_from(n).ok()),
            tool: tools.and_then(|tools| first_tool(kind, tools)),
            tool_result: tool_result(kind, messages.or(input).unwrap_or_default()),
        })
    }

    /// Calls the first tool offered; once the conversation ends with its result, repeats that.
    pub(super) fn tool_turn(&self) -> Said {
        match (&self.tool_result, &self.tool) {
            (Some(result), _) => Said::text(result),
            (None, Some(tool)) => Said::Call {
                name: tool.name.clone(),
                arguments: example(&tool.schema, &self.user, 0).to_string(),
            },
            (None, None) => Said::text("No tool was offered."),
        }
    }
}

/// The inputs of embeddings: texts, or tokens, which count as a word each.
fn inputs(raw: &str) -> Vec<String> {
    if let Some(text) = text_json::string(raw) {
        return vec![text.into_owned()];
    }
    let mut items = Vec::new();
    let _ = text_json::elements(raw, |item| items.push(item));
    if items.first().is_some_and(|item| item.starts_with(|c: char| c.is_ascii_digit())) {
        return vec![items.join(" ")];
    }
    let input = |item: &str| match text_json::string(item) {
        Some(text) => text.into_owned(),
        None => item.trim_matches(['[', ']']).replace(',', " "),
    };
    items.into_iter().map(input).collect()
}

fn first_tool(kind: ApiKind, tools: &str) -> Option<Tool> {
    let mut found = None;
    let _ = text_json::elements(tools, |tool| found = found.take().or_else(|| read_tool(kind, tool)));
    found
}

/// A tool in the API's form; one that the provider itself would run has no name here and is passed over.
fn read_tool(kind: ApiKind, tool: &str) -> Option<Tool> {
    let [function, name, parameters, input_schema] =
        text_json::pick(tool, ["function", "name", "parameters", "input_schema"]);
    let (name, schema) = match kind {
        ApiKind::ChatCompletions => {
            let [name, parameters] = text_json::pick(function?, ["name", "parameters"]);
            (name, parameters)
        }
        ApiKind::Messages | ApiKind::CountTokens => (name, input_schema),
        ApiKind::Responses | ApiKind::Embeddings => (name, parameters),
    };
    let name = text_json::string(name?)?.into_owned();
    let schema = schema.and_then(|schema| serde_json::from_str(schema).ok()).unwrap_or_default();
    Some(Tool { name, schema })
}

/// The result of a tool, if the conversation ends with one.
fn tool_result(kind: ApiKind, conversation: &str) -> Option<String> {
    let mut last = "";
    let _ = text_json::elements(conversation, |item| last = item);
    let [role, item_kind, content, output] = text_json::pick(last, ["role", "type", "content", "output"]);
    let is = |raw: Option<&str>, word: &str| raw.and_then(text_json::string).is_some_and(|text| text == word);
    let result = match kind {
        ApiKind::ChatCompletions if is(role, "tool") => content,
        ApiKind::Responses if is(item_kind, "function_call_output") => output,
        ApiKind::Messages => {
            let mut result = None;
            let _ = text_json::elements(content.unwrap_or_default(), |block| {
                let [block_kind, content] = text_json::pick(block, ["type", "content"]);
                if is(block_kind, "tool_result") {
                    result = Some(content.unwrap_or_default());
                }
            });
            result
        }
        _ => None,
    };
    result.map(|raw| text_of(raw).unwrap_or_default())
}

/// Arguments that a JSON Schema accepts, as far as it is simple: what it requires, and texts from the user.
fn example(schema: &Value, user: &str, depth: usize) -> Value {
    const DEPTH_MAX: usize = 8;
    for given in ["const", "default"] {
        if let Some(value) = schema.get(given) {
            return value.clone();
        }
    }
    let first = |list: &str| schema.get(list).and_then(Value::as_array).and_then(|values| values.first());
    if let Some(value) = first("enum").or_else(|| first("examples")) {
        return value.clone();
    }
    if let Some(choice) = first("anyOf").or_else(|| first("oneOf"))
        && depth < DEPTH_MAX
    {
        return example(choice, user, depth.saturating_add(1));
    }
    let kind = schema.get("type").map(|kind| kind.as_array().and_then(|kinds| kinds.first()).unwrap_or(kind));
    match kind.and_then(Value::as_str) {
        Some("string") => json!(user),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ if depth < DEPTH_MAX => Value::Object(required(schema, user, depth.saturating_add(1))),
        _ => json!({}),
    }
}

fn required(schema: &Value, user: &str, depth: usize) -> Map<String, Value> {
    let names =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let member = |name: &str| {
        let member = schema.get("properties").and_then(|properties| properties.get(name));
        (name.to_owned(), member.map_or(Value::Null, |member| example(member, user, depth)))
    };
    names.map(member).collect()
}
