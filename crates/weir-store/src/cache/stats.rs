//! Stats of identities over sliding windows. This file keeps them in process.
//!
//! The last minute is kept by the second, the last hour by the minute, both sparse: an identity that asks now and then
//! costs a few hundred bytes. A minute's bucket leaves when the minute began an hour ago, so that the hour is one
//! between 59 and 60 minutes long.

mod shared;

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use weir_core::record::Stats;
use weir_core::{IdentityKey, Timestamp};

pub(super) use self::shared::StatsQueue;
use super::earliest::Earliest;
use crate::clock::to_ms;

/// Identities whose stats are kept in process; beyond, those that were silent longest leave first.
pub const STATS_IDENTITIES_MAX: usize = 65_536;

/// Distinct addresses of one identity that are told apart; `ips_1h` does not grow beyond.
pub const STATS_IPS_MAX: usize = 64;

const SHARDS: usize = 64;
const SHARD_MAX: usize = STATS_IDENTITIES_MAX / SHARDS;

const SECONDS: i64 = 60;
const MINUTES: i64 = 60;

/// What one request adds to the stats of its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsEvent {
    /// Requests: 1, or 0 when this only adds what became known of an earlier one.
    pub requests: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// Cost in millionths of a US dollar.
    pub spend_microusd: u64,
    /// Requests that were refused.
    pub denied: u64,
    /// The client's address.
    pub ip: Option<String>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    minute: i64,
    requests: u32,
    denied: u32,
    tokens: u64,
    spend_microusd: u64,
}

#[derive(Default)]
struct Identity {
    first_ms: i64,
    last_ms: i64,
    /// Second and number of requests.
    seconds: Vec<(i64, u32)>,
    minutes: Vec<Bucket>,
    /// Hash of the address and the minute it was last seen in.
    ips: Vec<(u64, i64)>,
}

type Shard = HashMap<IdentityKey, Identity, RandomState>;

/// Keeps stats in this process.
pub(super) struct LocalStats {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl LocalStats {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::default() }
    }

    pub(super) fn read(&self, identity: &IdentityKey, now: Timestamp) -> Stats {
        let now = to_ms(now);
        self.shard(identity).get(identity).map(|found| found.read(now)).unwrap_or_default()
    }

    pub(super) fn add(&self, identity: &IdentityKey, event: &StatsEvent, now: Timestamp) {
        let now = to_ms(now);
        let ip = event.ip.as_deref().map(|ip| self.hasher.hash_one(ip));
        let mut shard = self.shard(identity);
        match shard.get_mut(identity) {
            Some(found) => found.add(now, event, ip),
            None => {
                make_room(&mut shard);
                let mut new = Identity { first_ms: now, ..Identity::default() };
                new.add(now, event, ip);
                shard.insert(identity.clone(), new);
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the index is below the number of shards")]
    fn shard(&self, identity: &IdentityKey) -> MutexGuard<'_, Shard> {
        let index = (self.hasher.hash_one(identity) % SHARDS as u64) as usize;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().unwrap().len()).sum()
    }
}

/// At the cap the eighth that was silent longest leaves.
fn make_room(shard: &mut Shard) {
    if shard.len() < SHARD_MAX {
        return;
    }
    let mut leaving = Earliest::of(shard.values().map(|identity| identity.last_ms).collect(), SHARD_MAX / 8);
    shard.retain(|_, identity| !leaving.takes(identity.last_ms));
}

impl Identity {
    fn add(&mut self, now_ms: i64, event: &StatsEvent, ip: Option<u64>) {
        let (second, minute) = (now_ms.div_euclid(1_000), now_ms.div_euclid(60_000));
        self.last_ms = now_ms;
        if event.requests > 0 {
            self.add_second(second, small(event.requests));
        }
        self.add_minute(minute, event);
        if let Some(ip) = ip {
            self.add_ip(ip, minute);
        }
    }

    fn add_second(&mut self, second: i64, requests: u32) {
        self.seconds.retain(|(at, _)| *at > second - SECONDS);
        match self.seconds.last_mut().filter(|(at, _)| *at == second) {
            Some((_, count)) => *count = count.saturating_add(requests),
            None => self.seconds.push((second, requests)),
        }
    }

    fn add_minute(&mut self, minute: i64, event: &StatsEvent) {
        if self.minutes.last().is_none_or(|bucket| bucket.minute != minute) {
            self.minutes.retain(|bucket| bucket.minute > minute - MINUTES);
            self.minutes.push(Bucket { minute, ..Bucket::default() });
        }
        let Some(bucket) = self.minutes.last_mut() else { return };
        bucket.requests = bucket.requests.saturating_add(small(event.requests));
        bucket.denied = bucket.denied.saturating_add(small(event.denied));
        bucket.tokens = bucket.tokens.saturating_add(event.tokens);
        bucket.spend_microusd = bucket.spend_microusd.saturating_add(event.spend_microusd);
    }

    fn add_ip(&mut self, ip: u64, minute: i64) {
        if let Some((_, seen)) = self.ips.iter_mut().find(|(known, _)| *known == ip) {
            *seen = minute;
            return;
        }
        self.ips.retain(|(_, seen)| *seen > minute - MINUTES);
        if self.ips.len() >= STATS_IPS_MAX {
            let oldest = self.ips.iter().enumerate().min_by_key(|(_, (_, seen))| *seen).map(|(i, _)| i);
            oldest.map(|index| self.ips.swap_remove(index));
        }
        self.ips.push((ip, minute));
    }

    fn read(&self, now_ms: i64) -> Stats {
        let (second, minute) = (now_ms.div_euclid(1_000), now_ms.div_euclid(60_000));
        let last_minute: u64 = self
            .seconds
            .iter()
            .filter(|(at, _)| *at > second - SECONDS)
            .map(|(_, count)| u64::from(*count))
            .sum();
        let mut hour = Totals { requests_60s: last_minute, ..Totals::default() };
        for bucket in self.minutes.iter().filter(|bucket| bucket.minute > minute - MINUTES) {
            hour.requests = hour.requests.saturating_add(u64::from(bucket.requests));
            hour.denied = hour.denied.saturating_add(u64::from(bucket.denied));
            hour.tokens = hour.tokens.saturating_add(bucket.tokens);
            hour.spend_microusd = hour.spend_microusd.saturating_add(bucket.spend_microusd);
        }
        hour.ips = self.ips.iter().filter(|(_, seen)| *seen > minute - MINUTES).count() as u64;
        hour.known_s = u64::try_from(now_ms.saturating_sub(self.first_ms).div_euclid(1_000)).unwrap_or(0);
        hour.into_stats()
    }
}

/// Sums as both the process and Redis count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests_60s: u64,
    pub(super) requests: u64,
    pub(super) tokens: u64,
    pub(super) spend_microusd: u64,
    pub(super) denied: u64,
    pub(super) ips: u64,
    pub(super) known_s: u64,
}

impl Totals {
    /// As facts. `first_seen_s` is how many seconds ago the identity was first seen.
    pub(super) fn into_stats(self) -> Stats {
        let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Stats {
            requests_per_second: self.requests_60s as f64 / SECONDS as f64,
            requests_1h: int(self.requests),
            tokens_1h: int(self.tokens),
            spend_1h_usd: self.spend_microusd as f64 / 1e6,
            denied_1h: int(self.denied),
            ips_1h: int(self.ips),
            first_seen_s: int(self.known_s),
        }
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_identities_than_the_cap() {
        let stats = LocalStats::new();
        for n in 0..2 * STATS_IDENTITIES_MAX {
            stats.add(
                &IdentityKey::from_stored(format!("user:{n}")),
                &StatsEvent::default(),
                Timestamp::UNIX_EPOCH,
            );
        }
        let kept = stats.len();
        assert!(kept <= STATS_IDENTITIES_MAX && kept > STATS_IDENTITIES_MAX / 2, "{kept}");
    }

    #[test]
    fn an_identity_that_never_rests_stays_small() {
        let mut identity = Identity::default();
        for second in 0..3 * 3_600 {
            identity.add(
                second * 1_000,
                &StatsEvent { requests: 1, ..StatsEvent::default() },
                Some(second as u64),
            );
        }
        assert_eq!((identity.seconds.len(), identity.minutes.len()), (60, 60));
        assert_eq!(identity.ips.len(), STATS_IPS_MAX);
        let read = identity.read(3 * 3_600 * 1_000 - 1);
        assert_eq!((read.requests_1h, read.requests_per_second), (3_600, 1.0));
    }
}
