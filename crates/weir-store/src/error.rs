//! What a store call may fail with. Messages never hold a secret: neither URLs nor values are put into them.

use std::fmt;

/// What kind of failure it is: this is what callers act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The store cannot be reached, or its breaker is open.
    Unavailable,
    /// The store did not answer within the deadline; whether it did the work is not known.
    Timeout,
    /// What is stored is not what the caller expected: another epoch, an id that is taken.
    Conflict,
    /// What is stored cannot be read.
    Corrupt,
    /// The store answered and refused: a bug here or a missing right there.
    Refused,
}

impl ErrorKind {
    /// Whether the store itself is at fault, so that the breaker counts it.
    #[must_use]
    pub const fn is_outage(self) -> bool {
        match self {
            Self::Unavailable | Self::Timeout => true,
            Self::Conflict | Self::Corrupt | Self::Refused => false,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::Corrupt => "corrupt",
            Self::Refused => "refused",
        })
    }
}

/// The failure of a store call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct StoreError {
    kind: ErrorKind,
    message: String,
}

/// What store calls return.
pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// A failure of this kind, with words for the operator.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What callers act on.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Words for the operator.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn corrupt(what: &str, cause: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Corrupt, format!("{what} cannot be read: {cause}"))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let kind = match &error {
            sqlx::Error::PoolTimedOut => ErrorKind::Timeout,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => ErrorKind::Unavailable,
            sqlx::Error::Database(database) => database_kind(database.as_ref()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => ErrorKind::Corrupt,
            _ => ErrorKind::Refused,
        };
        match error {
            // A wrong URL is quoted in full by the driver, password and all.
            sqlx::Error::Configuration(_) => Self::new(kind, "the database's URL or options cannot be used"),
            other => Self::new(kind, other.to_string()),
        }
    }
}

fn database_kind(error: &dyn sqlx::error::DatabaseError) -> ErrorKind {
    if error.is_unique_violation() {
        return ErrorKind::Conflict;
    }
    match error.code().as_deref() {
        // PostgreSQL: statement_timeout, lock_timeout. SQLite: BUSY, LOCKED and their kin.
        Some("57014" | "55P03" | "5" | "6" | "261" | "517") => ErrorKind::Timeout,
        // PostgreSQL: connection failures, shutting down, too many connections. SQLite: disk errors.
        Some(code) if ["08", "57P", "53"].iter().any(|class| code.starts_with(class)) => {
            ErrorKind::Unavailable
        }
        Some("10" | "13" | "14" | "8") => ErrorKind::Unavailable,
        Some("11" | "26") => ErrorKind::Corrupt,
        _ => ErrorKind::Refused,
    }
}

impl From<redis::RedisError> for StoreError {
    fn from(error: redis::RedisError) -> Self {
        let kind = match error.code() {
            Some("WRONGTYPE") => ErrorKind::Corrupt,
            // The server does its work, but not this: a missing right, a command it does not have.
            Some("NOPERM" | "ERR" | "NOSCRIPT" | "CROSSSLOT") => ErrorKind::Refused,
            // Loading, a replica, out of memory: it does not do its work.
            Some(_) => ErrorKind::Unavailable,
            None if error.is_timeout() => ErrorKind::Timeout,
            None if error.kind() == redis::ErrorKind::UnexpectedReturnType => ErrorKind::Corrupt,
            None => ErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}
