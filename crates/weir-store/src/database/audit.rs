//! The audit log: who did what through the admin API or the command line.

use serde::Serialize;
use sqlx::QueryBuilder;
use weir_core::Timestamp;

use super::{Database, read, to_i64, transact};
use crate::clock::{from_ms, to_ms};
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

/// Which entries to list; every member that is given narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// By this author.
    pub author: Option<String>,
    /// This action, or all whose first word it is: `rules` is also `rules.apply`.
    pub action: Option<String>,
    /// From before this entry.
    pub before: Option<u64>,
    /// Entries at most.
    pub limit: u32,
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
        self.audit_find(&AuditFilter { before, limit, ..AuditFilter::default() }).await
    }

    /// The entries that a filter lets pass, newest first.
    ///
    /// # Errors
    /// `Corrupt` when an entry cannot be read.
    pub async fn audit_find(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let rows: Vec<Row> = read!(self, pool => {
            let mut select =
                QueryBuilder::new("SELECT id, at, author, action, subject, detail FROM audit WHERE id < ");
            select.push_bind(filter.before.map_or(i64::MAX, to_i64));
            if let Some(since) = filter.since {
                select.push(" AND at >= ").push_bind(to_ms(since));
            }
            if let Some(author) = &filter.author {
                select.push(" AND author = ").push_bind(author);
            }
            if let Some(action) = &filter.action {
                let prefix = format!("{action}.");
                let length = to_i64(prefix.chars().count() as u64);
                select.push(" AND (action = ").push_bind(action).push(" OR substr(action, 1, CAST(");
                select.push_bind(length).push(" AS INTEGER)) = ").push_bind(prefix).push(")");
            }
            select.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(filter.limit));
            select.build_query_as().fetch_all(pool).await?
        })?;
        rows.into_iter().map(entry).collect()
    }
}

fn entry((id, at, author, action, subject, detail): Row) -> Result<AuditEntry> {
    let detail = serde_json::from_str(&detail).map_err(|e| StoreError::corrupt("an audit entry", e))?;
    Ok(AuditEntry { id: super::to_u64(id), at: from_ms(at), author, action, subject, detail })
}
