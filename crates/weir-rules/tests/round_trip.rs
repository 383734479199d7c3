//! Rules written out load again to the same rules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

use proptest::prelude::*;
use serde_json::json;
use weir_core::{Action, Boundary, Mode};
use weir_rules::{Change, ChangeKind, LoadOptions, RuleSet, SourceFile, Then, diff, load};

fn load_text(text: &str) -> RuleSet {
    let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
    let files = [SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() }];
    match load(&files, &options) {
        Ok(loaded) => loaded.rules,
        Err(failure) => {
            panic!("{text}\n{}", failure.diagnostics.iter().map(ToString::to_string).collect::<String>())
        }
    }
}

/// Every key, every form of `then`, and words that YAML readers like to take for something else.
const FULL: &str = r#"
rules:
  - id: scripted-anonymous
    on: request
    when: |
      request.user_agent.contains("python-requests/")
      && identity.kind == "anonymous"
    then: quarantine-2
    because: "yes: 'no' # off"
    instead: "Sign in,\nor send an API key."
    mode: shadow
    rollout: 25
    score: 40
    expires: 2027-01-01T00:00:00Z
    tags: [abuse, on, no, "1", "true", "~", "0x1F", "1e3"]
    match:
      - {request: {user_agent: "python-requests/2.32", city: NO, headers: {x-a: "on"}}, identity: {kind: anonymous}}
    no_match:
      - {request: {user_agent: "python-requests/2.32"}, identity: {kind: user}, now: 2026-11-20T10:00:00Z}
      - {stats: {requests_per_second: 1.5}}
  - {id: limit, on: request, when: true, then: {rate-limit: {requests: 60, per: 1m}}, mode: off}
  - {id: skip, on: request, when: "false", then: skip}
  - id: agents-of-ours-only
    on: failure
    when: failure.status == 403 && failure.text.contains("access_terminated_error")
    then: {class: access_policy_denied, owner: operator, retry: never, report: none}
    match:
      - {status: 403, body: {error: {type: access_terminated_error}}, headers: {retry-after: "3"}}
  - {id: no-scripts-from-web, on: tool, when: 'tool.name == "run_script" && channel.name == "web"', then: deny, conceal: true}
  - {id: level, on: tool, when: 'tool.server == "files"', then: {level: execute}}
  - {id: ask, on: tool, when: 'has(call.args.path)', then: require-approval}
"#;

#[test]
fn a_set_with_every_key_is_read_as_written() {
    let rules = load_text(FULL);
    let first = &rules.rules()[0];
    assert_eq!((first.on, first.mode, first.rollout, first.score), (Boundary::Request, Mode::Shadow, 25, 40));
    assert_eq!(first.then, Then::Action(Action::Quarantine2));
    assert_eq!(
        &*first.tags.iter().map(|tag| &**tag).collect::<Vec<_>>().join("|"),
        "abuse|on|no|1|true|~|0x1F|1e3"
    );
    assert_eq!((first.line, &*first.file), (3, "rules.yaml"));
    let example = first.examples_match.iter().next().unwrap();
    assert_eq!(
        example["request"],
        json!({"user_agent": "python-requests/2.32", "city": "NO", "headers": {"x-a": "on"}})
    );
    assert_eq!(rules.get("limit").unwrap().mode, Mode::Off);
    assert!(rules.get("no-scripts-from-web").unwrap().conceal);
}

#[test]
fn yaml_and_json_load_again_to_the_same_rules() {
    let rules = load_text(FULL);
    let yaml = load_text(&rules.to_yaml());
    let json = load_text(&json!({"rules": rules.rules()}).to_string());
    for other in [&yaml, &json] {
        assert_eq!(diff(&rules, other), []);
        let versions = |set: &RuleSet| set.rules().iter().map(|r| r.version.clone()).collect::<Vec<_>>();
        assert_eq!(versions(&rules), versions(other));
    }
    insta::assert_snapshot!(rules.to_yaml());
    assert_eq!(load_text(&RuleSet::default().to_yaml()).rules().len(), 0);
}

#[test]
fn differences_are_told_rule_by_rule() {
    let rule = |id: &str, rest: &str| format!("  - {{id: {id}, on: request, when: true, {rest}}}\n");
    let set = |of: &[(&str, &str)]| {
        load_text(&format!("rules:\n{}", of.iter().map(|(id, rest)| rule(id, rest)).collect::<String>()))
    };
    let old = set(&[("a", "then: log"), ("b", "then: log"), ("c", "then: log"), ("d", "then: log")]);
    let new =
        set(&[("d", "then: log"), ("a", "then: block, score: 3"), ("e", "then: log"), ("c", "then: log")]);
    let change = |rule: &str, kind, fields: &[&str]| Change {
        rule: rule.to_owned(),
        kind,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let expected = [
        change("b", ChangeKind::Removed, &[]),
        change("d", ChangeKind::Reordered, &[]),
        change("a", ChangeKind::Changed, &["score", "then"]),
        change("e", ChangeKind::Added, &[]),
    ];
    assert_eq!(diff(&old, &new), expected);
    assert_eq!(diff(&old, &old), []);
}

proptest! {
    /// Whatever a text holds, it comes back as it was.
    #[test]
    fn any_text_survives_the_way_through_yaml(because in "\\PC{0,40}", instead in any::<String>(), tag in "[ -~\\t\\n]{1,20}") {
        prop_assume!(!instead.is_empty() && !because.is_empty());
        let text = json!({"rules": [{
            "id": "a", "on": "request", "when": "true", "then": "log",
            "because": because, "instead": instead, "tags": [tag],
            "match": [{"request": {"model": because, "headers": {"x-a": instead}}, "identity": {"tags": [tag]}}],
        }]});
        let rules = load_text(&text.to_string());
        prop_assert_eq!(rules.rules()[0].because.as_deref(), Some(because.as_str()));
        let again = load_text(&rules.to_yaml());
        prop_assert_eq!(again.rules()[0].to_json().unwrap(), rules.rules()[0].to_json().unwrap());
    }
}
