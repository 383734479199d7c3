//! An answer that comes in pieces: its text is told as it comes, and in the end it is the answer that the protocol would
//! have given whole.

mod chat;
mod messages;
mod responses;

use serde_json::Value as Json;

use super::model::{Api, ModelError};
use crate::mcp::link::Events;

/// How long an answer may be, in bytes of its stream.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long one event may be, in bytes.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many parts (calls, blocks, items) an answer may have.
const PARTS_MAX: usize = 512;

/// What an event of a stream does.
enum Step {
    /// Text for the person; may be empty.
    Said(String),
    /// The answer is whole.
    Whole,
    /// The stream tells of a failure: the object that does.
    Failed(Json),
}

impl Step {
    const fn nothing() -> Self {
        Self::Said(String::new())
    }
}

enum Parts {
    Chat(chat::Parts),
    Responses(responses::Parts),
    Messages(messages::Parts),
}

/// Puts the answer together from the chunks of its body.
pub struct Assembler {
    events: Events,
    parts: Parts,
    bytes: usize,
    whole: bool,
}

impl Assembler {
    /// For an answer of this protocol.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let parts = match api {
            Api::ChatCompletions => Parts::Chat(chat::Parts::default()),
            Api::Responses => Parts::Responses(responses::Parts::default()),
            Api::Messages => Parts::Messages(messages::Parts::default()),
        };
        Self { events: Events::new(EVENT_BYTES_MAX), parts, bytes: 0, whole: false }
    }

    /// Takes a chunk; what it says is given to `said`.
    ///
    /// # Errors
    /// The stream tells of a failure, is no stream of its protocol, or is too long.
    pub fn push(&mut self, chunk: &[u8], said: &dyn Fn(&str)) -> Result<(), ModelError> {
        self.bytes = self.bytes.saturating_add(chunk.len());
        if self.bytes > ANSWER_BYTES_MAX {
            return Err(ModelError::failed("the model's answer is too long"));
        }
        self.events.push(chunk);
        let too_long = |_| ModelError::failed("the model's answer is too long");
        while let Some(data) = self.events.next().map_err(too_long)? {
            if data.as_ref() == b"[DONE]" {
                self.whole = true;
                continue;
            }
            let event: Json = serde_json::from_slice(&data)
                .map_err(|_| ModelError::failed("the model's stream holds what is no JSON"))?;
            let step = match &mut self.parts {
                Parts::Chat(parts) => parts.take(&event),
                Parts::Responses(parts) => parts.take(&event),
                Parts::Messages(parts) => parts.take(&event),
            };
            match step {
                Step::Said(text) if text.is_empty() => {}
                Step::Said(text) => said(&text),
                Step::Whole => self.whole = true,
                Step::Failed(error) => return Err(ModelError::told(&error, "the model's stream")),
            }
        }
        Ok(())
    }

    /// The answer.
    ///
    /// # Errors
    /// The stream ended before the answer did.
    pub fn finish(self) -> Result<Json, ModelError> {
        if !self.whole {
            return Err(ModelError {
                error_type: Some("stream_error_other".to_owned()),
                ..ModelError::failed("the model's answer broke off")
            });
        }
        Ok(match self.parts {
            Parts::Chat(parts) => parts.answer(),
            Parts::Responses(parts) => parts.answer(),
            Parts::Messages(parts) => parts.answer(),
        })
    }
}

/// A member that is a text; else an empty one.
fn text<'v>(value: &'v Json, member: &str) -> &'v str {
    value.get(member).and_then(Json::as_str).unwrap_or_default()
}

/// The part at this place, made if it is new; `None` beyond what an answer may have.
fn part<T: Default>(parts: &mut Vec<T>, at: usize) -> Option<&mut T> {
    if at >= PARTS_MAX {
        return None;
    }
    while parts.len() <= at {
        parts.push(T::default());
    }
    parts.get_mut(at)
}

/// The place that an event is about.
fn place(event: &Json, member: &str) -> usize {
    event.get(member).and_then(Json::as_u64).and_then(|at| usize::try_from(at).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
