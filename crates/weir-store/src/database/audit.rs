//! The audit log: who did what through the admin API or the command line.

use serde::Serialize;
use weir_core::Timestamp;

use super::{Database, read, to_i64, transact};
use crate::clock::from_ms;
use crate::error::{Result, StoreError};

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its number; entries are numbered without gaps.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub author: String,
    /// What, in one word: `rules.apply`, `key.create`.
    pub action: String,
    /// On what: a key's id, an identity, an epoch.
    pub subject: String,
    /// The particulars. Callers put no secret into it.
    pub detail: serde_json::Value,
}

/// Adds an entry inside a transaction.
macro_rules! add_audit {
    ($tx:ident, $author:expr, $action:expr, $subject:expr, $detail:expr, $at:expr) => {{
        let (id,): (i64,) = sqlx::query_as($crate::database::audit::NEXT).fetch_one(&mut *$tx).await?;
        sqlx::query($crate::database::audit::ADD)
            .bind(id)
            .bind($crate::clock::to_ms($at))
            .bind($author)
            .bind($action)
            .bind($subject)
            .bind($detail)
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(crate) use add_audit;

pub(super) const NEXT: &str = "UPDATE counters SET value = value + 1 WHERE name = 'audit' RETURNING value";
pub(super) const ADD: &str =
    "INSERT INTO audit (id, at, author, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)";

type Row = (i64, i64, String, String, String, String);

impl Database {
    /// Adds an entry to the audit log. Entries are never pruned.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn audit(
        &self,
        author: &str,
        action: &str,
        subject: &str,
        detail: &serde_json::Value,
        at: Timestamp,
    ) -> Result<()> {
        let detail = detail.to_string();
        transact!(self, tx => add_audit!(tx, author, action, subject, &detail, at))
    }

    /// The audit log, newest first, from before entry `before` if that is given.
    ///
    /// # Errors
    /// `Corrupt` when an entry cannot be read.
    pub async fn audit_list(&self, before: Option<u64>, limit: u32) -> Result<Vec<AuditEntry>> {
        const SQL: &str = "SELECT id, at, author, action, subject, detail FROM audit WHERE id < $1 \
                           ORDER BY id DESC LIMIT $2";
        let before = before.map_or(i64::MAX, to_i64);
        let rows: Vec<Row> = read!(self, pool => sqlx::query_as(SQL).bind(before).bind(i64::from(limit)).fetch_all(pool).await?)?;
        rows.into_iter().map(entry).collect()
    }
}

fn entry((id, at, author, action, subject, detail): Row) -> Result<AuditEntry> {
    let detail = serde_json::from_str(&detail).map_err(|e| StoreError::corrupt("an audit entry", e))?;
    Ok(AuditEntry { id: super::to_u64(id), at: from_ms(at), author, action, subject, detail })
}
