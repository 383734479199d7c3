//! What people read when rules are wrong: all errors at once, each with its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

use weir_rules::{Diagnostic, LoadFailure, LoadOptions, Loaded, SourceFile, load};

fn options() -> LoadOptions {
    LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() }
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn render(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

fn errors_of(files: &[SourceFile]) -> Vec<Diagnostic> {
    match load(files, &options()) {
        Ok(loaded) => panic!("loaded {} rules", loaded.rules.rules().len()),
        Err(LoadFailure { diagnostics }) => diagnostics,
    }
}

#[test]
fn every_key_is_checked_and_every_error_reported() {
    let text = r#"rules:
  - id: Bad_Id
    on: reqest
    when: request.modle == "a"
    then: blok
  - on: request
    then: block
    wen: "true"
  - id: ranges
    on: request
    when: "true"
    then: {rate-limit: {requests: 0, per: 1w, burst: 3}}
    rollout: 101
    score: lots
    expires: tomorrow
    mode: shadwo
    tags: abuse
    because: 42
    match: {}
  - id: tools
    on: tool
    when: "true"
    then: allow
    conceal: true
  - id: classes
    on: failure
    when: "true"
    then: {class: quota_exausted, owner: nobody, retry: sometimes, report: loudly}
  - id: levels
    on: tool
    when: call.level == "write"
    then: {level: excute}
  - just a word
  - id: empty
    on: request
    when:
    then: {}
"#;
    insta::assert_snapshot!(render(&errors_of(&[file("rules/bad.yaml", text)])));
}

#[test]
fn conditions_are_shown_with_a_caret_below_the_very_place() {
    let text = "rules:\n\
        \x20 - {id: plain, on: request, then: log, when: request.modle == 1}\n\
        \x20 - {id: quoted, on: request, then: log, when: \"request.model.contains(\\\"é\\\") && request.fre\"}\n\
        \x20 - {id: single, on: request, then: log, when: 'request.country == ''DE'' && contry == ''x'''}\n\
        \x20 - id: literal\n    on: request\n    then: log\n    when: |\n      request.free\n      && request.headers[\"a\"] > 5\n\
        \x20 - id: folded\n    on: request\n    then: log\n    when: >-\n      request.free &&\n      request.user_agent.contians(\"x\")\n\
        \x20 - id: syntax\n    on: request\n    then: log\n    when: request.free and request.stream\n\
        \x20 - id: level\n    on: tool\n    then: {level: write}\n    when: call.level == \"write\"\n\
        \x20 - id: word\n    on: request\n    then: log\n    when: identity.kind == \"anonymos\"\n";
    insta::assert_snapshot!(render(&errors_of(&[file("rules/cel.yaml", text)])));
}

#[test]
fn failing_examples_say_which_and_on_which_facts() {
    let text = r#"rules:
  - id: scripted
    on: request
    when: request.user_agent.contains("python-requests/") && identity.kind == "anonymous"
    then: quarantine-2
    match:
      - {request: {user_agent: "curl/8"}, identity: {kind: anonymous}}
      - {request: {user_agent: "python-requests/2.32"}, identity: {kind: anonymous}}
    no_match:
      - {request: {user_agent: "python-requests/2.32"}, identity: {kind: anonymous}}
      - {request: {user_agnt: "x"}}
      - {request: {free: NO}}
      - {identity: {tags: [a, 1]}}
      - {tool: {name: x}}
  - id: divides
    on: request
    when: 10 / request.max_tokens > 1
    then: log
    no_match: [{}]
"#;
    insta::assert_snapshot!(render(&errors_of(&[file("rules/examples.yaml", text)])));
}

/// The boundary, `then`, the place and the words of the one error.
type WrongThen = (&'static str, &'static str, &'static str, &'static str);

#[test]
fn an_outcome_of_another_form_is_told_what_it_should_be() {
    let table: &[WrongThen] = &[
        ("request", "[block]", "rules[0].then", "`then` is an action, not a list"),
        ("request", "{}", "rules[0].then", "`then` is an action, not a mapping"),
        ("request", "null", "rules[0].then", "`then` is an action, not nothing"),
        ("request", "{rate-limit: 5}", "rules[0].then.rate-limit", "a limit is a mapping, not an int"),
        (
            "request",
            "{rate-limit: {requests: 5, per: [1m]}}",
            "rules[0].then.rate-limit.per",
            "is a text, not a list",
        ),
        (
            "request",
            "{rate-limit: {requests: 1.5, per: 1m}}",
            "rules[0].then.rate-limit.requests",
            "not a double",
        ),
        (
            "request",
            "{rate-limits: {requests: 5, per: 1m}}",
            "rules[0].then.rate-limits",
            "unknown key `rate-limits`",
        ),
        ("failure", "rate_limited", "rules[0].then", "`then` is a mapping with a class, not a string"),
        ("failure", "{owner: user}", "rules[0].then", "the key `class` is missing"),
        ("failure", "{class: rate_limited, owner: 7}", "rules[0].then.owner", "is a text, not an int"),
        ("tool", "[deny]", "rules[0].then", "`then` is an answer, not a list"),
        ("tool", "true", "rules[0].then", "`then` is an answer, not a bool"),
        ("tool", "{levle: execute}", "rules[0].then.levle", "unknown key `levle`"),
        ("tool", "{level: {a: b}}", "rules[0].then.level", "is a text, not a mapping"),
    ];
    for (on, then, path, words) in table {
        let told =
            errors_of(&[file("a.yaml", &format!("rules: [{{id: a, on: {on}, when: true, then: {then}}}]"))]);
        assert_eq!(told.len(), 1, "{then}: {told:?}");
        assert_eq!(told[0].path, *path, "{then}");
        assert!(told[0].message.contains(words), "{then}: {}", told[0].message);
    }
}

#[test]
fn an_id_that_is_used_twice_names_both_places() {
    let rule = "rules: [{id: same, on: request, when: true, then: log}]\n";
    let files = [file("a.yaml", rule), file("b.yaml", &format!("# second\n{rule}"))];
    insta::assert_snapshot!(render(&errors_of(&files)));
}

#[test]
fn files_that_are_no_rules_are_refused() {
    let files = [
        file("broken.yaml", "rules:\n  - id: [a\n"),
        file("list.yaml", "- id: a\n"),
        file("keys.yaml", "rule: []\nother: 1\n"),
        file("kind.yaml", "rules: {a: b}\n"),
        file("twice.yaml", "rules:\n  - {id: a, id: b, on: request, when: true, then: log}\n"),
        file("two.yaml", "rules: []\n---\nrules: []\n"),
    ];
    insta::assert_snapshot!(render(&errors_of(&files)));
}

#[test]
fn warnings_come_with_rules_that_can_be_used() {
    let text = "rules:\n  - {id: old, on: request, when: true, then: log, expires: 2026-01-01T00:00:00Z}\n  \
                - {id: sure, on: request, when: has(request.model), then: log}\n";
    let Loaded { rules, warnings } = load(&[file("w.yaml", text)], &options()).unwrap();
    assert_eq!(rules.rules().len(), 2);
    insta::assert_snapshot!(render(&warnings));
}

#[test]
fn programs_get_diagnostics_as_json() {
    let text = "rules: [{id: a, on: request, when: request.modle == 'x', then: log}]";
    let diagnostics = errors_of(&[file("a.yaml", text)]);
    insta::assert_json_snapshot!(diagnostics);
}

#[test]
fn only_a_file_that_says_so_has_no_rules() {
    for text in ["rules: []\n", "{\"rules\": []}"] {
        assert_eq!(load(&[file("e.yaml", text)], &options()).unwrap().rules.rules().len(), 0, "{text}");
    }
    for text in ["", "# nothing yet\n", "rules:\n", "{}", "{\"rules\": null}", "null", "---\n"] {
        let diagnostics = errors_of(&[file("e.yaml", text)]);
        assert!(diagnostics[0].help.as_deref().unwrap().contains("`rules: []`"), "{text}: {diagnostics:?}");
    }
    assert_eq!(load(&[], &options()).unwrap().rules.rules().len(), 0);
}

#[test]
fn words_that_are_sent_with_every_decision_are_bounded() {
    let rule = |bytes: usize| {
        let words = "x".repeat(bytes);
        format!(
            "rules:\n  - {{id: a, on: request, when: request.stream, then: log, because: {words}, instead: {words}}}\n"
        )
    };
    assert!(load(&[file("a.yaml", &rule(2_000))], &options()).is_ok());
    let told = errors_of(&[file("a.yaml", &rule(2_001))]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].message.contains("2001 bytes long"), "{told:?}");
}
