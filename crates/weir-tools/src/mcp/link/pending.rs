//! The requests that a server has not answered yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{Outlet, Trouble};
use crate::mcp::frame::{Frame, IdKey};

/// How many requests may be open on one connection.
pub(crate) const OPEN_MAX: usize = 256;

/// What is known of an open request.
pub(crate) struct Open {
    /// Its id as the client wrote it.
    pub(crate) id: String,
    /// The token of its progress as the client wrote it.
    pub(crate) token: Option<String>,
    /// Where go what the server says about it.
    pub(crate) outlet: Outlet,
    answer: oneshot::Sender<Result<Frame, Trouble>>,
}

#[derive(Default)]
struct Requests {
    open: HashMap<IdKey, Open>,
    tokens: HashMap<IdKey, IdKey>,
}

/// The open requests of one connection.
#[derive(Clone, Default)]
pub(crate) struct Pending(Arc<Mutex<Requests>>);

/// A request that waits; dropping it makes it forgotten.
pub(crate) struct Slot {
    pending: Pending,
    id: IdKey,
    answer: oneshot::Receiver<Result<Frame, Trouble>>,
}

impl Pending {
    fn lock(&self) -> std::sync::MutexGuard<'_, Requests> {
        // A map of plain values is whole whatever happened while it was locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a request that goes to the server under `sent_id` and with `sent_token`.
    pub(crate) fn open(
        &self,
        sent_id: &IdKey,
        sent_token: Option<IdKey>,
        (id, token): (String, Option<String>),
        outlet: Outlet,
    ) -> Result<Slot, Trouble> {
        let mut requests = self.lock();
        if requests.open.contains_key(sent_id) {
            return Err(Trouble::IdTaken);
        }
        if requests.open.len() >= OPEN_MAX {
            return Err(Trouble::Busy);
        }
        let (tx, rx) = oneshot::channel();
        requests.open.insert(sent_id.clone(), Open { id, token, outlet, answer: tx });
        if let Some(token) = sent_token {
            requests.tokens.insert(token, sent_id.clone());
        }
        Ok(Slot { pending: self.clone(), id: sent_id.clone(), answer: rx })
    }

    fn take(&self, id: &IdKey) -> Option<Open> {
        let mut requests = self.lock();
        let open = requests.open.remove(id)?;
        requests.tokens.retain(|_, of| of != id);
        Some(open)
    }

    /// Gives an answer to the request that waits for it; false when none does.
    pub(crate) fn answer(&self, id: &IdKey, answer: Result<Frame, Trouble>) -> bool {
        let Some(open) = self.take(id) else { return false };
        let answer = answer.map(|frame| frame.with_id(&open.id));
        open.answer.send(answer).is_ok()
    }

    /// Forgets a request; whoever waits for it hears that it was cancelled. False when it was not open.
    pub(crate) fn forget(&self, id: &IdKey) -> bool {
        self.answer(id, Err(Trouble::Cancelled))
    }

    /// Tells all that wait.
    pub(crate) fn fail_all(&self, trouble: &Trouble) {
        let requests = std::mem::take(&mut *self.lock());
        for open in requests.open.into_values() {
            let _ = open.answer.send(Err(trouble.clone()));
        }
    }

    /// The outlet of the request with this progress token, and the token as the client wrote it.
    pub(crate) fn by_token(&self, token: &IdKey) -> Option<(Outlet, Option<String>)> {
        let requests = self.lock();
        let open = requests.tokens.get(token).and_then(|id| requests.open.get(id))?;
        Some((open.outlet.clone(), open.token.clone()))
    }

    /// The outlet of the request with this id, and the id as the client wrote it.
    pub(crate) fn by_id(&self, id: &IdKey) -> Option<(Outlet, String)> {
        self.lock().open.get(id).map(|open| (open.outlet.clone(), open.id.clone()))
    }
}

impl Slot {
    /// Waits for the answer.
    pub(crate) async fn answer(&mut self) -> Result<Frame, Trouble> {
        (&mut self.answer).await.unwrap_or(Err(Trouble::Ended))
    }

    /// Gives the place back; false when the request was answered or forgotten before.
    pub(crate) fn leave(&self) -> bool {
        self.pending.take(&self.id).is_some()
    }
}
