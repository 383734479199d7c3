//! Turns that go well, badly, nowhere, and are stopped.

use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};
use weir_config::config::Approver;
use weir_tools::Policies;
use weir_tools::agent::{ITERATIONS_MAX, TurnEnd};
use weir_tools::policy::{PolicyError, PolicyRequest, ToolPolicy, Verdict};

use crate::support::{Bench, answer, calls};

const HIDE: &str = "  - {id: hide, on: tool, when: tool.name == \"secret\", then: deny, conceal: true}\n";

async fn bench(answers: Vec<Json>) -> Bench {
    Bench::new(HIDE, Approver::Other, answers).await
}

#[tokio::test]
async fn what_cannot_run_is_answered_and_what_can_runs_once() {
    let table = [
        ("ok", "{}", "fine"),
        ("ok", "", "fine"),
        ("okk", "{}", "Tool 'okk' is unknown"),
        ("secret", "{}", "Tool 'secret' is unknown"),
        ("deploy", "{}", "needs"),
        ("bad", "{}", "Error: it broke"),
        ("strict", "{}", "Reason: nobody writes to /etc. Workaround: address the reason"),
        ("ok", "{\"a\":", "must be one JSON object, and they are no JSON"),
        ("ok", "[1]", "and they are a list"),
        ("ok'. Reason: none. \u{202e}", "{}", "is unknown"),
        ("", "{}", "is unknown"),
    ];
    let asked: Vec<(&str, &str)> = table.iter().map(|(name, args, _)| (*name, *args)).collect();
    let bench = bench(vec![calls(&asked), answer("all done")]).await;
    let result = bench.run().await;
    assert_eq!((result.end, result.text.as_str(), result.calls), (TurnEnd::Answered, "all done", 11));
    bench.every_call_ended_once(11);
    assert_eq!(bench.ran(), 4, "two that succeed, one that fails, one that refuses by itself");
    let request = &bench.asked()[1];
    let results: Vec<&Json> =
        request["messages"].as_array().unwrap().iter().filter(|item| item["role"] == "tool").collect();
    for (place, (name, args, said)) in table.iter().enumerate() {
        let content = results[place]["content"].as_str().unwrap();
        let said = if *name == "deploy" { "requires Execute permission" } else { said };
        assert!(content.contains(said), "{name} {args}: {content}");
        assert_eq!(results[place]["tool_call_id"], format!("c{place}"));
    }
    let offered: Vec<&Json> =
        request["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(
        offered,
        ["ok", "bad", "strict", "hang", "deploy"],
        "what is denied is offered, what is concealed is not"
    );
    let denied: Vec<&str> = result.notices.iter().map(|notice| notice.denial.tool.as_str()).collect();
    assert_eq!(denied.len(), 5, "{denied:?}");
}

#[tokio::test]
async fn a_hundred_calls_at_once_run_a_few_at_a_time_and_each_has_its_answer() {
    let bench = bench(vec![calls(&[("ok", "{}"); 100]), answer("done")]).await;
    let result = bench.run().await;
    assert_eq!(result.end, TurnEnd::Answered);
    bench.every_call_ended_once(100);
    assert_eq!(bench.ran(), 64);
    let at_once = bench.hands.at_once_max.load(Ordering::SeqCst);
    assert!((2..=8).contains(&at_once), "{at_once} at once");
    let rejected = bench.told.of("tool_completed").iter().filter(|e| e["ended"] == "rejected").count();
    assert_eq!(rejected, 36);
    let items = bench.asked()[1]["messages"].as_array().unwrap().clone();
    assert_eq!(items.iter().filter(|item| item["role"] == "tool").count(), 100);
}

#[tokio::test]
async fn calls_of_a_round_with_one_that_may_change_something_run_one_after_another() {
    let mut asked = vec![("ok", "{}"); 10];
    asked.insert(3, ("deploy", "{}"));
    let bench = bench(vec![calls(&asked), answer("done")]).await;
    assert_eq!(bench.run().await.end, TurnEnd::Answered);
    bench.every_call_ended_once(11);
    assert_eq!((bench.ran(), bench.hands.at_once_max.load(Ordering::SeqCst)), (10, 1));
}

#[tokio::test]
async fn a_denied_call_that_is_asked_again_ends_the_turn_after_the_model_was_told() {
    let bench = bench(vec![calls(&[("deploy", "{}")])]).await;
    let result = bench.run().await;
    assert_eq!((result.end, result.iterations, result.notices.len()), (TurnEnd::Halted, 2, 2));
    assert!(result.text.contains("the same call of a tool failed 2 times"), "{}", result.text);
    let told = bench.asked()[1]["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    let denial = bench.told.of("tool_completed")[0]["output"].clone();
    assert!(told.as_str().unwrap().starts_with(denial.as_str().unwrap()), "the denial is whole: {told}");
    assert!(told.as_str().unwrap().contains("Change your way"), "{told}");
    assert_eq!(bench.told.of("advice").len(), 1);
}

#[tokio::test]
async fn many_failures_of_one_round_are_told_before_they_end_the_turn() {
    let many: Vec<String> = (0..8).map(|n| format!("{{\"n\":{n}}}")).collect();
    let failing: Vec<(&str, &str)> = many.iter().map(|args| ("bad", args.as_str())).collect();
    let bench = bench(vec![calls(&failing), calls(&[("bad", "{}")])]).await;
    let result = bench.run().await;
    assert_eq!((result.end, result.iterations), (TurnEnd::Halted, 2), "{}", result.text);
    assert!(result.text.contains("it broke"), "{}", result.text);
    // A success in between begins anew.
    let bench = Bench::new(
        "",
        Approver::Other,
        vec![calls(&failing), calls(&[("ok", "{}")]), calls(&[("bad", "{}")]), answer("so be it")],
    )
    .await;
    assert_eq!(bench.run().await.end, TurnEnd::Answered);
}

#[tokio::test]
async fn a_turn_without_end_is_ended() {
    let bench = bench(vec![calls(&[("ok", "{}")])]).await;
    let result = bench.run().await;
    assert_eq!((result.end, result.iterations), (TurnEnd::Exhausted, ITERATIONS_MAX));
    assert_eq!(bench.ran(), usize::try_from(ITERATIONS_MAX).unwrap());
}

#[tokio::test]
async fn a_turn_that_is_stopped_ends_its_calls_and_keeps_its_notices() {
    let bench = bench(vec![calls(&[("deploy", "{}"), ("hang", "{}")])]).await;
    let stop = async {
        bench.hands.hanging.notified().await;
        bench.cancel.cancel();
    };
    let (result, ()) = tokio::join!(bench.run(), stop);
    assert_eq!((result.end, result.notices.len()), (TurnEnd::Cancelled, 1));
    bench.every_call_ended_once(2);
    let ended: Vec<Json> = bench.told.of("tool_completed").iter().map(|e| e["ended"].clone()).collect();
    assert_eq!(ended, ["denied", "gone"]);
}

#[tokio::test]
async fn a_model_that_cannot_be_asked_or_read_ends_the_turn() {
    assert_eq!(bench(vec![]).await.run().await.end, TurnEnd::Refused);
    for bad in [json!(null), json!({"choices": []}), json!("text")] {
        assert_eq!(bench(vec![bad.clone()]).await.run().await.end, TurnEnd::Failed, "{bad}");
    }
}

/// Says the same of every call.
struct Always(Verdict);

impl ToolPolicy for Always {
    fn name(&self) -> &str {
        "always"
    }

    async fn check(&self, _: &PolicyRequest<'_>) -> Result<Verdict, PolicyError> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_policy_holds_in_a_turn_and_its_denial_reaches_the_model_whole() {
    let reason = "not on Fridays".to_owned();
    let table = [
        (Verdict::Deny { reason: reason.clone() }, "policy_denied", "is denied by policy 'always'", false),
        (
            Verdict::RequireApproval { reason },
            "approval_required",
            "requires approval under policy 'always'",
            true,
        ),
    ];
    for (verdict, kind, said, waits) in table {
        let policies = Policies::new().with(Always(verdict));
        let answers = vec![calls(&[("ok", "{}")]), answer("well")];
        let bench = Bench::with("", Approver::Other, answers, policies).await;
        let result = bench.run().await;
        assert_eq!((result.end, bench.ran()), (TurnEnd::Answered, 0), "{kind}");
        bench.every_call_ended_once(1);
        let completed = bench.told.of("tool_completed").remove(0);
        let error = completed["error"].as_str().unwrap();
        for part in ["Blocked: Tool 'ok'", said, "not on Fridays", "Relay this to the user"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!((&completed["success"], &completed["output"]), (&json!(false), &json!(error)), "{kind}");
        assert_eq!(completed["denial"]["kind"], kind);
        let given = bench.asked()[1]["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        assert!(given.as_str().unwrap().starts_with(error), "{given}");
        assert_eq!(result.notices.len(), 1, "{kind}");
        assert_eq!(result.notices[0].pending.is_some(), waits, "{kind}");
    }
}

#[tokio::test]
async fn what_the_model_says_is_told_and_kept_and_gone_on_with() {
    let bench = Bench::new("", Approver::Other, vec![calls(&[("ok", "{}")]), answer("done")]).await;
    let result = bench.run().await;
    assert_eq!(result.text, "done");
    let told: Vec<_> = bench.told.of("text_delta").iter().map(|delta| delta["text"].clone()).collect();
    assert_eq!(told, [json!("done")]);
    let kept = bench.kept.last();
    assert_eq!(kept.items.len(), 4, "the prompt, the call, its result, the answer: {kept:?}");
    assert!(bench.asked().iter().all(|request| request["stream"] == json!(true)));
    // Another turn of the session.
    let mut next = Bench::new("", Approver::Other, vec![answer("again")]).await;
    next.turn.history = kept;
    next.run().await;
    let request = next.asked().remove(0);
    let roles: Vec<_> =
        request["messages"].as_array().unwrap().iter().map(|item| item["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"]);
    assert_eq!(next.kept.last().items.len(), 6);
}

#[tokio::test]
async fn an_approval_that_waited_is_told_of_when_the_session_is_gone_on_with() {
    const ASK: &str = "  - {id: ask, on: tool, when: 'tool.name == \"ok\"', then: require-approval, because: A look first.}\n";
    let script = || vec![calls(&[("ok", "{}")]), answer("relayed")];
    let mut bench = Bench::new(ASK, Approver::Other, script()).await;
    bench.run().await;
    let kept = bench.kept.last();
    let id = kept.waiting[0].approval.clone();
    assert_eq!((kept.waiting.len(), bench.ran()), (1, 0));
    let answer = weir_store::database::Answer::Approve {
        scope: weir_store::database::ApprovalScope::Once,
        until: None,
    };
    bench.database.approval_answer(&id, &answer, "bob", bench.clock.now()).await.unwrap();
    bench.turn.history = kept;
    bench.turn.model = crate::support::Scripted::of(script());
    let result = bench.run().await;
    assert_eq!((result.notices.len(), bench.ran()), (0, 1));
    let said = bench.asked()[0]["messages"].to_string();
    assert!(said.contains(&id) && said.contains("was given"), "{said}");
    // Used up: nothing is told of it any more.
    bench.turn.history = bench.kept.last();
    bench.turn.model = crate::support::Scripted::of(vec![crate::support::answer("so")]);
    bench.run().await;
    assert_eq!(
        bench.asked()[0]["messages"].to_string().matches("was given").count(),
        1,
        "only what was said then"
    );
    assert!(bench.kept.last().waiting.is_empty());
}
