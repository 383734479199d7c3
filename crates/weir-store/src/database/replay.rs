//! Reading a time of the decision log from its oldest record to its newest, to replay it.
//!
//! The log is read in portions, each of a range of ids and with every block that reaches into it, so that the records of
//! a portion can be put in the order in which they were decided, whatever the order they were written in and by how many
//! nodes. A block that reaches over the end of a portion is read with the next one again.

use std::collections::VecDeque;

use sqlx::QueryBuilder;
use weir_core::record::Past;
use weir_core::{Boundary, DecisionId, Timestamp};

use super::block::{Body, Entry, REACH};
use super::records::{boundary_of, first_id};
use super::{Database, read, to_i64, to_u64};
use crate::error::{Result, StoreError};

/// Records of a portion, about: so many that reading ahead pays, so few that a stop is followed at once.
const PORTION_RECORDS: u64 = 20_000;

/// Headers that are read at a time, and bodies.
const HEADERS_PER_READ: u64 = 1_024;
const BODIES_PER_READ: usize = 64;

/// How often a portion is read again because blocks of it were merged or pruned meanwhile.
const RETRIES_MAX: usize = 3;

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
    from: DecisionId,
    until: Option<DecisionId>,
    boundary: Option<Boundary>,
    /// The last id of the portion before.
    after: Option<DecisionId>,
    /// Blocks that end behind that, in the order of their ends, as far as they are read.
    pending: VecDeque<Header>,
    /// The end of the last block whose header was read.
    read_to: String,
    all_read: bool,
    total: u64,
}

/// What is known of a block before it is opened.
struct Header {
    block: String,
    first: DecisionId,
    last: DecisionId,
    records: u64,
}

impl Header {
    fn read((block, first, records): (String, String, i64)) -> Result<Self> {
        let id = |text: &str| text.parse().map_err(|e| StoreError::corrupt("the id of a block", e));
        Ok(Self { first: id(&first)?, last: id(&block)?, records: to_u64(records), block })
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
            after: None,
            pending: VecDeque::new(),
            read_to: String::new(),
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
        for retry in 0.. {
            let Some(end) = self.end_of_portion().await? else { return Ok(None) };
            let of_portion: Vec<&Header> = self.pending.iter().filter(|header| header.first <= end).collect();
            let mut bodies = Vec::with_capacity(of_portion.len());
            for headers in of_portion.chunks(BODIES_PER_READ) {
                bodies.extend(self.bodies(headers).await?);
            }
            if bodies.len() < of_portion.len() && retry < RETRIES_MAX {
                self.read_again();
                continue;
            }
            let bounds = [self.lower(), self.upper(end)];
            let mut records = 0;
            while let Some(header) = self.pending.pop_front_if(|header| header.last <= end) {
                records += header.records;
            }
            self.after = Some(end);
            return Ok(Some(Portion { bodies, records, bounds }));
        }
        Ok(None)
    }

    /// The last id of the next portion. After this all blocks are known that reach into it.
    async fn end_of_portion(&mut self) -> Result<Option<DecisionId>> {
        let (mut records, mut counted, mut end) = (0_u64, 0, None);
        loop {
            for header in self.pending.iter().skip(counted) {
                if records >= PORTION_RECORDS {
                    break;
                }
                (records, counted, end) =
                    (records.saturating_add(header.records), counted + 1, Some(header.last));
            }
            let reach = end.and_then(|end: DecisionId| end.at().checked_add(REACH).ok()).map(first_id);
            let seen = self.pending.back().map(|header| header.last);
            if self.all_read || (records >= PORTION_RECORDS && seen > reach) {
                return Ok(end);
            }
            self.read_headers().await?;
        }
    }

    /// Forgets what was read of blocks: some of them are gone.
    fn read_again(&mut self) {
        self.pending.clear();
        self.read_to = self.after.map(|id| id.to_string()).unwrap_or_default();
        self.all_read = false;
    }

    fn lower(&self) -> DecisionId {
        let behind = self.after.map(behind);
        behind.map_or(self.from, |behind| behind.max(self.from))
    }

    fn upper(&self, end: DecisionId) -> DecisionId {
        self.until.map_or(behind(end), |until| until.min(behind(end)))
    }

    async fn read_headers(&mut self) -> Result<()> {
        let read: Vec<(String, String, i64)> = read!(self.database, pool => {
            let mut select = self.select("SELECT last_id, first_id, records FROM record_blocks");
            select.push(" AND last_id > ").push_bind(&self.read_to);
            select.push(" ORDER BY last_id LIMIT ").push_bind(to_i64(HEADERS_PER_READ));
            select.build_query_as().fetch_all(pool).await?
        })?;
        self.all_read = (read.len() as u64) < HEADERS_PER_READ;
        for header in read {
            self.pending.push_back(Header::read(header)?);
        }
        if let Some(last) = self.pending.back() {
            self.read_to.clone_from(&last.block);
        }
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
        select.push(" WHERE last_id >= ").push_bind(self.from.to_string());
        if let Some(until) = &self.until {
            select.push(" AND first_id < ").push_bind(until.to_string());
        }
        if let Some(boundary) = self.boundary {
            select.push(" AND boundary = ").push_bind(boundary.as_str().to_owned());
        }
        select
    }

    async fn bodies(&self, headers: &[&Header]) -> Result<Vec<(Boundary, Vec<u8>)>> {
        let rows: Vec<(String, Vec<u8>)> = read!(self.database, pool => {
            let mut select = QueryBuilder::new(
                "SELECT boundary, body FROM record_bodies JOIN record_blocks USING (last_id) WHERE last_id IN (");
            let mut ids = select.separated(", ");
            for header in headers {
                ids.push_bind(&header.block);
            }
            select.push(")");
            select.build_query_as().fetch_all(pool).await?
        })?;
        rows.into_iter().map(|(boundary, body)| Ok((boundary_of(&boundary)?, body))).collect()
    }
}

/// The least id behind this one.
const fn behind(id: DecisionId) -> DecisionId {
    DecisionId::from_u128(id.as_u128().saturating_add(1))
}

/// Some of the records, not yet unpacked.
pub struct Portion {
    bodies: Vec<(Boundary, Vec<u8>)>,
    records: u64,
    /// The least of its ids, and the least that is none of them.
    bounds: [DecisionId; 2],
}

impl Portion {
    /// How many records are in the blocks that end in it, those outside of the time included.
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
        // What was written twice, after a timeout, and then merged.
        entries.dedup_by_key(|entry| entry.id);
        let mut tags = Vec::new();
        entries.iter().try_for_each(|entry| entry.see(&mut tags, &mut see))
    }

    fn holds(&self, id: &DecisionId) -> bool {
        let [lower, upper] = &self.bounds;
        lower <= id && id < upper
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
        Ok::<Self, StoreError>(Self {
            bodies,
            records: records.len() as u64,
            bounds: [0, u128::MAX].map(DecisionId::from_u128),
        })
    }
}
