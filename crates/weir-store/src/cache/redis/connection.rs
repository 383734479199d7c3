//! The three ways to reach a Redis, and one connection type for all of them.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisConnectionInfo, RedisFuture, TlsMode, Value};
use tokio::sync::Mutex;
use weir_core::secret::{Secret, expose};

use crate::cache::{CacheLocation, SentinelLocation};
use crate::error::{ErrorKind, Result, StoreError};

/// How a Redis is found.
pub(super) enum Topology {
    Single(Client, AsyncConnectionConfig),
    Cluster(ClusterClient),
    Sentinel(Box<Mutex<SentinelClient>>, AsyncConnectionConfig),
}

impl Topology {
    /// Reads the URLs; opens nothing.
    pub(super) fn of(
        location: &CacheLocation,
        deadline: Duration,
        connect_deadline: Duration,
    ) -> Result<Self> {
        // Every call has a deadline of its own, which also counts for the breaker: no second timer is needed.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_deadline))
            .set_response_timeout(None);
        match location {
            CacheLocation::Memory => {
                Err(StoreError::new(ErrorKind::Refused, "the cache in process has no URL"))
            }
            CacheLocation::Redis(url) => {
                Ok(Self::Single(Client::open(expose(url)).map_err(|e| unusable(&e))?, config))
            }
            CacheLocation::RedisCluster(urls) => cluster(urls, deadline, connect_deadline).map(Self::Cluster),
            CacheLocation::RedisSentinel(location) => {
                Ok(Self::Sentinel(Box::new(Mutex::new(sentinel(location)?)), config))
            }
        }
    }

    /// Opens a connection; the caller limits the time.
    pub(super) async fn connect(&self) -> Result<Connection> {
        Ok(match self {
            Self::Single(client, config) => {
                Connection::Single(client.get_multiplexed_async_connection_with_config(config).await?)
            }
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
            Self::Sentinel(sentinel, config) => {
                let master = sentinel.lock().await.async_get_client().await?;
                Connection::Single(master.get_multiplexed_async_connection_with_config(config).await?)
            }
        })
    }
}

fn cluster(urls: &[Secret], deadline: Duration, connect_deadline: Duration) -> Result<ClusterClient> {
    ClusterClient::builder(urls.iter().map(expose))
        .connection_timeout(connect_deadline)
        .response_timeout(deadline)
        .retries(1)
        .build()
        .map_err(|e| unusable(&e))
}

fn sentinel(location: &SentinelLocation) -> Result<SentinelClient> {
    let urls: Vec<_> = location.sentinels.iter().map(expose).collect();
    let mut login = RedisConnectionInfo::default().set_db(location.database);
    if let Some(username) = &location.username {
        login = login.set_username(username);
    }
    if let Some(password) = &location.password {
        login = login.set_password(expose(password));
    }
    let mut service = SentinelNodeConnectionInfo::default().set_redis_connection_info(login);
    if location.tls {
        service = service.set_tls_mode(TlsMode::Secure);
    }
    SentinelClient::build(urls, &location.service, Some(service), SentinelServerType::Master)
        .map_err(|e| unusable(&e))
}

/// The driver's words on a URL may quote it; only the kind of the fault is told.
fn unusable(error: &redis::RedisError) -> StoreError {
    StoreError::new(ErrorKind::Refused, format!("the cache's URL cannot be used: {}", error.category()))
}

/// A connection of any topology. Cloning it shares it.
#[derive(Clone)]
pub(in crate::cache) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl Connection {
    /// The servers that hold keys, each to be asked by itself: `None` for a single one.
    pub(in crate::cache) async fn primaries(&mut self) -> Result<Vec<Option<(String, u16)>>> {
        let Self::Cluster(cluster) = self else { return Ok(vec![None]) };
        let ranges: Vec<Vec<Value>> = redis::cmd("CLUSTER").arg("SLOTS").query_async(cluster).await?;
        let mut primaries: Vec<_> = ranges.into_iter().filter_map(primary).map(Some).collect();
        primaries.sort_unstable();
        primaries.dedup();
        Ok(primaries)
    }

    /// Runs a command on one of [`Connection::primaries`].
    pub(in crate::cache) async fn on(
        &mut self,
        primary: Option<(String, u16)>,
        command: Cmd,
    ) -> Result<Value> {
        Ok(match (self, primary) {
            (Self::Cluster(cluster), Some((host, port))) => {
                let node = RoutingInfo::SingleNode(SingleNodeRoutingInfo::ByAddress { host, port });
                cluster.route_command(command, node).await?
            }
            (Self::Cluster(cluster), None) => command.query_async(cluster).await?,
            (Self::Single(single), _) => command.query_async(single).await?,
        })
    }
}

/// The primary of a range of slots, which is listed as: first slot, last slot, primary, replicas. A server is: address,
/// port, and more.
fn primary(range: Vec<Value>) -> Option<(String, u16)> {
    let server: Vec<Value> = range.into_iter().nth(2).and_then(|v| redis::from_redis_value(v).ok())?;
    let mut server = server.into_iter();
    let host = redis::from_redis_value(server.next()?).ok()?;
    let port = redis::from_redis_value(server.next()?).ok()?;
    Some((host, port))
}
