//! The feed of changes: what running nodes poll to follow a write of another node or of the command line.
//!
//! Numbers are taken from a counter whose row stays locked until the transaction ends, so they appear in their order
//! and without gaps: a reader that has seen 7 has seen everything up to 7.

use std::str::FromStr;

use super::{Database, read, to_i64, to_u64};
use crate::error::{Result, StoreError};

/// Changes that are kept. A node that was away for longer is told to read everything again.
pub const CHANGES_KEPT: u64 = 10_000;

/// Changes that one call returns at most.
const CHANGES_PER_CALL: i64 = 1_000;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The rule set in force.
    Rules,
    /// An API key was made or revoked.
    Keys,
    /// What is known of an identity, or its exemption.
    Identities,
    /// A level of a tool or a ceiling of a channel that an operator set above the configuration.
    Overrides,
}

impl ChangeKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Rules, Self::Keys, Self::Identities, Self::Overrides];

    /// The word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Keys => "keys",
            Self::Identities => "identities",
            Self::Overrides => "overrides",
        }
    }
}

impl FromStr for ChangeKind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| StoreError::corrupt("a change", format_args!("unknown kind `{text}`")))
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What has changed.
    pub kind: ChangeKind,
    /// Which: the key's id, the identity's key. Empty: any of this kind may have changed, read them all.
    pub key: String,
}

/// Adds a change inside a transaction and forgets the oldest one.
macro_rules! note_change {
    ($tx:ident, $kind:expr, $key:expr) => {{
        let (seq,): (i64,) = sqlx::query_as($crate::database::changes::NEXT).fetch_one(&mut *$tx).await?;
        sqlx::query($crate::database::changes::ADD)
            .bind(seq)
            .bind($crate::database::ChangeKind::as_str($kind))
            .bind($key)
            .execute(&mut *$tx)
            .await?;
        sqlx::query($crate::database::changes::FORGET)
            .bind($crate::database::changes::last_forgotten(seq))
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(crate) use note_change;

pub(super) const NEXT: &str = "UPDATE counters SET value = value + 1 WHERE name = 'changes' RETURNING value";
pub(super) const ADD: &str = "INSERT INTO changes (seq, kind, key) VALUES ($1, $2, $3)";
pub(super) const FORGET: &str = "DELETE FROM changes WHERE seq <= $1";

pub(super) fn last_forgotten(seq: i64) -> i64 {
    seq.saturating_sub(to_i64(CHANGES_KEPT))
}

impl Database {
    /// What has changed after `seq`, and the number to ask with next time. When some of it is no longer known
    /// (too long ago, or another database), one change of each kind with an empty key says so.
    ///
    /// To follow a store: ask for [`Database::changes_position`] first, then read what is in force, then poll.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn changes_since(&self, seq: u64) -> Result<(u64, Vec<Change>)> {
        // The change that was seen last is asked for, too: finding it is the proof that nothing was missed.
        const SQL: &str = "SELECT seq, kind, key FROM changes WHERE seq >= $1 ORDER BY seq LIMIT $2";
        let limit = CHANGES_PER_CALL.saturating_add(1);
        let rows: Vec<(i64, String, String)> =
            read!(self, pool => sqlx::query_as(SQL).bind(to_i64(seq)).bind(limit).fetch_all(pool).await?)?;
        let complete = match rows.first() {
            Some((first, ..)) => to_u64(*first) <= seq.max(1),
            None => seq == 0,
        };
        if !complete {
            return Ok((self.changes_position().await?, everything()));
        }
        let last = rows.last().map_or(seq, |(last, ..)| to_u64(*last));
        let new = rows.into_iter().filter(|(at, ..)| to_u64(*at) > seq);
        let changes =
            new.map(|(_, kind, key)| Ok(Change { kind: kind.parse()?, key })).collect::<Result<_>>()?;
        Ok((last, changes))
    }

    /// The number of the newest change.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn changes_position(&self) -> Result<u64> {
        const SQL: &str = "SELECT value FROM counters WHERE name = 'changes'";
        let (position,): (i64,) = read!(self, pool => sqlx::query_as(SQL).fetch_one(pool).await?)?;
        Ok(to_u64(position))
    }
}

fn everything() -> Vec<Change> {
    ChangeKind::ALL.into_iter().map(|kind| Change { kind, key: String::new() }).collect()
}
