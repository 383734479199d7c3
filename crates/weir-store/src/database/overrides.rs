//! What operators set above the configuration: levels of tools and ceilings of channels. An override stands until it is
//! taken back, whatever the configuration says meanwhile, and counts on every node within a second by the feed.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_core::Timestamp;
use weir_core::tool::PermissionLevel;

use super::audit::add_audit;
use super::changes::{ChangeKind, note_change};
use super::{Database, read, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::{ErrorKind, Result, StoreError};

/// Overrides of one kind at most. Every node holds all of them in memory.
pub const OVERRIDES_MAX: i64 = 10_000;

/// What an override is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideKind {
    /// The level of a tool.
    Tool,
    /// The ceiling of a channel.
    Channel,
}

impl OverrideKind {
    /// The word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Channel => "channel",
        }
    }

    const fn action(self, set: bool) -> &'static str {
        match (self, set) {
            (Self::Tool, true) => "tool.level",
            (Self::Tool, false) => "tool.level.reset",
            (Self::Channel, true) => "tool.ceiling",
            (Self::Channel, false) => "tool.ceiling.reset",
        }
    }
}

/// One level that an operator has set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Override {
    /// The level.
    pub level: PermissionLevel,
    /// Since when.
    pub at: Timestamp,
    /// Who set it.
    pub by: String,
}

/// All overrides that stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overrides {
    /// Levels by the tool's name.
    pub levels: BTreeMap<String, Override>,
    /// Ceilings by the channel's name.
    pub ceilings: BTreeMap<String, Override>,
}

type Row = (String, String, String, i64, String);

impl Database {
    /// All overrides that stand.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn overrides(&self) -> Result<Overrides> {
        const SQL: &str = "SELECT kind, name, level, at, author FROM overrides";
        let rows: Vec<Row> = read!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await?)?;
        let mut overrides = Overrides::default();
        for (kind, name, level, at, by) in rows {
            let level = PermissionLevel::parse(&level)
                .ok_or_else(|| StoreError::corrupt("an override", format_args!("unknown level `{level}`")))?;
            let of_kind = match kind.as_str() {
                "tool" => &mut overrides.levels,
                "channel" => &mut overrides.ceilings,
                other => {
                    return Err(StoreError::corrupt("an override", format_args!("unknown kind `{other}`")));
                }
            };
            of_kind.insert(name, Override { level, at: from_ms(at), by });
        }
        Ok(overrides)
    }

    /// Sets a level, in the place of the one that was set before.
    ///
    /// # Errors
    /// `Refused` when there are [`OVERRIDES_MAX`] of this kind; see [`crate::ErrorKind`].
    pub async fn override_set(
        &self,
        kind: OverrideKind,
        name: &str,
        level: PermissionLevel,
        by: &str,
        now: Timestamp,
    ) -> Result<()> {
        const BEFORE: &str = "SELECT level FROM overrides WHERE kind = $1 AND name = $2";
        const COUNT: &str = "SELECT COUNT(*) FROM overrides WHERE kind = $1";
        const SET: &str = "INSERT INTO overrides (kind, name, level, at, author) VALUES ($1, $2, $3, $4, $5) \
                           ON CONFLICT (kind, name) DO UPDATE SET level = excluded.level, at = excluded.at, \
                           author = excluded.author";
        let done = transact!(self, tx => {
            let before: Option<(String,)> =
                sqlx::query_as(BEFORE).bind(kind.as_str()).bind(name).fetch_optional(&mut *tx).await?;
            let (count,): (i64,) = sqlx::query_as(COUNT).bind(kind.as_str()).fetch_one(&mut *tx).await?;
            let fits = before.is_some() || count < OVERRIDES_MAX;
            if fits {
                sqlx::query(SET)
                    .bind(kind.as_str())
                    .bind(name)
                    .bind(level.token())
                    .bind(to_ms(now))
                    .bind(by)
                    .execute(&mut *tx)
                    .await?;
                let before = before.map(|(level,)| level);
                let detail = serde_json::json!({ "level": level.token(), "before": before }).to_string();
                add_audit!(tx, by, kind.action(true), name, detail.as_str(), now);
                note_change!(tx, ChangeKind::Overrides, name);
            }
            fits
        })?;
        if done {
            return Ok(());
        }
        let why = format!("there are {OVERRIDES_MAX} overrides already; take some back first");
        Err(StoreError::new(ErrorKind::Refused, why))
    }

    /// Takes an override back: what the configuration says counts again. Says whether there was one.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn override_remove(
        &self,
        kind: OverrideKind,
        name: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "DELETE FROM overrides WHERE kind = $1 AND name = $2 RETURNING level";
        transact!(self, tx => {
            let before: Option<(String,)> =
                sqlx::query_as(SQL).bind(kind.as_str()).bind(name).fetch_optional(&mut *tx).await?;
            if let Some((before,)) = &before {
                let detail = serde_json::json!({ "before": before }).to_string();
                add_audit!(tx, by, kind.action(false), name, detail.as_str(), now);
                note_change!(tx, ChangeKind::Overrides, name);
            }
            before.is_some()
        })
    }
}
