//! What a request says to the model: for rules that read prompts, and for the abuse service (spec A9).
//!
//! Nothing here fails: a content that is null, absent or of a kind that weir does not know has no text.

use weir_core::ApiKind;
use weir_core::secret::Prompt;

use super::RequestBody;
use crate::json;

/// The prompts of one request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    /// What the user said last.
    pub user: Option<Prompt>,
    /// What the model was told about its task.
    pub system: Option<Prompt>,
}

pub(super) fn prompts(request: &RequestBody) -> Prompts {
    let raw = |span| request.raw(span).unwrap_or_default();
    let spans = &request.spans;
    let (user, system) = match request.kind() {
        ApiKind::ChatCompletions => {
            let messages = messages(raw(&spans.messages));
            let system = messages.iter().filter(|m| m.is("system") || m.is("developer")).map(Message::text);
            (last_user(&messages), joined(system))
        }
        ApiKind::Messages | ApiKind::CountTokens => {
            (last_user(&messages(raw(&spans.messages))), text_of(raw(&spans.system)))
        }
        ApiKind::Responses => (last_item(raw(&spans.input)), text_of(raw(&spans.instructions))),
        ApiKind::Embeddings => (text_of(raw(&spans.input)), None),
    };
    Prompts { user: user.map(Prompt::new), system: system.map(Prompt::new) }
}

/// All texts of a request, system and earlier turns included, for the simulated provider's count of words.
pub(crate) fn all_texts(request: &RequestBody) -> Vec<String> {
    let raw = |span| request.raw(span).unwrap_or_default();
    let spans = &request.spans;
    let mut texts: Vec<String> =
        [raw(&spans.system), raw(&spans.instructions)].into_iter().filter_map(text_of).collect();
    texts.extend(messages(raw(&spans.messages)).iter().filter_map(Message::text));
    let input = raw(&spans.input);
    if let Some(text) = json::string(input) {
        texts.push(text.into_owned());
    } else {
        let _ = json::elements(input, |item| texts.extend(item_text(item)));
    }
    texts
}

struct Message<'a> {
    role: Option<String>,
    content: &'a str,
}

impl Message<'_> {
    fn is(&self, role: &str) -> bool {
        self.role.as_deref() == Some(role)
    }

    fn text(&self) -> Option<String> {
        text_of(self.content)
    }
}

fn messages(raw: &str) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    let _ = json::elements(raw, |message| {
        let [role, content] = json::pick(message, ["role", "content"]);
        let role = role.and_then(json::string).map(std::borrow::Cow::into_owned);
        messages.push(Message { role, content: content.unwrap_or_default() });
    });
    messages
}

fn last_user(messages: &[Message<'_>]) -> Option<String> {
    messages.iter().rfind(|message| message.is("user")).and_then(Message::text)
}

/// The string input, or the text of the last item that has one.
fn last_item(input: &str) -> Option<String> {
    if input.starts_with('"') {
        return text_of(input);
    }
    let mut items = Vec::new();
    let _ = json::elements(input, |item| items.push(item));
    items.into_iter().rev().find_map(item_text)
}

fn item_text(item: &str) -> Option<String> {
    if item.starts_with('"') {
        return text_of(item);
    }
    let [content] = json::pick(item, ["content"]);
    content.and_then(text_of).or_else(|| part_text(item))
}

/// The text of a content: a string, or the text parts of an array, a line each. Nothing counts as none.
pub(crate) fn text_of(raw: &str) -> Option<String> {
    if let Some(text) = json::string(raw) {
        return Some(text.into_owned()).filter(|text| !text.is_empty());
    }
    let mut parts = Vec::new();
    let _ = json::elements(raw, |part| parts.push(part_text(part)));
    joined(parts.into_iter())
}

/// The text of one part: a string, or an object whose `type` is one of the APIs' words for text.
fn part_text(part: &str) -> Option<String> {
    if part.starts_with('"') {
        return json::string(part).map(std::borrow::Cow::into_owned);
    }
    let [kind, text] = json::pick(part, ["type", "text"]);
    let kind = kind.and_then(json::string)?;
    if !matches!(&*kind, "text" | "input_text" | "output_text") {
        return None;
    }
    text.and_then(json::string).map(std::borrow::Cow::into_owned)
}

fn joined(texts: impl Iterator<Item = Option<String>>) -> Option<String> {
    let texts: Vec<String> = texts.flatten().filter(|text| !text.is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}
