//! A conversation in one of the three protocols: what is sent, and what is read of an answer.

mod chat;
mod messages;
mod responses;

use serde_json::{Value as Json, json};

use super::model::Api;
use super::offer::Offer;
use crate::call::made_id;

/// A call as the model asked for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// The model's id, or one that was made.
    pub(super) id: String,
    /// The name under which the tool was offered, if the model keeps to the offer.
    pub(super) name: String,
    /// The arguments as they came: a text in OpenAI's protocols, a value in Anthropic's.
    pub(super) arguments: Json,
}

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) calls: Vec<Asked>,
}

/// The result of a call, for the model.
pub(super) struct CallResult {
    pub(super) id: String,
    pub(super) content: String,
    pub(super) failed: bool,
}

/// All that was said in a turn, as the protocol has it.
pub(super) struct Conversation {
    api: Api,
    model: String,
    system: String,
    items: Vec<Json>,
}

impl Conversation {
    #[cfg(test)]
    pub(super) fn new(api: Api, model: &str, system: &str, prompt: &str) -> Self {
        let mut conversation = Self::of(api, model, system, Vec::new());
        conversation.says(prompt);
        conversation
    }

    /// Goes on with what was said before.
    pub(super) fn of(api: Api, model: &str, system: &str, items: Vec<Json>) -> Self {
        Self { api, model: model.to_owned(), system: system.to_owned(), items }
    }

    /// The user says something.
    pub(super) fn says(&mut self, text: &str) {
        self.items.push(json!({"role": "user", "content": text}));
    }

    /// The next request.
    pub(super) fn request(&self, offer: &Offer) -> Json {
        let mut request = match self.api {
            Api::ChatCompletions => chat::request(&self.model, &self.system, &self.items, offer),
            Api::Responses => responses::request(&self.model, &self.system, &self.items, offer),
            Api::Messages => messages::request(&self.model, &self.system, &self.items, offer),
        };
        if let Some(members) = request.as_object_mut() {
            members.insert("stream".to_owned(), true.into());
        }
        request
    }

    /// What was said, to be kept.
    pub(super) fn items(&self) -> &[Json] {
        &self.items
    }

    /// Takes an answer over.
    pub(super) fn take(&mut self, answer: &Json, iteration: u32) -> Result<Said, String> {
        let read = match self.api {
            Api::ChatCompletions => chat::read(answer, iteration),
            Api::Responses => responses::read(answer),
            Api::Messages => messages::read(answer),
        };
        let (said, items) = read.ok_or("the model's answer is not one of its protocol")?;
        self.items.extend(items);
        Ok(said)
    }

    /// Adds what came of the calls, one for each of them.
    pub(super) fn results(&mut self, results: &[CallResult]) {
        match self.api {
            Api::ChatCompletions => self.items.extend(results.iter().map(chat::result)),
            Api::Responses => self.items.extend(results.iter().map(responses::result)),
            Api::Messages => self.items.push(messages::results(results)),
        }
    }
}

/// A member that is a text; else an empty one.
fn text<'v>(value: &'v Json, member: &str) -> &'v str {
    value.get(member).and_then(Json::as_str).unwrap_or_default()
}

fn id_or_made(id: &str, name: &str, iteration: u32) -> String {
    if id.is_empty() { made_id(iteration, name) } else { id.to_owned() }
}

#[cfg(test)]
mod tests;
