//! The gateway's clock: moved by hand, and it remembers every sleep that the gateway asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use weir_core::Timestamp;
use weir_core::clock::{Clock, Sleep};
use weir_testkit::ManualClock;
use weir_testkit::deadline::within;

/// Clones are the same clock. The scripted classifier sleeps on `manual`, so its latencies are not among `slept`.
#[derive(Clone)]
pub struct TestClock {
    pub manual: ManualClock,
    sleeps: Arc<Sleeps>,
}

#[derive(Default)]
struct Sleeps {
    list: Mutex<Vec<Duration>>,
    changed: Notify,
}

impl TestClock {
    pub fn at_ten() -> Self {
        Self { manual: ManualClock::at_ten(), sleeps: Arc::default() }
    }

    pub fn advance_ms(&self, ms: u64) {
        self.manual.advance(Duration::from_millis(ms));
    }

    /// The sleeps that the gateway asked for so far, in order.
    pub fn slept(&self) -> Vec<Duration> {
        self.sleeps.list.lock().unwrap().clone()
    }

    /// Waits for the gateway's sleep number `index`, and says how long it is.
    pub async fn nth_sleep(&self, index: usize) -> Duration {
        within(&format!("sleep number {index} of the gateway"), async {
            loop {
                let changed = self.sleeps.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(duration) = self.slept().get(index) {
                    return *duration;
                }
                changed.await;
            }
        })
        .await
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.manual.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let sleep = self.manual.sleep(duration);
        self.sleeps.list.lock().unwrap().push(duration);
        self.sleeps.changed.notify_waiters();
        sleep
    }
}
