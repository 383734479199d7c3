//! Decision and usage records: writing, paging, pruning, on both databases.

use std::time::Duration;

use weir_core::Boundary;
use weir_store::database::{DecisionFilter, Retention, UsageFilter};
use weir_store::{Database, ErrorKind};

use super::support::{Place, at, id, on_both_databases, record, used};

on_both_databases! {
    a_record_is_read_as_it_was_written,
    filters_narrow_the_list,
    blocks_that_overlap_are_listed_in_the_order_of_their_ids,
    paging_goes_through_everything_once_while_new_ones_come,
    more_records_than_one_statement_takes,
    old_and_surplus_records_are_pruned,
}

async fn a_record_is_read_as_it_was_written(place: Place) {
    let database = place.open().await;
    let one = used(record(1, "block", "user:ann", Some("r1")));
    database.write_records(std::slice::from_ref(&one)).await.unwrap();
    let mut again = one.clone();
    again.result.status = 500;
    database.write_records(&[again]).await.unwrap();
    assert_eq!(database.decision(&id(1)).await, Ok(Some(one.clone())), "writing again changes nothing");
    assert_eq!(database.decision(&id(2)).await, Ok(None));
    let page = database.usage(&UsageFilter { limit: 10, ..UsageFilter::default() }).await.unwrap();
    assert_eq!((page.items, page.next), (vec![one.usage().unwrap()], None));
    database.write_records(&[]).await.unwrap();
}

/// Requests end in another order than they began, some of them minutes later, and on several nodes.
async fn blocks_that_overlap_are_listed_in_the_order_of_their_ids(place: Place) {
    let database = place.open().await;
    // Each block holds ids from all over the last seconds and minutes.
    let blocks: Vec<Vec<i64>> =
        (0..20).map(|block| (0..30).map(|n| (n * 20 + block) * 700 % 600_000).collect()).collect();
    for times in &blocks {
        let records: Vec<_> = times.iter().map(|ms| record(*ms, "nothing", "user:ann", None)).collect();
        database.write_records(&records).await.unwrap();
    }
    let mut expected: Vec<i64> = blocks.concat();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    let mut filter = DecisionFilter { limit: 37, ..DecisionFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = database.decisions(&filter).await.unwrap();
        seen.extend(page.items.iter().map(|record| record.decision.id));
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected.iter().map(|ms| id(*ms)).collect::<Vec<_>>());
    for ms in [expected[0], expected[299], expected[599]] {
        assert!(database.decision(&id(ms)).await.unwrap().is_some(), "{ms}");
    }
    assert_eq!(database.decision(&id(1)).await, Ok(None), "an id between those that there are");
}

async fn filters_narrow_the_list(place: Place) {
    let database = place.open().await;
    let mut tool = record(5, "allow", "user:bob", None);
    tool.decision.boundary = Boundary::Tool;
    let mut failure = record(6, "rate_limited", "user:bob", Some("f1"));
    failure.decision.boundary = Boundary::Failure;
    // What was enforced is looked for, whatever else was decided: of a rule's limit, its 429.
    let limited = |ms, outcome, rule| {
        let mut record = record(ms, outcome, "user:eve", rule);
        record.result.limit = Some("rule:slow".to_owned());
        record
    };
    let mut own = record(9, "nothing", "user:eve", None);
    own.result.limit = Some("free-model".to_owned());
    let records = [
        record(1, "nothing", "user:ann", None),
        record(2, "block", "user:ann", Some("r1")),
        record(3, "quarantine-3", "user:bob", Some("r2")),
        record(4, "nothing", "user:bob", Some("r2")),
        tool,
        failure,
        limited(7, "nothing", None),
        limited(8, "quarantine-1", Some("r2")),
        own,
    ];
    database.write_records(&records).await.unwrap();
    let none = DecisionFilter { limit: 100, ..DecisionFilter::default() };
    let text = |text: &str| Some(text.to_owned());
    let table = [
        (none.clone(), vec![9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (DecisionFilter { boundary: Some(Boundary::Tool), ..none.clone() }, vec![5]),
        (DecisionFilter { outcome: text("nothing"), ..none.clone() }, vec![9, 4, 1]),
        (DecisionFilter { outcome: text("allow"), ..none.clone() }, vec![5]),
        (DecisionFilter { outcome: text("block"), ..none.clone() }, vec![2]),
        (DecisionFilter { outcome: text("rate_limited"), ..none.clone() }, vec![6]),
        (DecisionFilter { outcome: text("deny"), ..none.clone() }, vec![]),
        (DecisionFilter { subject: text("user:ann"), ..none.clone() }, vec![2, 1]),
        (DecisionFilter { subject: text("user:ann' OR 1=1 --"), ..none.clone() }, vec![]),
        (DecisionFilter { rule: text("r2"), ..none.clone() }, vec![4, 3]),
        (DecisionFilter { rule: text("r2"), outcome: text("nothing"), ..none.clone() }, vec![4]),
        (DecisionFilter { rule: text("slow"), ..none.clone() }, vec![8, 7]),
        (DecisionFilter { outcome: text("rate-limit"), ..none.clone() }, vec![8, 7]),
        (DecisionFilter { rule: text("slow"), outcome: text("rate-limit"), ..none.clone() }, vec![8, 7]),
        (DecisionFilter { rule: text("slow"), outcome: text("nothing"), ..none.clone() }, vec![]),
        (DecisionFilter { outcome: text("quarantine-1"), ..none.clone() }, vec![]),
        (DecisionFilter { since: Some(at(4)), ..none.clone() }, vec![9, 8, 7, 6, 5, 4]),
        (DecisionFilter { limit: 0, ..none.clone() }, vec![9]),
    ];
    for (filter, expected) in table {
        let page = database.decisions(&filter).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|r| r.decision.id).collect();
        assert_eq!(ids, expected.into_iter().map(id).collect::<Vec<_>>(), "{filter:?}");
    }
    let garbage = DecisionFilter { cursor: text("'; DROP TABLE decisions"), ..none };
    assert_eq!(database.decisions(&garbage).await.unwrap_err().kind(), ErrorKind::Refused);
}

async fn paging_goes_through_everything_once_while_new_ones_come(place: Place) {
    let database = place.open().await;
    let first: Vec<_> = (0..25).map(|n| used(record(n, "nothing", "user:ann", None))).collect();
    database.write_records(&first).await.unwrap();
    let mut filter =
        DecisionFilter { limit: 10, subject: Some("user:ann".to_owned()), ..DecisionFilter::default() };
    let mut uses = UsageFilter { limit: 10, subject: Some("user:ann".to_owned()), ..UsageFilter::default() };
    let (mut seen, mut seen_used, mut new) = (Vec::new(), Vec::new(), 100);
    loop {
        let page = database.decisions(&filter).await.unwrap();
        seen.extend(page.items.into_iter().map(|r| r.decision.id));
        let page_used = database.usage(&uses).await.unwrap();
        seen_used.extend(page_used.items.into_iter().map(|r| r.decision));
        assert_eq!(page.next, page_used.next);
        database.write_records(&[used(record(new, "block", "user:ann", None))]).await.unwrap();
        new += 1;
        match page.next {
            Some(next) => (filter.cursor, uses.cursor) = (Some(next.clone()), Some(next)),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).rev().map(id).collect::<Vec<_>>());
    assert_eq!(seen_used, seen);
}

async fn more_records_than_one_statement_takes(place: Place) {
    let database = place.open().await;
    let mut records: Vec<_> = (0..1_000).map(|n| record(n * 100, "log", "user:ann", Some("r"))).collect();
    records.splice(0..300, (0..300).map(|n| used(record(n * 100, "log", "user:ann", Some("r")))));
    database.write_records(&records).await.unwrap();
    assert_eq!(count(&database).await, (1_000, 300));
    let of_rule = DecisionFilter { rule: Some("r".to_owned()), limit: 1_000, ..DecisionFilter::default() };
    assert_eq!(database.decisions(&of_rule).await.unwrap().items.len(), 1_000);
}

/// Blocks go whole: each holds ten of these records.
async fn old_and_surplus_records_are_pruned(place: Place) {
    let database = place.open().await;
    let records: Vec<_> = (0..100).map(|n| record(n * 1_000, "log", "user:ann", None)).collect();
    database.write_records(&records).await.unwrap();
    let keep = |age_s, rows_max| Retention { age_max: Duration::from_secs(age_s), rows_max };
    let table = [
        (keep(1_000, 1_000), 0, 100),
        (keep(90, 1_000), 10, 90),
        (keep(85, 1_000), 0, 90),
        (keep(1_000, 60), 30, 60),
        (keep(1_000, 55), 0, 60),
        (keep(40, 5), 50, 10),
    ];
    for (retention, gone, left) in table {
        assert_eq!(database.prune(&retention, at(100_000)).await, Ok(gone), "{retention:?}");
        assert_eq!(count(&database).await.0, left, "{retention:?}");
        let logged =
            DecisionFilter { outcome: Some("log".to_owned()), limit: 1_000, ..DecisionFilter::default() };
        assert_eq!(database.decisions(&logged).await.unwrap().items.len(), left, "{retention:?}");
    }
    assert!(database.decision(&id(99_000)).await.unwrap().is_some(), "the newest stay");
}

async fn count(database: &Database) -> (usize, usize) {
    let all = DecisionFilter { limit: 1_000, ..DecisionFilter::default() };
    let used = UsageFilter { limit: 1_000, ..UsageFilter::default() };
    (database.decisions(&all).await.unwrap().items.len(), database.usage(&used).await.unwrap().items.len())
}
