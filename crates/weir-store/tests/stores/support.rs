//! What the tests of the stores share: databases of both kinds, records, waiting for a state.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tempfile::TempDir;
use weir_core::record::{ProviderCall, Record, RecordedFacts, RequestResult, Usage};
use weir_core::{Decision, DecisionId, Outcome, Timestamp};
use weir_store::clock::SystemClock;
use weir_store::{Database, DatabaseLocation, DatabaseOptions};
use weir_testkit::PostgresServer;
use weir_testkit::deadline::PATIENCE;

/// Where a test's database is; it can be opened any number of times.
pub enum Place {
    File(TempDir),
    Server { _server: Arc<PostgresServer>, url: String },
}

impl Place {
    pub fn sqlite() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    /// A fresh database of a server that all tests running at this time share.
    pub fn postgres() -> Self {
        static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut shared = SHARED.lock().unwrap();
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(PostgresServer::start()));
        *shared = Arc::downgrade(&server);
        let url = server.create_database(&format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        Self::Server { _server: server, url }
    }

    pub fn options(&self) -> DatabaseOptions {
        let url = match self {
            Self::File(folder) => DatabaseLocation::Sqlite(folder.path().join("data/weir.db")),
            Self::Server { url, .. } => DatabaseLocation::Postgres(url.clone().into()),
        };
        DatabaseOptions { url, deadline: Duration::from_secs(20) }
    }

    pub async fn open(&self) -> Database {
        Database::open(self.options()).await.unwrap()
    }
}

/// Makes a test of each body for SQLite and for PostgreSQL.
macro_rules! on_both_databases {
    ($($(#[$note:meta])* $name:ident),* $(,)?) => {
        mod sqlite {
            $($(#[$note])* #[tokio::test] async fn $name() {
                super::$name($crate::stores::support::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $($(#[$note])* #[tokio::test] async fn $name() {
                super::$name($crate::stores::support::Place::postgres()).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;

/// 10:00 on a day in November, and so many milliseconds.
pub fn at(ms: i64) -> Timestamp {
    let ten: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    Timestamp::from_millisecond(ten.as_millisecond() + ms).unwrap()
}

/// The id of the decision made at that time.
pub fn id(ms: i64) -> DecisionId {
    DecisionId::new(at(ms), [7; 10])
}

/// A record of a request that ended before a provider was called.
pub fn record(ms: i64, outcome: &str, subject: &str, rule: Option<&str>) -> Record {
    let mut decision = Decision::unasked(id(ms), subject.to_owned(), 3, at(ms));
    decision.outcome = Outcome::new(outcome);
    decision.rule = rule.map(str::to_owned);
    let mut facts = RecordedFacts::default();
    facts.request.user_agent = "it's \"quoted\"; \u{1F512}".to_owned();
    facts.identity.tags = vec!["a".to_owned(), "b".to_owned()];
    Record { decision, result: RequestResult { status: 200, ..RequestResult::default() }, facts, call: None }
}

/// The same with a provider's answer.
pub fn used(mut record: Record) -> Record {
    record.facts.request.stream = true;
    record.result.abuse_delay = Some(2_000);
    record.result.usage =
        Some(Usage { input_tokens: 3, output_tokens: 4, cost_microusd: 9, ..Usage::default() });
    record.call = Some(ProviderCall {
        key_id: Some("key_1".to_owned()),
        requested_model: "m".to_owned(),
        upstream_model: "m-1".to_owned(),
        provider: "sim".to_owned(),
        user_byok: false,
        message_id: None,
    });
    record
}

/// Asks again and again until it is so: for states of other processes, which nobody announces.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let asked = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !so().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// The time of the system's clock, as the stores under test see it.
pub fn now() -> Timestamp {
    SystemClock::shared().now()
}
