//! The last defence before an event leaves (spec B9): what nobody can act on is dropped, what looks like a secret is
//! taken out of every text.
//!
//! The ledger has decided before; the guard is for what something else may have built. An event that was classed is
//! judged by its class, any other by its tags and its text, as the seed does. What the guard drops, Sentry is told of in
//! a client report.

use std::collections::BTreeMap;

use sentry::protocol::Event;
use serde_json::Value;
use weir_core::redact::redact;

use super::event::{CLASS, CREDENTIAL, OWNER};

/// Statuses that pass by themselves (spec B5).
const TRANSIENT: &[&str] = &["408", "429", "502", "503", "504", "520"];

/// What a 400 says when an account is out of money (spec B4).
const BUDGET: &[&str] = &[
    "insufficient budget",
    "budget exceeded",
    "add credits",
    "insufficient balance",
    "no remaining credits",
    "credit balance is too low",
];

/// What a 401 says when a session is over (spec B8).
const SESSION: &[&str] = &["session expired", "no backend session token", "session jwt required"];

/// Domains in which a session can be over.
const SESSION_DOMAINS: &[&str] = &["llm_provider", "backend_api", "rpc"];

/// Classes that are about the account or key that was used: with the caller's own, nobody is called.
const OF_CREDENTIAL: &[&str] =
    &["quota_exhausted", "auth_invalid", "permission_denied", "access_policy_denied"];

/// Whether an event with these tags and this text is dropped.
///
/// ```
/// use weir_report::guard::drops;
///
/// let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
/// assert!(drops(&tags(&[("domain", "llm_provider"), ("failure", "non_2xx"), ("status", "503")]), ""));
/// assert!(!drops(&tags(&[("domain", "llm_provider"), ("failure", "all_exhausted"), ("status", "503")]), ""));
/// ```
#[must_use]
pub fn drops(tags: &BTreeMap<String, String>, text: &str) -> bool {
    let tag = |name: &str| tags.get(name).map_or("", String::as_str);
    if tag("failure") == "all_exhausted" {
        return false;
    }
    if !tag(OWNER).is_empty() {
        return tag(CREDENTIAL) == "user" && OF_CREDENTIAL.contains(&tag(CLASS));
    }
    let text = text.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    let non_2xx = tag("failure") == "non_2xx";
    let transient = tag("domain") == "llm_provider" && non_2xx && TRANSIENT.contains(&tag("status"));
    let budget = non_2xx && tag("status") == "400" && says(BUDGET);
    let session = SESSION_DOMAINS.contains(&tag("domain"))
        && says(SESSION)
        && (tag("status") == "401" || tag("domain") == "rpc");
    transient || budget || session
}

/// The event without secrets, unless it is dropped.
pub(super) fn pass(event: Event<'static>) -> Option<Event<'static>> {
    let said = event.message.iter().chain(event.exception.values.last().and_then(|last| last.value.as_ref()));
    let text = said.map(String::as_str).collect::<Vec<_>>().join("\n");
    (!drops(&event.tags, &text)).then(|| clean(event))
}

/// Takes secrets out of every text of an event, whatever member holds it.
fn clean(event: Event<'static>) -> Event<'static> {
    let cleaned = serde_json::to_value(&event).ok().and_then(|mut value| {
        clean_value(&mut value);
        serde_json::from_value(value).ok()
    });
    // An event that cannot be taken apart is not lost: the members that a page needs were redacted where it was made.
    cleaned.unwrap_or_else(|| Event {
        event_id: event.event_id,
        level: event.level,
        message: event.message.map(|text| redact(&text).into_owned()),
        fingerprint: event.fingerprint,
        tags: event.tags.into_iter().map(|(name, value)| (name, redact(&value).into_owned())).collect(),
        timestamp: event.timestamp,
        release: event.release,
        environment: event.environment,
        ..Event::default()
    })
}

fn clean_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(clean_value),
        Value::Object(members) => members.values_mut().for_each(clean_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
