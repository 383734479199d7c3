//! Replaying recorded decisions against a thousand rules: decompressing and reading the blocks as they are stored,
//! deciding, counting. `cargo bench -p weir-console`. One thread does all but what says otherwise.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up should say so and stop"
)]

#[path = "../../weir-rules/benches/decide/rules.rs"]
mod rules;

use std::sync::{Arc, LazyLock};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use weir_console::backtests::{Asked, Progress, run};
use weir_core::record::{
    IdentityFacts, ProviderCall, Record, RecordedFacts, RequestFacts, RequestResult, Stats, Usage,
};
use weir_core::{Decision, DecisionId, Source, Timestamp};
use weir_rules::replay::{Options, Rehearsal};
use weir_rules::{LoadOptions, RuleSet, SourceFile, load};
use weir_store::database::Portion;
use weir_store::{Database, DatabaseLocation, DatabaseOptions};

use rules::Mix;

const RECORDS: usize = 50_000;
const RULES: usize = 1_000;

fn at() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn set(mix: Mix) -> Arc<RuleSet> {
    let file = SourceFile { name: "bench.yaml".to_owned(), text: rules::text(mix, RULES) };
    Arc::new(load(&[file], &LoadOptions { now: at() }).unwrap().rules)
}

/// Requests of 5,000 identities with some fifty programs, as a busy gateway records them.
static TRAFFIC: LazyLock<Vec<Record>> = LazyLock::new(|| (0..RECORDS).map(record).collect());

fn record(n: usize) -> Record {
    let at = Timestamp::from_millisecond(at().as_millisecond() + n as i64).unwrap();
    let id = DecisionId::new(at, [7; 10]);
    let subject = format!("user:{}", n * 7_919 % 5_000);
    let request = RequestFacts {
        api: "chat_completions".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model: ["openai/gpt-4o", "anthropic/claude", "meta/llama"][n % 3].to_owned(),
        provider: "openai".to_owned(),
        stream: n.is_multiple_of(2),
        max_tokens: (n % 4_000) as i64,
        user_agent: format!("OpenAI/Python 2.{}.0", n % 50),
        ip: format!("203.0.113.{}", n % 250),
        ja4: "t13d1516h2_8daaf6152771_b186095e22b6".to_owned(),
        country: "DE".to_owned(),
        body_bytes: 2_000,
        ..RequestFacts::default()
    };
    let identity = IdentityFacts {
        key: subject.clone(),
        kind: "user".to_owned(),
        user_id: subject.trim_start_matches("user:").to_owned(),
        plan: ["free", "pro"][n % 2].to_owned(),
        tags: vec!["beta".to_owned()],
        ..IdentityFacts::default()
    };
    let stats = Stats { requests_1h: (n % 6_000) as i64, requests_per_second: 0.5, ..Stats::default() };
    let facts = RecordedFacts { request, identity, stats, stats_known: true, ..RecordedFacts::default() };
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
    let decision = Decision { source: Source::Fresh, ..Decision::unasked(id, subject, 7, at) };
    Record { decision, result, facts, call: Some(call) }
}

fn blocks(bencher: Bencher<'_, '_>, mix: Mix) {
    let (rules, portion) = (set(mix), Portion::of(&TRAFFIC).unwrap());
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut rehearsal = Rehearsal::new(Arc::clone(&rules), Options::default());
        black_box(&portion).for_each(|past| rehearsal.see(past)).unwrap();
        rehearsal.report(true)
    });
}

/// Stored blocks to a report, a thousand rules that lookups decide.
#[divan::bench(sample_count = 20)]
fn a_thousand_rules(bencher: Bencher<'_, '_>) {
    blocks(bencher, Mix::Indexable);
}

/// The same where a tenth of the rules has nothing that lookups decide.
#[divan::bench(sample_count = 10)]
fn a_tenth_not_indexable(bencher: Bencher<'_, '_>) {
    blocks(bencher, Mix::TenthNot);
}

/// The blocks alone: decompressed, put in order and read.
#[divan::bench(sample_count = 20)]
fn reading_alone(bencher: Bencher<'_, '_>) {
    let portion = Portion::of(&TRAFFIC).unwrap();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut seen = 0_usize;
        black_box(&portion).for_each(|past| seen += past.facts.request.model.len()).unwrap();
        seen
    });
}

/// From a SQLite file on, with one thread that reads ahead.
#[divan::bench(sample_count = 10)]
fn a_thousand_rules_from_sqlite(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let database = runtime.block_on(async {
        let location = DatabaseLocation::Sqlite(folder.path().join("weir.db"));
        let database = Database::open(DatabaseOptions::new(location)).await.unwrap();
        for records in TRAFFIC.chunks(1_000) {
            database.write_records(records).await.unwrap();
        }
        database
    });
    let rules = set(Mix::Indexable);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let asked = Asked { rules: Arc::clone(&rules), since: at(), until: None, boundary: None };
        runtime.block_on(run(&database, asked, &Progress::default())).unwrap()
    });
}

fn main() {
    divan::main();
}
