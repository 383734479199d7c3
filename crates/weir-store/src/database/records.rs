//! Records of decisions and of what they used: written in blocks, read in pages, pruned by age and number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use sqlx::QueryBuilder;
use weir_core::record::{Record, UsageRecord};
use weir_core::{Boundary, DecisionId, Timestamp};

use super::block::{Block, Body, Entry, Prepared, SPAN, blocks, may_hold, routine, subject_hash};
use super::{Database, read, to_i64, to_u64, transact};
use crate::error::{ErrorKind, Result, StoreError};

/// Items that a page holds at most.
pub const PAGE_LIMIT_MAX: u32 = 1_000;

/// Rows of one `INSERT`: enough to make the statement's own cost vanish, and well below both databases' 32,766 values.
const ROWS_PER_INSERT: usize = 128;

/// Blocks whose headers are read at a time while a list is made, and of these, those that are opened at a time.
const HEADERS_PER_READ: i64 = 256;
const BODIES_PER_READ: usize = 16;

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

/// Which decision records to list; every member that is given narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of this boundary.
    pub boundary: Option<Boundary>,
    /// Of which this was enforced ([`Record::enforced`]).
    pub outcome: Option<String>,
    /// Of this identity.
    pub subject: Option<String>,
    /// Of which that was by this rule.
    pub rule: Option<String>,
    /// Made at or after this time.
    pub since: Option<Timestamp>,
    /// Items of a page, at most [`PAGE_LIMIT_MAX`].
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Which usage records to list; every member that is given narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Of this identity.
    pub subject: Option<String>,
    /// Of requests at or after this time.
    pub since: Option<Timestamp>,
    /// Items of a page, at most [`PAGE_LIMIT_MAX`].
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of a list, newest first. What is added meanwhile appears before the first page, never within the later ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

impl Database {
    /// Writes records in one transaction. Writing the same ones again does nothing, so that a batch may be repeated
    /// after a timeout.
    ///
    /// # Errors
    /// See [`ErrorKind`]; nothing of the batch was written, but after `Timeout` that is not known.
    pub async fn write_records(&self, records: &[Record]) -> Result<()> {
        let prepared = records.iter().map(Prepared::of).collect::<Result<Vec<_>>>()?;
        self.write_blocks(&blocks(&prepared)?).await
    }

    /// The same with blocks that are made already.
    pub(crate) async fn write_blocks(&self, blocks: &[Block]) -> Result<()> {
        let rows: Vec<(String, String, &Block)> =
            blocks.iter().map(|block| (block.last.to_string(), block.first.to_string(), block)).collect();
        let notable: Vec<_> = rows
            .iter()
            .flat_map(|(last, _, block)| {
                block.notable.iter().map(move |n| (n.id.to_string(), last, block, n))
            })
            .collect();
        transact!(self, tx => {
            for rows in rows.chunks(ROWS_PER_INSERT) {
                let mut insert = QueryBuilder::new(
                    "INSERT INTO record_blocks (last_id, first_id, boundary, records, calls, subjects) ");
                insert.push_values(rows, |mut values, (last, first, block)| {
                    values.push_bind(last).push_bind(first).push_bind(block.boundary.as_str())
                        .push_bind(to_i64(block.records as u64)).push_bind(to_i64(block.calls as u64))
                        .push_bind(&block.subjects);
                });
                insert.push(" ON CONFLICT (last_id) DO NOTHING");
                insert.build().persistent(rows.len() == 1).execute(&mut *tx).await?;
                let mut insert = QueryBuilder::new("INSERT INTO record_bodies (last_id, body) ");
                insert.push_values(rows, |mut values, (last, _, block)| {
                    values.push_bind(last).push_bind(&block.body);
                });
                insert.push(" ON CONFLICT (last_id) DO NOTHING");
                insert.build().persistent(rows.len() == 1).execute(&mut *tx).await?;
            }
            for rows in notable.chunks(ROWS_PER_INSERT) {
                let mut insert = QueryBuilder::new(
                    "INSERT INTO notable_records (id, block, boundary, outcome, rule) ");
                insert.push_values(rows, |mut values, (id, last, block, notable)| {
                    values.push_bind(id).push_bind(*last).push_bind(block.boundary.as_str())
                        .push_bind(&notable.outcome).push_bind(&notable.rule);
                });
                insert.push(" ON CONFLICT (id) DO NOTHING");
                insert.build().persistent(rows.len() == ROWS_PER_INSERT).execute(&mut *tx).await?;
            }
        })
    }

    /// One record.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub async fn decision(&self, id: &DecisionId) -> Result<Option<Record>> {
        let wanted = Wanted { id: Some(*id), ..Wanted::default() };
        Ok(self.scan(&Range::only(id), &wanted, Some).await?.items.pop())
    }

    /// Records, newest first.
    ///
    /// # Errors
    /// `Refused` for a cursor that is none, `Corrupt` when a record cannot be read.
    pub async fn decisions(&self, filter: &DecisionFilter) -> Result<Page<Record>> {
        let range = Range::of(filter.since, filter.cursor.as_deref(), filter.limit)?;
        let routine = filter.outcome.as_deref().map(routine_of);
        if filter.rule.is_some() || routine == Some(None) {
            return self.notable(&range, filter).await;
        }
        let boundary = match (filter.boundary, routine.flatten()) {
            (Some(asked), Some(routine)) if asked != routine => return Ok(Found::new(range.limit).finish()),
            (asked, routine) => asked.or(routine),
        };
        let wanted = Wanted { boundary, ..Wanted::of(filter.subject.as_deref()) };
        let outcome = filter.outcome.as_deref();
        let keep =
            |record: Record| outcome.is_none_or(|outcome| outcome == record.enforced().0).then_some(record);
        self.scan(&range, &wanted, keep).await
    }

    /// What was used, newest first.
    ///
    /// # Errors
    /// `Refused` for a cursor that is none, `Corrupt` when a record cannot be read.
    pub async fn usage(&self, filter: &UsageFilter) -> Result<Page<UsageRecord>> {
        let range = Range::of(filter.since, filter.cursor.as_deref(), filter.limit)?;
        let wanted = Wanted { calls: true, ..Wanted::of(filter.subject.as_deref()) };
        self.scan(&range, &wanted, |record| record.usage()).await
    }

    /// Goes through the blocks from the newest, opens those that may hold what is wanted, and ends when none that is
    /// left can hold a newer one than those of the page.
    async fn scan<T>(
        &self,
        range: &Range,
        wanted: &Wanted<'_>,
        keep: impl Fn(Record) -> Option<T>,
    ) -> Result<Page<T>> {
        let mut page = Found::new(range.limit);
        let mut before = range.beyond();
        loop {
            let mut headers = self.headers(range, wanted, &before).await?;
            let last_read = to_i64(headers.len() as u64) < HEADERS_PER_READ;
            let Some(oldest) = headers.last() else { break };
            before.clone_from(&oldest.block);
            headers.retain(|header| wanted.may_be_in(header));
            for headers in headers.chunks(BODIES_PER_READ) {
                // Within a block no id is greater than the last one.
                if headers.first().is_some_and(|newest| !page.wants_before(&newest.block)) {
                    return Ok(page.finish());
                }
                for body in self.bodies(headers).await? {
                    take(&body, range, wanted, &keep, &mut page)?;
                }
            }
            if last_read {
                break;
            }
        }
        Ok(page.finish())
    }

    async fn headers(&self, range: &Range, wanted: &Wanted<'_>, before: &str) -> Result<Vec<Header>> {
        read!(self, pool => {
            let mut select = QueryBuilder::new(
                "SELECT last_id, subjects FROM record_blocks WHERE last_id < ");
            select.push_bind(before).push(" AND last_id >= ").push_bind(&range.from);
            select.push(" AND first_id < ").push_bind(&range.before);
            if let Some(boundary) = wanted.boundary {
                select.push(" AND boundary = ").push_bind(boundary.as_str());
            }
            if wanted.calls {
                select.push(" AND calls > 0");
            }
            select.push(" ORDER BY last_id DESC LIMIT ").push_bind(HEADERS_PER_READ);
            select.build_query_as().fetch_all(pool).await?
        })
    }

    async fn bodies(&self, headers: &[Header]) -> Result<Vec<Body>> {
        let rows: Vec<(String, Vec<u8>)> = read!(self, pool => {
            let mut select = QueryBuilder::new(
                "SELECT boundary, body FROM record_bodies JOIN record_blocks USING (last_id) WHERE last_id IN (");
            let mut ids = select.separated(", ");
            for header in headers {
                ids.push_bind(&header.block);
            }
            select.push(")");
            select.build_query_as().fetch_all(pool).await?
        })?;
        rows.iter().map(|(boundary, body)| Body::open(boundary_of(boundary)?, body)).collect()
    }

    /// A page of the rare records that are found by their outcome or rule.
    async fn notable(&self, range: &Range, filter: &DecisionFilter) -> Result<Page<Record>> {
        let subject = filter.subject.as_deref();
        let mut page = Found::new(range.limit);
        let mut before = range.before.clone();
        loop {
            let rows = self.notable_rows(range, filter, &before).await?;
            let Some((oldest, _)) = rows.last() else { break };
            before.clone_from(oldest);
            let mut wanted: BTreeMap<String, BTreeSet<DecisionId>> = BTreeMap::new();
            for (id, block) in &rows {
                let id = id.parse().map_err(|e| StoreError::corrupt("the id of a record", e))?;
                wanted.entry(block.clone()).or_default().insert(id);
            }
            let ids: BTreeSet<DecisionId> = wanted.values().flatten().copied().collect();
            let headers: Vec<_> = wanted.into_keys().map(Header::of_block).collect();
            for headers in headers.chunks(BODIES_PER_READ) {
                for body in self.bodies(headers).await? {
                    for entry in body.entries() {
                        let entry = entry?;
                        if ids.contains(&entry.id) {
                            let record = entry.record()?;
                            if subject.is_none_or(|subject| record.decision.subject == subject) {
                                page.insert(entry.id, record);
                            }
                        }
                    }
                }
            }
            if page.is_full() || to_i64(rows.len() as u64) < HEADERS_PER_READ {
                break;
            }
        }
        Ok(page.finish())
    }

    async fn notable_rows(
        &self,
        range: &Range,
        filter: &DecisionFilter,
        before: &str,
    ) -> Result<Vec<(String, String)>> {
        read!(self, pool => {
            let mut select = QueryBuilder::new("SELECT id, block FROM notable_records WHERE id < ");
            select.push_bind(before).push(" AND id >= ").push_bind(&range.from);
            if let Some(boundary) = filter.boundary {
                select.push(" AND boundary = ").push_bind(boundary.as_str());
            }
            if let Some(rule) = &filter.rule {
                select.push(" AND rule = ").push_bind(rule);
            }
            match filter.outcome.as_deref().map(|outcome| (outcome, routine_of(outcome))) {
                None => {}
                Some((_, Some(boundary))) => {
                    select.push(" AND outcome IS NULL AND boundary = ").push_bind(boundary.as_str());
                }
                Some((outcome, None)) => {
                    select.push(" AND outcome = ").push_bind(outcome);
                }
            }
            select.push(" ORDER BY id DESC LIMIT ").push_bind(HEADERS_PER_READ);
            select.build_query_as().fetch_all(pool).await?
        })
    }

    /// Deletes what is kept no longer, in small transactions, and says how many records that were. Several nodes may do
    /// so at once.
    ///
    /// # Errors
    /// See [`ErrorKind`]; what was deleted before stays deleted.
    pub async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<u64> {
        const SURPLUS: &str = "SELECT last_id FROM (SELECT last_id, \
            SUM(records) OVER (ORDER BY last_id DESC) - records AS newer FROM record_blocks) AS sums \
            WHERE newer >= $1 ORDER BY last_id DESC LIMIT 1";
        let by_age = first_id(now.saturating_sub(retention.age_max).unwrap_or(Timestamp::MIN));
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

/// Takes from a body what is wanted.
fn take<T>(
    body: &Body,
    range: &Range,
    wanted: &Wanted<'_>,
    keep: &impl Fn(Record) -> Option<T>,
    page: &mut Found<T>,
) -> Result<()> {
    for entry in body.entries() {
        let entry = entry?;
        if !wanted.may_be(&entry) || !page.wants(entry.id) || !range.holds(&entry.id.to_string()) {
            continue;
        }
        let record = entry.record()?;
        if wanted.is(&record)
            && let Some(item) = keep(record)
        {
            page.insert(entry.id, item);
        }
    }
    Ok(())
}

pub(super) fn boundary_of(word: &str) -> Result<Boundary> {
    let known = Boundary::ALL.into_iter().find(|boundary| boundary.as_str() == word);
    known.ok_or_else(|| StoreError::corrupt("the boundary of a block of records", word))
}

/// The boundary whose usual outcome this is.
fn routine_of(outcome: &str) -> Option<Boundary> {
    Boundary::ALL.into_iter().find(|boundary| routine(*boundary) == Some(outcome))
}

/// What a block's row says of it.
#[derive(sqlx::FromRow)]
struct Header {
    #[sqlx(rename = "last_id")]
    block: String,
    subjects: Vec<u8>,
}

impl Header {
    fn of_block(block: String) -> Self {
        Self { block, subjects: Vec::new() }
    }
}

/// What a list is narrowed to before a record is decoded.
#[derive(Default)]
struct Wanted<'a> {
    id: Option<DecisionId>,
    boundary: Option<Boundary>,
    subject: Option<(&'a str, u64)>,
    calls: bool,
}

impl<'a> Wanted<'a> {
    fn of(subject: Option<&'a str>) -> Self {
        Self { subject: subject.map(|subject| (subject, subject_hash(subject))), ..Self::default() }
    }

    fn may_be_in(&self, header: &Header) -> bool {
        self.subject.is_none_or(|(_, hash)| may_hold(&header.subjects, hash))
    }

    fn may_be(&self, entry: &Entry<'_>) -> bool {
        self.id.is_none_or(|id| id == entry.id) && self.subject.is_none_or(|(_, hash)| hash == entry.subject)
    }

    fn is(&self, record: &Record) -> bool {
        self.subject.is_none_or(|(subject, _)| record.decision.subject == subject)
    }
}

/// The newest of what was found, one more than a page holds so that it is known whether there is a next one.
struct Found<T> {
    limit: usize,
    items: BTreeMap<Reverse<DecisionId>, T>,
}

impl<T> Found<T> {
    const fn new(limit: usize) -> Self {
        Self { limit, items: BTreeMap::new() }
    }

    fn is_full(&self) -> bool {
        self.items.len() > self.limit
    }

    /// The oldest found, when nothing older is wanted.
    fn floor(&self) -> Option<DecisionId> {
        if self.is_full() { self.items.last_key_value().map(|(id, _)| id.0) } else { None }
    }

    fn wants(&self, id: DecisionId) -> bool {
        self.floor().is_none_or(|floor| floor < id)
    }

    /// Whether something of a block that ends with this id may be wanted.
    fn wants_before(&self, last: &str) -> bool {
        self.floor().is_none_or(|floor| floor.to_string().as_str() < last)
    }

    fn insert(&mut self, id: DecisionId, item: T) {
        self.items.insert(Reverse(id), item);
        while self.items.len() > self.limit.saturating_add(1) {
            self.items.pop_last();
        }
    }

    fn finish(mut self) -> Page<T> {
        let more = self.is_full();
        while self.items.len() > self.limit {
            self.items.pop_last();
        }
        let next = self.items.last_key_value().filter(|_| more).map(|(id, _)| id.0.to_string());
        Page { items: self.items.into_values().collect(), next }
    }
}

/// The least id that can be made at this time: ids sort by time.
pub(super) fn first_id(at: Timestamp) -> String {
    DecisionId::new(at, [0; 10]).to_string()
}

/// The ids that a page is taken from: `from <= id < before`.
struct Range {
    from: String,
    before: String,
    limit: usize,
}

/// Behind every id.
const BEYOND: &str = "dec_g";

impl Range {
    fn of(since: Option<Timestamp>, cursor: Option<&str>, limit: u32) -> Result<Self> {
        let before = match cursor {
            None => BEYOND.to_owned(),
            Some(cursor) => cursor
                .parse::<DecisionId>()
                .map_err(|_| {
                    StoreError::new(ErrorKind::Refused, "the cursor is none that a page ended with")
                })?
                .to_string(),
        };
        let from = since.map(first_id).unwrap_or_default();
        Ok(Self { from, before, limit: limit.clamp(1, PAGE_LIMIT_MAX) as usize })
    }

    /// Just this id.
    fn only(id: &DecisionId) -> Self {
        Self { from: id.to_string(), before: format!("{id}~"), limit: 1 }
    }

    fn holds(&self, id: &str) -> bool {
        self.from.as_str() <= id && id < self.before.as_str()
    }

    /// Where blocks begin that cannot reach into the range.
    fn beyond(&self) -> String {
        let before = self.before.trim_end_matches('~').parse::<DecisionId>();
        let at = before.ok().and_then(|id| id.at().checked_add(SPAN).ok());
        at.map_or_else(|| BEYOND.to_owned(), first_id)
    }
}
