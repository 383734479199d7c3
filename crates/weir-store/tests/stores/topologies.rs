//! A Redis cluster and a Redis behind a sentinel: the same cache, found in another way.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use weir_core::IdentityKey;
use weir_store::cache::SentinelLocation;
use weir_store::{CacheLocation, DependencyState, LimitCharge, StatsEvent};
use weir_testkit::RedisServer;

use super::cache::patient;
use super::support::{now, until};

/// A `redis-server` with a configuration of its own; killed when dropped.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    async fn start(lines: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = weir_testkit::free_port();
        let file = folder.path().join("redis.conf");
        let text = format!("port {port}\nbind 127.0.0.1\ndir {}\n{lines}\n", folder.path().display());
        std::fs::write(&file, text).unwrap();
        let child = Command::new("redis-server")
            .arg(&file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port, _folder: folder };
        until("the server to answer", async || server.ask(&["PING"]).await.is_ok()).await;
        server
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn it_does_everything(location: CacheLocation) {
    let cache = patient(location).await;
    until("Redis to be used", async || cache.state().state == DependencyState::Up).await;
    let identities: Vec<_> = (0..50).map(|n| IdentityKey::from_stored(format!("user:{n}"))).collect();
    for identity in &identities {
        cache.action_set(identity, "block").await.unwrap();
    }
    assert_eq!(cache.action_get(&identities[7]).await, Ok(Some("block".to_owned())));
    let hour = Duration::from_secs(3_600);
    for identity in &identities {
        let limits =
            ["rule:a", "rule:b", "free-model"].map(|n| LimitCharge::new(identity.as_str(), n, 1, hour));
        assert_eq!(cache.consume(&limits).await.exceeded, None);
        assert!(cache.consume(&limits).await.exceeded.is_some());
        let event = StatsEvent { requests: 3, ip: Some("::1".to_owned()), ..StatsEvent::default() };
        cache.stats_add(identity, event, now());
    }
    assert_eq!(cache.actions_clear().await, Ok(50));
    cache.close().await.unwrap();
    for identity in &identities {
        let stats = cache.stats_read(identity, now()).await;
        assert_eq!((stats.requests_1h, stats.ips_1h), (3, 1), "{identity}");
    }
    assert_eq!(cache.state().state, DependencyState::Up);
}

/// Primaries that share the slots; they know each other by `CLUSTER MEET`.
#[tokio::test]
async fn a_cluster_of_three() {
    let servers = [cluster_node().await, cluster_node().await, cluster_node().await];
    for (server, (first, last)) in servers.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")])
    {
        server.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await.unwrap();
        let port = servers[0].port.to_string();
        server.ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).await.unwrap();
    }
    for server in &servers {
        until("the cluster to be whole", async || {
            let info = server.ask(&["CLUSTER", "INFO"]).await.unwrap();
            let info: String = redis::from_redis_value(info).unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    // One of them is enough to find the others.
    it_does_everything(CacheLocation::RedisCluster(vec![servers[1].url().into()])).await;
    let mut used = 0;
    for server in &servers {
        let limits = server.ask(&["KEYS", "weir:limit:*"]).await.unwrap();
        used += usize::from(!redis::from_redis_value::<Vec<String>>(limits).unwrap().is_empty());
    }
    assert_eq!(used, 3, "all of them are used");
}

async fn cluster_node() -> Server {
    Server::start("cluster-enabled yes\ncluster-node-timeout 5000\nsave \"\"", &[]).await
}

#[tokio::test]
async fn a_redis_behind_a_sentinel() {
    let master = RedisServer::start();
    let lines = format!("sentinel monitor main 127.0.0.1 {} 1", master.port());
    let sentinel = Server::start(&lines, &["--sentinel"]).await;
    let location = SentinelLocation {
        sentinels: vec![sentinel.url().into()],
        service: "main".to_owned(),
        database: 2,
        tls: false,
        username: None,
        password: None,
    };
    it_does_everything(CacheLocation::RedisSentinel(location)).await;
    assert!(master.command(&["INFO", "keyspace"]).contains("db2:"), "in the database that was asked for");
}
