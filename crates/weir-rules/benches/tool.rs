//! What deciding on a tool call costs over 1,000 rules: `cargo bench -p weir-rules --bench tool`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that fails should panic"
)]

use divan::{Bencher, black_box};
use serde_json::{Value as Json, json};
use weir_core::action::QuarantineDelays;
use weir_core::{Boundary, DecisionId};
use weir_rules::tool::Scene;
use weir_rules::{DecideContext, LoadOptions, OwnedFacts, RuleSet, SourceFile, load};

fn main() {
    divan::main();
}

/// Rules as operators write them: on one tool, on a server's tools, on an argument, on a level; some that set levels.
fn rules() -> RuleSet {
    let rule = |at: usize| {
        let (when, then) = match at % 5 {
            0 => (format!("tool.name == \"tool_{at}\""), "deny"),
            1 => (format!("tool.server == \"server_{at}\" && call.level == \"write\""), "require-approval"),
            2 => (format!("tool.name == \"tool_{at}\" && has(call.args.path)"), "{level: execute}"),
            3 => (format!("tool.name == \"read\" && identity.user_id == \"user_{at}\""), "deny"),
            _ => (format!("channel.name == \"channel_{at}\" && tool.name.startsWith(\"tool_{at}\")"), "deny"),
        };
        format!("  - {{id: r{at}, on: tool, when: '{when}', then: {then}}}\n")
    };
    let text = format!("rules:\n{}", (0..1_000).map(rule).collect::<String>());
    let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
    load(&[SourceFile { name: "bench.yaml".into(), text }], &options).unwrap().rules
}

fn facts(tool: &str, ceiling: &str) -> Json {
    json!({
        "tool": {"name": tool, "server": "files", "level": "read_only", "annotations": {}},
        "call": {"args": {"path": "a/b"}, "source": "channel", "iteration": 1},
        "channel": {"name": "mcp", "ceiling": ceiling},
        "identity": {"key": "user:ada", "kind": "user", "user_id": "ada"}
    })
}

fn bench(bencher: Bencher<'_, '_>, facts: &Json, outcome: &str) {
    let rules = rules();
    let owned = OwnedFacts::from_json(Boundary::Tool, facts).unwrap();
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    let context = DecideContext {
        id: DecisionId::new(at, [7; 10]),
        subject: "user:ada",
        epoch: 1,
        at,
        delays: QuarantineDelays::default(),
    };
    let decide = || rules.decide_tool(&mut owned.as_facts(), &Scene::default(), &context);
    assert_eq!(decide().decision().outcome.as_str(), outcome);
    bencher.bench(|| black_box(decide()));
}

#[divan::bench]
fn allowed(bencher: Bencher<'_, '_>) {
    bench(bencher, &facts("read", "write"), "allow");
}

#[divan::bench]
fn denied_by_a_rule(bencher: Bencher<'_, '_>) {
    bench(bencher, &facts("tool_500", "write"), "deny");
}

/// With the search for a ceiling that would let it through.
#[divan::bench]
fn denied_by_the_ceiling(bencher: Bencher<'_, '_>) {
    bench(bencher, &facts("read", "none"), "deny");
}
