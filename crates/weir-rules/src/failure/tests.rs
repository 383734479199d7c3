use serde_json::json;
use weir_dialect::failure::FailureInput;

use super::*;
use crate::facts::OwnedFacts;
use crate::load::load;

fn context() -> EvaluateContext<'static> {
    EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH }
}

fn rules(text: &str) -> RuleSet {
    let files = [SourceFile { name: "t.yaml".into(), text: text.into() }];
    load(&files, &LoadOptions { now: Timestamp::UNIX_EPOCH }).unwrap().rules
}

fn decided(set: &RuleSet, line: &serde_json::Value) -> Classification {
    set.decide_failure(&OwnedFacts::from_json(Boundary::Failure, line).unwrap().as_facts(), &context())
}

#[test]
fn the_pack_loads_with_its_examples_and_every_rule_has_a_reason() {
    let files = [SourceFile { name: PACK_NAME.into(), text: PACK_TEXT.into() }];
    let loaded = load::load_reserved(&files, &LoadOptions { now: Timestamp::UNIX_EPOCH }, None);
    let loaded = loaded.unwrap_or_else(|failure| panic!("{:#?}", failure.diagnostics));
    assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
    assert_eq!(loaded.rules.rules().len(), pack().rules().len());
    for rule in pack().rules() {
        assert_eq!(rule.on, Boundary::Failure, "{}", rule.id);
        assert!(rule.because.is_some(), "{} does not say where it comes from", rule.id);
        assert!(
            !rule.examples_match.is_empty() && !rule.examples_no_match.is_empty(),
            "{} has no examples",
            rule.id
        );
    }
    let classes: std::collections::HashSet<_> = pack().rules().iter().map(|rule| rule.then.word()).collect();
    for class in Class::ALL {
        assert!(classes.contains(class.as_str()), "no rule of the pack says {class}");
    }
}

#[test]
fn without_the_pack_everything_is_unknown_and_paged() {
    for status in [0, 400, 401, 402, 403, 404, 408, 413, 429, 500, 503, 529] {
        let body =
            br#"{"error": {"code": "insufficient_quota", "message": "rate limit, context_length_exceeded"}}"#;
        let evidence =
            Evidence::read(&FailureInput { status: Some(status), body, ..FailureInput::default() });
        let found =
            classify(&[&RuleSet::default()], &facts(&evidence, &Circumstances::default()), &context());
        assert_eq!((found.class, found.owner, found.retry), (Class::Unknown, Owner::Operator, Retry::Same));
        assert_eq!((found.report, found.rule), (Report::Page, None));
    }
}

#[test]
fn the_operators_rules_come_first_and_leave_out_what_the_table_says() {
    let set = rules(
        "rules:\n  - {id: mine, on: failure, when: 'failure.status == 429', then: {class: overloaded}, because: B, instead: I}\n  \
         - {id: quiet, on: failure, when: 'failure.status == 401', then: {class: auth_invalid, owner: provider, retry: never, report: none}}",
    );
    let found = decided(&set, &json!({"status": 429, "body": "x"}));
    assert_eq!((found.class, found.rule.as_deref()), (Class::Overloaded, Some("mine")));
    assert_eq!((found.because.as_deref(), found.instead.as_deref()), (Some("B"), Some("I")));
    assert_eq!((found.owner, found.retry, found.report), (Owner::Provider, Retry::Same, Report::Log));
    assert_eq!(found.matched.len(), 1, "what stands behind is not asked");
    let found = decided(&set, &json!({"status": 401, "body": "x"}));
    assert_eq!((found.owner, found.retry, found.report), (Owner::Provider, Retry::Never, Report::None));
}

#[test]
fn a_rule_in_shadow_is_listed_and_changes_nothing() {
    let set = rules(
        "rules: [{id: mine, on: failure, when: 'failure.status == 429', then: {class: unknown}, mode: shadow}]",
    );
    let found = decided(&set, &json!({"status": 429, "body": "x"}));
    assert_eq!((found.class, found.matched[0].rule.as_str()), (Class::RateLimited, "mine"));
}

#[test]
fn the_first_match_is_the_same_whether_the_others_are_asked_or_not() {
    for status in [0, 400, 401, 403, 404, 408, 413, 429, 500, 503, 529] {
        for body in [
            "x",
            "rate limit reached per day",
            "model not found",
            "invalid api key",
            "context length, out of credits",
        ] {
            let evidence = Evidence::read(&FailureInput {
                status: Some(status),
                body: body.as_bytes(),
                ..FailureInput::default()
            });
            let facts = facts(&evidence, &Circumstances::default());
            let all = pack().evaluate(Boundary::Failure, &facts, &context());
            let first = pack().evaluate_first(Boundary::Failure, &facts, &context());
            assert_eq!(all.matched.first(), first.matched.first(), "{status} {body}");
        }
    }
}

#[test]
fn a_rule_that_fails_is_listed_and_the_next_is_tried() {
    let set = rules(
        "rules:\n  - {id: breaks, on: failure, when: '1 / (failure.status - 429) == 1', then: {class: unknown}}\n  \
         - {id: next, on: failure, when: 'failure.status == 429', then: {class: overloaded}}",
    );
    let found = decided(&set, &json!({"status": 429, "body": "x"}));
    assert_eq!((found.class, found.rule.as_deref()), (Class::Overloaded, Some("next")));
    assert_eq!(found.errored.iter().map(|e| e.rule.as_str()).collect::<Vec<_>>(), ["breaks"]);
}

#[test]
fn an_id_of_the_pack_may_not_be_used_again() {
    let text = "rules: [{id: status-429, on: request, when: 'request.free', then: log}]";
    let files = [SourceFile { name: "t.yaml".into(), text: text.into() }];
    let failure = load(&files, &LoadOptions { now: Timestamp::UNIX_EPOCH }).unwrap_err();
    assert_eq!(failure.diagnostics[0].message, "the id `status-429` is one of the built-in failure pack");
    assert_eq!((failure.diagnostics[0].line, failure.diagnostics[0].column), (1, 14));
}

#[test]
fn whose_credential_it_is_decides_who_must_act_whatever_a_rule_says() {
    let set = rules(
        "rules: [{id: loud, on: failure, when: 'failure.status == 403', then: {class: permission_denied, owner: operator, report: page}}]",
    );
    for (status, class) in [
        (401, Class::AuthInvalid),
        (402, Class::QuotaExhausted),
        (403, Class::PermissionDenied),
        (429, Class::RateLimited),
    ] {
        for (owner, expected) in [
            ("platform", (Owner::Operator, Report::Page)),
            ("user", (Owner::User, Report::Log)),
            ("pooled", (Owner::Operator, Report::Log)),
        ] {
            let found = decided(&set, &json!({"status": status, "body": "x", "credential_owner": owner}));
            let expected =
                if class == Class::RateLimited { (Owner::Provider, Report::Log) } else { expected };
            assert_eq!(
                (found.class, found.owner, found.report),
                (class, expected.0, expected.1),
                "{status} {owner}"
            );
        }
    }
}

#[test]
fn a_house_providers_session_is_its_users_business() {
    for status in [401, 403] {
        let line = json!({"status": status, "body": "x", "failure": {"house": true}});
        let found = decided(&RuleSet::default(), &line);
        assert_eq!((found.class, found.owner, found.report), (Class::AuthInvalid, Owner::User, Report::Log));
    }
    let found =
        decided(&RuleSet::default(), &json!({"status": 500, "body": "x", "failure": {"house": true}}));
    assert_eq!(found.class, Class::Upstream5xx);
}

#[test]
fn a_line_that_is_wrong_says_where() {
    let table = [
        (json!({"status": "429"}), "status", "`status` must be an int, not a string"),
        (json!({"status": 70000}), "status", "`status` is 70000, which is no HTTP status"),
        (json!({"headers": {"a": 1}}), "headers.a", "`headers.a` must be a string, not an int"),
        (json!({"provider": 1}), "provider", "`provider` must be a string, not an int"),
        (
            json!({"transport": "htp"}),
            "transport",
            "`transport` is `htp`, but must be one of http, sse, wrapped, transport; did you mean `http`?",
        ),
        (
            json!({"credential_owner": "x"}),
            "credential_owner",
            "`credential_owner` is `x`, but must be one of platform, user, pooled",
        ),
        (json!({"boddy": "x"}), "boddy", "unknown fact `boddy`"),
    ];
    for (line, path, message) in table {
        let error = OwnedFacts::from_json(Boundary::Failure, &line).unwrap_err();
        assert_eq!((error.path.as_str(), error.message.as_str()), (path, message));
    }
}

#[test]
fn given_facts_win_over_what_the_line_says() {
    let facts = OwnedFacts::from_json(
        Boundary::Failure,
        &json!({"status": 500, "body": "HTTP 502", "failure": {"status": 418}, "attempt": {"number": 2}}),
    );
    let facts = facts.unwrap();
    let facts = facts.as_facts();
    assert_eq!((facts.int(Fact::FailureStatus), facts.int(Fact::FailureHttpStatus)), (418, 500));
    assert_eq!(facts.int(Fact::AttemptNumber), 2);
}
