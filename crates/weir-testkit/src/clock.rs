//! A clock that only a test moves.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use weir_core::clock::{Clock, Sleep};

use crate::deadline::until;

/// A clock that stands still until [`advance`](Self::advance) moves it. Clones are the same clock.
///
/// A sleep is registered when [`Clock::sleep`] is called, not when it is first polled, and is forgotten when it
/// is dropped, so that [`sleepers`](Self::sleepers) counts the sleeps that are really being waited for.
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    now: Timestamp,
    registered: u64,
    /// By time due, then by order of registration.
    sleepers: BTreeMap<Key, Sleeper>,
}

type Key = (Timestamp, u64);

struct Sleeper {
    duration: Duration,
    waker: Option<Waker>,
}

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        let state = State { now: at, registered: 0, sleepers: BTreeMap::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// A clock that shows 10:00 on 20 November 2026, UTC.
    #[must_use]
    pub fn at_ten() -> Self {
        Self::new("2026-11-20T10:00:00Z".parse().expect("the text is a timestamp"))
    }

    /// The time it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.state().now
    }

    /// Moves the clock on and wakes the sleepers that are due, in the order in which they are due.
    ///
    /// Sleepers that are registered as a consequence start at the time reached here: to go through a chain of
    /// sleeps, wait for each and advance again.
    pub fn advance(&self, duration: Duration) {
        let due = {
            let mut state = self.state();
            let reached = state.now + signed(duration);
            state.now = reached;
            let later = state.sleepers.split_off(&(reached, u64::MAX));
            std::mem::replace(&mut state.sleepers, later)
        };
        for waker in due.into_values().filter_map(|sleeper| sleeper.waker) {
            waker.wake();
        }
        self.shared.changed.notify_waiters();
    }

    /// How many sleeps are registered and not yet due.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.state().sleepers.len()
    }

    /// When the next sleeper is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.state().sleepers.keys().next().map(|(at, _)| *at)
    }

    /// The durations of the registered sleeps, in the order in which they are due.
    #[must_use]
    pub fn sleeping(&self) -> Vec<Duration> {
        self.state().sleepers.values().map(|sleeper| sleeper.duration).collect()
    }

    /// Waits until at least `n` sleeps are registered.
    pub async fn wait_for_sleepers(&self, n: usize) {
        let what = format!("{n} sleepers on the clock");
        until(&self.shared.changed, &what, || (self.sleepers() >= n).then_some(())).await;
    }

    /// Waits until at most `n` sleeps are registered, as after a cancellation.
    pub async fn wait_for_at_most(&self, n: usize) {
        let what = format!("at most {n} sleepers on the clock");
        until(&self.shared.changed, &what, || (self.sleepers() <= n).then_some(())).await;
    }

    /// Waits until a sleep of exactly `duration` is registered.
    pub async fn wait_for_sleep_of(&self, duration: Duration) {
        let what = format!("a sleep of {duration:?}");
        until(&self.shared.changed, &what, || self.sleeping().contains(&duration).then_some(())).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no panic while the lock is held")
    }

    fn register(&self, duration: Duration) -> ManualSleep {
        let key = {
            let mut state = self.state();
            state.registered += 1;
            let key = (state.now + signed(duration), state.registered);
            if !duration.is_zero() {
                state.sleepers.insert(key, Sleeper { duration, waker: None });
            }
            key
        };
        self.shared.changed.notify_waiters();
        ManualSleep { clock: self.clone(), key }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).expect("tests sleep for less than an age")
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(self.register(duration))
    }
}

struct ManualSleep {
    clock: ManualClock,
    key: Key,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.clock.state().sleepers.get_mut(&self.key) {
            Some(sleeper) => {
                sleeper.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        let cancelled = self.clock.state().sleepers.remove(&self.key).is_some();
        if cancelled {
            self.clock.shared.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
