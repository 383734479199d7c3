//! Every answer of weir's own on the data plane that is not a success.
//!
//! A stage of the gateway ends a request with a [`Refusal`]; this module alone says what the caller is told
//! ([`Refusal::answer`]) and what the operator's log says ([`Refusal::operator_message`]). Nothing in a refusal comes
//! from a prompt or a key.

mod answer;
mod body;
mod stream;
mod table;

use std::fmt;

use weir_core::ApiKind;
use weir_core::failure::{Class, Owner};
use weir_core::record::limit_of_rule;

pub use answer::Answer;
pub(crate) use body::to_bytes;
pub use stream::stream_error;

/// `Retry-After` of a 429 that a bare `rate-limit` rule caused, in seconds.
pub const RETRY_AFTER_BARE_S: u64 = 60;

/// `Retry-After` where waiting helps and nobody said how long, in seconds.
pub const RETRY_AFTER_UNKNOWN_S: u64 = 5;

/// What weir refuses, or cannot do, and all that the words of its answer need.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The request is wrong.
    InvalidRequest {
        /// What is wrong and how to mend it. Never text of the body.
        message: String,
        /// The member that is wrong.
        param: Option<&'static str>,
        /// Whether the body is no JSON at all.
        malformed: bool,
    },
    /// A member asks for what weir does not do.
    UnsupportedField {
        /// The member.
        field: &'static str,
    },
    /// The model's provider does not serve this API.
    ApiKindNotSupported {
        /// The API.
        kind: ApiKind,
        /// The model.
        model: String,
    },
    /// No operation has this path below a prefix of the seed.
    InvalidPath {
        /// The path as sent.
        path: String,
    },
    /// A key was presented, and is not valid now.
    InvalidApiKey,
    /// A tool server was asked without a valid key: tools are never anonymous.
    ToolServerKey,
    /// An anonymous caller asked for a model that is not free.
    PaidModelAuthRequired {
        /// The model.
        model: String,
    },
    /// The key's budget is used up.
    UsageLimitExceeded {
        /// The budget in US dollars.
        budget_usd: Option<f64>,
    },
    /// A rule said `block`.
    AbuseBlocked {
        /// The rule, for the log alone.
        rule: Option<String>,
        /// The rule's advice, for the caller.
        instead: Option<String>,
    },
    /// No operation has this path.
    NotFound {
        /// The path as sent.
        path: String,
    },
    /// No model has this name, or none was named.
    ModelNotFound {
        /// The name as sent; `None` when it was no text, or blank.
        model: Option<String>,
    },
    /// A free model that is no longer served.
    DiscontinuedFreeModel {
        /// The model.
        model: String,
    },
    /// The path is right, the method is not.
    MethodNotAllowed {
        /// The method as sent.
        method: String,
        /// The methods that are right, as `Allow` lists them.
        allow: &'static str,
    },
    /// The body is over the limit.
    PayloadTooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// A limit is reached.
    RateLimitExceeded {
        /// Which.
        limit: RateLimit,
        /// Whole seconds until another try can pass; `None` when nobody knows.
        retry_after_s: Option<u64>,
    },
    /// The request asks for more tokens than any model writes.
    TooManyMaxTokens {
        /// The member that asks.
        member: &'static str,
        /// The highest number that is let through.
        limit: u64,
    },
    /// weir cannot serve the request now.
    TemporarilyUnavailable {
        /// Why.
        reason: Unavailable,
        /// Whole seconds until another try may pass, where waiting helps.
        retry_after_s: Option<u64>,
    },
    /// The last attempt upstream failed. `weir_rules::failure::UpstreamFailure` says so: of a failed call nobody else
    /// may tell.
    Failed(FailedCall),
}

/// A failed upstream call as far as its answer needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedCall {
    /// What the failure is.
    pub class: Class,
    /// Who must act.
    pub owner: Owner,
    /// Whether the caller's own key was used.
    pub own_key: bool,
    /// The provider.
    pub provider: String,
    /// The status that the provider gave; 0 when there was none.
    pub upstream_status: u16,
    /// Whole seconds that the provider asked to wait.
    pub retry_after_s: Option<u64>,
    /// The provider's own words, redacted, where they help the caller.
    pub said: Option<String>,
    /// How many fallback models could not take a request that is too long for this one.
    pub skipped: usize,
}

impl FailedCall {
    /// With the owner that the class has by itself, and nothing more known.
    #[must_use]
    pub fn new(class: Class, provider: impl Into<String>, upstream_status: u16) -> Self {
        Self {
            class,
            owner: class.owner(),
            own_key: false,
            provider: provider.into(),
            upstream_status,
            retry_after_s: None,
            said: None,
            skipped: 0,
        }
    }
}

/// What a 429 is about, told apart in `x-weir-limit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// A rule said `rate-limit`.
    Abuse,
    /// A quarantined request found no room to wait in. The caller is not told that it is another thing.
    HoldFull,
    /// The limiter of free models.
    FreeModel,
    /// The limit of an address without a valid key.
    Address,
    /// The limit that this rule puts on the identity.
    Rule(String),
}

/// Why weir cannot serve a request now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is no platform key for the provider.
    NoCredential {
        /// The provider.
        provider: String,
    },
    /// What weir itself depends on does not answer.
    Dependency {
        /// Its name: `store`, `cache`.
        name: &'static str,
    },
    /// weir is shutting down.
    Draining,
    /// weir has no room for another request.
    Busy,
    /// weir itself has failed: a defect.
    Defect,
}

/// The refusals without their data, so that a test can walk all ways out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "each is the variant of Refusal, or of RateLimit within it, of the same name"
)]
pub enum RefusalKind {
    InvalidRequest,
    UnsupportedField,
    ApiKindNotSupported,
    InvalidPath,
    InvalidApiKey,
    PaidModelAuthRequired,
    UsageLimitExceeded,
    AbuseBlocked,
    NotFound,
    ModelNotFound,
    DiscontinuedFreeModel,
    MethodNotAllowed,
    PayloadTooLarge,
    RateLimitAbuse,
    RateLimitHoldFull,
    RateLimitFreeModel,
    RateLimitAddress,
    RateLimitRule,
    TooManyMaxTokens,
    TemporarilyUnavailable,
    Failed,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::InvalidRequest,
        Self::UnsupportedField,
        Self::ApiKindNotSupported,
        Self::InvalidPath,
        Self::InvalidApiKey,
        Self::PaidModelAuthRequired,
        Self::UsageLimitExceeded,
        Self::AbuseBlocked,
        Self::NotFound,
        Self::ModelNotFound,
        Self::DiscontinuedFreeModel,
        Self::MethodNotAllowed,
        Self::PayloadTooLarge,
        Self::RateLimitAbuse,
        Self::RateLimitHoldFull,
        Self::RateLimitFreeModel,
        Self::RateLimitAddress,
        Self::RateLimitRule,
        Self::TooManyMaxTokens,
        Self::TemporarilyUnavailable,
        Self::Failed,
    ];
}

impl Refusal {
    /// A wrong request: the member, what is wrong with it and how to mend it.
    #[must_use]
    pub fn invalid(param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self::InvalidRequest { message: message.into(), param, malformed: false }
    }

    /// A body that is no JSON, with the parser's detail.
    #[must_use]
    pub fn malformed(detail: &str) -> Self {
        let message = format!("The body is not valid JSON: {detail}.");
        Self::InvalidRequest { message, param: None, malformed: true }
    }

    /// A header whose value is not text.
    #[must_use]
    pub fn header_not_text(name: &str) -> Self {
        Self::invalid(None, format!("The header `{}` must be visible ASCII or UTF-8 text.", shown(name)))
    }

    /// A body that did not come whole: the connection ended, or the time was up.
    #[must_use]
    pub fn body_incomplete() -> Self {
        Self::invalid(None, "The body ended before it was complete, or took too long. Send it again.")
    }

    /// A failed upstream call with the owner that its class has by itself.
    #[must_use]
    pub fn failed(class: Class, provider: impl Into<String>, upstream_status: u16) -> Self {
        Self::Failed(FailedCall::new(class, provider, upstream_status))
    }

    /// The refusal without its data.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::InvalidRequest { .. } => RefusalKind::InvalidRequest,
            Self::UnsupportedField { .. } => RefusalKind::UnsupportedField,
            Self::ApiKindNotSupported { .. } => RefusalKind::ApiKindNotSupported,
            Self::InvalidPath { .. } => RefusalKind::InvalidPath,
            Self::InvalidApiKey | Self::ToolServerKey => RefusalKind::InvalidApiKey,
            Self::PaidModelAuthRequired { .. } => RefusalKind::PaidModelAuthRequired,
            Self::UsageLimitExceeded { .. } => RefusalKind::UsageLimitExceeded,
            Self::AbuseBlocked { .. } => RefusalKind::AbuseBlocked,
            Self::NotFound { .. } => RefusalKind::NotFound,
            Self::ModelNotFound { .. } => RefusalKind::ModelNotFound,
            Self::DiscontinuedFreeModel { .. } => RefusalKind::DiscontinuedFreeModel,
            Self::MethodNotAllowed { .. } => RefusalKind::MethodNotAllowed,
            Self::PayloadTooLarge { .. } => RefusalKind::PayloadTooLarge,
            Self::RateLimitExceeded { limit, .. } => limit.kind(),
            Self::TooManyMaxTokens { .. } => RefusalKind::TooManyMaxTokens,
            Self::TemporarilyUnavailable { .. } => RefusalKind::TemporarilyUnavailable,
            Self::Failed(_) => RefusalKind::Failed,
        }
    }

    /// What the log says: the cause, in words that the caller may not be given.
    #[must_use]
    pub fn operator_message(&self) -> String {
        match self {
            Self::InvalidRequest { message, .. } => format!("invalid request: {message}"),
            Self::UnsupportedField { field } => format!("unsupported member `{field}`"),
            Self::ApiKindNotSupported { kind, model } => {
                format!("the provider of `{}` does not list {kind} in `apis`", shown(model))
            }
            Self::InvalidPath { path } | Self::NotFound { path } => {
                format!("no operation at `{}`", shown(path))
            }
            Self::ToolServerKey => "a tool server was asked without a valid key".to_owned(),
            Self::InvalidApiKey => "a key was presented that is unknown, revoked or malformed".to_owned(),
            Self::PaidModelAuthRequired { model } => {
                format!("anonymous caller asked for `{}`, which is not free", shown(model))
            }
            Self::UsageLimitExceeded { budget_usd: Some(budget) } => {
                format!("the key's budget of ${budget:.2} is used up")
            }
            Self::UsageLimitExceeded { budget_usd: None } => "the key's budget is used up".to_owned(),
            Self::AbuseBlocked { rule, .. } => {
                format!(
                    "blocked by {}",
                    rule.as_deref().map_or("the classifier".to_owned(), |r| format!("rule `{r}`"))
                )
            }
            Self::ModelNotFound { model: Some(model) } => format!("no model `{}`", shown(model)),
            Self::ModelNotFound { model: None } => "no model was named".to_owned(),
            Self::DiscontinuedFreeModel { model } => format!("`{}` is discontinued", shown(model)),
            Self::MethodNotAllowed { method, allow } => {
                format!("method {}, allowed: {allow}", shown(method))
            }
            Self::PayloadTooLarge { limit_bytes } => {
                format!("the body is over `limits.body_bytes_max` = {limit_bytes}")
            }
            Self::RateLimitExceeded { limit, .. } => format!("rate limit: {}", limit.operator_words()),
            Self::TooManyMaxTokens { member, limit } => format!("`{member}` is over {limit}"),
            Self::TemporarilyUnavailable { reason, .. } => reason.operator_words(),
            Self::Failed(FailedCall { class, owner, provider, upstream_status, .. }) => {
                let owner = owner.as_str();
                format!("upstream `{provider}` failed: {class} (status {upstream_status}, owner {owner})")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operator_message())
    }
}

impl std::error::Error for Refusal {}

impl RateLimit {
    /// The value of `x-weir-limit`.
    #[must_use]
    pub fn header(&self) -> String {
        match self {
            Self::Abuse | Self::HoldFull => "abuse".to_owned(),
            Self::FreeModel => "free-model".to_owned(),
            Self::Address => "address".to_owned(),
            Self::Rule(rule) => limit_of_rule(rule),
        }
    }

    const fn kind(&self) -> RefusalKind {
        match self {
            Self::Abuse => RefusalKind::RateLimitAbuse,
            Self::HoldFull => RefusalKind::RateLimitHoldFull,
            Self::FreeModel => RefusalKind::RateLimitFreeModel,
            Self::Address => RefusalKind::RateLimitAddress,
            Self::Rule(_) => RefusalKind::RateLimitRule,
        }
    }

    fn operator_words(&self) -> String {
        match self {
            Self::Abuse => "a rule's action `rate-limit`".to_owned(),
            Self::HoldFull => {
                "no room to hold another quarantined request (`abuse.quarantine.held_*`)".to_owned()
            }
            Self::FreeModel => "`free_models`".to_owned(),
            Self::Address => "`limits.unauthenticated`".to_owned(),
            Self::Rule(rule) => format!("the limit of rule `{rule}`"),
        }
    }
}

impl Unavailable {
    fn operator_words(&self) -> String {
        match self {
            Self::NoCredential { provider } => format!("provider `{provider}` has no platform key"),
            Self::Dependency { name } => format!("the {name} does not answer"),
            Self::Draining => "shutting down".to_owned(),
            Self::Busy => "no room for another request".to_owned(),
            Self::Defect => "a defect of weir's own".to_owned(),
        }
    }
}

/// Text of the caller's as an answer or the log may repeat it: its first 200 characters, without control characters.
fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 200;
    let mut shown: String =
        text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
