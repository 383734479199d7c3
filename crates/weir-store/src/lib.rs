//! Where weir keeps things: SQLite or PostgreSQL ([`Database`]), in process or Redis ([`Cache`]), the background log
//! of records ([`log::Recorder`]) and the system's clock ([`clock::SystemClock`]).
//!
//! A store that is slow or gone never fails a request that it does not concern: every call has a deadline and a
//! breaker, and returns a [`StoreError`] whose kind says what the caller may do. `docs/stores.md` has the keys,
//! tables, deadlines, caps and what survives what.

mod breaker;
pub mod cache;
pub mod clock;
pub mod database;
pub mod directory;
mod error;
pub mod keys;
pub mod log;
mod state;
pub mod tally;

pub use cache::{Cache, CacheLocation, CacheOptions, Exceeded, LimitCharge, LimitOutcome, StatsEvent};
pub use database::{Database, DatabaseLocation, DatabaseOptions};
pub use directory::{ApiKey, ConfiguredKey, Directory, DirectoryOptions};
pub use error::{ErrorKind, Result, StoreError};
pub use log::{Recorder, RecorderOptions};
pub use state::{Dependency, DependencyState};
pub use tally::{Tally, TallyKey, TallyKind, TallyQuery};
