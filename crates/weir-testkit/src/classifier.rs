//! The remote abuse service of spec A9, played by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;
use weir_core::clock::Clock;

use crate::clock::ManualClock;
use crate::deadline::until;
use crate::server::{Body, Cut, Server, full};

/// One request to the service.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null when it was not JSON.
    pub body: Value,
}

/// What the service answers to `POST /api/classify`.
#[derive(Clone, Debug)]
pub struct ClassifierScript {
    answer: Answer,
    latency: Duration,
    request_id: u64,
    score: u64,
    matched: Vec<String>,
}

#[derive(Clone, Debug)]
enum Answer {
    Resolved(Option<String>),
    NoRulesEngine,
    Json(Value),
    Text(u16, String),
    Unavailable,
}

impl ClassifierScript {
    /// A good answer that resolves to this action, or to none. The action may be a word that nobody knows.
    #[must_use]
    pub fn resolved(action: Option<&str>) -> Self {
        Self::new(Answer::Resolved(action.map(ToOwned::to_owned)))
    }

    /// A good answer without a `rules_engine`.
    #[must_use]
    pub fn no_rules_engine() -> Self {
        Self::new(Answer::NoRulesEngine)
    }

    /// This JSON, with status 200: for answers of a wrong shape.
    #[must_use]
    pub fn json(body: Value) -> Self {
        Self::new(Answer::Json(body))
    }

    /// Status 500 with a text.
    #[must_use]
    pub fn http_500() -> Self {
        Self::new(Answer::Text(500, "the classifier has failed".to_owned()))
    }

    /// Status 200 with something that is not JSON.
    #[must_use]
    pub fn bad_json() -> Self {
        Self::new(Answer::Text(200, "<html>not JSON</html>".to_owned()))
    }

    /// The connection is closed without an answer.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(Answer::Unavailable)
    }

    /// The answer comes when this much time has passed on the test's clock.
    #[must_use]
    pub fn after(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// The answer's `request_id`; 1 when not set.
    #[must_use]
    pub fn request_id(mut self, request_id: u64) -> Self {
        self.request_id = request_id;
        self
    }

    /// The answer's `sus_score` and `matched_abuse_rule_ids`.
    #[must_use]
    pub fn matched(mut self, score: u64, rules: &[&str]) -> Self {
        self.score = score;
        self.matched = rules.iter().map(|rule| (*rule).to_owned()).collect();
        self
    }

    fn new(answer: Answer) -> Self {
        Self { answer, latency: Duration::ZERO, request_id: 1, score: 0, matched: Vec::new() }
    }

    fn respond(&self) -> Result<Response<Body>, Cut> {
        match &self.answer {
            Answer::Resolved(action) => Ok(answer_json(200, &self.good(Some(action.as_deref())))),
            Answer::NoRulesEngine => Ok(answer_json(200, &self.good(None))),
            Answer::Json(body) => Ok(answer_json(200, body)),
            Answer::Text(status, text) => Ok(answer(*status, "text/plain", text.clone())),
            Answer::Unavailable => Err(Cut),
        }
    }

    fn good(&self, resolved: Option<Option<&str>>) -> Value {
        let mut body = json!({
            "verdict": "ALLOW", "risk_score": 0.0, "signals": [], "action_metadata": {},
            "context": {
                "identity_key": "the service's own key", "current_spend_1h": 0.0, "is_new_user": false,
                "requests_per_second": 0.5,
            },
            "request_id": self.request_id,
        });
        if let Some(action) = resolved {
            let matches: Vec<_> = self
                .matched
                .iter()
                .map(|rule| json!({"rule_id": rule, "action": action, "score": 0}))
                .collect();
            body["rules_engine"] = json!({
                "matches": matches, "sus_score": self.score, "resolved_action": action,
                "matched_abuse_rule_ids": self.matched,
            });
        }
        body
    }
}

/// Plays the abuse service on a free port: `/api/classify` as scripted (without a script: no action), and 202 for
/// `/api/usage/cost` and everything else, all of it recorded.
pub struct ScriptedClassifier {
    server: Server,
    state: Arc<State>,
}

struct State {
    clock: ManualClock,
    requests: Mutex<Vec<ServiceRequest>>,
    scripts: Mutex<(VecDeque<ClassifierScript>, ClassifierScript)>,
    answered: Mutex<usize>,
    changed: Arc<Notify>,
}

impl ScriptedClassifier {
    /// Starts it; its latencies are those of `clock`.
    pub async fn start(clock: &ManualClock) -> Self {
        let changed = Arc::new(Notify::new());
        let state = Arc::new(State {
            clock: clock.clone(),
            requests: Mutex::default(),
            scripts: Mutex::new((VecDeque::new(), ClassifierScript::resolved(None))),
            answered: Mutex::new(0),
            changed: Arc::clone(&changed),
        });
        let service = {
            let state = Arc::clone(&state);
            move |request| serve(Arc::clone(&state), request)
        };
        Self { server: Server::start(changed, service).await, state }
    }

    /// Its URL, for `abuse.service_url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Answers every classification so.
    pub fn respond_with(&self, script: ClassifierScript) {
        self.state.scripts.lock().expect("no panic while the lock is held").1 = script;
    }

    /// Answers one classification so; several are used in the order in which they were given.
    pub fn respond_once(&self, script: ClassifierScript) {
        self.state.scripts.lock().expect("no panic while the lock is held").0.push_back(script);
    }

    /// The classifications asked for, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<ServiceRequest> {
        self.recorded().iter().filter(|request| request.path == "/api/classify").cloned().collect()
    }

    /// The costs told, in order.
    #[must_use]
    pub fn cost_calls(&self) -> Vec<ServiceRequest> {
        self.recorded().iter().filter(|request| request.path == "/api/usage/cost").cloned().collect()
    }

    /// How many classifications were asked for.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.requests().len()
    }

    /// How many classifications were answered, or cut.
    #[must_use]
    pub fn answered(&self) -> usize {
        *self.state.answered.lock().expect("no panic while the lock is held")
    }

    /// The latest classification asked for.
    ///
    /// # Panics
    /// There was none.
    #[must_use]
    pub fn last(&self) -> ServiceRequest {
        self.requests().pop().expect("the classifier was called")
    }

    /// Waits until `n` classifications were asked for.
    pub async fn wait_for_calls(&self, n: usize) {
        let what = format!("{n} calls of the classifier");
        until(&self.state.changed, &what, || (self.calls() >= n).then_some(())).await;
    }

    /// Waits until `n` classifications were answered.
    pub async fn wait_for_answered(&self, n: usize) {
        let what = format!("{n} answers of the classifier");
        until(&self.state.changed, &what, || (self.answered() >= n).then_some(())).await;
    }

    /// Waits until `n` costs were told.
    pub async fn wait_for_cost_calls(&self, n: usize) {
        let what = format!("{n} costs at the abuse service");
        until(&self.state.changed, &what, || (self.cost_calls().len() >= n).then_some(())).await;
    }

    fn recorded(&self) -> MutexGuard<'_, Vec<ServiceRequest>> {
        self.state.requests.lock().expect("no panic while the lock is held")
    }
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let path = head.uri.path().to_owned();
    let classify = head.method == "POST" && path == "/api/classify";
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let request = ServiceRequest { path, headers: head.headers, body };
    state.requests.lock().expect("no panic while the lock is held").push(request);
    if !classify {
        state.changed.notify_waiters();
        return Ok(answer(202, "text/plain", String::new()));
    }
    let script = state.next_script();
    // Registered before the call is told, so that who waits for the call finds the latency on the clock.
    let latency = state.clock.sleep(script.latency);
    state.changed.notify_waiters();
    latency.await;
    *state.answered.lock().expect("no panic while the lock is held") += 1;
    state.changed.notify_waiters();
    script.respond()
}

impl State {
    fn next_script(&self) -> ClassifierScript {
        let mut scripts = self.scripts.lock().expect("no panic while the lock is held");
        scripts.0.pop_front().unwrap_or_else(|| scripts.1.clone())
    }
}

fn answer_json(status: u16, body: &Value) -> Response<Body> {
    answer(status, "application/json", body.to_string())
}

fn answer(status: u16, content_type: &str, body: String) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", content_type);
    response.body(full(body)).expect("a well-formed answer")
}

#[cfg(test)]
mod tests;
