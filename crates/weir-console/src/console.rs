//! What the handlers share.

use std::sync::Arc;

use axum::Router;
use jiff::Timestamp;
use weir_core::clock::SharedClock;
use weir_rules::LiveRules;
use weir_store::{Cache, Database, Dependency, Directory, Recorder};

use crate::abuse::asked::Asked;
use crate::access::ToolPoint;
use crate::backtests::Jobs;
use crate::live::Live;
use crate::rulebook::Rulebook;
use crate::session::Attempts;
use crate::shown_once::ShownOnce;
use crate::{layers, routes};

/// Renders `/metrics`.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;
/// Says how a dependency is doing.
pub type DependencyProbe = Arc<dyn Fn() -> Dependency + Send + Sync>;

/// When this node has last sent a report of failures of a class, a provider and an owner.
pub type ReportedAt = Arc<dyn Fn(&str, &str, &str) -> Option<Timestamp> + Send + Sync>;

/// What the admin plane is made of.
#[derive(Clone)]
pub struct Parts {
    /// The configuration and the credentials in it.
    pub live: Live,
    /// The rules in force on this node.
    pub rules: Arc<LiveRules>,
    /// The book in which rules are written; made with the same live rules.
    pub rulebook: Rulebook,
    /// The durable store.
    pub database: Database,
    /// The shared short memory.
    pub cache: Cache,
    /// Keys and identities in memory.
    pub directory: Directory,
    /// Files the records of classifications.
    pub recorder: Recorder,
    /// The time.
    pub clock: SharedClock,
    /// Renders `/metrics`.
    pub metrics: RenderMetrics,
    /// How the remote classifier is doing, where one is configured.
    pub abuse_service: Option<DependencyProbe>,
    /// What this node has reported; none where nothing reports.
    pub reported_at: Option<ReportedAt>,
    /// How the collector of traces and metrics is doing, where one is configured.
    pub telemetry: Option<DependencyProbe>,
}

/// The parts, and what the handlers remember.
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) asked: Asked,
    pub(crate) backtests: Jobs,
    pub(crate) sign_ins: Attempts,
    pub(crate) shown_once: ShownOnce,
    pub(crate) started: Timestamp,
    pub(crate) tool_point: Option<Arc<dyn ToolPoint>>,
}

/// The state of every handler.
pub(crate) type Console = Arc<Shared>;

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Makes this node follow its own write at once. The write itself is done: a failure only means that the node
    /// follows it as late as the others do.
    pub(crate) async fn follow_own_write(&self) {
        if let Err(error) = self.parts.directory.refresh().await {
            tracing::warn!(%error, "an own write will be followed with the next poll of the feed");
        }
    }

    /// Notes in the audit list who did what. What was done stays done when that fails, and the log says so.
    pub(crate) async fn audit(&self, author: &str, action: &str, subject: &str, detail: serde_json::Value) {
        let noted = self.parts.database.audit(author, action, subject, &detail, self.now()).await;
        if let Err(error) = noted {
            tracing::error!(%error, author, action, subject, "the audit list could not take an entry");
        }
    }
}

/// Everything of the admin plane, on a node without a gate before tools.
pub fn router(parts: Parts) -> Router {
    router_with(parts, None)
}

/// Everything of the admin plane; what programs ask about tool calls is asked of `tool_point`.
pub fn router_with(parts: Parts, tool_point: Option<Arc<dyn ToolPoint>>) -> Router {
    let started = parts.clock.now();
    let console = Arc::new(Shared {
        parts,
        asked: Asked::default(),
        backtests: Jobs::default(),
        sign_ins: Attempts::default(),
        shown_once: ShownOnce::default(),
        started,
        tool_point,
    });
    layers::harden(routes::router(console))
}
