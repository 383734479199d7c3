//! Streamable HTTP at `/mcp/{server}`: the configured servers, for callers with a key.
//!
//! Who has a session has a server's program, or a server's session, of its own. Requests of the protocol without
//! sessions share one program for each server.

mod answer;
mod body;
mod request;
mod sessions;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ::http::{Method, Request, Response, StatusCode};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body::Body;
use serde_json::Value;
use tokio::sync::{OnceCell, mpsc};
use weir_config::config::{McpServer, McpTransport};

use crate::call::Caller;
use crate::gate::Gate;
use crate::mcp::client::{is_without_sessions, version_in};
use crate::mcp::frame::{Frame, Kind};
use crate::mcp::headers;
use crate::mcp::hub::Hub;
use crate::mcp::link::{
    ChildCommand, ChildLink, HttpClient, HttpLink, Link, OUTLET_FRAMES_MAX, Outlet, Sharing, http_client,
};
use crate::mcp::session::{Incoming, Listings, Session, Shared};

use answer::Refused;
use sessions::{Open, Sessions};

pub use body::McpBody;

/// The configured tool servers, served over HTTP. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Mcp {
    inner: Arc<Inner>,
}

struct Inner {
    gate: Gate,
    folder: PathBuf,
    servers: ArcSwap<BTreeMap<String, Arc<Server>>>,
    sessions: Sessions,
    client: OnceCell<HttpClient>,
}

/// One configured server.
struct Server {
    transport: McpTransport,
    shared: Arc<Shared>,
    listings: Arc<Listings>,
    /// The program that requests without sessions share.
    common: Mutex<Option<ChildLink>>,
}

impl Mcp {
    /// Serves these servers. Commands run in `folder`.
    #[must_use]
    pub fn new(gate: Gate, servers: &[McpServer], folder: PathBuf) -> Self {
        let inner = Inner {
            gate,
            folder,
            servers: ArcSwap::default(),
            sessions: Sessions::default(),
            client: OnceCell::new(),
        };
        let mcp = Self { inner: Arc::new(inner) };
        mcp.reload(servers);
        mcp
    }

    /// Serves other servers from now on. One that stays as it is keeps its program; open sessions go on.
    pub fn reload(&self, servers: &[McpServer]) {
        let before = self.inner.servers.load();
        let kept = |wanted: &McpServer| {
            before.get(&wanted.name).filter(|server| server.transport == wanted.transport).cloned()
        };
        let made = |wanted: &McpServer| Arc::new(Server::new(wanted, self.inner.gate.clone()));
        let servers =
            servers.iter().map(|wanted| (wanted.name.clone(), kept(wanted).unwrap_or_else(|| made(wanted))));
        self.inner.servers.store(Arc::new(servers.collect()));
    }

    /// Answers one request, which `caller` has made with a valid key. Its path is `/mcp/{server}`.
    pub async fn handle<B>(&self, request: Request<B>, caller: Caller) -> Response<McpBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.answered(request, caller).await.unwrap_or_else(|refused| refused.response())
    }

    /// Ends the streams that nobody's request waits for, which would hold up the end of the data plane.
    pub fn end_streams(&self) {
        self.inner.sessions.end_streams();
    }

    /// Ends all sessions and their servers.
    pub async fn shutdown(&self) {
        self.inner.sessions.close_all().await;
        for server in self.inner.servers.load().values() {
            let common = server.common.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(common) = common {
                common.close().await;
            }
        }
    }

    async fn answered<B>(&self, request: Request<B>, caller: Caller) -> Result<Response<McpBody>, Refused>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let server = self.server(head.uri.path())?;
        request::check_origin(&head.headers)?;
        match head.method {
            Method::POST => {
                request::check_post(&head.headers)?;
                let frame = request::read(body).await?;
                self.post(&server, &head.headers, frame, caller).await
            }
            Method::GET => self.listen(&head.headers, &caller),
            Method::DELETE => {
                let open = self.session(&head.headers, &caller)?;
                self.inner.sessions.close(&open).await;
                Ok(answer::empty(StatusCode::OK))
            }
            _ => Err(Refused::method()),
        }
    }

    fn server(&self, path: &str) -> Result<Arc<Server>, Refused> {
        let name = path.strip_prefix("/mcp/").unwrap_or_default();
        let name = name.strip_suffix('/').unwrap_or(name);
        self.inner.servers.load().get(name).cloned().ok_or_else(|| Refused::unknown_server(name))
    }

    fn session(&self, headers: &::http::HeaderMap, caller: &Caller) -> Result<Arc<Open>, Refused> {
        let id = headers::one(headers, &headers::SESSION).map_err(Refused::header)?;
        let id = id.ok_or_else(Refused::no_session)?;
        self.inner.sessions.find(id, &caller.identity.key).ok_or_else(Refused::unknown_session)
    }

    /// Opens the stream for what belongs to no request.
    fn listen(&self, headers: &::http::HeaderMap, caller: &Caller) -> Result<Response<McpBody>, Refused> {
        if !request::accepts(headers, "text/event-stream") {
            return Err(Refused::not_acceptable());
        }
        if !headers.contains_key(headers::SESSION) {
            return Err(Refused::method());
        }
        let open = self.session(headers, caller)?;
        if open.hub.is_listened_to() {
            return Err(Refused::listened_to());
        }
        Ok(answer::events(McpBody::listening(open.hub.listen()), Some(&open.id)))
    }

    async fn post(
        &self,
        server: &Arc<Server>,
        headers: &::http::HeaderMap,
        frame: Frame,
        caller: Caller,
    ) -> Result<Response<McpBody>, Refused> {
        let params: Value =
            frame.params().and_then(|params| serde_json::from_str(params).ok()).unwrap_or_default();
        request::check_version(headers, &frame)?;
        headers::agree(headers, &frame, &params).map_err(|said| Refused::mismatch(&frame, &said))?;
        server.parameters_agree(headers, &frame, &params).await?;
        let passed = headers::passed_on(headers);
        let stateless =
            version_in(params.get("_meta").unwrap_or(&Value::Null)).is_some_and(is_without_sessions);
        if stateless && !headers.contains_key(headers::SESSION) {
            return self.stateless(server, passed, frame, caller).await;
        }
        if frame.method() == Some("initialize") && !headers.contains_key(headers::SESSION) {
            return self.initialize(server, passed, frame, caller).await;
        }
        let open = self.session(headers, &caller)?;
        let work = open.use_it();
        let (outlet, frames) = mpsc::channel(OUTLET_FRAMES_MAX);
        let listening = open.hub.request(&outlet);
        let incoming = Incoming { frame, outlet, headers: passed };
        let Some(answering) = open.session.take(incoming).await else {
            return Ok(answer::empty(StatusCode::ACCEPTED));
        };
        let answering = async move {
            let answer = answering.await;
            drop(work);
            answer
        };
        Ok(answer::streamed(answering, frames, listening, None))
    }

    /// Begins a session.
    async fn initialize(
        &self,
        server: &Arc<Server>,
        headers: ::http::HeaderMap,
        frame: Frame,
        caller: Caller,
    ) -> Result<Response<McpBody>, Refused> {
        let key = caller.identity.key.clone();
        let place = self.inner.sessions.room(&key).await.ok_or_else(Refused::too_many_sessions)?;
        let open = self.open(server, caller);
        let (outlet, frames) = mpsc::channel(OUTLET_FRAMES_MAX);
        let listening = open.hub.request(&outlet);
        let incoming = Incoming { frame, outlet, headers };
        let Some(answering) = open.session.take(incoming).await else {
            return Ok(answer::empty(StatusCode::ACCEPTED));
        };
        // A session begins with a good answer and not before, so it is waited for.
        let Some(answered) = answering.await else { return Ok(answer::empty(StatusCode::ACCEPTED)) };
        if *answered.frame.kind() != (Kind::Response { error: false }) {
            open.session.close().await;
            return Ok(answer::whole(&answered, None));
        }
        let id = open.id.clone();
        self.inner.sessions.add(open, key, place);
        let given = futures_util::future::ready(Some(answered));
        Ok(answer::streamed(given, frames, listening, Some(&id)))
    }

    fn open(&self, server: &Arc<Server>, mut caller: Caller) -> Open {
        let (general, mut said) = mpsc::channel(OUTLET_FRAMES_MAX);
        let (id, name) = sessions::new_id();
        caller.session = name;
        let link = match &server.transport {
            McpTransport::Command(command) => {
                Link::Child(self.child(server, command, Sharing::OneClient, general))
            }
            McpTransport::Url(url) => Link::Http(self.remote(server, url, general)),
        };
        let session = Session::new(Arc::clone(&server.shared), Arc::new(caller), link, Arc::default());
        let hub = Hub::default();
        let (ears, hears) = (hub.clone(), Arc::downgrade(&session));
        tokio::spawn(async move {
            while let Some(frame) = said.recv().await {
                if let Some(session) = hears.upgrade() {
                    session.hears(&frame);
                }
                ears.tell(frame);
            }
        });
        Open::new(id, session, hub)
    }

    fn child(&self, server: &Server, command: &[String], sharing: Sharing, general: Outlet) -> ChildLink {
        let command = ChildCommand::configured(command, Some(self.inner.folder.clone()));
        ChildLink::new(server.shared.server.clone(), command, sharing, general)
    }

    fn remote(&self, server: &Server, url: &url::Url, general: Outlet) -> HttpLink {
        let client = self.inner.client.get().cloned().unwrap_or_else(|| {
            let made = http_client();
            let _ = self.inner.client.set(made.clone());
            made
        });
        HttpLink::new(server.shared.server.clone(), client, url.clone(), general)
    }

    /// One request of the protocol without sessions.
    async fn stateless(
        &self,
        server: &Arc<Server>,
        headers: ::http::HeaderMap,
        frame: Frame,
        caller: Caller,
    ) -> Result<Response<McpBody>, Refused> {
        if !matches!(frame.kind(), Kind::Request { .. }) {
            // Nothing is open that it could belong to: a request is taken back by closing its connection.
            return Ok(answer::empty(StatusCode::ACCEPTED));
        }
        let (outlet, frames) = mpsc::channel(OUTLET_FRAMES_MAX);
        let link = match &server.transport {
            McpTransport::Command(command) => Link::Child(self.common(server, command)),
            McpTransport::Url(url) => Link::Http(self.remote(server, url, outlet.clone())),
        };
        let listings = Arc::clone(&server.listings);
        let session = Session::new(Arc::clone(&server.shared), Arc::new(caller), link, listings);
        let listening = Hub::default().request(&outlet);
        let incoming = Incoming { frame, outlet, headers };
        let Some(answering) = session.take(incoming).await else {
            return Ok(answer::empty(StatusCode::ACCEPTED));
        };
        Ok(answer::given(answering, frames, listening).await)
    }

    /// The program that requests without sessions share.
    fn common(&self, server: &Arc<Server>, command: &[String]) -> ChildLink {
        let mut common = server.common.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &*common {
            return link.clone();
        }
        let (general, mut said) = mpsc::channel::<Frame>(OUTLET_FRAMES_MAX);
        let listings = Arc::clone(&server.listings);
        tokio::spawn(async move {
            while let Some(frame) = said.recv().await {
                listings.hear(&frame);
            }
        });
        let link = self.child(server, command, Sharing::Many, general);
        *common = Some(link.clone());
        link
    }
}

impl Server {
    fn new(wanted: &McpServer, gate: Gate) -> Self {
        Self {
            transport: wanted.transport.clone(),
            shared: Arc::new(Shared::new(gate, &wanted.name)),
            listings: Arc::default(),
            common: Mutex::default(),
        }
    }

    /// Refuses headers that repeat arguments and differ from them.
    async fn parameters_agree(
        &self,
        headers: &::http::HeaderMap,
        frame: &Frame,
        params: &Value,
    ) -> Result<(), Refused> {
        let repeated = headers.keys().any(|name| name.as_str().starts_with(headers::PARAMETER_PREFIX));
        if frame.method() != Some("tools/call") || !repeated {
            return Ok(());
        }
        let tool = params.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(schema) = self.shared.tools.schema(tool).await else { return Ok(()) };
        let arguments = params.get("arguments").unwrap_or(&Value::Null);
        headers::parameters_agree(headers, &schema, arguments).map_err(|said| Refused::mismatch(frame, &said))
    }
}
