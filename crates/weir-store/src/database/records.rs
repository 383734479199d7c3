//! Decision records and usage records: written in batches, read in pages, pruned by age and number.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::QueryBuilder;
use weir_core::record::{Record, UsageRecord};
use weir_core::{Action, Boundary, DecisionId, Timestamp};

use super::{Database, read, to_i64, to_u64, transact};
use crate::error::{ErrorKind, Result, StoreError};

/// Items that a page holds at most.
pub const PAGE_LIMIT_MAX: u32 = 1_000;

/// Rows of one `INSERT`: enough to make the statement's own cost vanish, and well below both databases' 32,766 values.
const ROWS_PER_INSERT: usize = 128;

/// Rows that one transaction of the pruning deletes, so that writers never wait long for it.
const ROWS_PER_DELETE: i64 = 2_000;

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Older records are deleted.
    pub age_max: Duration,
    /// Beyond this number the oldest are deleted; for decisions and usage each, and at least one is kept.
    pub rows_max: u64,
}

impl Default for Retention {
    /// 30 days, two million rows.
    fn default() -> Self {
        Self { age_max: Duration::from_secs(30 * 24 * 3600), rows_max: 2_000_000 }
    }
}

/// What a run of the pruning has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Decision records.
    pub decisions: u64,
    /// Usage records.
    pub usage: u64,
}

/// Which decision records to list; every member that is given narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of this boundary.
    pub boundary: Option<Boundary>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Of this identity.
    pub subject: Option<String>,
    /// Decided by this rule.
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

/// A decision record as its row: serialised, with what it is looked up by.
struct DecisionRow {
    id: String,
    boundary: &'static str,
    subject: String,
    notable: Option<String>,
    rule: Option<String>,
    body: String,
}

/// The outcome that nearly all decisions of a boundary have; it is stored as NULL so that an index can leave it out.
const fn routine(boundary: Boundary) -> Option<&'static str> {
    match boundary {
        Boundary::Request => Some(Action::Nothing.as_str()),
        Boundary::Tool => Some("allow"),
        Boundary::Failure => None,
    }
}

impl DecisionRow {
    fn of(record: &Record) -> Result<Self> {
        let decision = &record.decision;
        let outcome = decision.outcome.as_str();
        Ok(Self {
            id: decision.id.to_string(),
            boundary: decision.boundary.as_str(),
            subject: decision.subject.clone(),
            notable: (routine(decision.boundary) != Some(outcome)).then(|| outcome.to_owned()),
            rule: decision.rule.clone(),
            body: to_json(record)?,
        })
    }
}

fn to_json(record: &impl Serialize) -> Result<String> {
    serde_json::to_string(record).map_err(|e| StoreError::new(ErrorKind::Refused, format!("a record: {e}")))
}

impl Database {
    /// Writes records in one transaction. Writing one again does nothing, so that a batch may be repeated after a
    /// timeout.
    ///
    /// # Errors
    /// See [`ErrorKind`]; nothing of the batch was written, but after `Timeout` that is not known.
    pub async fn write_records(&self, records: &[Record], usage: &[UsageRecord]) -> Result<()> {
        let decisions = records.iter().map(DecisionRow::of).collect::<Result<Vec<_>>>()?;
        let usage = usage
            .iter()
            .map(|u| Ok((u.decision.to_string(), u.subject.as_str(), to_json(u)?)))
            .collect::<Result<Vec<_>>>()?;
        transact!(self, tx => {
            for rows in decisions.chunks(ROWS_PER_INSERT) {
                let mut insert = QueryBuilder::new(
                    "INSERT INTO decisions (id, boundary, subject, notable, rule, body) ");
                insert.push_values(rows, |mut values, row| {
                    values.push_bind(&row.id).push_bind(row.boundary).push_bind(&row.subject)
                        .push_bind(&row.notable).push_bind(&row.rule).push_bind(&row.body);
                });
                insert.push(" ON CONFLICT (id, subject) DO NOTHING");
                insert.build().persistent(rows.len() == ROWS_PER_INSERT).execute(&mut *tx).await?;
            }
            for rows in usage.chunks(ROWS_PER_INSERT) {
                let mut insert = QueryBuilder::new("INSERT INTO usage_records (id, subject, body) ");
                insert.push_values(rows, |mut values, (id, subject, body)| {
                    values.push_bind(id).push_bind(*subject).push_bind(body);
                });
                insert.push(" ON CONFLICT (id, subject) DO NOTHING");
                insert.build().persistent(rows.len() == ROWS_PER_INSERT).execute(&mut *tx).await?;
            }
        })
    }

    /// One decision record.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub async fn decision(&self, id: &DecisionId) -> Result<Option<Record>> {
        const SQL: &str = "SELECT body FROM decisions WHERE id = $1 LIMIT 1";
        let id = id.to_string();
        let row: Option<(String,)> =
            read!(self, pool => sqlx::query_as(SQL).bind(&id).fetch_optional(pool).await?)?;
        row.map(|(body,)| from_json(&body)).transpose()
    }

    /// Decision records, newest first.
    ///
    /// # Errors
    /// `Refused` for a cursor that is none, `Corrupt` when a record cannot be read.
    pub async fn decisions(&self, filter: &DecisionFilter) -> Result<Page<Record>> {
        let range = Range::of(filter.since, filter.cursor.as_deref(), filter.limit)?;
        let outcome = filter.outcome.as_deref();
        let routine_of = outcome.and_then(|o| Boundary::ALL.into_iter().find(|b| routine(*b) == Some(o)));
        let rows: Vec<(String, String)> = read!(self, pool => {
            let mut select = QueryBuilder::new("SELECT id, body FROM decisions WHERE id < ");
            select.push_bind(&range.before).push(" AND id >= ").push_bind(&range.from);
            if let Some(boundary) = filter.boundary {
                select.push(" AND boundary = ").push_bind(boundary.as_str());
            }
            if let Some(subject) = &filter.subject {
                select.push(" AND subject = ").push_bind(subject);
            }
            if let Some(rule) = &filter.rule {
                select.push(" AND rule = ").push_bind(rule);
            }
            match (outcome, routine_of) {
                (None, _) => {}
                (Some(_), Some(boundary)) => {
                    select.push(" AND notable IS NULL AND boundary = ").push_bind(boundary.as_str());
                }
                (Some(outcome), None) => {
                    select.push(" AND notable = ").push_bind(outcome);
                }
            }
            select.push(" ORDER BY id DESC LIMIT ").push_bind(range.fetched());
            select.build_query_as().fetch_all(pool).await?
        })?;
        range.page(rows)
    }

    /// Usage records, newest first.
    ///
    /// # Errors
    /// `Refused` for a cursor that is none, `Corrupt` when a record cannot be read.
    pub async fn usage(&self, filter: &UsageFilter) -> Result<Page<UsageRecord>> {
        let range = Range::of(filter.since, filter.cursor.as_deref(), filter.limit)?;
        let rows: Vec<(String, String)> = read!(self, pool => {
            let mut select = QueryBuilder::new("SELECT id, body FROM usage_records WHERE id < ");
            select.push_bind(&range.before).push(" AND id >= ").push_bind(&range.from);
            if let Some(subject) = &filter.subject {
                select.push(" AND subject = ").push_bind(subject);
            }
            select.push(" ORDER BY id DESC LIMIT ").push_bind(range.fetched());
            select.build_query_as().fetch_all(pool).await?
        })?;
        range.page(rows)
    }

    /// Deletes what is kept no longer, in small transactions. Several nodes may do so at once.
    ///
    /// # Errors
    /// See [`ErrorKind`]; what was deleted before stays deleted.
    pub async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned> {
        let by_age = first_id(now.saturating_sub(retention.age_max).unwrap_or(Timestamp::MIN));
        Ok(Pruned {
            decisions: self.prune_table(&DECISIONS, retention.rows_max, &by_age).await?,
            usage: self.prune_table(&USAGE, retention.rows_max, &by_age).await?,
        })
    }

    async fn prune_table(&self, table: &PruneSql, rows_max: u64, by_age: &str) -> Result<u64> {
        let others = to_i64(rows_max.saturating_sub(1));
        let last_kept: Option<(String,)> = read!(self, pool => {
            sqlx::query_as(table.nth_newest).bind(others).fetch_optional(pool).await?
        })?;
        let last_kept = last_kept.map(|(id,)| id).unwrap_or_default();
        let bound = by_age.max(&last_kept);
        let mut deleted = 0_u64;
        loop {
            let rows = transact!(self, tx => {
                sqlx::query(table.delete).bind(bound).bind(ROWS_PER_DELETE).execute(&mut *tx).await?.rows_affected()
            })?;
            deleted = deleted.saturating_add(rows);
            if rows < to_u64(ROWS_PER_DELETE) {
                return Ok(deleted);
            }
        }
    }
}

struct PruneSql {
    nth_newest: &'static str,
    delete: &'static str,
}

const DECISIONS: PruneSql = PruneSql {
    nth_newest: "SELECT id FROM decisions ORDER BY id DESC LIMIT 1 OFFSET $1",
    delete: "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE id < $1 ORDER BY id LIMIT $2)",
};

const USAGE: PruneSql = PruneSql {
    nth_newest: "SELECT id FROM usage_records ORDER BY id DESC LIMIT 1 OFFSET $1",
    delete: "DELETE FROM usage_records WHERE id IN (SELECT id FROM usage_records WHERE id < $1 ORDER BY id LIMIT $2)",
};

/// The least id that can be made at this time: ids sort by time.
fn first_id(at: Timestamp) -> String {
    DecisionId::new(at, [0; 10]).to_string()
}

/// The ids that a page is taken from: `from <= id < before`.
struct Range {
    from: String,
    before: String,
    limit: usize,
}

impl Range {
    fn of(since: Option<Timestamp>, cursor: Option<&str>, limit: u32) -> Result<Self> {
        let before = match cursor {
            None => "dec_g".to_owned(),
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

    /// One more than the page holds, to know whether there is a next one.
    fn fetched(&self) -> i64 {
        to_i64(self.limit as u64).saturating_add(1)
    }

    fn page<T: DeserializeOwned>(&self, mut rows: Vec<(String, String)>) -> Result<Page<T>> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|(id, _)| id.clone());
        let items = rows.iter().map(|(_, body)| from_json(body)).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }
}

fn from_json<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|e| StoreError::corrupt("a record", e))
}
