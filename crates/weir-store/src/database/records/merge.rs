//! Merging small blocks.
//!
//! The log is written ten times a second, so a block of slow traffic holds one record or two: ten million of them would
//! be millions of blocks, hardly compressed, with a row each to look through. What is older than some minutes is therefore
//! written anew in blocks of a thousand. A merge replaces its blocks in one transaction, which undoes itself when another
//! node has merged one of them before.

use sqlx::QueryBuilder;
use weir_core::{Boundary, DecisionId, Timestamp};

use super::super::block::{Block, Body, REACH, block};
use super::super::{Database, read, to_i64, to_u64, transact};
use super::{first_id, insert_blocks};
use crate::error::{ErrorKind, Result, StoreError};

/// Blocks with fewer records are merged, into ones with about so many records.
const SMALL: u64 = 256;
const MERGED: u64 = 1_024;

/// Blocks that one transaction merges at most.
const BLOCKS_PER_MERGE: usize = 400;

/// Headers that are read at a time.
const HEADERS_PER_READ: u64 = 2_000;

/// How long a block is left alone: a batch may be written again after a timeout, and that must find it.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(120);

/// How far merging has come; kept by whoever merges now and then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merging {
    /// Everything before this id is merged.
    done: String,
}

#[derive(sqlx::FromRow)]
struct Header {
    last_id: String,
    first_id: String,
    records: i64,
}

impl Header {
    /// The time, of [`REACH`], that all of its ids lie in; none where they lie in two.
    fn time(&self) -> Option<i64> {
        let of = |id: &str| id.parse().ok().map(|id: DecisionId| time_of(id.at()));
        of(&self.first_id).filter(|first| of(&self.last_id) == Some(*first))
    }
}

fn time_of(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(i64::try_from(REACH.as_millis()).unwrap_or(i64::MAX))
}

/// Deletes the rows of these blocks in a table, and says how many there were.
macro_rules! delete {
    ($tx:ident, $table:literal, $blocks:expr) => {{
        let mut delete = QueryBuilder::new(concat!("DELETE FROM ", $table, " WHERE last_id IN ("));
        let mut blocks = delete.separated(", ");
        for block in $blocks {
            blocks.push_bind(*block);
        }
        delete.push(")").build().execute(&mut *$tx).await?.rows_affected()
    }};
}

impl Database {
    /// Merges all small blocks that are old enough. The background log does so by itself, now and then.
    ///
    /// # Errors
    /// See [`ErrorKind`]; what was merged before stays so.
    pub async fn merge(&self, now: Timestamp) -> Result<u64> {
        self.merge_blocks(&mut Merging::default(), now).await
    }

    /// Merges what is small and old enough, from where it stopped the last time. Says how many blocks there are fewer.
    ///
    /// # Errors
    /// See [`ErrorKind`]; what was merged before stays so.
    pub(crate) async fn merge_blocks(&self, merging: &mut Merging, now: Timestamp) -> Result<u64> {
        let settled = now.saturating_sub(SETTLED).unwrap_or(Timestamp::MIN);
        let end_ms = time_of(settled).saturating_mul(i64::try_from(REACH.as_millis()).unwrap_or(i64::MAX));
        let until = first_id(Timestamp::from_millisecond(end_ms).unwrap_or(Timestamp::MIN)).to_string();
        let mut fewer = 0_u64;
        for boundary in Boundary::ALL {
            let mut group = Group::default();
            let mut after = merging.done.clone();
            loop {
                let headers = self.small_blocks(boundary, &after, &until).await?;
                let Some(last) = headers.last() else { break };
                after.clone_from(&last.last_id);
                let all_read = (headers.len() as u64) < HEADERS_PER_READ;
                for header in headers {
                    if let Some(complete) = group.add(header) {
                        fewer = fewer.saturating_add(self.merge_group(boundary, &complete).await?);
                    }
                }
                if all_read {
                    break;
                }
            }
            fewer = fewer.saturating_add(self.merge_group(boundary, &group.blocks).await?);
        }
        merging.done = until;
        Ok(fewer)
    }

    async fn small_blocks(&self, boundary: Boundary, after: &str, until: &str) -> Result<Vec<Header>> {
        const SQL: &str = "SELECT last_id, first_id, records FROM record_blocks \
            WHERE boundary = $1 AND last_id > $2 AND last_id < $3 AND records < $4 ORDER BY last_id LIMIT $5";
        read!(self, pool => {
            sqlx::query_as(SQL).bind(boundary.as_str()).bind(after).bind(until).bind(to_i64(SMALL))
                .bind(to_i64(HEADERS_PER_READ)).fetch_all(pool).await?
        })
    }

    /// Merges these blocks into one. Says how many there are fewer.
    async fn merge_group(&self, boundary: Boundary, headers: &[Header]) -> Result<u64> {
        if headers.len() < 2 {
            return Ok(0);
        }
        let old: Vec<&str> = headers.iter().map(|header| header.last_id.as_str()).collect();
        let bodies = self.bodies(old.iter().copied()).await?;
        if bodies.len() < old.len() {
            // Another node was here, or they were pruned.
            return Ok(0);
        }
        let made = tokio::task::spawn_blocking(move || together(&bodies)).await;
        let merged = made.map_err(|error| StoreError::corrupt("a block of records", error))??;
        if self.replace(boundary, &old, &merged).await? { Ok(old.len() as u64 - 1) } else { Ok(0) }
    }

    /// Puts a block into the place of others; says no, and does nothing, if one of them is gone.
    async fn replace(&self, boundary: Boundary, old: &[&str], merged: &Block) -> Result<bool> {
        let (first, last) = (merged.first.to_string(), merged.last.to_string());
        let replaced: Result<()> = transact!(self, tx => {
            if delete!(tx, "record_blocks", old) < old.len() as u64 {
                return Err(StoreError::new(ErrorKind::Conflict, "another node has merged these blocks"));
            }
            delete!(tx, "record_bodies", old);
            let mut update = QueryBuilder::new("UPDATE notable_records SET block = ");
            update.push_bind(&last).push(" WHERE id >= ").push_bind(&first).push(" AND id <= ").push_bind(&last);
            update.push(" AND boundary = ").push_bind(boundary.as_str()).push(" AND block IN (");
            let mut blocks = update.separated(", ");
            for block in old {
                blocks.push_bind(*block);
            }
            update.push(")").build().execute(&mut *tx).await?;
            insert_blocks!(tx, &[(last.as_str(), first.as_str(), merged)]);
        });
        match replaced {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            other => other.map(|()| true),
        }
    }
}

/// Everything in these bodies as one block.
fn together(bodies: &[Body]) -> Result<Block> {
    let mut records = Vec::new();
    for body in bodies {
        for entry in body.entries() {
            records.push(entry?.again()?);
        }
    }
    block(records.iter().collect())
}

/// Blocks that will be one: of one time, one after the other.
#[derive(Default)]
struct Group {
    time: Option<i64>,
    records: u64,
    blocks: Vec<Header>,
}

impl Group {
    /// Adds a block; gives those back that are complete without it or with it.
    fn add(&mut self, header: Header) -> Option<Vec<Header>> {
        // One whose records lie in two times is left as it is: there are few.
        let time = header.time()?;
        let before = (self.time != Some(time)).then(|| self.take());
        self.time = Some(time);
        self.records = self.records.saturating_add(to_u64(header.records));
        self.blocks.push(header);
        let full = self.records >= MERGED || self.blocks.len() >= BLOCKS_PER_MERGE;
        before.or_else(|| full.then(|| self.take()))
    }

    fn take(&mut self) -> Vec<Header> {
        self.records = 0;
        std::mem::take(&mut self.blocks)
    }
}
