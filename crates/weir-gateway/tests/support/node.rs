//! One gateway with its stores, listening on the loopback.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_config::Config;
use weir_core::failure::Observers;
use weir_core::record::{Record, UsageRecord};
use weir_core::{DecisionId, IdentityKey};
use weir_gateway::{Candidates, Gateway, Parts};
use weir_rules::{LiveRules, LoadOptions, RuleSet, SourceFile};
use weir_store::database::{DecisionFilter, KeyOwner, UsageFilter};
use weir_store::{
    Cache, CacheLocation, CacheOptions, ConfiguredKey, Database, DatabaseLocation, DatabaseOptions,
    Directory, DirectoryOptions, Recorder, RecorderOptions,
};
use weir_testkit::deadline::within;
use weir_testkit::http::{self, Response, Streaming};

use super::{Ask, CANARY, ConfigText, World, eventually};

/// What of a node is not the usual.
pub struct Options {
    pub rules: String,
    pub cache: CacheLocation,
    pub candidates: Option<Box<dyn Candidates>>,
    pub observers: Observers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rules: String::new(),
            cache: CacheLocation::Memory,
            candidates: None,
            observers: Observers::default(),
        }
    }
}

pub struct Node {
    pub url: String,
    pub gateway: Gateway,
    pub database: Database,
    pub cache: Cache,
    pub directory: Directory,
    pub recorder: Recorder,
    pub rules: Arc<LiveRules>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Node {
    pub async fn start(world: &World, config: &ConfigText) -> Self {
        Self::with(world, config, Options::default()).await
    }

    pub async fn with(world: &World, config: &ConfigText, options: Options) -> Self {
        let config = config.load();
        let clock: weir_core::clock::SharedClock = Arc::new(world.clock.clone());
        let database = Database::open(DatabaseOptions::new(DatabaseLocation::SqliteMemory)).await.unwrap();
        // Tests of stores have stores that are slow; here a busy machine must not look like one.
        let cache_options =
            CacheOptions { deadline: Duration::from_secs(10), ..CacheOptions::new(options.cache) };
        let cache = Cache::open(cache_options, clock.clone()).await;
        let configured = DirectoryOptions { configured: configured_keys(&config) };
        let directory = Directory::start(database.clone(), configured).await.unwrap();
        let recorder = Recorder::start(database.clone(), RecorderOptions::default(), clock.clone());
        let rules = Arc::new(LiveRules::new(rules(&options.rules, world), 1));
        let gateway = Gateway::new(Parts {
            config,
            rules: rules.clone(),
            cache: cache.clone(),
            directory: directory.clone(),
            recorder: recorder.clone(),
            clock,
            candidates: options.candidates,
            observers: options.observers,
            guest: None,
        })
        .await
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let (gateway, stop) = (gateway.clone(), stop.clone());
            async move { gateway.serve(listener, stop).await }
        });
        Self { url, gateway, database, cache, directory, recorder, rules, stop, serving }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, ask: &Ask) -> Response {
        http::request(&ask.method, &ask.url(self), &ask.headers(), ask.body.clone()).await
    }

    /// Sends a request and gives the answer as soon as its head is there.
    pub async fn open(&self, ask: &Ask) -> Streaming {
        http::stream(&ask.method, &ask.url(self), &ask.headers(), ask.body.clone()).await
    }

    /// Sends a request beside the test. Aborting the handle closes the client's connection.
    pub fn spawn(&self, ask: &Ask) -> JoinHandle<Response> {
        let (ask, url) = (ask.clone(), ask.url(self));
        tokio::spawn(async move { http::request(&ask.method, &url, &ask.headers(), ask.body.clone()).await })
    }

    /// All records, the latest first.
    pub async fn records(&self) -> Vec<Record> {
        self.recorder.flush().await.unwrap();
        let filter = DecisionFilter { limit: 200, ..DecisionFilter::default() };
        self.database.decisions(&filter).await.unwrap().items
    }

    /// All usage records, the latest first.
    pub async fn usage(&self) -> Vec<UsageRecord> {
        self.recorder.flush().await.unwrap();
        let filter = UsageFilter { limit: 200, ..UsageFilter::default() };
        self.database.usage(&filter).await.unwrap().items
    }

    /// The record that an answer's `x-weir-decision` names.
    pub async fn record_of(&self, answer: &Response) -> Record {
        let id = decision_id(answer);
        self.recorder.flush().await.unwrap();
        self.database.decision(&id).await.unwrap().unwrap_or_else(|| panic!("no record of {id}"))
    }

    /// The usage record of the same request. Requests of one moment have no order, so this is how to find one.
    pub async fn usage_of(&self, answer: &Response) -> UsageRecord {
        let id = decision_id(answer);
        let found = self.usage().await.into_iter().find(|usage| usage.decision == id);
        found.unwrap_or_else(|| panic!("no usage record of {id}"))
    }

    /// Waits until there are `n` records: for requests whose end the client does not see.
    pub async fn wait_for_records(&self, n: usize) -> Vec<Record> {
        eventually(&format!("{n} records"), async || {
            Some(self.records().await).filter(|found| found.len() >= n)
        })
        .await
    }

    /// The cached action of an identity as it stands in the cache.
    pub async fn cached(&self, identity: &str) -> Option<String> {
        self.cache.action_get(&IdentityKey::from_stored(identity)).await.unwrap()
    }

    pub async fn cache_action(&self, identity: &str, action: &str) {
        self.cache.action_set(&IdentityKey::from_stored(identity), action).await.unwrap();
    }

    /// Lets the node end in order, so that everything that runs beside its requests is done.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        within("the gateway to end", &mut self.serving).await.unwrap();
    }

    /// Fails if a record, a usage record or a line of the log holds a prompt or a key of these tests.
    pub async fn leaks_nothing(&self, world: &World) {
        world.logs_leak_nothing();
        let records = serde_json::to_string(&(self.records().await, self.usage().await)).unwrap();
        assert!(!records.contains(CANARY), "a secret in a record: {records}");
    }
}

/// The id in an answer's `x-weir-decision`.
pub fn decision_id(answer: &Response) -> DecisionId {
    answer.header("x-weir-decision").expect("x-weir-decision is there").parse().unwrap()
}

fn rules(text: &str, world: &World) -> RuleSet {
    if text.is_empty() {
        return RuleSet::default();
    }
    let file = SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() };
    match weir_rules::load(&[file], &LoadOptions { now: world.clock.manual.now() }) {
        Ok(loaded) => loaded.rules,
        Err(failure) => panic!("{:#?}", failure.diagnostics),
    }
}

fn configured_keys(config: &Config) -> Vec<ConfiguredKey> {
    let configured = |key: &weir_config::config::ConfiguredKey| ConfiguredKey {
        key: key.key.clone(),
        owner: KeyOwner {
            user: key.user.clone(),
            org: key.org.clone(),
            project: key.project.clone(),
            plan: key.plan.clone(),
            tags: key.tags.clone(),
            budget_usd: key.budget_usd,
            channel: Some(key.channel.clone()),
        },
        byok: key.byok.clone(),
    };
    config.keys.iter().map(configured).collect()
}
