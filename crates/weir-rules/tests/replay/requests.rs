//! Requests: random facts of which records keep a part, through random rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use weir_core::action::QuarantineDelays;
use weir_core::record::{IdentityFacts, Record, RecordedFacts, RequestFacts, RequestResult, Stats};
use weir_core::{Boundary, Decision, DecisionId, Source};
use weir_rules::enforce::exempted;
use weir_rules::replay::{Effect, Why};
use weir_rules::{DecideContext, Fact, Facts, RuleSet};

use crate::support::{at, moves, of, replay, set, side};

/// A request with all that a decision may read.
#[derive(Clone, Debug)]
pub struct Asked {
    facts: RecordedFacts,
    prompt: &'static str,
    header: &'static str,
    subject: String,
    exempt: bool,
}

impl Asked {
    pub fn decide(&self, rules: &RuleSet) -> Decision {
        let headers = BTreeMap::from([("x-a".to_owned(), self.header.to_owned())]);
        let mut facts = Facts::of_request(&self.facts);
        facts.set_str(Fact::RequestUserPrompt, self.prompt);
        facts.set_map(Fact::RequestHeaders, &headers);
        let context = DecideContext {
            id: DecisionId::new(at(), [1; 10]),
            subject: &self.subject,
            epoch: 1,
            at: at(),
            delays: QuarantineDelays::default(),
        };
        let decision = rules.decide_request(&facts, &context);
        if self.exempt { exempted(decision) } else { decision }
    }

    /// What is kept of it, decided by `rules`.
    pub fn record(&self, rules: &RuleSet) -> Record {
        let mut facts = self.facts.clone();
        if !facts.stats_known {
            facts.stats = Stats::default();
        }
        Record { decision: self.decide(rules), result: RequestResult::default(), facts, call: None }
    }
}

const WORDS: [&str; 3] = ["", "a", "b"];
const CONDITIONS: [&str; 13] = [
    "true",
    "request.model == \"a\"",
    "request.model in [\"a\", \"b\"]",
    "identity.plan == \"a\"",
    "request.free",
    "\"t\" in identity.tags",
    "stats.requests_1h > 1",
    "stats.requests_per_second < 0.5",
    "request.user_prompt.contains(\"a\")",
    "request.headers[\"x-a\"] == \"a\"",
    "\"x-a\" in request.headers",
    "cidr(\"10.0.0.0/8\").containsIP(request.ip)",
    "size(request.user_prompt) + request.max_tokens > 1",
];
const THENS: [&str; 7] = [
    "then: log",
    "then: block",
    "then: skip",
    "then: quarantine-2",
    "then: rate-limit",
    "then: nothing",
    "then: {rate-limit: {requests: 100, per: 1h}}",
];
const MODES: [&str; 6] =
    ["score: 1", "score: 2", "mode: shadow", "mode: off", "rollout: 50", "expires: 2026-11-20T10:00:00Z"];

fn asked() -> impl Strategy<Value = Asked> {
    let word = || prop::sample::select(&WORDS[..]);
    let ip = prop::sample::select(&["", "10.1.2.3", "192.0.2.1", "no address"][..]);
    let facts = (word(), word(), ip, any::<bool>(), 0..3_i64, any::<bool>(), 0..3_i64, any::<bool>());
    let besides = (word(), word(), 0..5_u32, prop::bool::weighted(0.1));
    (facts, besides).prop_map(|(facts, (prompt, header, subject, exempt))| {
        let (model, plan, ip, free, max_tokens, tagged, requests_1h, stats_known) = facts;
        let request = RequestFacts {
            model: model.to_owned(),
            ip: ip.to_owned(),
            free,
            max_tokens,
            ..RequestFacts::default()
        };
        let identity = IdentityFacts {
            plan: plan.to_owned(),
            tags: if tagged { vec!["t".to_owned()] } else { Vec::new() },
            ..IdentityFacts::default()
        };
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let stats = Stats { requests_1h, requests_per_second: requests_1h as f64 / 2.0, ..Stats::default() };
        let facts = RecordedFacts { request, identity, stats, stats_known, ..RecordedFacts::default() };
        Asked { facts, prompt, header, subject: format!("user:{subject}"), exempt }
    })
}

fn condition() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(&CONDITIONS[..]).prop_map(str::to_owned);
    atom.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
        ]
    })
}

fn rules() -> impl Strategy<Value = Vec<(String, String)>> {
    let then = prop::sample::select(&THENS[..]);
    let mode = prop::sample::select(&MODES[..]);
    let rule = (condition(), then, mode).prop_map(|(when, then, mode)| (when, format!("{then}, {mode}")));
    prop::collection::vec(rule, 0..6)
}

/// Whether every decision that can be replayed would be what is decided with all facts.
fn holds(asked: &Asked, in_force: &Arc<RuleSet>, candidate: &Arc<RuleSet>) {
    let record = asked.record(in_force);
    let report = replay(candidate, [&record]);
    let side = side(&report, Boundary::Request);
    assert_eq!(side.decisions, 1);
    if side.replayed == 1 {
        let truly = asked.decide(candidate);
        assert_eq!(side.transitions[0].to, truly.outcome.as_str(), "{asked:?}");
        assert_eq!(side.transitions[0].from, record.decision.outcome.as_str());
        let hits: u64 = report.rules.iter().map(|rule| rule.hits + rule.undecided).sum();
        assert!(hits >= truly.matched.len() as u64, "{asked:?} {report:?}");
    } else {
        assert_eq!(side.not_replayed[0].why, Why::NotRecorded);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_replayed_is_what_the_candidate_decides_with_all_facts(
        in_force in rules(), candidate in rules(), asked in prop::collection::vec(asked(), 1..6),
    ) {
        let (in_force, candidate) = (set("request", &in_force), set("request", &candidate));
        for asked in asked {
            holds(&asked, &in_force, &candidate);
        }
    }

    #[test]
    fn the_set_that_was_in_force_reproduces_every_replayable_decision(
        rules in rules(), asked in prop::collection::vec(asked(), 1..20),
    ) {
        let rules = set("request", &rules);
        let records: Vec<Record> = asked.iter().map(|asked| asked.record(&rules)).collect();
        let report = replay(&rules, &records);
        let side = side(&report, Boundary::Request);
        // Limits of 100 an hour are never exceeded here.
        prop_assert_eq!(side.unchanged, side.replayed);
        prop_assert_eq!(report.changed(), 0);
        let lost: u64 = side.not_replayed.iter().map(|reason| reason.decisions).sum();
        prop_assert_eq!(side.decisions, side.replayed + lost);
    }
}

fn plain(model: &str, plan: &str, subject: &str) -> Asked {
    let request = RequestFacts { model: model.to_owned(), ..RequestFacts::default() };
    let identity = IdentityFacts { plan: plan.to_owned(), ..IdentityFacts::default() };
    Asked {
        facts: RecordedFacts { request, identity, ..RecordedFacts::default() },
        prompt: "",
        header: "",
        subject: subject.to_owned(),
        exempt: false,
    }
}

#[test]
fn who_is_concerned_is_counted_by_plan_identity_and_rule_and_paying_or_not() {
    let before = set("request", &of(&[("request.model == \"old\"", "then: block")]));
    let after = set(
        "request",
        &of(&[
            ("request.model == \"new\"", "then: block"),
            ("request.model == \"slow\"", "then: quarantine-1"),
            ("request.model == \"never\"", "then: log"),
        ]),
    );
    let asked = [
        plain("new", "pro", "user:a"),
        plain("new", "pro", "user:a"),
        plain("new", "free", "user:b"),
        plain("new", "", "user:c"),
        plain("old", "pro", "user:a"),
        plain("slow", "", "user:c"),
        plain("same", "", "user:d"),
    ];
    let records: Vec<Record> = asked.iter().map(|asked| asked.record(&before)).collect();
    let report = replay(&after, &records);
    let side = side(&report, Boundary::Request);
    assert_eq!((side.decisions, side.replayed, side.unchanged), (7, 7, 1));
    assert_eq!(
        moves(&report, Boundary::Request),
        ["block -> nothing: 1", "nothing -> block: 4", "nothing -> nothing: 1", "nothing -> quarantine-1: 1"]
    );
    let blocked = side.changes.iter().find(|change| change.effect == Effect::NewlyBlocked).unwrap();
    assert_eq!((blocked.decisions, blocked.identities), (4, 3));
    assert_eq!((blocked.paying_decisions, blocked.paying_identities), (2, 1));
    let plans: Vec<(&str, u64)> = blocked.by_plan.iter().map(|s| (s.name.as_str(), s.decisions)).collect();
    assert_eq!(plans, [("pro", 2), ("", 1), ("free", 1)]);
    assert_eq!(blocked.by_rule[0].name, "r0");
    let freed = side.changes.iter().find(|change| change.effect == Effect::Freed).unwrap();
    // Freed of the rule that blocked it, which had the first id of the old set.
    assert_eq!((freed.decisions, freed.by_rule[0].name.as_str()), (1, "r0"));
    assert_eq!(report.decisions(Effect::NewlySlowed), 1);
    let never: Vec<&str> =
        report.rules.iter().filter(|rule| rule.never_matched()).map(|rule| rule.rule.as_str()).collect();
    assert_eq!(never, ["r2"]);
}

#[test]
fn what_rules_did_not_decide_is_not_compared_and_says_why() {
    let rules = set("request", &of(&[("true", "then: block")]));
    let asked = plain("a", "", "user:a");
    let fresh = asked.record(&rules);
    let with = |change: &dyn Fn(&mut Record)| {
        let mut record = fresh.clone();
        change(&mut record);
        record
    };
    let table = [
        (with(&|r| r.decision.source = Source::Cache), Some(Why::ActionCache)),
        (with(&|r| r.decision.source = Source::Static), Some(Why::NotAsked)),
        (with(&|r| r.decision.matched[0].version.clear()), Some(Why::RemoteClassifier)),
        (fresh.clone(), None),
    ];
    for (record, why) in table {
        let report = replay(&rules, [&record]);
        let side = side(&report, Boundary::Request);
        assert_eq!(side.not_replayed.first().map(|reason| reason.why), why);
        assert_eq!(side.replayed, u64::from(why.is_none()));
        // What a rule would match is counted all the same.
        assert_eq!(report.rules[0].hits, 1);
    }
    let early = with(&|r| r.result.ended_at = Some("read".to_owned()));
    let report = replay(&rules, [&early]);
    let side = side(&report, Boundary::Request);
    assert_eq!((side.ended_before, side.decisions, report.rules[0].hits), (1, 0, 0));
}

#[test]
fn texts_that_were_redacted_are_not_what_rules_saw() {
    let rules = set("request", &of(&[("request.model == \"a\"", "then: block")]));
    let mut record = plain("a", "", "user:a").record(&rules);
    record.facts.redacted = true;
    let report = replay(&rules, [&record]);
    assert_eq!(side(&report, Boundary::Request).not_replayed[0].why, Why::NotRecorded);
}
