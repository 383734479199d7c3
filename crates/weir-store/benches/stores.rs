//! What the stores cost: CPU time of a record (serialising, SQLite's own thread and its file included), and of the
//! calls that a request makes in process. Run with `cargo bench -p weir-store`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and one that fails should panic"
)]

use std::hint::black_box;
use std::time::Duration;

use weir_core::record::{
    IdentityFacts, ProviderCall, Record, RecordedFacts, RequestFacts, RequestResult, Usage,
};
use weir_core::{Decision, DecisionId, IdentityKey, Matched, Mode, Timestamp};
use weir_store::clock::SystemClock;
use weir_store::{Cache, CacheLocation, CacheOptions, Database, DatabaseLocation, DatabaseOptions};
use weir_store::{LimitCharge, Recorder, RecorderOptions, StatsEvent};

const BATCH: i64 = 1_000;
const BATCHES: i64 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    records().await;
    filing().await;
    calls().await;
}

/// User and system time of all threads of this process, in seconds; to the hundredth.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

async fn records() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = DatabaseOptions::new(DatabaseLocation::Sqlite(folder.path().join("weir.db")));
    options.deadline = Duration::from_secs(60);
    let database = Database::open(options).await.unwrap();
    let batches: Vec<_> = (0..BATCHES).map(batch).collect();
    let body = serde_json::to_string(&batches[0][0]).unwrap().len();
    let before = cpu();
    for records in &batches {
        for record in records {
            black_box(serde_json::to_string(record).unwrap());
        }
    }
    let serialising = cpu() - before;
    let before = cpu();
    for records in &batches {
        database.write_records(records).await.unwrap();
    }
    let writing = cpu() - before;
    let each = |seconds: f64| seconds * 1e6 / (BATCH * BATCHES) as f64;
    println!("decision record of {body} bytes: serialising {:.2} us", each(serialising));
    println!("a record into SQLite: {:.2} us", each(writing));
    let size = std::fs::metadata(folder.path().join("weir.db")).unwrap().len();
    println!("a record on the disk: {:.0} bytes", size as f64 / (BATCH * BATCHES) as f64);
}

/// What a request pays when its record is filed: encoding, counting, queueing. Nothing is written meanwhile.
async fn filing() {
    const RECORDS: usize = 100_000;
    let options = RecorderOptions {
        flush_every: Duration::from_secs(3_600),
        batch_max: 10 * RECORDS,
        queue_max: 10 * RECORDS,
        ..RecorderOptions::default()
    };
    let database = Database::open(DatabaseOptions::new(DatabaseLocation::SqliteMemory)).await.unwrap();
    let recorder = Recorder::start(database, options, SystemClock::shared());
    let mut records: Vec<Record> = batch(0);
    for record in records.iter_mut().step_by(3) {
        let hit = |rule: &str| Matched {
            rule: rule.to_owned(),
            version: "0123456789abcdef".to_owned(),
            action: "log".to_owned(),
            mode: Mode::Enforce,
        };
        record.decision.matched = vec![hit("first-rule"), hit("second-rule")];
    }
    let mut report = Report { before: cpu(), calls: u32::try_from(RECORDS).unwrap() };
    for n in 0..RECORDS {
        recorder.file(black_box(&records[n % records.len()]));
    }
    report.line("filing a record: encoded, counted, queued");
}

fn batch(number: i64) -> Vec<Record> {
    let ids = (0..BATCH).map(|n| {
        let at = Timestamp::from_millisecond(1_790_000_000_000 + number * BATCH + n).unwrap();
        (DecisionId::new(at, rand::random()), at, format!("user:{}", (n * 7_919 + number) % 5_000))
    });
    ids.map(|(id, at, subject)| record(id, at, subject)).collect()
}

fn record(id: DecisionId, at: Timestamp, subject: String) -> Record {
    let request = RequestFacts {
        api: "chat_completions".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model: "openai/gpt-4o".to_owned(),
        provider: "openai".to_owned(),
        user_agent: "OpenAI/Python 2.3.0".to_owned(),
        ip: "203.0.113.7".to_owned(),
        ..RequestFacts::default()
    };
    let identity = IdentityFacts {
        key: subject.clone(),
        user_id: subject.trim_start_matches("user:").to_owned(),
        ..IdentityFacts::default()
    };
    let facts = RecordedFacts { request, identity, ..RecordedFacts::default() };
    let result = RequestResult {
        request_id: format!("req_{:032x}", id.as_u128()),
        status: 200,
        usage: Some(Usage { input_tokens: 100, output_tokens: 200, ..Usage::default() }),
        ..RequestResult::default()
    };
    let call = ProviderCall {
        key_id: Some("key_0123456789abcdef".to_owned()),
        requested_model: "openai/gpt-4o".to_owned(),
        upstream_model: "gpt-4o".to_owned(),
        provider: "openai".to_owned(),
        user_byok: false,
        message_id: Some(format!("chatcmpl-{:032x}", id.as_u128())),
    };
    Record { decision: Decision::unasked(id, subject, 7, at), result, facts, call: Some(call) }
}

async fn calls() {
    const CALLS: u32 = 2_000_000;
    let cache = Cache::open(CacheOptions::new(CacheLocation::Memory), SystemClock::shared()).await;
    let identities: Vec<_> = (0..10_000).map(|n| IdentityKey::from_stored(format!("user:{n}"))).collect();
    let hour = Duration::from_secs(3_600);
    let charges: Vec<_> =
        identities.iter().map(|i| [LimitCharge::new(i.as_str(), "rule:r", 100, hour)]).collect();
    let events = |n: u32| StatsEvent {
        requests: 1,
        ip: Some(format!("203.0.113.{}", n % 4)),
        ..StatsEvent::default()
    };
    for identity in &identities {
        cache.action_set(identity, "none").await.unwrap();
    }
    let mut report = Report { before: cpu(), calls: CALLS };
    for n in 0..CALLS {
        black_box(cache.action_get(&identities[n as usize % 10_000]).await.unwrap());
    }
    report.line("action_get in process");
    for n in 0..CALLS {
        black_box(cache.consume(&charges[n as usize % 10_000]).await);
    }
    report.line("consume of one limit in process");
    let now = SystemClock::shared().now();
    for n in 0..CALLS {
        cache.stats_add(&identities[n as usize % 10_000], events(n), now);
    }
    report.line("stats_add in process");
    for n in 0..CALLS {
        black_box(cache.stats_read(&identities[n as usize % 10_000], now).await);
    }
    report.line("stats_read in process");
}

struct Report {
    before: f64,
    calls: u32,
}

impl Report {
    fn line(&mut self, what: &str) {
        let now = cpu();
        println!("{what}: {:.0} ns", (now - self.before) * 1e9 / f64::from(self.calls));
        self.before = now;
    }
}
