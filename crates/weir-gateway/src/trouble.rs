//! What went wrong with an upstream call, typed where it happened. It says nothing of whose fault it is: only
//! classifying does.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::response::Parts;
use weir_core::Timestamp;
use weir_core::redact::{redact, without_secrets};
use weir_dialect::failure::{Evidence, FailureInput, Phase, TransportFault, Via};

use crate::resolve::Target;

/// Headers that say nothing of a failure, and much of a session.
const NOT_READ: [&str; 2] = ["set-cookie", "set-cookie2"];

/// A failed call, as it was met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// The head's status; 0 where none came.
    pub(crate) status: u16,
    /// The head's headers.
    pub(crate) headers: HeaderMap,
    /// The body, the event, or the words for what is no answer.
    pub(crate) body: Bytes,
    pub(crate) via: Via,
    pub(crate) fault: TransportFault,
    pub(crate) phase: Phase,
    /// What happened, for the log.
    pub(crate) cause: &'static str,
    /// The transport's own errors, the outer before the inner.
    pub(crate) causes: Vec<String>,
    /// Whether the body is text, from which secrets were taken.
    pub(crate) readable: bool,
}

impl Trouble {
    /// There was no answer.
    pub(crate) fn no_answer(fault: TransportFault, phase: Phase, cause: &'static str) -> Self {
        Self { via: Via::Transport, fault, phase, cause, ..Self::default() }
    }

    /// The provider answered that it will not, or cannot.
    pub(crate) fn refused(head: &Parts, body: Bytes) -> Self {
        Self {
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            phase: if body.is_empty() { Phase::Head } else { Phase::Body },
            body,
            cause: "the provider answered with an error",
            ..Self::default()
        }
    }

    /// An answer that began well broke.
    pub(crate) fn broke(head: &Parts, fault: TransportFault, phase: Phase, cause: &'static str) -> Self {
        Self {
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            via: if phase == Phase::Stream { Via::Sse } else { Via::Http },
            fault,
            phase,
            cause,
            ..Self::default()
        }
    }

    /// An answer that began well holds an error, or is none.
    pub(crate) fn within(head: &Parts, body: Bytes, phase: Phase, cause: &'static str) -> Self {
        Self { body, ..Self::broke(head, TransportFault::None, phase, cause) }
    }

    /// Whether the provider itself answered with an error.
    pub(crate) fn is_an_answer(&self) -> bool {
        self.status >= 400 && self.fault == TransportFault::None
    }

    /// Takes out of the body what looks like a secret, and the keys that took part. What is no text cannot be cleaned, and
    /// is not passed on.
    pub(crate) fn clean(&mut self, secrets: &[&str]) {
        self.readable = match std::str::from_utf8(&self.body) {
            Ok(text) => {
                let known = without_secrets(text, secrets);
                if let Cow::Owned(clean) = redact(&known) {
                    self.body = clean.into();
                } else if let Cow::Owned(clean) = known {
                    self.body = clean.into();
                }
                true
            }
            Err(_) => false,
        };
    }

    /// Whether the provider's answer can be passed on as it came.
    pub(crate) fn passes(&self) -> bool {
        self.is_an_answer() && self.readable
    }

    /// Reads it. The model and the operation are those of the call.
    pub(crate) fn evidence(&self, target: &Target, operation: &str, now: Timestamp) -> Evidence {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .filter(|(name, _)| !NOT_READ.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)))
            .collect();
        // Only where there was no answer: a provider on one's own network that answers speaks for itself.
        let address = if self.via == Via::Transport { target.provider.base_url.as_str() } else { "" };
        Evidence::read(&FailureInput {
            provider: &target.provider.name,
            operation,
            model: &target.upstream_name,
            status: Some(self.status).filter(|status| *status != 0),
            headers: &headers,
            body: &self.body,
            transport: self.via,
            transport_kind: self.fault,
            phase: self.phase,
            target: address,
            now: Some(now),
        })
    }
}
