use jiff::Timestamp;

use crate::load::{LoadOptions, SourceFile, load};

/// The warnings about rules in flow form, as `rule: message`.
fn warnings(on: &str, rules: &[&str]) -> Vec<String> {
    let lines = rules.iter().enumerate().map(|(at, rest)| format!("  - {{id: r{at}, on: {on}, {rest}}}\n"));
    let text = format!("rules:\n{}", lines.collect::<String>());
    let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    match load(&[SourceFile { name: "a.yaml".into(), text }], &LoadOptions { now }) {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|w| format!("{}: {}", w.rule.as_deref().unwrap_or(""), w.message))
            .collect(),
        Err(failure) => panic!("{}", failure.diagnostics[0]),
    }
}

const A: &str = "when: 'request.model == \"a\"'";
const A_FREE: &str = "when: 'request.model == \"a\" && request.free'";

#[test]
fn only_what_is_true_is_warned_of() {
    let table: &[(&str, &[&str], &[&str])] = &[
        // Alone.
        ("request", &["when: 'false', then: block"], &["r0: the condition never holds"]),
        (
            "request",
            &["when: 'request.model == \"a\" && request.model == \"b\"', then: block"],
            &["r0: the condition never holds"],
        ),
        (
            "request",
            &["when: 'request.max_tokens > 5 && request.max_tokens < 3', then: block"],
            &["r0: the condition never holds"],
        ),
        ("request", &["when: 'request.max_tokens > 5 && request.max_tokens < 7', then: block"], &[]),
        (
            "request",
            &["when: 'request.model.startsWith(\"a\") && request.model == \"b\"', then: block"],
            &["r0: the condition never holds"],
        ),
        (
            "request",
            &["when: 'request.free && !request.free', then: block"],
            &["r0: the condition never holds"],
        ),
        (
            "request",
            &["when: 'true', then: block, rollout: 0"],
            &["r0: `rollout: 0` leaves the rule out for every identity"],
        ),
        // Pairs of requests.
        (
            "request",
            &[&format!("{A}, then: block"), &format!("{A}, then: log")],
            &["r1: the rule never decides: `r0` has the same condition, with the more severe `block`"],
        ),
        (
            "request",
            &[&format!("{A}, then: skip"), &format!("{A_FREE}, then: block")],
            &[
                "r1: the rule has no effect: `r0` matches whenever this one does, and a `skip` lifts what other rules ask for",
            ],
        ),
        ("request", &[&format!("{A_FREE}, then: skip"), &format!("{A}, then: block")], &[]),
        ("request", &[&format!("{A}, then: block"), &format!("{A}, then: log, score: 5")], &[]),
        ("request", &[&format!("{A}, then: block"), &format!("{A}, then: log, mode: shadow")], &[]),
        ("request", &[&format!("{A}, then: block, mode: shadow"), &format!("{A}, then: log")], &[]),
        ("request", &[&format!("{A}, then: block, rollout: 50"), &format!("{A}, then: log")], &[]),
        (
            "request",
            &[&format!("{A}, then: block, expires: 2027-01-01T00:00:00Z"), &format!("{A}, then: log")],
            &[],
        ),
        ("request", &[&format!("{A}, then: log"), &format!("{A_FREE}, then: block")], &[]),
        (
            "request",
            &[
                "when: 'stats.requests_1h > 100', then: block",
                "when: 'stats.requests_1h > 200', then: quarantine-1",
            ],
            &[
                "r1: the rule never decides: `r0` matches whenever this one does, with the more severe `block`",
            ],
        ),
        (
            "request",
            &[
                "when: 'stats.requests_1h > 200', then: block",
                "when: 'stats.requests_1h > 100', then: quarantine-1",
            ],
            &[],
        ),
        (
            "request",
            &[
                "when: 'request.model in [\"a\", \"b\"]', then: block",
                "when: 'request.model == \"a\"', then: log",
                "when: 'request.model == \"c\"', then: log",
            ],
            &[
                "r1: the rule never decides: `r0` matches whenever this one does, with the more severe `block`",
            ],
        ),
        (
            "request",
            &[&format!("{A}, then: block"), &format!("{A}, then: {{rate-limit: {{requests: 1, per: 1m}}}}")],
            &["r1: the rule has no effect: `r0` has the same condition, and what is blocked is not counted"],
        ),
        (
            "request",
            &[&format!("{A}, then: log"), &format!("{A}, then: {{rate-limit: {{requests: 1, per: 1m}}}}")],
            &[],
        ),
        // The first match decides.
        (
            "failure",
            &[
                "when: 'failure.status == 500', then: {class: overloaded}",
                "when: 'failure.status == 500 && failure.phase == \"head\"', then: {class: upstream_5xx}",
                "when: 'failure.status >= 500', then: {class: upstream_5xx}",
            ],
            &[
                "r1: the rule is never reached: `r0` matches whenever this one does, stands before it, and the first match decides",
            ],
        ),
        (
            "failure",
            &[
                "when: 'failure.status == 500', then: {class: overloaded}, mode: shadow",
                "when: 'failure.status == 500', then: {class: upstream_5xx}",
            ],
            &[],
        ),
        // Tools.
        (
            "tool",
            &["when: 'tool.name == \"bash\"', then: allow", "when: 'tool.name == \"bash\"', then: deny"],
            &["r0: the rule has no effect: `r1` has the same condition, and denies; nothing lifts a denial"],
        ),
        (
            "tool",
            &[
                "when: 'tool.name == \"bash\"', then: require-approval",
                "when: 'tool.name == \"bash\"', then: {level: execute}",
            ],
            &[],
        ),
    ];
    for (on, rules, expected) in table {
        assert_eq!(warnings(on, rules), *expected, "{on} {rules:?}");
    }
}

#[test]
fn the_built_in_pack_has_none() {
    let file = SourceFile { name: "pack.yaml".into(), text: crate::failure::PACK_TEXT.to_owned() };
    let loaded =
        crate::load::load_reserved(&[file], &LoadOptions { now: Timestamp::UNIX_EPOCH }, None).unwrap();
    let said: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn many_rules_are_compared_by_their_condition_alone() {
    let mut rules: Vec<String> =
        (0..1_100).map(|n| format!("when: 'request.model == \"m{n}\"', then: block")).collect();
    rules.push("when: 'request.model == \"m7\"', then: log".to_owned());
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    assert_eq!(
        warnings("request", &rules),
        ["r1100: the rule never decides: `r7` has the same condition, with the more severe `block`"]
    );
}
