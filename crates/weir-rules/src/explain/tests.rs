//! Conditions and recorded facts as tables: what each part came to, and what it saw.

use serde_json::json;
use weir_core::action::QuarantineDelays;
use weir_core::failure::{Class, CredentialOwner, Owner, Report, Retry};
use weir_core::record::{FailedAttempt, NextStep, Record, RecordedEvidence, RequestResult, ToolRecord};
use weir_core::tool::PermissionLevel;
use weir_core::{Decision, DecisionId};

use super::*;
use crate::{DecideContext, Facts, LoadOptions, SourceFile, load};

fn at() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn rules(text: &str) -> RuleSet {
    let files = [SourceFile { name: "a.yaml".into(), text: text.into() }];
    load(&files, &LoadOptions { now: at() }).unwrap().rules
}

fn one(on: &str, when: &str, then: &str) -> RuleSet {
    rules(&json!({"rules": [{"id": "it", "on": on, "when": when, "then": then}]}).to_string())
}

fn record() -> Record {
    let decision = Decision::unasked(DecisionId::new(at(), [7; 10]), "user:me".into(), 3, at());
    let mut record =
        Record { decision, result: RequestResult::default(), facts: Default::default(), call: None };
    let request = &mut record.facts.request;
    request.user_agent = "python-requests/2.32".into();
    request.model = "sim/free".into();
    request.ip = "10.1.2.3".into();
    request.max_tokens = 4096;
    request.free = true;
    record.facts.identity.kind = "anonymous".into();
    record.facts.identity.tags = vec!["trial".into(), "eu".into()];
    record
}

/// `truth text {what it saw}` of each part, by depth; `*` where it decides, `~` where it follows from the outcome.
fn lines(part: &Part) -> Vec<String> {
    let mut lines = Vec::new();
    part.walk(&mut |part, depth| {
        let values: Vec<String> = part
            .values
            .iter()
            .map(|seen| match (seen.recorded, &seen.error) {
                (false, _) => format!("{}: not recorded", seen.text),
                (true, Some(error)) => format!("{}: {error}", seen.text),
                (true, None) => format!("{}: {}", seen.text, seen.value),
            })
            .collect();
        let values = if values.is_empty() { String::new() } else { format!(" {{{}}}", values.join(", ")) };
        let error = part.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        lines.push(format!(
            "{}{}{}{} {}{values}{error}",
            "  ".repeat(depth),
            if part.decisive { "*" } else { " " },
            if part.inferred { "~" } else { "" },
            part.truth.in_words(),
            part.text
        ));
    });
    lines
}

fn parts(when: &str, matched_it: bool) -> Vec<String> {
    let (set, record) = (one("request", when, "block"), record());
    let past = Past::of_request(&record);
    let rule = set.get("it").unwrap();
    let listed = [Matched {
        rule: "it".into(),
        version: rule.version.to_string(),
        action: "block".into(),
        mode: Mode::Enforce,
    }];
    let errors = [Errored { rule: "it".into(), error: "recorded".into() }];
    let explained =
        if matched_it { matched(&listed, &[&set], &past) } else { errored(&errors, &[&set], &past) };
    let part = explained[0].condition.as_ref().unwrap();
    part.walk(&mut |part, _| {
        assert!(when.get(part.start..part.end).is_some_and(|text| !text.is_empty()), "{when}: {part:?}");
    });
    lines(part)
}

#[test]
fn a_conjunction_shows_each_part_with_what_it_saw() {
    assert_eq!(
        parts("request.user_agent.contains(\"python-requests/\") && identity.kind == \"anonymous\"", true),
        [
            "*true request.user_agent.contains(\"python-requests/\") && identity.kind == \"anonymous\"",
            "  *true request.user_agent.contains(\"python-requests/\") {request.user_agent: \"python-requests/2.32\"}",
            "  *true identity.kind == \"anonymous\" {identity.kind: \"anonymous\"}",
        ]
    );
}

#[test]
fn of_a_disjunction_only_what_held_decides() {
    assert_eq!(
        parts("(request.free || request.max_tokens > 5000) && !(request.ja4 == \"x\")", true),
        [
            "*true (request.free || request.max_tokens > 5000) && !(request.ja4 == \"x\")",
            "  *true request.free || request.max_tokens > 5000",
            "    *true request.free {request.free: true}",
            "     false request.max_tokens > 5000 {request.max_tokens: 4096}",
            "  *true !(request.ja4 == \"x\")",
            "    *false request.ja4 == \"x\" {request.ja4: \"\"}",
        ]
    );
}

#[test]
fn computed_values_lists_and_networks_are_shown() {
    let table: [(&str, &str); 8] = [
        (
            "size(request.user_agent) > 3",
            "{size(request.user_agent): 20, request.user_agent: \"python-requests/2.32\"}",
        ),
        (
            "(request.max_tokens + 4) * 2 == 8200",
            "{(request.max_tokens + 4) * 2: 8200, request.max_tokens + 4: 4100, request.max_tokens: 4096}",
        ),
        ("\"eu\" in identity.tags", "{identity.tags: [\"trial\",\"eu\"]}"),
        ("identity.tags.exists(t, t.startsWith(\"e\"))", "{identity.tags: [\"trial\",\"eu\"]}"),
        (
            "[\"curl\", \"python\"].exists(p, request.user_agent.startsWith(p))",
            "{request.user_agent: \"python-requests/2.32\"}",
        ),
        ("cidr(\"10.0.0.0/8\").containsIP(request.ip)", "{request.ip: \"10.1.2.3\"}"),
        ("now.getHours() == 10", "{now.getHours(): 10, now: \"2026-11-20T10:00:00Z\"}"),
        (
            "request.user_agent.lowerAscii() == \"python-requests/2.32\"",
            "{request.user_agent.lowerAscii(): \"python-requests/2.32\", request.user_agent: \"python-requests/2.32\"}",
        ),
    ];
    for (when, values) in table {
        assert_eq!(parts(when, true), [format!("*true {when} {values}")], "{when}");
    }
}

#[test]
fn what_was_not_recorded_is_said_to_be_so_and_follows_from_the_outcome_where_it_does() {
    let header = "request.headers[\"x-tool\"] == \"a\"";
    assert_eq!(
        parts(&format!("request.free && {header}"), true),
        [
            format!("*~true request.free && {header}"),
            "  *true request.free {request.free: true}".to_owned(),
            format!("  *~true {header} {{request.headers[\"x-tool\"]: not recorded}}"),
        ]
    );
    // Either of them may have made it true.
    assert_eq!(
        parts("request.user_prompt.contains(\"a\") || request.system_prompt.contains(\"b\")", true),
        [
            "*~true request.user_prompt.contains(\"a\") || request.system_prompt.contains(\"b\")",
            "   not recorded request.user_prompt.contains(\"a\") {request.user_prompt: not recorded}",
            "   not recorded request.system_prompt.contains(\"b\") {request.system_prompt: not recorded}",
        ]
    );
    // What was recorded settles it, so that the prompt does not matter.
    let lines = parts("request.free || request.user_prompt.contains(\"a\")", true);
    assert!(lines[0].starts_with("*true") && lines[2].starts_with("   not recorded"), "{lines:#?}");
    // As in a backtest: a branch that is not taken need not be known.
    let lines = parts("request.free ? request.free : request.user_prompt.contains(\"a\")", true);
    assert!(lines[0].starts_with("*true"), "{lines:#?}");
    // The prompt might have settled it, the error could not.
    let lines = parts("100 / size(request.ja4) > 1 && request.user_prompt.contains(\"a\")", false);
    assert!(lines[0].starts_with("*not recorded"), "{lines:#?}");
}

#[test]
fn an_error_shows_where_it_arose() {
    assert_eq!(
        parts("request.free && 100 / size(request.ja4) > 1", false),
        [
            "*error request.free && 100 / size(request.ja4) > 1 (division by zero)",
            "   true request.free {request.free: true}",
            "  *error 100 / size(request.ja4) > 1 {100 / size(request.ja4): division by zero, \
             size(request.ja4): 0, request.ja4: \"\"} (division by zero)",
        ]
    );
}

#[test]
fn long_texts_and_lists_are_cut() {
    let (set, mut record) =
        (one("request", "request.path != \"\" && size(identity.tags) > 0", "log"), record());
    record.facts.request.path = "ü".repeat(1000);
    record.facts.identity.tags = (0..100).map(|n| n.to_string()).collect();
    let past = Past::of_request(&record);
    let listed = [Matched {
        rule: "it".into(),
        version: set.get("it").unwrap().version.to_string(),
        action: "log".into(),
        mode: Mode::Enforce,
    }];
    let explained = matched(&listed, &[&set], &past);
    let parts = &explained[0].condition.as_ref().unwrap().parts;
    assert_eq!(parts[0].values[0].value, json!(format!("{}…", "ü".repeat(VALUE_CHARS_MAX))));
    let tags = parts[1].values.iter().find(|seen| seen.text == "identity.tags").unwrap();
    assert_eq!(tags.value.as_array().unwrap().len(), VALUE_ITEMS_MAX + 1);
    assert_eq!(tags.value[VALUE_ITEMS_MAX], json!("… and 80 more"));
}

#[test]
fn another_version_of_the_text_is_not_the_one_that_decided() {
    let (set, record) = (one("request", "request.free", "block"), record());
    let past = Past::of_request(&record);
    let listed = |version: &str| Matched {
        rule: "it".into(),
        version: version.into(),
        action: "log".into(),
        mode: Mode::Shadow,
    };
    let explained = matched(&[listed("other")], &[&set], &past);
    assert_eq!(
        (explained[0].text, &explained[0].when, &explained[0].condition),
        (TextFrom::NotKept, &None, &None)
    );
    assert_eq!((explained[0].action.as_str(), explained[0].mode), ("log", Mode::Shadow), "as recorded");
    let older = one("request", "!request.free", "block");
    let version = older.get("it").unwrap().version.to_string();
    let explained = matched(&[listed(&version)], &[&set, &older], &past);
    assert_eq!(explained[0].when.as_deref(), Some("!request.free"), "the set that has the version");
    assert_eq!(
        explained[0].condition.as_ref().unwrap().truth,
        Truth::False,
        "it is not made to fit the outcome"
    );
}

#[test]
fn near_misses_are_enforced_rules_that_failed_in_one_part_only() {
    let set = rules(
        r#"
rules:
  - {id: one-part, on: request, when: 'request.free && identity.kind == "user"', then: block, because: B.}
  - {id: nested, on: request, when: 'request.free && (request.ja4 != "" || identity.kind == "user") && request.max_tokens > 1', then: block}
  - {id: two-parts, on: request, when: 'request.stream && identity.kind == "user"', then: block}
  - {id: matched, on: request, when: 'request.free && request.max_tokens > 1', then: block}
  - {id: single, on: request, when: 'request.stream', then: block}
  - {id: either, on: request, when: 'request.stream || request.byok', then: block}
  - {id: prompt, on: request, when: 'request.free && request.user_prompt.contains("x")', then: block}
  - {id: prompt-too, on: request, when: 'request.stream && request.user_prompt.contains("x")', then: block}
  - {id: shadow, on: request, when: 'request.free && request.stream', then: block, mode: shadow}
  - {id: off, on: request, when: 'request.free && request.stream', then: block, mode: off}
  - {id: expired, on: request, when: 'request.free && request.stream', then: block, expires: 2026-11-20T09:00:00Z}
  - {id: for-nobody, on: request, when: 'request.free && request.stream', then: block, rollout: 0}
  - {id: tools, on: tool, when: 'tool.name == "" && identity.kind == "user"', then: deny}
"#,
    );
    let record = record();
    let past = Past::of_request(&record);
    let (missed, more) = near_misses(&set, Boundary::Request, &past);
    let ids: Vec<&str> = missed.iter().map(|rule| rule.rule.as_str()).collect();
    assert_eq!((ids, more), (vec!["one-part", "nested"], 0));
    assert_eq!(missed[0].because.as_deref(), Some("B."));
    assert_eq!(
        lines(missed[0].condition.as_ref().unwrap()),
        [
            "*false request.free && identity.kind == \"user\"",
            "   true request.free {request.free: true}",
            "  *false identity.kind == \"user\" {identity.kind: \"anonymous\"}",
        ]
    );
}

#[test]
fn of_many_near_misses_some_are_told_and_the_rest_counted() {
    let many: Vec<_> = (0..NEAR_MISSES_MAX + 5)
        .map(|n| json!({"id": format!("r{n}"), "on": "request", "when": format!("request.free && request.max_tokens == {n}"), "then": "block"}))
        .collect();
    let set = rules(&json!({ "rules": many }).to_string());
    let record = record();
    let (missed, more) = near_misses(&set, Boundary::Request, &Past::of_request(&record));
    assert_eq!((missed.len(), more), (NEAR_MISSES_MAX, 5));
}

/// Nothing is told of a part that the engine does not say of the whole.
#[test]
fn the_parts_agree_with_the_decision() {
    let conditions = [
        "request.free && identity.kind == \"anonymous\"",
        "request.free && (request.stream || \"eu\" in identity.tags)",
        "!(request.stream || request.byok) && request.max_tokens >= 4096",
        "request.stream ? request.free : request.max_tokens > 1",
        "identity.tags.all(t, t != \"x\") && request.ip.startsWith(\"10.\")",
        "request.free && request.max_tokens / size(request.ja4) > 1",
        "request.free || request.max_tokens / size(request.ja4) > 1",
    ];
    let record = record();
    let past = Past::of_request(&record);
    for when in conditions {
        let set = one("request", when, "block");
        let facts = Facts::of_request(&record.facts);
        let context = DecideContext {
            id: record.decision.id,
            subject: "user:me",
            epoch: 1,
            at: at(),
            delays: QuarantineDelays::default(),
        };
        let decision = set.decide_request(&facts, &context);
        let expected = match (decision.matched.len(), decision.errored.len()) {
            (1, 0) => Truth::True,
            (0, 1) => Truth::Error,
            _ => Truth::False,
        };
        let errors = [Errored { rule: "it".into(), error: String::new() }];
        let explained = errored(&errors, &[&set], &past);
        assert_eq!(explained[0].condition.as_ref().unwrap().truth, expected, "{when}");
    }
}

#[test]
fn a_call_and_a_failure_have_the_facts_that_their_records_keep() {
    let mut record = record();
    let tool = ToolRecord {
        name: "run_script".into(),
        channel: "web".into(),
        level: Some(PermissionLevel::Execute),
        iteration: 3,
        ..ToolRecord::default()
    };
    let set = one(
        "tool",
        "tool.name == \"run_script\" && call.level == \"execute\" && call.iteration > 2 && call.args.path == \"a\"",
        "deny",
    );
    let errors = [Errored { rule: "it".into(), error: String::new() }];
    let past = Past::of_call(&record, &tool);
    let explained = errored(&errors, &[&set], &past);
    let told = lines(explained[0].condition.as_ref().unwrap());
    assert_eq!(
        told[1..],
        [
            "   true tool.name == \"run_script\" {tool.name: \"run_script\"}",
            "   true call.level == \"execute\" {call.level: \"execute\"}",
            "   true call.iteration > 2 {call.iteration: 3}",
            "  *not recorded call.args.path == \"a\" {call.args.path: not recorded}",
        ]
    );

    let attempt = FailedAttempt {
        number: 2,
        model: "m".into(),
        provider: "p".into(),
        credential: CredentialOwner::User,
        key: 0,
        class: Class::RateLimited,
        owner: Owner::Provider,
        retry: Retry::Same,
        report: Report::Log,
        rule: None,
        because: None,
        matched: Vec::new(),
        errored: Vec::new(),
        evidence: RecordedEvidence {
            status: 429,
            code: Some("rate_limit_exceeded".into()),
            read: vec!["failure.status".into(), "failure.code".into(), "failure.text".into()],
            ..RecordedEvidence::default()
        },
        next: NextStep::End,
        wait_ms: 0,
        skipped: Vec::new(),
    };
    record.facts.request.api = "messages".into();
    let when = "failure.status == 429 && failure.code == \"rate_limit_exceeded\" && failure.operation == \"messages\" \
                && failure.message == \"\" && failure.text.contains(\"slow\") && attempt.number == 2 && failure.provider == \"p\"";
    let set = rules(
        &json!({"rules": [{"id": "it", "on": "failure", "when": when, "then": {"class": "unknown"}}]})
            .to_string(),
    );
    let past = Past::of_attempt(&record, &attempt);
    let explained = errored(&errors, &[&set], &past);
    let truths: Vec<&str> =
        explained[0].condition.as_ref().unwrap().parts.iter().map(|part| part.truth.in_words()).collect();
    assert_eq!(truths, ["true", "true", "true", "true", "not recorded", "true", "not recorded"]);
}

#[test]
fn what_a_record_does_not_tell_is_never_shown_as_empty() {
    let when = "request.user_agent.startsWith(\"sk-\") && stats.requests_1h > 3";
    let set = one("request", when, "block");
    let mut record = record();
    let truths = |record: &Record| {
        let past = Past::of_request(record);
        let rule = set.get("it").unwrap();
        let listed = [Matched {
            rule: "it".into(),
            version: rule.version.to_string(),
            action: "block".into(),
            mode: Mode::Enforce,
        }];
        let explained = matched(&listed, &[&set], &past);
        lines(explained[0].condition.as_ref().unwrap()).join("\n").matches(": not recorded}").count()
    };
    record.facts.stats_known = true;
    assert_eq!(truths(&record), 0);
    record.facts.stats_known = false;
    assert_eq!(truths(&record), 1, "the counters");
    record.facts.redacted = true;
    assert_eq!(truths(&record), 2, "a text that a secret was taken out of");
}
