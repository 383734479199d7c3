//! Plays one case: sets the stage, sends the request, moves the clock whenever the gateway waits for it, and notes all
//! that can be seen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use weir_core::identity::IdentityKey;
use weir_core::record::{Record, UsageRecord};
use weir_store::CacheLocation;
use weir_store::database::{KeyOrigin, KeyOwner, NewKey};
use weir_testkit::RedisServer;
use weir_testkit::classifier::ServiceRequest;
use weir_testkit::http::Response;
use weir_testkit::logs::LoggedEvent;
use weir_testkit::upstream::{RecordedRequest, refused_url};

use super::given::{Given, OWN_KEY, REVOKED_KEY};
use crate::support::{Node, Options, World, settle};

/// All that can be seen of one case.
pub struct Seen {
    pub given: Given,
    pub answer: Response,
    /// What passed on the clock until the answer was there.
    pub elapsed_ms: u64,
    /// The artificial delays, in order.
    pub delays_ms: Vec<u64>,
    /// Whether the provider had been called when so many milliseconds of the delay had passed.
    pub called_at_ms: BTreeMap<u64, bool>,
    pub answered_when_done: usize,
    pub upstream: Vec<RecordedRequest>,
    pub resolutions: u64,
    pub look_ups: u64,
    pub records: Vec<Record>,
    pub usage: Vec<UsageRecord>,
    pub cached: Option<String>,
    /// How often the cache was written, where the case has a cache that counts.
    pub cache_writes: Option<u64>,
    pub classifications: Vec<ServiceRequest>,
    pub costs: usize,
    pub logs: Vec<LoggedEvent>,
    /// Rows of keys and identities that came, went or changed.
    pub rows_changed: u64,
}

pub async fn play(given: Given, expect: &Value) -> Seen {
    let world = World::new().await;
    let cache = CaseCache::of(&given, expect);
    let options = Options { cache: cache.location(), candidates: given.candidates(), ..Options::default() };
    let mut node = Node::with(&world, &given.config(&world), options).await;
    set_stage(&world, &node, &given, &cache).await;
    let rows_before = node.database.changes_position().await.unwrap();

    let mut player = Player {
        world: &world,
        given: &given,
        marks: marks(expect),
        slept: 0,
        bounded: false,
        elapsed_ms: 0,
    };
    let (answer, delays_ms, called_at_ms) = player.play(node.spawn(&given.ask())).await;
    let elapsed_ms = player.elapsed_ms;
    let answered_when_done = world.classifier.answered();

    // Whatever is late comes now, and what runs beside the request ends.
    world.clock.advance_ms(60_000);
    node.stop().await;
    node.leaks_nothing(&world).await;
    own_key_goes_nowhere_else(&given, &world);
    let cached = node.cache.action_get(&IdentityKey::from_stored(given.identity())).await.unwrap_or_default();
    if given.unanswered() {
        assert_eq!(cached, given.cache, "what is no answer teaches nothing");
    }
    if !given.cached_enforces() {
        assert_eq!(delays_ms, [0; 0], "a request that the cache does not speak against is not held");
    }
    Seen {
        answer,
        elapsed_ms,
        delays_ms,
        called_at_ms,
        answered_when_done,
        upstream: world.upstream.requests(),
        resolutions: node.gateway.counters().provider_resolutions.get(),
        look_ups: node.gateway.counters().candidate_lookups.get(),
        records: node.records().await,
        usage: node.usage().await,
        cached,
        cache_writes: cache.writes(),
        classifications: world.classifier.requests(),
        costs: world.classifier.cost_calls().len(),
        logs: world.logs.events(),
        rows_changed: node.database.changes_position().await.unwrap() - rows_before,
        given,
    }
}

async fn set_stage(world: &World, node: &Node, given: &Given, cache: &CaseCache) {
    world.classifier.respond_with(given.classifier());
    if let Some(script) = given.upstream() {
        world.upstream.respond_with(script);
    }
    if let Some(action) = given.cache.as_deref().filter(|action| *action != "error") {
        node.cache_action(&given.identity(), action).await;
    }
    cache.seeded();
    if given.authorization.as_deref() == Some("old version") {
        revoked_key(world, node).await;
    }
}

/// A key that was good once.
async fn revoked_key(world: &World, node: &Node) {
    let hash = node.database.hasher().hash(REVOKED_KEY);
    let at = world.clock.manual.now();
    let key = NewKey {
        id: hash.key_id(),
        hash,
        prefix: String::new(),
        owner: KeyOwner { user: "user-123".to_owned(), ..KeyOwner::default() },
        byok: BTreeMap::new(),
        created_at: at,
        origin: KeyOrigin::Runtime,
    };
    node.database.key_insert(&key).await.unwrap();
    node.directory.refresh().await.unwrap();
    assert!(node.directory.find_key(REVOKED_KEY).is_some());
    assert!(node.database.key_revoke(&key.id, at).await.unwrap());
    node.directory.refresh().await.unwrap();
}

/// A caller's own key is what the provider is shown, and the abuse service is shown none.
fn own_key_goes_nowhere_else(given: &Given, world: &World) {
    for request in world.upstream.requests() {
        let shown = request.header("authorization").unwrap_or_default();
        assert_eq!(shown.contains(OWN_KEY), given.byok, "{shown}");
        assert!(request.header("x-weir-byok").is_none());
    }
    for request in world.classifier.requests() {
        assert!(!format!("{:?}", request.headers).contains("canary"), "{:?}", request.headers);
    }
}

fn marks(expect: &Value) -> Vec<u64> {
    let marks = expect["upstream_called_at_ms"].as_object();
    let mut marks: Vec<u64> = marks.into_iter().flatten().map(|(ms, _)| ms.parse().unwrap()).collect();
    marks.sort_unstable();
    marks
}

/// Moves the clock for one request.
struct Player<'a> {
    world: &'a World,
    given: &'a Given,
    marks: Vec<u64>,
    /// How many of the gateway's sleeps have been seen.
    slept: usize,
    /// Whether the bound on waiting for the classification was among them.
    bounded: bool,
    elapsed_ms: u64,
}

impl Player<'_> {
    async fn play(&mut self, mut request: JoinHandle<Response>) -> (Response, Vec<u64>, BTreeMap<u64, bool>) {
        let (mut delays_ms, mut called) = (Vec::new(), BTreeMap::new());
        loop {
            let sleep = tokio::select! {
                biased;
                answer = &mut request => return (answer.unwrap(), delays_ms, called),
                sleep = self.world.clock.nth_sleep(self.slept) => sleep,
            };
            self.slept += 1;
            if self.given.waits() && !self.bounded {
                self.bounded = true;
                self.classification(sleep).await;
            } else {
                delays_ms.push(u64::try_from(sleep.as_millis()).unwrap());
                self.delay(sleep, &mut called).await;
            }
        }
    }

    /// The gateway waits for the classification, at most so long. One without latency comes by itself.
    async fn classification(&mut self, bound: Duration) {
        if !self.given.latency.is_zero() {
            self.world.classifier.wait_for_calls(1).await;
            self.advance_to(0, u64::try_from(self.given.latency.min(bound).as_millis()).unwrap());
        }
    }

    /// The gateway holds the request: looks at the marks on the way.
    async fn delay(&mut self, delay: Duration, called: &mut BTreeMap<u64, bool>) {
        let whole = u64::try_from(delay.as_millis()).unwrap();
        let mut passed = 0;
        for mark in self.marks.clone().into_iter().filter(|mark| *mark < whole) {
            self.advance_to(passed, mark);
            passed = mark;
            settle().await;
            called.insert(mark, self.world.upstream.calls() > 0);
        }
        self.advance_to(passed, whole);
        if self.marks.contains(&whole) {
            self.world.upstream.wait_for_calls(1).await;
            called.insert(whole, true);
        }
    }

    fn advance_to(&mut self, from_ms: u64, to_ms: u64) {
        self.world.clock.advance_ms(to_ms - from_ms);
        self.elapsed_ms += to_ms - from_ms;
    }
}

/// The action cache of a case: in process, or a Redis that is away, refuses writes, or counts them.
enum CaseCache {
    Memory,
    Away,
    Redis { server: RedisServer, refuses: bool },
}

impl CaseCache {
    fn of(given: &Given, expect: &Value) -> Self {
        if given.cache.as_deref() == Some("error") {
            Self::Away
        } else if given.cache_write_fails || expect.get("cache_writes").is_some() {
            Self::Redis { server: RedisServer::start(), refuses: given.cache_write_fails }
        } else {
            Self::Memory
        }
    }

    fn location(&self) -> CacheLocation {
        match self {
            Self::Memory => CacheLocation::Memory,
            Self::Away => CacheLocation::Redis(refused_url().replace("http:", "redis:").into()),
            Self::Redis { server, .. } => CacheLocation::Redis(server.url().into()),
        }
    }

    /// From here on writes count, or fail.
    fn seeded(&self) {
        if let Self::Redis { server, refuses } = self {
            if *refuses {
                assert_eq!(server.command(&["ACL", "SETUSER", "default", "-set"]), "+OK\r\n");
            }
            assert_eq!(server.command(&["CONFIG", "RESETSTAT"]), "+OK\r\n");
        }
    }

    fn writes(&self) -> Option<u64> {
        let Self::Redis { server, .. } = self else { return None };
        let stats = server.command(&["INFO", "commandstats"]);
        let calls = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_set:calls=")?.split(',').next()?.parse().ok());
        Some(calls.unwrap_or(0))
    }
}
