//! Fills a database by the store's own writers: the log in the batches that the background log writes, and the counts of
//! 90 days by recorders whose clock is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use weir_core::failure::{Class, CredentialOwner, Owner, Report, Retry};
use weir_core::record::{FailedAttempt, NextStep, Record, RecordedEvidence};
use weir_core::{Matched, Mode};
use weir_store::{Database, Recorder, RecorderOptions};
use weir_testkit::ManualClock;

use crate::traffic::Traffic;

/// Records that one transaction takes; the background log would take more of them for slow traffic, and as many for fast.
const PER_TRANSACTION: u64 = 2_000;

pub async fn records(database: &Database, traffic: &Traffic) {
    let batch = usize::try_from(traffic.batch()).unwrap();
    let mut next = 0;
    while next < traffic.records {
        let end = (next + PER_TRANSACTION).min(traffic.records);
        let records: Vec<Record> = (next..end).map(|n| traffic.record(n)).collect();
        let batches: Vec<&[Record]> = records.chunks(batch).collect();
        database.write_batches(&batches).await.unwrap();
        next = end;
    }
}

/// Requests that are counted in an hour, and in a minute of the last day: a failed call of each class with each. More
/// identities than a sketch keeps one by one, so that it has its full size.
const HOURLY: u64 = 80;
const MINUTELY: u64 = 10;

/// Counts: each hour of 90 days, each minute of the last one, on two nodes.
pub async fn counts(database: &Database, traffic: &Traffic) {
    let clock = ManualClock::new(before(traffic, 90 * 24 * 60));
    let options = RecorderOptions { flush_every: Duration::from_secs(3_600), ..RecorderOptions::default() };
    let start = || Recorder::start(database.clone(), options, Arc::new(clock.clone()));
    let nodes = [start(), start()];
    let mut number = 0;
    while clock.now() < traffic.end() {
        let last_day = clock.now() >= before(traffic, 24 * 60);
        let (records, step) = if last_day { (MINUTELY, 60) } else { (HOURLY, 3_600) };
        for node in &nodes {
            for _ in 0..records {
                number += 1;
                node.file(&counted(traffic, number, clock.now()));
            }
            node.flush().await.unwrap();
        }
        clock.advance(Duration::from_secs(step));
    }
}

fn before(traffic: &Traffic, minutes: i64) -> Timestamp {
    traffic.end().checked_sub(SignedDuration::from_mins(minutes)).unwrap()
}

/// A request at this time at which calls failed and rules matched.
fn counted(traffic: &Traffic, number: u64, at: Timestamp) -> Record {
    let mut record = traffic.record_at(number, at);
    record.decision.matched = (0..3).map(|n| rule(number * 3 + n)).collect();
    let classes = Class::ALL.into_iter().take(8);
    record.result.failures = classes.map(|class| failed(class, &record)).collect();
    record
}

fn rule(number: u64) -> Matched {
    Matched {
        rule: format!("rule-{}", number % 60),
        version: "0123456789abcdef".to_owned(),
        action: "log".to_owned(),
        mode: if number.is_multiple_of(4) { Mode::Shadow } else { Mode::Enforce },
    }
}

fn failed(class: Class, record: &Record) -> FailedAttempt {
    FailedAttempt {
        number: 1,
        model: record.facts.request.model.clone(),
        provider: record.facts.request.provider.clone(),
        credential: CredentialOwner::Platform,
        key: 0,
        class,
        owner: Owner::Provider,
        retry: Retry::Same,
        report: Report::Log,
        rule: None,
        because: None,
        matched: Vec::new(),
        errored: Vec::new(),
        evidence: RecordedEvidence::default(),
        next: NextStep::End,
        wait_ms: 0,
        skipped: Vec::new(),
    }
}
