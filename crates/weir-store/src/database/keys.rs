//! API keys made at run time, as hashes, and what every key has spent.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use weir_core::Timestamp;
use weir_core::identity::ANONYMOUS_PREFIX;
use weir_core::money::check_budget;
use weir_core::name::{check_name, check_tags};

use super::changes::{ChangeKind, note_change};
use super::{Database, read, to_i64, to_u64, transact};
use crate::clock::{from_ms, to_ms};
use crate::error::{Result, StoreError};
use crate::keys::{KeyHash, Sealed};

/// Whom a key belongs to and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyOwner {
    /// The user.
    pub user: String,
    /// The organisation.
    pub org: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// The plan.
    pub plan: Option<String>,
    /// Tags of the identity.
    pub tags: Vec<String>,
    /// What it may spend, in US dollars; `None`: no limit.
    pub budget_usd: Option<f64>,
    /// The channel of its tool calls.
    pub channel: Option<String>,
}

/// What is wrong with one member of a [`KeyOwner`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerFault {
    /// The member.
    pub member: &'static str,
    /// What follows the word "it".
    pub message: String,
}

impl KeyOwner {
    /// The same without the spaces around names, if a key may be made for it.
    ///
    /// # Errors
    /// All that is wrong: a key for nobody, names that are blank, too long or hold what cannot be seen, a budget that
    /// is no amount of money.
    pub fn checked(mut self) -> std::result::Result<Self, Vec<OwnerFault>> {
        let mut faults = Vec::new();
        let mut fault = |member, message: String| faults.push(OwnerFault { member, message });
        let names = [
            ("user", Some(&mut self.user)),
            ("org", self.org.as_mut()),
            ("project", self.project.as_mut()),
            ("plan", self.plan.as_mut()),
            ("channel", self.channel.as_mut()),
        ];
        for (member, name) in names.into_iter().filter_map(|(member, name)| Some((member, name?))) {
            *name = name.trim_matches(' ').to_owned();
            if let Err(why) = check_name(name) {
                fault(member, why.to_string());
            }
        }
        if self.user.trim().starts_with(ANONYMOUS_PREFIX) {
            fault(
                "user",
                format!("must not begin with `{ANONYMOUS_PREFIX}`, as the ids of callers without a key do"),
            );
        }
        if let Err(why) = check_tags(&self.tags) {
            fault("tags", why.to_string());
        }
        if let Some(Err(why)) = self.budget_usd.map(check_budget) {
            fault("budget_usd", why.to_string());
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOrigin {
    /// Made by the admin API or the command line.
    #[default]
    Runtime,
    /// Written in the configuration; such a key is not stored, only what it has spent.
    Configured,
}

impl KeyOrigin {
    /// The word in the table and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Configured => "configured",
        }
    }
}

/// A key to store.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its id, see [`KeyHash::key_id`].
    pub id: String,
    /// Its hash.
    pub hash: KeyHash,
    /// Its beginning, which may be shown.
    pub prefix: String,
    /// Whom it belongs to.
    pub owner: KeyOwner,
    /// The caller's own provider keys by the provider's name.
    pub byok: BTreeMap<String, Sealed>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it comes from.
    pub origin: KeyOrigin,
}

/// A stored key.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// Its id.
    pub id: String,
    /// Its hash.
    pub hash: KeyHash,
    /// Its beginning, which may be shown.
    pub prefix: String,
    /// Whom it belongs to.
    pub owner: KeyOwner,
    /// The caller's own provider keys by the provider's name.
    pub byok: BTreeMap<String, Sealed>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it comes from.
    pub origin: KeyOrigin,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// What it has spent, in millionths of a US dollar.
    pub spent_microusd: u64,
}

/// What a key has spent is counted up to here and one write further, which an integer of the database holds: a trillion
/// dollars.
const SPEND_MICROUSD_MAX: u64 = 1_000_000_000_000_000_000;

type Row = (String, String, String, String, String, String, i64, Option<i64>, i64);

impl Database {
    /// Stores a key.
    ///
    /// # Errors
    /// `Conflict` when its id or hash is taken.
    pub async fn key_insert(&self, key: &NewKey) -> Result<()> {
        const SQL: &str = "INSERT INTO api_keys (id, hash, prefix, owner, byok, origin, created_at) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let owner = to_json(&key.owner)?;
        let byok = to_json(&key.byok)?;
        transact!(self, tx => {
            note_change!(tx, ChangeKind::Keys, key.id.as_str());
            sqlx::query(SQL).bind(&key.id).bind(key.hash.to_hex()).bind(&key.prefix).bind(&owner).bind(&byok)
                .bind(key.origin.as_str()).bind(to_ms(key.created_at)).execute(&mut *tx).await?;
        })
    }

    /// All stored keys, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when a row cannot be read.
    pub async fn keys_all(&self, include_revoked: bool) -> Result<Vec<StoredKey>> {
        const SQL: &str = "SELECT k.id, k.hash, k.prefix, k.owner, k.byok, k.origin, k.created_at, k.revoked_at, \
                           COALESCE(s.microusd, 0) FROM api_keys k LEFT JOIN key_spend s ON s.id = k.id \
                           WHERE $1 OR k.revoked_at IS NULL ORDER BY k.created_at, k.id";
        let rows: Vec<Row> =
            read!(self, pool => sqlx::query_as(SQL).bind(include_revoked).fetch_all(pool).await?)?;
        rows.into_iter().map(stored).collect()
    }

    /// Revokes a key; says whether there was one in force.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn key_revoke(&self, id: &str, at: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        transact!(self, tx => {
            let done = sqlx::query(SQL).bind(id).bind(to_ms(at)).execute(&mut *tx).await?.rows_affected() > 0;
            if done {
                note_change!(tx, ChangeKind::Keys, id);
            }
            done
        })
    }

    /// Adds to what keys have spent, in millionths of a US dollar. It is no change of the feed. After a `Timeout` it
    /// is not known whether it was added.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn key_spend_add(&self, batch: &[(String, u64)]) -> Result<()> {
        const SQL: &str = "INSERT INTO key_spend (id, microusd) VALUES ($1, $2) \
                           ON CONFLICT (id) DO UPDATE SET microusd = CASE WHEN key_spend.microusd >= $3 \
                           THEN key_spend.microusd ELSE key_spend.microusd + excluded.microusd END";
        // One row for each key, in one order on all nodes, so that two of them cannot wait for each other.
        let mut sums = BTreeMap::<&str, u64>::new();
        for (id, microusd) in batch {
            let sum = sums.entry(id).or_default();
            *sum = sum.saturating_add(*microusd);
        }
        if sums.is_empty() {
            return Ok(());
        }
        transact!(self, tx => {
            for (id, microusd) in &sums {
                sqlx::query(SQL).bind(*id).bind(to_i64((*microusd).min(SPEND_MICROUSD_MAX))).bind(to_i64(SPEND_MICROUSD_MAX)).execute(&mut *tx).await?;
            }
        })
    }

    /// What a key has spent, in millionths of a US dollar; 0 for one that is not known.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn key_spend(&self, id: &str) -> Result<u64> {
        const SQL: &str = "SELECT microusd FROM key_spend WHERE id = $1";
        let row: Option<(i64,)> =
            read!(self, pool => sqlx::query_as(SQL).bind(id).fetch_optional(pool).await?)?;
        Ok(row.map_or(0, |(microusd,)| to_u64(microusd)))
    }

    /// What every key has spent, configured ones included.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn key_spend_all(&self) -> Result<HashMap<String, u64>> {
        const SQL: &str = "SELECT id, microusd FROM key_spend";
        let rows: Vec<(String, i64)> = read!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await?)?;
        Ok(rows.into_iter().map(|(id, microusd)| (id, to_u64(microusd))).collect())
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::corrupt("a key", e))
}

fn stored((id, hash, prefix, owner, byok, origin, created_at, revoked_at, spent): Row) -> Result<StoredKey> {
    let broken = |e: serde_json::Error| StoreError::corrupt("a stored key", e);
    Ok(StoredKey {
        hash: KeyHash::from_hex(&hash)?,
        owner: serde_json::from_str(&owner).map_err(broken)?,
        byok: serde_json::from_str(&byok).map_err(broken)?,
        origin: if origin == KeyOrigin::Configured.as_str() {
            KeyOrigin::Configured
        } else {
            KeyOrigin::Runtime
        },
        created_at: from_ms(created_at),
        revoked_at: revoked_at.map(from_ms),
        spent_microusd: to_u64(spent),
        id,
        prefix,
    })
}
