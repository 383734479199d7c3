//! Combining, rollout, expiry, modes, and what a set says of itself.

use serde_json::{Value as Json, json};
use weir_core::{Obligation, Outcome};

use super::*;
use crate::facts::OwnedFacts;
use crate::live::{LiveRules, Stopped};
use crate::load::{LoadOptions, SourceFile, load};

const AT: &str = "2026-11-20T10:00:00Z";

fn set(rules: &str) -> RuleSet {
    let text = if rules.is_empty() { "rules: []".to_owned() } else { format!("rules:\n{rules}") };
    let options = LoadOptions { now: AT.parse().unwrap() };
    match load(&[SourceFile { name: "rules.yaml".into(), text }], &options) {
        Ok(loaded) => loaded.rules,
        Err(failure) => panic!("{}", failure.diagnostics.iter().map(ToString::to_string).collect::<String>()),
    }
}

fn decide_as(rules: &RuleSet, facts: &Json, subject: &str) -> Decision {
    let owned = OwnedFacts::from_json(Boundary::Request, facts).unwrap();
    let at = AT.parse().unwrap();
    let context = DecideContext {
        id: DecisionId::new(at, [7; 10]),
        subject,
        epoch: 3,
        at,
        delays: QuarantineDelays::default(),
    };
    rules.decide_request(&owned.as_facts(), &context)
}

fn decide(rules: &RuleSet) -> Decision {
    decide_as(rules, &json!({"request": {"model": "m"}}), "user:a")
}

/// Rules in flow form, all of which match unless said otherwise.
fn rules(of: &[&str]) -> RuleSet {
    let lines = of
        .iter()
        .enumerate()
        .map(|(at, rest)| format!("  - {{id: r{at}, on: request, when: true, {rest}}}\n"));
    set(&lines.collect::<String>())
}

#[test]
fn the_most_severe_action_wins_and_the_first_rule_that_asked_for_it_is_named() {
    type Row<'r> = (&'r [&'r str], &'r str, Option<&'r str>, &'r [&'r str]);
    let table: &[Row<'_>] = &[
        (&[], "nothing", None, &[]),
        (&["then: log"], "log", Some("r0"), &["r0"]),
        (&["then: nothing"], "nothing", Some("r0"), &["r0"]),
        (
            &["then: log", "then: block", "then: quarantine-3", "then: block"],
            "block",
            Some("r1"),
            &["r0", "r1", "r2", "r3"],
        ),
        (&["then: rate-limit", "then: quarantine-1"], "quarantine-1", Some("r1"), &["r0", "r1"]),
        (&["then: block, mode: shadow", "then: log"], "log", Some("r1"), &["r0", "r1"]),
        (&["then: block, mode: off", "then: log"], "log", Some("r1"), &["r1"]),
        (&["then: block", "then: skip", "then: skip"], "nothing", Some("r1"), &["r0", "r1", "r2"]),
        (&["then: block", "then: skip, mode: shadow"], "block", Some("r0"), &["r0", "r1"]),
        (&["then: {rate-limit: {requests: 1, per: 1m}}"], "nothing", None, &["r0"]),
        (&["then: block, rollout: 0", "then: log, rollout: 100"], "log", Some("r1"), &["r1"]),
        (&["then: block, expires: 2027-01-01T00:00:00Z"], "block", Some("r0"), &["r0"]),
        (&["then: block, expires: 2026-11-20T10:00:00Z"], "nothing", None, &[]),
    ];
    for (of, outcome, rule, matched) in table {
        let decision = decide(&rules(of));
        assert_eq!(decision.outcome, Outcome::new(*outcome), "{of:?}");
        assert_eq!(decision.rule.as_deref(), *rule, "{of:?}");
        let listed: Vec<&str> = decision.matched.iter().map(|m| m.rule.as_str()).collect();
        assert_eq!(listed, *matched, "{of:?}");
    }
}

#[test]
fn a_rule_is_listed_in_its_own_mode_and_in_shadow_while_it_is_stopped() {
    let rules = rules(&["then: block", "then: block, mode: shadow", "then: log"]);
    let stops: Vec<Stopped> = rules.rules()[..2].iter().map(|r| Stopped::new(&r.id, &r.version)).collect();
    let live = LiveRules::new(rules, 3);
    let facts = OwnedFacts::from_json(Boundary::Request, &json!({"request": {"model": "m"}})).unwrap();
    let at = AT.parse().unwrap();
    let id = DecisionId::new(at, [7; 10]);
    let context = DecideContext { id, subject: "user:a", epoch: 3, at, delays: QuarantineDelays::default() };
    for (stops, modes, decider) in [
        (Vec::new(), [Mode::Enforce, Mode::Shadow, Mode::Enforce], "r0"),
        (stops, [Mode::Shadow, Mode::Shadow, Mode::Enforce], "r2"),
    ] {
        let decision = live.stop(stops).decide_request(&facts.as_facts(), &context);
        let listed: Vec<Mode> = decision.matched.iter().map(|matched| matched.mode).collect();
        assert_eq!((listed.as_slice(), decision.rule.as_deref()), (&modes[..], Some(decider)));
    }
}

#[test]
fn limits_are_obligations_beside_the_action() {
    let limit = "then: {rate-limit: {requests: 60, per: 1m}}";
    let counted =
        |rule: &str| Obligation::RateLimit(weir_core::Limit { rule: rule.into(), requests: 60, per_s: 60 });
    let table: &[(&[&str], Vec<Obligation>)] = &[
        (&[limit, limit], vec![counted("r0"), counted("r1")]),
        (
            &[limit, "then: quarantine-3"],
            vec![Obligation::DelayMs(6000), Obligation::Downgrade(true), counted("r0")],
        ),
        (&[limit, "then: rate-limit"], vec![counted("r0")]),
        (&[limit, "then: quarantine-1"], vec![Obligation::DelayMs(2000), counted("r0")]),
        (&[limit, "then: block"], vec![]),
        (&[limit, "then: quarantine-2", "then: skip"], vec![]),
        (&["then: {rate-limit: {requests: 60, per: 1m}}, mode: shadow"], vec![]),
    ];
    for (of, expected) in table {
        let decision = decide(&rules(of));
        assert_eq!(decision.obligations, *expected, "{of:?}");
        assert_eq!(decision.matched[0].action, "rate-limit");
    }
}

#[test]
fn scores_of_enforced_rules_add_up() {
    let decision = decide(&rules(&[
        "then: log, score: 40",
        "then: skip, score: 5",
        "then: log, score: 100, mode: shadow",
        "then: log, score: -3",
    ]));
    assert_eq!(decision.sus_score, 42);
}

#[test]
fn a_decision_carries_its_context_and_the_words_of_its_rule() {
    let decision = decide(&rules(&["then: block, because: Why., instead: What."]));
    assert_eq!((decision.because.as_deref(), decision.instead.as_deref()), (Some("Why."), Some("What.")));
    assert_eq!(
        (decision.epoch, decision.subject.as_str(), decision.source),
        (3, "user:a", weir_core::Source::Fresh)
    );
    assert_eq!(decision.at, AT.parse().unwrap());
    assert_eq!(decision.matched[0].version.len(), 12);
}

#[test]
fn an_error_is_listed_and_counts_as_no_match() {
    let of = set("  - {id: bad, on: request, when: 1 / request.max_tokens == 1, then: block}\n  \
                   - {id: off, on: request, when: 1 / request.max_tokens == 1, then: block, rollout: 0}\n  \
                   - {id: absorbed, on: request, when: 1 / request.max_tokens == 1 || request.model == \"m\", then: log}\n");
    let decision = decide(&of);
    assert_eq!(decision.outcome, Outcome::new("log"));
    let errored: Vec<_> = decision.errored.iter().map(|e| (e.rule.as_str(), e.error.as_str())).collect();
    assert_eq!(errored, [("bad", "division by zero")]);
    let facts = OwnedFacts::from_json(Boundary::Request, &json!({})).unwrap();
    assert!(of.matches(0, &facts.as_facts(), AT.parse().unwrap()).is_err());
    assert_eq!(of.matches(99, &facts.as_facts(), AT.parse().unwrap()), Ok(false));
}

/// The numbers come from `printf 'r0|user:N' | sha256sum`: the first 8 bytes modulo 100.
#[test]
fn a_rollout_is_the_hash_of_rule_and_identity() {
    for (subject, number) in [("user:0", 98), ("user:1", 93), ("user:2", 15)] {
        let below = decide_as(&rules(&[&format!("then: log, rollout: {number}")]), &json!({}), subject);
        let above = decide_as(&rules(&[&format!("then: log, rollout: {}", number + 1)]), &json!({}), subject);
        assert_eq!((below.matched.len(), above.matched.len()), (0, 1), "{subject}");
    }
    let quarter = rules(&["then: log, rollout: 25"]);
    let hits =
        (0..4_000).filter(|n| !decide_as(&quarter, &json!({}), &format!("user:{n}")).matched.is_empty());
    let hits = hits.count();
    assert!((850..1150).contains(&hits), "{hits}");
}

#[test]
fn a_set_says_what_it_holds_and_reads() {
    let of = set(
        "  - {id: b, on: request, when: 'request.user_prompt.contains(\"x\") && identity.blocked', then: log}\n  \
                   - {id: a, on: request, when: stats.requests_1h > 5, then: log, mode: off}\n  \
                   - {id: c, on: tool, when: 'has(call.args.path)', then: deny}\n",
    );
    assert!(of.reads(Fact::RequestUserPrompt) && of.reads(Fact::IdentityBlocked) && of.reads(Fact::CallArgs));
    assert!(!of.reads(Fact::RequestSystemPrompt) && !of.reads(Fact::StatsRequests1h));
    assert!(of.has_enabled(Boundary::Request) && of.has_enabled(Boundary::Tool));
    assert!(!of.has_enabled(Boundary::Failure) && !RuleSet::default().has_enabled(Boundary::Request));
    assert_eq!(of.get("a").map(|rule| &*rule.when), Some("stats.requests_1h > 5"));
    assert!(of.get("d").is_none());
}

#[test]
fn failure_and_tool_rules_evaluate_by_the_same_way() {
    let of = set(
        "  - {id: f, on: failure, when: 'failure.status == 403 && failure.text.contains(\"denied\")', then: {class: access_policy_denied}}\n  \
                   - {id: t, on: tool, when: 'tool.name == \"run\" && call.args.n > 1', then: deny, conceal: true}\n  \
                   - {id: u, on: tool, when: 'call.args.n > 1', then: {level: execute}}\n",
    );
    let context = EvaluateContext { subject: "user:a", at: AT.parse().unwrap() };
    let failure =
        OwnedFacts::from_json(Boundary::Failure, &json!({"status": 403, "body": "Access DENIED"})).unwrap();
    assert_eq!(of.evaluate(Boundary::Failure, &failure.as_facts(), &context).matched, [0]);
    let call = OwnedFacts::from_json(Boundary::Tool, &json!({"tool": {"name": "run"}, "call": {"args": {}}}))
        .unwrap();
    let evaluation = of.evaluate(Boundary::Tool, &call.as_facts(), &context);
    assert_eq!(evaluation.matched, [0; 0]);
    assert_eq!(evaluation.errored.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2]);
}
