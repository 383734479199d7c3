//! Counts over time: written by each node as its own rows, summed up when they are read (`crate::tally`).

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sqlx::{FromRow, QueryBuilder};
use weir_core::{DecisionId, Timestamp};

use super::{Database, read, to_i64, to_u64, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::{Result, StoreError};
use crate::tally::{
    Cell, DAYS_TRUSTED_AFTER_MS, Part, Resolution, Row, SEPARATOR, Sketch, Sums, Tally, TallyKey, TallyKind,
    TallyQuery,
};

/// Rows of one `INSERT`: 17 values each, below both databases' 32,766.
const ROWS_PER_INSERT: usize = 64;

/// Rows that one statement of the pruning deletes at most are those of this many steps.
const STEPS_PER_DELETE: i64 = 60;

/// Narrows a selection to what a query asks for.
macro_rules! narrow {
    ($select:ident, $query:expr) => {
        if let Some(kind) = $query.kind {
            $select.push(" AND kind = ").push_bind(kind.as_str());
        }
        if let Some(rule) = &$query.rule {
            // The id is the first word of both kinds.
            let prefix = format!("{rule}{SEPARATOR}");
            let length = to_i64(prefix.chars().count() as u64);
            let [hits, errors] = [TallyKind::Rule, TallyKind::RuleError].map(TallyKind::as_str);
            $select.push(" AND kind IN (").push_bind(hits).push(", ").push_bind(errors);
            $select.push(") AND substr(key, 1, CAST(").push_bind(length).push(" AS INTEGER)) = ");
            $select.push_bind(prefix);
        }
    };
}

/// Narrows a selection to the rows of some parts of a range.
macro_rules! within {
    ($select:ident, $parts:expr) => {
        let mut between = "(";
        for part in $parts {
            $select.push(between).push("(step = ").push_bind(part.resolution.seconds());
            $select.push(" AND at >= ").push_bind(part.begin_ms);
            $select.push(" AND at < ").push_bind(part.until_ms).push(")");
            between = " OR ";
        }
        $select.push(")");
    };
}

/// Texts of decision ids, with spaces between them.
fn samples_text(samples: &[u128]) -> String {
    let ids: Vec<String> = samples.iter().map(|id| DecisionId::from_u128(*id).to_string()).collect();
    ids.join(" ")
}

fn samples_of(text: &str) -> Vec<u128> {
    text.split(' ').filter_map(|id| id.parse::<DecisionId>().ok()).map(|id| id.as_u128()).collect()
}

/// What is read of one row, or of the sum of several.
#[derive(FromRow)]
struct Counted {
    kind: String,
    key: String,
    count: i64,
    first_at: i64,
    last_at: i64,
    overhead_us: i64,
    delay_us: i64,
    upstream_us: i64,
    total_us: i64,
    input_tokens: i64,
    output_tokens: i64,
    cost_microusd: i64,
}

impl Counted {
    fn sums(&self) -> Sums {
        Sums {
            overhead_us: to_u64(self.overhead_us),
            delay_us: to_u64(self.delay_us),
            upstream_us: to_u64(self.upstream_us),
            total_us: to_u64(self.total_us),
            input_tokens: to_u64(self.input_tokens),
            output_tokens: to_u64(self.output_tokens),
            cost_microusd: to_u64(self.cost_microusd),
        }
    }
}

/// One row, with what cannot be summed up in SQL.
#[derive(FromRow)]
struct Whole {
    #[sqlx(flatten)]
    counted: Counted,
    identities: Vec<u8>,
    samples: String,
}

impl Whole {
    fn cell(&self) -> Result<Cell> {
        let identities = Sketch::read(&self.identities);
        Ok(Cell {
            count: to_u64(self.counted.count),
            first_ms: self.counted.first_at,
            last_ms: self.counted.last_at,
            sums: self.counted.sums(),
            identities: identities
                .ok_or_else(|| StoreError::corrupt("a count of identities", "no sketch"))?,
            samples: samples_of(&self.samples),
        })
    }
}

/// The sum of some rows of one step and key.
#[derive(FromRow)]
struct Stepped {
    step_at: i64,
    #[sqlx(flatten)]
    counted: Counted,
}

impl Database {
    /// Writes this node's counts, over those that it has written of the same steps and keys before.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub(crate) async fn tallies_write(&self, node: &str, rows: &[Row]) -> Result<()> {
        let update: Vec<String> = ["count", "first_at", "last_at", "identities", "samples"]
            .into_iter()
            .chain(Sums::COLUMNS)
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let update = format!(" ON CONFLICT (step, at, kind, key, node) DO UPDATE SET {}", update.join(", "));
        let insert = format!(
            "INSERT INTO tallies (step, at, kind, key, node, count, first_at, last_at, {}, identities, samples) ",
            Sums::COLUMNS.join(", ")
        );
        transact!(self, tx => {
            for rows in rows.chunks(ROWS_PER_INSERT) {
                let mut insert = QueryBuilder::new(&insert);
                insert.push_values(rows, |mut values, row| {
                    let (kind, key) = row.parts();
                    let cell = &row.cell;
                    values.push_bind(row.resolution.seconds()).push_bind(row.begin_ms).push_bind(kind)
                        .push_bind(key).push_bind(node).push_bind(to_i64(cell.count))
                        .push_bind(cell.first_ms).push_bind(cell.last_ms);
                    for sum in cell.sums.values() {
                        values.push_bind(to_i64(sum));
                    }
                    values.push_bind(cell.identities.bytes()).push_bind(samples_text(&cell.samples));
                });
                insert.push(&update);
                insert.build().persistent(rows.len() == ROWS_PER_INSERT).execute(&mut *tx).await?;
            }
        })
    }

    /// Counts of a range, those of all nodes together: one for each key, or for each step and key, in their order.
    ///
    /// # Errors
    /// `Corrupt` when a row cannot be read, else see [`crate::ErrorKind`].
    pub async fn tallies(&self, query: &TallyQuery) -> Result<Vec<Tally>> {
        match query.step_ms() {
            Some(step_ms) => self.tallies_in_steps(query, step_ms).await,
            None => self.tallies_in_all(query).await,
        }
    }

    /// What is read to answer a query: one part at least.
    async fn tally_parts(&self, query: &TallyQuery) -> Result<Vec<Part>> {
        const FIRST: &str = "SELECT MIN(at) FROM tallies WHERE step = $1";
        let whole = Part::whole(query);
        let Some(days) = whole.days(query.step_ms()) else { return Ok(vec![whole]) };
        let (first,): (Option<i64>,) = read!(self, pool => {
            sqlx::query_as(FIRST).bind(Resolution::Day.seconds()).fetch_one(pool).await?
        })?;
        let days = first.and_then(|first| days.from(first.saturating_add(DAYS_TRUSTED_AFTER_MS)));
        Ok(days.map_or_else(|| vec![whole], |days| whole.around(days)))
    }

    async fn tallies_in_steps(&self, query: &TallyQuery, step_ms: i64) -> Result<Vec<Tally>> {
        let parts = self.tally_parts(query).await?;
        let sums: Vec<String> = ["count"]
            .into_iter()
            .chain(Sums::COLUMNS)
            .map(|column| format!("CAST(SUM({column}) AS BIGINT) AS {column}"))
            .collect();
        let rows: Vec<Stepped> = read!(self, pool => {
            let mut select = QueryBuilder::new("SELECT (at / ");
            select.push(step_ms).push(") * ").push(step_ms).push(" AS step_at, kind, key, ");
            select.push(sums.join(", ")).push(", MIN(first_at) AS first_at, MAX(last_at) AS last_at");
            select.push(" FROM tallies WHERE ");
            within!(select, &parts);
            narrow!(select, query);
            select.push(" GROUP BY 1, kind, key ORDER BY 1, kind, key");
            select.build_query_as().fetch_all(pool).await?
        })?;
        let tally = |row: Stepped| {
            let key = TallyKey::read(&row.counted.kind, &row.counted.key)?;
            Some(tally(from_ms(row.step_at), key, &row.counted))
        };
        Ok(rows.into_iter().filter_map(tally).collect())
    }

    async fn tallies_in_all(&self, query: &TallyQuery) -> Result<Vec<Tally>> {
        let parts = self.tally_parts(query).await?;
        let united: BTreeMap<(String, String), Cell> = read!(self, pool => {
            let mut select = QueryBuilder::new("SELECT kind, key, count, first_at, last_at, ");
            select.push(Sums::COLUMNS.join(", ")).push(", identities, samples FROM tallies WHERE ");
            within!(select, &parts);
            narrow!(select, query);
            let select = select.build_query_as::<Whole>();
            // One by one: there may be many, and they come to few.
            let mut rows = select.fetch(pool);
            let mut united = BTreeMap::<_, Cell>::new();
            while let Some(row) = rows.try_next().await? {
                let cell = row.cell()?;
                united.entry((row.counted.kind, row.counted.key)).or_default().unite(&cell);
            }
            united
        })?;
        let total = |((kind, key), cell): ((String, String), Cell)| {
            Some(Tally {
                at: query.begin(),
                key: TallyKey::read(&kind, &key)?,
                count: cell.count,
                first_seen: from_ms(cell.first_ms),
                last_seen: from_ms(cell.last_ms),
                sums: cell.sums,
                identities: Some(cell.identities.count_among(cell.count)),
                samples: cell.samples.iter().rev().map(|id| DecisionId::from_u128(*id)).collect(),
                who: Some(cell.identities),
            })
        };
        Ok(united.into_iter().filter_map(total).collect())
    }

    /// Deletes counts that are kept no longer. Several nodes may do so at once.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; what was deleted before stays deleted.
    pub async fn tallies_prune(&self, now: Timestamp) -> Result<u64> {
        const OLDEST: &str = "SELECT COALESCE(MIN(at), 0) FROM tallies WHERE step = $1";
        const DELETE: &str = "DELETE FROM tallies WHERE step = $1 AND at < $2";
        let mut deleted = 0_u64;
        for resolution in Resolution::ALL {
            let bound = to_ms(now.saturating_sub(resolution.kept()).unwrap_or(Timestamp::MIN));
            loop {
                let (oldest,): (i64,) = read!(self, pool => {
                    sqlx::query_as(OLDEST).bind(resolution.seconds()).fetch_one(pool).await?
                })?;
                if oldest == 0 || oldest >= bound {
                    break;
                }
                let until = oldest.saturating_add(STEPS_PER_DELETE * resolution.seconds() * 1000).min(bound);
                deleted = deleted.saturating_add(transact!(self, tx => {
                    let delete = sqlx::query(DELETE).bind(resolution.seconds()).bind(until);
                    delete.execute(&mut *tx).await?.rows_affected()
                })?);
            }
        }
        Ok(deleted)
    }
}

fn tally(at: Timestamp, key: TallyKey, counted: &Counted) -> Tally {
    Tally {
        at,
        key,
        count: to_u64(counted.count),
        first_seen: from_ms(counted.first_at),
        last_seen: from_ms(counted.last_at),
        sums: counted.sums(),
        identities: None,
        samples: Vec::new(),
        who: None,
    }
}
