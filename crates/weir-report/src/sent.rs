//! What was sent when: so that whoever looks at failures sees whether somebody was told.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use weir_core::Timestamp;
use weir_core::failure::FailureEvent;

/// Groups whose last report is remembered; others are said to have none.
const GROUPS_MAX: usize = 4_096;

/// The last report of each class, provider and owner.
#[derive(Default)]
pub(crate) struct Sent {
    at: Mutex<HashMap<[Box<str>; 3], Timestamp>>,
}

impl Sent {
    pub(crate) fn note(&self, event: &FailureEvent, at: Timestamp) {
        let key = [event.class.as_str(), &event.provider, event.owner.as_str()].map(Box::from);
        let mut sent = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() < GROUPS_MAX || sent.contains_key(&key) {
            sent.insert(key, at);
        }
    }

    pub(crate) fn at(&self, class: &str, provider: &str, owner: &str) -> Option<Timestamp> {
        let key = [class, provider, owner].map(Box::from);
        self.at.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }
}
