//! How long the lists of decisions take over a log of millions of records that the store's own writers made, in SQLite and
//! in PostgreSQL.
//!
//! `cargo bench -p weir-store --bench lists`. Variables: `WEIR_BENCH_RECORDS` (300,000), `WEIR_BENCH_RATE` (requests a
//! second that the log was made at, which says how many records share a block; several with commas: 10000,40),
//! `WEIR_BENCH_STORES` (sqlite,postgres). Ten million records take one to three GB for as long as it runs.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a benchmark prints and is told its size by variables, one that cannot be set up should say so and stop, and its numbers are small"
)]

#[path = "lists/fill.rs"]
mod fill;
#[path = "lists/places.rs"]
mod places;
#[path = "lists/traffic.rs"]
mod traffic;

use std::time::{Duration, Instant};

use weir_core::Boundary;
use weir_core::record::Record;
use weir_store::database::{DecisionFilter, Look, UsageFilter};
use weir_store::{Database, StoreError, TallyKind, TallyQuery};

use traffic::{NOBODY, RARE_RULE, RARE_SUBJECT, Traffic};

/// The aim for the decision list's first page.
const AIM: Duration = Duration::from_millis(100);

/// How often each list is asked for.
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() {
    places::each(measure).await;
}

async fn measure(database: Database, traffic: &Traffic) {
    println!("  {:52} {:>9} {:>9} {:>9}", "", "first", "median", "slowest");
    for (what, filter) in filters(traffic) {
        time(what, async || {
            let page = database.decisions(&filter).await?;
            Ok((page.items.len(), page.searched_to.is_some()))
        })
        .await;
    }
    searches(&database).await;
    others(&database, traffic).await;
}

fn filters(traffic: &Traffic) -> Vec<(&'static str, DecisionFilter)> {
    let all = DecisionFilter { limit: 50, ..DecisionFilter::default() };
    let text = |text: &str| Some(text.to_owned());
    let of = |subject: &str| DecisionFilter { subject: text(subject), ..all.clone() };
    let with = |outcome: &str| DecisionFilter { outcome: text(outcome), ..all.clone() };
    let by = |rule: &str| DecisionFilter { rule: text(rule), ..all.clone() };
    let from = |part: f64| DecisionFilter { cursor: Some(traffic.id_at(part).to_string()), ..all.clone() };
    vec![
        ("first page, 50", all.clone()),
        ("first page, 1,000", DecisionFilter { limit: 1_000, ..all.clone() }),
        ("from the middle on", from(0.5)),
        ("the oldest", from(0.001)),
        ("tool calls", DecisionFilter { boundary: Some(Boundary::Tool), ..all.clone() }),
        ("an outcome that nearly all have", with("nothing")),
        ("an outcome of 1 %", with("log")),
        ("an outcome that none has", with("quarantine-3")),
        ("a rule of 1 %", by("watch-0")),
        ("a rule that hit three times", by(RARE_RULE)),
        ("a rule that none has", by("never")),
        ("a busy identity", of(&traffic::subject(0))),
        ("an identity with five decisions", of(RARE_SUBJECT)),
        ("an identity with none", of(NOBODY)),
        ("an identity with five and an outcome", DecisionFilter { outcome: text("log"), ..of(RARE_SUBJECT) }),
        ("an identity with none and an outcome", DecisionFilter { outcome: text("log"), ..of(NOBODY) }),
        (
            "a busy identity and a rare rule",
            DecisionFilter { rule: text(RARE_RULE), ..of(&traffic::subject(0)) },
        ),
        (
            "a rule and an outcome that it never had",
            DecisionFilter { outcome: text("deny"), ..by("watch-0") },
        ),
    ]
}

async fn searches(database: &Database) {
    let all = DecisionFilter { limit: 50, ..DecisionFilter::default() };
    let has = |text: &'static str| move |record: &Record| record.facts.request.user_agent.contains(text);
    for (what, text) in [
        ("search: a text that one of 50 has", "Python 2.9.0"),
        ("search: a text that one of 5,000 has", "curl/8.5.0"),
        ("search: a text that none has", "nothing-like-it"),
    ] {
        let (texts, condition) = ([text.to_owned()], has(text));
        let look = Look { texts: &texts, condition: Some(&condition) };
        time(what, async || {
            let page = database.search(&all, &look).await?;
            Ok((page.items.len(), page.searched_to.is_some()))
        })
        .await;
    }
    let condition = |record: &Record| record.result.status > 599;
    let look = Look { texts: &[], condition: Some(&condition) };
    time("search: a number that none has", async || {
        let page = database.search(&all, &look).await?;
        Ok((page.items.len(), page.searched_to.is_some()))
    })
    .await;
}

async fn others(database: &Database, traffic: &Traffic) {
    for (what, id) in [("one decision", traffic.id_at(0.5)), ("one that there is not", traffic.no_id())] {
        time(what, async || Ok((database.decision(&id).await?.iter().count(), false))).await;
    }
    let usage = UsageFilter { subject: Some(NOBODY.to_owned()), limit: 100, ..UsageFilter::default() };
    time("usage of an identity with none", async || Ok((database.usage(&usage).await?.items.len(), false)))
        .await;
    let day = Duration::from_secs(24 * 3_600);
    for (what, days, kind, step) in [
        ("Now: requests of a day in 15 minutes", 1, TallyKind::Request, Some(900)),
        ("Now: requests of 7 days in two hours", 7, TallyKind::Request, Some(7_200)),
        ("Failures: of a day", 1, TallyKind::Failure, None),
        ("Failures: of 90 days", 90, TallyKind::Failure, None),
        ("Rules: of 7 days", 7, TallyKind::Rule, None),
    ] {
        let since = traffic.end().checked_sub(day * days).unwrap();
        let query = TallyQuery::totals(since, traffic.end()).of(kind);
        let query = step.map_or(query.clone(), |step| query.in_steps(Duration::from_secs(step)));
        time(what, async || Ok((database.tallies(&query).await?.len(), false))).await;
    }
}

/// Asks some times and prints how long that took.
async fn time(what: &str, ask: impl AsyncFn() -> Result<(usize, bool), StoreError>) {
    let (mut took, mut found) = (Vec::new(), (0, false));
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        match ask().await {
            Ok(answer) => found = answer,
            Err(error) => return println!("  {what:52} {error}"),
        }
        took.push(begin.elapsed());
    }
    let first = took[0];
    took.sort_unstable();
    let [first, median, slowest] =
        [first, took[ROUNDS / 2], took[ROUNDS - 1]].map(|duration| duration.as_secs_f64() * 1e3);
    let (items, stopped) = found;
    let mark = if median > AIM.as_secs_f64() * 1e3 { "  ABOVE 100 ms" } else { "" };
    let stopped = if stopped { ", stopped early" } else { "" };
    println!("  {what:52} {first:7.1}ms {median:7.1}ms {slowest:7.1}ms  {items} found{stopped}{mark}");
}
