//! The kinds of API that weir serves on its data plane.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the five operations that carry a request body (design, section 3: `request.api`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKind {
    /// OpenAI chat completions.
    ChatCompletions,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
    /// OpenAI embeddings.
    Embeddings,
    /// Anthropic's count of tokens; a provider that serves `messages` serves it.
    CountTokens,
}

impl ApiKind {
    /// The word in rules, configuration and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
        }
    }

    /// The path of the operation below a provider's base URL, which includes the version.
    #[must_use]
    pub const fn upstream_path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
            Self::Embeddings => "/embeddings",
            Self::CountTokens => "/messages/count_tokens",
        }
    }

    /// What a provider must list in `apis` to serve this operation.
    #[must_use]
    pub const fn served_as(self) -> Self {
        match self {
            Self::CountTokens => Self::Messages,
            other => other,
        }
    }
}

impl fmt::Display for ApiKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
