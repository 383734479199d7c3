//! Single calls: what runs, what is told, what is recorded.

use std::time::Duration;

use serde_json::json;
use weir_core::tool::{DenialKind, PermissionLevel};
use weir_tools::policy::{PolicyError, PolicyRequest, ToolPolicy};
use weir_tools::{Caller, Executed, Policies, Verdict};

use crate::support::{ASK, Bench, Event, configured, pending_id, tools};

struct Says(&'static str, Result<Verdict, PolicyError>);

impl ToolPolicy for Says {
    fn name(&self) -> &str {
        self.0
    }

    async fn check(&self, _: &PolicyRequest<'_>) -> Result<Verdict, PolicyError> {
        self.1.clone()
    }
}

struct Slow;

impl ToolPolicy for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn check(&self, _: &PolicyRequest<'_>) -> Result<Verdict, PolicyError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_permitted_call_runs_once_and_is_recorded_without_its_arguments() {
    let bench = Bench::new(tools(), "", Policies::new()).await;
    let outcome = bench.ask("run_script", json!({"token": "canary-value", "path": "a"})).await;
    assert!(outcome.success() && outcome.error().is_none());
    assert_eq!(bench.ran(), 1);
    let record = bench.record(&outcome.decision).await;
    let text = serde_json::to_string(&record).unwrap();
    assert!(!text.contains("canary-value"), "{text}");
    let tool = record.result.tool.unwrap();
    assert_eq!((tool.ended.as_str(), tool.args), ("ran", vec!["path".to_owned(), "token".to_owned()]));
    assert!(tool.args_digest.starts_with("sha256:"));
    assert_eq!(bench.timeline.completed(), 1);
}

#[tokio::test]
async fn a_policy_that_fails_or_never_answers_denies() {
    let failing = Policies::new().with(Says("db", Err(PolicyError("no connection".into()))));
    for (policies, name) in
        [(failing, "db"), (Policies::new().with(Slow).answering_within(Duration::from_millis(20)), "slow")]
    {
        let bench = Bench::new(tools(), "", policies).await;
        let outcome = bench.ask("run_script", json!({})).await;
        let denial = &outcome.denied().unwrap().denial;
        assert_eq!((denial.kind, denial.policy.as_deref()), (DenialKind::PolicyDenied, Some(name)));
        assert_eq!(bench.ran(), 0);
    }
}

#[tokio::test]
async fn a_denied_call_is_told_and_recorded_exactly_once() {
    let deny = Says("sandbox", Ok(Verdict::Deny { reason: "because".into() }));
    let ask = Says("eyes", Ok(Verdict::RequireApproval { reason: "because".into() }));
    for policy in [deny, ask] {
        let kind = if policy.0 == "eyes" { DenialKind::ApprovalRequired } else { DenialKind::PolicyDenied };
        let bench = Bench::new(tools(), "", Policies::new().with(policy)).await;
        let outcome = bench.ask("run_script", json!({})).await;
        assert_eq!(outcome.denial_kind(), Some(kind));
        assert!(!outcome.success());
        let message = outcome.denied().unwrap().message.clone();
        assert!(message.contains("because") && message.contains("Workaround:"));
        assert_eq!(outcome.error(), Some(message.clone()));
        let completed = Event::Completed {
            id: "call_1".into(),
            success: false,
            error: Some(message),
            ended: "denied".into(),
        };
        assert_eq!(bench.timeline.events(), [Event::Started("call_1".into()), completed]);
        let records = bench.records().await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].denial.as_ref().unwrap().kind, kind);
        assert_eq!(bench.ran(), 0);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_is_recorded() {
    let bench = Bench::new(tools(), "", Policies::new()).await;
    let call = Bench::call_as(Bench::caller("web"), "hangs", json!({}));
    let begun = tokio::sync::Notify::new();
    let running = bench.gate.call(call, |_| {
        begun.notify_one();
        std::future::pending::<Executed<()>>()
    });
    tokio::select! {
        _ = running => panic!("it never ends"),
        () = begun.notified() => {}
    }
    let records = bench.records().await;
    assert_eq!((records.len(), records[0].ended.as_str()), (1, "gone"));
    assert_eq!(bench.timeline.completed(), 1);
}

#[tokio::test]
async fn a_concealed_tool_is_unknown_to_those_it_is_hidden_from_and_to_nobody_else() {
    let rules = "  - {id: hide, on: tool, when: tool.name == \"shell\" && identity.user_id == \"ada\", then: deny, conceal: true}\n";
    let bench = Bench::new(tools(), rules, Policies::new()).await;
    let names = |caller: &Caller| -> Vec<String> {
        bench.gate.list(caller, None).iter().map(|tool| tool.name.clone()).collect()
    };
    let bob = Caller::user("bob", "web", weir_core::tool::CallSource::Session);
    assert!(!names(&Bench::caller("web")).contains(&"shell".to_owned()));
    assert!(names(&bob).contains(&"shell".to_owned()));
    let hidden = bench.ask("shell", json!({"command": "ls"})).await;
    let absent = bench.ask("shel1", json!({})).await;
    assert_eq!(hidden.denial_kind(), Some(DenialKind::UnknownTool));
    let without_name = |text: &str| text.replace("'shell'", "'x'").replace("'shel1'", "'x'");
    let (hidden, absent) = (hidden.denied().unwrap(), absent.denied().unwrap());
    assert!(!hidden.denial.alternatives.contains(&"shell".to_owned()));
    assert!(!absent.denial.alternatives.contains(&"shell".to_owned()), "{:?}", absent.denial.alternatives);
    assert_eq!(hidden.denial.rule, None);
    assert_eq!(
        without_name(&hidden.message).split(" such as").next(),
        without_name(&absent.message).split(" such as").next()
    );
}

#[tokio::test]
async fn the_arguments_of_a_shell_raise_the_level_of_its_call() {
    use PermissionLevel::{Execute, ReadOnly};
    let bench =
        Bench::new(configured(&[("web", Execute)], &[("shell", ReadOnly)]), "", Policies::new()).await;
    assert!(bench.ask("shell", json!({"command": "ls | wc -l"})).await.success());
    assert!(bench.ask("shell", json!({"command": "make"})).await.success());
    let denied = bench.ask("shell", json!({"command": "echo $(rm -rf /)"})).await;
    assert_eq!(denied.denial_kind(), Some(DenialKind::PermissionTooLow));
    assert_eq!(bench.ran(), 2);
}

#[tokio::test]
async fn another_program_may_ask_and_run_the_call_itself() {
    use PermissionLevel::{Execute, ReadOnly, Write};
    let bench = Bench::new(configured(&[("web", Write)], &[("known", ReadOnly)]), ASK, Policies::new()).await;
    let call = |tool: &str| Bench::call_as(Bench::caller("web"), tool, json!({"a": 1}));
    // Nobody has reported these tools: the configuration's level, else the asking program's, else dangerous.
    let table = [
        ("known", None, DenialKind::ApprovalRequired),
        ("known", Some(Execute), DenialKind::SessionForbidden),
        ("other", Some(Write), DenialKind::ApprovalRequired),
        ("other", None, DenialKind::SessionForbidden),
    ];
    for (tool, level, kind) in table {
        let outcome = bench.gate.evaluate(call(tool), level).await;
        assert_eq!(outcome.denial_kind(), Some(kind), "{tool} {level:?}");
    }
    // Without a rule in the way, the tools that the configuration names are what may be called instead.
    let free = Bench::new(configured(&[("web", Write)], &[("known", ReadOnly)]), "", Policies::new()).await;
    let denied = free.gate.evaluate(call("other"), None).await;
    assert_eq!(denied.denied().unwrap().denial.alternatives, ["known"]);
    let asked = bench.gate.evaluate(call("known"), None).await;
    bench.approve(&pending_id(&asked)).await;
    let allowed = bench.gate.evaluate(call("known"), None).await;
    assert!(allowed.success());
    let record = bench.record(&allowed.decision).await;
    assert_eq!(record.result.tool.unwrap().ended, "decided");
    assert!(!bench.gate.evaluate(call("known"), None).await.success(), "the yes is used up");
}

#[tokio::test]
async fn rules_are_asked_as_they_are_at_the_time_of_the_call() {
    let bench = Bench::new(tools(), "", Policies::new()).await;
    assert!(bench.ask("t", json!({})).await.success());
    bench.rules.swap(crate::support::set("  - {id: no, on: tool, when: 'true', then: deny}\n"), 2);
    let denied = bench.ask("t", json!({})).await;
    assert_eq!(denied.denial_kind(), Some(DenialKind::RuleDenied));
    assert_eq!(bench.record(&denied.decision).await.decision.epoch, 2);
}
