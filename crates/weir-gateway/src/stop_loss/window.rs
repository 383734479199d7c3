//! Which identities were seen of late, and which of them each rule has hit.
//!
//! Exact up to [`ENTRIES_MAX`] entries. Beyond, only identities whose hash ends with so many zero bits are kept, of those
//! seen and of those hit alike: the share stays unbiased, and its standard error is at most 1 / (2 * sqrt(n)) for the n
//! identities that are still kept (0.4 % of all identities when n is 16,384).

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use weir_core::Timestamp;

use super::slot_of;

/// Parts of a window: an identity counts as seen for a window, or up to one part less.
const SLOTS: i64 = 16;
const SLOTS_LEN: usize = 16;

/// Identities, those seen and those hit by each rule together, that are kept: about 5 MB.
const ENTRIES_MAX: usize = 131_072;

/// Identities and when they came last.
#[derive(Default)]
struct Recent {
    last: HashMap<u64, i64, RandomState>,
    counts: [u64; SLOTS_LEN],
}

fn index(slot: i64) -> usize {
    usize::try_from(slot.rem_euclid(SLOTS)).unwrap_or_default()
}

impl Recent {
    /// Notes one; what is older than a window has been dropped before.
    fn note(&mut self, hash: u64, slot: i64) {
        match self.last.insert(hash, slot) {
            Some(before) if before == slot => {}
            Some(before) => {
                self.lower(before);
                self.raise(slot);
            }
            None => self.raise(slot),
        }
    }

    fn raise(&mut self, slot: i64) {
        if let Some(count) = self.counts.get_mut(index(slot)) {
            *count += 1;
        }
    }

    fn lower(&mut self, slot: i64) {
        if let Some(count) = self.counts.get_mut(index(slot)) {
            *count = count.saturating_sub(1);
        }
    }

    fn keep(&mut self, wanted: impl Fn(u64, i64) -> bool) {
        self.last.retain(|hash, slot| wanted(*hash, *slot));
        self.counts = [0; SLOTS_LEN];
        let slots: Vec<i64> = self.last.values().copied().collect();
        slots.into_iter().for_each(|slot| self.raise(slot));
    }

    fn number(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What one node sees.
#[derive(Default)]
pub(super) struct Watch {
    hasher: RandomState,
    slot_ms: i64,
    slot: i64,
    /// How many bits of a hash must be zero.
    level: u32,
    seen: Recent,
    /// By rule and version.
    hits: HashMap<Box<str>, Recent, RandomState>,
}

impl Watch {
    /// Lets go of what is older than a window.
    pub(super) fn turn(&mut self, window: Duration, now: Timestamp) {
        let slot_ms = (i64::try_from(window.as_millis()).unwrap_or(i64::MAX) / SLOTS).max(1);
        let slot = slot_of(now, slot_ms);
        if slot_ms != self.slot_ms {
            let hasher = self.hasher.clone();
            *self = Self { hasher, slot_ms, slot, ..Self::default() };
        }
        // Requests come in no exact order: one that is older is counted with the newest.
        if slot > self.slot {
            self.slot = slot;
            let young = |_: u64, at: i64| slot - at < SLOTS;
            self.seen.keep(young);
            self.hits.values_mut().for_each(|hits| hits.keep(young));
            self.hits.retain(|_, hits| hits.number() > 0);
            if self.level > 0 && self.entries() < ENTRIES_MAX / 4 {
                self.level -= 1;
            }
        }
    }

    /// Notes that an identity was seen.
    pub(super) fn see(&mut self, subject: &str) {
        let hash = self.hash(subject);
        if self.is_sampled(hash) {
            self.seen.note(hash, self.slot);
            self.bound();
        }
    }

    /// Notes that a rule hits an identity, and says how many it has hit and how many were seen.
    pub(super) fn hit(&mut self, rule: &str, version: &str, subject: &str) -> (u64, u64) {
        let hash = self.hash(subject);
        let key = key(rule, version);
        if self.is_sampled(hash) {
            let slot = self.slot;
            self.hits.entry(key.clone()).or_default().note(hash, slot);
            self.bound();
        }
        let hit = self.hits.get(&key).map_or(0, Recent::number);
        (hit << self.level, self.seen.number() << self.level)
    }

    /// Forgets a rule that is watched no longer.
    pub(super) fn forget(&mut self, rule: &str, version: &str) {
        self.hits.remove(&key(rule, version));
    }

    fn hash(&self, subject: &str) -> u64 {
        use std::hash::BuildHasher as _;
        self.hasher.hash_one(subject)
    }

    const fn is_sampled(&self, hash: u64) -> bool {
        hash.trailing_zeros() >= self.level
    }

    pub(super) fn entries(&self) -> usize {
        self.seen.last.len() + self.hits.values().map(|hits| hits.last.len()).sum::<usize>()
    }

    fn bound(&mut self) {
        // Adding up many rules for each request would cost more than the rest: the seen ones are a cheap first look.
        while self.seen.last.len().saturating_mul(self.hits.len() + 1) > ENTRIES_MAX
            && self.entries() > ENTRIES_MAX
        {
            self.level += 1;
            let level = self.level;
            let sampled = |hash: u64, _: i64| hash.trailing_zeros() >= level;
            self.seen.keep(sampled);
            self.hits.values_mut().for_each(|hits| hits.keep(sampled));
        }
    }
}

fn key(rule: &str, version: &str) -> Box<str> {
    [rule, "\t", version].concat().into()
}
