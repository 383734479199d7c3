//! Redis or PostgreSQL gone, hanging and back, under load: no request fails that they do not concern.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_testkit::deadline::within;
use weir_testkit::{PostgresServer, RedisServer, WeirProcess};

use crate::support::{
    admin, ask, assert_no_canary, binary, eventually, make_key, readiness, rule_for, simulated,
    wait_for_dependency, write,
};

/// What the log says when a dependency is given up; once for each time that it goes.
const GIVEN_UP: &str = "store is down: going on without it";
const BACK: &str = "store is back";
/// The longest that a request may take while a store hangs, on a machine that is busy with other things. A request
/// that waits for the store without a deadline would take until the store is let go.
const QUICK: Duration = Duration::from_secs(30);
/// Redis is given up when it is gone, and not when the machine pauses for longer than the 50 ms of the default.
const CACHE_TIMEOUT: &str = "limits: {cache_timeout: 1s}";

/// Callers that ask all the time, each for one answer after the other.
struct Load {
    stop: Arc<AtomicBool>,
    answered: watch::Sender<usize>,
    callers: Vec<JoinHandle<Vec<(u16, Duration)>>>,
}

impl Load {
    fn start(weir: &Arc<WeirProcess>, key: &str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), watch::channel(0).0);
        let callers = (0..3).map(|_| {
            let (weir, key) = (Arc::clone(weir), key.to_owned());
            let (stop, answered) = (Arc::clone(&stop), answered.clone());
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let since = Instant::now();
                    let status = ask(&weir, &key, "sim/echo").await.status;
                    answers.push((status, since.elapsed()));
                    answered.send_modify(|count| *count += 1);
                }
                answers
            })
        });
        let callers = callers.collect();
        Self { stop, answered, callers }
    }

    /// Waits for this many more answers.
    async fn goes_on_for(&self, answers: usize) {
        let mut answered = self.answered.subscribe();
        let goal = *answered.borrow() + answers;
        within("answers under load", answered.wait_for(|count| *count >= goal)).await.unwrap();
    }

    /// Ends it: every answer was good, and none was long in coming.
    async fn was_served(self) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            let answers = caller.await.unwrap();
            assert!(!answers.is_empty());
            let bad: Vec<_> =
                answers.iter().filter(|(status, took)| *status != 200 || *took > QUICK).collect();
            assert!(bad.is_empty(), "of {} answers these are not quick and good: {bad:?}", answers.len());
        }
    }
}

/// A node on a Redis of its own, and a key that no rule concerns; a rule that concerns somebody else is there.
async fn node_on_redis(redis: &RedisServer, mode: &str) -> (Arc<WeirProcess>, String) {
    let config = simulated(&format!("cache: {}\n{CACHE_TIMEOUT}\nabuse: {{mode: {mode}}}", redis.url()));
    let weir = WeirProcess::start(binary(), &config).await;
    let key = make_key(&weir, "nobody-in-particular").await;
    write(&weir, "POST", "/api/rules", &rule_for("somebody-else", &json!("block")), 201).await;
    (Arc::new(weir), key)
}

fn count(weir: &WeirProcess, text: &str) -> usize {
    weir.stderr().matches(text).count()
}

fn warnings(weir: &WeirProcess) -> Vec<String> {
    let log = weir.stderr();
    log.lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"))
        .map(ToOwned::to_owned)
        .collect()
}

async fn killed_and_back(mode: &str) {
    let mut redis = RedisServer::start();
    let (weir, key) = node_on_redis(&redis, mode).await;
    wait_for_dependency(&weir, "cache", "up").await;
    let load = Load::start(&weir, &key);
    load.goes_on_for(30).await;

    redis.kill();
    wait_for_dependency(&weir, "cache", "down").await;
    assert_eq!(readiness(&weir, "cache").await, (200, "degraded".to_owned(), "down".to_owned()));
    load.goes_on_for(60).await;
    weir.wait_for_stderr(GIVEN_UP).await;
    assert_eq!(count(&weir, GIVEN_UP), 1, "it is said once");
    let lines = warnings(&weir);
    assert!(lines.len() < 20, "so many warnings of one outage: {lines:#?}");

    redis.restart();
    wait_for_dependency(&weir, "cache", "up").await;
    load.goes_on_for(30).await;
    load.was_served().await;
    assert_eq!(count(&weir, BACK), 1);
    assert_eq!(readiness(&weir, "cache").await, (200, "ready".to_owned(), "up".to_owned()));
    let other = make_key(&weir, "somebody-else").await;
    let enforced = async || (ask(&weir, &other, "sim/echo").await.status == 403).then_some(());
    eventually("the rule to be enforced as before", enforced).await;
    assert_no_canary(&weir).await;
}

#[tokio::test]
async fn redis_that_is_killed_under_load_fails_no_request_and_is_used_again_when_it_is_back() {
    killed_and_back("inline").await;
}

#[tokio::test]
async fn redis_that_is_killed_in_cached_mode_fails_no_request_and_is_used_again_when_it_is_back() {
    killed_and_back("cached").await;
}

#[tokio::test]
async fn nobody_waits_long_for_a_redis_that_hangs() {
    let redis = RedisServer::start();
    let (weir, key) = node_on_redis(&redis, "cached").await;
    wait_for_dependency(&weir, "cache", "up").await;
    let load = Load::start(&weir, &key);
    load.goes_on_for(10).await;
    redis.pause();
    wait_for_dependency(&weir, "cache", "down").await;
    load.goes_on_for(60).await;
    assert_eq!(readiness(&weir, "cache").await.1, "degraded");
    redis.resume();
    wait_for_dependency(&weir, "cache", "up").await;
    load.goes_on_for(10).await;
    load.was_served().await;
}

#[tokio::test]
async fn postgresql_that_is_killed_under_load_fails_no_request_and_is_used_again_when_it_is_back() {
    let mut postgres = PostgresServer::start();
    let config = simulated(&format!("store: {}", postgres.create_database("outage")));
    let weir = Arc::new(WeirProcess::start(binary(), &config).await);
    let key = make_key(&weir, "nobody-in-particular").await;
    write(&weir, "POST", "/api/rules", &rule_for("somebody-else", &json!("block")), 201).await;
    let blocked = make_key(&weir, "somebody-else").await;
    let load = Load::start(&weir, &key);
    load.goes_on_for(30).await;

    postgres.kill();
    wait_for_dependency(&weir, "store", "down").await;
    assert_eq!(readiness(&weir, "store").await, (200, "degraded".to_owned(), "down".to_owned()));
    load.goes_on_for(60).await;
    assert_eq!(ask(&weir, &blocked, "sim/echo").await.status, 403, "the rules in force stay in force");
    let unwritten = admin(&weir, "POST", "/api/keys", &json!({"user": "new"})).await;
    assert_eq!(unwritten.status, 503, "what cannot be stored is not acknowledged: {}", unwritten.text());

    postgres.restart();
    wait_for_dependency(&weir, "store", "up").await;
    load.goes_on_for(30).await;
    load.was_served().await;
    eventually("writing to work again", async || {
        (admin(&weir, "POST", "/api/keys", &json!({"user": "new"})).await.status == 201).then_some(())
    })
    .await;
    let newest = ask(&weir, &key, "sim/echo").await;
    assert_eq!(crate::support::record(&weir, &newest).await["outcome"], "nothing");
    let gone = admin(&weir, "GET", "/api/rules/of-nobody", &Value::Null).await;
    assert_eq!(gone.status, 404, "{}", gone.text());
}
