//! Sign-ins of the console. What is kept of a session is a hash of its secret, so that any node accepts it and nobody
//! who reads the table can take it over.

use weir_core::Timestamp;

use super::{Database, read, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::Result;

/// A sign-in as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The hash of its secret, by which it is found.
    pub hash: String,
    /// The name of the token that it was opened with.
    pub name: String,
    /// The role that this token had.
    pub role: String,
    /// A hash of the session's secret and the token together: it ends when the token changes.
    pub bond: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was used last; brought up to date now and then, not with every use.
    pub seen_at: Timestamp,
}

type Row = (String, String, String, i64, i64);

impl Database {
    /// Keeps a new session, and forgets all that were opened before `opened_since` or not used since `seen_since`.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn session_add(
        &self,
        session: &StoredSession,
        opened_since: Timestamp,
        seen_since: Timestamp,
    ) -> Result<()> {
        const PRUNE: &str = "DELETE FROM sessions WHERE created_at < $1 OR seen_at < $2";
        const ADD: &str = "INSERT INTO sessions (hash, name, role, bond, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6)";
        transact!(self, tx => {
            sqlx::query(PRUNE).bind(to_ms(opened_since)).bind(to_ms(seen_since)).execute(&mut *tx).await?;
            sqlx::query(ADD).bind(&session.hash).bind(&session.name).bind(&session.role).bind(&session.bond)
                .bind(to_ms(session.created_at)).bind(to_ms(session.seen_at)).execute(&mut *tx).await?;
        })
    }

    /// The session with this hash. Whether it still counts is for the caller to say.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn session(&self, hash: &str) -> Result<Option<StoredSession>> {
        const SQL: &str = "SELECT name, role, bond, created_at, seen_at FROM sessions WHERE hash = $1";
        let row: Option<Row> =
            read!(self, pool => sqlx::query_as(SQL).bind(hash).fetch_optional(pool).await?)?;
        Ok(row.map(|(name, role, bond, created_at, seen_at)| StoredSession {
            hash: hash.to_owned(),
            name,
            role,
            bond,
            created_at: from_ms(created_at),
            seen_at: from_ms(seen_at),
        }))
    }

    /// Notes that a session is in use.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn session_seen(&self, hash: &str, at: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE sessions SET seen_at = $2 WHERE hash = $1 AND seen_at < $2";
        transact!(self, tx => {
            sqlx::query(SQL).bind(hash).bind(to_ms(at)).execute(&mut *tx).await?;
        })
    }

    /// Forgets a session. Says whether there was one.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn session_end(&self, hash: &str) -> Result<bool> {
        const SQL: &str = "DELETE FROM sessions WHERE hash = $1";
        transact!(self, tx => sqlx::query(SQL).bind(hash).execute(&mut *tx).await?.rows_affected() == 1)
    }
}
