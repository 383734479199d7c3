//! Limits: windows over the recorded sequence.

use std::sync::Arc;
use std::time::Duration;

use weir_core::record::{Past, Record, RecordedFacts, RequestResult};
use weir_core::{Boundary, Decision, DecisionId, Source};
use weir_rules::replay::{Effect, Options, Rehearsal};

use crate::support::{at, moves, of, replay, set};

fn request(subject: &str, second: u64, limit: Option<&str>) -> Record {
    let at = at() + Duration::from_secs(second);
    let id = DecisionId::new(at, [3; 10]);
    let decision = Decision { source: Source::Fresh, ..Decision::unasked(id, subject.to_owned(), 1, at) };
    let result = RequestResult {
        limit: limit.map(str::to_owned),
        ended_at: limit.map(|_| "limit".to_owned()),
        ..RequestResult::default()
    };
    Record { decision, result, facts: RecordedFacts::default(), call: None }
}

const TWO_A_MINUTE: (&str, &str) = ("true", "then: {rate-limit: {requests: 2, per: 1m}}");

#[test]
fn a_window_begins_with_the_first_request_and_every_identity_has_its_own() {
    let rules = set("request", &of(&[TWO_A_MINUTE]));
    let records = [
        request("user:a", 0, None),
        request("user:a", 1, None),
        request("user:b", 2, None),
        // The third in the window, and the fourth.
        request("user:a", 30, None),
        request("user:a", 59, Some("rule:r0")),
        // The next window.
        request("user:a", 60, None),
        request("user:a", 61, Some("rule:old")),
        request("user:a", 119, None),
    ];
    let report = replay(&rules, &records);
    assert_eq!(
        moves(&report, Boundary::Request),
        ["limited -> limited: 1", "limited -> nothing: 1", "nothing -> limited: 2", "nothing -> nothing: 4"]
    );
    assert_eq!(report.decisions(Effect::NewlyLimited), 2);
    assert_eq!(report.decisions(Effect::Freed), 1);
}

#[test]
fn what_is_blocked_is_not_counted() {
    let rules = set("request", &of(&[TWO_A_MINUTE, ("request.free", "then: block")]));
    let mut records = [0, 1, 2, 3].map(|second| request("user:a", second, None));
    records[0].facts.request.free = true;
    records[1].facts.request.free = true;
    let report = replay(&rules, &records);
    assert_eq!(moves(&report, Boundary::Request), ["nothing -> block: 2", "nothing -> nothing: 2"]);
}

#[test]
fn records_before_the_time_open_windows_and_count_nothing_else() {
    let rules = set("request", &of(&[TWO_A_MINUTE]));
    let options = Options { counted_from: Some(at() + Duration::from_secs(30)), ..Options::default() };
    let mut rehearsal = Rehearsal::new(Arc::clone(&rules), options);
    assert_eq!(rehearsal.warm_up_s(), 60);
    for second in [0, 10, 40, 61] {
        rehearsal.see(&Past::from(&request("user:a", second, None)));
    }
    let report = rehearsal.report(true);
    assert_eq!(report.records, 2);
    assert_eq!(moves(&report, Boundary::Request), ["nothing -> limited: 1", "nothing -> nothing: 1"]);
}
