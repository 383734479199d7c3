//! How long the console's pages and the lists of the API take over a log of millions of records: each is asked of the
//! real router, over a store whose records and counts the real writers made.
//!
//! `cargo bench -p weir-console --bench pages`. Variables: `WEIR_BENCH_RECORDS` (300,000), `WEIR_BENCH_RATE` (requests a
//! second that the log was made at, which says how many records share a block; several with commas: 10000,40),
//! `WEIR_BENCH_STORES` (sqlite,postgres). Ten million records take about 2 GB for as long as it runs.
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
    reason = "a benchmark prints and is told its size by variables, and one that cannot be set up should say so and stop"
)]

#[path = "../tests/admin/browser.rs"]
mod browser;
#[path = "../../weir-store/benches/lists/fill.rs"]
mod fill;
#[path = "../../weir-store/benches/lists/places.rs"]
mod places;
#[path = "../tests/admin/plane.rs"]
mod plane;
#[path = "../../weir-store/benches/lists/traffic.rs"]
mod traffic;

use std::time::{Duration, Instant};

use weir_console::Master;
use weir_store::Database;

use browser::Browser;
use plane::Plane;
use traffic::{NOBODY, RARE_RULE, RARE_SUBJECT, Traffic};

/// The aim for the decision list's first page, and for all other pages.
const AIM_LIST: Duration = Duration::from_millis(100);
const AIM_PAGE: Duration = Duration::from_millis(1_000);

/// How often each page is asked for.
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() {
    places::each(measure).await;
}

async fn measure(database: Database, traffic: &Traffic) {
    let plane = Plane::with(database, Master::Store).await;
    let ahead = traffic.end().duration_since(plane.clock.now());
    plane.clock.advance(Duration::try_from(ahead).unwrap() + Duration::from_secs(1));
    let mut browser = Browser::signed_in(&plane, plane::ADMIN).await;
    println!("  {:52} {:>9} {:>9} {:>9}", "", "first", "median", "slowest");
    for (aim, what, path) in asked(traffic) {
        time(&plane, &mut browser, aim, what, &path).await;
    }
}

/// What is asked for: its aim, in words, its address.
fn asked(traffic: &Traffic) -> Vec<(Duration, &'static str, String)> {
    let (middle, oldest) = (traffic.id_at(0.5), traffic.id_at(0.001));
    let busy = traffic::subject(0);
    let list = |what, query: String| (AIM_LIST, what, format!("/decisions?{query}"));
    let page = |what, path: &str| (AIM_PAGE, what, path.to_owned());
    vec![
        list("list: first page", String::new()),
        (AIM_LIST, "list: first page, API, 100 records", "/api/decisions".to_owned()),
        (AIM_LIST, "list: first page, API, 1,000 records", "/api/decisions?limit=1000".to_owned()),
        list("list: from the middle on", format!("cursor={middle}")),
        list("list: the oldest", format!("cursor={oldest}")),
        list("list: tool calls", "boundary=tool".to_owned()),
        list("list: an outcome that all have", "outcome=nothing".to_owned()),
        list("list: an outcome of 1 %", "outcome=log".to_owned()),
        list("list: an outcome that none has", "outcome=quarantine-3".to_owned()),
        list("list: a rule of 1 %", "rule=watch-0".to_owned()),
        list("list: a rule that hit three times", format!("rule={RARE_RULE}")),
        list("list: a rule that none has", "rule=never".to_owned()),
        list("list: a busy identity", format!("subject={busy}")),
        list("list: an identity with five decisions", format!("subject={RARE_SUBJECT}")),
        list("list: an identity with none", format!("subject={NOBODY}")),
        list("list: an identity and an outcome of 1 %", format!("subject={RARE_SUBJECT}&outcome=log")),
        list("list: an identity with none and an outcome", format!("subject={NOBODY}&outcome=log")),
        list("list: an identity and a rule", format!("subject={NOBODY}&rule=watch-0")),
        list("search: what half of them have", "where=model%3Dopenai%2Fgpt-4o".to_owned()),
        list("search: what one of 5,000 has", "where=user_agent~curl".to_owned()),
        list("search: what none has", "where=user_agent~nothing-like-it".to_owned()),
        list("search: a number that none has", "where=status%3E599".to_owned()),
        list("search: a rule that matched nowhere", "where=matched%3Dnowhere".to_owned()),
        list("search: an outcome of 1 % and what none has", "outcome=log&where=status%3E599".to_owned()),
        (AIM_LIST, "one decision, of the middle", format!("/decisions/{middle}")),
        (AIM_LIST, "its explanation, API", format!("/api/decisions/{middle}/explanation")),
        (AIM_LIST, "a decision that does not exist", format!("/api/decisions/{}", traffic.no_id())),
        page("an identity: busy", &format!("/identities/{busy}")),
        page("an identity: five decisions", &format!("/identities/{RARE_SUBJECT}")),
        page("an identity: never seen", &format!("/identities/{NOBODY}")),
        page("an identity: never seen, API", &format!("/api/identities/{NOBODY}")),
        page("usage, first page, API", "/api/usage"),
        page("usage of an identity with none, API", &format!("/api/usage?subject={NOBODY}")),
        page("Now: an hour", "/?range=1h"),
        page("Now: a day", "/?range=24h"),
        page("Now: seven days", "/?range=7d"),
        page("Failures: a day", "/failures?since=24h"),
        page("Failures: 90 days", "/failures?since=90d"),
        page("Identities", "/identities"),
        page("Rules", "/rules"),
    ]
}

/// Asks for a page some times and prints how long that took.
async fn time(plane: &Plane, browser: &mut Browser<'_>, aim: Duration, what: &str, path: &str) {
    let (mut took, mut status, mut bytes) = (Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let answer = if path.starts_with("/api/") { plane.get(path).await } else { browser.get(path).await };
        took.push(begin.elapsed());
        (status, bytes) = (answer.status.as_u16(), answer.body.len());
    }
    let first = took[0];
    took.sort_unstable();
    let (median, slowest) = (took[ROUNDS / 2], took[ROUNDS - 1]);
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let mark = if median > aim { "  ABOVE ITS AIM" } else { "" };
    println!(
        "  {what:52} {:7.1}ms {:7.1}ms {:7.1}ms  {status} {bytes:>7} bytes{mark}",
        ms(first),
        ms(median),
        ms(slowest)
    );
}
