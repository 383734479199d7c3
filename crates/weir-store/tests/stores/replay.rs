//! Replaying the decision log: everything in a time once, from the oldest to the newest, on both databases.

use weir_core::{Boundary, DecisionId};
use weir_store::Database;
use weir_store::database::ReplayRange;

use super::support::{Place, at, id, on_both_databases, record, used};

on_both_databases! {
    records_are_replayed_in_the_order_of_their_decisions,
    a_time_and_a_boundary_narrow_a_replay,
}

async fn replayed(database: &Database, range: &ReplayRange) -> Vec<DecisionId> {
    let mut replay = database.replay(range).await.unwrap();
    let mut seen = Vec::new();
    let mut read = 0;
    while let Some(portion) = replay.next().await.unwrap() {
        read += portion.records();
        portion.for_each(|past| seen.push(past.id)).unwrap();
    }
    assert_eq!(read, replay.total(), "the total is what is read");
    seen
}

fn range(since: i64, until: Option<i64>, boundary: Option<Boundary>) -> ReplayRange {
    ReplayRange { since: at(since), until: until.map(at), boundary }
}

/// Blocks are written by several nodes, and requests end in another order than they began.
async fn records_are_replayed_in_the_order_of_their_decisions(place: Place) {
    let database = place.open().await;
    for block in 0..20 {
        let times = (0..30).map(|n| (n * 20 + block) * 700 % 600_000);
        let records: Vec<_> = times.map(|ms| record(ms, "nothing", "user:ann", None)).collect();
        database.write_records(&records).await.unwrap();
    }
    let seen = replayed(&database, &range(0, None, None)).await;
    let mut expected: Vec<i64> = (0..600).map(|n| n * 700 % 600_000).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected.iter().map(|ms| id(*ms)).collect::<Vec<_>>());
    assert_eq!(replayed(&database, &range(10_000_000, None, None)).await, []);
}

async fn a_time_and_a_boundary_narrow_a_replay(place: Place) {
    let database = place.open().await;
    let mut tool = record(2_500, "allow", "user:ann", None);
    tool.decision.boundary = Boundary::Tool;
    let requests = [1_000, 2_000, 3_000, 30_000].map(|ms| used(record(ms, "nothing", "user:ann", None)));
    database.write_records(&[&requests[..], &[tool]].concat()).await.unwrap();
    let table = [
        (range(0, None, None), &[1_000, 2_000, 2_500, 3_000, 30_000][..]),
        (range(2_000, Some(3_000), None), &[2_000, 2_500]),
        (range(2_000, Some(3_000), Some(Boundary::Request)), &[2_000]),
        // Failures lie in the records of requests.
        (range(0, Some(2_000), Some(Boundary::Failure)), &[1_000]),
        (range(0, None, Some(Boundary::Tool)), &[2_500]),
    ];
    for (range, expected) in table {
        let mut replay = database.replay(&range).await.unwrap();
        let mut seen = Vec::new();
        while let Some(portion) = replay.next().await.unwrap() {
            portion.for_each(|past| seen.push(past.id)).unwrap();
        }
        assert_eq!(seen, expected.iter().map(|ms| id(*ms)).collect::<Vec<_>>(), "{range:?}");
    }
}
