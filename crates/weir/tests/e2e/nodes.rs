//! Two nodes that share Redis and PostgreSQL are one weir.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use weir_store::directory::FEED_PERIOD;
use weir_store::{Database, DatabaseLocation, DatabaseOptions};
use weir_testkit::deadline::PATIENCE;
use weir_testkit::{PostgresServer, RedisServer, WeirProcess};

use crate::support::{
    PATIENT, admin, ask, assert_no_canary, binary, eventually, make_key, make_key_of, read, rule_for,
    simulated, wait_for_dependency, write,
};

/// Two nodes and the stores they share.
struct Pair {
    redis: RedisServer,
    _postgres: PostgresServer,
    /// The database of both.
    database: Database,
    one: WeirProcess,
    other: WeirProcess,
}

impl Pair {
    /// With these further lines.
    async fn start(more: &str) -> Self {
        let (redis, postgres) = (RedisServer::start(), PostgresServer::start());
        let url = postgres.create_database("pair");
        let stores = format!("store: {url}\ncache: {}", redis.url());
        let priced = "{id: priced, provider: sim, upstream_model: echo, price: {input: 1000, output: 1000}}";
        // Until the other node knows a key, every look of these tests comes from an address without one.
        let limits = format!("limits: {{unauthenticated: {{requests: 1000000, per: 1m}}, {PATIENT}}}");
        let config = simulated(&format!("{stores}\nmodels: [{priced}]\n{limits}\n{more}"));
        let one = WeirProcess::start(binary(), &config).await;
        let other = WeirProcess::start(binary(), &config).await;
        let location = DatabaseLocation::Postgres(url.into());
        let options = DatabaseOptions { deadline: PATIENCE, ..DatabaseOptions::new(location) };
        let database = Database::open(options).await.unwrap();
        Self { redis, _postgres: postgres, database, one, other }
    }

    /// Waits until a request on the other node is answered so.
    async fn answered_on_the_other(&self, key: &str, status: u16) {
        eventually(&format!("{status} from the other node"), async || {
            (ask(&self.other, key, "sim/echo").await.status == status).then_some(())
        })
        .await;
    }

    /// A change that was just acknowledged shows in how requests on the other node are answered, before that node has
    /// read the feed as often as it does in a second. A second is counted in reads: on a machine that builds and
    /// tests at once they are late together with what is measured.
    async fn answered_on_the_other_within_a_second(&self, what: &str, key: &str, status: u16) {
        let before = feed_reads(&self.other).await;
        loop {
            let reads = feed_reads(&self.other).await - before;
            let answered = ask(&self.other, key, "sim/echo").await.status;
            if answered == status {
                return;
            }
            assert!(reads < READS_IN_A_SECOND, "{what}: still {answered} after {reads} reads of the feed");
        }
    }
}

/// How often a node reads the feed of changes in a second.
const READS_IN_A_SECOND: u128 = Duration::from_secs(1).as_millis() / FEED_PERIOD.as_millis();

/// How often a node has read the feed of changes.
async fn feed_reads(weir: &WeirProcess) -> u128 {
    let metrics = admin(weir, "GET", "/metrics", &Value::Null).await;
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("weir_feed_reads_total "));
    // It is not there before the first.
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn what_is_changed_on_one_node_counts_on_the_other_within_a_second() {
    let pair = Pair::start("").await;
    // The first rules that a node loads make it compile the built-in pack, for which a debug build takes its time.
    let first = make_key(&pair.one, "first").await;
    write(&pair.one, "POST", "/api/rules", &rule_for("first", &json!("block")), 201).await;
    pair.answered_on_the_other(&first, 403).await;

    let key = make_key(&pair.one, "me").await;
    pair.answered_on_the_other_within_a_second("a key that was made", &key, 200).await;
    for (action, status) in [("block", 403), ("log", 200), ("rate-limit", 429)] {
        let (method, path, expected) =
            if action == "block" { ("POST", "/api/rules", 201) } else { ("PUT", "/api/rules/of-me", 200) };
        write(&pair.one, method, path, &rule_for("me", &json!(action)), expected).await;
        assert_eq!(
            ask(&pair.one, &key, "sim/echo").await.status,
            status,
            "at once on the node that was told"
        );
        pair.answered_on_the_other_within_a_second("a rule that was changed", &key, status).await;
    }
    write(
        &pair.one,
        "PUT",
        "/api/identities/user:me/exemption",
        &json!({"until": "2035-01-01T00:00:00Z"}),
        200,
    )
    .await;
    pair.answered_on_the_other_within_a_second("an exemption", &key, 200).await;
    write(&pair.one, "DELETE", "/api/identities/user:me/exemption", &Value::Null, 204).await;
    pair.answered_on_the_other_within_a_second("the end of an exemption", &key, 429).await;
    write(&pair.one, "DELETE", "/api/rules/of-me", &Value::Null, 204).await;
    pair.answered_on_the_other_within_a_second("a rule that was removed", &key, 200).await;
    let id = key_id(&pair.one, "me").await;
    write(&pair.one, "DELETE", &format!("/api/keys/{id}"), &Value::Null, 204).await;
    pair.answered_on_the_other_within_a_second("a key that was revoked", &key, 401).await;
    for node in [&pair.one, &pair.other] {
        assert_no_canary(node).await;
    }
}

async fn key_id(weir: &WeirProcess, user: &str) -> String {
    let keys = read(weir, "/api/keys").await;
    let items = keys["items"].as_array().unwrap();
    let key = items.iter().find(|key| key["user"] == user).unwrap_or_else(|| panic!("{keys}"));
    key["id"].as_str().unwrap().to_owned()
}

/// What all nodes together have written of what the key of a user has spent, in millionths of a US dollar.
async fn stored_spend(pair: &Pair, user: &str) -> u64 {
    let id = key_id(&pair.one, user).await;
    pair.database.key_spend(&id).await.unwrap()
}

#[tokio::test]
async fn what_a_key_has_spent_on_one_node_is_spent_on_the_other() {
    let pair = Pair::start("").await;
    let key = make_key_of(&pair.one, &json!({"user": "me", "budget_usd": 0.2})).await;
    // Answers until the budget is used up. What was spent is written in the background, which is waited for each time.
    let answers = async |node: &WeirProcess| {
        let mut answered = 0;
        loop {
            let before = stored_spend(&pair, "me").await;
            match ask(node, &key, "priced").await.status {
                402 => return answered,
                status => assert_eq!(status, 200),
            }
            answered += 1;
            eventually("it to be written", async || (stored_spend(&pair, "me").await > before).then_some(()))
                .await;
        }
    };
    eventually("the key on the other node", async || {
        (ask(&pair.other, &key, "sim/free").await.status == 200).then_some(())
    })
    .await;
    let (here, there) = (answers(&pair.one).await, answers(&pair.other).await);
    assert!(here >= 6, "the budget is there: {here} answers");
    assert!(there <= 2, "and is used up; the other node learns that when it spends itself: {there} answers");
    assert_eq!(ask(&pair.other, &key, "sim/free").await.status, 200, "what is free stays so");
}

#[tokio::test]
async fn what_one_node_has_learned_the_other_enforces() {
    let pair = Pair::start("abuse: {mode: cached}").await;
    let key = make_key(&pair.one, "me").await;
    write(&pair.one, "POST", "/api/rules", &rule_for("me", &json!("block")), 201).await;
    pair.answered_on_the_other(&key, 200).await;
    pair.answered_on_the_other(&key, 403).await;
    assert_eq!(
        ask(&pair.one, &key, "sim/echo").await.status,
        403,
        "the first request here, and it is enforced"
    );
    write(&pair.one, "DELETE", "/api/rules/of-me", &Value::Null, 204).await;
    write(&pair.one, "DELETE", "/api/actions", &Value::Null, 200).await;
    assert_eq!(ask(&pair.one, &key, "sim/echo").await.status, 200, "what was cleared is forgotten");
}

/// How many requests are under way at once, over both nodes.
const AT_ONCE: usize = 16;
const LIMIT: usize = 25;
const REQUESTS: usize = 60;

/// Sends requests to both nodes at once and counts those that passed and those that the limit refused.
async fn race(pair: &Arc<Pair>, key: &str) -> (usize, usize) {
    let (sent, passed, refused) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..AT_ONCE).map(|client| {
        let (pair, key) = (Arc::clone(pair), key.to_owned());
        let (sent, passed, refused) = (Arc::clone(&sent), Arc::clone(&passed), Arc::clone(&refused));
        tokio::spawn(async move {
            while sent.fetch_add(1, Ordering::SeqCst) < REQUESTS {
                let node = if client % 2 == 0 { &pair.one } else { &pair.other };
                let answer = ask(node, &key, "sim/echo").await;
                match answer.status {
                    200 => passed.fetch_add(1, Ordering::SeqCst),
                    429 => {
                        assert!(
                            answer.header("x-weir-limit").is_some_and(|l| l.starts_with("rule:")),
                            "{answer:?}"
                        );
                        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                        assert!((1..=3600).contains(&wait), "{answer:?}");
                        refused.fetch_add(1, Ordering::SeqCst)
                    }
                    other => panic!("{other}: {}", answer.text()),
                };
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    (passed.load(Ordering::SeqCst), refused.load(Ordering::SeqCst))
}

/// Makes a limited user whose key and rule are in force on both nodes, and gives its key.
async fn limited_user(pair: &Pair, name: &str) -> String {
    let probe = make_key(&pair.one, &format!("probe-{name}")).await;
    let key = make_key(&pair.one, name).await;
    let then = json!({"rate-limit": {"requests": LIMIT, "per": "1h"}});
    write(&pair.one, "POST", "/api/rules", &rule_for(name, &then), 201).await;
    // Written last: where this is in force, so is everything before it, and the limit itself has counted nothing yet.
    write(&pair.one, "POST", "/api/rules", &rule_for(&format!("probe-{name}"), &json!("block")), 201).await;
    pair.answered_on_the_other(&probe, 403).await;
    key
}

#[tokio::test]
async fn a_limit_admits_its_number_over_both_nodes() {
    let pair = Arc::new(Pair::start("").await);
    for node in [&pair.one, &pair.other] {
        wait_for_dependency(node, "cache", "up").await;
    }
    let key = limited_user(&pair, "limited").await;
    assert_eq!(race(&pair, &key).await, (LIMIT, REQUESTS - LIMIT), "passed and refused");
    assert_ne!(pair.redis.command(&["DBSIZE"]), ":0\r\n", "it was counted in Redis");
}
