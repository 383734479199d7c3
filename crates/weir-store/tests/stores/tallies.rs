//! Counts over time: all nodes add up, nothing is counted twice, keys are bounded, old ones go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weir_core::decision::{Errored, Matched};
use weir_core::record::{REFUSED, Record};
use weir_core::stop::{RuleStop, StopWhy};
use weir_core::{Mode, Timestamp};
use weir_store::tally::{HOURS_KEPT, KEYS_MAX, MINUTES_KEPT, Resolution};
use weir_store::{Database, Recorder, RecorderOptions, Tally, TallyKey, TallyKind, TallyQuery};
use weir_testkit::ManualClock;

use super::support::{Place, at, id, on_both_databases, record, used};

on_both_databases! {
    what_is_filed_is_counted_by_its_kinds,
    nodes_add_up_and_identities_are_counted_once,
    a_range_is_read_in_steps,
    beyond_the_cap_all_are_other,
    old_counts_go,
    days_and_hours_give_what_hours_give,
    a_version_is_stopped_once,
}

/// A recorder that writes only when it is flushed.
fn node(database: &Database, clock: &ManualClock) -> Recorder {
    let options = RecorderOptions { flush_every: Duration::from_secs(3_600), ..RecorderOptions::default() };
    Recorder::start(database.clone(), options, Arc::new(clock.clone()))
}

fn hit(rule: &str, mode: Mode) -> Matched {
    let (version, action) = ("v1".to_owned(), "block".to_owned());
    Matched { rule: rule.to_owned(), version, action, mode }
}

fn with_rules(mut record: Record, matched: &[Matched]) -> Record {
    record.decision.matched = matched.to_vec();
    record
}

fn rule(rule: &str, mode: &str) -> TallyKey {
    let word = |word: &str| word.to_owned();
    TallyKey::Rule {
        rule: word(rule),
        version: word("v1"),
        mode: word(mode),
        action: word("block"),
        boundary: word("request"),
    }
}

fn minutes(from: i64, until: i64) -> TallyQuery {
    TallyQuery::totals(at(from * 60_000), at(until * 60_000))
}

async fn count_of(database: &Database, query: &TallyQuery, key: &TallyKey) -> Option<u64> {
    let tallies = database.tallies(query).await.unwrap();
    tallies.into_iter().find(|tally| tally.key == *key).map(|tally| tally.count)
}

async fn what_is_filed_is_counted_by_its_kinds(place: Place) {
    let database = place.open().await;
    let clock = ManualClock::new(at(0));
    let recorder = node(&database, &clock);
    let both = [hit("bad", Mode::Enforce), hit("watched", Mode::Shadow)];
    let mut blocked = with_rules(record(1, "block", "user:ann", Some("bad")), &both);
    blocked.result.error_type = Some("abuse_blocked".to_owned());
    blocked.result.ended_at = Some("enforce".to_owned());
    blocked.decision.errored =
        vec![Errored { rule: "broken".to_owned(), error: "no such member".to_owned() }];
    recorder.file(&blocked);
    recorder.file(&used(record(2, "nothing", "user:bob", None)));
    // Refused by weir itself: not "nothing".
    let mut stranger = record(3, "nothing", "", None);
    stranger.result.error_type = Some("invalid_api_key".to_owned());
    stranger.result.ended_at = Some("identify".to_owned());
    recorder.file(&stranger);
    // What a provider did is no refusal of weir's.
    let mut failed = record(4, "nothing", "user:bob", None);
    failed.result.error_type = Some("temporarily_unavailable".to_owned());
    failed.result.ended_at = Some("send".to_owned());
    failed.result.failure_class = Some("network".to_owned());
    recorder.file(&failed);
    recorder.flush().await.unwrap();

    let tallies = database.tallies(&minutes(0, 1)).await.unwrap();
    let counted = |key: &TallyKey| tallies.iter().find(|tally| tally.key == *key);
    let request = |outcome: &str| TallyKey::Request { outcome: outcome.to_owned() };
    let refusal = |error_type: &str, stage: &str| TallyKey::Refusal {
        error_type: error_type.to_owned(),
        stage: stage.to_owned(),
        limit: String::new(),
    };
    let broken = TallyKey::RuleError { rule: "broken".to_owned(), boundary: "request".to_owned() };
    let expected = [
        request("block"),
        request("nothing"),
        request(REFUSED),
        refusal("abuse_blocked", "enforce"),
        refusal("invalid_api_key", "identify"),
        refusal("temporarily_unavailable", "send"),
        rule("bad", "enforce"),
        rule("watched", "shadow"),
        broken,
    ];
    for key in &expected {
        let tally = counted(key).unwrap_or_else(|| panic!("{key:?}"));
        let count = if *key == request("nothing") { 2 } else { 1 };
        assert_eq!((tally.count, tally.identities), (count, Some(1)), "{key:?}");
    }
    assert_eq!(tallies.len(), expected.len());
    let nothing = counted(&expected[1]).unwrap();
    assert_eq!(
        (nothing.sums.input_tokens, nothing.sums.cost_microusd, nothing.sums.delay_us),
        (3, 9, 2_000_000)
    );
    assert_eq!((nothing.first_seen, nothing.samples.as_slice()), (at(2), [id(4), id(2)].as_slice()));

    let of_bad = database.tallies(&minutes(0, 1).of_rule("bad")).await.unwrap();
    assert_eq!(of_bad.iter().map(|tally| &tally.key).collect::<Vec<_>>(), [&rule("bad", "enforce")]);
    let of_kind = database.tallies(&minutes(0, 1).of(TallyKind::Request)).await.unwrap();
    assert_eq!(of_kind.len(), 3);
    assert!(database.tallies(&minutes(1, 2)).await.unwrap().is_empty(), "the minute after");
}

async fn nodes_add_up_and_identities_are_counted_once(place: Place) {
    let database = place.open().await;
    let clock = ManualClock::new(at(0));
    let nodes = [node(&database, &clock), node(&database, &clock)];
    // Identities 0 to 59 on the one, 30 to 89 on the other, in two flushes and two minutes.
    for (number, recorder) in (0..).zip(&nodes) {
        for n in 0..60 {
            let subject = format!("user:{}", number * 30 + n);
            recorder.file(&with_rules(
                record(number * 100 + n, "block", &subject, None),
                &[hit("bad", Mode::Enforce)],
            ));
            if n == 29 {
                recorder.flush().await.unwrap();
            }
        }
        recorder.flush().await.unwrap();
        recorder.flush().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    for query in [minutes(0, 2), minutes(0, 300)] {
        let tallies = database.tallies(&query.clone().of(TallyKind::Rule)).await.unwrap();
        let [tally] = tallies.as_slice() else { panic!("{tallies:?}") };
        assert_eq!(tally.count, 120, "{:?}", query.resolution());
        let identities = tally.identities.unwrap();
        assert!((81..=99).contains(&identities), "about 90, not {identities}");
        let newest: Vec<_> = (155..160).rev().map(id).collect();
        assert_eq!(tally.samples, newest);
        assert_eq!((tally.first_seen, tally.last_seen), (at(0), at(159)));
    }
    assert_eq!(minutes(0, 300).resolution(), Resolution::Hour);
}

async fn a_range_is_read_in_steps(place: Place) {
    let database = place.open().await;
    let clock = ManualClock::new(at(0));
    let recorder = node(&database, &clock);
    for minute in 0..12 {
        for n in 0..=minute {
            recorder.file(&record(minute * 60_000 + n, "nothing", "user:ann", None));
        }
        recorder.flush().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    let counts = async |query: TallyQuery| -> Vec<(Timestamp, u64)> {
        let tallies = database.tallies(&query).await.unwrap();
        tallies.into_iter().map(|tally| (tally.at, tally.count)).collect()
    };
    let five = Duration::from_secs(300);
    let expected = vec![(at(0), 15), (at(300_000), 40), (at(600_000), 23)];
    assert_eq!(counts(minutes(2, 12).in_steps(five)).await, expected, "whole steps, also the first");
    let hour = minutes(0, 12).in_steps(Duration::from_secs(3600));
    assert_eq!(counts(hour).await, [(at(0), 78)]);
}

async fn beyond_the_cap_all_are_other(place: Place) {
    let database = place.open().await;
    let clock = ManualClock::new(at(0));
    let recorder = node(&database, &clock);
    let rules = KEYS_MAX + 50;
    for n in 0..rules {
        let hits = [hit(&format!("rule-{n}"), Mode::Shadow)];
        recorder.file(&with_rules(record(1, "nothing", "user:ann", None), &hits));
    }
    recorder.flush().await.unwrap();
    let tallies = database.tallies(&minutes(0, 1).of(TallyKind::Rule)).await.unwrap();
    let other = TallyKey::Other { of: TallyKind::Rule };
    let others = tallies.iter().find(|tally| tally.key == other).unwrap().count;
    assert_eq!((tallies.len(), others), (KEYS_MAX + 1, 50));
    assert_eq!(tallies.iter().map(|tally| tally.count).sum::<u64>(), rules as u64, "none is lost");
}

async fn old_counts_go(place: Place) {
    let database = place.open().await;
    let clock = ManualClock::new(at(0));
    let recorder = node(&database, &clock);
    recorder.file(&record(1, "nothing", "user:ann", None));
    recorder.flush().await.unwrap();
    let key = TallyKey::Request { outcome: "nothing".to_owned() };
    let (minute, hour) = (minutes(0, 1), minutes(0, 300));
    let cases = [
        (Duration::from_secs(3600), Some(1), Some(1)),
        (MINUTES_KEPT + Duration::from_secs(120), None, Some(1)),
        (HOURS_KEPT + Duration::from_secs(7200), None, None),
    ];
    for (age, in_minutes, in_hours) in cases {
        database.tallies_prune(at(0) + age).await.unwrap();
        let left = (count_of(&database, &minute, &key).await, count_of(&database, &hour, &key).await);
        assert_eq!(left, (in_minutes, in_hours), "{age:?}");
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % bound).unwrap()
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap()]
    }
}

/// Two nodes count what comes in so many hours.
async fn count_for(hours: i64, database: &Database, clock: &ManualClock, dice: &mut Dice) {
    let nodes = [node(database, clock), node(database, clock)];
    for hour in 0..hours {
        for node in &nodes {
            for n in 0..dice.below(4) {
                let subject = format!("user:{}", dice.below(90));
                let outcome = dice.one_of(&["nothing", "log", "block"]);
                let made = record(hour * 3_600_000 + n, outcome, &subject, None);
                node.file(&with_rules(used(made), &[hit(dice.one_of(&["a", "b"]), Mode::Enforce)]));
            }
            node.flush().await.unwrap();
        }
        clock.advance(HOUR);
    }
}

/// Totals of a range as those of its pieces, which are too short to hold a day, and so are read from hours.
async fn united(database: &Database, query: &TallyQuery) -> Vec<Tally> {
    let mut united: BTreeMap<TallyKey, Tally> = BTreeMap::new();
    let mut since = query.since;
    while since < query.until {
        // Pieces meet at whole hours, and are long enough not to be read from minutes.
        let until = query.until.min(Timestamp::from_second((since.as_second() / 3600 + 8) * 3600).unwrap());
        for tally in database.tallies(&TallyQuery { since, until, ..query.clone() }).await.unwrap() {
            let Some(sum) = united.get_mut(&tally.key) else {
                united.insert(tally.key.clone(), Tally { at: query.begin(), ..tally });
                continue;
            };
            sum.count += tally.count;
            sum.first_seen = sum.first_seen.min(tally.first_seen);
            sum.last_seen = sum.last_seen.max(tally.last_seen);
            sum.sums.input_tokens += tally.sums.input_tokens;
            sum.sums.output_tokens += tally.sums.output_tokens;
            sum.sums.cost_microusd += tally.sums.cost_microusd;
            sum.sums.delay_us += tally.sums.delay_us;
            sum.samples.extend(tally.samples);
            sum.samples.sort_unstable_by(|a, b| b.cmp(a));
            sum.samples.truncate(weir_store::tally::SAMPLES_MAX);
            let who = sum.who.as_mut().unwrap();
            who.unite(tally.who.as_ref().unwrap());
            sum.identities = Some(who.count_among(sum.count));
        }
        since = until;
    }
    united.into_values().collect()
}

async fn days_and_hours_give_what_hours_give(place: Place) {
    let database = place.open().await;
    let clock = ManualClock::new(at(0));
    let mut dice = Dice(17);
    count_for(150, &database, &clock, &mut dice).await;
    let mut seen = 0;
    for _ in 0..40 {
        let mut time = |hours: u64| at(dice.below(hours * 3_600_000));
        let (since, until) = (time(60), time(160));
        // The last piece is not to be read from minutes.
        let until = until.max(since) + Duration::from_secs(4 * 3600);
        let query = match dice.below(3) {
            0 => TallyQuery::totals(since, until).of_rule("a"),
            1 => TallyQuery::totals(since, until).of(TallyKind::Request),
            _ => TallyQuery::totals(since, until),
        };
        let mut expected = united(&database, &query).await;
        let mut found = database.tallies(&query).await.unwrap();
        for tallies in [&mut expected, &mut found] {
            tallies.sort_by(|a, b| a.key.cmp(&b.key));
        }
        assert_eq!(found, expected, "{query:?}");
        seen += found.len();

        // In steps of whole days, and in hours.
        let begin = Timestamp::from_second(query.since.as_second() / 172_800 * 172_800).unwrap();
        let in_two_days = TallyQuery { since: begin, ..query.clone() }.in_steps(48 * HOUR);
        let in_hours = TallyQuery { since: begin, ..query.clone() }.in_steps(HOUR);
        let sum = async |query: &TallyQuery| {
            database.tallies(query).await.unwrap().iter().map(|tally| tally.count).sum::<u64>()
        };
        assert_eq!(sum(&in_two_days).await, sum(&in_hours).await, "{query:?}");
    }
    assert!(seen > 100, "{seen}");

    // A day of which a part is kept no longer is read from the hours that are left.
    database.tallies_prune(clock.now() + (HOURS_KEPT - 60 * HOUR)).await.unwrap();
    let all = TallyQuery::totals(at(0), clock.now()).of(TallyKind::Request);
    assert_eq!(database.tallies(&all).await.unwrap(), united(&database, &all).await);
}

async fn a_version_is_stopped_once(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    let stop = |rule: &str, version: &str| RuleStop {
        rule: rule.to_owned(),
        version: version.to_owned(),
        at: at(5),
        why: StopWhy::Paying,
        hit: 1,
        seen: 7,
        decision: id(5),
    };
    let position = one.changes_position().await.unwrap();
    let told =
        [one.rule_stop(&stop("a", "v1")).await.unwrap(), other.rule_stop(&stop("a", "v1")).await.unwrap()];
    assert_eq!(told, [true, false], "two nodes at once");
    assert!(one.rule_stop(&stop("a", "v2")).await.unwrap(), "another version");
    assert!(!one.rule_resume("a", "v3", "ada", at(6)).await.unwrap());
    assert!(other.rule_resume("a", "v1", "ada", at(6)).await.unwrap());
    assert!(!one.rule_stop(&stop("a", "v1")).await.unwrap(), "an operator has lifted it");
    let stops = other.rule_stops().await.unwrap();
    let of = |version: &str| stops.iter().find(|stored| stored.stop.version == version).unwrap();
    assert_eq!((of("v1").resumed_at, of("v1").resumed_by.as_deref()), (Some(at(6)), Some("ada")));
    assert_eq!((&of("v2").stop, of("v2").in_force()), (&stop("a", "v2"), true));
    assert_eq!(one.changes_since(position).await.unwrap().1.len(), 3, "each is told to all nodes, once");
    let actions: Vec<String> =
        one.audit_list(None, 10).await.unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["rules.resume", "rules.stop", "rules.stop"]);
}
