//! The one table from each refusal to what the caller is told. No `_` arm: a new refusal does not compile until
//! somebody has chosen its status and its words.

use std::borrow::Cow;

use weir_core::failure::{Class, Owner};
use weir_core::words::size;

use super::{FailedCall, RETRY_AFTER_BARE_S, RETRY_AFTER_UNKNOWN_S, RateLimit, Refusal, Unavailable, shown};
use crate::Dialect;

/// One row: everything that an answer is made of.
pub(super) struct Row<'a> {
    pub status: u16,
    pub error_type: &'static str,
    /// The short text that the seed's prefixes give as `error`; `None` where it is the message.
    pub title: Option<&'static str>,
    pub message: Cow<'a, str>,
    pub param: Option<&'static str>,
    pub retry_after_s: Option<u64>,
    pub limit: Option<String>,
    pub allow: Option<&'static str>,
}

impl<'a> Row<'a> {
    fn new(status: u16, error_type: &'static str, message: impl Into<Cow<'a, str>>) -> Self {
        let message = message.into();
        Self {
            status,
            error_type,
            title: None,
            message,
            param: None,
            retry_after_s: None,
            limit: None,
            allow: None,
        }
    }

    fn title(self, title: &'static str) -> Self {
        Self { title: Some(title), ..self }
    }

    fn param(self, param: Option<&'static str>) -> Self {
        Self { param, ..self }
    }
}

impl Refusal {
    pub(super) fn row(&self, dialect: Dialect) -> Row<'_> {
        match self {
            Self::InvalidRequest { message, param, malformed } => Row::new(400, "invalid_request", message)
                .title(if *malformed { "Malformed JSON" } else { "Invalid request" })
                .param(*param),
            Self::UnsupportedField { field } => {
                let message = format!(
                    "`{field}` is not supported: weir keeps no conversation. Leave it out and send the whole input."
                );
                Row::new(400, "unsupported_field", message).title("Unsupported field").param(Some(field))
            }
            Self::ApiKindNotSupported { kind, model } => {
                let message = format!(
                    "`{}` is not served through {kind}. Use another API, or another model.",
                    shown(model)
                );
                Row::new(400, "api_kind_not_supported", message)
                    .title("API not supported")
                    .param(Some("model"))
            }
            Self::InvalidPath { path } => {
                let message = format!(
                    "There is nothing at `{}`. Use chat/completions, responses or messages.",
                    shown(path)
                );
                Row::new(400, "invalid_path", message).title("Invalid path")
            }
            Self::InvalidApiKey => {
                let message = "This API key is not valid: it is unknown, revoked, or beside another that differs. Send a valid one, or none to use free models.";
                Row::new(401, "invalid_api_key", message).title("Invalid API key")
            }
            Self::ToolServerKey => {
                let message = "Tool servers need a valid API key: send one as `Authorization: Bearer KEY` or `x-api-key: KEY`. Whoever runs weir makes one with `weir keys create`.";
                Row::new(401, "invalid_api_key", message).title("Invalid API key")
            }
            Self::PaidModelAuthRequired { model } => {
                let message =
                    format!("`{}` is not free: send an API key, or choose a free model.", shown(model));
                Row::new(401, "paid_model_auth_required", message).title("Authentication required")
            }
            Self::UsageLimitExceeded { .. } => {
                let message = "The budget of this API key is used up. Raise it, use a free model, or send your own provider key.";
                Row::new(402, "usage_limit_exceeded", message).title("Usage limit exceeded")
            }
            Self::AbuseBlocked { instead, .. } => {
                Row::new(403, "abuse_blocked", blocked_words(dialect, instead.as_deref()))
            }
            Self::NotFound { path } => {
                Row::new(404, "not_found", format!("There is nothing at `{}`. Under /v1 are chat/completions, responses, messages, embeddings and models.", shown(path)))
                    .title("Not found")
            }
            Self::ModelNotFound { model } => Row::new(404, "model_not_found", model_words(model.as_deref()))
                .title("Model not found")
                .param(Some("model")),
            Self::DiscontinuedFreeModel { model } => {
                let message = format!(
                    "`{}` is no longer offered. Choose another model; GET /v1/models lists them.",
                    shown(model)
                );
                Row::new(404, "discontinued_free_model", message)
                    .title("Model discontinued")
                    .param(Some("model"))
            }
            Self::MethodNotAllowed { method, allow } => Row {
                allow: Some(allow),
                ..Row::new(
                    405,
                    "method_not_allowed",
                    format!("{} is not allowed here. Use {allow}.", shown(method)),
                )
                .title("Method not allowed")
            },
            Self::PayloadTooLarge { limit_bytes } => {
                let message = format!(
                    "The body is larger than {}. Send less, for instance a shorter conversation.",
                    size(*limit_bytes)
                );
                Row::new(413, "payload_too_large", message).title("Payload too large")
            }
            Self::RateLimitExceeded { limit, retry_after_s } => limited(limit, *retry_after_s),
            Self::TooManyMaxTokens { member, limit } => too_many(dialect, member, *limit),
            Self::TemporarilyUnavailable { reason, retry_after_s } => Row {
                retry_after_s: *retry_after_s,
                ..Row::new(503, "temporarily_unavailable", unavailable_words(reason))
            }
            .title("Temporarily unavailable"),
            Self::Failed(call) => failed(call),
        }
    }
}

/// The seed's text to the letter; in the other dialects with the rule's advice.
fn blocked_words(dialect: Dialect, instead: Option<&str>) -> Cow<'static, str> {
    const TEXT: &str = "Request blocked by abuse prevention rules.";
    match (dialect, instead) {
        (Dialect::OpenAi | Dialect::Anthropic, Some(advice)) => format!("{TEXT} {advice}").into(),
        (Dialect::Seed, _) | (_, None) => TEXT.into(),
    }
}

fn model_words(model: Option<&str>) -> Cow<'static, str> {
    match model {
        Some(model) => {
            format!("There is no model `{}`. GET /v1/models lists what is served.", shown(model)).into()
        }
        None => "`model` must name a model: a string that is not blank. GET /v1/models lists what is served."
            .into(),
    }
}

fn limited(limit: &RateLimit, retry_after_s: Option<u64>) -> Row<'static> {
    let (title, message) = match limit {
        // A full hold must not be told apart from the action: a quarantine stays invisible.
        RateLimit::Abuse | RateLimit::HoldFull => (None, "Rate limit exceeded. Please try again later."),
        RateLimit::FreeModel => (
            Some("Rate limit exceeded"),
            "The limit of requests to free models is reached. Try again later, or use a model that is not free with an API key.",
        ),
        RateLimit::Address => (
            Some("Rate limit exceeded"),
            "Too many requests without a valid API key from this address. Try again later, or send a valid key.",
        ),
        RateLimit::Rule(_) => (
            Some("Rate limit exceeded"),
            "The limit of requests for this caller is reached. Try again when `Retry-After` has passed.",
        ),
    };
    let retry_after_s = Some(retry_after_s.unwrap_or(RETRY_AFTER_BARE_S));
    Row { title, retry_after_s, limit: Some(limit.header()), ..Row::new(429, "rate_limit_exceeded", message) }
}

/// Under the seed's prefixes this keeps the seed's 503; elsewhere a wrong request is the caller's (design, section 6).
fn too_many(dialect: Dialect, member: &'static str, limit: u64) -> Row<'static> {
    let message = format!("`{member}` must be at most {limit}. Send a smaller number.");
    match dialect {
        Dialect::Seed => Row::new(503, "temporarily_unavailable", message).title("Temporarily unavailable"),
        Dialect::OpenAi | Dialect::Anthropic => Row::new(400, "invalid_request", message).param(Some(member)),
    }
}

fn unavailable_words(reason: &Unavailable) -> &'static str {
    match reason {
        Unavailable::NoCredential { .. } => {
            "This model cannot be served now: its provider is not set up for shared use. Send your own provider key, or choose another model."
        }
        Unavailable::Dependency { .. } => "The service cannot answer now. Try again shortly.",
        Unavailable::Draining => "The service is restarting. Try again at once.",
        Unavailable::Busy => "The service is at capacity. Try again shortly.",
        Unavailable::Defect => {
            "The service failed on this request, and its operator has been told. Try another request."
        }
    }
}

/// What the caller is told when the last attempt upstream failed (design, section 6). The provider is not named: after
/// a downgrade it is not the one that was asked for. Where `x-should-retry` is false, no words say the contrary.
fn failed(call: &FailedCall) -> Row<'static> {
    let (class, retry_after_s) = (call.class, call.retry_after_s);
    // What the operator owns is none of the caller's business, whatever the class; `unknown` is never dressed up.
    if call.owner == Owner::Operator && class != Class::Unknown {
        return not_ready(
            retry_after_s,
            "This model cannot be served now; its operator has been told. Try another model.",
        );
    }
    let row =
        |status, message: &'static str| Row::new(status, class.as_str(), with_what_was_said(message, call));
    match class {
        Class::RateLimited => Row {
            retry_after_s: Some(retry_after_s.unwrap_or(RETRY_AFTER_UNKNOWN_S)),
            ..Row::new(
                429,
                "rate_limit_exceeded",
                "The provider limits requests at present. Try again later.",
            )
        }
        .title("Rate limit exceeded"),
        Class::Overloaded => Row {
            retry_after_s: Some(retry_after_s.unwrap_or(RETRY_AFTER_UNKNOWN_S)),
            ..Row::new(
                503,
                "temporarily_unavailable",
                "The provider is out of capacity at present. Try again shortly.",
            )
        }
        .title("Temporarily unavailable"),
        Class::AuthInvalid if call.own_key => {
            row(401, "Your provider key is not valid. Check that it is right and has not been revoked.")
        }
        Class::QuotaExhausted if call.own_key => row(
            402,
            "Your provider account has no credit or allowance left. Add credit with the provider, or wait for the reset.",
        ),
        Class::PermissionDenied if call.own_key => {
            row(403, "Your provider key may not be used for this. Check its permissions with the provider.")
        }
        Class::QuotaExhausted
        | Class::AuthInvalid
        | Class::PermissionDenied
        | Class::ModelNotFound
        | Class::GatewayMisconfig
        | Class::LocalModelUnavailable => {
            not_ready(retry_after_s, "This model cannot be served now. Try another model.")
        }
        Class::ContextLengthExceeded => row(
            400,
            "The request is longer than the model's context window. Send less, or choose a model with a larger one.",
        ),
        Class::MaxTokensInvalid => row(
            400,
            "The model does not write as many tokens as asked for. Lower the maximum of output tokens.",
        ),
        Class::InvalidRequest => {
            row(400, "The provider refused the request as wrong. Compare it with the provider's reference.")
        }
        Class::ContentPolicy => {
            row(400, "The provider refused the content by its policy. Change the content.")
        }
        Class::PayloadTooLarge => row(413, "The body is too large for the provider. Send less."),
        Class::AccessPolicyDenied => row(
            403,
            "The provider refuses this client or use by its policy. Choose another model, or a key whose plan includes it.",
        ),
        Class::Timeout => {
            row(504, "The provider did not answer in time. Ask for less, or choose another model.")
        }
        Class::Upstream5xx => {
            row(502, "The provider failed. Choose another model, or send the request later.")
        }
        // It was reached, and began to answer.
        Class::Network if (200..300).contains(&call.upstream_status) => row(
            502,
            "The provider's answer was empty or broke off before its end. Choose another model, or send the request later.",
        ),
        Class::Network => {
            row(502, "The provider could not be reached. Choose another model, or send the request later.")
        }
        Class::StreamErrorOther => {
            row(502, "The answer broke off before its end. What came of it is incomplete.")
        }
        Class::Unknown => row(
            502,
            "The provider failed in a way that could not be read. Choose another model, or ask the operator.",
        ),
    }
}

/// The words of the table, what the provider says of the request, and which models were left out.
fn with_what_was_said(message: &'static str, call: &FailedCall) -> Cow<'static, str> {
    let mut words = Cow::Borrowed(message);
    if let Some(said) = &call.said {
        words.to_mut().push_str(&format!(" The provider says: {}", shown(said)));
    }
    if call.skipped > 0 && call.class == Class::ContextLengthExceeded {
        let (models, windows) = if call.skipped == 1 {
            ("model was", "its window is")
        } else {
            ("models were", "their windows are")
        };
        words.to_mut().push_str(&format!(
            " {} fallback {models} skipped: {windows} not known to be larger.",
            call.skipped
        ));
    }
    words
}

fn not_ready(retry_after_s: Option<u64>, message: &'static str) -> Row<'static> {
    Row { retry_after_s, ..Row::new(503, "temporarily_unavailable", message) }
        .title("Temporarily unavailable")
}
