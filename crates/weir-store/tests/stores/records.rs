//! Decision and usage records: writing, paging, pruning, on both databases.

use std::time::Duration;

use weir_core::record::Record;
use weir_core::{Boundary, DecisionId, Outcome};
use weir_store::database::{DecisionFilter, Look, ReplayRange, Retention, UsageFilter};
use weir_store::{Database, ErrorKind};

use super::support::{Place, at, id, on_both_databases, record, used};

on_both_databases! {
    a_record_is_read_as_it_was_written,
    filters_narrow_the_list,
    blocks_that_overlap_are_listed_in_the_order_of_their_ids,
    paging_goes_through_everything_once_while_new_ones_come,
    more_records_than_one_statement_takes,
    small_blocks_are_merged_and_nothing_is_lost,
    a_list_that_finds_little_says_how_far_it_looked,
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
        (DecisionFilter { subject: text("user:bob"), rule: text("r2"), ..none.clone() }, vec![4, 3]),
        (DecisionFilter { subject: text("user:ann"), rule: text("r2"), ..none.clone() }, vec![]),
        (
            DecisionFilter { subject: text("user:eve"), outcome: text("rate-limit"), ..none.clone() },
            vec![8, 7],
        ),
        (DecisionFilter { subject: text("user:eve"), outcome: text("nothing"), ..none.clone() }, vec![9]),
        (DecisionFilter { subject: text("user:ann"), outcome: text("rate-limit"), ..none.clone() }, vec![]),
        (DecisionFilter { boundary: Some(Boundary::Request), rule: text("r2"), ..none.clone() }, vec![4, 3]),
        (DecisionFilter { boundary: Some(Boundary::Tool), outcome: text("block"), ..none.clone() }, vec![]),
        (DecisionFilter { boundary: Some(Boundary::Tool), outcome: text("nothing"), ..none.clone() }, vec![]),
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

/// Every id of a list, page by page.
async fn listed(database: &Database, mut filter: DecisionFilter) -> Vec<DecisionId> {
    let mut seen = Vec::new();
    loop {
        let page = database.decisions(&filter).await.unwrap();
        seen.extend(page.items.iter().map(|record| record.decision.id));
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            return seen;
        }
    }
}

async fn replayed(database: &Database) -> (u64, Vec<DecisionId>) {
    let range = ReplayRange { since: at(0), until: None, boundary: None };
    let mut replay = database.replay(&range).await.unwrap();
    let (total, mut seen) = (replay.total(), Vec::new());
    while let Some(portion) = replay.next().await.unwrap() {
        portion.for_each(|past| seen.push(past.id)).unwrap();
    }
    (total, seen)
}

/// Slow traffic over an hour, most of it a record to a block, tool calls between, some written late.
async fn small_blocks_are_merged_and_nothing_is_lost(place: Place) {
    let database = place.open().await;
    let one = |n: i64| {
        let (outcome, rule) = if n % 50 == 7 { ("block", Some("r1")) } else { ("nothing", None) };
        let mut record = record(n * 4_321 % 3_600_000, outcome, &format!("user:{}", n % 90), rule);
        if n % 5 == 0 {
            (record.decision.boundary, record.decision.outcome) = (Boundary::Tool, Outcome::new("allow"));
        }
        record
    };
    let records: Vec<Record> = (0..900).map(one).collect();
    let batches: Vec<&[Record]> = records.chunks(1).collect();
    database.write_batches(&batches).await.unwrap();
    let filters = [
        DecisionFilter { limit: 70, ..DecisionFilter::default() },
        DecisionFilter { outcome: Some("block".to_owned()), limit: 3, ..DecisionFilter::default() },
        DecisionFilter { rule: Some("r1".to_owned()), limit: 100, ..DecisionFilter::default() },
        DecisionFilter { subject: Some("user:7".to_owned()), limit: 4, ..DecisionFilter::default() },
        DecisionFilter { boundary: Some(Boundary::Tool), limit: 50, ..DecisionFilter::default() },
    ];
    let mut before = Vec::new();
    for filter in &filters {
        before.push(listed(&database, filter.clone()).await);
    }
    let (total, in_order) = replayed(&database).await;
    assert_eq!((total, before[0].len(), before[1].len(), before[4].len()), (900, 900, 18, 180));

    // What lies in the running ten minutes, and in the two minutes before, is left alone.
    assert_eq!(database.merge(at(60_000)).await.unwrap(), 0);
    let fewer = database.merge(at(3_000_000)).await.unwrap();
    assert!((600..800).contains(&fewer), "{fewer}");
    assert_eq!(database.merge(at(3_000_000)).await.unwrap(), 0, "what is merged stays so");
    let fewer = database.merge(at(5_000_000)).await.unwrap();
    assert!((100..300).contains(&fewer), "{fewer}");
    for (filter, before) in filters.iter().zip(&before) {
        assert_eq!(&listed(&database, filter.clone()).await, before, "{filter:?}");
    }
    for record in records.iter().step_by(37) {
        assert_eq!(database.decision(&record.decision.id).await, Ok(Some(record.clone())));
    }
    assert_eq!(replayed(&database).await, (900, in_order.clone()));

    // A batch that was written, merged and, after a timeout, written again is there once.
    database.write_batches(&batches[..20]).await.unwrap();
    assert_eq!(listed(&database, filters[0].clone()).await, before[0]);
    assert_eq!(replayed(&database).await.1, in_order);
    database.merge(at(5_000_000)).await.unwrap();
    assert_eq!(listed(&database, filters[0].clone()).await, before[0]);
    let pruned = database.prune(&Retention { age_max: Duration::ZERO, rows_max: 0 }, at(5_000_000)).await;
    assert!(pruned.unwrap() >= 900);
    assert_eq!(listed(&database, filters[1].clone()).await, []);
}

async fn a_list_that_finds_little_says_how_far_it_looked(place: Place) {
    let database = place.open().await;
    let all: Vec<Record> = (0..20_000).map(|n| record(n * 10, "nothing", "user:ann", None)).collect();
    for records in all.chunks(1_000) {
        database.write_records(records).await.unwrap();
    }
    let wanted = id(30);
    let is_it = |record: &Record| record.decision.id == wanted;
    let look = Look { texts: &[], condition: Some(&is_it) };
    let mut filter = DecisionFilter { limit: 50, ..DecisionFilter::default() };
    let (mut pages, mut seen, mut looked_to) = (0, Vec::new(), at(1_000_000));
    loop {
        let page = database.search(&filter, &look).await.unwrap();
        seen.extend(page.items.iter().map(|record| record.decision.id));
        pages += 1;
        assert_eq!(
            page.searched_to.is_some(),
            page.next.is_some(),
            "it stops early, and says so, or is at the end"
        );
        let Some(next) = page.next else { break };
        let to = page.searched_to.unwrap();
        assert!(to < looked_to, "each page gets further");
        looked_to = to;
        filter.cursor = Some(next);
    }
    assert!((2..10).contains(&pages), "{pages} pages");
    assert_eq!(seen, [wanted]);
    // A text that stands nowhere is not even decoded, so that one page looks at everything.
    let texts = ["nothing-like-it".to_owned()];
    let filter = DecisionFilter { limit: 50, ..DecisionFilter::default() };
    let page = database.search(&filter, &Look { texts: &texts, condition: None }).await.unwrap();
    assert_eq!((page.items, page.next, page.searched_to), (vec![], None, None));
    let texts = ["QUOTED".to_owned()];
    let page = database.search(&filter, &Look { texts: &texts, condition: None }).await.unwrap();
    assert_eq!((page.items.len(), page.searched_to), (50, None), "in upper or lower case");
}
