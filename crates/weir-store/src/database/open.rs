//! Opening a database: connections, migrations under a lock, secrets that nodes share, the prober.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqlitePool};
use tokio_util::task::AbortOnDropHandle;
use weir_core::secret::{Secret, expose};

use super::{Database, DatabaseLocation, DatabaseOptions, Inner, Pools, ping};
use crate::breaker::Breaker;
use crate::error::{ErrorKind, Result, StoreError};
use crate::keys::{KeyHasher, Sealer, hex, unhex};

/// How long opening may take as a whole: another node may be migrating.
const OPEN_DEADLINE: Duration = Duration::from_secs(30);

/// How long connecting may take; a call waits for it at most its own deadline.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How often a database that is down is asked for a sign of life.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// How long a writer waits for another process to let go of an SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Readers of an SQLite file.
const SQLITE_READERS: u32 = 4;

/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 10;

/// Bytes of a secret that nodes share.
const SECRET_BYTES: usize = 32;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

impl Database {
    /// Opens a database, makes it if it is an SQLite file that is not there, and brings its tables up to date. Any
    /// number of nodes may do so at once.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` if it cannot be reached, `Refused` if it may not be used or was made by a newer weir.
    pub async fn open(options: DatabaseOptions) -> Result<Self> {
        in_time(open(options, Tables::BroughtUpToDate)).await
    }

    /// Opens a database that a weir of this version has made its tables in, and changes none of them.
    ///
    /// # Errors
    /// As [`Self::open`]; `Refused` also if there are no tables yet, or those of another version.
    pub async fn open_existing(options: DatabaseOptions) -> Result<Self> {
        in_time(open(options, Tables::AsTheyAre)).await
    }
}

/// What becomes of the tables of a database that is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tables {
    BroughtUpToDate,
    AsTheyAre,
}

async fn in_time(opening: impl Future<Output = Result<Database>>) -> Result<Database> {
    tokio::time::timeout(OPEN_DEADLINE, opening).await.unwrap_or_else(|_| {
        Err(StoreError::new(ErrorKind::Timeout, "the database could not be opened in time"))
    })
}

async fn open(options: DatabaseOptions, tables: Tables) -> Result<Database> {
    let (pools, sealing_file) = match &options.url {
        DatabaseLocation::Sqlite(path) => (open_file(path, tables).await?, Some(beside(path, "secret"))),
        DatabaseLocation::SqliteMemory => (open_memory().await?, None),
        DatabaseLocation::Postgres(url) => (open_postgres(url, options.deadline, tables).await?, None),
    };
    let pepper = shared_secret(&pools, "pepper").await?;
    let sealing = match sealing_file {
        Some(path) => secret_file(&path).map_err(|e| file_error("the sealing secret", &path, &e))?,
        None => shared_secret(&pools, "sealing").await?,
    };
    let breaker = Arc::new(Breaker::new("store"));
    let prober = tokio::spawn(probe(pools.clone(), Arc::clone(&breaker), options.deadline));
    let inner = Inner {
        pools,
        deadline: options.deadline,
        breaker,
        hasher: KeyHasher::new(&pepper),
        sealer: Sealer::new(&sealing)?,
        _prober: AbortOnDropHandle::new(prober),
    };
    Ok(Database { inner: Arc::new(inner) })
}

/// `weir.db` -> `weir.db.secret`, in the same folder.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn file_error(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, format!("{what} `{}`: {error}", path.display()))
}

async fn open_file(path: &Path, tables: Tables) -> Result<Pools> {
    if tables == Tables::AsTheyAre && matches!(path.try_exists(), Ok(false)) {
        return Err(none_yet());
    }
    prepare_file(path).map_err(|e| file_error("the database file", path, &e))?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit is on the disk before it is acknowledged, also if the machine loses its power.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        // A batch of records fits: nothing spills to a temporary file or, before its commit, into the log.
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "MEMORY")
        // Pages, of 4 KiB each.
        .pragma("wal_autocheckpoint", "4000")
        .disable_statement_logging();
    let lock = migration_lock(&beside(path, "lock")).await?;
    let writer = sqlite_pool(1).connect_with(connect.clone()).await?;
    match tables {
        Tables::BroughtUpToDate => migrate_sqlite(&writer).await?,
        Tables::AsTheyAre => {
            let made = "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
            let made: i64 = sqlx::query_scalar(made).fetch_one(&writer).await?;
            let applied =
                if made == 0 { Vec::new() } else { sqlx::query_scalar(APPLIED).fetch_all(&writer).await? };
            check_applied(&applied)?;
        }
    }
    drop(lock);
    let reader = sqlite_pool(SQLITE_READERS).connect_with(connect.read_only(true)).await?;
    Ok(Pools::Sqlite { writer, reader })
}

/// Makes the folder and the file before SQLite does, so that nobody else may ever read them; SQLite gives its
/// `-wal` and `-shm` files the same mode.
fn prepare_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    private(path, true).map(drop)
}

/// Opens for writing a file that only its owner may read; makes it if it is not there.
fn private(path: &Path, or_open: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(or_open).create_new(!or_open).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// sqlx locks PostgreSQL while it migrates, but not SQLite. The lock ends with the process.
async fn migration_lock(path: &Path) -> Result<File> {
    let file = private(path, true).map_err(|e| file_error("the lock file", path, &e))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(TryLockError::Error(e)) => return Err(file_error("the lock file", path, &e)),
        }
    }
}

async fn open_memory() -> Result<Pools> {
    let connect = SqliteConnectOptions::from_str("sqlite::memory:")?;
    // Each connection has a database of its own, so there is one, and it never ends.
    let pool = sqlite_pool(1).connect_with(connect).await?;
    migrate_sqlite(&pool).await?;
    Ok(Pools::Sqlite { writer: pool.clone(), reader: pool })
}

fn sqlite_pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECT_DEADLINE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

async fn migrate_sqlite(pool: &SqlitePool) -> Result<()> {
    MIGRATIONS.run(pool).await.map_err(migration_error)
}

/// The versions of the tables that were made, in sqlx's own table.
const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";

/// Whether all tables are those of this version.
fn check_applied(applied: &[i64]) -> Result<()> {
    let ours: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    let of_another =
        |which: &str| Err(StoreError::new(ErrorKind::Refused, format!("its tables are those of {which}")));
    match applied {
        [] => Err(none_yet()),
        applied if applied == ours => Ok(()),
        applied if applied.iter().all(|version| ours.contains(version)) => {
            of_another("an older weir; `weir serve` of this version brings them up to date")
        }
        _ => of_another("a newer weir; use that one"),
    }
}

fn none_yet() -> StoreError {
    StoreError::new(ErrorKind::Refused, "no weir has written here yet; `weir serve` makes the tables")
}

async fn open_postgres(url: &Secret, deadline: Duration, tables: Tables) -> Result<Pools> {
    let timeout = deadline.as_millis().to_string();
    // The server gives up as well, so that a call that nobody waits for holds no lock.
    let connect = PgConnectOptions::from_str(expose(url))?
        .application_name("weir")
        .options([("statement_timeout", timeout.as_str()), ("lock_timeout", timeout.as_str())])
        // Whatever the server's default: what is acknowledged is on its disk.
        .options([("synchronous_commit", "on")])
        .disable_statement_logging();
    prepare_postgres(&connect, tables).await?;
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(CONNECT_DEADLINE);
    Ok(Pools::Postgres(pool.connect_lazy_with(connect)))
}

/// On a connection of its own: the pool would not say why it cannot connect, and another node's migration may take
/// longer than a statement usually may.
async fn prepare_postgres(connect: &PgConnectOptions, tables: Tables) -> Result<()> {
    let connecting = tokio::time::timeout(CONNECT_DEADLINE, PgConnection::connect_with(connect));
    let mut connection = connecting
        .await
        .map_err(|_| StoreError::new(ErrorKind::Timeout, "PostgreSQL could not be connected to in time"))??;
    match tables {
        Tables::BroughtUpToDate => {
            sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut connection).await?;
            MIGRATIONS.run(&mut connection).await.map_err(migration_error)?;
        }
        Tables::AsTheyAre => {
            let made = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
            let made: bool = sqlx::query_scalar(made).fetch_one(&mut connection).await?;
            let applied =
                if made { sqlx::query_scalar(APPLIED).fetch_all(&mut connection).await? } else { Vec::new() };
            check_applied(&applied)?;
        }
    }
    Ok(connection.close().await?)
}

fn migration_error(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(cause) => cause.into(),
        other => {
            StoreError::new(ErrorKind::Refused, format!("the tables cannot be brought up to date: {other}"))
        }
    }
}

/// Reads a secret from `meta`; the first node makes it.
async fn shared_secret(pools: &Pools, name: &str) -> Result<Vec<u8>> {
    const MAKE: &str = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    const READ: &str = "SELECT value FROM meta WHERE name = $1";
    let fresh = hex(&random_secret());
    let (value,): (String,) = match pools {
        Pools::Sqlite { writer, .. } => {
            sqlx::query(MAKE).bind(name).bind(fresh).execute(writer).await?;
            sqlx::query_as(READ).bind(name).fetch_one(writer).await?
        }
        Pools::Postgres(pool) => {
            sqlx::query(MAKE).bind(name).bind(fresh).execute(pool).await?;
            sqlx::query_as(READ).bind(name).fetch_one(pool).await?
        }
    };
    unhex(&value).ok_or_else(|| StoreError::corrupt("a secret in `meta`", "not hexadecimal"))
}

/// Reads a secret from a file; the first process makes it. The link gives it its name only when it is whole.
fn secret_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if !path.exists() {
        let draft = beside(path, &hex(&random_secret()[..8]));
        let mut file = private(&draft, false)?;
        file.write_all(hex(&random_secret()).as_bytes())?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    unhex(text.trim())
        .filter(|s| s.len() == SECRET_BYTES)
        .ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

fn random_secret() -> [u8; SECRET_BYTES] {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Closes the breaker again. While the database is well this task sleeps.
async fn probe(pools: Pools, breaker: Arc<Breaker>, deadline: Duration) {
    loop {
        if !breaker.is_open() {
            breaker.trouble.notified().await;
            continue;
        }
        match breaker.within(deadline, can_write(&pools)).await {
            Ok(()) => breaker.close(),
            Err(_) => tokio::time::sleep(PROBE_EVERY).await,
        }
    }
}

/// An SQLite file that another process has locked can be read and not written: reading would be no proof.
async fn can_write(pools: &Pools) -> Result<()> {
    match pools {
        Pools::Sqlite { writer, .. } => Ok(writer.begin_with("BEGIN IMMEDIATE").await?.rollback().await?),
        Pools::Postgres(_) => ping(pools).await,
    }
}
