//! Stats of all nodes together, on Redis. Adding never waits: what was added is summed for each identity and sent by a
//! task of its own; while Redis does not answer it is dropped and counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use weir_core::IdentityKey;

use super::{STATS_IPS_MAX, StatsEvent, Totals};
use crate::cache::names;
use crate::cache::redis::{Redis, STATS_ADD, STATS_READ};
use crate::error::{ErrorKind, Result, StoreError};
use crate::keys::hex;

/// How often sums are sent.
const SEND_EVERY: Duration = Duration::from_millis(200);

/// Identities whose sums may wait to be sent.
const WAITING_MAX: usize = 10_000;

/// Addresses of one identity that may wait to be sent.
const WAITING_IPS_MAX: usize = 16;

/// Scripts that are on their way at once.
const SENT_AT_ONCE: usize = 32;

/// Identities that have stats on Redis at most; beyond, those that were silent longest leave first.
pub const STATS_IDENTITIES_SHARED_MAX: i64 = 1_000_000;

/// How long the stats of a silent identity are kept on Redis, in seconds: as long as `first_seen_s` remembers it.
const SILENT_MAX_S: u64 = 24 * 3600;

#[derive(Default)]
struct Sum {
    requests: u64,
    tokens: u64,
    spend_microusd: u64,
    denied: u64,
    ips: Vec<String>,
}

/// What was added and not yet sent.
#[derive(Default)]
pub(in crate::cache) struct StatsQueue {
    waiting: Mutex<HashMap<IdentityKey, Sum>>,
}

impl StatsQueue {
    /// Adds an event to the sum of its identity.
    pub(in crate::cache) fn add(&self, identity: &IdentityKey, event: StatsEvent) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains_key(identity) && waiting.len() >= WAITING_MAX {
            dropped(1);
            return;
        }
        waiting.entry(identity.clone()).or_default().add(event);
    }

    /// Sends what waits now and then; never ends.
    pub(in crate::cache) async fn keep_sending(self: Arc<Self>, redis: Arc<Redis>) {
        loop {
            tokio::time::sleep(SEND_EVERY).await;
            self.send(&redis).await;
        }
    }

    /// Sends what waits now.
    pub(in crate::cache) async fn send(&self, redis: &Redis) {
        let sums = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if sums.is_empty() {
            return;
        }
        let identities: Vec<IdentityKey> = sums.keys().cloned().collect();
        let sent = futures_util::stream::iter(sums)
            .map(|(identity, sum)| async move { redis.add_stats(&identity, &sum).await })
            .buffer_unordered(SENT_AT_ONCE);
        let failed = sent.filter(|result| std::future::ready(result.is_err())).count().await;
        dropped(failed as u64);
        if redis.index(&identities).await.is_err() {
            // They are found again with their next request; without one they expire.
            tracing::debug!("identities with new stats could not be listed");
        }
    }
}

fn dropped(count: u64) {
    if count > 0 {
        metrics::counter!("weir_stats_dropped_total").increment(count);
    }
}

impl Sum {
    fn add(&mut self, event: StatsEvent) {
        self.requests = self.requests.saturating_add(event.requests);
        self.tokens = self.tokens.saturating_add(event.tokens);
        self.spend_microusd = self.spend_microusd.saturating_add(event.spend_microusd);
        self.denied = self.denied.saturating_add(event.denied);
        if let Some(ip) = event.ip
            && self.ips.len() < WAITING_IPS_MAX
            && !self.ips.contains(&ip)
        {
            self.ips.push(ip);
        }
    }
}

impl Redis {
    async fn add_stats(&self, identity: &IdentityKey, sum: &Sum) -> Result<()> {
        let numbers =
            [sum.requests, sum.tokens, sum.spend_microusd, sum.denied, SILENT_MAX_S, STATS_IPS_MAX as u64];
        let mut arguments: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        arguments.extend(sum.ips.iter().map(|ip| digest(ip)));
        self.script(&STATS_ADD, &names::stats(identity.as_str()), &arguments).await
    }

    /// Lists identities by the time they were seen, and forgets those beyond the cap that were silent longest.
    async fn index(&self, identities: &[IdentityKey]) -> Result<()> {
        let (now, _): (i64, i64) = self.call(&redis::cmd("TIME")).await?;
        for some in identities.chunks(500) {
            let mut add = redis::cmd("ZADD");
            add.arg(names::STATS_INDEX);
            for identity in some {
                add.arg(now).arg(identity.as_str());
            }
            self.call::<()>(&add).await?;
        }
        let silent = now.saturating_sub(i64::try_from(SILENT_MAX_S).unwrap_or(i64::MAX));
        self.call::<()>(redis::cmd("ZREMRANGEBYSCORE").arg(names::STATS_INDEX).arg("-inf").arg(silent))
            .await?;
        let listed: i64 = self.call(redis::cmd("ZCARD").arg(names::STATS_INDEX)).await?;
        let surplus = listed.saturating_sub(STATS_IDENTITIES_SHARED_MAX).min(1_000);
        if surplus > 0 {
            let gone: Vec<(String, f64)> =
                self.call(redis::cmd("ZPOPMIN").arg(names::STATS_INDEX).arg(surplus)).await?;
            for (identity, _) in gone {
                self.call::<()>(redis::cmd("UNLINK").arg(&names::stats(&identity))).await?;
            }
        }
        Ok(())
    }

    /// The sums of an identity.
    pub(in crate::cache) async fn stats(&self, identity: &IdentityKey) -> Result<Totals> {
        let sums: Vec<u64> = self.script(&STATS_READ, &names::stats(identity.as_str()), &[]).await?;
        let [requests_60s, requests, tokens, spend_microusd, denied, ips, known_s] = sums[..] else {
            return Err(StoreError::new(
                ErrorKind::Corrupt,
                "the script of stats gave another number of answers",
            ));
        };
        Ok(Totals { requests_60s, requests, tokens, spend_microusd, denied, ips, known_s })
    }
}

/// Addresses are kept on Redis as the beginning of their hash: they are counted, not read.
fn digest(ip: &str) -> String {
    hex(Sha256::digest(ip).get(..8).unwrap_or_default())
}
