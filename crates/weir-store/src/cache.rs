//! The shared short memory: action cache, limits, stats. In process, or on Redis for any number of nodes.

mod actions;
mod earliest;
mod limits;
mod names;
mod redis;
mod stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache as BoundedMap;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use weir_core::clock::SharedClock;
use weir_core::record::Stats;
use weir_core::secret::Secret;
use weir_core::{IdentityKey, Timestamp};

pub use self::limits::{Exceeded, LIMIT_WINDOWS_MAX, LimitCharge, LimitOutcome};
pub use self::stats::{STATS_IDENTITIES_MAX, STATS_IPS_MAX, StatsEvent};

use self::limits::{LocalLimits, OveradmissionBound};
use self::redis::Redis;
use self::stats::{LocalStats, StatsQueue};
use crate::breaker::Breaker;
use crate::error::{Result, StoreError};
use crate::state::Dependency;

/// Actions that the action cache in process holds at most.
pub const ACTIONS_MAX: usize = 500_000;

/// Where the cache is. URLs may hold a password.
#[derive(Clone, Debug)]
pub enum CacheLocation {
    /// In this process: one node.
    Memory,
    /// One Redis or Valkey, `redis://` or `rediss://`.
    Redis(Secret),
    /// A Redis cluster, by some of its nodes, each as a URL.
    RedisCluster(Vec<Secret>),
    /// A Redis behind sentinels.
    RedisSentinel(SentinelLocation),
}

/// A Redis that is found by asking its sentinels.
#[derive(Clone, Debug)]
pub struct SentinelLocation {
    /// The URLs of the sentinels.
    pub sentinels: Vec<Secret>,
    /// The name of the service they watch.
    pub service: String,
    /// The number of the database.
    pub database: i64,
    /// Whether the service itself speaks TLS.
    pub tls: bool,
    /// The user name at the service.
    pub username: Option<String>,
    /// The password at the service.
    pub password: Option<Secret>,
}

/// How to use a cache.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Where it is.
    pub location: CacheLocation,
    /// How long one call may take.
    pub deadline: Duration,
    /// How long connecting may take.
    pub connect_deadline: Duration,
}

/// The deadline of a cache call unless told otherwise.
pub const CACHE_DEADLINE: Duration = Duration::from_millis(50);

impl CacheOptions {
    /// With the usual deadlines.
    #[must_use]
    pub fn new(location: CacheLocation) -> Self {
        Self { location, deadline: CACHE_DEADLINE, connect_deadline: Duration::from_millis(500) }
    }
}

/// The shared short memory. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    /// What this process counts and keeps: everything without Redis, and what it falls back to with it.
    limits: LocalLimits,
    stats: LocalStats,
    store: Store,
}

/// Where the state is that nodes share.
enum Store {
    Memory { actions: BoundedMap<IdentityKey, Box<str>>, breaker: Breaker },
    Redis(Shared),
}

struct Shared {
    redis: Arc<Redis>,
    stats: Arc<StatsQueue>,
    bound: OveradmissionBound,
    refusal_said: AtomicBool,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Cache {
    /// Opens a cache. A Redis that is absent is no failure: the cache starts without it and keeps connecting. This
    /// waits for the first attempt, so that a Redis that is there is used from the first request on.
    pub async fn open(options: CacheOptions, clock: SharedClock) -> Self {
        let store = match options.location {
            CacheLocation::Memory => {
                Store::Memory { actions: BoundedMap::new(ACTIONS_MAX), breaker: Breaker::new("cache") }
            }
            _ => Store::Redis(Shared::start(&options).await),
        };
        let inner = Inner { limits: LocalLimits::new(clock), stats: LocalStats::new(), store };
        Self { inner: Arc::new(inner) }
    }

    /// The cached action of an identity, as it stands there (spec A5): read it with
    /// [`weir_core::action::parse_cached`].
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; callers warn and take it for a miss.
    pub async fn action_get(&self, identity: &IdentityKey) -> Result<Option<String>> {
        match &self.inner.store {
            Store::Memory { actions, .. } => Ok(actions.get(identity).map(String::from)),
            Store::Redis(shared) => shared.redis.call(::redis::cmd("GET").arg(names::action(identity))).await,
        }
    }

    /// The cached action of an identity, and how long it will still be there: weir writes none that runs out, but others
    /// that share the Redis may.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn action_with_ttl(
        &self,
        identity: &IdentityKey,
    ) -> Result<Option<(String, Option<Duration>)>> {
        let Some(action) = self.action_get(identity).await? else { return Ok(None) };
        let left_ms: i64 = match &self.inner.store {
            Store::Memory { .. } => -1,
            Store::Redis(shared) => {
                shared.redis.call(::redis::cmd("PTTL").arg(names::action(identity))).await?
            }
        };
        Ok(Some((action, u64::try_from(left_ms).ok().map(Duration::from_millis))))
    }

    /// Caches an action in the words of [`weir_core::action::cached_value`]; it never expires.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; callers warn and go on.
    pub async fn action_set(&self, identity: &IdentityKey, value: &str) -> Result<()> {
        match &self.inner.store {
            Store::Memory { actions, .. } => {
                actions.insert(identity.clone(), value.into());
                Ok(())
            }
            Store::Redis(shared) => {
                shared.redis.call(::redis::cmd("SET").arg(names::action(identity)).arg(value)).await
            }
        }
    }

    /// Forgets the cached action of an identity; says whether there was one.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn action_delete(&self, identity: &IdentityKey) -> Result<bool> {
        match &self.inner.store {
            Store::Memory { actions, .. } => Ok(actions.remove(identity).is_some()),
            Store::Redis(shared) => shared.redis.call(::redis::cmd("DEL").arg(names::action(identity))).await,
        }
    }

    /// Forgets all cached actions and says how many there were. On Redis it walks the keys in small steps, each
    /// within the deadline.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; some may be forgotten already.
    pub async fn actions_clear(&self) -> Result<u64> {
        match &self.inner.store {
            Store::Memory { actions, .. } => {
                let count = actions.len() as u64;
                actions.clear();
                Ok(count)
            }
            Store::Redis(shared) => shared.redis.clear_actions().await,
        }
    }

    /// Counts a request against limits and says whether one is exceeded. It never fails: while Redis does not answer,
    /// this node admits its share.
    ///
    /// All charges are counted, also when one is exceeded. Those of one subject are counted in one step.
    pub async fn consume(&self, charges: &[LimitCharge]) -> LimitOutcome {
        match &self.inner.store {
            Store::Memory { .. } => self.inner.limits.consume(charges),
            // Apart: it is large, and what every request waits in would be as large without any Redis.
            Store::Redis(shared) => Box::pin(shared.consume(charges, &self.inner.limits)).await,
        }
    }

    /// The stats of an identity's earlier requests. It never fails: while Redis does not answer, they are those of the
    /// requests that this node has seen.
    pub async fn stats_read(&self, identity: &IdentityKey, now: Timestamp) -> Stats {
        if let Store::Redis(shared) = &self.inner.store {
            match Box::pin(shared.redis.stats(identity)).await {
                Ok(totals) => return totals.into_stats(),
                Err(error) => shared.swallow(&error),
            }
        }
        self.inner.stats.read(identity, now)
    }

    /// Adds to the stats of an identity; on Redis in the background, where they are seen within a second.
    pub fn stats_add(&self, identity: &IdentityKey, event: StatsEvent, now: Timestamp) {
        self.inner.stats.add(identity, &event, now);
        if let Store::Redis(shared) = &self.inner.store {
            shared.stats.add(identity, event);
        }
    }

    /// Nodes that share this cache, this one included, as last known.
    #[must_use]
    pub fn nodes_known(&self) -> u64 {
        match &self.inner.store {
            Store::Memory { .. } => 1,
            Store::Redis(shared) => shared.redis.nodes(),
        }
    }

    /// How the cache is doing, for `/readyz`.
    #[must_use]
    pub fn state(&self) -> Dependency {
        match &self.inner.store {
            Store::Memory { breaker, .. } => breaker.dependency(),
            Store::Redis(shared) => shared.redis.breaker.dependency(),
        }
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when there is none.
    pub async fn ping(&self) -> Result<()> {
        match &self.inner.store {
            Store::Memory { .. } => Ok(()),
            Store::Redis(shared) => shared.redis.call(&::redis::cmd("PING")).await,
        }
    }

    /// Sends the stats that were added before on their way, and leaves the list of nodes. For the end of a process.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn close(&self) -> Result<()> {
        match &self.inner.store {
            Store::Memory { .. } => Ok(()),
            Store::Redis(shared) => {
                shared.stats.send(&shared.redis).await;
                shared.redis.leave().await
            }
        }
    }
}

impl Shared {
    async fn start(options: &CacheOptions) -> Self {
        let redis = Arc::new(Redis::new(options, Arc::new(Breaker::new("cache"))));
        let stats = Arc::new(StatsQueue::default());
        let (tried, mut first) = watch::channel(false);
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(Arc::clone(&redis).keep(tried))),
            AbortOnDropHandle::new(tokio::spawn(Arc::clone(&stats).keep_sending(Arc::clone(&redis)))),
        ];
        // Only the end of the task would be an error, and it does not end.
        let _ = first.wait_for(|tried| *tried).await;
        Self {
            redis,
            stats,
            bound: OveradmissionBound::default(),
            refusal_said: AtomicBool::new(false),
            _tasks: tasks,
        }
    }

    /// An outage is the breaker's to tell; a Redis that refuses (a missing right) is told once.
    fn swallow(&self, error: &StoreError) {
        if !error.kind().is_outage() && !self.refusal_said.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the cache refused a call: this node goes on by itself");
        }
    }

    async fn consume(&self, charges: &[LimitCharge], local: &LocalLimits) -> LimitOutcome {
        let nodes = self.redis.nodes();
        let mut outcome = LimitOutcome::default();
        for group in by_slot(charges) {
            match self.redis.consume(&group).await {
                Ok(windows) => {
                    self.bound.answered();
                    for ((index, charge), (counted, left)) in group.into_iter().zip(windows) {
                        local.mirror(charge, counted, left, nodes);
                        outcome.add(index, (counted > charge.requests).then_some(left));
                    }
                }
                Err(error) => {
                    self.swallow(&error);
                    for (index, charge) in group {
                        self.bound.shared(charge.requests, nodes);
                        outcome.add(index, local.consume_share(charge, nodes));
                    }
                }
            }
        }
        outcome
    }
}

/// Charges of one subject are on one node of a cluster; usually all are.
fn by_slot(charges: &[LimitCharge]) -> Vec<Vec<(usize, &LimitCharge)>> {
    let mut groups: Vec<Vec<(usize, &LimitCharge)>> = Vec::with_capacity(1);
    for (index, charge) in charges.iter().enumerate() {
        let same = |g: &&mut Vec<(usize, &LimitCharge)>| {
            g.first().is_some_and(|(_, c)| c.slot_tag() == charge.slot_tag())
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push((index, charge)),
            None => groups.push(vec![(index, charge)]),
        }
    }
    groups
}
