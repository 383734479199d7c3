//! Versions of rules that the stop-loss has taken back to shadow.

use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use weir_core::Timestamp;
use weir_core::stop::RuleStop;

use super::audit::add_audit;
use super::changes::{ChangeKind, note_change};
use super::{Database, read, to_i64, to_u64, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::{Result, StoreError};

/// Stops that are kept; the oldest are forgotten.
pub const STOPS_KEPT: u32 = 1_000;

/// Who is named in the audit list when a rule is stopped.
pub const STOP_LOSS_AUTHOR: &str = "stop-loss";

/// The key of the change that tells of a stop. Of the kind `rules`, so that nodes of the version before pass it over.
const CHANGE: &str = "stops";

/// A stop as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredStop {
    /// What was stopped and why.
    #[serde(flatten)]
    pub stop: RuleStop,
    /// When an operator has lifted it.
    pub resumed_at: Option<Timestamp>,
    /// Who has.
    pub resumed_by: Option<String>,
}

impl StoredStop {
    /// Whether the rule is in shadow by it.
    #[must_use]
    pub const fn in_force(&self) -> bool {
        self.resumed_at.is_none()
    }
}

#[derive(FromRow)]
struct Row {
    rule: String,
    version: String,
    at: i64,
    why: String,
    hit: i64,
    seen: i64,
    decision: String,
    resumed_at: Option<i64>,
    resumed_by: Option<String>,
}

impl Database {
    /// Keeps a stop and tells all nodes; the audit log gets an entry in the same transaction. False when this version was
    /// stopped before: then nothing is changed.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn rule_stop(&self, stop: &RuleStop) -> Result<bool> {
        const INSERT: &str = "INSERT INTO rule_stops (rule, version, at, why, hit, seen, decision) \
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (rule, version) DO NOTHING";
        const FORGET: &str = "DELETE FROM rule_stops WHERE at < COALESCE((SELECT MIN(at) FROM \
            (SELECT at FROM rule_stops ORDER BY at DESC LIMIT $1) AS kept), 0)";
        let detail = json!({
            "version": stop.version, "why": stop.why, "hit": stop.hit, "seen": stop.seen, "decision": stop.decision,
        });
        let detail = detail.to_string();
        transact!(self, tx => {
            let inserted = sqlx::query(INSERT).bind(&stop.rule).bind(&stop.version).bind(to_ms(stop.at))
                .bind(stop.why.as_str()).bind(to_i64(stop.hit)).bind(to_i64(stop.seen))
                .bind(stop.decision.to_string()).execute(&mut *tx).await?.rows_affected();
            if inserted == 0 {
                return Ok(false);
            }
            note_change!(tx, ChangeKind::Rules, CHANGE);
            sqlx::query(FORGET).bind(i64::from(STOPS_KEPT)).execute(&mut *tx).await?;
            add_audit!(tx, STOP_LOSS_AUTHOR, "rules.stop", &stop.rule, &detail, stop.at);
            true
        })
    }

    /// All stops, the newest first, those that were lifted among them.
    ///
    /// # Errors
    /// `Corrupt` when one cannot be read.
    pub async fn rule_stops(&self) -> Result<Vec<StoredStop>> {
        const SQL: &str = "SELECT rule, version, at, why, hit, seen, decision, resumed_at, resumed_by \
                           FROM rule_stops ORDER BY at DESC, rule LIMIT $1";
        let rows: Vec<Row> = read!(self, pool => {
            sqlx::query_as(SQL).bind(i64::from(STOPS_KEPT)).fetch_all(pool).await?
        })?;
        rows.into_iter().map(stored).collect()
    }

    /// Lifts a stop and tells all nodes; the audit log gets an entry in the same transaction. False when there is none
    /// in force.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn rule_resume(&self, rule: &str, version: &str, author: &str, at: Timestamp) -> Result<bool> {
        const UPDATE: &str = "UPDATE rule_stops SET resumed_at = $1, resumed_by = $2 \
                              WHERE rule = $3 AND version = $4 AND resumed_at IS NULL";
        let detail = json!({ "version": version }).to_string();
        transact!(self, tx => {
            let lifted = sqlx::query(UPDATE).bind(to_ms(at)).bind(author).bind(rule).bind(version)
                .execute(&mut *tx).await?.rows_affected();
            if lifted == 0 {
                return Ok(false);
            }
            note_change!(tx, ChangeKind::Rules, CHANGE);
            add_audit!(tx, author, "rules.resume", rule, &detail, at);
            true
        })
    }
}

fn stored(row: Row) -> Result<StoredStop> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::corrupt("a stop of a rule", error);
    Ok(StoredStop {
        stop: RuleStop {
            rule: row.rule,
            version: row.version,
            at: from_ms(row.at),
            why: row.why.parse().map_err(|e| corrupt(&e))?,
            hit: to_u64(row.hit),
            seen: to_u64(row.seen),
            decision: row.decision.parse().map_err(|e| corrupt(&e))?,
        },
        resumed_at: row.resumed_at.map(from_ms),
        resumed_by: row.resumed_by,
    })
}
