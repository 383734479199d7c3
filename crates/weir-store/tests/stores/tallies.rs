//! Counts over time: all nodes add up, nothing is counted twice, keys are bounded, old ones go.

use std::sync::Arc;
use std::time::Duration;

use weir_core::decision::{Errored, Matched};
use weir_core::record::{REFUSED, Record};
use weir_core::stop::{RuleStop, StopWhy};
use weir_core::{Mode, Timestamp};
use weir_store::tally::{HOURS_KEPT, KEYS_MAX, MINUTES_KEPT, Resolution};
use weir_store::{Database, Recorder, RecorderOptions, TallyKey, TallyKind, TallyQuery};
use weir_testkit::ManualClock;

use super::support::{Place, at, id, on_both_databases, record, used};

on_both_databases! {
    what_is_filed_is_counted_by_its_kinds,
    nodes_add_up_and_identities_are_counted_once,
    a_range_is_read_in_steps,
    beyond_the_cap_all_are_other,
    old_counts_go,
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
