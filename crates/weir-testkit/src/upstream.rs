//! A provider on the loopback that answers as a script says, and remembers what it was asked.

mod answers;
mod script;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use serde_json::Value;
use tokio::sync::Notify;

use crate::deadline::until;
use crate::server::{Body, Cut, Server};

pub use answers::{INPUT_TOKENS, OUTPUT_TOKENS, TEXT, chat, messages, responses};
pub use script::{Gate, Script};

pub use crate::server::refused_url;

/// One request that the upstream was sent.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The body's `model`, empty when there is none.
    pub model: String,
}

impl RecordedRequest {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Plays a provider. Without a script it answers chat completions, responses, messages, their count of tokens,
/// embeddings and the list of models as the real ones do, streamed or not as the request asks, with the model it
/// was sent, [`TEXT`] and a usage of [`INPUT_TOKENS`] and [`OUTPUT_TOKENS`].
pub struct ScriptedUpstream {
    server: Server,
    state: Arc<State>,
}

struct State {
    calls: Mutex<Vec<RecordedRequest>>,
    scripts: Mutex<Scripts>,
    aborted: AtomicUsize,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Scripts {
    once: VecDeque<Script>,
    by_model: Vec<(String, Script)>,
    always: Option<Script>,
}

impl Scripts {
    fn choose(&mut self, request: &RecordedRequest, call: usize) -> Script {
        if let Some(script) = self.once.pop_front() {
            return script;
        }
        let by_model = self.by_model.iter().rev().find(|(model, _)| *model == request.model);
        match by_model.map(|(_, script)| script).or(self.always.as_ref()) {
            Some(script) => script.clone(),
            None => answers::default(request, call),
        }
    }
}

impl ScriptedUpstream {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let changed = Arc::new(Notify::new());
        let state = Arc::new(State {
            calls: Mutex::default(),
            scripts: Mutex::default(),
            aborted: AtomicUsize::new(0),
            changed: Arc::clone(&changed),
        });
        let service = {
            let state = Arc::clone(&state);
            move |request| answer(Arc::clone(&state), request)
        };
        Self { server: Server::start(changed, service).await, state }
    }

    /// Its base URL with the version, as a provider's `base_url`: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address)
    }

    /// Answers every request that no other script claims with this one.
    pub fn respond_with(&self, script: Script) {
        self.scripts().always = Some(script);
    }

    /// Answers one request with this script; several are used in the order in which they were given.
    pub fn respond_once(&self, script: Script) {
        self.scripts().once.push_back(script);
    }

    /// Answers requests for this upstream model with this script.
    pub fn respond_to_model(&self, model: &str, script: Script) {
        self.scripts().by_model.push((model.to_owned(), script));
    }

    /// Forgets all scripts.
    pub fn respond_by_default(&self) {
        *self.scripts() = Scripts::default();
    }

    /// How many requests have come in whole.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.recorded().len()
    }

    /// The requests so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.recorded().clone()
    }

    /// The latest request.
    ///
    /// # Panics
    /// There was none.
    #[must_use]
    pub fn last(&self) -> RecordedRequest {
        self.recorded().last().expect("the upstream was called").clone()
    }

    /// Waits until `n` requests have come in.
    pub async fn wait_for_calls(&self, n: usize) {
        let what = format!("{n} calls of the upstream");
        until(&self.state.changed, &what, || (self.calls() >= n).then_some(())).await;
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.server.open_connections()
    }

    /// Waits until no more than `n` connections are open.
    pub async fn wait_for_open_connections_at_most(&self, n: usize) {
        let what = format!("at most {n} open connections at the upstream");
        until(&self.state.changed, &what, || (self.open_connections() <= n).then_some(())).await;
    }

    /// How many answers were given up because the client went away before their end. Answers that the script
    /// itself cuts do not count.
    #[must_use]
    pub fn aborted(&self) -> usize {
        self.state.aborted.load(Ordering::SeqCst)
    }

    /// Waits until `n` answers were given up because the client went away.
    pub async fn wait_for_aborted(&self, n: usize) {
        let what = format!("{n} clients to go away from the upstream");
        until(&self.state.changed, &what, || (self.aborted() >= n).then_some(())).await;
    }

    fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.state.scripts.lock().expect("no panic while the lock is held")
    }

    fn recorded(&self) -> MutexGuard<'_, Vec<RecordedRequest>> {
        self.state.calls.lock().expect("no panic while the lock is held")
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let request = read(request).await?;
    let call = {
        let mut calls = state.calls.lock().expect("no panic while the lock is held");
        calls.push(request.clone());
        calls.len()
    };
    let script = state.scripts.lock().expect("no panic while the lock is held").choose(&request, call);
    let unfinished = Unfinished { state: Arc::clone(&state), armed: true };
    state.changed.notify_waiters();
    script.play(unfinished).await
}

async fn read(request: Request<Incoming>) -> Result<RecordedRequest, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(RecordedRequest {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        model: json["model"].as_str().unwrap_or_default().to_owned(),
        body,
    })
}

/// Counts an answer as aborted when it is dropped before it was finished.
pub(crate) struct Unfinished {
    state: Arc<State>,
    armed: bool,
}

impl Unfinished {
    pub(crate) fn finish(mut self) {
        self.armed = false;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.armed {
            self.state.aborted.fetch_add(1, Ordering::SeqCst);
            self.state.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
