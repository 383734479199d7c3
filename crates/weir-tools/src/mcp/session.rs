//! One client's session with one server: what passes untouched, what is filtered, and what goes through the gate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::HeaderMap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::Caller;
use crate::gate::Gate;
use crate::mcp::answer;
use crate::mcp::client::Client;
use crate::mcp::frame::{Frame, IdKey, Kind};
use crate::mcp::link::{Answer, Link, Outgoing, Outlet, Trouble, Waiting};
use crate::mcp::listing::{Page, ServerTools};
use crate::mcp::members::Members;
use crate::mcp::timed::{Side, Timed};

mod ask;
mod call;
mod list;

pub(crate) use ask::Asks;
pub(crate) use list::Listings;

/// How long a server may take to answer what is no call; a call has its own limit, `tools.timeout`.
const REQUEST_DEADLINE: Duration = Duration::from_secs(300);

/// Requests that are answered when something happens, however long that takes.
const PATIENT: [&str; 2] = ["subscriptions/listen", "tasks/result"];

/// An answer that is being made. `None`: the client has taken its request back.
pub(crate) type Answering = BoxFuture<'static, Option<Answer>>;

/// What sessions with one server have in common.
pub(crate) struct Shared {
    pub(crate) gate: Gate,
    pub(crate) server: String,
    pub(crate) tools: ServerTools,
}

impl Shared {
    pub(crate) fn new(gate: Gate, server: &str) -> Self {
        Self { tools: ServerTools::new(server, gate.clone()), server: server.to_owned(), gate }
    }
}

/// One client's session with one server.
pub(crate) struct Session {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    link: Link,
    client: Mutex<Client>,
    open: Mutex<HashMap<IdKey, CancellationToken>>,
    asks: Asks,
    listing: Arc<Listings>,
}

/// A message of the client, and what belongs to it.
pub(crate) struct Incoming {
    pub(crate) frame: Frame,
    /// Where go what the server says about it.
    pub(crate) outlet: Outlet,
    /// The headers of the protocol that came with it.
    pub(crate) headers: HeaderMap,
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        caller: Arc<Caller>,
        link: Link,
        listing: Arc<Listings>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            caller,
            link,
            client: Mutex::default(),
            open: Mutex::default(),
            asks: Asks::default(),
            listing,
        })
    }

    /// Takes a message. A request gives what makes its answer; it has been sent on when this returns, if it is one that
    /// passes untouched, so that the order of such requests is kept.
    pub(crate) async fn take(self: &Arc<Self>, incoming: Incoming) -> Option<Answering> {
        match incoming.frame.kind() {
            Kind::Request { .. } => Some(self.request(incoming).await),
            Kind::Notification { method } => {
                if method == "notifications/cancelled" {
                    self.taken_back(&incoming).await;
                } else {
                    self.pass_on(&incoming).await;
                }
                None
            }
            Kind::Response { .. } => {
                if !self.asks.answered(&incoming.frame) {
                    self.pass_on(&incoming).await;
                }
                None
            }
        }
    }

    /// Takes note of what the server says to the client.
    pub(crate) fn hears(&self, frame: &Frame) {
        self.listing.hear(frame);
    }

    /// Ends it: what is under way is taken back, and the server is let go.
    pub(crate) async fn close(&self) {
        for (_, taken_back) in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            taken_back.cancel();
        }
        self.link.close().await;
    }

    async fn pass_on(&self, incoming: &Incoming) {
        if let Err(error) = self.link.notify(&incoming.frame, &incoming.headers).await {
            tracing::debug!(server = %self.shared.server, %error, "a message could not be passed on");
        }
    }

    async fn taken_back(&self, incoming: &Incoming) {
        let id = incoming.frame.params().and_then(|params| Members::read(params).ok()?.get("requestId"));
        let Some(id) = id.map(IdKey::of) else { return };
        self.pass_on(incoming).await;
        self.link.forget(&id).await;
        let token = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(token) = token {
            token.cancel();
        }
    }

    async fn request(self: &Arc<Self>, incoming: Incoming) -> Answering {
        let id = incoming.frame.id().unwrap_or_default().to_owned();
        let timed = Timed::begin(Side::Server, &incoming.frame);
        let Some(open) = OpenRequest::new(self, IdKey::of(&id)) else {
            timed.ended(Err(&Trouble::IdTaken));
            let refused = answer::error(&id, -32600, &Trouble::IdTaken.to_string());
            return futures_util::future::ready(Some(refused.into())).boxed();
        };
        let answering = match incoming.frame.method() {
            Some("tools/call") => Arc::clone(self).call(incoming).boxed(),
            Some("tools/list") => Arc::clone(self).list(incoming).await,
            _ => self.pass(incoming).await,
        };
        async move {
            tokio::select! {
                biased;
                () = open.taken_back.cancelled() => None,
                answer = answering => {
                    timed.ended(Ok(&answer));
                    Some(answer)
                }
            }
        }
        .boxed()
    }

    /// What passes untouched.
    async fn pass(self: &Arc<Self>, incoming: Incoming) -> BoxFuture<'static, Answer> {
        let frame = incoming.frame.clone();
        let id = frame.id().unwrap_or_default().to_owned();
        if frame.method() == Some("initialize") {
            self.client().introduces_itself(&frame);
        }
        let waiting = self.begin(incoming).await;
        let session = Arc::clone(self);
        async move {
            let patient = frame.method().is_some_and(|method| PATIENT.contains(&method));
            let answer = match waiting {
                Ok(waiting) if patient => waiting.await,
                Ok(waiting) => {
                    tokio::time::timeout(REQUEST_DEADLINE, waiting).await.unwrap_or(Err(Trouble::Stuck))
                }
                Err(trouble) => Err(trouble),
            };
            match answer {
                Ok(answer) => {
                    if frame.method() == Some("initialize") {
                        session.client().is_answered(&answer.frame);
                    }
                    answer
                }
                Err(trouble) => answer::trouble(&id, &session.shared.server, &trouble).into(),
            }
        }
        .boxed()
    }

    async fn begin(&self, incoming: Incoming) -> Result<Waiting, Trouble> {
        let Incoming { frame, outlet, headers } = incoming;
        self.link.begin(Outgoing { frame, outlet, headers }).await
    }

    fn client(&self) -> std::sync::MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is not answered yet; its id may not be used again meanwhile.
struct OpenRequest {
    session: Arc<Session>,
    id: IdKey,
    taken_back: CancellationToken,
}

impl OpenRequest {
    fn new(session: &Arc<Session>, id: IdKey) -> Option<Self> {
        let mut open = session.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains_key(&id) {
            return None;
        }
        let taken_back = CancellationToken::new();
        open.insert(id.clone(), taken_back.clone());
        Some(Self { session: Arc::clone(session), id, taken_back })
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.session.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
