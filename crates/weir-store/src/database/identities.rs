//! What is known of identities beyond their requests: plan, verification, block, tags, exemption.

use weir_core::{IdentityKey, Timestamp};

use super::audit::add_audit;
use super::changes::{ChangeKind, note_change};
use super::{Database, read, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::{Result, StoreError};

/// What is known of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRow {
    /// Whose row it is.
    pub key: IdentityKey,
    /// The plan, if one was told.
    pub plan: Option<String>,
    /// Whether it is verified.
    pub verified: bool,
    /// Whether it is blocked elsewhere.
    pub blocked: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// When its account was made, if that was told.
    pub created_at: Option<Timestamp>,
    /// Until when no rule is enforced on it.
    pub exempt_until: Option<Timestamp>,
    /// When the store heard of it first.
    pub first_seen: Timestamp,
}

/// What was learned of an identity; `None` leaves a member as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityChange {
    /// The plan.
    pub plan: Option<String>,
    /// Whether it is verified.
    pub verified: Option<bool>,
    /// Whether it is blocked elsewhere.
    pub blocked: Option<bool>,
    /// All its tags; they replace the old ones.
    pub tags: Option<Vec<String>>,
    /// When its account was made.
    pub created_at: Option<Timestamp>,
}

type Row = (Option<String>, Option<bool>, Option<bool>, Option<String>, Option<i64>, Option<i64>, i64);

impl Database {
    /// What is known of an identity.
    ///
    /// # Errors
    /// `Corrupt` when its row cannot be read.
    pub async fn identity(&self, key: &IdentityKey) -> Result<Option<IdentityRow>> {
        const SQL: &str = "SELECT plan, verified, blocked, tags, created_at, exempt_until, first_seen \
                           FROM identities WHERE key = $1";
        let row: Option<Row> =
            read!(self, pool => sqlx::query_as(SQL).bind(key.as_str()).fetch_optional(pool).await?)?;
        row.map(|row| identity(key.clone(), row)).transpose()
    }

    /// Adds what was learned of an identity.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn identity_merge(
        &self,
        key: &IdentityKey,
        change: IdentityChange,
        at: Timestamp,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO identities (key, plan, verified, blocked, tags, created_at, first_seen) \
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key) DO UPDATE SET \
            plan = COALESCE(excluded.plan, identities.plan), \
            verified = COALESCE(excluded.verified, identities.verified), \
            blocked = COALESCE(excluded.blocked, identities.blocked), \
            tags = COALESCE(excluded.tags, identities.tags), \
            created_at = COALESCE(excluded.created_at, identities.created_at)";
        let tags = change.tags.as_ref().map(serde_json::to_string).transpose();
        let tags = tags.map_err(|e| StoreError::corrupt("the tags", e))?;
        transact!(self, tx => {
            note_change!(tx, ChangeKind::Identities, key.as_str());
            sqlx::query(SQL).bind(key.as_str()).bind(&change.plan).bind(change.verified).bind(change.blocked)
                .bind(&tags).bind(change.created_at.map(to_ms)).bind(to_ms(at)).execute(&mut *tx).await?;
        })
    }

    /// Exempts an identity from enforcement until a time, or ends its exemption. The audit log gets an entry in the
    /// same transaction.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn identity_exempt(
        &self,
        key: &IdentityKey,
        until: Option<Timestamp>,
        author: &str,
        at: Timestamp,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO identities (key, exempt_until, exempt_by, first_seen) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (key) DO UPDATE SET exempt_until = excluded.exempt_until, exempt_by = excluded.exempt_by";
        let detail = serde_json::json!({ "until": until }).to_string();
        let action = if until.is_some() { "identity.exempt" } else { "identity.unexempt" };
        transact!(self, tx => {
            note_change!(tx, ChangeKind::Identities, key.as_str());
            sqlx::query(SQL).bind(key.as_str()).bind(until.map(to_ms)).bind(author).bind(to_ms(at))
                .execute(&mut *tx).await?;
            add_audit!(tx, author, action, key.as_str(), &detail, at);
        })
    }
}

fn identity(key: IdentityKey, row: Row) -> Result<IdentityRow> {
    let (plan, verified, blocked, tags, created_at, exempt_until, first_seen) = row;
    let tags =
        tags.map(|t| serde_json::from_str(&t)).transpose().map_err(|e| StoreError::corrupt("the tags", e))?;
    Ok(IdentityRow {
        key,
        plan,
        verified: verified.unwrap_or(false),
        blocked: blocked.unwrap_or(false),
        tags: tags.unwrap_or_default(),
        created_at: created_at.map(from_ms),
        exempt_until: exempt_until.map(from_ms),
        first_seen: from_ms(first_seen),
    })
}
