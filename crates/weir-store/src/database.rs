//! The durable store: SQLite or PostgreSQL behind one interface and one text of SQL.
//!
//! What a call acknowledges survives `kill -9`. Every call has the database's deadline and goes through its breaker.

mod approvals;
mod audit;
pub(crate) mod block;
mod changes;
mod definitions;
mod identities;
mod keys;
mod open;
mod overrides;
mod records;
mod replay;
mod rules;
mod sessions;
mod stops;
mod tallies;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, SqlitePool};
use tokio_util::task::AbortOnDropHandle;
use weir_core::secret::Secret;

pub use self::approvals::{
    Answer, Answered, Approval, ApprovalFilter, ApprovalScope, ApprovalState, Asked, NewApproval,
    PENDING_PER_CALLER_MAX, Question, SESSION_GRANT_MAX,
};
pub use self::audit::{AuditEntry, AuditFilter};
pub use self::changes::{CHANGES_KEPT, Change, ChangeKind};
pub use self::definitions::StoredDefinition;
pub use self::identities::{IdentityChange, IdentityRow};
pub use self::keys::{KeyOrigin, KeyOwner, NewKey, OwnerFault, StoredKey};
pub use self::overrides::{OVERRIDES_MAX, Override, OverrideKind, Overrides};
pub(crate) use self::records::Merging;
pub use self::records::{DecisionFilter, Look, PAGE_LIMIT_MAX, Page, Retention, UsageFilter};
pub use self::replay::{Portion, Replay, ReplayRange};
pub use self::rules::{CHANGES_BYTES_MAX, RULE_SETS_KEPT, RulesVersion, RulesWrite, StoredRules};
pub use self::sessions::StoredSession;
pub use self::stops::{STOP_LOSS_AUTHOR, STOPS_KEPT, StoredStop};

use crate::breaker::Breaker;
use crate::error::{Result, StoreError};
use crate::keys::{KeyHasher, Sealer};
use crate::state::Dependency;

/// Runs `$body` on the reading pool, whichever database it is.
macro_rules! read {
    ($database:expr, $pool:ident => $body:expr) => {
        $database
            .guarded(async {
                match &$database.inner.pools {
                    $crate::database::Pools::Sqlite { reader: $pool, .. } => Ok($body),
                    $crate::database::Pools::Postgres($pool) => Ok($body),
                }
            })
            .await
    };
}

/// Runs `$body` in a transaction on the writing pool. An early `Err` rolls back.
macro_rules! transact {
    ($database:expr, $tx:ident => $body:expr) => {
        $database
            .guarded(async {
                match &$database.inner.pools {
                    $crate::database::Pools::Sqlite { writer, .. } => {
                        // Takes the lock at once: a reader that turns writer could not wait for it.
                        let mut $tx = writer.begin_with("BEGIN IMMEDIATE").await?;
                        let done = $body;
                        $tx.commit().await?;
                        Ok(done)
                    }
                    $crate::database::Pools::Postgres(pool) => {
                        let mut $tx = pool.begin().await?;
                        let done = $body;
                        $tx.commit().await?;
                        Ok(done)
                    }
                }
            })
            .await
    };
}

pub(crate) use {read, transact};

/// Where the database is.
#[derive(Clone, Debug)]
pub enum DatabaseLocation {
    /// A file, made with mode 600 if it is not there.
    Sqlite(PathBuf),
    /// SQLite in memory, for tests: gone with the last handle.
    SqliteMemory,
    /// A URL `postgres://…`; it may hold a password.
    Postgres(Secret),
}

/// How to open a database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Where it is.
    pub url: DatabaseLocation,
    /// How long one call may take, waiting for a connection included.
    pub deadline: Duration,
}

/// The deadline of a database call unless told otherwise.
pub const DATABASE_DEADLINE: Duration = Duration::from_secs(2);

impl DatabaseOptions {
    /// With the usual deadline.
    #[must_use]
    pub fn new(url: DatabaseLocation) -> Self {
        Self { url, deadline: DATABASE_DEADLINE }
    }
}

/// The durable store. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    deadline: Duration,
    breaker: Arc<Breaker>,
    hasher: KeyHasher,
    sealer: Sealer,
    _prober: AbortOnDropHandle<()>,
}

/// The enum over both databases: everything above it is written once.
#[derive(Clone)]
enum Pools {
    Sqlite { writer: SqlitePool, reader: SqlitePool },
    Postgres(PgPool),
}

impl Database {
    /// How the database is doing, for `/readyz`.
    #[must_use]
    pub fn state(&self) -> Dependency {
        self.inner.breaker.dependency()
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when there is none.
    pub async fn ping(&self) -> Result<()> {
        self.guarded(ping(&self.inner.pools)).await
    }

    /// Hashes callers' keys with the pepper that all nodes of this database share.
    #[must_use]
    pub fn hasher(&self) -> &KeyHasher {
        &self.inner.hasher
    }

    /// Seals and opens callers' own provider keys.
    #[must_use]
    pub fn sealer(&self) -> &Sealer {
        &self.inner.sealer
    }

    /// The deadline of one call.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// Closes the connections of all clones. Calls fail as unavailable from then on.
    pub async fn close(&self) {
        match &self.inner.pools {
            Pools::Sqlite { writer, reader } => {
                writer.close().await;
                reader.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    async fn guarded<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.inner.breaker.run(self.inner.deadline, call).await
    }
}

async fn ping(pools: &Pools) -> Result<()> {
    match pools {
        Pools::Sqlite { reader, .. } => sqlx::query("SELECT 1").execute(reader).await.map(drop),
        Pools::Postgres(pool) => sqlx::query("SELECT 1").execute(pool).await.map(drop),
    }
    .map_err(StoreError::from)
}

/// A number for a BIGINT column; what does not fit is cut at its end.
fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a BIGINT column that is never negative.
fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
