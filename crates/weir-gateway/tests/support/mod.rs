//! What the tests of the gateway share: a world around it, a node of it, requests to it.

mod ask;
mod clock;
mod config;
mod node;
mod watcher;

use weir_testkit::deadline::within;
use weir_testkit::{LogCapture, ScriptedClassifier, ScriptedUpstream};

pub use ask::{Api, Ask, CANARY, PROMPT};
pub use clock::TestClock;
pub use config::{ConfigText, OTHER_KEY, PLATFORM_KEY, USER_KEY};
pub use node::{Node, Options};
pub use watcher::Watcher;

/// What lies around a gateway: its provider, its classifier, its time and its log.
pub struct World {
    pub logs: LogCapture,
    pub clock: TestClock,
    pub upstream: ScriptedUpstream,
    pub classifier: ScriptedClassifier,
}

impl World {
    pub async fn new() -> Self {
        let logs = LogCapture::thread();
        let clock = TestClock::at_ten();
        let upstream = ScriptedUpstream::start().await;
        let classifier = ScriptedClassifier::start(&clock.manual).await;
        Self { logs, clock, upstream, classifier }
    }

    /// A configuration with the provider and, as classifier, the scripted one.
    pub fn config(&self) -> ConfigText {
        ConfigText::new(&self.upstream.base_url())
            .set("abuse", format!("{{service_url: \"{}\"}}", self.classifier.url()))
    }

    /// The same without a classifier and without rules: whatever is sent passes.
    pub fn open_config(&self) -> ConfigText {
        self.config().set("abuse", "{mode: \"off\"}")
    }

    /// Fails if any line of the log holds a prompt or a key of these tests.
    pub fn logs_leak_nothing(&self) {
        let text = self.logs.text();
        let leak = text.lines().find(|line| line.contains(CANARY));
        assert!(leak.is_none(), "a secret in the log: {leak:?}");
    }
}

/// Asks again and again, without waiting for time to pass, until there is an answer.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Gives everything that is ready its turn, so that what did not happen by then waits for something else.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
