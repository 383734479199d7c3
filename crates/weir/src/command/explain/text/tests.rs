use weir_core::decision::{Decision, Errored, Limit, Matched, Outcome, obligations_of};
use weir_core::record::{IdentityFacts, RecordedFacts, RequestFacts, Timings, Usage};
use weir_core::{Action, Boundary, DecisionId, Mode, Source, Timestamp};
use weir_rules::{ActiveRules, LoadOptions, SourceFile, load};
use weir_store::{Database, DatabaseLocation, DatabaseOptions};

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

/// What a record is explained from: an empty store, and these rules in force.
struct Scene {
    rules: Option<ActiveRules>,
    files: bool,
}

impl Scene {
    fn with(rules: &str) -> Self {
        let files = [SourceFile { name: "rules/a.yaml".into(), text: rules.into() }];
        let rules = load(&files, &LoadOptions { now: at() }).unwrap().rules;
        Self { rules: Some(ActiveRules::new(rules, 3)), files: false }
    }

    fn render(self, record: &Record) -> String {
        let folder = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::Sqlite(folder.path().join("weir.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::open(DatabaseOptions::new(location)).await.unwrap();
            let sources = weir_console::explanation::Sources {
                database,
                cache: None,
                rules: self.rules.map(std::sync::Arc::new),
                files_are_master: self.files,
                remote: false,
                admin: "http://127.0.0.1:8081".into(),
                now: at(),
            };
            super::render(record, &weir_console::explanation::explain(record, &sources).await)
        })
    }
}

fn nothing_known() -> Scene {
    Scene { rules: None, files: false }
}

/// The version of a rule in a set of this text.
fn version_in(rules: &str, id: &str) -> String {
    Scene::with(rules).rules.unwrap().rules.get(id).unwrap().version.to_string()
}

fn matched(rule: &str, action: &str, mode: Mode) -> Matched {
    Matched { rule: rule.into(), version: "3f2a".into(), action: action.into(), mode }
}

const RULES: &str = r#"
rules:
  - id: too-much
    on: request
    when: request.free && ("internal" in identity.tags || request.max_tokens > 5)
    then: quarantine-3
    because: The shared capacity is for everybody.
    instead: Bring your own key.
    expires: 2027-01-01T00:00:00Z
  - {id: nearly, on: request, when: 'request.free && identity.kind == "anonymous"', then: block}
"#;

#[test]
fn a_quarantine_tells_everything() {
    let mut record = record(Action::Quarantine3);
    let decision = &mut record.decision;
    decision.source = Source::Fresh;
    decision.rule = Some("too-much".into());
    decision.because = Some("The shared capacity is for everybody.".into());
    decision.instead = Some("Bring your own key.".into());
    decision.sus_score = 40;
    let version = version_in(RULES, "too-much");
    decision.matched = vec![
        matched("watched", "block", Mode::Shadow),
        Matched { version: version.clone(), ..matched("too-much", "quarantine-3", Mode::Enforce) },
    ];
    decision.errored = vec![Errored { rule: "broken".into(), error: "division by zero".into() }];
    decision.obligations.push(Obligation::RateLimit(Limit { rule: "slow".into(), requests: 60, per_s: 60 }));
    record.result.abuse_delay = Some(6000);
    record.result.abuse_downgraded_from = Some("openai/gpt-4o".into());
    record.result.served_model = Some("sim/free".into());
    record.result.timings.stages_us.read = 20;
    record.result.timings.stages_us.hold = 6_000_123;
    record.result.usage =
        Some(Usage { input_tokens: 3, output_tokens: 4, cost_microusd: 15, ..Usage::default() });
    let text = Scene::with(RULES).render(&record);
    let expected = "\
DECISION  quarantine-3  2026-11-20T10:00:00Z

request      chat_completions /v1/chat/completions
model        sim/free (sim)
subject      user:me
rule         too-much (version VERSION)
because      The shared capacity is for everybody.
instead      Bring your own key.
source       fresh: the rules were asked for this request; epoch 3, sus_score 40
matched      watched -> block (version 3f2a, in shadow: it changed nothing)
               (the text of this version is not kept here)
             too-much -> quarantine-3 (version VERSION)
               true         request.free && (\"internal\" in identity.tags || request.max_tokens > 5)
               true           request.free  [request.free = true]
               true           one of: \"internal\" in identity.tags || request.max_tokens > 5
               true             \"internal\" in identity.tags  [identity.tags = [\"internal\"]]
               false            request.max_tokens > 5  [request.max_tokens = 0]
errored      broken: division by zero
               (the text of this version is not kept here)
near misses  nearly -> block (version NEARLY)
               false        request.free && identity.kind == \"anonymous\"
               true           request.free  [request.free = true]
               false          identity.kind == \"anonymous\"  [identity.kind = \"user\"]
obligations  wait 6000 ms before the upstream call
             send a free model instead
             let at most 60 requests pass in 60 s (rule slow)
enforced     waited 6000 ms
             sent sim/free instead of openai/gpt-4o
             answered 200
until        the rule expires at 2027-01-01T00:00:00Z, or is changed before
lifted by    an operator: change `too-much`: weir rules export > rules.yaml, edit, weir rules apply rules.yaml
             an operator: exempt the identity: curl -X PUT http://127.0.0.1:8081/api/identities/user:me/exemption -H \"authorization: Bearer $ADMIN_TOKEN\" -d '{\"until\": \"TIME\"}'
timings      total 12.500 ms, weir 0.250 ms, upstream's head 11.000 ms, decision 1.5 us
stages       read 20 us, hold 6000123 us
usage        3 tokens in, 4 out, $0.000015
note         the text of 1 of the rules that matched is not kept
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
    let expected = expected.replace("DECISION", &id).replace("VERSION", &version);
    assert_eq!(text, expected.replace("NEARLY", &version_in(RULES, "nearly")));
}

#[test]
fn what_passed_has_nothing_to_lift() {
    for action in [Action::Nothing, Action::Log] {
        let text = nothing_known().render(&record(action));
        assert!(!text.contains("lifted by") && !text.contains("until"), "{text}");
        assert!(text.contains("rule         none decided"), "{text}");
    }
}

#[test]
fn until_and_who_lifts_it_follow_from_what_was_enforced() {
    const R: &str = "rules: [{id: r, on: request, when: request.free, then: block}]";
    const NO_R: &str = "rules: [{id: other, on: request, when: request.free, then: block}]";
    let same = version_in(R, "r");
    let table: [(Source, &str, &str, bool, &str, &str); 6] = [
        (Source::Fresh, R, &same, true, "does not expire", "change `r` in rules/a.yaml:1"),
        (Source::Fresh, R, &same, false, "does not expire", "weir rules apply"),
        (Source::Fresh, NO_R, &same, false, "is gone", "weir rules apply"),
        (Source::Fresh, NO_R, &same, true, "is gone", "change `r` in the rule files"),
        (Source::Fresh, R, "older", false, "new text", "weir rules apply"),
        (Source::Cache, R, &same, false, "runs out", "curl -X DELETE"),
    ];
    for (source, rules, version, files, until, lift) in table {
        let mut record = record(Action::Block);
        record.decision.source = source;
        record.decision.rule = Some("r".into());
        record.decision.matched =
            vec![Matched { version: version.into(), ..matched("r", "block", Mode::Enforce) }];
        let text = Scene { files, ..Scene::with(rules) }.render(&record);
        assert!(text.contains(until) && text.contains(lift), "{until}, {lift}:\n{text}");
    }
}

/// A record whose rules the store no longer has is told with what the record itself keeps.
#[test]
fn rules_that_are_no_longer_kept_are_said_to_be_gone() {
    let mut record = record(Action::Block);
    record.decision.epoch = 2;
    record.decision.rule = Some("r".into());
    record.decision.matched = vec![matched("r", "block", Mode::Enforce)];
    let text = Scene::with("rules: [{id: r, on: request, when: request.free, then: block}]").render(&record);
    assert!(text.contains("the rules of epoch 2 are no longer kept"), "{text}");
    assert!(text.contains("(the text of this version is not kept here)"), "{text}");
    assert!(!text.contains("\nnear misses "), "{text}");
}

#[test]
fn a_limit_that_was_exceeded_names_its_own_window() {
    let mut record = record(Action::Nothing);
    let limit = |rule: &str, per_s| Obligation::RateLimit(Limit { rule: rule.into(), requests: 1, per_s });
    record.decision.obligations = vec![limit("a", 10), limit("b", 20)];
    record.result.limit = Some("rule:b".into());
    record.result.status = 429;
    record.result.error_type = Some("rate_limit_exceeded".into());
    record.result.retry_after_s = Some(7);
    let text = nothing_known().render(&record);
    assert!(
        text.contains("the window of 20 s that the limit counts in is over (2026-11-20T10:00:07Z)"),
        "{text}"
    );
    assert!(text.contains("an operator: change `b`"), "{text}");
    assert!(text.contains("answered 429 rate_limit_exceeded"), "{text}");
    assert!(text.contains("limited      refused by the limit of the rule b"), "{text}");
}

#[test]
fn what_weir_refused_by_itself_does_not_look_as_if_it_had_passed() {
    let mut record = record(Action::Nothing);
    record.result.ended_at = Some("identify".into());
    record.result.error_type = Some("invalid_api_key".into());
    record.result.status = 401;
    let text = nothing_known().render(&record);
    let head = text.lines().next().unwrap();
    assert!(head.contains("  refused  ") && !head.contains("nothing"), "{text}");
    assert!(text.contains("refused      by weir itself, not by a rule: 401 invalid_api_key\n"), "{text}");
}

/// A condition that could not be evaluated says why at the part where it happened, and nowhere else.
#[test]
fn an_error_is_told_once() {
    const R: &str =
        "rules: [{id: r, on: request, when: 'request.free && 1 / request.max_tokens > 0', then: block}]";
    let mut record = record(Action::Nothing);
    record.decision.errored = vec![Errored { rule: "r".into(), error: "division by zero".into() }];
    let text = Scene::with(R).render(&record);
    assert_eq!(text.matches("division by zero").count(), 1, "{text}");
    assert!(text.contains("errored      r\n"), "{text}");
}

#[test]
fn an_early_end_and_a_client_that_left_are_told() {
    let mut record = record(Action::Nothing);
    record.decision.boundary = Boundary::Request;
    record.result.ended_at = Some("admit".into());
    record.result.status = 0;
    let text = nothing_known().render(&record);
    assert!(text.contains("the stage `admit`") && text.contains("left before it was answered"), "{text}");
}

#[test]
fn a_spent_budget_is_lifted_by_another_key() {
    let mut record = record(Action::Nothing);
    record.facts.identity.user_id = "me".into();
    record.result.status = 402;
    record.result.error_type = Some("usage_limit_exceeded".into());
    let text = nothing_known().render(&record);
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
    let text = nothing_known().render(&record);
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

/// A long condition is told by its parts alone.
#[test]
fn nothing_of_a_long_condition_is_printed_twice() {
    let words = (0..30).map(|n| format!("\"a phrase {n}\"")).collect::<Vec<_>>().join(", ");
    let rules = format!(
        "rules:\n  - id: long\n    on: request\n    when: (request.free && !(request.stream || request.model in [{words}])) \
         || request.model in [\"another phrase\", {words}]\n    then: log\n"
    );
    let version = version_in(&rules, "long");
    let mut record = record(Action::Nothing);
    record.decision.matched = vec![Matched { version, ..matched("long", "log", Mode::Enforce) }];
    let text = Scene::with(&rules).render(&record);
    let expected = "
               true         one of:
               true           all of:
               true             request.free  [request.free = true]
               true             not:
               false              one of:
               false                request.stream  [request.stream = false]
               false                request.model in [\"a phrase 0\",";
    assert!(text.contains(expected), "{text}");
    // Once for each of the two lists.
    assert_eq!(text.matches("a phrase 29").count(), 2, "{text}");
}

#[test]
fn tokens_that_were_estimated_are_said_to_be() {
    for (estimated, expected) in [
        (false, "usage        3 tokens in, 4 out, $0.000015\n"),
        (
            true,
            "usage        3 tokens in, 4 out, $0.000015 (estimated: the provider has not counted all of it)\n",
        ),
    ] {
        let mut record = record(Action::Nothing);
        let counted = Usage { input_tokens: 3, output_tokens: 4, cost_microusd: 15, ..Usage::default() };
        record.result.usage = Some(Usage { estimated, ..counted });
        let text = Scene::with(RULES).render(&record);
        assert!(text.contains(expected), "{text}");
    }
}
