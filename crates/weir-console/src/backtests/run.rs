//! One backtest from its first record to its last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use weir_core::Boundary;
use weir_rules::RuleSet;
use weir_rules::replay::{Options, Rehearsal, Report};
use weir_store::database::{Portion, ReplayRange};
use weir_store::{Database, StoreError};

/// What is to be replayed, and through which rules.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The candidate.
    pub rules: Arc<RuleSet>,
    /// From this time on.
    pub since: Timestamp,
    /// Up to this time; none: up to now.
    pub until: Option<Timestamp>,
    /// This boundary alone.
    pub boundary: Option<Boundary>,
}

/// How far a backtest is, and whether it is to stop. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    total: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// How many records there are, about; zero while that is not known.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// How many of them were read.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Lets the backtest end after the portion that it is at.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }
}

/// How much earlier than asked records are read at most, to find the windows of limits that were open.
const WARM_UP_MAX: Duration = Duration::from_secs(24 * 3600);

/// Replays the recorded decisions of a time. One portion is decided on a thread for such work while the next is read; a
/// stopped backtest reports what it has seen.
///
/// # Errors
/// The store fails, or holds a record that cannot be read.
pub async fn run(database: &Database, asked: Asked, progress: &Progress) -> Result<Report, StoreError> {
    let options = Options { boundary: asked.boundary, counted_from: Some(asked.since), ..Options::default() };
    let mut rehearsal = Box::new(Rehearsal::new(asked.rules, options));
    let warm_up = Duration::from_secs(rehearsal.warm_up_s()).min(WARM_UP_MAX);
    let since = asked.since.checked_sub(warm_up).unwrap_or(asked.since);
    let range = ReplayRange { since, until: asked.until, boundary: asked.boundary };
    let mut replay = database.replay(&range).await?;
    progress.0.total.store(replay.total(), Ordering::Relaxed);
    let mut next = replay.next().await?;
    while let Some(portion) = next {
        if progress.is_stopped() {
            break;
        }
        let records = portion.records();
        let (seen, following) = tokio::join!(see(rehearsal, portion), replay.next());
        rehearsal = seen?;
        progress.0.done.fetch_add(records, Ordering::Relaxed);
        next = following?;
    }
    Ok(rehearsal.report(!progress.is_stopped()))
}

async fn see(mut rehearsal: Box<Rehearsal>, portion: Portion) -> Result<Box<Rehearsal>, StoreError> {
    let work = tokio::task::spawn_blocking(move || {
        let seen = portion.for_each(|past| rehearsal.see(past));
        (rehearsal, seen)
    });
    match work.await {
        Ok((rehearsal, seen)) => seen.map(|()| rehearsal),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
