//! Action cache, limits and stats, in process and on Redis.

use std::time::Duration;

use futures_util::future::join_all;
use weir_core::action::{cached_value, parse_cached};
use weir_core::clock::Clock as _;
use weir_core::secret::Secret;
use weir_core::{Action, IdentityKey};
use weir_store::cache::{STATS_IDENTITIES_MAX, STATS_IPS_MAX};
use weir_store::clock::SystemClock;
use weir_store::{
    Cache, CacheLocation, CacheOptions, DependencyState, ErrorKind, LimitCharge, LimitOutcome, StatsEvent,
};
use weir_testkit::{ManualClock, RedisServer};

use super::support::{now, until};

/// Where a test's cache is. On Redis each opening is another node.
pub enum Place {
    Memory(Cache),
    Redis(RedisServer),
}

impl Place {
    async fn memory() -> Self {
        Self::Memory(Cache::open(CacheOptions::new(CacheLocation::Memory), SystemClock::shared()).await)
    }

    async fn redis() -> Self {
        Self::Redis(RedisServer::start())
    }

    async fn open(&self) -> Cache {
        match self {
            Self::Memory(cache) => cache.clone(),
            Self::Redis(server) => patient(CacheLocation::Redis(server.url().into())).await,
        }
    }
}

/// A cache whose deadlines suit a machine that does many other things.
pub async fn patient(location: CacheLocation) -> Cache {
    let options = CacheOptions {
        deadline: Duration::from_secs(10),
        connect_deadline: Duration::from_secs(10),
        ..CacheOptions::new(location)
    };
    Cache::open(options, SystemClock::shared()).await
}

macro_rules! on_both_caches {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
                super::$name(super::Place::memory().await).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
                super::$name(super::Place::redis().await).await;
            })*
        }
    };
}

on_both_caches! {
    an_action_is_read_as_it_was_written,
    clearing_forgets_all_actions_and_nothing_else,
    exactly_as_many_pass_as_the_limit_says,
    all_charges_are_counted_and_the_longest_wait_is_told,
    stats_are_those_of_earlier_requests,
}

fn ann() -> IdentityKey {
    IdentityKey::from_stored("user:ann")
}

pub async fn an_action_is_read_as_it_was_written(place: Place) {
    let (cache, other) = (place.open().await, place.open().await);
    assert_eq!(cache.action_get(&ann()).await, Ok(None));
    for action in Action::ALL {
        cache.action_set(&ann(), cached_value(Some(action))).await.unwrap();
        let read = other.action_get(&ann()).await.unwrap().unwrap();
        assert_eq!(parse_cached(&read), Ok(action));
    }
    for text in ["none", "nothing", "", "{\"old\": 1}", "BLOCK"] {
        cache.action_set(&ann(), text).await.unwrap();
        assert_eq!(
            other.action_get(&ann()).await,
            Ok(Some(text.to_owned())),
            "judging is the reader's business"
        );
    }
    assert_eq!(other.action_delete(&ann()).await, Ok(true));
    assert_eq!(other.action_delete(&ann()).await, Ok(false));
    assert_eq!(cache.action_get(&ann()).await, Ok(None));
}

pub async fn clearing_forgets_all_actions_and_nothing_else(place: Place) {
    let cache = place.open().await;
    assert_eq!(cache.actions_clear().await, Ok(0));
    let identities: Vec<_> = (0..2_500).map(|n| IdentityKey::from_stored(format!("user:{n}"))).collect();
    let setting = join_all(identities.iter().map(|identity| cache.action_set(identity, "block")));
    assert!(setting.await.into_iter().all(|set| set.is_ok()));
    let charge = [LimitCharge::new("user:1", "rule:r", 1, Duration::from_secs(3_600))];
    assert_eq!(cache.consume(&charge).await, LimitOutcome::default());
    assert_eq!(cache.actions_clear().await, Ok(2_500));
    assert_eq!(cache.action_get(&identities[7]).await, Ok(None));
    assert!(cache.consume(&charge).await.exceeded.is_some(), "limits go on");
}

pub async fn exactly_as_many_pass_as_the_limit_says(place: Place) {
    const TASKS: usize = 64;
    const EACH: usize = 10;
    let nodes = [place.open().await, place.open().await];
    let per = Duration::from_secs(3_600);
    let asking = (0..TASKS).map(|task| {
        let node = nodes[task % 2].clone();
        tokio::spawn(async move {
            let mut passed = 0;
            for _ in 0..EACH {
                let outcome = node.consume(&[LimitCharge::new("user:ann", "rule:r", 100, per)]).await;
                match outcome.exceeded {
                    None => passed += 1,
                    Some(exceeded) => {
                        assert!(exceeded.retry_after > Duration::ZERO && exceeded.retry_after <= per)
                    }
                }
            }
            passed
        })
    });
    let passed: usize = join_all(asking).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(passed, 100);
    for (subject, name) in [("user:bob", "rule:r"), ("user:ann", "rule:s")] {
        let other = nodes[0].consume(&[LimitCharge::new(subject, name, 100, per)]).await;
        assert_eq!(other, LimitOutcome::default(), "others are counted apart");
    }
}

pub async fn all_charges_are_counted_and_the_longest_wait_is_told(place: Place) {
    let cache = place.open().await;
    let hour = Duration::from_secs(3_600);
    let charge = |name: &str, requests, per| LimitCharge::new("user:{odd}%", name, requests, per);
    let charges = [charge("a", 1, hour), charge("b", 3, hour * 2), charge("c", 9, hour * 3)];
    assert_eq!(cache.consume(&charges).await.exceeded, None);
    for _ in 0..2 {
        assert_eq!(
            cache.consume(&charges).await.exceeded.unwrap().index,
            0,
            "counted, though another refuses"
        );
    }
    let exceeded = cache.consume(&charges).await.exceeded.unwrap();
    assert_eq!(exceeded.index, 1);
    assert!(exceeded.retry_after > hour && exceeded.retry_after <= hour * 2);
    let other_length = [charge("a", 1, hour * 4)];
    assert_eq!(cache.consume(&other_length).await.exceeded, None, "a changed length begins anew");
    assert_eq!(cache.consume(&[charge("d", 0, hour)]).await.exceeded.unwrap().index, 0);
    assert_eq!(cache.consume(&[]).await, LimitOutcome::default());
    let mixed = [charge("a", 1, hour), LimitCharge::new("203.0.113.1", "address", 5, hour)];
    assert_eq!(cache.consume(&mixed).await.exceeded.unwrap().index, 0, "subjects may be mixed");
}

pub async fn stats_are_those_of_earlier_requests(place: Place) {
    let (cache, other) = (place.open().await, place.open().await);
    assert_eq!(cache.stats_read(&ann(), now()).await, Default::default());
    for n in 0..30_u64 {
        let ip = Some(format!("203.0.113.{}", n % 3));
        let event = StatsEvent { requests: 1, tokens: 10, spend_microusd: 250_000, denied: n % 2, ip };
        if n % 2 == 0 { &cache } else { &other }.stats_add(&ann(), event, now());
    }
    let late = StatsEvent { tokens: 5, ..StatsEvent::default() };
    cache.stats_add(&ann(), late, now());
    for node in [&cache, &other] {
        node.close().await.unwrap();
    }
    let stats = other.stats_read(&ann(), now()).await;
    assert_eq!((stats.requests_1h, stats.tokens_1h, stats.denied_1h, stats.ips_1h), (30, 305, 15, 3));
    assert!((stats.requests_per_second - 0.5).abs() < 1e-9, "{stats:?}");
    assert!((stats.spend_1h_usd - 7.5).abs() < 1e-9, "{stats:?}");
    for n in 0..STATS_IPS_MAX + 20 {
        let event = StatsEvent { ip: Some(format!("198.51.100.{n}")), ..StatsEvent::default() };
        cache.stats_add(&ann(), event, now());
        cache.close().await.unwrap();
    }
    assert_eq!(cache.stats_read(&ann(), now()).await.ips_1h, STATS_IPS_MAX as i64);
    assert_eq!(cache.stats_read(&IdentityKey::from_stored("user:bob"), now()).await, Default::default());
}

#[tokio::test]
async fn windows_and_stats_follow_the_clock_they_are_given() {
    let clock = ManualClock::at_ten();
    let cache =
        Cache::open(CacheOptions::new(CacheLocation::Memory), std::sync::Arc::new(clock.clone())).await;
    let charge = [LimitCharge::new("user:ann", "rule:r", 2, Duration::from_secs(60))];
    let event =
        || StatsEvent { requests: 1, tokens: 1, ip: Some("203.0.113.1".to_owned()), ..StatsEvent::default() };
    assert_eq!(cache.consume(&charge).await.exceeded, None);
    cache.stats_add(&ann(), event(), clock.now());
    clock.advance(Duration::from_secs(40));
    assert_eq!(cache.consume(&charge).await.exceeded, None);
    assert_eq!(
        cache.consume(&charge).await.exceeded.unwrap().retry_after,
        Duration::from_secs(20),
        "begun by the first"
    );
    clock.advance(Duration::from_millis(19_999));
    assert!(cache.consume(&charge).await.exceeded.is_some());
    assert!(cache.stats_read(&ann(), clock.now()).await.requests_per_second > 0.0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.consume(&charge).await.exceeded, None, "a new window");
    let stats = cache.stats_read(&ann(), clock.now()).await;
    assert_eq!((stats.requests_per_second, stats.requests_1h, stats.first_seen_s), (0.0, 1, 60));
    clock.advance(Duration::from_secs(3_600));
    let stats = cache.stats_read(&ann(), clock.now()).await;
    assert_eq!((stats.requests_1h, stats.tokens_1h, stats.ips_1h, stats.first_seen_s), (0, 0, 0, 3_660));
}

#[tokio::test]
async fn identities_that_were_silent_longest_leave_first() {
    let clock = ManualClock::at_ten();
    let cache =
        Cache::open(CacheOptions::new(CacheLocation::Memory), std::sync::Arc::new(clock.clone())).await;
    let event = || StatsEvent { requests: 1, ..StatsEvent::default() };
    cache.stats_add(&IdentityKey::from_stored("user:early"), event(), clock.now());
    clock.advance(Duration::from_secs(1));
    for n in 0..2 * STATS_IDENTITIES_MAX {
        cache.stats_add(&IdentityKey::from_stored(format!("user:{n}")), event(), clock.now());
    }
    clock.advance(Duration::from_secs(1));
    let late = IdentityKey::from_stored("user:late");
    cache.stats_add(&late, event(), clock.now());
    assert_eq!(cache.stats_read(&IdentityKey::from_stored("user:early"), clock.now()).await.requests_1h, 0);
    assert_eq!(cache.stats_read(&late, clock.now()).await.requests_1h, 1);
}

#[tokio::test]
async fn redis_holds_what_the_seed_expects() {
    let server = RedisServer::start();
    let cache = patient(CacheLocation::Redis(server.url().into())).await;
    cache.action_set(&ann(), "quarantine-2").await.unwrap();
    let key = "ai-gateway.abuse-rules:last-classification:user:ann";
    assert_eq!(server.get(key).as_deref(), Some("quarantine-2"), "a bare word");
    assert_eq!(server.command(&["TTL", key]), ":-1\r\n", "without expiry");
    assert_eq!(server.command(&["SET", key, "block"]), "+OK\r\n");
    assert_eq!(cache.action_get(&ann()).await, Ok(Some("block".to_owned())), "as another program wrote it");

    let _ = server.command(&["DEL", key]);
    let _ = server.command(&["LPUSH", key, "x"]);
    for _ in 0..20 {
        assert_eq!(cache.action_get(&ann()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert_eq!(cache.state().state, DependencyState::Up, "a value of another type is no outage");
}

#[tokio::test]
async fn a_window_on_redis_ends_by_the_servers_clock() {
    let server = RedisServer::start();
    let cache = patient(CacheLocation::Redis(server.url().into())).await;
    let charge = [LimitCharge::new("user:ann", "rule:r", 1, Duration::from_secs(60))];
    assert_eq!(cache.consume(&charge).await.exceeded, None);
    assert!(cache.consume(&charge).await.exceeded.is_some());
    let key = "weir:limit:{user:ann}:rule:r:60000";
    assert_eq!(server.get(key).as_deref(), Some("2"));
    assert_eq!(server.command(&["PEXPIRE", key, "1"]), ":1\r\n");
    until("the end of the window", async || server.get(key).is_none()).await;
    assert_eq!(cache.consume(&charge).await.exceeded, None, "a new window");
    // A key that lost its expiry, for instance by a restore, must not refuse for ever.
    assert_eq!(server.command(&["PERSIST", key]), ":1\r\n");
    assert!(cache.consume(&charge).await.exceeded.unwrap().retry_after > Duration::from_secs(50));
    assert_ne!(server.command(&["PTTL", key]), ":-1\r\n");
}

#[tokio::test]
async fn nodes_know_of_each_other() {
    let server = RedisServer::start();
    let location = CacheLocation::Redis(server.url().into());
    let one = patient(location.clone()).await;
    assert_eq!(one.nodes_known(), 1);
    let two = patient(location).await;
    assert_eq!(two.nodes_known(), 2);
    until("the first to hear of the second", async || one.nodes_known() == 2).await;
    two.close().await.unwrap();
    drop(two);
    until("the first to hear that it left", async || one.nodes_known() == 1).await;
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_told_in_the_state_without_its_password() {
    let url: Secret = "redis://user:s3cret@127.0.0.1:notaport".to_owned().into();
    let cache = Cache::open(CacheOptions::new(CacheLocation::Redis(url)), SystemClock::shared()).await;
    let state = cache.state();
    assert_eq!(state.state, DependencyState::Down);
    let error = state.error.unwrap();
    assert!(error.contains("URL") && !error.contains("s3cret"), "{error}");
    assert!(state.since <= SystemClock.now());
}
