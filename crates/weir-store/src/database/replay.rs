//! Reading a time of the decision log from its oldest record to its newest, to replay it.
//!
//! Blocks are read in portions, each of whole spans of ids (see `block`), so that the records of a portion can be put in
//! the order in which they were decided, whatever the order they were written in and by how many nodes. Only where one
//! span holds more than [`RECORDS_MAX`] records is it read in parts, and the order exact within each.

use std::collections::VecDeque;

use sqlx::QueryBuilder;
use weir_core::record::Past;
use weir_core::{Boundary, DecisionId, Timestamp};

use super::block::{Body, Entry, SPAN};
use super::records::{boundary_of, first_id};
use super::{Database, read, to_i64, to_u64};
use crate::error::{Result, StoreError};

/// Records of a portion, about: so many that reading ahead pays, so few that a stop is followed at once.
const PORTION_RECORDS: u64 = 20_000;

/// Records of a portion at most, about a kilobyte each.
const RECORDS_MAX: u64 = 200_000;

/// Headers that are read at a time, and bodies.
const HEADERS_PER_READ: u64 = 512;
const BODIES_PER_READ: usize = 64;

/// Which records to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRange {
    /// Made at or after this time.
    pub since: Timestamp,
    /// Made before this time; none: up to now.
    pub until: Option<Timestamp>,
    /// Of this boundary. Failures lie in the records of requests.
    pub boundary: Option<Boundary>,
}

/// A replay on its way through the log.
pub struct Replay {
    database: Database,
    from: String,
    until: Option<String>,
    boundary: Option<Boundary>,
    /// The last block whose header was read.
    after: String,
    pending: VecDeque<Header>,
    all_read: bool,
    total: u64,
}

#[derive(sqlx::FromRow)]
struct Header {
    last_id: String,
    records: i64,
}

impl Header {
    /// The span that the block's ids were made in.
    fn span(&self) -> i64 {
        let span_ms = i64::try_from(SPAN.as_millis()).unwrap_or(i64::MAX);
        self.last_id.parse::<DecisionId>().map_or(0, |id| id.at().as_millisecond() / span_ms)
    }
}

impl Database {
    /// Begins a replay.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind).
    pub async fn replay(&self, range: &ReplayRange) -> Result<Replay> {
        let boundary = range.boundary.map(|boundary| match boundary {
            Boundary::Failure => Boundary::Request,
            other => other,
        });
        let mut replay = Replay {
            database: self.clone(),
            from: first_id(range.since),
            until: range.until.map(first_id),
            boundary,
            after: String::new(),
            pending: VecDeque::new(),
            all_read: false,
            total: 0,
        };
        replay.total = replay.count().await?;
        Ok(replay)
    }
}

impl Replay {
    /// How many records there are, about: those of the blocks that reach into the time.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The next portion, none after the last.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind).
    pub async fn next(&mut self) -> Result<Option<Portion>> {
        let headers = self.headers_of_portion().await?;
        if headers.is_empty() {
            return Ok(None);
        }
        let mut bodies = Vec::with_capacity(headers.len());
        for headers in headers.chunks(BODIES_PER_READ) {
            bodies.extend(self.bodies(headers).await?);
        }
        let records = headers.iter().map(|header| to_u64(header.records)).sum();
        let bounds = [Some(&self.from), self.until.as_ref()].map(|id| id.and_then(|id| id.parse().ok()));
        Ok(Some(Portion { bodies, records, bounds }))
    }

    async fn headers_of_portion(&mut self) -> Result<Vec<Header>> {
        let mut taken: Vec<Header> = Vec::new();
        let mut records = 0_u64;
        loop {
            if self.pending.is_empty() && !self.all_read {
                self.read_headers().await?;
            }
            let Some(next) = self.pending.front() else { return Ok(taken) };
            let full = records >= PORTION_RECORDS;
            if records >= RECORDS_MAX || (full && taken.last().is_some_and(|last| last.span() != next.span()))
            {
                return Ok(taken);
            }
            records = records.saturating_add(to_u64(next.records));
            taken.extend(self.pending.pop_front());
        }
    }

    async fn read_headers(&mut self) -> Result<()> {
        let read: Vec<Header> = read!(self.database, pool => {
            let mut select = self.select("SELECT last_id, records FROM record_blocks");
            select.push(" AND last_id > ").push_bind(&self.after);
            select.push(" ORDER BY last_id LIMIT ").push_bind(to_i64(HEADERS_PER_READ));
            select.build_query_as().fetch_all(pool).await?
        })?;
        self.all_read = (read.len() as u64) < HEADERS_PER_READ;
        if let Some(last) = read.last() {
            self.after.clone_from(&last.last_id);
        }
        self.pending.extend(read);
        Ok(())
    }

    async fn count(&self) -> Result<u64> {
        let (records,): (i64,) = read!(self.database, pool => {
            let mut select = self.select("SELECT CAST(COALESCE(SUM(records), 0) AS BIGINT) FROM record_blocks");
            select.build_query_as().fetch_one(pool).await?
        })?;
        Ok(to_u64(records))
    }

    /// What chooses the blocks of the time.
    fn select<DB: sqlx::Database>(&self, what: &str) -> QueryBuilder<DB>
    where
        for<'q> String: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        for<'q> &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    {
        let mut select = QueryBuilder::new(what);
        select.push(" WHERE last_id >= ").push_bind(self.from.clone());
        if let Some(until) = &self.until {
            select.push(" AND first_id < ").push_bind(until.clone());
        }
        if let Some(boundary) = self.boundary {
            select.push(" AND boundary = ").push_bind(boundary.as_str().to_owned());
        }
        select
    }

    async fn bodies(&self, headers: &[Header]) -> Result<Vec<(Boundary, Vec<u8>)>> {
        let rows: Vec<(String, Vec<u8>)> = read!(self.database, pool => {
            let mut select = QueryBuilder::new(
                "SELECT boundary, body FROM record_bodies JOIN record_blocks USING (last_id) WHERE last_id IN (");
            let mut ids = select.separated(", ");
            for header in headers {
                ids.push_bind(&header.last_id);
            }
            select.push(")");
            select.build_query_as().fetch_all(pool).await?
        })?;
        rows.into_iter().map(|(boundary, body)| Ok((boundary_of(&boundary)?, body))).collect()
    }
}

/// Some of the records, not yet unpacked.
pub struct Portion {
    bodies: Vec<(Boundary, Vec<u8>)>,
    records: u64,
    bounds: [Option<DecisionId>; 2],
}

impl Portion {
    /// How many records it holds, those outside of the time included.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Shows the records in the order of their ids, which is that of the decisions. This computes for long: not on a
    /// thread that serves.
    ///
    /// # Errors
    /// `Corrupt` when a record cannot be read.
    pub fn for_each(&self, mut see: impl FnMut(&Past<'_>)) -> Result<()> {
        let open = |(boundary, body): &(Boundary, Vec<u8>)| Body::open(*boundary, body);
        let bodies = self.bodies.iter().map(open).collect::<Result<Vec<Body>>>()?;
        let mut entries: Vec<Entry<'_>> = Vec::with_capacity(usize::try_from(self.records).unwrap_or(0));
        for body in &bodies {
            for entry in body.entries() {
                let entry = entry?;
                if self.holds(&entry.id) {
                    entries.push(entry);
                }
            }
        }
        // Each body is in order: this finds the runs and merges them.
        entries.sort_by_key(|entry| entry.id);
        let mut tags = Vec::new();
        entries.iter().try_for_each(|entry| entry.see(&mut tags, &mut see))
    }

    fn holds(&self, id: &DecisionId) -> bool {
        let [from, until] = &self.bounds;
        from.is_none_or(|from| *id >= from) && until.is_none_or(|until| *id < until)
    }
}

impl std::fmt::Debug for Portion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portion").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Portion {
    /// A portion of these records, for measuring without a database.
    ///
    /// # Errors
    /// A record that cannot be kept.
    pub fn of(records: &[weir_core::record::Record]) -> Result<Self> {
        let prepared = records.iter().map(super::block::Prepared::of).collect::<Result<Vec<_>>>()?;
        let bodies: Vec<(Boundary, Vec<u8>)> =
            super::block::blocks(&prepared)?.into_iter().map(|block| (block.boundary, block.body)).collect();
        Ok::<Self, StoreError>(Self { bodies, records: records.len() as u64, bounds: [None, None] })
    }
}
