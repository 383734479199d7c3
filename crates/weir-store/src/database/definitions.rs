//! The definitions of tools: what was accepted of each, and what was seen last. A tool whose server describes it otherwise
//! than before is another tool.

use serde::Serialize;
use weir_core::Timestamp;

use super::audit::add_audit;
use super::{Database, read, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::Result;

/// What is known of one tool's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredDefinition {
    /// The tool's server.
    pub server: String,
    /// The tool.
    pub name: String,
    /// The hash of the accepted definition: the first one that was seen, or one that an operator accepted.
    pub accepted: String,
    /// The hash of the definition that was seen last.
    pub seen: String,
    /// When the tool was seen first.
    pub first_seen: Timestamp,
    /// When its definition changed last.
    pub changed_at: Option<Timestamp>,
    /// Who accepted the last change.
    pub accepted_by: Option<String>,
}

impl StoredDefinition {
    /// Whether what was seen last is not what was accepted.
    #[must_use]
    pub fn has_drifted(&self) -> bool {
        self.accepted != self.seen
    }
}

type Row = (String, String, String, String, i64, Option<i64>, Option<String>);

fn definition((server, name, accepted, seen, first_seen, changed_at, accepted_by): Row) -> StoredDefinition {
    StoredDefinition {
        server,
        name,
        accepted,
        seen,
        first_seen: from_ms(first_seen),
        changed_at: changed_at.map(from_ms),
        accepted_by,
    }
}

impl Database {
    /// Notes the definitions that a server has just listed, by name and hash, and says what is known of that server's
    /// tools now. The first definition of a tool is accepted.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn definitions_seen(
        &self,
        server: &str,
        listed: &[(String, String)],
        now: Timestamp,
    ) -> Result<Vec<StoredDefinition>> {
        const ADD: &str = "INSERT INTO tool_definitions (server, name, accepted, seen, first_seen) \
                           VALUES ($1, $2, $3, $3, $4) ON CONFLICT (server, name) DO NOTHING";
        const CHANGE: &str = "UPDATE tool_definitions SET seen = $1, changed_at = $2 \
                              WHERE server = $3 AND name = $4 AND seen <> $1";
        let known = self.definitions(Some(server)).await?;
        let same =
            |name: &str, hash: &str| known.iter().any(|known| known.name == name && known.seen == hash);
        let news: Vec<_> = listed.iter().filter(|(name, hash)| !same(name, hash)).collect();
        if news.is_empty() {
            return Ok(known);
        }
        let at = to_ms(now);
        transact!(self, tx => {
            for (name, hash) in &news {
                sqlx::query(ADD).bind(server).bind(name).bind(hash).bind(at).execute(&mut *tx).await?;
                sqlx::query(CHANGE).bind(hash).bind(at).bind(server).bind(name).execute(&mut *tx).await?;
            }
        })?;
        self.definitions(Some(server)).await
    }

    /// The definitions that are known, of one server or of all.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn definitions(&self, server: Option<&str>) -> Result<Vec<StoredDefinition>> {
        let rows: Vec<Row> = read!(self, pool => {
            let mut select = sqlx::QueryBuilder::new(
                "SELECT server, name, accepted, seen, first_seen, changed_at, accepted_by FROM tool_definitions");
            if let Some(server) = server {
                select.push(" WHERE server = ").push_bind(server);
            }
            select.push(" ORDER BY server, name");
            select.build_query_as().fetch_all(pool).await?
        })?;
        Ok(rows.into_iter().map(definition).collect())
    }

    /// Accepts the definition of a tool that was seen last. Says whether there is such a tool.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn definition_accept(
        &self,
        server: &str,
        name: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str =
            "UPDATE tool_definitions SET accepted = seen, accepted_by = $1 WHERE server = $2 AND name = $3";
        let subject = format!("{server}/{name}");
        transact!(self, tx => {
            let done = sqlx::query(SQL).bind(by).bind(server).bind(name).execute(&mut *tx).await?.rows_affected() == 1;
            if done {
                add_audit!(tx, by, "tool.accept", subject.as_str(), "{}", now);
            }
            done
        })
    }
}
