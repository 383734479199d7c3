//! The Lua scripts: each is atomic on the server, and touches the keys of one hash tag only.

use std::sync::LazyLock;

use redis::{FromRedisValue, ServerErrorKind};

use super::Connection;
use crate::error::Result;

/// Counts a request against limits.
pub(in crate::cache) static CONSUME: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/consume.lua")));
/// Adds to an identity's stats.
pub(in crate::cache) static STATS_ADD: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/stats_add.lua")));
/// Reads an identity's stats.
pub(in crate::cache) static STATS_READ: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/stats_read.lua")));
/// Says that a node is alive.
pub(super) static HEARTBEAT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/heartbeat.lua")));

/// A script and the hash by which the server knows it.
pub(in crate::cache) struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }

    /// Runs it by its hash, and by its text on a server (or a node of a cluster) that has not met it yet.
    pub(in crate::cache) async fn run<T: FromRedisValue>(
        &self,
        connection: &mut Connection,
        keys: &[String],
        arguments: &[String],
    ) -> Result<T> {
        match self.command("EVALSHA", &self.hash, keys, arguments).query_async(connection).await {
            Err(error) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                Ok(self.command("EVAL", self.source, keys, arguments).query_async(connection).await?)
            }
            other => Ok(other?),
        }
    }

    fn command(&self, verb: &str, script: &str, keys: &[String], arguments: &[String]) -> redis::Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        command
    }
}
