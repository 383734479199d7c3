//! The background log: it neither waits nor loses what was enforced, and says what it dropped.

use std::sync::Arc;
use std::time::Duration;

use weir_store::clock::SystemClock;
use weir_store::database::{DecisionFilter, Retention, UsageFilter};
use weir_store::{Database, DatabaseOptions, DependencyState, ErrorKind, Recorder, RecorderOptions};

use super::support::{Place, at, id, on_both_databases, record, until, used};

on_both_databases! {
    a_record_is_read_soon_after_it_was_filed,
    flushing_waits_for_everything_filed_before,
    the_last_handle_writes_what_is_left,
    old_records_go_by_themselves,
}

fn start(database: &Database, options: RecorderOptions) -> Recorder {
    Recorder::start(database.clone(), options, SystemClock::shared())
}

async fn count(database: &Database) -> usize {
    let all = DecisionFilter { limit: 1_000, ..DecisionFilter::default() };
    database.decisions(&all).await.unwrap().items.len()
}

async fn a_record_is_read_soon_after_it_was_filed(place: Place) {
    let database = place.open().await;
    let recorder = start(&database, RecorderOptions::default());
    let filed = used(record(1, "block", "user:ann", Some("r")));
    recorder.file(&filed);
    until("the record", async || database.decision(&id(1)).await.unwrap().is_some()).await;
    let page = database.usage(&UsageFilter { limit: 10, ..UsageFilter::default() }).await.unwrap();
    assert_eq!(page.items, [filed.usage().unwrap()], "what was used is told with it");
    assert_eq!(recorder.dropped(), 0);
}

async fn flushing_waits_for_everything_filed_before(place: Place) {
    let database = place.open().await;
    // Without the flush nothing would be written for an hour.
    let slow =
        RecorderOptions { flush_every: Duration::from_secs(3_600), batch_max: 100, ..Default::default() };
    let recorder = start(&database, slow);
    recorder.flush().await.unwrap();
    for n in 0..950 {
        let outcome = if n % 10 == 0 { "block" } else { "nothing" };
        recorder.file(&record(n, outcome, "user:ann", None));
    }
    recorder.flush().await.unwrap();
    assert_eq!((count(&database).await, recorder.pending()), (950, 0));
}

async fn the_last_handle_writes_what_is_left(place: Place) {
    let database = place.open().await;
    let slow =
        RecorderOptions { flush_every: Duration::from_secs(3_600), batch_max: 7, ..Default::default() };
    let recorder = start(&database, slow);
    for n in 0..20 {
        recorder.clone().file(&record(n, "nothing", "user:ann", None));
    }
    drop(recorder);
    until("the records", async || count(&database).await == 20).await;
}

async fn old_records_go_by_themselves(place: Place) {
    let database = place.open().await;
    let clock = weir_testkit::ManualClock::new(at(60_000));
    let options = RecorderOptions {
        retention: Retention { age_max: Duration::from_secs(30), rows_max: 1_000 },
        prune_every: Duration::from_millis(20),
        ..RecorderOptions::default()
    };
    let recorder = Recorder::start(database.clone(), options, Arc::new(clock));
    for n in 0..60 {
        recorder.file(&record(n * 1_000, "nothing", "user:ann", None));
    }
    recorder.flush().await.unwrap();
    // Blocks go whole, and one holds ten seconds.
    until("the old half to go", async || count(&database).await == 30).await;
}

/// Another process that writes and does not finish: the database takes nothing meanwhile.
async fn lock(place: &Place) -> sqlx::SqliteConnection {
    use sqlx::Connection as _;
    let weir_store::DatabaseLocation::Sqlite(path) = place.options().url else {
        unreachable!("it is a file")
    };
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn when_the_database_takes_nothing_enforced_decisions_are_kept_and_others_dropped() {
    const ROOM: usize = 100;
    let place = Place::sqlite();
    let options = DatabaseOptions { deadline: Duration::from_secs(1), ..place.options() };
    let database = Database::open(options).await.unwrap();
    let mut other = lock(&place).await;
    let options = RecorderOptions {
        queue_max: ROOM,
        batch_max: 10,
        deadline: Duration::from_secs(60),
        flush_deadline: Duration::from_millis(50),
        ..RecorderOptions::default()
    };
    let recorder = start(&database, options);

    // None of these waits: they are not even asynchronous, and the database takes nothing before the end of this test.
    for n in 0..500 {
        recorder.file(&record(n, "nothing", "user:ann", None));
    }
    for n in 1_000..1_150 {
        recorder.file(&record(n, "block", "user:ann", Some("r")));
    }
    assert!(recorder.pending() <= 2 * ROOM, "{}", recorder.pending());
    assert!(recorder.dropped() >= 400, "{}", recorder.dropped());
    assert_eq!(
        recorder.flush().await.unwrap_err().kind(),
        ErrorKind::Timeout,
        "nor does flushing wait for ever"
    );
    until("the breaker to open", async || database.state().state == DependencyState::Down).await;

    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    until("everything that was kept to be written", async || recorder.pending() == 0).await;
    let blocked =
        DecisionFilter { outcome: Some("block".to_owned()), limit: 1_000, ..DecisionFilter::default() };
    let patient = place.open().await;
    let kept = patient.decisions(&blocked).await.unwrap().items.len();
    assert_eq!(kept, 150, "every enforced decision is there");
    let all = count(&patient).await;
    assert_eq!(all as u64 + recorder.dropped(), 650, "what is not there was counted");
}

#[tokio::test]
async fn an_enforced_decision_does_not_wait_longer_than_the_deadline() {
    let place = Place::sqlite();
    let options = DatabaseOptions { deadline: Duration::from_secs(1), ..place.options() };
    let database = Database::open(options).await.unwrap();
    let mut other = lock(&place).await;
    let options = RecorderOptions {
        queue_max: 10,
        batch_max: 5,
        deadline: Duration::from_millis(200),
        ..RecorderOptions::default()
    };
    let recorder = start(&database, options);
    for n in 0..50 {
        recorder.file(&record(n, "block", "user:ann", None));
    }
    assert!(
        recorder.pending() <= 20 && recorder.dropped() >= 30,
        "{} {}",
        recorder.pending(),
        recorder.dropped()
    );
    until("those that wait to be let go", async || recorder.dropped() == 40).await;
    assert_eq!(recorder.pending(), 10);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    recorder.flush().await.unwrap();
    assert_eq!(count(&place.open().await).await, 10);
}

#[tokio::test]
async fn a_record_that_the_database_refuses_takes_no_other_with_it() {
    let place = Place::postgres();
    let database = place.open().await;
    let recorder = start(&database, RecorderOptions::default());
    for n in 0..20 {
        // PostgreSQL stores no NUL in a text.
        let rule = if n == 7 { "r\0" } else { "r" };
        recorder.file(&used(record(n, "block", "user:ann", Some(rule))));
    }
    recorder.flush().await.unwrap();
    assert_eq!((count(&database).await, recorder.dropped()), (19, 1));
    let used = database.usage(&UsageFilter { limit: 100, ..UsageFilter::default() }).await.unwrap();
    assert_eq!(used.items.len(), 19);
    assert_eq!(database.state().state, DependencyState::Up);
}
