//! The cases of area C, by id, read as spec C0 says. A case that nobody reads fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value as Json, json};
use weir_config::config::{LoopGuard as Thresholds, Tools};
use weir_core::tool::{Arguments, Denial, DenialKind, PermissionLevel};
use weir_store::database::ApprovalState;
use weir_testkit::cases::{Case, area};
use weir_tools::approval::{Origin, OriginAnswer, Reply, reply_of};
use weir_tools::call::made_id;
use weir_tools::loop_guard::{Advice, CallEnd, LoopGuard};
use weir_tools::markers::with_shape;
use weir_tools::policy::{PolicyError, PolicyRequest, ToolPolicy};
use weir_tools::{Executed, Policies, ToolCall, ToolOutcome, Verdict};

use crate::support::{ASK, Bench, Event, configured, pending_id, tools};

#[tokio::test]
async fn every_case_of_area_c_holds() {
    for case in area("C") {
        // Boxed: the futures of all cases side by side are larger than a test's stack.
        Box::pin(check(&case)).await;
    }
}

async fn check(case: &Case) {
    let (given, expect) = (&case.given, &case.expect);
    match case.id.as_str() {
        "C193" | "C196" | "C198" | "C199" => holds(case, &rendered(given).message()),
        "C202" => every_denial(case),
        "C205" => {
            let content = text(&given["content"]);
            assert_eq!(with_shape("t", "web", content), content, "{}", case.id);
        }
        "C207" | "C208" | "C209" | "C210" | "C239" => Box::pin(through_the_gate(case)).await,
        "C215" | "C216" => Box::pin(per_call_level(case)).await,
        "C217" => Box::pin(not_visible(case)).await,
        "C220" => assert_eq!(Arguments::new(given["arguments"].clone()).as_value(), &expect["arguments"]),
        "C222" => Box::pin(timeout(case)).await,
        "C223" => Box::pin(made_ids(case)).await,
        "C224" => {
            let tools = configured(&[], &[]);
            assert_eq!(
                weir_tools::gate::channel_ceiling(&tools, "web").to_string(),
                text(&expect["ceiling"])
            );
        }
        "C227" | "C229" | "C230" | "C232" => {
            let level = PermissionLevel::parse(text(&given["token"])).map(|level| level.to_string());
            assert_eq!(json!(level), expect["level"], "{}", case.id);
        }
        "C234" => Box::pin(filtered(case)).await,
        "C236" => {
            let bench = Bench::new(tools(), "", Policies::new()).await;
            let outcome = bench.ask(text(&given["tool"]), json!({})).await;
            assert_eq!(outcome.denial_kind(), Some(DenialKind::UnknownTool));
        }
        "C241" | "C245" => guard(case),
        "C246" | "C247" | "C250" | "C251" | "C262" | "C264" => Box::pin(approval(case)).await,
        "C249" => Box::pin(approval_skips_nothing(case)).await,
        "C256" | "C257" | "C259" | "C260" | "C261" => origin(case),
        "C266" | "C267" | "C268" => {
            let decision = reply_of(text(&given["reply"])).map(Reply::as_str);
            assert_eq!(json!(decision), expect["decision"], "{}", case.id);
        }
        "C270" => {
            assert_eq!(json!(Reply::parse(text(&given["decision"])).map(Reply::as_str)), expect["parsed"])
        }
        other => panic!("nobody reads case {other}: {}", case.name),
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text was expected: {value}"))
}

fn list(value: &Json) -> Vec<&str> {
    match value {
        Json::Null => Vec::new(),
        Json::String(one) => vec![one],
        many => many.as_array().unwrap().iter().map(text).collect(),
    }
}

/// Everything that a case says of a text.
fn holds(case: &Case, message: &str) {
    let expect = &case.expect;
    for part in list(&expect["contains"]).into_iter().chain(list(&expect["output_contains"])) {
        assert!(message.contains(part), "{} lacks `{part}`: {message}", case.id);
    }
    for part in list(&expect["not_contains"]) {
        assert!(!message.contains(part), "{} has `{part}`: {message}", case.id);
    }
    if let Some(start) = expect["starts_with"].as_str() {
        assert!(message.starts_with(start), "{}: {message}", case.id);
    }
    let places: Vec<usize> = list(&expect["order"]).iter().map(|part| message.find(part).unwrap()).collect();
    assert!(places.is_sorted(), "{}: {message}", case.id);
}

fn level(value: &Json) -> PermissionLevel {
    PermissionLevel::parse(text(value)).unwrap()
}

/// The denial of a case's variant, made by the decision that leads to it.
fn rendered(given: &Json) -> Denial {
    let facts = |ceiling: &str, tool: &str, floor: &str| {
        json!({
            "tool": {"name": given["tool"], "level": tool, "annotations": {}},
            "call": {"args": {}, "level": floor},
            "channel": {"name": given["channel"].as_str().unwrap_or("web"), "ceiling": ceiling}
        })
    };
    let made = match text(&given["variant"]) {
        "SessionForbidden" => {
            let (required, allowed) = (level(&given["required"]), level(&given["allowed"]));
            decided(&facts(allowed.token(), required.token(), "none"))
        }
        "PermissionTooLow" => {
            let (required, allowed) = (level(&given["required"]), level(&given["allowed"]));
            decided(&facts(allowed.token(), "none", required.token()))
        }
        "PolicyDenied" => decided(&facts("dangerous", "write", "none")).with_policy(
            text(&given["policy"]),
            &Verdict::Deny { reason: text(&given["reason"]).to_owned() },
        ),
        other => panic!("unknown variant {other}"),
    };
    made.denial().unwrap().clone()
}

fn decided(facts: &Json) -> weir_rules::tool::ToolDecision {
    let owned = weir_rules::OwnedFacts::from_json(weir_core::Boundary::Tool, facts).unwrap();
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    let context = weir_rules::DecideContext {
        id: weir_core::DecisionId::new(at, [0; 10]),
        subject: "user:ada",
        epoch: 0,
        at,
        delays: weir_core::action::QuarantineDelays::default(),
    };
    let mut facts = owned.as_facts();
    weir_rules::RuleSet::default().decide_tool(&mut facts, &weir_rules::tool::Scene::default(), &context)
}

fn every_denial(case: &Case) {
    for kind in DenialKind::ALL {
        let denial = Denial {
            kind,
            tool: "t".into(),
            channel: "web".into(),
            required: None,
            allowed: None,
            rule: None,
            policy: None,
            reason: String::new(),
            workaround: String::new(),
            alternatives: Vec::new(),
            approval_id: None,
            permanent: kind.is_permanent(),
            decision: None,
        };
        let message = denial.message();
        holds(case, &message);
        assert!(!message.contains(".."), "{message}");
    }
}

/// What a case configures.
fn configuration(given: &Json) -> Tools {
    let ceilings: Vec<(&str, PermissionLevel)> = given["channel_permissions"]
        .as_object()
        .map(|map| map.iter().map(|(name, token)| (name.as_str(), level(token))).collect())
        .unwrap_or_default();
    let levels: Vec<_> =
        given["level"].as_str().map(|_| ("run_script", level(&given["level"]))).into_iter().collect();
    configured(&ceilings, &levels)
}

/// Counts how often it is asked.
struct Counting(&'static str, Verdict, Arc<AtomicUsize>);

impl ToolPolicy for Counting {
    fn name(&self) -> &str {
        self.0
    }

    async fn check(&self, _: &PolicyRequest<'_>) -> Result<Verdict, PolicyError> {
        self.2.fetch_add(1, Ordering::SeqCst);
        Ok(self.1.clone())
    }
}

async fn through_the_gate(case: &Case) {
    let checks = Arc::new(AtomicUsize::new(0));
    let deny = |name, reason: &str| {
        let verdict = Verdict::Deny { reason: reason.to_owned() };
        Policies::new().with(Counting(name, verdict, Arc::clone(&checks)))
    };
    let given = &case.given;
    let (tools, policies) = match case.id.as_str() {
        "C208" => (configuration(given), deny("sandbox", text(&given["policy"]["deny"]))),
        "C210" => (configuration(given), deny("p", text(&given["reason"]))),
        "C239" => {
            let ceilings = [("web", PermissionLevel::ReadOnly)];
            (configured(&ceilings, &[("run_script", PermissionLevel::Execute)]), Policies::new())
        }
        _ => (configuration(given), Policies::new()),
    };
    let bench = Bench::new(tools, "", policies).await;
    let outcome = bench.ask("run_script", json!({})).await;
    let denied = outcome.denied().unwrap_or_else(|| panic!("{} ran", case.id));
    holds(case, &denied.message);
    assert_eq!(outcome.error().as_ref(), Some(&denied.message), "the error is the content");
    assert!(!outcome.success());
    assert_eq!(bench.ran(), 0, "{}: the tool must not run", case.id);
    assert_eq!(bench.timeline.completed(), 1);
    assert!(matches!(bench.timeline.events().last(), Some(Event::Completed { success: false, .. })));
    let records = bench.records().await;
    assert_eq!(records.len(), 1);
    assert!(records[0].denial.is_some() && records[0].ended == "denied");
    if case.expect["policy_checks"] == 1 {
        assert_eq!(checks.load(Ordering::SeqCst), 1);
    }
}

async fn per_call_level(case: &Case) {
    let given = &case.given;
    let raised = level(&given["with_args"]);
    let rules =
        format!("  - {{id: r, on: tool, when: has(call.args.x), then: {{level: {}}}}}\n", raised.token());
    let tools =
        configured(&[("web", level(&given["ceiling"]))], &[("run_script", PermissionLevel::ReadOnly)]);
    let bench = Bench::new(tools, &rules, Policies::new()).await;
    let outcome = bench.ask("run_script", json!({"x": 1})).await;
    if case.expect["blocked"] == false {
        assert!(outcome.success());
    } else {
        assert_eq!(outcome.denial_kind(), Some(DenialKind::PermissionTooLow));
        assert_eq!(bench.ran(), 0);
    }
}

async fn not_visible(case: &Case) {
    let bench = Bench::new(tools(), "", Policies::new()).await;
    let visible: Vec<String> = list(&case.given["visible"]).into_iter().map(str::to_owned).collect();
    let caller = weir_tools::Caller { visible: Some(visible.into()), ..Bench::caller("web") };
    let outcome = bench.run(Bench::call_as(caller, text(&case.given["call"]), json!({}))).await;
    assert_eq!(outcome.denial_kind(), Some(DenialKind::NotVisible));
    holds(case, &outcome.error().unwrap());
}

async fn timeout(case: &Case) {
    let tools = Tools { timeout: Duration::from_secs(case.given["timeout_s"].as_u64().unwrap()), ..tools() };
    let bench = Bench::new(tools, "", Policies::new()).await;
    let call = Bench::call_as(Bench::caller("web"), "hangs", json!({}));
    let outcome: ToolOutcome<()> = bench.gate.call(call, |_| std::future::pending::<Executed<()>>()).await;
    assert!(!outcome.success());
    holds(case, &outcome.error().unwrap());
    assert_eq!(bench.timeline.completed(), 1);
    assert_eq!(bench.records().await[0].ended, "timed_out");
}

async fn made_ids(case: &Case) {
    let iteration = u32::try_from(case.given["iteration"].as_u64().unwrap()).unwrap();
    let tool = text(&case.given["tool"]);
    let prefix = text(&case.expect["call_id_prefix"]);
    assert!(made_id(iteration, tool).starts_with(prefix));
    let bench = Bench::new(tools(), "", Policies::new()).await;
    let call = ToolCall { id: None, iteration, ..Bench::call_as(Bench::caller("web"), tool, json!({})) };
    let outcome = bench.run(call).await;
    assert!(outcome.call_id.starts_with(prefix), "{}", outcome.call_id);
    let events = bench.timeline.events();
    assert_eq!(events[0], Event::Started(outcome.call_id.clone()));
    assert!(matches!(&events[1], Event::Completed { id, .. } if *id == outcome.call_id));
}

async fn filtered(case: &Case) {
    use PermissionLevel::{Execute, ReadOnly, Write};
    let ceilings: Vec<_> = case.given["channel_permissions"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(n, t)| (n.as_str(), level(t)))
        .collect();
    let levels = [("read_notes", ReadOnly), ("write_notes", Write), ("run_script", Execute)];
    let bench = Bench::new(configured(&ceilings, &levels), "", Policies::new()).await;
    for (verdict, ran) in [("allowed", true), ("denied", false)] {
        for tool in list(&case.expect[verdict]) {
            assert_eq!(bench.ask(tool, json!({})).await.success(), ran, "{tool}");
        }
    }
}

fn guard(case: &Case) {
    fn failure<'e>(digest: &'e str, error: &'e str) -> CallEnd<'e> {
        CallEnd::Failure { tool: "t", digest, kind: None, error }
    }
    if case.id == "C245" {
        let mut guard = LoopGuard::new(Thresholds { identical: 3, failures: 6 });
        let error = text(&case.given["error"]);
        for call in case.given["calls"].as_array().unwrap() {
            let digest = call[1].to_string();
            guard.note(failure(&digest, error));
        }
        assert_eq!(json!(guard.identical()), case.expect["same_count"]);
        return;
    }
    let identical = u32::try_from(case.given["threshold"].as_u64().unwrap()).unwrap();
    let mut guard = LoopGuard::new(Thresholds { identical, failures: 6 });
    let halted = list(&case.given["sequence"]).into_iter().any(|word| {
        let end = if word == "ok" { CallEnd::Success } else { failure("d", word) };
        matches!(guard.note(end), Advice::Halt(_))
    });
    assert_eq!(json!(halted), case.expect["halted"]);
}

#[test]
fn the_guard_halts_and_says_so_before() {
    let mut guard = LoopGuard::new(Thresholds { identical: 3, failures: 6 });
    let unknown =
        |tool| CallEnd::Failure { tool, digest: "d", kind: Some(DenialKind::UnknownTool), error: "e" };
    for tool in ["a", "b", "a", "b", "a", "b", "a", "b"] {
        assert!(!matches!(guard.note(unknown(tool)), Advice::Halt(_)), "unknown tools do not count in a row");
    }
    assert!(matches!(guard.note(unknown("b")), Advice::ChangeWay(_)));
    assert!(matches!(guard.note(unknown("b")), Advice::Halt(text) if text.contains("Report this")));
    let permanent =
        CallEnd::Failure { tool: "a", digest: "d", kind: Some(DenialKind::RuleDenied), error: "e" };
    let mut guard = LoopGuard::new(Thresholds { identical: 5, failures: 6 });
    assert!(matches!(guard.note(permanent), Advice::ChangeWay(_)));
    assert!(matches!(guard.note(permanent), Advice::Halt(_)), "a denial for good counts twice at most");
    let mut guard = LoopGuard::new(Thresholds { identical: 3, failures: 3 });
    let failures = ["a", "b", "c"].map(|tool| CallEnd::Failure { tool, digest: "d", kind: None, error: "x" });
    let advice = failures.map(|failure| guard.note(failure));
    assert!(matches!(advice, [Advice::Continue, Advice::ChangeWay(_), Advice::Halt(_)]), "{advice:?}");
}

async fn approval(case: &Case) {
    let ask = Verdict::RequireApproval { reason: "a person should look".to_owned() };
    let policies = match case.given["policy_decision"].as_str() {
        Some("Deny") => {
            let deny = Verdict::Deny { reason: "no".to_owned() };
            Policies::new().with(Counting("p", deny, Arc::default()))
        }
        _ => Policies::new().with(Counting("p", ask, Arc::default())),
    };
    let bench = Bench::new(tools(), "", policies).await;
    match case.id.as_str() {
        "C246" => {
            let id = pending_id(&bench.ask("t", json!({"a": 1})).await);
            assert_eq!(bench.pending().await, 1);
            bench.approve(&id).await;
            assert!(bench.ask("t", json!({"a": 1})).await.success());
            assert_eq!(
                bench.ask("t", json!({"a": 1})).await.denial_kind(),
                Some(DenialKind::ApprovalRequired)
            );
        }
        "C247" => {
            for _ in 0..case.given["times"].as_u64().unwrap() {
                bench.ask("t", json!({"a": 1})).await;
            }
            assert_eq!(bench.pending().await, 1);
        }
        "C250" => {
            assert_eq!(bench.ask("t", json!({})).await.denial_kind(), Some(DenialKind::PolicyDenied));
            assert_eq!(bench.pending().await, 0);
        }
        "C251" => {
            let id = pending_id(&bench.ask("t", json!({})).await);
            let deny = weir_store::database::Answer::Deny;
            bench.database.approval_answer(&id, &deny, "bob", bench.clock.now()).await.unwrap();
            let outcome = bench.ask("t", json!({})).await;
            assert!(!outcome.success() && outcome.error().is_some());
            assert_eq!(outcome.denial_kind(), Some(DenialKind::ApprovalDenied));
        }
        "C262" => {
            let id = pending_id(&bench.ask("t", json!({})).await);
            bench.clock.advance(Duration::from_secs(case.given["ttl_s"].as_u64().unwrap()));
            let approval = bench.database.approval(&id, bench.clock.now()).await.unwrap().unwrap();
            assert_eq!(approval.state, ApprovalState::Expired);
            let kind = bench.ask("t", json!({})).await.denial_kind().unwrap();
            assert_eq!(kind.as_str(), text(&case.expect["kind"]));
        }
        // The store is away: nobody can be asked, so nothing runs and nothing is left to wait for.
        _ => {
            bench.database.close().await;
            let outcome = bench.ask("t", json!({})).await;
            assert_eq!(outcome.denial_kind(), Some(DenialKind::ApprovalRequired));
            assert!(outcome.denied().unwrap().pending.is_none());
            assert_eq!(bench.ran(), 0);
        }
    }
}

async fn approval_skips_nothing(_: &Case) {
    // The ceiling falls to what "autonomy: readonly" means between the yes and the call.
    let levels = [("t", PermissionLevel::Write)];
    let bench =
        Bench::new(configured(&[("web", PermissionLevel::Write)], &levels), ASK, Policies::new()).await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    bench.approve(&id).await;
    bench.gate.reload(configured(&[("web", PermissionLevel::ReadOnly)], &levels));
    let outcome = bench.ask("t", json!({})).await;
    assert_eq!(outcome.denial_kind(), Some(DenialKind::SessionForbidden));
    assert_eq!(bench.ran(), 0);
}

fn origin(case: &Case) {
    let origin = match text(&case.given["origin"]) {
        "GoalContinuation" => Origin::GoalContinuation,
        "Workflow(require_approval=true)" => Origin::Workflow { require_approval: true },
        "Cli" => Origin::Cli,
        "Unknown" => Origin::Unknown,
        other => panic!("unknown origin {other}"),
    };
    let answer = match origin.decide(case.given["auto_approved"] == true) {
        OriginAnswer::Allow => "allow",
        OriginAnswer::Park => "park",
        OriginAnswer::Deny => "deny",
    };
    assert_eq!(case.expect["gate"], answer, "{}", case.id);
}
