//! Whoever embeds weir and wants to hear of failures.

use std::sync::{Arc, Mutex};

use weir_core::failure::{AllExhausted, FailureEvent, FailureObserver, Observers};

/// Keeps what the gateway told. Clones are the same.
#[derive(Clone, Default)]
pub struct Watcher(Arc<Told>);

#[derive(Default)]
struct Told {
    failed: Mutex<Vec<FailureEvent>>,
    exhausted: Mutex<Vec<AllExhausted>>,
}

impl FailureObserver for Watcher {
    fn failed(&self, event: &FailureEvent) {
        self.0.failed.lock().unwrap().push(event.clone());
    }

    fn all_exhausted(&self, event: &AllExhausted) {
        self.0.exhausted.lock().unwrap().push(event.clone());
    }
}

impl Watcher {
    pub fn observers(&self) -> Observers {
        Observers::new(vec![Arc::new(self.clone())])
    }

    /// The failed attempts since the last time.
    pub fn take_failed(&self) -> Vec<FailureEvent> {
        std::mem::take(&mut self.0.failed.lock().unwrap())
    }

    /// The requests that ended with a failure since the last time.
    pub fn take_exhausted(&self) -> Vec<AllExhausted> {
        std::mem::take(&mut self.0.exhausted.lock().unwrap())
    }
}
