//! The model that a turn asks.

use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use weir_core::tool::cleaned;

/// How much of a failure is told, in characters.
const TOLD_CHARS_MAX: usize = 1_000;

/// The protocol that a model is asked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// The class of the refusal or the failure (`error_type`), if one was told.
    pub error_type: Option<String>,
}

impl ModelError {
    /// Something failed, and nobody said of which class.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), refused: false, error_type: None }
    }

    /// What the error object of a protocol tells; `where_from` begins the sentence.
    #[must_use]
    pub fn told(error: &Json, where_from: &str) -> Self {
        let text = |member: &str| error.get(member).and_then(Json::as_str).filter(|text| !text.is_empty());
        let class = text("error_type").or_else(|| text("code")).or_else(|| text("type"));
        let said = cleaned(text("message").unwrap_or("no reason was given"), TOLD_CHARS_MAX);
        let class = class.map(|class| cleaned(class, 100));
        let of = class.as_deref().map(|class| format!(" ({class})")).unwrap_or_default();
        Self { message: format!("{where_from} failed{of}: {said}"), refused: false, error_type: class }
    }
}

/// Is given the text of an answer as it comes.
pub type Said<'s> = &'s (dyn Fn(&str) + Send + Sync);

/// Sends one request to a model and waits for its whole answer.
pub trait Model: Send + Sync {
    /// Asks with a body of the protocol `api`, which wants a stream, and gives the answer as the protocol has it whole:
    /// [`Assembler`](super::Assembler) makes it of a stream. What the model says is given to `said` as it comes; a model that
    /// answers all at once gives nothing there.
    ///
    /// # Errors
    /// The request was refused, or something on the way failed.
    fn ask(
        &self,
        api: Api,
        request: Json,
        said: Said<'_>,
    ) -> impl Future<Output = Result<Json, ModelError>> + Send;
}
