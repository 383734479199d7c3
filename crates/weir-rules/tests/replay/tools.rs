//! Tool calls: random calls of which records keep a part, through random rules.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use weir_core::action::QuarantineDelays;
use weir_core::record::{IdentityFacts, Record, RecordedFacts, RequestResult, ToolRecord};
use weir_core::tool::PermissionLevel;
use weir_core::{Boundary, DecisionId};
use weir_rules::replay::{Effect, Why};
use weir_rules::tool::{Scene, ToolDecision, Verdict};
use weir_rules::{DecideContext, Fact, Facts, RuleSet};

use crate::support::{at, moves, of, replay, set, side};

#[derive(Clone, Debug)]
struct Call {
    name: &'static str,
    tool_level: PermissionLevel,
    floor: PermissionLevel,
    ceiling: PermissionLevel,
    args: Json,
    plan: &'static str,
    known: bool,
    visible: bool,
}

impl Call {
    fn decide(&self, rules: &RuleSet) -> ToolDecision {
        let identity = self.identity();
        let mut facts = Facts::new(Boundary::Tool);
        facts.set_identity(&identity);
        facts.set_str(Fact::ToolName, self.name);
        facts.set_str(Fact::ToolLevel, self.tool_level.token());
        facts.set_str(Fact::ChannelCeiling, self.ceiling.token());
        facts.set_str(Fact::CallLevel, self.floor.token());
        facts.set_dynamic(Fact::CallArgs, &self.args);
        let scene = Scene { known: self.known, visible: self.visible, ..Scene::default() };
        let context = DecideContext {
            id: DecisionId::new(at(), [1; 10]),
            subject: "user:a",
            epoch: 1,
            at: at(),
            delays: QuarantineDelays::default(),
        };
        rules.decide_tool(&mut facts, &scene, &context)
    }

    fn identity(&self) -> IdentityFacts {
        IdentityFacts { plan: self.plan.to_owned(), ..IdentityFacts::default() }
    }

    fn record(&self, made: &ToolDecision) -> Record {
        let tool = ToolRecord {
            name: self.name.to_owned(),
            tool_level: Some(made.tool_level()),
            level: Some(made.level()),
            ceiling: Some(made.ceiling()),
            floor: Some(made.floor()),
            args: self.args.as_object().unwrap().keys().cloned().collect(),
            denial: made.denial().cloned(),
            ..ToolRecord::default()
        };
        let result = RequestResult { tool: Some(Box::new(tool)), ..RequestResult::default() };
        let facts =
            RecordedFacts { identity: self.identity(), stats_known: true, ..RecordedFacts::default() };
        Record { decision: made.decision().clone(), result, facts, call: None }
    }
}

const CONDITIONS: [&str; 9] = [
    "true",
    "tool.name == \"a\"",
    "tool.level == \"execute\"",
    "identity.plan == \"pro\"",
    "call.args.x == 1",
    "has(call.args.x)",
    "has(call.args.x) && call.args.x == 1",
    "tool.name == \"a\" || call.args.x == 1",
    "channel.ceiling == \"dangerous\"",
];
const THENS: [&str; 6] = [
    "then: deny",
    "then: require-approval",
    "then: allow",
    "then: {level: execute}",
    "then: deny, conceal: true",
    "then: deny, mode: shadow",
];

fn rules() -> impl Strategy<Value = Vec<(String, String)>> {
    let rule = (prop::sample::select(&CONDITIONS[..]), prop::sample::select(&THENS[..]));
    prop::collection::vec(rule.prop_map(|(when, then)| (when.to_owned(), then.to_owned())), 0..6)
}

fn call() -> impl Strategy<Value = Call> {
    use PermissionLevel::{Dangerous, Execute, ReadOnly, Write};
    let level = || prop::sample::select(&[ReadOnly, Write, Execute, Dangerous][..]);
    let args = prop::sample::select(vec![json!({}), json!({"x": 1}), json!({"x": "other"})]);
    let name = prop::sample::select(&["a", "b"][..]);
    let plan = prop::sample::select(&["", "pro"][..]);
    let seen = (prop::bool::weighted(0.9), prop::bool::weighted(0.9));
    (name, level(), level(), level(), args, plan, seen).prop_map(
        |(name, tool_level, floor, ceiling, args, plan, (known, visible))| Call {
            name,
            tool_level,
            floor,
            ceiling,
            args,
            plan,
            known,
            visible,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_replayed_is_what_the_candidate_decides_with_all_facts(
        in_force in rules(), candidate in rules(), call in call(),
    ) {
        let (in_force, candidate) = (set("tool", &in_force), set("tool", &candidate));
        let record = call.record(&call.decide(&in_force));
        for rules in [&in_force, &candidate] {
            let report = replay(rules, [&record]);
            let side = side(&report, Boundary::Tool);
            prop_assert_eq!(side.decisions, 1);
            if side.replayed == 1 {
                let truly = call.decide(rules);
                prop_assert_eq!(&side.transitions[0].to, truly.decision().outcome.as_str());
            }
        }
        let report = replay(&in_force, [&record]);
        prop_assert_eq!(report.changed(), 0);
    }
}

fn plain() -> Call {
    Call {
        name: "a",
        tool_level: PermissionLevel::ReadOnly,
        floor: PermissionLevel::None,
        ceiling: PermissionLevel::Dangerous,
        args: json!({}),
        plan: "",
        known: true,
        visible: true,
    }
}

fn without_rules() -> Arc<RuleSet> {
    set("tool", &[])
}

#[test]
fn what_policies_and_people_added_is_told_apart_from_what_rules_said() {
    let none = without_rules();
    let asks = set("tool", &of(&[("true", "then: require-approval")]));
    let denies = set("tool", &of(&[("true", "then: deny")]));
    let deny = Verdict::Deny { reason: "no".to_owned() };
    let ask = Verdict::RequireApproval { reason: "ask".to_owned() };
    let denied_by_policy = plain().record(&plain().decide(&none).with_policy("p", &deny));
    let asked_by_policy = plain().record(&plain().decide(&none).with_policy("p", &ask));
    let mut approved = plain().record(&plain().decide(&asks));
    approved.decision.outcome = weir_core::Outcome::new("allow");
    let tool = approved.result.tool.as_mut().unwrap();
    (tool.denial, tool.approval_id) = (None, Some("appr_1".to_owned()));
    let table = [
        (&denied_by_policy, &none, "deny -> deny: 1"),
        (&denied_by_policy, &asks, "deny -> deny: 1"),
        (&asked_by_policy, &none, "require-approval -> require-approval: 1"),
        (&asked_by_policy, &denies, "require-approval -> deny: 1"),
        (&approved, &asks, "require-approval -> require-approval: 1"),
        (&approved, &none, "require-approval -> allow: 1"),
        (&approved, &denies, "require-approval -> deny: 1"),
    ];
    for (record, rules, expected) in table {
        assert_eq!(moves(&replay(rules, [record]), Boundary::Tool), [expected]);
    }
    assert_eq!(replay(&none, [&approved]).decisions(Effect::Freed), 1);
}

#[test]
fn a_call_of_which_the_level_of_its_arguments_is_not_kept_is_not_replayed() {
    let none = without_rules();
    let mut record = plain().record(&plain().decide(&none));
    record.result.tool.as_mut().unwrap().floor = None;
    let report = replay(&none, [&record]);
    assert_eq!(side(&report, Boundary::Tool).not_replayed[0].why, Why::NotRecorded);
}

/// A level that a rule may have raised is read by the conditions of others: a call that is denied either way, if the rule
/// has not matched or has failed, may have passed where it has matched.
#[test]
fn a_rule_that_may_have_raised_the_level_leaves_open_what_others_said_of_it() {
    let candidate = set(
        "tool",
        &of(&[("call.level == \"read_only\"", "then: deny"), ("call.args.x == 1", "then: {level: write}")]),
    );
    for (x, truly) in [(1, "allow"), (2, "deny")] {
        let call = Call { args: json!({"x": x}), ..plain() };
        assert_eq!(call.decide(&candidate).decision().outcome.as_str(), truly);
        let report = replay(&candidate, [&call.record(&call.decide(&without_rules()))]);
        assert_eq!(side(&report, Boundary::Tool).not_replayed[0].why, Why::NotRecorded, "{x}");
    }
}
