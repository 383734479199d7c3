//! Stores that are killed, paused or absent: nobody waits for them, and they are used again when they are back.

use std::time::{Duration, Instant};

use weir_core::IdentityKey;
use weir_store::clock::SystemClock;
use weir_store::directory::{Directory, DirectoryOptions, IDENTITY_DEADLINE};
use weir_store::{
    Cache, CacheLocation, CacheOptions, Database, DatabaseLocation, DatabaseOptions, DependencyState,
    ErrorKind, LimitCharge, StatsEvent,
};
use weir_testkit::deadline::{PATIENCE, within};
use weir_testkit::{PostgresServer, RedisServer};

use super::cache::patient;
use super::support::{at, now, until};

const HOUR: Duration = Duration::from_secs(3_600);

fn ann() -> IdentityKey {
    IdentityKey::from_stored("user:ann")
}

async fn is(cache: &Cache, state: DependencyState) -> bool {
    cache.state().state == state
}

async fn passed(cache: &Cache, charge: &LimitCharge, asked: usize) -> usize {
    let mut passed = 0;
    for _ in 0..asked {
        passed += usize::from(cache.consume(std::slice::from_ref(charge)).await.exceeded.is_none());
    }
    passed
}

#[tokio::test]
async fn while_redis_is_gone_a_node_admits_its_share() {
    let mut server = RedisServer::start();
    let location = CacheLocation::Redis(server.url().into());
    let nodes = [patient(location.clone()).await, patient(location).await];
    until("both to know of each other", async || nodes.iter().all(|n| n.nodes_known() == 2)).await;
    let [begun, used_up, fresh, tiny] =
        ["begun", "used-up", "fresh", "tiny"].map(|name| LimitCharge::new("user:ann", name, 20, HOUR));
    let tiny = LimitCharge { requests: 1, ..tiny };
    assert_eq!(passed(&nodes[0], &begun, 10).await, 10);
    assert_eq!(passed(&nodes[0], &used_up, 25).await, 20);

    server.kill();
    assert_eq!(passed(&nodes[0], &begun, 50).await, 5, "half of the ten that were left");
    assert_eq!(passed(&nodes[0], &used_up, 50).await, 0, "what is used up stays so");
    for node in &nodes {
        assert_eq!(passed(node, &fresh, 50).await, 10, "half of the limit");
        assert_eq!(passed(node, &tiny, 50).await, 1, "never nothing");
        assert_eq!(node.nodes_known(), 2, "as last known");
    }
    until("the breaker to open", async || is(&nodes[0], DependencyState::Down).await).await;
    assert!(nodes[0].state().error.is_some());

    server.restart();
    for node in &nodes {
        until("Redis to be used again", async || is(node, DependencyState::Up).await).await;
    }
    let mut both = 0;
    for node in &nodes {
        both += passed(node, &fresh, 20).await;
    }
    assert_eq!(both, 20, "together again exactly the limit");
}

#[tokio::test]
async fn nobody_waits_for_a_redis_that_hangs() {
    const DEADLINE: Duration = Duration::from_millis(200);
    let server = RedisServer::start();
    let options =
        CacheOptions { deadline: DEADLINE, ..CacheOptions::new(CacheLocation::Redis(server.url().into())) };
    let cache = Cache::open(options, SystemClock::shared()).await;
    until("Redis to be used", async || cache.action_set(&ann(), "block").await.is_ok()).await;
    cache.stats_add(&ann(), StatsEvent { requests: 1, ..StatsEvent::default() }, now());

    server.pause();
    let mut waited = 0;
    while !is(&cache, DependencyState::Down).await {
        let error = within("a call that has a deadline", cache.action_get(&ann())).await.unwrap_err();
        assert!(error.kind().is_outage());
        waited += 1;
        assert!(waited < 20, "the breaker does not open");
    }
    let asked = Instant::now();
    let charge = LimitCharge::new("user:ann", "rule:r", 10, HOUR);
    for _ in 0..1_000 {
        assert_eq!(cache.action_get(&ann()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        cache.consume(std::slice::from_ref(&charge)).await;
        assert_eq!(cache.stats_read(&ann(), now()).await.requests_1h, 1, "what this node has seen");
    }
    let spent = asked.elapsed();
    assert!(
        spent < DEADLINE * 300,
        "3,000 calls took {spent:?}: each would wait {DEADLINE:?} without the breaker"
    );

    server.resume();
    until("Redis to be used again", async || cache.action_get(&ann()).await == Ok(Some("block".to_owned())))
        .await;
}

#[tokio::test]
async fn a_redis_that_is_absent_at_first_is_used_once_it_is_there() {
    let mut server = RedisServer::start();
    server.kill();
    let cache = patient(CacheLocation::Redis(server.url().into())).await;
    assert_eq!(cache.state().state, DependencyState::Down);
    assert_eq!(cache.action_get(&ann()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.actions_clear().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.nodes_known(), 1);
    server.restart();
    until("Redis to be used", async || cache.action_set(&ann(), "log").await.is_ok()).await;
    assert_eq!(cache.state().state, DependencyState::Up);
    assert_eq!(cache.state().error, None);
}

#[tokio::test]
async fn a_postgres_that_is_gone_fails_fast_and_is_used_again_when_it_is_back() {
    let mut server = PostgresServer::start();
    let options = DatabaseOptions {
        deadline: Duration::from_secs(3),
        ..DatabaseOptions::new(DatabaseLocation::Postgres(server.url().into()))
    };
    let database = Database::open(options).await.unwrap();
    database.rules_replace("text", "s", "a", at(0), None).await.unwrap();
    server.kill();
    until("the breaker to open", async || {
        let _ = database.rules_current().await;
        database.state().state == DependencyState::Down
    })
    .await;
    let refused = async {
        for _ in 0..1_000 {
            assert_eq!(database.rules_current().await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
    };
    within("a thousand calls that wait for nothing", refused).await;
    server.restart();
    until("it to be used again", async || database.rules_current().await.is_ok()).await;
    assert_eq!(
        database.rules_current().await.unwrap().text,
        "text",
        "a commit that was acknowledged is on the disk"
    );
    assert_eq!(database.state().state, DependencyState::Up);
}

#[tokio::test]
async fn a_postgres_that_is_absent_is_told_at_once() {
    let mut server = PostgresServer::start();
    server.kill();
    let error = Database::open(DatabaseOptions::new(DatabaseLocation::Postgres(server.url().into())));
    let error = error.await.err().expect("nobody is there");
    assert!(error.kind().is_outage(), "{error}");
}

#[tokio::test]
async fn what_is_known_of_an_identity_is_awaited_for_an_answer_that_is_kept() {
    use sqlx::Connection as _;
    let server = PostgresServer::start();
    let location = DatabaseLocation::Postgres(server.url().into());
    let options = DatabaseOptions { deadline: PATIENCE, ..DatabaseOptions::new(location) };
    let database = Database::open(options).await.unwrap();
    let until = at(0) + HOUR;
    database.identity_exempt(&ann(), Some(until), "ada", at(0)).await.unwrap();
    let options = DirectoryOptions::default();
    let directory = Directory::start(database, options).await.unwrap();

    let mut other = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("BEGIN").execute(&mut other).await.unwrap();
    sqlx::query("LOCK TABLE identities IN ACCESS EXCLUSIVE MODE").execute(&mut other).await.unwrap();
    assert_eq!(directory.identity(&ann(), now()).await.exempt_until, None, "a request goes on without");
    let unlocked = async {
        tokio::time::sleep(IDENTITY_DEADLINE * 2).await;
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    };
    let key = ann();
    let (row, ()) = tokio::join!(directory.identity_awaited(&key, now()), unlocked);
    assert_eq!(row.exempt_until, Some(until));
    directory.shutdown().await;
}
