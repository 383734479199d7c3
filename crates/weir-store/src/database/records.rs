//! Records of decisions and of what they used: written in blocks, read in pages, pruned by age and number.

mod merge;
mod prune;
mod scan;

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::QueryBuilder;
use weir_core::record::{Record, UsageRecord};
use weir_core::{Boundary, DecisionId, Timestamp};

use super::block::{Block, Prepared, Term, blocks, routine, subject_hash};
use super::{Database, read, to_i64, transact};
use crate::error::{Result, StoreError};

pub(crate) use self::merge::Merging;
pub use self::prune::Retention;
use self::scan::{Found, Range, Wanted};

/// Items that a page holds at most.
pub const PAGE_LIMIT_MAX: u32 = 1_000;

/// Rows of one `INSERT`: enough to make the statement's own cost vanish, and well below both databases' 32,766 values.
const ROWS_PER_INSERT: usize = 128;

/// Blocks that are opened at a time for records that an index has found, and how often the index is asked again when
/// some of them are gone.
const NOTABLE_BODIES_PER_READ: usize = 64;
const NOTABLE_TRIES: usize = 2;

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
    /// Where the search stopped before the page was full, having looked at much: all that is newer is in this page and
    /// those before, and `next` leads on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched_to: Option<Timestamp>,
}

/// Inserts blocks, each with its last and first id as texts, and their bodies.
macro_rules! insert_blocks {
    ($tx:ident, $rows:expr) => {{
        let rows: &[(&str, &str, &Block)] = $rows;
        let mut insert = QueryBuilder::new(
            "INSERT INTO record_blocks (last_id, first_id, boundary, records, calls, subjects, terms) ",
        );
        insert.push_values(rows, |mut values, (last, first, block)| {
            values.push_bind(*last).push_bind(*first).push_bind(block.boundary.as_str());
            values.push_bind(to_i64(block.records as u64)).push_bind(to_i64(block.calls as u64));
            values.push_bind(&block.subjects).push_bind(&block.terms);
        });
        insert.push(" ON CONFLICT (last_id) DO NOTHING");
        insert.build().persistent(rows.len() == 1).execute(&mut *$tx).await?;
        let mut insert = QueryBuilder::new("INSERT INTO record_bodies (last_id, body) ");
        insert.push_values(rows, |mut values, (last, _, block)| {
            values.push_bind(*last).push_bind(&block.body);
        });
        insert.push(" ON CONFLICT (last_id) DO NOTHING");
        insert.build().persistent(rows.len() == 1).execute(&mut *$tx).await?;
    }};
}
use insert_blocks;

impl Database {
    /// Writes records in one transaction. Writing the same ones again does nothing, so that a batch may be repeated
    /// after a timeout.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind); nothing of the batch was written, but after `Timeout` that is not known.
    pub async fn write_records(&self, records: &[Record]) -> Result<()> {
        let prepared = records.iter().map(Prepared::of).collect::<Result<Vec<_>>>()?;
        self.write_blocks(&blocks(&prepared)?).await
    }

    /// Writes several batches in one transaction, each in blocks of its own: what the background log would have written
    /// in as many transactions. For filling a database with a past.
    ///
    /// # Errors
    /// Those of [`Self::write_records`].
    pub async fn write_batches(&self, batches: &[&[Record]]) -> Result<()> {
        let mut all = Vec::with_capacity(batches.len());
        for batch in batches {
            let prepared = batch.iter().map(Prepared::of).collect::<Result<Vec<_>>>()?;
            all.extend(blocks(&prepared)?);
        }
        self.write_blocks(&all).await
    }

    /// The same with blocks that are made already.
    pub(crate) async fn write_blocks(&self, blocks: &[Block]) -> Result<()> {
        let ids: Vec<(String, String)> =
            blocks.iter().map(|block| (block.last.to_string(), block.first.to_string())).collect();
        let rows: Vec<(&str, &str, &Block)> = ids
            .iter()
            .zip(blocks)
            .map(|((last, first), block)| (last.as_str(), first.as_str(), block))
            .collect();
        let notable: Vec<_> = rows
            .iter()
            .flat_map(|(last, _, block)| {
                block.notable.iter().map(move |n| (n.id.to_string(), last, block, n))
            })
            .collect();
        transact!(self, tx => {
            for rows in rows.chunks(ROWS_PER_INSERT) {
                insert_blocks!(tx, rows);
            }
            for rows in notable.chunks(ROWS_PER_INSERT) {
                let mut insert = QueryBuilder::new(
                    "INSERT INTO notable_records (id, block, boundary, outcome, rule) ");
                insert.push_values(rows, |mut values, (id, last, block, notable)| {
                    values.push_bind(id).push_bind(**last).push_bind(block.boundary.as_str())
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
        if let Some(column) = filter.indexed() {
            return self.notable(filter, column).await;
        }
        self.search(filter, &Look::default()).await
    }

    /// The same, of those records for which more holds than an index or a block's header can say.
    ///
    /// # Errors
    /// `Refused` for a cursor that is none, `Corrupt` when a record cannot be read.
    pub async fn search(&self, filter: &DecisionFilter, look: &Look<'_>) -> Result<Page<Record>> {
        let range = Range::of(filter.since, filter.cursor.as_deref(), filter.limit)?;
        let routine = filter.outcome.as_deref().and_then(routine_of);
        let boundary = match (filter.boundary, routine) {
            (Some(asked), Some(routine)) if asked != routine => return Ok(Found::new(range.limit).finish()),
            (asked, routine) => asked.or(routine),
        };
        let subject = filter.subject.as_deref();
        let term = Term::of(subject, filter.outcome.as_deref(), filter.rule.as_deref(), routine.is_some());
        let texts: Vec<Vec<u8>> =
            look.texts.iter().map(|text| text.to_ascii_lowercase().into_bytes()).collect();
        let wanted = Wanted {
            boundary,
            subject: subject.map(subject_hash),
            term: term.map(|term| term.hash()),
            texts: &texts,
            ..Wanted::default()
        };
        let keep = |record: Record| (filter.is_of(&record) && look.holds(&record)).then_some(record);
        self.scan(&range, &wanted, keep).await
    }

    /// What was used, newest first.
    ///
    /// # Errors
    /// `Refused` for a cursor that is none, `Corrupt` when a record cannot be read.
    pub async fn usage(&self, filter: &UsageFilter) -> Result<Page<UsageRecord>> {
        let range = Range::of(filter.since, filter.cursor.as_deref(), filter.limit)?;
        let subject = filter.subject.as_deref();
        let wanted = Wanted { calls: true, subject: subject.map(subject_hash), ..Wanted::default() };
        let is_of = |record: &Record| subject.is_none_or(|subject| record.decision.subject == subject);
        self.scan(&range, &wanted, |record| is_of(&record).then(|| record.usage()).flatten()).await
    }

    /// A page of the rare records that are found by their outcome or rule alone.
    async fn notable(&self, filter: &DecisionFilter, column: Indexed<'_>) -> Result<Page<Record>> {
        let range = Range::of(filter.since, filter.cursor.as_deref(), filter.limit)?;
        // Between the two readings blocks may have been merged, or pruned.
        for _ in 0..NOTABLE_TRIES {
            let rows = self.notable_rows(&range, &column).await?;
            let (page, whole) = self.notable_page(&range, &rows).await?;
            if whole {
                return Ok(page);
            }
        }
        let rows = self.notable_rows(&range, &column).await?;
        Ok(self.notable_page(&range, &rows).await?.0)
    }

    /// The records of these rows, and whether all of their blocks were there.
    async fn notable_page(&self, range: &Range, rows: &[(String, String)]) -> Result<(Page<Record>, bool)> {
        let mut page = Found::new(range.limit);
        let mut ids = BTreeSet::new();
        for (id, _) in rows {
            let id: DecisionId = id.parse().map_err(|e| StoreError::corrupt("the id of a record", e))?;
            ids.insert(id);
        }
        let blocks: Vec<&str> =
            rows.iter().map(|(_, block)| block.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
        let mut opened = 0;
        for some in blocks.chunks(NOTABLE_BODIES_PER_READ) {
            let bodies = self.bodies(some.iter().copied()).await?;
            opened += bodies.len();
            for body in bodies {
                for entry in body.entries() {
                    let entry = entry?;
                    if ids.contains(&entry.id) {
                        page.insert(entry.id, entry.record()?);
                    }
                }
            }
        }
        Ok((page.finish(), opened == blocks.len()))
    }

    /// Ids and blocks, as many as a page needs and one more.
    async fn notable_rows(&self, range: &Range, column: &Indexed<'_>) -> Result<Vec<(String, String)>> {
        read!(self, pool => {
            let mut select = QueryBuilder::new("SELECT id, block FROM notable_records WHERE id < ");
            select.push_bind(&range.before).push(" AND id >= ").push_bind(&range.from);
            match column {
                Indexed::Rule(rule) => select.push(" AND rule = ").push_bind(rule),
                Indexed::Outcome(outcome) => select.push(" AND outcome = ").push_bind(outcome),
            };
            select.push(" ORDER BY id DESC LIMIT ").push_bind(to_i64(range.limit as u64 + 1));
            select.build_query_as().fetch_all(pool).await?
        })
    }
}

/// What notable records have an index of.
enum Indexed<'a> {
    Rule(&'a str),
    Outcome(&'a str),
}

impl DecisionFilter {
    /// The condition that an index finds, if it is the only one. Where there are two, the filters of the blocks know of
    /// both together, and the index only of one.
    fn indexed(&self) -> Option<Indexed<'_>> {
        if self.subject.is_some() || self.boundary.is_some() {
            return None;
        }
        match (self.rule.as_deref(), self.outcome.as_deref()) {
            (Some(rule), None) => Some(Indexed::Rule(rule)),
            (None, Some(outcome)) if routine_of(outcome).is_none() => Some(Indexed::Outcome(outcome)),
            _ => None,
        }
    }

    /// Whether the record has the outcome, the identity and the rule.
    fn is_of(&self, record: &Record) -> bool {
        let (outcome, rule) = record.enforced();
        self.outcome.as_deref().is_none_or(|wanted| wanted == outcome)
            && self.rule.as_deref().is_none_or(|wanted| rule == Some(wanted))
            && self.subject.as_deref().is_none_or(|wanted| wanted == record.decision.subject)
    }
}

/// What more must hold of a record that is looked for.
#[derive(Clone, Copy, Default)]
pub struct Look<'a> {
    /// Texts that are in the record somewhere, in upper or lower case (ASCII): records without one of them are not
    /// even decoded.
    pub texts: &'a [String],
    /// What is asked of the others; none: nothing.
    pub condition: Option<&'a (dyn Fn(&Record) -> bool + Send + Sync)>,
}

impl Look<'_> {
    fn holds(&self, record: &Record) -> bool {
        self.condition.is_none_or(|condition| condition(record))
    }
}

pub(super) fn boundary_of(word: &str) -> Result<Boundary> {
    let known = Boundary::ALL.into_iter().find(|boundary| boundary.as_str() == word);
    known.ok_or_else(|| StoreError::corrupt("the boundary of a block of records", word))
}

/// The boundary whose usual outcome this is.
fn routine_of(outcome: &str) -> Option<Boundary> {
    Boundary::ALL.into_iter().find(|boundary| routine(*boundary) == Some(outcome))
}

/// The least id that can be made at this time: ids sort by time.
pub(super) fn first_id(at: Timestamp) -> DecisionId {
    DecisionId::new(at, [0; 10])
}
