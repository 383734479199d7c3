//! How long a test waits for an event before it fails.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Notify;

/// The longest that any wait of this crate takes before the test fails. It is there against hanging alone, and
/// generous, because machines that build and test at once are slow; a test that passes never takes it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for `future`, and fails the test when it does not complete within [`PATIENCE`].
///
/// # Panics
/// The future did not complete in time; the message names `what`.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// Waits until `ready` gives a value, asking it again after each notification. The state that `ready` looks at
/// must be changed before `changed` is notified.
pub(crate) async fn until<T>(changed: &Notify, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            let notified = changed.notified();
            tokio::pin!(notified);
            // Registered before looking, so that a change in between is not missed.
            notified.as_mut().enable();
            if let Some(value) = ready() {
                return value;
            }
            notified.await;
        }
    })
    .await
}
