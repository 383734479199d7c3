//! The rule store: the set in force and its history. Every set has an epoch, one more than the one before.

use serde::Serialize;
use weir_core::Timestamp;

use super::audit::add_audit;
use super::changes::{ChangeKind, note_change};
use super::{Database, read, to_i64, to_u64, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::{ErrorKind, Result, StoreError};

/// Rule sets that history keeps; older ones are forgotten.
pub const RULE_SETS_KEPT: u64 = 500;

/// The rule set in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredRules {
    /// Its number; 0 when there has never been one.
    pub epoch: u64,
    /// Its text; empty when there has never been one.
    pub text: String,
}

/// One entry of the rules' history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RulesVersion {
    /// Its number.
    pub epoch: u64,
    /// When it was stored.
    pub at: Timestamp,
    /// Who stored it.
    pub author: String,
    /// What it changed, in a line.
    pub summary: String,
    /// The same rule by rule; null for a set from before that was noted.
    pub changes: serde_json::Value,
    /// Its text; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What is noted of a change of the rules is at most so long, in bytes.
pub const CHANGES_BYTES_MAX: usize = 256 * 1024;

/// A new rule set.
pub struct RulesWrite<'a> {
    /// Its text.
    pub text: &'a str,
    /// What it changes, in a line.
    pub summary: &'a str,
    /// The same rule by rule; not kept when it is longer than [`CHANGES_BYTES_MAX`].
    pub changes: serde_json::Value,
    /// Who writes it.
    pub author: &'a str,
    /// The word for the audit log.
    pub action: Option<&'a str>,
    /// When.
    pub at: Timestamp,
    /// The set that it was made from.
    pub expected_epoch: Option<u64>,
}

impl Database {
    /// The rule set in force.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn rules_current(&self) -> Result<StoredRules> {
        const SQL: &str = "SELECT epoch, text FROM rule_sets ORDER BY epoch DESC LIMIT 1";
        let row: Option<(i64, String)> =
            read!(self, pool => sqlx::query_as(SQL).fetch_optional(pool).await?)?;
        Ok(row.map(|(epoch, text)| StoredRules { epoch: to_u64(epoch), text }).unwrap_or_default())
    }

    /// Puts a new rule set in force and says its epoch.
    ///
    /// # Errors
    /// `Conflict` when `expected_epoch` is given and another one is in force.
    pub async fn rules_replace(
        &self,
        text: &str,
        summary: &str,
        author: &str,
        at: Timestamp,
        expected_epoch: Option<u64>,
    ) -> Result<u64> {
        let changes = serde_json::Value::Null;
        self.rules_write(&RulesWrite { text, summary, changes, author, action: None, at, expected_epoch })
            .await
    }

    /// The same, with what it changes. With an action the audit log gets an entry in the same transaction.
    ///
    /// # Errors
    /// `Conflict` when `expected_epoch` is given and another one is in force.
    pub async fn rules_write(&self, write: &RulesWrite<'_>) -> Result<u64> {
        const LAST: &str = "SELECT COALESCE(MAX(epoch), 0) FROM rule_sets";
        const INSERT: &str = "INSERT INTO rule_sets (epoch, at, author, summary, text, changes) \
                              VALUES ($1, $2, $3, $4, $5, $6)";
        const FORGET: &str = "DELETE FROM rule_sets WHERE epoch <= $1";
        let RulesWrite { text, summary, author, at, expected_epoch, .. } = *write;
        let changes = bounded(&write.changes);
        let detail = serde_json::json!({ "summary": summary }).to_string();
        transact!(self, tx => {
            // First, because it takes the lock that makes writers come one after the other.
            note_change!(tx, ChangeKind::Rules, "");
            let (last,): (i64,) = sqlx::query_as(LAST).fetch_one(&mut *tx).await?;
            if let Some(expected) = expected_epoch.filter(|e| *e != to_u64(last)) {
                return Err(epoch_conflict(expected, to_u64(last)));
            }
            let epoch = last.saturating_add(1);
            sqlx::query(INSERT).bind(epoch).bind(to_ms(at)).bind(author).bind(summary).bind(text).bind(&changes)
                .execute(&mut *tx).await?;
            sqlx::query(FORGET).bind(epoch.saturating_sub(to_i64(RULE_SETS_KEPT))).execute(&mut *tx).await?;
            if let Some(action) = write.action {
                let subject = epoch.to_string();
                add_audit!(tx, author, action, subject.as_str(), &detail, at);
            }
            to_u64(epoch)
        })
    }

    /// The rules' history, newest first, without texts.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn rules_history(&self, limit: u32) -> Result<Vec<RulesVersion>> {
        const SQL: &str =
            "SELECT epoch, at, author, summary, changes FROM rule_sets ORDER BY epoch DESC LIMIT $1";
        let rows: Vec<(i64, i64, String, String, Option<String>)> =
            read!(self, pool => sqlx::query_as(SQL).bind(i64::from(limit)).fetch_all(pool).await?)?;
        let version =
            |(epoch, at, author, summary, changes)| version(epoch, at, author, summary, changes, None);
        Ok(rows.into_iter().map(version).collect())
    }

    /// One entry of the history, with its text.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn rules_version(&self, epoch: u64) -> Result<Option<RulesVersion>> {
        const SQL: &str = "SELECT epoch, at, author, summary, changes, text FROM rule_sets WHERE epoch = $1";
        let row: Option<(i64, i64, String, String, Option<String>, String)> =
            read!(self, pool => sqlx::query_as(SQL).bind(to_i64(epoch)).fetch_optional(pool).await?)?;
        Ok(row.map(|(epoch, at, author, summary, changes, text)| {
            version(epoch, at, author, summary, changes, Some(text))
        }))
    }
}

fn version(
    epoch: i64,
    at: i64,
    author: String,
    summary: String,
    changes: Option<String>,
    text: Option<String>,
) -> RulesVersion {
    let changes = changes.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    RulesVersion { epoch: to_u64(epoch), at: from_ms(at), author, summary, changes, text }
}

/// The text of what changed; nothing when it is longer than may be, since both texts are kept too.
fn bounded(changes: &serde_json::Value) -> Option<String> {
    Some(changes.to_string()).filter(|text| !changes.is_null() && text.len() <= CHANGES_BYTES_MAX)
}

fn epoch_conflict(expected: u64, current: u64) -> StoreError {
    let message = format!("rules of epoch {current} are in force, not those of epoch {expected}");
    StoreError::new(ErrorKind::Conflict, message)
}
