use weir_core::decision::{Errored, Limit, Matched, Outcome, obligations_of};
use weir_core::record::{IdentityFacts, RecordedFacts, RequestFacts, Timings, Usage};
use weir_core::{Boundary, DecisionId};

use super::*;

fn at() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn record(action: Action) -> Record {
    let mut decision = Decision::unasked(DecisionId::new(at(), [7; 10]), "user:me".into(), 3, at());
    decision.outcome = Outcome::from(action);
    decision.obligations = obligations_of(action, weir_core::action::QuarantineDelays::default());
    Record {
        decision,
        result: RequestResult {
            status: 200,
            timings: Timings {
                total_ms: 12.5,
                overhead_ms: 0.25,
                upstream_head_ms: 11.0,
                decide_us: 1.5,
                ..Timings::default()
            },
            ..RequestResult::default()
        },
        facts: RecordedFacts {
            request: RequestFacts {
                api: "chat_completions".into(),
                path: "/v1/chat/completions".into(),
                model: "sim/free".into(),
                provider: "sim".into(),
                free: true,
                body_bytes: 120,
                ..RequestFacts::default()
            },
            identity: IdentityFacts {
                key: "user:me".into(),
                kind: "user".into(),
                tags: vec!["internal".into()],
                ..IdentityFacts::default()
            },
            ..RecordedFacts::default()
        },
        call: None,
    }
}

fn ways(files: bool) -> Ways {
    Ways { admin: "http://127.0.0.1:8081".into(), rule_files: files.then(|| vec!["./rules".to_owned()]) }
}

fn matched(rule: &str, action: &str, mode: Mode) -> Matched {
    Matched { rule: rule.into(), version: "3f2a".into(), action: action.into(), mode }
}

#[test]
fn a_quarantine_tells_everything() {
    let mut record = record(Action::Quarantine3);
    let decision = &mut record.decision;
    decision.source = Source::Fresh;
    decision.rule = Some("too-much".into());
    decision.because = Some("The shared capacity is for everybody.".into());
    decision.instead = Some("Bring your own key.".into());
    decision.sus_score = 40;
    decision.matched =
        vec![matched("watched", "block", Mode::Shadow), matched("too-much", "quarantine-3", Mode::Enforce)];
    decision.errored = vec![Errored { rule: "broken".into(), error: "division by zero".into() }];
    decision.obligations.push(Obligation::RateLimit(Limit { rule: "slow".into(), requests: 60, per_s: 60 }));
    record.result.abuse_delay = Some(6000);
    record.result.abuse_downgraded_from = Some("openai/gpt-4o".into());
    record.result.served_model = Some("sim/free".into());
    record.result.usage =
        Some(Usage { input_tokens: 3, output_tokens: 4, cost_microusd: 15, ..Usage::default() });
    let expires = Some("2027-01-01T00:00:00Z".parse().unwrap());
    let text = render(&record, &RuleNow::Same { expires }, &ways(false));
    let expected = "\
dec_019aa0f5-2a00-7707-8707-070707070707  quarantine-3  2026-11-20T10:00:00Z

request      chat_completions /v1/chat/completions
model        sim/free (sim)
subject      user:me
rule         too-much (version 3f2a)
because      The shared capacity is for everybody.
instead      Bring your own key.
source       fresh: the rules were asked for this request; epoch 3, sus_score 40
matched      watched -> block (version 3f2a, in shadow: it changed nothing)
             too-much -> quarantine-3 (version 3f2a)
errored      broken: division by zero
obligations  wait 6000 ms before the upstream call
             send a free model instead
             let at most 60 requests pass in 60 s (rule slow)
enforced     waited 6000 ms
             sent sim/free instead of openai/gpt-4o
             answered 200
until        the rule expires at 2027-01-01T00:00:00Z, or is changed before
lifted by    an operator, who can
             - change `too-much`: weir rules export > rules.yaml, edit, weir rules apply rules.yaml
             - exempt the identity: curl -X PUT http://127.0.0.1:8081/api/identities/user:me/exemption -H \"authorization: Bearer $ADMIN_TOKEN\" -d '{\"until\": \"TIME\"}'
timings      total 12.500 ms, weir 0.250 ms, upstream's head 11.000 ms, decision 1.5 us
usage        3 tokens in, 4 out, $0.000015
facts        identity.key = \"user:me\"
             identity.kind = \"user\"
             identity.tags = [\"internal\"]
             request.api = \"chat_completions\"
             request.body_bytes = 120
             request.free = true
             request.model = \"sim/free\"
             request.path = \"/v1/chat/completions\"
             request.provider = \"sim\"
";
    let id = record.decision.id.to_string();
    assert_eq!(text, expected.replace("dec_019aa0f5-2a00-7707-8707-070707070707", &id));
}

#[test]
fn what_passed_has_nothing_to_lift() {
    for action in [Action::Nothing, Action::Log] {
        let text = render(&record(action), &RuleNow::Unknown, &ways(false));
        assert!(!text.contains("lifted by") && !text.contains("until"), "{text}");
        assert!(text.contains("rule         none decided"), "{text}");
    }
}

#[test]
fn until_and_who_lifts_it_follow_from_what_was_enforced() {
    let table: [(Source, RuleNow, bool, &str, &str); 4] = [
        (Source::Fresh, RuleNow::Same { expires: None }, true, "does not expire", "in ./rules"),
        (Source::Fresh, RuleNow::Gone, false, "is gone", "weir rules apply"),
        (Source::Fresh, RuleNow::Changed, false, "new text", "weir rules apply"),
        (Source::Cache, RuleNow::Unknown, false, "runs out", "curl -X DELETE"),
    ];
    for (source, rule, files, until, lift) in table {
        let mut record = record(Action::Block);
        record.decision.source = source;
        record.decision.rule = Some("r".into());
        let text = render(&record, &rule, &ways(files));
        assert!(text.contains(until) && text.contains(lift), "{text}");
    }
}

#[test]
fn a_limit_that_was_exceeded_names_its_own_window() {
    let mut record = record(Action::Nothing);
    let limit = |rule: &str, per_s| Obligation::RateLimit(Limit { rule: rule.into(), requests: 1, per_s });
    record.decision.obligations = vec![limit("a", 10), limit("b", 20)];
    record.result.limit = Some("rule:b".into());
    record.result.status = 429;
    record.result.error_type = Some("rate_limit_exceeded".into());
    let text = render(&record, &RuleNow::Unknown, &ways(false));
    assert!(text.contains("the window of 20 s"), "{text}");
    assert!(text.contains("answered 429 rate_limit_exceeded"), "{text}");
}

#[test]
fn an_early_end_and_a_client_that_left_are_told() {
    let mut record = record(Action::Nothing);
    record.decision.boundary = Boundary::Request;
    record.result.ended_at = Some("admit".into());
    record.result.status = 0;
    let text = render(&record, &RuleNow::Unknown, &ways(false));
    assert!(text.contains("the stage `admit`") && text.contains("left before it was answered"), "{text}");
}

#[test]
fn a_spent_budget_is_lifted_by_another_key() {
    let mut record = record(Action::Nothing);
    record.facts.identity.user_id = "me".into();
    record.result.status = 402;
    record.result.error_type = Some("usage_limit_exceeded".into());
    let text = render(&record, &RuleNow::Unknown, &ways(false));
    assert!(text.contains("weir keys create --user me --budget-usd") && text.contains("not spent"), "{text}");
    assert!(!text.contains("exempt"), "{text}");
}

#[test]
fn failed_attempts_are_told_one_by_one() {
    use weir_core::failure::{Class, CredentialOwner};
    use weir_core::record::{FailedAttempt, FallbackDecision, NextStep, RecordedEvidence, Skipped};

    let attempt = |number, class: Class, next, wait_ms| FailedAttempt {
        number,
        model: "openai/gpt-4o".into(),
        provider: "openai".into(),
        credential: CredentialOwner::Pooled,
        key: 2,
        class,
        owner: class.owner(),
        retry: class.retry(),
        report: weir_core::failure::Report::Log,
        rule: Some("status-429".into()),
        because: Some("429 is too many.".into()),
        matched: vec![
            matched("mine", "unknown", Mode::Shadow),
            matched("status-429", class.as_str(), Mode::Enforce),
        ],
        errored: vec![Errored { rule: "broken".into(), error: "division by zero".into() }],
        evidence: RecordedEvidence {
            cause: "the provider answered with an error".into(),
            status: 429,
            http_status: 500,
            phase: "body".into(),
            code: Some("rate_limit_exceeded".into()),
            retry_after_s: Some(7.5),
            read: vec!["failure.status".into(), "failure.code".into()],
            ignored: vec!["the head's status 500: an inner one is stronger".into()],
            ..RecordedEvidence::default()
        },
        next,
        wait_ms,
        skipped: vec![Skipped { model: "small".into(), because: "it was tried already".into() }],
    };
    let mut record = record(Action::Nothing);
    record.result.failure_class = Some("rate_limited".into());
    record.result.failures = vec![
        attempt(1, Class::RateLimited, NextStep::Again, 7500),
        FailedAttempt {
            rule: None,
            because: None,
            matched: vec![],
            errored: vec![],
            skipped: vec![],
            evidence: RecordedEvidence::default(),
            ..attempt(0, Class::Unknown, NextStep::End, 0)
        },
    ];
    record.result.fallbacks = vec![FallbackDecision {
        model: "small".into(),
        outcome: Action::Block.into(),
        rule: Some("no-small".into()),
        because: Some("Small ones are for others.".into()),
        sus_score: 0,
        matched: vec![],
        errored: vec![],
        epoch: 4,
        taken: false,
    }];
    let text = render(&record, &RuleNow::Unknown, &ways(false));
    let expected = "\
failed       attempt 1: rate_limited, openai/gpt-4o (openai, credential pooled, key 2 of the pool)
               by rule status-429 (version 3f2a): owner provider, retry same, report log
               because 429 is too many.
               read the provider answered with an error; phase body; status 429; code rate_limit_exceeded; wait 7.5 s; facts failure.status failure.code
               ignored the head's status 500: an inner one is stronger
               mine would have said unknown (in shadow: it changed nothing)
               errored broken: division by zero
               not small: it was tried already
               then the same model was tried again after 7500 ms
failed       no call: unknown, openai/gpt-4o (openai, credential pooled, key 2 of the pool)
               by no rule: owner operator, retry same, report log
               read nothing
               then the caller was told
fallbacks    small: block by rule no-small (epoch 4); it was not sent to
               because Small ones are for others.
";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("the provider failed: rate_limited, after 1 attempt\n"), "{text}");
}
