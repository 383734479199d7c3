//! One Redis, a cluster, or a Redis behind sentinels: connecting, calling with deadline and breaker, staying connected.
//!
//! A task of its own, the keeper, holds the connection: it says once a second that this node is alive, notices when
//! Redis does not answer, and connects anew. Requests never connect and never wait for it.

mod connection;
mod scripts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue};
use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::sleep;

pub(super) use self::connection::Connection;
use self::connection::Topology;
pub(super) use self::scripts::{CONSUME, STATS_ADD, STATS_READ};
use self::scripts::{HEARTBEAT, Script};
use super::{CacheOptions, names};
use crate::breaker::Breaker;
use crate::error::{ErrorKind, Result, StoreError};

/// How often a node says that it is alive, and after how long a silent one is gone.
pub(super) const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
const SILENT_MAX: Duration = Duration::from_secs(5);

/// How long the keeper waits between attempts to connect, at first and at most.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// A Redis that may be away.
pub(super) struct Redis {
    topology: Result<Topology>,
    connection: ArcSwapOption<Connection>,
    pub(super) breaker: Arc<Breaker>,
    deadline: Duration,
    connect_deadline: Duration,
    node: String,
    nodes: AtomicU64,
}

impl Redis {
    pub(super) fn new(options: &CacheOptions, breaker: Arc<Breaker>) -> Self {
        Self {
            topology: Topology::of(&options.location, options.deadline, options.connect_deadline),
            connection: ArcSwapOption::empty(),
            breaker,
            deadline: options.deadline,
            connect_deadline: options.connect_deadline,
            node: uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string(),
            nodes: AtomicU64::new(1),
        }
    }

    /// Nodes that were alive at the last heartbeat that succeeded.
    pub(super) fn nodes(&self) -> u64 {
        self.nodes.load(Ordering::Relaxed).max(1)
    }

    /// Runs a command.
    pub(super) async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        self.guarded(async { Ok(command.query_async(&mut self.connection()?).await?) }).await
    }

    /// Runs anything with the deadline and the breaker.
    pub(super) async fn guarded<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.breaker.run(self.deadline, call).await
    }

    /// Runs a script; the server learns its text when it does not know it.
    pub(super) async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<T> {
        self.guarded(async { script.run(&mut self.connection()?, keys, arguments).await }).await
    }

    pub(super) fn connection(&self) -> Result<Connection> {
        let connection = self.connection.load();
        let connection = connection.as_deref().cloned();
        connection.ok_or_else(|| StoreError::new(ErrorKind::Unavailable, "the cache is not connected"))
    }

    /// A sign of life, of this node and of Redis.
    async fn heartbeat(&self, connection: &mut Connection) -> Result<()> {
        let arguments = [self.node.clone(), SILENT_MAX.as_millis().to_string()];
        let nodes: u64 = HEARTBEAT.run(connection, &[names::NODES.to_owned()], &arguments).await?;
        self.nodes.store(nodes, Ordering::Relaxed);
        metrics::gauge!("weir_nodes").set(nodes as f64);
        Ok(())
    }

    /// Leaves the list of nodes.
    pub(super) async fn leave(&self) -> Result<()> {
        self.call::<()>(::redis::cmd("ZREM").arg(names::NODES).arg(&self.node)).await
    }

    /// Keeps the connection; never ends. `tried` is told after each attempt to connect.
    pub(super) async fn keep(self: Arc<Self>, tried: watch::Sender<bool>) {
        let mut pause = RECONNECT_FIRST;
        loop {
            if self.breaker.is_open() || self.connection.load().is_none() {
                match self.connect().await {
                    Ok(()) => pause = RECONNECT_FIRST,
                    Err(error) => {
                        self.breaker.open(&error);
                        let _ = tried.send(true);
                        sleep(jittered(pause)).await;
                        pause = (pause * 2).min(RECONNECT_MAX);
                        continue;
                    }
                }
                let _ = tried.send(true);
            } else if let Err(error) = self.beat().await {
                if error.kind() == ErrorKind::Unavailable {
                    // The connection is dead, or speaks to a server that has become a replica.
                    self.connection.store(None);
                }
                continue;
            }
            // Trouble is a reason to look at once.
            let _ = tokio::time::timeout(HEARTBEAT_EVERY, self.breaker.trouble.notified()).await;
        }
    }

    async fn beat(&self) -> Result<()> {
        self.guarded(async { self.heartbeat(&mut self.connection()?).await }).await
    }

    /// Connects anew. Only a connection that answers within a request's deadline closes the breaker.
    async fn connect(&self) -> Result<()> {
        let topology = self.topology.as_ref().map_err(Clone::clone)?;
        let mut connection = self.breaker.within(self.connect_deadline, topology.connect()).await?;
        self.breaker.within(self.deadline, self.heartbeat(&mut connection)).await?;
        self.connection.store(Some(Arc::new(connection)));
        self.breaker.close();
        Ok(())
    }
}

/// Nodes that lost the same Redis do not come back in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.0))
}
