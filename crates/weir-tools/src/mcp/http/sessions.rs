//! The sessions of all clients: bounded, bound to who began them, ended when nobody uses them any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::mcp::hub::Hub;
use crate::mcp::session::Session;

/// How many sessions are open at a time; each may be a program.
const SESSIONS_MAX: usize = 256;

/// How many of them one user may have; then the one that was unused for longest ends.
const SESSIONS_OF_USER_MAX: usize = 32;

/// How long a session that nobody uses is kept.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);

/// How often such sessions are looked for, while there are any.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// One open session.
pub(crate) struct Open {
    pub(crate) id: String,
    pub(crate) session: Arc<Session>,
    pub(crate) hub: Hub,
    used: Mutex<Instant>,
    /// How many of its requests are under way.
    busy: Arc<AtomicUsize>,
}

/// A use of a session; it is not idle meanwhile.
pub(crate) struct Use(Arc<Open>);

impl Open {
    pub(crate) fn new(id: String, session: Arc<Session>, hub: Hub) -> Self {
        Self { id, session, hub, used: Mutex::new(Instant::now()), busy: Arc::default() }
    }

    /// Uses it.
    pub(crate) fn use_it(self: &Arc<Self>) -> Use {
        self.busy.fetch_add(1, Ordering::AcqRel);
        self.touch();
        Use(Arc::clone(self))
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Since when nobody uses it; `None` while somebody does.
    fn idle_since(&self) -> Option<Instant> {
        let busy = self.busy.load(Ordering::Acquire) > 0 || self.hub.is_listened_to();
        (!busy).then(|| *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An id that cannot be guessed, and a name for rules and records from which it cannot be found.
pub(crate) fn new_id() -> (String, String) {
    let mut random = [0_u8; 16];
    rand::rng().fill_bytes(&mut random);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let id = hex(&random);
    let digest = Sha256::digest(id.as_bytes());
    (id, format!("mcp-{}", hex(digest.get(..8).unwrap_or_default())))
}

/// A place for a session, which is counted from then on.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Sessions by their ids.
type Table = HashMap<String, Entry>;

/// A session, whose it is, and its place among all.
struct Entry {
    open: Arc<Open>,
    owner: String,
    _place: Place,
}

/// All of them.
#[derive(Clone, Default)]
pub(crate) struct Sessions {
    open: Arc<Mutex<Table>>,
    count: Arc<AtomicUsize>,
}

impl Sessions {
    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session with this id, if it is this user's.
    pub(crate) fn find(&self, id: &str, user: &str) -> Option<Arc<Open>> {
        self.lock().get(id).filter(|entry| entry.owner == user).map(|entry| Arc::clone(&entry.open))
    }

    /// Makes room for one more session of a user; `None` when there is none.
    pub(crate) async fn room(&self, user: &str) -> Option<Place> {
        let oldest = {
            let open = self.lock();
            let own = || open.values().filter(|entry| entry.owner == user);
            let idle = own().filter_map(|entry| Some((entry.open.idle_since()?, Arc::clone(&entry.open))));
            let oldest = idle.min_by_key(|(since, _)| *since).map(|(_, open)| open);
            if own().count() < SESSIONS_OF_USER_MAX { None } else { Some(oldest?) }
        };
        if let Some(oldest) = oldest {
            self.close(&oldest).await;
        }
        let place = Place(Arc::clone(&self.count));
        (self.count.fetch_add(1, Ordering::AcqRel) < SESSIONS_MAX).then_some(place)
    }

    /// Adds a session.
    pub(crate) fn add(&self, open: Open, user: String, place: Place) {
        let mut all = self.lock();
        let first = all.is_empty();
        all.insert(open.id.clone(), Entry { open: Arc::new(open), owner: user, _place: place });
        if first {
            tokio::spawn(sweep(self.clone()));
        }
    }

    /// Ends a session.
    pub(crate) async fn close(&self, open: &Arc<Open>) {
        // The place is free only when the program is gone.
        let removed = self.lock().remove(&open.id);
        open.session.close().await;
        drop(removed);
    }

    /// Ends the streams for what belongs to no request.
    pub(crate) fn end_streams(&self) {
        for entry in self.lock().values() {
            entry.open.hub.end();
        }
    }

    /// Ends all.
    pub(crate) async fn close_all(&self) {
        let all: Vec<_> = self.lock().drain().map(|(_, open)| open).collect();
        let closing = all.iter().map(|entry| entry.open.session.close());
        futures_util::future::join_all(closing).await;
    }

    fn idle(&self) -> Vec<Arc<Open>> {
        let over = |open: &Arc<Open>| open.idle_since().is_some_and(|since| since.elapsed() >= IDLE_MAX);
        self.lock().values().filter(|entry| over(&entry.open)).map(|entry| Arc::clone(&entry.open)).collect()
    }
}

/// Ends what is idle, until nothing is left.
async fn sweep(sessions: Sessions) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        for open in sessions.idle() {
            sessions.close(&open).await;
        }
        if sessions.lock().is_empty() {
            return;
        }
    }
}
