//! The model that a turn asks.

use std::future::Future;

use serde_json::Value as Json;

/// The protocol that a model is asked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// OpenAI chat completions.
    #[default]
    ChatCompletions,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

impl Api {
    /// The path below the gateway's base URL.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }
}

/// Why a model gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// What was said, for the person: no prompt and no key is in it.
    pub message: String,
    /// Whether the request was refused, so that the same one will be refused again; else something failed.
    pub refused: bool,
}

/// Sends one request to a model and waits for its whole answer.
pub trait Model: Send + Sync {
    /// Asks with a body of the protocol `api`, and gives the body of the answer.
    ///
    /// # Errors
    /// The request was refused, or something on the way failed.
    fn ask(&self, api: Api, request: Json) -> impl Future<Output = Result<Json, ModelError>> + Send;
}
