//! Clearing the whole action cache on Redis, node by node of a cluster.

use futures_util::{StreamExt as _, TryStreamExt as _};
use redis::Cmd;

use super::names;
use super::redis::Redis;
use crate::error::Result;

/// Keys that the server looks at in one step.
const SCAN_STEP: u32 = 1_000;

/// Keys that are being forgotten at once.
const UNLINKED_AT_ONCE: usize = 64;

impl Redis {
    /// Walks the keys with `SCAN`, never with `KEYS`, and says how many were forgotten.
    pub(super) async fn clear_actions(&self) -> Result<u64> {
        let mut connection = self.connection()?;
        let primaries = self.guarded(connection.primaries()).await?;
        let mut forgotten = 0_u64;
        for primary in primaries {
            let mut cursor = "0".to_owned();
            loop {
                let answer = self.guarded(connection.on(primary.clone(), scan(&cursor))).await?;
                let (next, keys): (String, Vec<String>) =
                    ::redis::from_redis_value(answer).map_err(::redis::RedisError::from)?;
                forgotten = forgotten.saturating_add(self.unlink(keys).await?);
                cursor = next;
                if cursor == "0" {
                    break;
                }
            }
        }
        Ok(forgotten)
    }

    /// One by one, because the keys of a node of a cluster are not in one slot; but many at once.
    async fn unlink(&self, keys: Vec<String>) -> Result<u64> {
        futures_util::stream::iter(keys)
            .map(|key| async move { self.call::<u64>(::redis::cmd("UNLINK").arg(key)).await })
            .buffer_unordered(UNLINKED_AT_ONCE)
            .try_fold(0, |sum, one| std::future::ready(Ok(one.saturating_add(sum))))
            .await
    }
}

fn scan(cursor: &str) -> Cmd {
    let mut scan = ::redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(format!("{}*", names::ACTION)).arg("COUNT").arg(SCAN_STEP);
    scan
}
