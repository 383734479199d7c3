//! Questions of weir's own to a client, and its answers.

use std::sync::atomic::AtomicU64;

use tokio::sync::oneshot;

use super::*;

/// Questions that wait for an answer.
#[derive(Default)]
pub(crate) struct Asks {
    open: Mutex<HashMap<IdKey, oneshot::Sender<Frame>>>,
    count: AtomicU64,
}

impl Asks {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IdKey, oneshot::Sender<Frame>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an answer to the question that it belongs to; false when it answers the server's question and not weir's.
    pub(crate) fn answered(&self, frame: &Frame) -> bool {
        let asked = frame.id_key().and_then(|id| self.lock().remove(&id));
        match asked {
            Some(asked) => {
                let _ = asked.send(frame.clone());
                true
            }
            None => false,
        }
    }
}
