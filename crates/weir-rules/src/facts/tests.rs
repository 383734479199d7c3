use serde_json::json;
use weir_core::Boundary;

use super::*;

#[test]
fn the_table_is_in_order_and_paths_are_unique() {
    for (at, fact) in Fact::ALL.iter().enumerate() {
        assert_eq!(*fact as usize, at);
        assert!(!fact.boundaries().is_empty(), "{}", fact.path());
        assert_eq!(Fact::find(fact.root(), fact.name()), Some(*fact));
    }
    let paths: std::collections::BTreeSet<_> = Fact::ALL.iter().map(|f| f.path()).collect();
    assert_eq!(paths.len(), Fact::COUNT);
    let stats: Vec<Fact> = Fact::ALL.iter().copied().filter(|fact| fact.root() == "stats").collect();
    assert_eq!(stats, Fact::STATS);
}

#[test]
fn each_boundary_knows_the_roots_of_the_design() {
    let table = [
        (Boundary::Request, "request identity stats now"),
        (Boundary::Failure, "request identity failure credential attempt now"),
        (Boundary::Tool, "identity stats tool call channel agent session now"),
    ];
    for (boundary, expected) in table {
        assert_eq!(roots_on(boundary).collect::<Vec<_>>().join(" "), expected);
    }
}

#[test]
fn facts_of_every_type_are_read_and_unset_ones_are_empty() {
    let owned = OwnedFacts::from_json(
        Boundary::Request,
        &json!({
            "request": {"model": "m", "free": true, "max_tokens": 7, "headers": {"X-A": "1"}},
            "identity": {"tags": ["a", "b"]},
            "stats": {"requests_per_second": 2},
            "now": "2026-11-20T10:00:00Z",
        }),
    )
    .unwrap();
    let facts = owned.as_facts();
    assert_eq!(facts.boundary(), Boundary::Request);
    assert_eq!(facts.str(Fact::RequestModel), "m");
    assert!(facts.bool(Fact::RequestFree));
    assert_eq!(facts.int(Fact::RequestMaxTokens), 7);
    assert_eq!(facts.map(Fact::RequestHeaders).get("x-a"), Some("1"));
    assert_eq!(facts.list(Fact::IdentityTags), ["a", "b"]);
    assert!((facts.double(Fact::StatsRequestsPerSecond) - 2.0).abs() < 1e-9);
    assert_eq!(facts.now(), Some("2026-11-20T10:00:00Z".parse().unwrap()));
    let none = Facts::new(Boundary::Request);
    assert_eq!(none.now(), None);
    assert_eq!(none.str(Fact::RequestModel), "");
    assert!(!none.map(Fact::RequestHeaders).contains("x-a"));
}

#[test]
fn a_fact_that_cannot_be_read_is_named_with_its_path() {
    let table = [
        (Boundary::Request, json!([]), "", "facts must be an object, not a list"),
        (
            Boundary::Request,
            json!({"reqest": {}}),
            "reqest",
            "unknown fact `reqest`; did you mean `request`?",
        ),
        (Boundary::Request, json!({"zzz": {}}), "zzz", "unknown fact `zzz`"),
        (Boundary::Request, json!({"tool": {}}), "tool", "rules on `request` cannot read `tool`"),
        (Boundary::Request, json!({"request": 1}), "request", "`request` must be an object, not an int"),
        (
            Boundary::Request,
            json!({"request": {"free": "no"}}),
            "request.free",
            "`request.free` must be a bool, not a string",
        ),
        (
            Boundary::Request,
            json!({"request": {"max_tokens": 1.5}}),
            "request.max_tokens",
            "`request.max_tokens` must be an int, not a double",
        ),
        (
            Boundary::Request,
            json!({"request": {"model": null}}),
            "request.model",
            "`request.model` must be a string, not null",
        ),
        (
            Boundary::Request,
            json!({"identity": {"tags": ["a", 1]}}),
            "identity.tags[1]",
            "`identity.tags[1]` must be a string, not an int",
        ),
        (
            Boundary::Request,
            json!({"request": {"headers": {"a": true}}}),
            "request.headers.a",
            "`request.headers.a` must be a string, not a bool",
        ),
        (
            Boundary::Request,
            json!({"now": "soon"}),
            "now",
            "`now` must be a time such as 2026-11-20T10:00:00Z, not `soon`",
        ),
        (Boundary::Failure, json!({"status": "x"}), "status", "`status` must be an int, not a string"),
    ];
    for (boundary, facts, path, message) in table {
        let error = OwnedFacts::from_json(boundary, &facts).unwrap_err();
        assert_eq!((error.path.as_str(), error.to_string().as_str()), (path, message), "{facts}");
    }
}

#[test]
fn a_failure_may_be_given_as_a_flat_line() {
    let line = json!({
        "provider": "kimi", "status": 403, "body": {"error": {"message": "ACCESS denied"}},
        "headers": {"Retry-After": "3"}, "credential_owner": "user", "failure": {"operation": "chat"},
    });
    let owned = OwnedFacts::from_json(Boundary::Failure, &line).unwrap();
    let facts = owned.as_facts();
    assert_eq!(facts.str(Fact::FailureProvider), "kimi");
    assert_eq!((facts.int(Fact::FailureStatus), facts.int(Fact::FailureHttpStatus)), (403, 403));
    assert!(facts.str(Fact::FailureText).contains("access denied"));
    assert_eq!(facts.map(Fact::FailureHeaders).get("retry-after"), Some("3"));
    assert_eq!(facts.str(Fact::CredentialOwner), "user");
    assert_eq!(facts.str(Fact::FailureOperation), "chat");
}

#[test]
fn rules_see_a_window_of_a_long_prompt() {
    let short = "x".repeat(PROMPT_HEAD_BYTES + PROMPT_TAIL_BYTES);
    assert_eq!(prompt_window(&short), short);
    let long = format!("begin{}middle{}end", "é".repeat(20_000), "ü".repeat(20_000));
    let mut facts = Facts::new(Boundary::Request);
    facts.set_str(Fact::RequestUserPrompt, &long);
    facts.set_str(Fact::RequestSystemPrompt, &short);
    let seen = facts.str(Fact::RequestUserPrompt);
    assert!(seen.len() <= PROMPT_HEAD_BYTES + PROMPT_TAIL_BYTES + 1);
    assert!(seen.starts_with("begin") && seen.ends_with("end") && !seen.contains("middle"));
    assert_eq!(seen, prompt_window(&long));
    assert_eq!(facts.str(Fact::RequestSystemPrompt), short);
    facts.set_str(Fact::RequestUserPrompt, "another");
    assert_eq!(facts.str(Fact::RequestUserPrompt), "another");
}
