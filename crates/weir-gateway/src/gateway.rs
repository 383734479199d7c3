//! The gateway: what all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rand::Rng as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_config::{Config, ModelCatalogue};
use weir_core::clock::SharedClock;
use weir_core::failure::Observers;
use weir_core::{ApiKind, DecisionId, Timestamp};
use weir_rules::LiveRules;
use weir_store::directory::Directory;
use weir_store::log::Recorder;
use weir_store::{Cache, CacheLocation, CacheOptions};
use weir_telemetry::Telemetry;

use crate::classifier::Classifiers;
use crate::decide::CacheTroubles;
use crate::guest::Guest;
use crate::hold::Holds;
use crate::meters::Meters;
use crate::server;
use crate::settings::Settings;
use crate::stop_loss::StopLoss;
use crate::upstream::Upstream;

/// How long work beside the requests (a late classification, a cost report) is waited for at the end.
const BESIDE_MAX: Duration = Duration::from_secs(5);

/// What a gateway is built from.
pub struct Parts {
    /// The configuration to begin with.
    pub config: Arc<Config>,
    /// The rules in force.
    pub rules: Arc<LiveRules>,
    /// The action cache, limits and counters.
    pub cache: Cache,
    /// Keys and identities.
    pub directory: Directory,
    /// Where records go.
    pub recorder: Recorder,
    /// The time that decisions are made by.
    pub clock: SharedClock,
    /// Who names the candidates for quarantine-3; left out: the configuration.
    pub candidates: Option<Box<dyn Candidates>>,
    /// Who is told of failed provider calls: reports, metrics, and whoever embeds weir.
    pub observers: Observers,
    /// Who serves paths that are not the gateway's own.
    pub guest: Option<Arc<dyn Guest>>,
}

/// Names the free models that a quarantined request may be sent to.
pub trait Candidates: Send + Sync {
    /// The candidates for an API; the first is taken.
    ///
    /// # Errors
    /// The look-up failed; the request is then only delayed.
    fn candidates(&self, models: &ModelCatalogue, kind: ApiKind) -> Result<Vec<String>, String>;
}

/// The candidates that the configuration names.
struct Catalogued;

impl Candidates for Catalogued {
    fn candidates(&self, models: &ModelCatalogue, kind: ApiKind) -> Result<Vec<String>, String> {
        Ok(models.free_candidates(kind).to_vec())
    }
}

/// The data plane.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

/// The configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A provider's base URL does not make a URL with an operation's path.
    #[error("the base URL of provider `{provider}` cannot be used")]
    BaseUrl {
        /// Its name.
        provider: String,
    },
    /// A provider's key has bytes that no header may hold.
    #[error("the key of provider `{provider}` has bytes that no header may hold")]
    ProviderKey {
        /// Its name.
        provider: String,
    },
    /// The name of the fingerprint header is no header name.
    #[error("`fingerprint_header` is no header name")]
    FingerprintHeader,
    /// A header for the abuse service cannot be sent.
    #[error("the header `{name}` of `abuse.service_headers` cannot be sent")]
    ServiceHeader {
        /// Its name.
        name: String,
    },
    /// The URL of the abuse service cannot be used.
    #[error("`abuse.service_url` cannot be used")]
    ServiceUrl,
}

/// What is counted inside the process, so that a test can see how often a stage did its work.
#[derive(Debug, Default)]
pub struct Counters {
    /// How often a provider was resolved: once for a request, twice for an override.
    pub provider_resolutions: Counter,
    /// How often the candidates for quarantine-3 were looked up.
    pub candidate_lookups: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct Inner {
    settings: ArcSwap<Settings>,
    pub(crate) rules: Arc<LiveRules>,
    pub(crate) cache: Cache,
    pub(crate) directory: Directory,
    pub(crate) recorder: Recorder,
    pub(crate) clock: SharedClock,
    pub(crate) upstream: Upstream,
    pub(crate) classifiers: Classifiers,
    pub(crate) holds: Arc<Holds>,
    /// Limits that this node counts by itself: of addresses without a valid key.
    pub(crate) node_limits: Cache,
    pub(crate) candidates: Box<dyn Candidates>,
    pub(crate) guest: Option<Arc<dyn Guest>>,
    pub(crate) counters: Counters,
    pub(crate) cache_troubles: CacheTroubles,
    pub(crate) stop_loss: StopLoss,
    pub(crate) meters: Meters,
    pub(crate) observers: Observers,
    pub(crate) telemetry: Telemetry,
    pub(crate) tasks: TaskTracker,
    /// Room for connections of clients, on all threads together.
    pub(crate) connections: Arc<Semaphore>,
}

impl Inner {
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Runs something beside the requests: it must not be cut off when they end, and is waited for at shutdown.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    pub(crate) fn new_decision_id(&self, at: Timestamp) -> DecisionId {
        let mut random = [0; 10];
        rand::rng().fill_bytes(&mut random);
        DecisionId::new(at, random)
    }
}

impl Gateway {
    /// Builds the data plane.
    ///
    /// # Errors
    /// Something in the configuration that only shows when it is put to use.
    pub async fn new(parts: Parts) -> Result<Self, GatewayError> {
        Self::told(parts, Telemetry::default()).await
    }

    /// As [`Gateway::new`], telling of each request by `telemetry` too.
    ///
    /// # Errors
    /// As [`Gateway::new`].
    pub async fn told(parts: Parts, telemetry: Telemetry) -> Result<Self, GatewayError> {
        let node_limits = Cache::open(CacheOptions::new(CacheLocation::Memory), parts.clock.clone()).await;
        let settings = Settings::new(parts.config)?;
        let upstream = Upstream::new(&settings.config.limits.upstream);
        let connections = Arc::new(Semaphore::new(settings.connections_max));
        Ok(Self {
            inner: Arc::new(Inner {
                settings: ArcSwap::from_pointee(settings),
                rules: parts.rules,
                cache: parts.cache,
                directory: parts.directory,
                recorder: parts.recorder,
                node_limits,
                candidates: parts.candidates.unwrap_or_else(|| Box::new(Catalogued)),
                guest: parts.guest,
                clock: parts.clock,
                upstream,
                classifiers: Classifiers::new(),
                holds: Arc::default(),
                counters: Counters::default(),
                cache_troubles: CacheTroubles::default(),
                stop_loss: StopLoss::default(),
                meters: Meters::new(),
                observers: parts.observers,
                telemetry,
                tasks: TaskTracker::new(),
                connections,
            }),
        })
    }

    /// Puts a new configuration in force for requests that begin from now on.
    ///
    /// # Errors
    /// As [`Gateway::new`]; the old configuration stays in force.
    pub fn reload(&self, config: Arc<Config>) -> Result<(), GatewayError> {
        self.inner.settings.store(Arc::new(Settings::new(config)?));
        Ok(())
    }

    /// Serves until `stop`, then returns once open requests have ended or `limits.drain` is over. May be called on several
    /// threads, each with a runtime and a clone of the listener of its own: a connection stays with its thread.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        server::serve(Arc::clone(&self.inner), listener, stop).await;
        self.inner.tasks.close();
        if tokio::time::timeout(BESIDE_MAX, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("classifications or cost reports were still under way at the end");
        }
    }

    /// The counts of this process.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// How many requests wait in quarantine.
    #[must_use]
    pub fn held(&self) -> usize {
        self.inner.holds.held()
    }

    /// The state of the abuse service's answers: none when there is no remote classifier.
    #[must_use]
    pub fn abuse_service(&self) -> Option<weir_store::Dependency> {
        self.inner.classifiers.state(&self.inner.settings())
    }
}
