//! Sentry, played on a free port: it takes envelopes over HTTP, takes them apart as their format says, and keeps them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use serde_json::Value;
use tokio::sync::Notify;

use crate::deadline::until;
use crate::server::{Body, Cut, Server, full};

/// The public key of the DSN.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The project of the DSN.
const PROJECT: u32 = 42;

/// One item of an envelope.
#[derive(Clone, Debug)]
pub struct EnvelopeItem {
    /// The type that its header names: `event`, `client_report`.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
}

/// One envelope as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedEnvelope {
    /// The request's headers.
    pub headers: HeaderMap,
    /// The envelope's own header.
    pub header: Value,
    /// Its items, in order.
    pub items: Vec<EnvelopeItem>,
    /// All of it, as text.
    pub text: String,
}

/// What is answered to an envelope.
#[derive(Clone, Debug)]
enum Answer {
    Head(u16, Vec<(&'static str, String)>),
    Cut,
}

/// A Sentry that keeps what it is sent. What is no envelope, or was sent to another place, is answered with 400 and
/// kept in [`FakeSentry::faults`].
pub struct FakeSentry {
    server: Server,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<ReceivedEnvelope>>,
    faults: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<Answer>>,
    changed: Arc<Notify>,
}

impl FakeSentry {
    /// Starts it.
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let service = {
            let state = Arc::clone(&state);
            move |request| serve(Arc::clone(&state), request)
        };
        Self { server: Server::start(Arc::clone(&state.changed), service).await, state }
    }

    /// Its DSN.
    #[must_use]
    pub fn dsn(&self) -> String {
        format!("http://{KEY}@{}/{PROJECT}", self.server.address)
    }

    /// Answers the next envelope with this status and these headers, and does not keep it.
    pub fn refuse_once(&self, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.answers().push_back(Answer::Head(status, headers));
    }

    /// Closes the connection at the next envelope.
    pub fn cut_once(&self) {
        self.answers().push_back(Answer::Cut);
    }

    /// The envelopes so far, in order.
    #[must_use]
    pub fn envelopes(&self) -> Vec<ReceivedEnvelope> {
        self.received().clone()
    }

    /// The events so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.items("event")
    }

    /// The client reports so far, in order.
    #[must_use]
    pub fn client_reports(&self) -> Vec<Value> {
        self.items("client_report")
    }

    /// What was sent that is no envelope of this project.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.state.faults.lock().expect("no panic while the lock is held").clone()
    }

    /// Everything that was sent, as text: to look for what must never be.
    #[must_use]
    pub fn text(&self) -> String {
        self.received().iter().map(|envelope| envelope.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Waits until `n` events came.
    pub async fn wait_for_events(&self, n: usize) {
        let what = format!("{n} events at Sentry");
        until(&self.state.changed, &what, || (self.events().len() >= n).then_some(())).await;
    }

    /// Waits until `n` client reports came.
    pub async fn wait_for_client_reports(&self, n: usize) {
        let what = format!("{n} client reports at Sentry");
        until(&self.state.changed, &what, || (self.client_reports().len() >= n).then_some(())).await;
    }

    /// Waits until all scripted refusals were used.
    pub async fn wait_for_refusals(&self) {
        until(&self.state.changed, "Sentry's refusals", || self.answers().is_empty().then_some(())).await;
    }

    fn items(&self, kind: &str) -> Vec<Value> {
        let received = self.received();
        let items = received.iter().flat_map(|envelope| &envelope.items).filter(|item| item.kind == kind);
        items.map(|item| item.payload.clone()).collect()
    }

    fn received(&self) -> MutexGuard<'_, Vec<ReceivedEnvelope>> {
        self.state.received.lock().expect("no panic while the lock is held")
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.state.answers.lock().expect("no panic while the lock is held")
    }
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let scripted = state.answers.lock().expect("no panic while the lock is held").pop_front();
    let answer = match scripted {
        Some(Answer::Cut) => Err(Cut),
        Some(Answer::Head(status, headers)) => Ok(respond(status, &headers)),
        None => match envelope(&head, &body) {
            Ok(received) => {
                state.received.lock().expect("no panic while the lock is held").push(received);
                Ok(respond(200, &[]))
            }
            Err(fault) => {
                state.faults.lock().expect("no panic while the lock is held").push(fault);
                Ok(respond(400, &[]))
            }
        },
    };
    state.changed.notify_waiters();
    answer
}

fn respond(status: u16, headers: &[(&'static str, String)]) -> Response<Body> {
    let response = headers
        .iter()
        .fold(Response::builder().status(status), |response, (name, value)| response.header(*name, value));
    response.body(full("{}")).expect("a well-formed answer")
}

/// Takes an envelope apart: a header, then for each item a header and a payload, each on a line of its own or as long as
/// the item's header says.
fn envelope(head: &hyper::http::request::Parts, body: &[u8]) -> Result<ReceivedEnvelope, String> {
    let expected = format!("/api/{PROJECT}/envelope/");
    if head.method != "POST" || head.uri.path() != expected {
        return Err(format!("{} {} is not where envelopes go", head.method, head.uri));
    }
    let auth = head.headers.get("x-sentry-auth").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !auth.contains(&format!("sentry_key={KEY}")) {
        return Err(format!("x-sentry-auth has not the DSN's key: {auth}"));
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let (first, mut rest) = text.split_once('\n').unwrap_or((text, ""));
    let header = json(first)?;
    let mut items = Vec::new();
    while !rest.trim().is_empty() {
        let (item, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let item = json(item)?;
        let kind = item["type"].as_str().ok_or_else(|| format!("an item without a type: {item}"))?.to_owned();
        let length = match item["length"].as_u64() {
            Some(length) => usize::try_from(length).map_err(|error| error.to_string())?,
            None => after.find('\n').unwrap_or(after.len()),
        };
        let payload = after.get(..length).ok_or_else(|| format!("an item shorter than {length} bytes"))?;
        items.push(EnvelopeItem { kind, payload: json(payload)? });
        rest = after[length..].strip_prefix('\n').unwrap_or(&after[length..]);
    }
    if items.is_empty() {
        return Err("an envelope without items".to_owned());
    }
    Ok(ReceivedEnvelope { headers: head.headers.clone(), header, items, text: text.to_owned() })
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}
