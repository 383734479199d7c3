//! What is told of a failed provider call: one event for each attempt, one more when none of them brought an answer.
//!
//! The gateway makes them and calls a [`FailureObserver`]; who reports, counts and logs implements it. Free text is
//! redacted where an event is made, so that nothing unredacted can be handed on.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Class, CredentialOwner, Owner, Report, Retry};
use crate::ids::DecisionId;
use crate::redact::{excerpt, redact};
use crate::stop::RuleStop;

/// How long a message is that an event carries, in characters: what spec B7 grants a chain of causes.
const MESSAGE_CHARS_MAX: usize = 1200;

/// How long a name, a code or a type is, in characters.
const NAME_CHARS_MAX: usize = 200;

/// How many causes a chain has.
const CAUSES_MAX: usize = 16;

/// How many attempts of one request are told of.
const ATTEMPTS_MAX: usize = 64;

/// One failed attempt as the gateway knows it; [`FailureEvent::new`] makes it safe to hand on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failed {
    /// When the attempt had failed.
    pub at: Timestamp,
    /// The decision that the attempt was permitted by.
    pub decision: DecisionId,
    /// The request's `x-request-id`.
    pub request_id: String,
    /// The identity's key; identities are counted by it. It is not sent to Sentry.
    pub subject: String,
    /// What the failure is.
    pub class: Class,
    /// Who must act.
    pub owner: Owner,
    /// Whether another try can help.
    pub retry: Retry,
    /// Whether it is reported. Of a pool of keys the gateway says `page` when the last one is gone.
    pub report: Report,
    /// The rule that classed it.
    pub rule: Option<String>,
    /// That rule's reason.
    pub because: Option<String>,
    /// The provider, as configured.
    pub provider: String,
    /// What was asked of it, such as `chat_completions`, in the words of the fact `failure.operation`.
    pub operation: String,
    /// The model's name at the provider; empty when there is none.
    pub model: String,
    /// The innermost status that the evidence shows, else the head's, else 0.
    pub status: u16,
    /// The head's status, else 0.
    pub http_status: u16,
    /// How far the call had come, in the words of the fact `failure.phase`.
    pub phase: &'static str,
    /// What the transport says failed, in the words of the fact `failure.transport`; empty for nothing.
    pub transport: &'static str,
    /// The provider's code.
    pub code: String,
    /// The provider's type.
    pub kind: String,
    /// The provider's message: the evidence's, never a body.
    pub message: String,
    /// Whose credential was used.
    pub credential: CredentialOwner,
    /// Which attempt of the request this was, from 1.
    pub attempt: u32,
    /// How many there may be.
    pub attempts: u32,
    /// The provider is the platform's own backend.
    pub house: bool,
    /// What caused it, the outer before the inner: errors of the transport as text. Empty when the provider answered.
    pub causes: Vec<String>,
}

/// One classified, failed provider call. It can be read, and not be changed: its free text is redacted and bounded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FailureEvent(Failed);

impl FailureEvent {
    /// Redacts and bounds what a provider or a caller wrote.
    #[must_use]
    pub fn new(mut failed: Failed) -> Self {
        for name in [
            &mut failed.request_id,
            &mut failed.subject,
            &mut failed.provider,
            &mut failed.operation,
            &mut failed.model,
            &mut failed.code,
            &mut failed.kind,
        ] {
            clean(name, NAME_CHARS_MAX);
        }
        clean(&mut failed.message, MESSAGE_CHARS_MAX);
        failed.because.iter_mut().for_each(|because| clean(because, MESSAGE_CHARS_MAX));
        failed.causes.truncate(CAUSES_MAX);
        failed.causes.iter_mut().for_each(|cause| clean(cause, MESSAGE_CHARS_MAX));
        Self(failed)
    }

    /// Whether the session with the platform's own backend has expired: its 401 and 403 (spec B2). Those who embed
    /// weir learn it so; nobody is paged.
    #[must_use]
    pub fn is_session_expired(&self) -> bool {
        self.house && matches!(self.status, 401 | 403) && self.report != Report::Page
    }

    /// The failure in one line, with all causes (spec B7).
    #[must_use]
    pub fn chain(&self) -> String {
        let status = if self.status == 0 { String::new() } else { format!(" ({})", self.status) };
        let mut chain = format!("{} API error{status}", self.provider);
        for part in std::iter::once(&self.message).chain(&self.causes).filter(|part| !part.is_empty()) {
            chain.push_str(if chain.ends_with(')') || chain.ends_with("error") { ": " } else { " | " });
            chain.push_str(part);
        }
        excerpt(&chain, MESSAGE_CHARS_MAX)
    }
}

impl Deref for FailureEvent {
    type Target = Failed;

    fn deref(&self) -> &Failed {
        &self.0
    }
}

fn clean(text: &mut String, chars_max: usize) {
    if text.len() > chars_max || matches!(redact(text), std::borrow::Cow::Owned(_)) {
        *text = excerpt(text, chars_max);
    }
}

/// A request that ended with a failure: its last attempt failed, too.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AllExhausted {
    model: String,
    class: Class,
    attempts: Vec<FailureEvent>,
}

impl AllExhausted {
    /// The failed attempts of one request in their order, the model that its caller asked for, and the class that the
    /// caller was told, which is the most informative one. None without an attempt.
    #[must_use]
    pub fn new(model: &str, class: Class, mut attempts: Vec<FailureEvent>) -> Option<Self> {
        attempts.truncate(ATTEMPTS_MAX);
        (!attempts.is_empty()).then(|| Self { model: excerpt(model, NAME_CHARS_MAX), class, attempts })
    }

    /// The model that the caller asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The class that the caller was told.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The failed attempts in their order; never empty.
    #[must_use]
    pub fn attempts(&self) -> &[FailureEvent] {
        &self.attempts
    }

    /// The last attempt, whose time, decision, request and identity are the request's.
    #[must_use]
    pub fn last(&self) -> Option<&FailureEvent> {
        self.attempts.last()
    }
}

/// Who is told of failures. It is called on the path of requests: it must return at once and cannot fail them.
pub trait FailureObserver: Send + Sync {
    /// One attempt has failed. Called exactly once for each failed attempt, after it was classed.
    fn failed(&self, event: &FailureEvent);

    /// A request has ended with a failure, since no attempt is left or none may follow. Called at most once for a
    /// request, after [`FailureObserver::failed`] was called for each of its attempts.
    fn all_exhausted(&self, event: &AllExhausted);

    /// The stop-loss has taken a rule back to shadow. Called on the node that did, once for a version of a rule.
    fn rule_stopped(&self, stop: &RuleStop) {
        let _ = stop;
    }
}

/// Several observers, told in order; none of them is one who is not interested.
#[derive(Clone, Default)]
pub struct Observers(Vec<Arc<dyn FailureObserver>>);

impl Observers {
    /// Those who are told.
    #[must_use]
    pub fn new(observers: Vec<Arc<dyn FailureObserver>>) -> Self {
        Self(observers)
    }
}

impl FailureObserver for Observers {
    fn failed(&self, event: &FailureEvent) {
        self.0.iter().for_each(|observer| observer.failed(event));
    }

    fn all_exhausted(&self, event: &AllExhausted) {
        self.0.iter().for_each(|observer| observer.all_exhausted(event));
    }

    fn rule_stopped(&self, stop: &RuleStop) {
        self.0.iter().for_each(|observer| observer.rule_stopped(stop));
    }
}

#[cfg(test)]
mod tests;
