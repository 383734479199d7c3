//! The windows of limits in process.
//!
//! A sharded map from the hash of a key to its window. It is bounded: expired windows are swept while new ones come
//! in, and at the cap those that end soonest leave.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weir_core::clock::SharedClock;

use super::{LimitCharge, LimitOutcome};
use crate::cache::earliest::Earliest;
use crate::clock::to_ms;

/// Windows that are kept at most, about 64 bytes each. Beyond, the ones that end soonest are forgotten, which can
/// admit an identity early but never refuses one wrongly.
pub const LIMIT_WINDOWS_MAX: usize = 1 << 20;

const SHARDS: usize = 64;
const SHARD_MAX: usize = LIMIT_WINDOWS_MAX / SHARDS;

/// Windows in a shard before sweeping is worth its while.
const SWEEP_FROM: usize = 256;

/// 128 bits of two keyed hashes: a caller who picks his own identity can neither collide with another's nor pile up
/// keys in one shard.
type Hashed = u128;

#[derive(Clone, Copy)]
struct Window {
    /// Requests counted by this node alone.
    counted: u64,
    /// How many of them this node may let pass; the limit itself, or this node's share of it.
    allowed: u64,
    ends_ms: i64,
}

#[derive(Default)]
struct Shard {
    windows: HashMap<Hashed, Window, foldhash::fast::RandomState>,
    sweep_at: usize,
}

/// Counts limits in this process, by the clock it is given.
pub(in crate::cache) struct LocalLimits {
    shards: Vec<Mutex<Shard>>,
    hashers: (RandomState, RandomState),
    clock: SharedClock,
}

impl LocalLimits {
    pub(in crate::cache) fn new(clock: SharedClock) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hashers: (RandomState::new(), RandomState::new()), clock }
    }

    /// Counts a request against limits that only this node keeps.
    pub(in crate::cache) fn consume(&self, charges: &[LimitCharge]) -> LimitOutcome {
        let mut outcome = LimitOutcome::default();
        for (index, charge) in charges.iter().enumerate() {
            outcome.add(index, self.consume_share(charge, 1));
        }
        outcome
    }

    /// Counts a request against this node's share of a limit that `nodes` nodes keep while they cannot speak; when it
    /// is exceeded, what is left of its window.
    pub(in crate::cache) fn consume_share(&self, charge: &LimitCharge, nodes: u64) -> Option<Duration> {
        self.count(charge, share(charge.requests, nodes), to_ms(self.clock.now()))
    }

    /// Remembers what Redis said of a limit, so that the share of a later outage is one of what is left.
    pub(in crate::cache) fn mirror(&self, charge: &LimitCharge, counted: u64, left: Duration, nodes: u64) {
        let now = to_ms(self.clock.now());
        let rest = charge.requests.saturating_sub(counted);
        let allowed = if rest == 0 { 0 } else { share(rest, nodes) };
        let left = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let window = Window { counted: 0, allowed, ends_ms: now.saturating_add(left) };
        let hashed = self.hashed(charge);
        let mut shard = self.shard(hashed);
        shard.make_room(hashed, now);
        shard.windows.insert(hashed, window);
    }

    /// Counts one charge; when it is exceeded, what is left of the window.
    fn count(&self, charge: &LimitCharge, allowed: u64, now: i64) -> Option<Duration> {
        let hashed = self.hashed(charge);
        let mut shard = self.shard(hashed);
        let alive = shard.windows.get_mut(&hashed).filter(|window| window.ends_ms > now);
        let window = match alive {
            Some(window) => {
                window.counted = window.counted.saturating_add(1);
                *window
            }
            None => {
                let window = Window { counted: 1, allowed, ends_ms: now.saturating_add(charge.per_ms()) };
                shard.make_room(hashed, now);
                shard.windows.insert(hashed, window);
                window
            }
        };
        drop(shard);
        let left = u64::try_from(window.ends_ms.saturating_sub(now)).unwrap_or(0);
        (window.counted > window.allowed).then(|| Duration::from_millis(left))
    }

    /// The length belongs to the key: a rule whose `per` was changed begins anew.
    fn hashed(&self, charge: &LimitCharge) -> Hashed {
        let key = (charge.key.as_str(), charge.per_ms());
        (u128::from(self.hashers.0.hash_one(key)) << 64) | u128::from(self.hashers.1.hash_one(key))
    }

    #[expect(clippy::indexing_slicing, reason = "the index is below the number of shards")]
    fn shard(&self, hashed: Hashed) -> MutexGuard<'_, Shard> {
        let index = (hashed % SHARDS as u128) as usize;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().unwrap().windows.len()).sum()
    }
}

/// This node's share of a limit: never nothing, so that a node that cannot speak still serves.
pub(in crate::cache) fn share(requests: u64, nodes: u64) -> u64 {
    if nodes <= 1 { requests } else { (requests / nodes).max(1) }
}

impl Shard {
    /// Sweeps when the shard has doubled since it last was, so that each insertion pays a constant share.
    fn make_room(&mut self, incoming: Hashed, now: i64) {
        if self.windows.len() < self.sweep_at.clamp(SWEEP_FROM, SHARD_MAX)
            || self.windows.contains_key(&incoming)
        {
            return;
        }
        self.windows.retain(|_, window| window.ends_ms > now);
        if self.windows.len() >= SHARD_MAX {
            self.evict();
        }
        self.sweep_at = self.windows.len().saturating_mul(2);
    }

    /// Forgets the eighth that ends soonest.
    fn evict(&mut self) {
        let eighth = SHARD_MAX / 8;
        let mut leaving = Earliest::of(self.windows.values().map(|window| window.ends_ms).collect(), eighth);
        self.windows.retain(|_, window| !leaving.takes(window.ends_ms));
        metrics::counter!("weir_limit_windows_evicted_total").increment(eighth as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_testkit::ManualClock;

    use super::*;

    #[test]
    fn windows_that_have_ended_are_swept_while_new_ones_come() {
        let clock = ManualClock::at_ten();
        let limits = LocalLimits::new(Arc::new(clock.clone()));
        for round in 0..20 {
            for n in 0..5_000 {
                let subject = format!("{round}-{n}");
                limits.consume(&[LimitCharge::new(&subject, "rule:r", 1, Duration::from_secs(1))]);
            }
            clock.advance(Duration::from_secs(2));
        }
        let kept = limits.len();
        assert!(
            kept <= SHARDS * SWEEP_FROM,
            "{kept} of 100,000 windows are kept, of which 5,000 may be alive"
        );
    }

    #[test]
    fn a_full_shard_forgets_the_windows_that_end_soonest() {
        let mut shard = Shard::default();
        let most = SHARD_MAX as i64;
        for n in 0..most + 1 {
            let window = Window { counted: 1, allowed: 1, ends_ms: 1_000 + n };
            shard.make_room(n as u128, 0);
            shard.windows.insert(n as u128, window);
        }
        assert_eq!(shard.windows.len(), SHARD_MAX - SHARD_MAX / 8 + 1);
        let soonest = shard.windows.values().map(|w| w.ends_ms).min();
        assert_eq!(soonest, Some(1_000 + most / 8));
    }

    #[test]
    fn a_share_is_never_nothing_and_never_more_than_the_limit() {
        for (requests, nodes, expected) in
            [(10, 1, 10), (10, 3, 3), (10, 10, 1), (3, 10, 1), (0, 1, 0), (7, 0, 7)]
        {
            assert_eq!(share(requests, nodes), expected, "{requests} {nodes}");
        }
    }

    #[test]
    fn an_outage_goes_on_from_what_redis_said_last() {
        let clock = ManualClock::at_ten();
        let limits = LocalLimits::new(Arc::new(clock.clone()));
        let charge = LimitCharge::new("user:ann", "rule:r", 100, Duration::from_secs(60));
        limits.mirror(&charge, 60, Duration::from_secs(10), 4);
        let pass = || limits.consume_share(&charge, 4).is_none();
        assert_eq!((0..50).filter(|_| pass()).count(), 10, "a quarter of what was left");
        clock.advance(Duration::from_secs(10));
        assert_eq!((0..50).filter(|_| pass()).count(), 25, "a quarter of a window");
    }
}
