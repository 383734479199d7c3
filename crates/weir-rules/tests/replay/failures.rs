//! Failures: what a record keeps of them, classified again.

use weir_core::record::{FailedAttempt, NextStep, Record, RecordedFacts, RequestFacts, RequestResult};
use weir_core::{Boundary, Decision, DecisionId, Source};
use weir_dialect::failure::{Evidence, FailureInput};
use weir_rules::failure::{About, Circumstances, UpstreamFailure};
use weir_rules::replay::{Effect, Why};
use weir_rules::{EvaluateContext, RuleSet};

use crate::support::{at, moves, of, replay, set, side};

/// A failed request as the gateway records it.
fn record(rules: &RuleSet, status: u16, body: &str) -> Record {
    let input = FailureInput {
        provider: "openai",
        operation: "chat_completions",
        status: Some(status),
        body: body.as_bytes(),
        ..FailureInput::default()
    };
    let evidence = Evidence::read(&input);
    let request = RequestFacts { api: "chat_completions".to_owned(), ..RequestFacts::default() };
    let facts = RecordedFacts { request, stats_known: true, ..RecordedFacts::default() };
    let context = EvaluateContext { subject: "user:a", at: at() };
    let about = About { recorded: &facts, headers: None, prompts: ["", ""], context: &context };
    let circumstances = Circumstances { attempt: 1, attempts: 1, ..Circumstances::default() };
    let failure = UpstreamFailure::classify(rules, evidence, circumstances, &about);
    let found = failure.classification();
    let attempt = FailedAttempt {
        number: 1,
        model: "m".to_owned(),
        provider: "openai".to_owned(),
        credential: circumstances.credential,
        key: 0,
        class: found.class,
        owner: found.owner,
        retry: found.retry,
        report: found.report,
        rule: found.rule.clone(),
        because: found.because.clone(),
        matched: found.matched.clone(),
        errored: found.errored.clone(),
        evidence: failure.recorded("test"),
        next: NextStep::End,
        wait_ms: 0,
        skipped: Vec::new(),
    };
    let id = DecisionId::new(at(), [5; 10]);
    let decision = Decision { source: Source::Fresh, ..Decision::unasked(id, "user:a".to_owned(), 1, at()) };
    let result = RequestResult { failures: vec![attempt], ..RequestResult::default() };
    Record { decision, result, facts, call: None }
}

const BODIES: [(u16, &str); 8] = [
    (529, ""),
    (500, ""),
    (503, r#"{"error": {"message": "overloaded", "type": "overloaded_error"}}"#),
    (429, r#"{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}"#),
    (429, r#"{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}"#),
    (401, r#"{"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}"#),
    (400, r#"{"error": {"message": "this model's maximum context length is 8 tokens", "code": "made_up"}}"#),
    (418, "<html>teapot</html>"),
];

#[test]
fn the_set_that_was_in_force_reproduces_every_replayable_failure() {
    let sets = [
        set("failure", &[]),
        set("failure", &of(&[("failure.status == 529", "then: {class: upstream_5xx}")])),
        set("failure", &of(&[("failure.text.contains(\"slow\")", "then: {class: overloaded}")])),
        set("failure", &of(&[("failure.code == \"made_up\"", "then: {class: upstream_5xx}, mode: shadow")])),
    ];
    let mut replayed = 0;
    for rules in &sets {
        for (status, body) in BODIES {
            let record = record(rules, status, body);
            let report = replay(rules, [&record]);
            let side = side(&report, Boundary::Failure);
            assert_eq!((side.decisions, report.changed()), (1, 0), "{status} {body}: {side:?}");
            replayed += side.replayed;
        }
    }
    // Failures without a body are known whole.
    assert!(replayed >= 8, "{replayed}");
}

#[test]
fn what_would_be_classed_otherwise_is_counted_with_the_rule_that_does_it() {
    let before = set("failure", &[]);
    let after = set("failure", &of(&[("failure.status == 529", "then: {class: upstream_5xx}")]));
    let report = replay(&after, [&record(&before, 529, "")]);
    assert_eq!(moves(&report, Boundary::Failure), ["overloaded -> upstream_5xx: 1"]);
    assert_eq!(report.decisions(Effect::Reclassified), 1);
    assert_eq!((report.rules[0].hits, report.rules[0].decided), (1, 1));
    let same = set("failure", &of(&[("failure.status == 529", "then: {class: overloaded, report: page}")]));
    let report = replay(&same, [&record(&before, 529, "")]);
    let side = side(&report, Boundary::Failure);
    assert!(side.transitions[0].to.ends_with("report page)"), "{:?}", side.transitions);
}

#[test]
fn a_rule_on_the_providers_words_cannot_be_replayed() {
    let before = set("failure", &[]);
    let after = set("failure", &of(&[("failure.text.contains(\"overloaded\")", "then: {class: unknown}")]));
    let report = replay(&after, [&record(&before, 503, BODIES[2].1)]);
    let side = side(&report, Boundary::Failure);
    assert_eq!(side.not_replayed[0].why, Why::NotRecorded);
    assert_eq!(report.rules[0].undecided, 1);
    assert_eq!(report.rules[0].not_recorded, ["failure.text"]);
}
