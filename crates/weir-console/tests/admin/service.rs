//! Health, metrics, the description of the API, and the listener.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_store::{Dependency, DependencyState};

use crate::browser::Browser;
use crate::plane::{ADMIN, Plane};

#[tokio::test]
async fn readiness_shows_each_dependency() {
    let mut plane = Plane::start().await;
    assert_eq!(plane.call_with("GET", "/healthz", &[], Body::empty()).await.ok(), json!({"status": "ok"}));
    let ready = plane.call_with("GET", "/readyz", &[], Body::empty()).await.ok();
    assert_eq!(ready["status"], "ready");
    let dependencies = ready["dependencies"].as_object().unwrap();
    assert_eq!(dependencies.keys().collect::<Vec<_>>(), ["abuse_service", "cache", "store", "telemetry"]);
    assert_eq!(
        (&ready["dependencies"]["store"]["state"], &ready["dependencies"]["store"]["error"]),
        (&json!("up"), &json!(null))
    );
    assert_eq!(ready["dependencies"]["abuse_service"]["state"], "off");
    assert_eq!(ready["dependencies"]["telemetry"]["state"], "off");
    assert!(ready["dependencies"]["cache"]["since"].is_string());

    let since = plane.clock.now();
    plane.parts.telemetry = Some(Arc::new(move || Dependency {
        state: DependencyState::Degraded,
        since,
        error: Some("connection refused".to_owned()),
    }));
    plane.router = weir_console::router(plane.parts.clone());
    let noted = plane.get("/readyz").await.ok();
    assert_eq!(noted["status"], "ready", "a collector keeps weir from nothing");
    assert_eq!(
        noted["dependencies"]["telemetry"],
        json!({"state": "degraded", "since": "2026-11-20T10:00:00Z", "error": "connection refused"})
    );
    let now = Browser::signed_in(&plane, ADMIN).await.get("/").await.text();
    assert!(
        now.contains("<div class=\"cell\">telemetry</div>") && now.contains("connection refused"),
        "{now}"
    );

    plane.parts.abuse_service = Some(Arc::new(move || Dependency {
        state: DependencyState::Down,
        since,
        error: Some("no answer".to_owned()),
    }));
    plane.router = weir_console::router(plane.parts.clone());
    let degraded = plane.get("/readyz").await.ok();
    assert_eq!(degraded["status"], "degraded");
    assert_eq!(
        degraded["dependencies"]["abuse_service"],
        json!({"state": "down", "since": "2026-11-20T10:00:00Z", "error": "no answer"})
    );
}

#[tokio::test]
async fn metrics_are_rendered_as_text() {
    let plane = Plane::start().await;
    let answer = plane.get("/metrics").await;
    assert_eq!(answer.text(), "weir_up 1\n");
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
}

/// `WEIR_BLESS=1 cargo test -p weir-console` writes the file anew.
#[tokio::test]
async fn the_committed_description_is_what_is_served() {
    let plane = Plane::start().await;
    let served = plane.get("/api/openapi.json").await.ok();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&served).unwrap());
    #[expect(clippy::disallowed_methods, reason = "a test is told so by its caller")]
    if std::env::var("WEIR_BLESS").is_ok() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "docs/openapi.json is not what is served: run the tests with WEIR_BLESS=1 and commit it"
    );
}

/// The reference for people: the same, as a table within docs/http.md. `WEIR_BLESS=1` writes it anew too.
#[test]
fn the_reference_lists_what_is_served() {
    const BEGIN: &str = "<!-- the admin plane's endpoints, written by a test -->\n";
    const END: &str = "<!-- end -->";
    let document = serde_json::to_value(weir_console::openapi()).unwrap();
    let mut table = String::from("\n| endpoint | what it does | parameters |\n|---|---|---|\n");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let said =
                |member: &str| operation[member].as_str().unwrap_or_default().split("\n\n").next().unwrap();
            let said = if said("summary").is_empty() { said("description") } else { said("summary") };
            let said = said.replace('\n', " ").replace('|', "\\|");
            assert!(!said.is_empty(), "{method} {path} does not say what it does");
            let parameters: Vec<String> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| format!("`{}`", parameter["name"].as_str().unwrap()))
                .collect();
            table += &format!("| `{} {path}` | {said} | {} |\n", method.to_uppercase(), parameters.join(" "));
        }
    }
    table.push('\n');
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (committed, after) = rest.split_once(END).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test is told so by its caller")]
    if std::env::var("WEIR_BLESS").is_ok() {
        std::fs::write(&file, [before, BEGIN, &table, END, after].concat()).unwrap();
        return;
    }
    assert!(
        committed == table,
        "docs/http.md is not what is served: run the tests with WEIR_BLESS=1 and commit it"
    );
}

#[tokio::test]
async fn the_description_lists_the_routes_of_the_design() {
    let document = serde_json::to_value(weir_console::openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let routes = [
        ("/api/rules", "get put post"),
        ("/api/rules/{id}", "get put delete"),
        ("/api/rules/check", "post"),
        ("/api/rules/history", "get"),
        ("/api/rules/rollback", "post"),
        ("/api/keys", "get post"),
        ("/api/keys/{id}", "delete"),
        ("/api/decisions", "get"),
        ("/api/decisions/{id}", "get"),
        ("/api/usage", "get"),
        ("/api/identities/{key}", "get"),
        ("/api/identities/{key}/action", "delete"),
        ("/api/identities/{key}/exemption", "put delete"),
        ("/api/identities/{key}/tags", "put"),
        ("/api/actions", "delete"),
        ("/api/audit", "get"),
        ("/api/classify", "post"),
        ("/api/usage/cost", "post"),
        ("/api/auth-event", "post"),
        ("/api/events", "post"),
        ("/api/approvals", "get"),
        ("/api/approvals/{id}", "get post delete"),
        ("/access/v1/evaluation", "post"),
        ("/access/v1/evaluations", "post"),
        ("/api/openapi.json", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    ];
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "each operation has an id of its own: {ids:?}");
    for (path, methods) in routes {
        for method in methods.split(' ') {
            let operation = &document["paths"][path][method];
            assert!(operation.is_object(), "{method} {path}");
            let described = operation["responses"].as_object().unwrap();
            assert!(!described.is_empty(), "{method} {path}");
        }
    }
}

async fn serving(router: Router) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(weir_console::serve(router, listener, stop.clone()));
    (address, stop, server)
}

#[tokio::test]
async fn a_request_in_flight_is_answered_after_the_stop_and_idle_connections_end() {
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (seen, wait) = (arrived.clone(), release.clone());
    let slow = get(async move || {
        seen.notify_one();
        wait.notified().await;
        "done"
    });
    let (address, stop, server) = serving(Router::new().route("/slow", slow)).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    arrived.notified().await;
    stop.cancel();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "an idle connection is closed");
    assert!(!server.is_finished());
    release.notify_one();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_plane_is_served_on_a_real_socket() {
    let plane = Plane::start().await;
    let (address, stop, server) = serving(plane.router.clone()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /api/rules HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("application/problem+json"));
    stop.cancel();
    server.await.unwrap();
}
