//! An admin plane for one test, and how to call it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use weir_config::{Config, SourceText, Sources};
use weir_console::{Live, Master, Parts, Rulebook};
use weir_core::IdentityKey;
use weir_core::clock::SharedClock;
use weir_rules::{LiveRules, RuleSet};
use weir_store::{
    Cache, CacheLocation, CacheOptions, ConfiguredKey, Database, DatabaseLocation, DatabaseOptions,
    Directory, DirectoryOptions, Recorder, RecorderOptions,
};
use weir_testkit::ManualClock;

pub const ADMIN: &str = "canary-admin-token";
pub const VIEWER: &str = "canary-viewer-token";
pub const ACCESS: [(&str, &str); 2] =
    [("cf-access-client-id", "canary-access-id"), ("cf-access-client-secret", "canary-access-secret")];
pub const CONFIGURED_KEY: &str = "canary-configured-key";

const CONFIG: &str = "
admin:
  token: canary-admin-token
  access: {client_id: canary-access-id, client_secret: canary-access-secret}
  tokens:
    - {name: eyes, token: canary-viewer-token, role: viewer}
    - {name: duty, token: canary-approver-token, role: approver}
trusted_proxies: [10.0.0.0/8]
providers:
  - {name: openai, base_url: 'https://api.example/v1', apis: [chat_completions], api_key: canary-provider-key}
  - {name: sim, simulated: true}
models:
  - {id: free/one, provider: sim, upstream_model: free, free: true}
";

struct Nothing;

impl Sources for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read_file(&self, _: &Path) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}

pub fn config(text: &str) -> Config {
    let file = SourceText { name: "weir.yaml".to_owned(), text: text.to_owned() };
    match weir_config::load(Some(&file), Path::new("."), &Nothing) {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{diagnostics:#?}"),
    }
}

/// One admin plane with everything below it.
pub struct Plane {
    pub router: Router,
    pub parts: Parts,
    pub clock: ManualClock,
}

impl Plane {
    pub async fn start() -> Self {
        Self::with(memory().await, Master::Store).await
    }

    pub async fn with(database: Database, master: Master) -> Self {
        let clock = ManualClock::at_ten();
        let shared: SharedClock = Arc::new(clock.clone());
        let cache = Cache::open(CacheOptions::new(CacheLocation::Memory), shared.clone()).await;
        let configured = ConfiguredKey {
            key: CONFIGURED_KEY.to_owned().into(),
            owner: weir_store::database::KeyOwner {
                user: "configured".to_owned(),
                plan: Some("pro".to_owned()),
                tags: vec!["internal".to_owned()],
                ..Default::default()
            },
            byok: BTreeMap::new(),
        };
        let options = DirectoryOptions { configured: vec![configured] };
        let directory = Directory::start(database.clone(), options).await.unwrap();
        let rules = Arc::new(LiveRules::new(RuleSet::default(), 0));
        let parts = Parts {
            live: Live::new(Arc::new(config(CONFIG)), &ADMIN.to_owned().into()),
            rulebook: Rulebook::new(database.clone(), Some(rules.clone()), master, shared.clone()),
            rules,
            recorder: Recorder::start(database.clone(), RecorderOptions::default(), shared.clone()),
            database,
            cache,
            directory,
            clock: shared,
            metrics: Arc::new(|| "weir_up 1\n".to_owned()),
            abuse_service: None,
            reported_at: None,
            telemetry: None,
        };
        Self { router: weir_console::router(parts.clone()), parts, clock }
    }

    /// The same plane on a node that has reported so.
    pub fn reporting(&self, reported_at: weir_console::ReportedAt) -> Self {
        let parts = Parts { reported_at: Some(reported_at), ..self.parts.clone() };
        Self { router: weir_console::router(parts.clone()), parts, clock: self.clock.clone() }
    }

    /// Sends a request as it stands.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Calls with these headers.
    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Calls as the administrator.
    pub async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let token = format!("Bearer {ADMIN}");
        self.call_with(method, path, &[("authorization", &token)], body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Body::empty()).await
    }

    /// Sends JSON as the administrator.
    pub async fn json(&self, method: &str, path: &str, body: Value) -> Answer {
        let token = format!("Bearer {ADMIN}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        self.call_with(method, path, &headers, body.to_string()).await
    }

    /// Sends YAML as the administrator.
    pub async fn yaml(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = format!("Bearer {ADMIN}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/yaml")];
        self.call_with(method, path, &headers, body.to_owned()).await
    }

    /// Puts rules in force.
    pub async fn rules(&self, text: &str) {
        let answer = self.yaml("PUT", "/api/rules", text).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub async fn audited(&self) -> Vec<String> {
        let answer = self.get("/api/audit").await.ok();
        let items = answer["items"].as_array().unwrap();
        items.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    }
}

pub async fn memory() -> Database {
    Database::open(DatabaseOptions::new(DatabaseLocation::SqliteMemory)).await.unwrap()
}

pub fn identity(key: &str) -> IdentityKey {
    IdentityKey::from_stored(key)
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a good answer.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        self.value()
    }

    /// The problem of a bad answer, whose shape is checked.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.value();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }

    /// The paths of the faults of a bad answer.
    #[track_caller]
    pub fn faults(&self, status: u16) -> Vec<String> {
        let problem = self.problem(status);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["path"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
