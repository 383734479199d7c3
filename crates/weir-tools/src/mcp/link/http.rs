//! A server that speaks streamable HTTP: each message is a POST, whose answer is JSON or a stream of events.

mod body;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use self::body::{gather, read_out};
use super::events::Events;
use super::{Answer, HANDSHAKE_DEADLINE, Handshake, Outgoing, Outlet, Trouble, Waiting};
use crate::mcp::frame::{FRAME_BYTES_MAX, Frame, IdKey, Kind};
use crate::mcp::headers::{LAST_EVENT, SESSION, VERSION};
use crate::mcp::members::Members;
use crate::mcp::rewrite::{self, Numbers};

/// How long a connection to a server may take to be made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How long an idle connection to a server is kept.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// The pause before a stream is taken up again, when the server names none.
const RETRY: Duration = Duration::from_secs(1);

/// How often in a row a stream that ended without a word is taken up again.
const RETRIES_MAX: u32 = 10;

/// How long a notification, or the end of a session, may take to be taken.
const NOTIFY_DEADLINE: Duration = Duration::from_secs(10);

/// What speaks HTTP, shared by all links.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client over HTTP/1.1.
pub(crate) fn http_client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_DEADLINE));
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector)
}

/// A server that is a URL, and one client's session with it.
#[derive(Clone)]
pub(crate) struct HttpLink {
    inner: Arc<Inner>,
    _alive: Arc<DropGuard>,
}

struct Inner {
    name: String,
    client: HttpClient,
    url: Url,
    general: Outlet,
    numbers: Numbers,
    session: Mutex<Session>,
    /// One handshake at a time.
    renewing: tokio::sync::Mutex<()>,
    closed: CancellationToken,
}

/// What the server gave at the handshake, and what was said there.
#[derive(Default)]
struct Session {
    id: Option<HeaderValue>,
    version: Option<HeaderValue>,
    said: Handshake,
    /// Listens for what belongs to no request.
    listening: Option<AbortOnDropHandle<()>>,
}

impl HttpLink {
    pub(crate) fn new(name: String, client: HttpClient, url: Url, general: Outlet) -> Self {
        let closed = CancellationToken::new();
        let alive = Arc::new(closed.clone().drop_guard());
        let inner = Inner {
            name,
            client,
            url,
            general,
            numbers: Numbers::default(),
            session: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            closed,
        };
        Self { inner: Arc::new(inner), _alive: alive }
    }

    pub(crate) fn begin(&self, request: Outgoing) -> Waiting {
        let link = self.clone();
        async move { link.inner.request(request).await }.boxed()
    }

    pub(crate) async fn notify(&self, frame: &Frame, headers: &HeaderMap) -> Result<(), Trouble> {
        let posted = self.inner.post(frame, headers);
        let response = tokio::time::timeout(NOTIFY_DEADLINE, posted).await.unwrap_or(Err(Trouble::Stuck))?;
        if !response.status().is_success() {
            return Err(Trouble::Status(response.status().as_u16()));
        }
        if frame.method() == Some("notifications/initialized") {
            self.inner.session().said.note(frame);
            self.inner.listen();
        }
        Ok(())
    }

    pub(crate) fn forget(&self, _id: &IdKey) {}

    /// Tells the server that the session is over.
    pub(crate) async fn close(&self) {
        self.inner.closed.cancel();
        let had_session = {
            let mut session = self.inner.session();
            session.listening = None;
            session.id.is_some()
        };
        if had_session {
            let headers = HeaderMap::new();
            let deleted = self.inner.send(Method::DELETE, Bytes::new(), &headers);
            let _ = tokio::time::timeout(NOTIFY_DEADLINE, deleted).await;
        }
    }
}

impl Inner {
    fn session(&self) -> std::sync::MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn request(self: &Arc<Self>, request: Outgoing) -> Result<Answer, Trouble> {
        let had = self.session().id.clone();
        let initialize = request.frame.method() == Some("initialize");
        let mut response = self.post(&request.frame, &request.headers).await?;
        // The server has forgotten the session, as one does that was started again.
        if response.status() == StatusCode::NOT_FOUND && had.is_some() && !initialize {
            self.renew(had.as_ref()).await?;
            response = self.post(&request.frame, &request.headers).await?;
        }
        if initialize {
            self.begin_session(&response);
        }
        let taken_back =
            TakenBack { inner: self, frame: &request.frame, headers: &request.headers, open: true };
        let answer = self.answer(&request, response).await;
        taken_back.answered();
        let answer = answer?;
        if answer.frame.kind() == (&Kind::Response { error: false }) {
            self.note(&request.frame, &answer.frame);
        }
        Ok(answer)
    }

    fn begin_session(&self, response: &Response<Incoming>) {
        let mut session = self.session();
        *session = Session { id: response.headers().get(SESSION).cloned(), ..Session::default() };
    }

    fn note(&self, asked: &Frame, answer: &Frame) {
        let mut session = self.session();
        session.said.note(asked);
        if asked.method() == Some("initialize") {
            let version = answer.result().and_then(|result| {
                let result: serde_json::Value = serde_json::from_str(result).ok()?;
                HeaderValue::from_str(result.get("protocolVersion")?.as_str()?).ok()
            });
            session.version = version;
        }
    }

    /// Makes a new session in the place of `old`, unless another request has done so.
    async fn renew(self: &Arc<Self>, old: Option<&HeaderValue>) -> Result<(), Trouble> {
        let _one = self.renewing.lock().await;
        let (current, said) = {
            let session = self.session();
            (session.id.clone(), session.said.clone())
        };
        if current.as_ref() != old {
            return Ok(());
        }
        let Some(initialize) = said.initialize.clone() else { return Err(Trouble::Status(404)) };
        tracing::info!(server = %self.name, "a tool server has forgotten its session; a new one is begun");
        self.session().id = None;
        tokio::time::timeout(HANDSHAKE_DEADLINE, async {
            self.repeat(initialize.clone()).await?;
            if let Some(initialized) = said.initialized {
                self.session().said.note(&initialized);
                self.post(&initialized, &HeaderMap::new()).await?;
                self.listen();
            }
            match said.log_level {
                Some(level) => self.repeat(level).await,
                None => Ok(()),
            }
        })
        .await
        .unwrap_or(Err(Trouble::Stuck))
    }

    async fn repeat(self: &Arc<Self>, said: Frame) -> Result<(), Trouble> {
        let frame = said.with_id(&self.numbers.own_id());
        let response = self.post(&frame, &HeaderMap::new()).await?;
        if frame.method() == Some("initialize") {
            self.begin_session(&response);
        }
        let request =
            Outgoing { frame: frame.clone(), outlet: self.general.clone(), headers: HeaderMap::new() };
        let answer = self.answer(&request, response).await?;
        self.note(&said, &answer.frame);
        Ok(())
    }

    async fn post(&self, frame: &Frame, headers: &HeaderMap) -> Result<Response<Incoming>, Trouble> {
        self.send(Method::POST, frame.bytes().clone(), headers).await
    }

    async fn send(
        &self,
        method: Method,
        body: Bytes,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, Trouble> {
        let mut request = Request::builder().method(&method).uri(self.url.as_str());
        if let Some(to) = request.headers_mut() {
            to.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
            to.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
            if method == Method::POST {
                to.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            if method == Method::GET {
                to.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            }
            let session = self.session();
            session.id.as_ref().map(|id| to.insert(SESSION, id.clone()));
            session.version.as_ref().map(|version| to.insert(VERSION, version.clone()));
        }
        let request =
            request.body(Full::new(body)).map_err(|_| Trouble::Unreachable("its URL is wrong".to_owned()))?;
        self.client.request(request).await.map_err(|error| {
            tracing::warn!(server = %self.name, %error, "a tool server could not be reached");
            let said = if error.is_connect() { "no connection" } else { "the connection broke" };
            Trouble::Unreachable(said.to_owned())
        })
    }

    async fn answer(
        self: &Arc<Self>,
        request: &Outgoing,
        response: Response<Incoming>,
    ) -> Result<Answer, Trouble> {
        let status = response.status();
        if is_events(&response) && status.is_success() {
            return self.answer_in_events(request, response).await.map(Answer::from);
        }
        let bytes = gather(response.into_body()).await?;
        match Frame::read(bytes) {
            Ok(frame) if matches!(frame.kind(), Kind::Response { .. }) => {
                let frame = answer_to(&request.frame, frame)?;
                Ok(Answer { frame, status: (!status.is_success()).then(|| status.as_u16()) })
            }
            _ if !status.is_success() => Err(Trouble::Status(status.as_u16())),
            Ok(_) => Err(Trouble::Malformed("it is no answer".to_owned())),
            Err(error) => Err(Trouble::Malformed(error.to_string())),
        }
    }

    async fn answer_in_events(
        self: &Arc<Self>,
        request: &Outgoing,
        response: Response<Incoming>,
    ) -> Result<Frame, Trouble> {
        let wanted = request.frame.id_key();
        let mut events = Events::new(FRAME_BYTES_MAX);
        let mut body = response.into_body();
        let mut resumed = 0;
        loop {
            if let Some(frame) = hear(&mut body, &mut events, wanted.as_ref(), &request.outlet).await? {
                tokio::spawn(read_out(body));
                return Ok(frame.with_id(request.frame.id().unwrap_or_default()));
            }
            // The stream has ended before the answer: a server may do so, and go on in another one.
            let Some(last) = events.last_id().and_then(|id| HeaderValue::from_str(id).ok()) else {
                return Err(Trouble::Ended);
            };
            resumed += 1;
            if resumed > RETRIES_MAX {
                return Err(Trouble::Ended);
            }
            tokio::time::sleep(events.retry().unwrap_or(RETRY)).await;
            let headers = HeaderMap::from_iter([(LAST_EVENT, last)]);
            let response = self.send(Method::GET, Bytes::new(), &headers).await?;
            if !response.status().is_success() || !is_events(&response) {
                return Err(Trouble::Ended);
            }
            body = response.into_body();
        }
    }

    /// Listens for what belongs to no request, for as long as the session lasts.
    fn listen(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let listening = tokio::spawn(async move {
            let closed = inner.closed.clone();
            tokio::select! {
                () = closed.cancelled() => {}
                () = inner.listened() => {}
            }
        });
        self.session().listening = Some(AbortOnDropHandle::new(listening));
    }

    async fn listened(&self) {
        let mut events = Events::new(FRAME_BYTES_MAX);
        let mut silent = 0;
        while silent < RETRIES_MAX {
            let last = events.last_id().and_then(|id| HeaderValue::from_str(id).ok());
            let headers = last.map(|last| (LAST_EVENT, last)).into_iter().collect();
            match self.send(Method::GET, Bytes::new(), &headers).await {
                // It offers no such stream, or no such session any more.
                Ok(response) if !response.status().is_success() || !is_events(&response) => return,
                Ok(response) => {
                    let mut body = response.into_body();
                    // Without a wanted id it ends with the stream.
                    let _ = hear(&mut body, &mut events, None, &self.general).await;
                    silent = 0;
                }
                Err(_) => silent += 1,
            }
            tokio::time::sleep(events.retry().unwrap_or(RETRY)).await;
        }
    }
}

/// Reads a stream until the wanted answer is there, or to its end. What else comes goes to the outlet.
async fn hear(
    body: &mut Incoming,
    events: &mut Events,
    wanted: Option<&IdKey>,
    outlet: &Outlet,
) -> Result<Option<Frame>, Trouble> {
    loop {
        while let Some(data) = events.next().map_err(|_| Trouble::TooLong)? {
            let Ok(frame) = Frame::read(data) else {
                tracing::debug!("an event of a tool server is no message");
                continue;
            };
            match frame.kind() {
                Kind::Response { .. } if wanted.is_some() && frame.id_key().as_ref() == wanted => {
                    return Ok(Some(frame));
                }
                // An answer that nobody waits for here must not reach a client that might take it for another's.
                Kind::Response { .. } => {}
                Kind::Request { .. } | Kind::Notification { .. } => {
                    let _ = outlet.send(frame).await;
                }
            }
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    events.push(data);
                }
            }
            Some(Err(_)) | None => return Ok(None),
        }
    }
}

/// The answer with the id that was asked with. An error may come without any, when the server could not read it.
fn answer_to(asked: &Frame, answer: Frame) -> Result<Frame, Trouble> {
    let id = asked.id().unwrap_or_default();
    match answer.id() {
        Some(raw) if IdKey::of(raw) == IdKey::of(id) => Ok(answer.with_id(id)),
        Some("null") if *answer.kind() == (Kind::Response { error: true }) => Ok(answer.with_id(id)),
        None if *answer.kind() == (Kind::Response { error: true }) => {
            let text = std::str::from_utf8(answer.bytes()).unwrap_or_default();
            let error = Members::read(text).ok().and_then(|members| members.get("error"));
            Ok(Frame::answer(id, "error", error.unwrap_or("null")))
        }
        _ => Err(Trouble::Malformed("it answers another request".to_owned())),
    }
}

fn is_events(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}

/// A request that waits; when it is dropped unanswered, a server with sessions is told to stop. Without a session the
/// closed connection tells it.
struct TakenBack<'a> {
    inner: &'a Arc<Inner>,
    frame: &'a Frame,
    headers: &'a HeaderMap,
    open: bool,
}

impl TakenBack<'_> {
    fn answered(mut self) {
        self.open = false;
    }
}

impl Drop for TakenBack<'_> {
    fn drop(&mut self) {
        if !self.open || self.inner.session().id.is_none() || self.inner.closed.is_cancelled() {
            return;
        }
        let Ok(message) = Frame::read(rewrite::cancelled(self.frame.id().unwrap_or_default())) else {
            return;
        };
        let (inner, headers) = (Arc::clone(self.inner), self.headers.clone());
        tokio::spawn(async move {
            let _ = tokio::time::timeout(NOTIFY_DEADLINE, inner.post(&message, &headers)).await;
        });
    }
}
