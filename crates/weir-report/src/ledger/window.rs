//! One window of time: how many failures it saw, of how many identities.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use weir_core::failure::FailureEvent;

use super::{Distinct, Tally, signed};

/// How many identities one window tells apart. With 8 bytes each, and 1024 windows of two kinds, that is 160 MB at the
/// very worst, which takes ten million identities that all fail.
const IDENTITIES_MAX: usize = 10_000;

/// Different identities, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Identities {
    seen: HashSet<u64>,
    more: bool,
}

impl Identities {
    pub(super) fn add(&mut self, subject: &str) {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.len() < IDENTITIES_MAX {
            self.seen.insert(hash);
        } else {
            self.more |= !self.seen.contains(&hash);
        }
    }

    pub(super) fn distinct(&self) -> Distinct {
        Distinct { number: self.seen.len(), more: self.more }
    }
}

/// A window that began with a failure.
#[derive(Debug)]
pub(super) struct Window {
    start: Timestamp,
    length: Duration,
    first: FailureEvent,
    count: u64,
    identities: Identities,
    /// How many of those counted were told when they came.
    told: u64,
}

impl Window {
    /// The window that a failure opens; it is yet to be added. It counts as told.
    pub(super) fn new(event: &FailureEvent, length: Duration) -> Self {
        Self {
            start: event.at,
            length,
            first: event.clone(),
            count: 0,
            identities: Identities::default(),
            told: 1,
        }
    }

    pub(super) fn add(&mut self, event: &FailureEvent) {
        self.count += 1;
        self.identities.add(&event.subject);
    }

    pub(super) const fn start(&self) -> Timestamp {
        self.start
    }

    pub(super) fn end(&self) -> Timestamp {
        self.start.saturating_add(signed(self.length)).unwrap_or(Timestamp::MAX)
    }

    /// What was counted until now, if anything was.
    pub(super) fn tally(&self, now: Timestamp) -> Option<Tally> {
        let passed = Duration::try_from(now.duration_since(self.start)).unwrap_or_default();
        (self.count > 0).then(|| Tally {
            example: self.first.clone(),
            count: self.count,
            identities: self.identities.distinct(),
            window: self.length.min(passed),
            until: now,
        })
    }

    /// Begins the next window, and gives what of this one was not told yet.
    pub(super) fn turn(&mut self, now: Timestamp, length: Duration) -> Option<Tally> {
        let tally = self.tally(now).filter(|tally| tally.count > self.told);
        self.start = now;
        self.length = length;
        self.count = 0;
        self.identities = Identities::default();
        self.told = 0;
        tally
    }
}
