//! Whether the node is alive, ready, and what it counts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use weir_store::{Dependency, DependencyState};

use crate::console::{Console, DependencyProbe, Shared};

/// Whether the node can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Readiness {
    /// All of it.
    Ready,
    /// Requests are served, but something that it depends on is not well.
    Degraded,
    /// It cannot be told who callers are or what to do with them: neither store answers.
    NotReady,
}

/// How the node and its dependencies are doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Report {
    pub(crate) status: Readiness,
    #[schema(value_type = std::collections::BTreeMap<String, DependencyReport>)]
    pub(crate) dependencies: BTreeMap<&'static str, DependencyReport>,
}

/// How one dependency is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DependencyReport {
    /// `up`, `degraded`, `down`; `off` when there is none.
    pub(crate) state: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) since: jiff::Timestamp,
    /// The last failure.
    pub(crate) error: Option<String>,
}

impl From<Dependency> for DependencyReport {
    fn from(dependency: Dependency) -> Self {
        Self { state: dependency.state.as_str(), since: dependency.since, error: dependency.error }
    }
}

/// Without the store keys that this node knows go on working, and without the cache it counts alone; without both
/// it can neither learn nor share anything.
fn readiness(store: DependencyState, cache: DependencyState, service: Option<DependencyState>) -> Readiness {
    use DependencyState::{Down, Up};
    match (store, cache, service) {
        (Down, Down, _) => Readiness::NotReady,
        (Up, Up, None | Some(Up)) => Readiness::Ready,
        _ => Readiness::Degraded,
    }
}

/// Whether the process is alive. Needs no token.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "service", security(()), responses((status = 200, description = "The process is alive", body = Object)))]
pub(crate) async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// Whether the node can serve, and how the store, the cache, the abuse service and the collector of telemetry are doing. Needs no token.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "service", security(()), responses(
    (status = 200, description = "Requests are served, if with less than all", body = Report),
    (status = 503, description = "Not ready", body = Report),
))]
pub(crate) async fn readyz(State(console): State<Console>) -> Response {
    let report = report(&console);
    let is_ready = report.status != Readiness::NotReady;
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(report)).into_response()
}

/// How the node is doing now.
pub(crate) fn report(console: &Shared) -> Report {
    let parts = &console.parts;
    let (store, cache) = (parts.database.state(), parts.cache.state());
    let probed = |probe: &Option<DependencyProbe>| probe.as_ref().map(|probe| probe());
    let (service, telemetry) = (probed(&parts.abuse_service), probed(&parts.telemetry));
    let status = readiness(store.state, cache.state, service.as_ref().map(|service| service.state));
    let off = || DependencyReport { state: "off", since: console.started, error: None };
    let dependencies = BTreeMap::from([
        ("store", store.into()),
        ("cache", cache.into()),
        ("abuse_service", service.map_or_else(off, Into::into)),
        // Shown only: a collector that takes nothing keeps weir from nothing.
        ("telemetry", telemetry.map_or_else(off, Into::into)),
    ]);
    Report { status, dependencies }
}

/// The node's metrics, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "service", responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(console): State<Console>) -> Response {
    let text = (console.parts.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dependency_that_is_gone_degrades_and_both_stores_make_unready() {
        use DependencyState::{Degraded, Down, Up};
        let table = [
            (Up, Up, None, Readiness::Ready),
            (Up, Up, Some(Up), Readiness::Ready),
            (Up, Up, Some(Down), Readiness::Degraded),
            (Degraded, Up, None, Readiness::Degraded),
            (Down, Up, None, Readiness::Degraded),
            (Up, Down, Some(Up), Readiness::Degraded),
            (Down, Down, None, Readiness::NotReady),
        ];
        for (store, cache, service, expected) in table {
            assert_eq!(readiness(store, cache, service), expected);
        }
    }
}
