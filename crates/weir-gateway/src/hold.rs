//! Slots for requests that wait in quarantine: bounded in all and for each identity.
//!
//! Without the second bound a slowed identity could simply open more connections, and slow would become cheap
//! parallelism; without the first, waiting requests could use up the memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use weir_core::IdentityKey;

/// How many requests may wait at once (configuration: `abuse.quarantine`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct HoldBounds {
    /// In all.
    pub(crate) held_max: usize,
    /// Of one identity.
    pub(crate) held_per_identity_max: usize,
}

/// The requests that wait now.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    held: AtomicUsize,
    by_identity: Mutex<HashMap<IdentityKey, usize>>,
}

/// The place of one waiting request; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct HoldSlot {
    holds: Arc<Holds>,
    identity: IdentityKey,
}

impl Holds {
    /// How many wait.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes a place, or none when either bound is reached.
    pub(crate) fn take(self: &Arc<Self>, identity: &IdentityKey, bounds: HoldBounds) -> Option<HoldSlot> {
        let mut by_identity = self.by_identity.lock().unwrap_or_else(PoisonError::into_inner);
        if self.held.load(Ordering::Relaxed) >= bounds.held_max {
            return None;
        }
        match by_identity.get_mut(identity) {
            Some(count) if *count >= bounds.held_per_identity_max => return None,
            Some(count) => *count += 1,
            None => {
                if bounds.held_per_identity_max == 0 {
                    return None;
                }
                by_identity.insert(identity.clone(), 1);
            }
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        shown().increment(1.0);
        Some(HoldSlot { holds: Arc::clone(self), identity: identity.clone() })
    }
}

impl Drop for HoldSlot {
    fn drop(&mut self) {
        let mut by_identity = self.holds.by_identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_identity.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                by_identity.remove(&self.identity);
            }
        }
        self.holds.held.fetch_sub(1, Ordering::Relaxed);
        shown().decrement(1.0);
    }
}

/// How many requests wait, for the operator. It goes with the places, so that a client that leaves is not shown waiting.
fn shown() -> metrics::Gauge {
    metrics::gauge!("weir_quarantine_held")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_places_are_given_back() {
        let holds = Arc::new(Holds::default());
        let bounds = HoldBounds { held_max: 3, held_per_identity_max: 2 };
        let (a, b) = (IdentityKey::from_stored("user:a"), IdentityKey::from_stored("user:b"));
        let first = holds.take(&a, bounds);
        let second = holds.take(&a, bounds);
        assert!(first.is_some() && second.is_some());
        assert!(holds.take(&a, bounds).is_none(), "the identity's bound");
        let third = holds.take(&b, bounds);
        assert!(third.is_some());
        assert!(holds.take(&b, bounds).is_none(), "the bound of all");
        drop(first);
        assert_eq!(holds.held(), 2);
        assert!(holds.take(&b, bounds).is_some());
        drop((second, third));
        assert_eq!(holds.held(), 0);
        assert!(holds.by_identity.lock().unwrap().is_empty());
    }

    #[test]
    fn a_place_that_is_given_back_gives_no_other_back() {
        let holds = Arc::new(Holds::default());
        let bounds = HoldBounds { held_max: 10, held_per_identity_max: 2 };
        let identity = IdentityKey::from_stored("user:a");
        let mut held: Vec<_> = (0..2).map(|_| holds.take(&identity, bounds)).collect();
        held.pop();
        held.push(holds.take(&identity, bounds));
        assert!(held.iter().all(Option::is_some));
        assert!(holds.take(&identity, bounds).is_none(), "the one that still waits counts");
    }
}
