//! Limits: windows that begin with the first counted request. This file counts in process; `redis` counts for all
//! nodes together and falls back to this one.

mod shared;
mod windows;

use std::time::Duration;

use weir_core::record::limit_of_rule;
use weir_core::{IdentityKey, Limit};

pub(super) use self::shared::OveradmissionBound;
pub use self::windows::LIMIT_WINDOWS_MAX;
pub(super) use self::windows::LocalLimits;

/// One limit that a request is counted against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitCharge {
    /// Whom and what it counts. Charges with the same part in braces are counted together, in one step; see
    /// [`LimitCharge::new`].
    pub key: String,
    /// How many requests may pass in one window.
    pub requests: u64,
    /// The window's length.
    pub per: Duration,
}

impl LimitCharge {
    /// The limit `name` (`rule:<id>`, `free-model`, `address`) of one subject: an identity's key or an address. The
    /// subject is put in braces, Redis' way to keep all its limits on one node of a cluster.
    #[must_use]
    pub fn new(subject: &str, name: &str, requests: u64, per: Duration) -> Self {
        Self { key: format!("{}:{name}", braced(subject)), requests, per }
    }

    /// The limit that a rule puts on an identity.
    #[must_use]
    pub fn of_rule(identity: &IdentityKey, limit: &Limit) -> Self {
        Self::new(
            identity.as_str(),
            &limit_of_rule(&limit.rule),
            limit.requests,
            Duration::from_secs(limit.per_s),
        )
    }

    /// What of the key decides on which node of a cluster it is.
    pub(super) fn slot_tag(&self) -> &str {
        let inner = self.key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        inner.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(&self.key)
    }

    pub(super) fn per_ms(&self) -> i64 {
        i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX).max(1)
    }
}

/// A subject in braces, those of its own escaped: the part of a key that decides on its node.
pub(super) fn braced(subject: &str) -> String {
    let subject = subject.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
    format!("{{{subject}}}")
}

/// What counting a request against its limits gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitOutcome {
    /// The limit that this request exceeds; of several, the one that must be waited for longest.
    pub exceeded: Option<Exceeded>,
}

/// A limit that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which of the charges.
    pub index: usize,
    /// What is left of its window.
    pub retry_after: Duration,
}

impl LimitOutcome {
    /// Adds what charge `index` gave: `Some` of the rest of its window when it is exceeded.
    pub(super) fn add(&mut self, index: usize, left: Option<Duration>) {
        let Some(retry_after) = left else { return };
        if self.exceeded.is_none_or(|e| retry_after > e.retry_after) {
            self.exceeded = Some(Exceeded { index, retry_after });
        }
    }
}
