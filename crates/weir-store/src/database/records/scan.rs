//! Going through the blocks from the newest: which are opened, what is taken of them, and when a page ends.
//!
//! A list never opens a block whose header says that it cannot hold what is looked for, decodes no record of an opened one
//! that cannot be it, and ends with its page or, where little is found, after an amount of work ([`WORK_MAX`]): the cursor
//! then leads on, and the page says how far back was looked.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use weir_core::record::Record;
use weir_core::{Boundary, DecisionId, Timestamp};

use super::super::block::{Body, Entry, REACH, may_hold};
use super::super::{Database, read, to_i64, to_u64};
use super::{PAGE_LIMIT_MAX, Page, boundary_of, first_id};
use crate::error::{ErrorKind, Result, StoreError};

/// Blocks whose headers are read at a time: few at first, since most pages end soon.
const HEADERS_PER_READ: [u64; 4] = [64, 256, 1_024, 4_096];

/// Of these, blocks that are opened at a time at most, and records in them.
const BODIES_PER_READ: usize = 256;
const RECORDS_PER_READ: u64 = 2_048;

/// What one page may cost, in microseconds or so: a kilobyte that is unpacked counts as one, a record that is decoded in
/// vain as eight.
const WORK_MAX: u64 = 60_000;
const DECODED_WORK: u64 = 8;
const WORK_BYTES: u64 = 1_000;
/// Headers that are looked through for one, too.
const HEADERS_PER_WORK: u64 = 2;

/// How often a list begins again because blocks it had seen were gone when it came to open them.
const RESTARTS_MAX: usize = 3;

impl Database {
    /// A page of what `keep` takes of the wanted records.
    pub(super) async fn scan<T>(
        &self,
        range: &Range,
        wanted: &Wanted<'_>,
        keep: impl Fn(Record) -> Option<T>,
    ) -> Result<Page<T>> {
        for restart in 0.. {
            let mut scan = Scan { range, wanted, page: Found::new(range.limit), work: 0 };
            match self.scan_once(&mut scan, &keep).await? {
                // Blocks are merged and pruned meanwhile: where they went is not known.
                End::Gone if restart < RESTARTS_MAX => {}
                End::Gone | End::Reached => return Ok(scan.page.finish()),
                End::Stopped(cursor) => return Ok(scan.page.finish_before(cursor)),
            }
        }
        Ok(Found::new(0).finish())
    }

    async fn scan_once<T>(&self, scan: &mut Scan<'_, T>, keep: &impl Fn(Record) -> Option<T>) -> Result<End> {
        let mut before = scan.range.beyond();
        let mut reads = HEADERS_PER_READ.into_iter();
        let mut per_read = 0;
        loop {
            per_read = reads.next().unwrap_or(per_read);
            let mut headers = self.headers(scan.range, scan.wanted, &before, per_read).await?;
            let read = headers.len() as u64;
            scan.work = scan.work.saturating_add(read / HEADERS_PER_WORK);
            let Some(oldest) = headers.last() else { return Ok(End::Reached) };
            before.clone_from(&oldest.block);
            headers.retain(|header| scan.wanted.may_be_in(header));
            if let Some(end) = self.open_some(scan, &headers, keep).await? {
                return Ok(end);
            }
            if read < per_read {
                return Ok(End::Reached);
            }
            if let Some(cursor) = before.parse().ok().filter(|cursor| scan.may_stop_at(cursor)) {
                return Ok(End::Stopped(cursor));
            }
        }
    }

    /// Opens these blocks, the newest first; says how it ended, if it did.
    async fn open_some<T>(
        &self,
        scan: &mut Scan<'_, T>,
        headers: &[Header],
        keep: &impl Fn(Record) -> Option<T>,
    ) -> Result<Option<End>> {
        let (mut rest, mut at_once) = (headers, 1);
        while let Some(next) = rest.first() {
            // Within a block no id is greater than the last one.
            if !scan.page.wants_before(&next.block) {
                return Ok(Some(End::Reached));
            }
            if let Some(cursor) = next.behind().filter(|cursor| scan.may_stop_at(cursor)) {
                return Ok(Some(End::Stopped(cursor)));
            }
            let (chunk, others) = rest.split_at(few(rest, at_once));
            let bodies = self.bodies(chunk.iter().map(|header| header.block.as_str())).await?;
            if bodies.len() < chunk.len() {
                return Ok(Some(End::Gone));
            }
            for body in &bodies {
                scan.take(body, keep)?;
            }
            (rest, at_once) = (others, at_once.saturating_mul(2).min(BODIES_PER_READ));
        }
        Ok(None)
    }

    async fn headers(
        &self,
        range: &Range,
        wanted: &Wanted<'_>,
        before: &str,
        number: u64,
    ) -> Result<Vec<Header>> {
        read!(self, pool => {
            let mut select = QueryBuilder::new("SELECT last_id, records, ");
            select.push(wanted.filter_column()).push(" AS filter FROM record_blocks WHERE last_id < ");
            select.push_bind(before).push(" AND last_id >= ").push_bind(&range.from);
            select.push(" AND first_id < ").push_bind(&range.before);
            if let Some(boundary) = wanted.boundary {
                select.push(" AND boundary = ").push_bind(boundary.as_str());
            }
            if wanted.calls {
                select.push(" AND calls > 0");
            }
            select.push(" ORDER BY last_id DESC LIMIT ").push_bind(to_i64(number));
            select.build_query_as().fetch_all(pool).await?
        })
    }

    /// The blocks that are still there, in no order.
    pub(super) async fn bodies(&self, blocks: impl Iterator<Item = &str> + Clone) -> Result<Vec<Body>> {
        let rows: Vec<(String, Vec<u8>)> = read!(self, pool => {
            let mut select = QueryBuilder::new(
                "SELECT boundary, body FROM record_bodies JOIN record_blocks USING (last_id) WHERE last_id IN (");
            let mut ids = select.separated(", ");
            for block in blocks.clone() {
                ids.push_bind(block);
            }
            select.push(")");
            select.build_query_as().fetch_all(pool).await?
        })?;
        rows.iter().map(|(boundary, body)| Body::open(boundary_of(boundary)?, body)).collect()
    }
}

/// How many of these blocks are opened together.
fn few(headers: &[Header], at_most: usize) -> usize {
    let mut records = 0_u64;
    let fitting = headers.iter().take(at_most).take_while(|header| {
        records = records.saturating_add(to_u64(header.records));
        records <= RECORDS_PER_READ
    });
    fitting.count().max(1)
}

/// How a walk through the blocks ended.
enum End {
    /// Nothing that is left belongs to the page.
    Reached,
    /// A block was gone when it was to be opened.
    Gone,
    /// It was enough work; from here on nothing was looked at.
    Stopped(DecisionId),
}

/// A page in the making.
struct Scan<'a, T> {
    range: &'a Range,
    wanted: &'a Wanted<'a>,
    page: Found<T>,
    work: u64,
}

impl<T> Scan<'_, T> {
    /// Takes from a body what is wanted: the newest first, so that the page is soon full and the others are skipped.
    fn take(&mut self, body: &Body, keep: &impl Fn(Record) -> Option<T>) -> Result<()> {
        self.work = self.work.saturating_add(body.bytes() / WORK_BYTES);
        let entries = body.entries().collect::<Result<Vec<Entry<'_>>>>()?;
        let mut lowered = Vec::new();
        for entry in entries.iter().rev() {
            if !self.range.holds(entry.id) || !self.page.wants(entry.id) {
                continue;
            }
            if !self.wanted.may_be(entry, &mut lowered) {
                continue;
            }
            match keep(entry.record()?) {
                Some(item) => self.page.insert(entry.id, item),
                None => self.work = self.work.saturating_add(DECODED_WORK),
            }
        }
        Ok(())
    }

    /// Whether it was enough work, and the next page gets further when it begins at `cursor`.
    fn may_stop_at(&self, cursor: &DecisionId) -> bool {
        self.work >= WORK_MAX && self.range.upper.is_none_or(|upper| *cursor < upper)
    }
}

/// What a block's row says of it.
#[derive(sqlx::FromRow)]
struct Header {
    #[sqlx(rename = "last_id")]
    block: String,
    records: i64,
    /// The filter that was asked for; none where an older weir wrote the block.
    filter: Option<Vec<u8>>,
}

impl Header {
    /// The least id that none of its records can have.
    fn behind(&self) -> Option<DecisionId> {
        let last: DecisionId = self.block.parse().ok()?;
        Some(DecisionId::from_u128(last.as_u128().saturating_add(1)))
    }
}

/// What a list is narrowed to before a record is decoded.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    pub(super) id: Option<DecisionId>,
    pub(super) boundary: Option<Boundary>,
    /// The hash of its subject.
    pub(super) subject: Option<u64>,
    /// The hash of a term that the block has ([`super::super::block::Term`]).
    pub(super) term: Option<u64>,
    /// Only of requests that went to a provider.
    pub(super) calls: bool,
    /// Texts in lower case that are in the record as it is stored.
    pub(super) texts: &'a [Vec<u8>],
}

impl Wanted<'_> {
    /// The filter of a block that says most.
    const fn filter_column(&self) -> &'static str {
        match (self.term, self.subject) {
            (Some(_), _) => "terms",
            (None, Some(_)) => "subjects",
            (None, None) => "NULL",
        }
    }

    fn may_be_in(&self, header: &Header) -> bool {
        let (Some(hash), Some(filter)) = (self.term.or(self.subject), &header.filter) else { return true };
        may_hold(filter, hash)
    }

    /// `lowered` is room for the record in lower case.
    fn may_be(&self, entry: &Entry<'_>, lowered: &mut Vec<u8>) -> bool {
        if self.id.is_some_and(|id| id != entry.id) || self.subject.is_some_and(|hash| hash != entry.subject)
        {
            return false;
        }
        if self.texts.is_empty() {
            return true;
        }
        lowered.clear();
        lowered.extend_from_slice(entry.stored());
        lowered.make_ascii_lowercase();
        self.texts.iter().all(|text| memchr::memmem::find(lowered, text).is_some())
    }
}

/// The newest of what was found, one more than a page holds so that it is known whether there is a next one.
pub(super) struct Found<T> {
    limit: usize,
    items: BTreeMap<Reverse<DecisionId>, T>,
}

impl<T> Found<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, items: BTreeMap::new() }
    }

    /// The oldest found, when nothing older is wanted.
    fn floor(&self) -> Option<DecisionId> {
        if self.items.len() > self.limit { self.items.last_key_value().map(|(id, _)| id.0) } else { None }
    }

    fn wants(&self, id: DecisionId) -> bool {
        self.floor().is_none_or(|floor| floor < id)
    }

    /// Whether something of a block that ends with this id may be wanted.
    fn wants_before(&self, last: &str) -> bool {
        self.floor().is_none_or(|floor| floor.to_string().as_str() < last)
    }

    pub(super) fn insert(&mut self, id: DecisionId, item: T) {
        self.items.insert(Reverse(id), item);
        while self.items.len() > self.limit.saturating_add(1) {
            self.items.pop_last();
        }
    }

    /// The page when nothing that belongs to it is left.
    pub(super) fn finish(mut self) -> Page<T> {
        let more = self.items.len() > self.limit;
        while self.items.len() > self.limit {
            self.items.pop_last();
        }
        let next = self.items.last_key_value().filter(|_| more).map(|(id, _)| id.0.to_string());
        Page { items: self.items.into_values().collect(), next, searched_to: None }
    }

    /// The page when everything was looked at down to this id, and what is older was not.
    fn finish_before(mut self, cursor: DecisionId) -> Page<T> {
        self.items.retain(|id, _| id.0 >= cursor);
        let full = self.items.len() > self.limit;
        let page = self.finish();
        if full {
            return page;
        }
        Page { next: Some(cursor.to_string()), searched_to: Some(cursor.at()), ..page }
    }
}

/// The ids that a page is taken from: `from <= id < before`.
pub(super) struct Range {
    pub(super) from: String,
    pub(super) before: String,
    pub(super) limit: usize,
    lower: DecisionId,
    upper: Option<DecisionId>,
}

/// Behind every id.
const BEYOND: &str = "dec_g";

impl Range {
    pub(super) fn of(since: Option<Timestamp>, cursor: Option<&str>, limit: u32) -> Result<Self> {
        let upper = cursor.map(|cursor| {
            cursor
                .parse::<DecisionId>()
                .map_err(|_| StoreError::new(ErrorKind::Refused, "the cursor is none that a page ended with"))
        });
        let lower = since.map_or(DecisionId::from_u128(0), first_id);
        Ok(Self::between(lower, upper.transpose()?, limit.clamp(1, PAGE_LIMIT_MAX) as usize))
    }

    /// Just this id.
    pub(super) fn only(id: &DecisionId) -> Self {
        Self::between(*id, Some(DecisionId::from_u128(id.as_u128().saturating_add(1))), 1)
    }

    fn between(lower: DecisionId, upper: Option<DecisionId>, limit: usize) -> Self {
        let before = upper.map_or_else(|| BEYOND.to_owned(), |id| id.to_string());
        Self { from: lower.to_string(), before, limit, lower, upper }
    }

    fn holds(&self, id: DecisionId) -> bool {
        self.lower <= id && self.upper.is_none_or(|upper| id < upper)
    }

    /// Where blocks begin that cannot reach into the range.
    fn beyond(&self) -> String {
        let at = self.upper.and_then(|id| id.at().checked_add(REACH).ok());
        at.map_or_else(|| BEYOND.to_owned(), |at| first_id(at).to_string())
    }
}
