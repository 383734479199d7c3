//! Deleting records that are kept no longer.

use std::time::Duration;

use weir_core::Timestamp;

use super::super::{Database, read, to_i64, to_u64, transact};
use super::first_id;
use crate::error::Result;

/// Blocks that one transaction of the pruning deletes, so that writers never wait long for it.
const BLOCKS_PER_DELETE: i64 = 200;

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Older records are deleted.
    pub age_max: Duration,
    /// Beyond this number the oldest are deleted; whole blocks, so that some more may stay.
    pub rows_max: u64,
}

impl Default for Retention {
    /// 30 days, ten million records (about a gigabyte).
    fn default() -> Self {
        Self { age_max: Duration::from_secs(30 * 24 * 3600), rows_max: 10_000_000 }
    }
}

impl Database {
    /// Deletes what is kept no longer, in small transactions, and says how many records that were. Several nodes may do
    /// so at once.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind); what was deleted before stays deleted.
    pub async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<u64> {
        const SURPLUS: &str = "SELECT last_id FROM (SELECT last_id, \
            SUM(records) OVER (ORDER BY last_id DESC) - records AS newer FROM record_blocks) AS sums \
            WHERE newer >= $1 ORDER BY last_id DESC LIMIT 1";
        let by_age = first_id(now.saturating_sub(retention.age_max).unwrap_or(Timestamp::MIN)).to_string();
        let surplus: Option<(String,)> = read!(self, pool => {
            sqlx::query_as(SURPLUS).bind(to_i64(retention.rows_max)).fetch_optional(pool).await?
        })?;
        // The newest that is surplus goes too: the bound lies behind it.
        let surplus = surplus.map(|(id,)| format!("{id}~")).unwrap_or_default();
        let bound = by_age.max(surplus);
        let mut deleted = 0_u64;
        loop {
            let (blocks, records) = self.prune_some(&bound).await?;
            deleted = deleted.saturating_add(records);
            if blocks < BLOCKS_PER_DELETE {
                return Ok(deleted);
            }
        }
    }

    /// Deletes some of the blocks before `bound`: how many, and how many records were in them.
    async fn prune_some(&self, bound: &str) -> Result<(i64, u64)> {
        const OLDEST: &str =
            "SELECT last_id, records FROM record_blocks WHERE last_id < $1 ORDER BY last_id LIMIT $2";
        const DELETES: [&str; 3] = [
            "DELETE FROM notable_records WHERE block <= $1 AND id <= $1",
            "DELETE FROM record_bodies WHERE last_id <= $1",
            "DELETE FROM record_blocks WHERE last_id <= $1",
        ];
        let oldest: Vec<(String, i64)> = read!(self, pool => {
            sqlx::query_as(OLDEST).bind(bound).bind(BLOCKS_PER_DELETE).fetch_all(pool).await?
        })?;
        let Some((last, _)) = oldest.last() else { return Ok((0, 0)) };
        transact!(self, tx => {
            for delete in DELETES {
                sqlx::query(delete).bind(last).execute(&mut *tx).await?;
            }
        })?;
        let records = oldest.iter().map(|(_, records)| to_u64(*records)).sum();
        Ok((to_i64(oldest.len() as u64), records))
    }
}
