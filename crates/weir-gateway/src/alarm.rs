//! One timer for all that a connection waits for.
//!
//! Deadlines are many, and hardly one is reached: to set a timer for each and to take it back is work for nothing. So a
//! connection has one timer, which is not taken back. When it rings too early it is set anew, to what is waited for then.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of a connection. Its clones are the same timer, and only the connection's task may wait for it.
#[derive(Clone, Default)]
pub(crate) struct Alarm(Arc<Mutex<Option<Timer>>>);

struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// Whom it wakes, once it is set.
    waits: Option<Waker>,
}

impl Alarm {
    /// Ready from the deadline on.
    pub(crate) fn poll_until(&self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer =
            timer.get_or_insert_with(|| Timer { sleep: Box::pin(sleep_until(deadline)), waits: None });
        if timer.sleep.deadline() > deadline {
            timer.set(deadline);
        } else if timer.waits_for(cx) {
            return Poll::Pending;
        }
        loop {
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.set(deadline);
        }
    }

    /// What `work` comes to, or none when it has not in time.
    pub(crate) async fn timeout<W: Future>(
        &self,
        within: Duration,
        mut work: Pin<&mut W>,
    ) -> Option<W::Output> {
        let mut deadline = None;
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + within);
                self.poll_until(deadline, cx).map(|()| None)
            }
        })
        .await
    }
}

impl Timer {
    fn set(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.waits = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A task that has used up its turn would not be noted down, and never woken.
        let polled = pin!(unconstrained(self.sleep.as_mut())).poll(cx);
        self.waits = polled.is_pending().then(|| cx.waker().clone());
        polled
    }

    /// Whether it has not rung yet, and wakes this task when it does.
    fn waits_for(&self, cx: &Context<'_>) -> bool {
        !self.sleep.is_elapsed() && self.waits.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }
}

/// hyper's deadline for the head of a request.
struct Until {
    alarm: Alarm,
    deadline: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll_until(self.deadline, cx)
    }
}

impl hyper::rt::Sleep for Until {}

impl hyper::rt::Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Until { alarm: self.clone(), deadline: Instant::now() + duration })
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Until { alarm: self.clone(), deadline: deadline.into() })
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::coop::{has_budget_remaining, poll_proceed};
    use tokio::time::{sleep, timeout};

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(3600);

    async fn until(alarm: &Alarm, deadline: Instant) {
        poll_fn(|cx| alarm.poll_until(deadline, cx)).await;
        assert!(Instant::now() >= deadline);
    }

    #[tokio::test]
    async fn rings_at_the_deadline_that_is_waited_for_and_at_no_other() {
        let (alarm, begun) = (Alarm::default(), Instant::now());
        until(&alarm, begun + 5 * MS).await;
        until(&alarm, begun + 15 * MS).await;
        // It is set for an hour now; what is due sooner does not wait for that.
        assert!(alarm.timeout(LONG, pin!(sleep(5 * MS))).await.is_some());
        until(&alarm, begun + 25 * MS).await;
        // And for 30 ms; what is due later does not end with it.
        assert!(alarm.timeout(30 * MS, pin!(sleep(MS))).await.is_some());
        until(&alarm, begun + 70 * MS).await;
        until(&alarm, begun).await;
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_given_up() {
        let (alarm, begun) = (Alarm::default(), Instant::now());
        assert!(alarm.timeout(10 * MS, pin!(std::future::pending::<()>())).await.is_none());
        assert!(begun.elapsed() >= 10 * MS);
        let at_once = alarm.timeout(Duration::ZERO, pin!(async { 1 })).await;
        assert_eq!(at_once, Some(1), "what is there needs no time");
    }

    #[tokio::test]
    async fn rings_for_a_task_that_had_used_up_its_turn_when_it_began_to_wait() {
        let (alarm, begun) = (Alarm::default(), Instant::now());
        let mut polls = 0;
        let waits = poll_fn(|cx| {
            polls += 1;
            while polls == 1 && has_budget_remaining() {
                assert!(poll_proceed(cx).map(|step| step.made_progress()).is_ready());
            }
            alarm.poll_until(begun + 5 * MS, cx)
        });
        timeout(1000 * MS, waits).await.expect("it rings");
        assert!(begun.elapsed() < 1000 * MS, "it rang by itself, and not with another timer");
    }
}
