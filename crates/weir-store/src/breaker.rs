//! The breaker in front of a dependency: after a few failures in a row nobody waits for it any more.
//!
//! While it is open a call costs an atomic read. Closing it is the business of the owner's background task, which
//! probes the dependency; no request is ever used as a probe.

use std::future::Future;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use weir_core::Timestamp;
use weir_core::clock::Clock as _;

use crate::clock::SystemClock;
use crate::error::{ErrorKind, Result, StoreError};
use crate::state::{Dependency, DependencyState};

/// Failures in a row that open the breaker.
const FAILURES_TO_OPEN: u32 = 5;

const UP: u8 = 0;
const DEGRADED: u8 = 1;
const DOWN: u8 = 2;

/// The breaker of one dependency.
pub(crate) struct Breaker {
    name: &'static str,
    failures: AtomicU32,
    level: AtomicU8,
    last: Mutex<Last>,
    /// Told when the breaker opens and when a connection was lost: the background task acts on it.
    pub(crate) trouble: Notify,
}

struct Last {
    since: Timestamp,
    error: Option<String>,
}

impl Breaker {
    /// A closed breaker; `name` is the dependency's in the log and in `weir_store_state`.
    pub(crate) fn new(name: &'static str) -> Self {
        let breaker = Self {
            name,
            failures: AtomicU32::new(0),
            level: AtomicU8::new(UP),
            last: Mutex::new(Last { since: SystemClock.now(), error: None }),
            trouble: Notify::new(),
        };
        breaker.publish(UP);
        breaker
    }

    /// Runs one call: at once `Unavailable` while open, `Timeout` after `deadline`, and every outage is counted,
    /// also those that the caller will swallow.
    pub(crate) async fn run<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.check()?;
        let result = self.within(deadline, call).await;
        self.note(&result);
        result
    }

    /// Runs one call of the background task, whatever the breaker says, and counts nothing.
    pub(crate) async fn within<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(deadline, call).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("the {} did not answer within {} ms", self.name, deadline.as_millis());
                Err(StoreError::new(ErrorKind::Timeout, message))
            }
        }
    }

    /// Whether calls are let through.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_open() {
            let message = format!("the {} is down and is being probed", self.name);
            return Err(StoreError::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.level.load(Ordering::Acquire) == DOWN
    }

    fn note<T>(&self, result: &Result<T>) {
        match result {
            Err(error) if error.kind().is_outage() => self.failed(error),
            Ok(_) | Err(_) => {
                self.failures.store(0, Ordering::Release);
                if self.level.load(Ordering::Acquire) == DEGRADED {
                    self.change(DEGRADED, UP, None);
                }
            }
        }
    }

    fn failed(&self, error: &StoreError) {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        if failures >= FAILURES_TO_OPEN {
            self.open(error);
        } else if self.level.load(Ordering::Acquire) == UP {
            self.change(UP, DEGRADED, Some(error));
        }
        if error.kind() == ErrorKind::Unavailable {
            self.trouble.notify_one();
        }
    }

    /// Opens it, as after too many failures.
    pub(crate) fn open(&self, error: &StoreError) {
        let from = self.level.load(Ordering::Acquire);
        if from != DOWN && self.change(from, DOWN, Some(error)) {
            tracing::warn!(dependency = self.name, error = %error, "store is down: going on without it");
            self.trouble.notify_one();
        }
    }

    /// Closes it: a probe has succeeded.
    pub(crate) fn close(&self) {
        self.failures.store(0, Ordering::Release);
        let from = self.level.load(Ordering::Acquire);
        if from != UP && self.change(from, UP, None) && from == DOWN {
            tracing::info!(dependency = self.name, "store is back");
        }
    }

    /// Makes the change if nobody else has made one; says whether it did.
    fn change(&self, from: u8, to: u8, error: Option<&StoreError>) -> bool {
        if self.level.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.since = SystemClock.now();
        last.error = error.map(ToString::to_string);
        drop(last);
        self.publish(to);
        true
    }

    /// 1 up, 0.5 degraded, 0 down.
    fn publish(&self, level: u8) {
        let value = match level {
            UP => 1.0,
            DEGRADED => 0.5,
            _ => 0.0,
        };
        metrics::gauge!("weir_store_state", "dependency" => self.name).set(value);
    }

    /// For `/readyz`.
    pub(crate) fn dependency(&self) -> Dependency {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match self.level.load(Ordering::Acquire) {
            UP => DependencyState::Up,
            DEGRADED => DependencyState::Degraded,
            _ => DependencyState::Down,
        };
        Dependency { state, since: last.since, error: last.error.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fail(breaker: &Breaker, kind: ErrorKind) -> ErrorKind {
        let call = async { Err::<(), _>(StoreError::new(kind, "no")) };
        breaker.run(Duration::from_secs(1), call).await.unwrap_err().kind()
    }

    #[tokio::test]
    async fn outages_in_a_row_open_it_and_only_a_probe_closes_it() {
        let breaker = Breaker::new("test");
        assert_eq!(breaker.dependency().state, DependencyState::Up);
        for _ in 0..FAILURES_TO_OPEN - 1 {
            fail(&breaker, ErrorKind::Timeout).await;
        }
        assert_eq!(breaker.dependency().state, DependencyState::Degraded);
        breaker.run(Duration::from_secs(1), async { Ok(()) }).await.unwrap();
        assert_eq!(breaker.dependency().state, DependencyState::Up, "a success starts the count again");
        for _ in 0..FAILURES_TO_OPEN {
            fail(&breaker, ErrorKind::Unavailable).await;
        }
        let down = breaker.dependency();
        assert_eq!(down.state, DependencyState::Down);
        assert!(down.error.is_some());
        let untouched = async { panic!("an open breaker lets nothing through") };
        let error = breaker.run::<()>(Duration::from_secs(1), untouched).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        breaker.close();
        assert_eq!(breaker.dependency().state, DependencyState::Up);
        assert_eq!(breaker.dependency().error, None);
    }

    #[tokio::test]
    async fn an_answer_that_is_no_outage_does_not_count() {
        let breaker = Breaker::new("test");
        for _ in 0..3 * FAILURES_TO_OPEN {
            assert_eq!(fail(&breaker, ErrorKind::Conflict).await, ErrorKind::Conflict);
        }
        assert_eq!(breaker.dependency().state, DependencyState::Up);
    }

    #[tokio::test]
    async fn the_deadline_is_a_failure() {
        let breaker = Breaker::new("test");
        let never = std::future::pending::<Result<()>>();
        let error = breaker.run(Duration::from_millis(1), never).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(breaker.dependency().state, DependencyState::Degraded);
    }
}
