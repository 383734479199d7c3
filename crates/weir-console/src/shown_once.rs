//! Keys that were just made and wait for the one page that shows them: in memory, bound to the session that made them,
//! for a minute. So the answer to the form is a redirect, and loading the page again makes no second key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use weir_core::secret::Secret;

/// How long a key waits for its page.
pub(crate) const KEPT: Duration = Duration::from_secs(60);
/// Keys that wait at a time; the oldest goes.
const WAITING_MAX: usize = 64;

/// The keys that wait.
#[derive(Default)]
pub(crate) struct ShownOnce {
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    /// The token of the session's forms: whoever knows it is in that session.
    session: String,
    id: String,
    key: Secret,
    until: Timestamp,
}

impl ShownOnce {
    fn waiting(&self, now: Timestamp) -> MutexGuard<'_, Vec<Waiting>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| one.until > now);
        waiting
    }

    /// Keeps a key for the session's next page.
    pub(crate) fn keep(&self, session: &str, id: &str, key: Secret, now: Timestamp) {
        let mut waiting = self.waiting(now);
        if waiting.len() >= WAITING_MAX {
            waiting.remove(0);
        }
        let until = now.saturating_add(KEPT).unwrap_or(now);
        waiting.push(Waiting { session: session.to_owned(), id: id.to_owned(), key, until });
    }

    /// The key, for the session that made it, and then no more.
    pub(crate) fn take(&self, session: &str, id: &str, now: Timestamp) -> Option<Secret> {
        let mut waiting = self.waiting(now);
        let at = waiting.iter().position(|one| one.id == id && one.session == session)?;
        Some(waiting.swap_remove(at).key)
    }

    /// Forgets a key that nobody came for.
    pub(crate) fn forget(&self, id: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| one.id != id);
    }
}

#[cfg(test)]
mod tests {
    use weir_core::secret::expose;

    use super::*;

    #[test]
    fn a_key_is_shown_once_to_its_session_and_for_a_minute() {
        let slots = ShownOnce::default();
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        slots.keep("ada", "k1", "secret".to_owned().into(), now);
        assert!(slots.take("bob", "k1", now).is_none() && slots.take("ada", "k2", now).is_none());
        assert_eq!(slots.take("ada", "k1", now).as_ref().map(expose), Some("secret"));
        assert!(slots.take("ada", "k1", now).is_none());
        slots.keep("ada", "k1", "secret".to_owned().into(), now);
        assert!(slots.take("ada", "k1", now + KEPT).is_none());
        slots.keep("ada", "k1", "secret".to_owned().into(), now);
        slots.forget("k1");
        assert!(slots.take("ada", "k1", now).is_none());
        for n in 0..=WAITING_MAX {
            slots.keep("ada", &n.to_string(), "secret".to_owned().into(), now);
        }
        assert!(slots.take("ada", "0", now).is_none() && slots.take("ada", "1", now).is_some());
    }
}
