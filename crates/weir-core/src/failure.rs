//! The classes of provider failures (design, section 4) with who must act, whether to retry and whether to report.

mod event;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use event::{AllExhausted, Failed, FailureEvent, FailureObserver, Observers};

/// What a failed provider call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Throttled; waiting helps.
    RateLimited,
    /// Out of capacity.
    Overloaded,
    /// The provider's own fault.
    #[serde(rename = "upstream_5xx")]
    Upstream5xx,
    /// No answer in time.
    Timeout,
    /// No connection.
    Network,
    /// The stream broke after bytes flowed.
    StreamErrorOther,
    /// Credits, billing, plan or day's allowance used up.
    QuotaExhausted,
    /// Wrong, expired or missing key.
    AuthInvalid,
    /// The key may not.
    PermissionDenied,
    /// The provider refuses this client or use by policy.
    AccessPolicyDenied,
    /// Unknown, retired, or not for this account.
    ModelNotFound,
    /// Longer than the model's window.
    ContextLengthExceeded,
    /// An output length the model does not allow.
    MaxTokensInvalid,
    /// The request is wrong.
    InvalidRequest,
    /// The body is too large.
    PayloadTooLarge,
    /// Moderation.
    ContentPolicy,
    /// Wrong base URL or path.
    GatewayMisconfig,
    /// A local model is not pulled, not loaded or out of memory.
    LocalModelUnavailable,
    /// Nothing could be read; never silenced.
    Unknown,
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Who runs weir.
    Operator,
    /// The provider.
    Provider,
    /// Whose account, plan, key or content it is.
    User,
    /// The program that sent the request.
    Caller,
}

/// Whether another try can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same model may be tried again.
    Same,
    /// Never the same; another model or provider may work.
    Failover,
    /// Nothing else can.
    Never,
}

/// Whether a failure is reported, and how loudly (design, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Somebody is called.
    Page,
    /// It is logged.
    Log,
    /// Nothing.
    None,
}

impl Report {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Page, Self::Log, Self::None];

    /// The word in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Log => "log",
            Self::None => "none",
        }
    }
}

/// Whose credential a call was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialOwner {
    /// The platform's own.
    #[default]
    Platform,
    /// The caller's own.
    User,
    /// One of a pool of the platform's: weir takes the next.
    Pooled,
}

impl CredentialOwner {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Platform, Self::User, Self::Pooled];

    /// The word of the fact `credential.owner`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::User => "user",
            Self::Pooled => "pooled",
        }
    }
}

impl Owner {
    /// The word on the wire and in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::User => "user",
            Self::Caller => "caller",
        }
    }
}

impl Retry {
    /// The word on the wire and in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Failover => "failover",
            Self::Never => "never",
        }
    }
}

impl Class {
    /// All classes, in the order of design section 4.
    pub const ALL: [Self; 19] = [
        Self::RateLimited,
        Self::Overloaded,
        Self::Upstream5xx,
        Self::Timeout,
        Self::Network,
        Self::StreamErrorOther,
        Self::QuotaExhausted,
        Self::AuthInvalid,
        Self::PermissionDenied,
        Self::AccessPolicyDenied,
        Self::ModelNotFound,
        Self::ContextLengthExceeded,
        Self::MaxTokensInvalid,
        Self::InvalidRequest,
        Self::PayloadTooLarge,
        Self::ContentPolicy,
        Self::GatewayMisconfig,
        Self::LocalModelUnavailable,
        Self::Unknown,
    ];

    /// The word on the wire and in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Upstream5xx => "upstream_5xx",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::StreamErrorOther => "stream_error_other",
            Self::QuotaExhausted => "quota_exhausted",
            Self::AuthInvalid => "auth_invalid",
            Self::PermissionDenied => "permission_denied",
            Self::AccessPolicyDenied => "access_policy_denied",
            Self::ModelNotFound => "model_not_found",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::MaxTokensInvalid => "max_tokens_invalid",
            Self::InvalidRequest => "invalid_request",
            Self::PayloadTooLarge => "payload_too_large",
            Self::ContentPolicy => "content_policy",
            Self::GatewayMisconfig => "gateway_misconfig",
            Self::LocalModelUnavailable => "local_model_unavailable",
            Self::Unknown => "unknown",
        }
    }

    /// How much a class tells, for the answer after several attempts have failed in different ways: the highest counts
    /// (spec B11). What is over by itself soon or is a matter of accounts comes before a request that one of the models
    /// does not take, that before trouble on the way, and what could not be read is last.
    #[must_use]
    pub const fn informs(self) -> u8 {
        match self {
            Self::Overloaded => 9,
            Self::QuotaExhausted => 8,
            Self::RateLimited => 7,
            Self::ContextLengthExceeded | Self::ContentPolicy => 6,
            Self::MaxTokensInvalid | Self::InvalidRequest | Self::PayloadTooLarge => 5,
            Self::AccessPolicyDenied
            | Self::AuthInvalid
            | Self::PermissionDenied
            | Self::ModelNotFound
            | Self::GatewayMisconfig
            | Self::LocalModelUnavailable => 4,
            Self::Upstream5xx => 3,
            Self::Timeout | Self::StreamErrorOther => 2,
            Self::Network => 1,
            Self::Unknown => 0,
        }
    }

    /// Who must act, when the platform's credential was used and no rule says otherwise.
    #[must_use]
    pub const fn owner(self) -> Owner {
        match self {
            Self::RateLimited
            | Self::Overloaded
            | Self::Upstream5xx
            | Self::Timeout
            | Self::Network
            | Self::StreamErrorOther => Owner::Provider,
            Self::QuotaExhausted
            | Self::AuthInvalid
            | Self::PermissionDenied
            | Self::ModelNotFound
            | Self::GatewayMisconfig
            | Self::LocalModelUnavailable
            | Self::Unknown => Owner::Operator,
            Self::AccessPolicyDenied | Self::ContentPolicy => Owner::User,
            Self::ContextLengthExceeded
            | Self::MaxTokensInvalid
            | Self::InvalidRequest
            | Self::PayloadTooLarge => Owner::Caller,
        }
    }

    /// Whether another try can help, when no rule says otherwise.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::RateLimited
            | Self::Overloaded
            | Self::Upstream5xx
            | Self::Timeout
            | Self::Network
            | Self::StreamErrorOther
            | Self::Unknown => Retry::Same,
            Self::QuotaExhausted
            | Self::AuthInvalid
            | Self::PermissionDenied
            | Self::AccessPolicyDenied
            | Self::ModelNotFound
            | Self::ContextLengthExceeded
            | Self::GatewayMisconfig
            | Self::LocalModelUnavailable => Retry::Failover,
            Self::MaxTokensInvalid | Self::InvalidRequest | Self::PayloadTooLarge | Self::ContentPolicy => {
                Retry::Never
            }
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[test]
    fn a_class_is_the_same_word_everywhere() {
        for class in Class::ALL {
            let json = serde_json::to_string(&class).unwrap();
            assert_eq!(json, format!("\"{class}\""));
            assert_eq!(serde_json::from_str::<Class>(&json).unwrap(), class);
        }
    }

    /// The word that code uses is the one on the wire, and is read again as the same.
    fn written_as<T>(value: T, word: &str)
    where
        T: Serialize + for<'de> Deserialize<'de> + PartialEq + Debug,
    {
        let json = format!("\"{word}\"");
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value);
    }

    #[test]
    fn words_are_those_on_the_wire() {
        Class::ALL.into_iter().for_each(|class| written_as(class, class.as_str()));
        Report::ALL.into_iter().for_each(|report| written_as(report, report.as_str()));
        CredentialOwner::ALL.into_iter().for_each(|owner| written_as(owner, owner.as_str()));
        [Owner::Operator, Owner::Provider, Owner::User, Owner::Caller]
            .into_iter()
            .for_each(|owner| written_as(owner, owner.as_str()));
        [Retry::Same, Retry::Failover, Retry::Never]
            .into_iter()
            .for_each(|retry| written_as(retry, retry.as_str()));
    }

    /// Of several attempts the failure that tells most is answered (spec B11): each of these before all behind it.
    #[test]
    fn what_tells_more_counts_more() {
        let order = [
            Class::Overloaded,
            Class::QuotaExhausted,
            Class::RateLimited,
            Class::ContextLengthExceeded,
            Class::InvalidRequest,
            Class::ModelNotFound,
            Class::Upstream5xx,
            Class::Timeout,
            Class::Network,
            Class::Unknown,
        ];
        assert!(order.windows(2).all(|pair| pair[0].informs() > pair[1].informs()));
        assert!(Class::ALL.into_iter().all(|class| class == Class::Unknown || class.informs() > 0));
    }
}
