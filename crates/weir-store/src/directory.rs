//! What many requests need from the database, held in memory: keys, and what is known of identities.
//!
//! It is kept fresh by following the database's feed of changes, so that a request never waits for the database to
//! learn that a key is valid, and a key that the command line makes or revokes counts on every node within a second.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use quick_cache::sync::Cache as BoundedMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_core::secret::{Secret, expose};
use weir_core::{IdentityKey, Timestamp};

use crate::database::{ChangeKind, Database, IdentityRow, KeyOrigin, KeyOwner, Overrides};
use crate::error::Result;
use crate::keys::{KeyHash, Sealed};

/// How often the feed of changes is read: a change on one node is in force on the others well within a second.
pub const FEED_PERIOD: Duration = Duration::from_millis(250);

/// How often what keys have spent is written, and what other nodes have written is read.
pub const SPEND_PERIOD: Duration = Duration::from_millis(500);

/// Identities that are held in memory at most; the least recently used leave first.
pub const IDENTITIES_MAX: usize = 100_000;

/// How long a request waits for what is known of its identity; after that it goes on without.
pub const IDENTITY_DEADLINE: Duration = Duration::from_millis(50);

/// How old what is held of an identity may be. The feed tells of changes; this bounds what a lost race could leave.
const IDENTITY_AGE_MAX: Duration = Duration::from_secs(60);

/// A key that the configuration itself holds.
#[derive(Clone)]
pub struct ConfiguredKey {
    /// The key.
    pub key: Secret,
    /// Whom it belongs to and what it may do.
    pub owner: KeyOwner,
    /// The caller's own provider keys by the provider's name.
    pub byok: BTreeMap<String, Secret>,
}

/// A key that is valid now.
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Whom it belongs to and what it may do.
    pub owner: KeyOwner,
    /// The caller's own provider keys by the provider's name.
    pub byok: BTreeMap<String, Secret>,
    /// Where it comes from.
    pub origin: KeyOrigin,
    spend: Arc<Spend>,
}

impl ApiKey {
    /// What it has spent, in millionths of a US dollar: on this node at once, on others within [`SPEND_PERIOD`].
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spend.stored.load(Ordering::Relaxed).saturating_add(self.spend.pending.load(Ordering::Relaxed))
    }
}

/// What a key has spent. It outlives the key's entry, so that a reload of the keys forgets nothing.
#[derive(Default)]
struct Spend {
    stored: AtomicU64,
    pending: AtomicU64,
}

/// What starts a directory.
#[derive(Clone, Default)]
pub struct DirectoryOptions {
    /// The keys of the configuration.
    pub configured: Vec<ConfiguredKey>,
}

/// Keys and identities in memory. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    configured: ArcSwap<Vec<ConfiguredKey>>,
    keys: ArcSwap<HashMap<KeyHash, Arc<ApiKey>, RandomState>>,
    spends: Mutex<HashMap<String, Arc<Spend>>>,
    identities: BoundedMap<IdentityKey, Arc<Known>>,
    rules_changed: watch::Sender<u64>,
    overrides: watch::Sender<Arc<Overrides>>,
    feed: tokio::sync::Mutex<u64>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Known {
    row: IdentityRow,
    read_at: Timestamp,
}

impl Directory {
    /// Reads the keys and begins to follow the feed of changes.
    ///
    /// # Errors
    /// The database does not answer; see [`crate::ErrorKind`].
    pub async fn start(database: Database, options: DirectoryOptions) -> Result<Self> {
        let position = database.changes_position().await?;
        let inner = Arc::new(Inner {
            database,
            configured: ArcSwap::from_pointee(options.configured),
            keys: ArcSwap::default(),
            spends: Mutex::default(),
            identities: BoundedMap::new(IDENTITIES_MAX),
            rules_changed: watch::channel(0).0,
            overrides: watch::Sender::default(),
            feed: tokio::sync::Mutex::new(position),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        inner.load_spends().await?;
        inner.load_keys().await?;
        inner.load_overrides().await?;
        inner.tasks.spawn(follow(Arc::clone(&inner)));
        inner.tasks.spawn(write_spends(Arc::clone(&inner)));
        inner.tasks.close();
        Ok(Self { inner })
    }

    /// The valid key with this text. Looked up by its hash, which is compared in constant time.
    #[must_use]
    pub fn find_key(&self, presented: &str) -> Option<Arc<ApiKey>> {
        let hash = self.inner.database.hasher().hash(presented);
        self.inner.keys.load().get(&hash).cloned()
    }

    /// The database that it follows.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// All valid keys.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<ApiKey>> {
        self.inner.keys.load().values().cloned().collect()
    }

    /// What is known of an identity; nothing when the database does not answer within [`IDENTITY_DEADLINE`], which it
    /// reports itself.
    pub async fn identity(&self, key: &IdentityKey, now: Timestamp) -> IdentityRow {
        self.identity_within(key, IDENTITY_DEADLINE, now).await
    }

    /// The same for an answer that is kept or must not be wrong: waits as long as a call of the database may take.
    pub async fn identity_awaited(&self, key: &IdentityKey, now: Timestamp) -> IdentityRow {
        self.identity_within(key, Duration::MAX, now).await
    }

    async fn identity_within(&self, key: &IdentityKey, deadline: Duration, now: Timestamp) -> IdentityRow {
        if let Some(known) = self.inner.identities.get(key)
            && now.duration_since(known.read_at).unsigned_abs() < IDENTITY_AGE_MAX
        {
            return known.row.clone();
        }
        // Apart, because it is large and seldom.
        match Box::pin(tokio::time::timeout(deadline, self.inner.database.identity(key))).await {
            Ok(Ok(row)) => {
                let row = row.unwrap_or_else(|| unknown(key.clone(), now));
                let known = Arc::new(Known { row: row.clone(), read_at: now });
                self.inner.identities.insert(key.clone(), known);
                row
            }
            Ok(Err(_)) | Err(_) => unknown(key.clone(), now),
        }
    }

    /// Adds to what a key has spent, in millionths of a US dollar. Written in the background.
    pub fn spend(&self, key: &ApiKey, microusd: u64) {
        key.spend.pending.fetch_add(microusd, Ordering::Relaxed);
    }

    /// Reads the feed now; for the node that has just written.
    ///
    /// # Errors
    /// The database does not answer; see [`crate::ErrorKind`].
    pub async fn refresh(&self) -> Result<()> {
        self.inner.poll().await
    }

    /// Ticks when the stored rules have changed.
    #[must_use]
    pub fn rules_changed(&self) -> watch::Receiver<u64> {
        self.inner.rules_changed.subscribe()
    }

    /// What operators have set above the configuration, now and whenever it changes.
    #[must_use]
    pub fn overrides(&self) -> watch::Receiver<Arc<Overrides>> {
        self.inner.overrides.subscribe()
    }

    /// Replaces the keys of the configuration.
    ///
    /// # Errors
    /// The database does not answer; the old keys stay.
    pub async fn set_configured(&self, configured: Vec<ConfiguredKey>) -> Result<()> {
        let before = self.inner.configured.swap(Arc::new(configured));
        let loaded = self.inner.load_keys().await;
        if loaded.is_err() {
            self.inner.configured.store(before);
        }
        loaded
    }

    /// Stops following and writes what keys have spent.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.wait().await;
        if let Err(error) = self.inner.store_spends().await {
            tracing::error!(%error, "what keys have spent of late could not be written");
        }
    }
}

async fn follow(inner: Arc<Inner>) {
    let mut failing = false;
    while !stopped(&inner.stop, FEED_PERIOD).await {
        match inner.poll().await {
            Ok(()) => {
                failing = false;
                metrics::counter!("weir_feed_reads_total").increment(1);
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "changes of keys, rules and identities cannot be followed; what is known stays in force");
            }
            Err(_) => {}
        }
    }
}

async fn write_spends(inner: Arc<Inner>) {
    let mut failing = false;
    while !stopped(&inner.stop, SPEND_PERIOD).await {
        match inner.store_spends().await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "what keys have spent cannot be written; it is kept and tried again");
            }
            Err(_) => {}
        }
    }
}

/// Waits for a period; true when it is over for good.
async fn stopped(stop: &CancellationToken, period: Duration) -> bool {
    tokio::time::timeout(period, stop.cancelled()).await.is_ok()
}

/// The row of an identity of which nothing has been told.
fn unknown(key: IdentityKey, now: Timestamp) -> IdentityRow {
    IdentityRow {
        key,
        plan: None,
        verified: false,
        blocked: false,
        tags: Vec::new(),
        created_at: None,
        exempt_until: None,
        first_seen: now,
    }
}

impl Inner {
    async fn poll(&self) -> Result<()> {
        let mut position = self.feed.lock().await;
        let (next, changes) = self.database.changes_since(*position).await?;
        if changes.iter().any(|change| change.kind == ChangeKind::Keys) {
            self.load_keys().await?;
        }
        for change in changes.iter().filter(|change| change.kind == ChangeKind::Identities) {
            if change.key.is_empty() {
                self.identities.clear();
            } else {
                self.identities.remove(&IdentityKey::from_stored(change.key.as_str()));
            }
        }
        if changes.iter().any(|change| change.kind == ChangeKind::Overrides) {
            self.load_overrides().await?;
        }
        if changes.iter().any(|change| change.kind == ChangeKind::Rules) {
            self.rules_changed.send_replace(next);
        }
        *position = next;
        Ok(())
    }

    async fn load_overrides(&self) -> Result<()> {
        self.overrides.send_replace(Arc::new(self.database.overrides().await?));
        Ok(())
    }

    async fn load_keys(&self) -> Result<()> {
        let stored = self.database.keys_all(false).await?;
        let mut keys = HashMap::with_capacity_and_hasher(stored.len(), RandomState::default());
        for key in stored {
            let Some(byok) = self.unsealed(&key.id, &key.byok) else { continue };
            let spend = self.spend_of(&key.id);
            let api_key = ApiKey { id: key.id, owner: key.owner, byok, origin: key.origin, spend };
            keys.insert(key.hash, Arc::new(api_key));
        }
        for key in self.configured.load().iter() {
            let hash = self.database.hasher().hash(expose(&key.key));
            let id = hash.key_id();
            let spend = self.spend_of(&id);
            let (owner, byok) = (key.owner.clone(), key.byok.clone());
            keys.insert(hash, Arc::new(ApiKey { id, owner, byok, origin: KeyOrigin::Configured, spend }));
        }
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// The caller's own provider keys. When one cannot be opened the whole key does not count: its requests must not
    /// fall to the platform's credential, and one bad row must not take all other keys away.
    fn unsealed(&self, id: &str, sealed: &BTreeMap<String, Sealed>) -> Option<BTreeMap<String, Secret>> {
        let open = |(provider, sealed): (&String, &Sealed)| {
            Ok((provider.clone(), self.database.sealer().open(id, provider, sealed)?))
        };
        let opened: Result<_> = sealed.iter().map(open).collect();
        opened
            .inspect_err(|error| tracing::error!(key = id, %error, "the key is left out: its provider keys cannot be read"))
            .ok()
    }

    fn spend_of(&self, id: &str) -> Arc<Spend> {
        let mut spends = self.spends.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(spends.entry(id.to_owned()).or_default())
    }

    async fn load_spends(&self) -> Result<()> {
        for (id, microusd) in self.database.key_spend_all().await? {
            self.spend_of(&id).stored.store(microusd, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes what is pending, and takes over what all nodes together have written for those keys.
    async fn store_spends(&self) -> Result<()> {
        let pending: Vec<(String, Arc<Spend>, u64)> = {
            let spends = self.spends.lock().unwrap_or_else(PoisonError::into_inner);
            let due = spends.iter().map(|(id, spend)| (id, spend, spend.pending.load(Ordering::Relaxed)));
            due.filter(|(_, _, amount)| *amount > 0)
                .map(|(id, s, a)| (id.clone(), Arc::clone(s), a))
                .collect()
        };
        if pending.is_empty() {
            return Ok(());
        }
        let batch: Vec<(String, u64)> = pending.iter().map(|(id, _, amount)| (id.clone(), *amount)).collect();
        self.database.key_spend_add(&batch).await?;
        for (id, spend, amount) in pending {
            spend.stored.fetch_add(amount, Ordering::Relaxed);
            spend.pending.fetch_sub(amount, Ordering::Relaxed);
            spend.stored.fetch_max(self.database.key_spend(&id).await?, Ordering::Relaxed);
        }
        Ok(())
    }
}
