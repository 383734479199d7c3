use weir_core::decision::{Limit, Mode};
use weir_core::record::Usage;

use super::*;

fn record(ms: i64, subject: &str, boundary: Boundary) -> Record {
    let at = Timestamp::from_nanosecond(1_790_000_000_000_000_000 + i128::from(ms) * 1_000_000 + 7).unwrap();
    let mut decision = Decision::unasked(DecisionId::new(at, [7; 10]), subject.to_owned(), 3, at);
    decision.boundary = boundary;
    decision.outcome = Outcome::new("quarantine-2");
    decision.rule = Some("r".to_owned());
    decision.because = Some("it is".to_owned());
    decision.matched = vec![Matched {
        rule: "r".to_owned(),
        version: "v".to_owned(),
        action: "log".to_owned(),
        mode: Mode::Shadow,
    }];
    decision.errored = vec![Errored { rule: "e".to_owned(), error: "x".to_owned() }];
    decision.obligations = vec![
        Obligation::DelayMs(6_000),
        Obligation::RateLimit(Limit { rule: "l".to_owned(), requests: 3, per_s: 60 }),
    ];
    let mut record =
        Record { decision, result: RequestResult::default(), facts: RecordedFacts::default(), call: None };
    record.result.usage = Some(Usage { input_tokens: u64::MAX, estimated: ms == 4, ..Usage::default() });
    record.result.timings.total_ms = 0.1 + 0.2;
    record.facts.identity.tags = vec!["a".to_owned(), String::new()];
    record.facts.stats.spend_1h_usd = 1e-9;
    if ms % 2 == 0 {
        record.call = Some(ProviderCall { message_id: Some("m".to_owned()), ..ProviderCall::default() });
    }
    record
}

fn blocks(records: &[Record]) -> Result<Vec<Block>> {
    let prepared = records.iter().map(Prepared::of).collect::<Result<Vec<_>>>()?;
    super::blocks(&prepared)
}

#[test]
fn records_are_read_as_they_were_written_in_blocks_of_one_boundary_and_ten_seconds() {
    let times = [5, 3, 10_001, 4, 9_999, 25_000];
    let mut records: Vec<Record> =
        times.iter().map(|ms| record(*ms, "user:ann", Boundary::Request)).collect();
    records.push(record(6, "user:bob", Boundary::Tool));
    let blocks = blocks(&records).unwrap();
    assert_eq!(
        blocks.iter().map(|b| (b.records, b.calls)).collect::<Vec<_>>(),
        [(4, 1), (1, 0), (1, 1), (1, 1)]
    );
    let mut seen = Vec::new();
    for block in &blocks {
        let body = Body::open(block.boundary, &block.body).unwrap();
        let read: Vec<Record> = body.entries().map(|entry| entry.unwrap().record().unwrap()).collect();
        assert!(read.iter().all(|r| r.decision.boundary == block.boundary));
        assert_eq!((read[0].decision.id, read[read.len() - 1].decision.id), (block.first, block.last));
        assert!(read.is_sorted_by_key(|r| r.decision.id));
        assert_eq!(block.notable.len(), block.records, "each has a notable outcome");
        seen.extend(read);
    }
    seen.sort_by_key(|r| r.decision.id);
    records.sort_by_key(|r| r.decision.id);
    assert_eq!(seen, records);
}

/// What an earlier version wrote is read by this one: members are only ever added at the end.
#[test]
fn members_that_were_added_later_have_their_defaults() {
    #[derive(Serialize)]
    struct Before(
        i64,
        &'static str,
        &'static str,
        (),
        (),
        (),
        i64,
        [(); 0],
        [(); 0],
        [(); 0],
        Source,
        u64,
        Old,
        Old,
    );
    #[derive(Serialize)]
    struct Old();
    let before = Before(0, "s", "nothing", (), (), (), 0, [], [], [], Source::Fresh, 1, Old(), Old());
    let restored: Restored = rmp_serde::from_slice(&rmp_serde::to_vec(&before).unwrap()).unwrap();
    assert_eq!((restored.result, restored.facts), (RequestResult::default(), RecordedFacts::default()));
    assert_eq!(restored.call, None);
    let before = rmp_serde::to_vec(&(7, 3, 2, 1, 98)).unwrap();
    let usage = Usage {
        input_tokens: 7,
        output_tokens: 3,
        cache_read_tokens: 2,
        cache_write_tokens: 1,
        ..Usage::default()
    };
    assert_eq!(rmp_serde::from_slice::<Usage>(&before).unwrap(), Usage { cost_microusd: 98, ..usage });
}

#[test]
fn a_damaged_body_is_an_error() {
    let records = [record(1, "user:ann", Boundary::Request)];
    let block = &blocks(&records).unwrap()[0];
    assert!(Body::open(Boundary::Request, &block.body[..block.body.len() - 1]).is_err());
    let entries = lz4_flex::block::decompress_size_prepended(&block.body).unwrap();
    let cut = Body { boundary: Boundary::Request, entries: entries[..entries.len() - 1].to_vec() };
    assert_eq!(cut.entries().filter(Result::is_err).count(), 1);
}

#[test]
fn the_filter_holds_every_subject_and_few_others() {
    let subjects: Vec<String> = (0..1_000).map(|n| format!("user:{n}")).collect();
    let filter = filter_of(subjects.iter().map(|s| subject_hash(s)).collect());
    assert!(filter.len() <= 2_500, "{} bytes", filter.len());
    assert!(subjects.iter().all(|s| may_hold(&filter, subject_hash(s))));
    let others = (0..10_000).filter(|n| may_hold(&filter, subject_hash(&format!("other:{n}")))).count();
    assert!(others < 30, "{others} of 10,000");
    assert!(!may_hold(&[], subject_hash("user:1")));
}
