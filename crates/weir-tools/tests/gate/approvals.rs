//! Approvals: exactly one call for each yes, whatever happens at the same time.

use std::time::Duration;

use serde_json::json;
use weir_core::tool::{CallSource, DenialKind};
use weir_store::database::{Answer, Answered, ApprovalScope, ApprovalState, PENDING_PER_CALLER_MAX};
use weir_tools::{Caller, Policies};

use crate::support::{ASK, Bench, pending_id, set, tools};

async fn bench() -> Bench {
    Bench::new(tools(), ASK, Policies::new()).await
}

#[tokio::test]
async fn a_yes_lets_exactly_the_call_through_that_was_asked_for_and_once() {
    let bench = bench().await;
    let asked = bench.ask("t", json!({"a": 1, "b": 2})).await;
    let id = pending_id(&asked);
    assert!(asked.denied().unwrap().message.contains(&id));
    bench.approve(&id).await;
    // Other arguments, another tool, another caller: each asks for itself.
    assert_eq!(
        bench.ask("t", json!({"a": 1, "b": 3})).await.denial_kind(),
        Some(DenialKind::ApprovalRequired)
    );
    assert_eq!(
        bench.ask("tool", json!({"a": 1, "b": 2})).await.denial_kind(),
        Some(DenialKind::ApprovalRequired)
    );
    let eve = Bench::call_as(Caller::user("eve", "web", CallSource::Session), "t", json!({"a": 1, "b": 2}));
    assert_eq!(bench.run(eve).await.denial_kind(), Some(DenialKind::ApprovalRequired));
    assert_eq!(bench.ran(), 0);
    // The order of members is no difference.
    let ran = bench.ask("t", json!({"b": 2, "a": 1})).await;
    assert!(ran.success());
    let record = bench.record(&ran.decision).await;
    assert_eq!(record.result.tool.unwrap().approval_id.as_deref(), Some(id.as_str()));
    assert_eq!(
        bench.ask("t", json!({"a": 1, "b": 2})).await.denial_kind(),
        Some(DenialKind::ApprovalRequired)
    );
    assert_eq!(bench.ran(), 1);
}

#[tokio::test]
async fn another_version_of_the_rule_is_another_question() {
    let bench = bench().await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    bench.approve(&id).await;
    bench.rules.swap(set(&ASK.replace("should look", "must look")), 2);
    let again = bench.ask("t", json!({})).await;
    assert_ne!(pending_id(&again), id);
    assert_eq!(bench.ran(), 0);
}

#[tokio::test]
async fn a_no_holds_until_the_question_would_have_expired() {
    let bench = bench().await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    bench.database.approval_answer(&id, &Answer::Deny, "bob", bench.clock.now()).await.unwrap();
    for _ in 0..2 {
        let denied = bench.ask("t", json!({})).await;
        assert_eq!(denied.denial_kind(), Some(DenialKind::ApprovalDenied));
        assert!(denied.error().unwrap().contains("'bob' said no"));
    }
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.ask("t", json!({})).await.denial_kind(), Some(DenialKind::ApprovalRequired));
}

#[tokio::test]
async fn what_nobody_answers_expires_is_told_of_and_can_be_asked_again() {
    let bench = bench().await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    bench.clock.advance(Duration::from_millis(599_999));
    assert_eq!(pending_id(&bench.ask("t", json!({})).await), id);
    bench.clock.advance(Duration::from_millis(1));
    let expired = bench.ask("t", json!({})).await;
    assert_eq!(expired.denial_kind(), Some(DenialKind::ApprovalExpired));
    assert!(matches!(bench.approve(&id).await, Answered::TooLate(a) if a.state == ApprovalState::Expired));
    let anew = pending_id(&bench.ask("t", json!({})).await);
    assert_ne!(anew, id);
    bench.approve(&anew).await;
    assert!(bench.ask("t", json!({})).await.success());
}

#[tokio::test]
async fn a_yes_in_the_last_moment_is_of_use_but_not_for_ever() {
    let bench = bench().await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    bench.clock.advance(Duration::from_millis(599_999));
    assert!(matches!(bench.approve(&id).await, Answered::Taken(_)));
    bench.clock.advance(Duration::from_secs(599));
    assert!(bench.ask("t", json!({})).await.success());
    let id = pending_id(&bench.ask("t", json!({})).await);
    bench.approve(&id).await;
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.ask("t", json!({})).await.denial_kind(), Some(DenialKind::ApprovalRequired));
    assert_eq!(bench.ran(), 1);
}

#[tokio::test]
async fn of_two_answers_the_first_counts() {
    let bench = bench().await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    let now = bench.clock.now();
    let yes = Answer::Approve { scope: ApprovalScope::Once, until: None };
    let (one, two) = tokio::join!(
        bench.database.approval_answer(&id, &yes, "bob", now),
        bench.database.approval_answer(&id, &Answer::Deny, "carl", now),
    );
    let taken = [one.unwrap(), two.unwrap()].into_iter().filter(|a| matches!(a, Answered::Taken(_))).count();
    assert_eq!(taken, 1);
    assert_eq!(bench.database.approval_answer("apr_x", &yes, "bob", now).await.unwrap(), Answered::Unknown);
}

#[tokio::test]
async fn many_calls_at_once_share_one_question_and_one_of_them_uses_the_yes() {
    let bench = bench().await;
    let ask = || bench.ask("t", json!({}));
    let asked = tokio::join!(ask(), ask(), ask(), ask());
    let id = pending_id(&asked.0);
    for other in [&asked.1, &asked.2, &asked.3] {
        assert_eq!(pending_id(other), id);
    }
    assert_eq!(bench.pending().await, 1);
    bench.approve(&id).await;
    let _ = tokio::join!(ask(), ask(), ask(), ask());
    assert_eq!(bench.ran(), 1);
}

#[tokio::test]
async fn a_yes_for_a_session_holds_there_and_can_be_withdrawn() {
    let bench = bench().await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    let answer = Answer::Approve { scope: ApprovalScope::Session, until: None };
    bench.database.approval_answer(&id, &answer, "bob", bench.clock.now()).await.unwrap();
    for _ in 0..3 {
        assert!(bench.ask("t", json!({})).await.success());
    }
    let mut other = Bench::caller("web");
    other.session = "s2".into();
    let other = Bench::call_as(other, "t", json!({}));
    let elsewhere = bench.run(other.clone()).await;
    assert_ne!(pending_id(&elsewhere), id);
    bench.approve(&pending_id(&elsewhere)).await;
    assert!(bench.run(other).await.success());
    assert!(bench.ask("t", json!({})).await.success());
    assert!(bench.database.approval_withdraw(&id, "bob", bench.clock.now()).await.unwrap());
    assert!(!bench.database.approval_withdraw(&id, "bob", bench.clock.now()).await.unwrap());
    assert_eq!(bench.ask("t", json!({})).await.denial_kind(), Some(DenialKind::ApprovalRequired));
}

#[tokio::test]
async fn a_yes_until_a_time_ends_then() {
    let bench = bench().await;
    let id = pending_id(&bench.ask("t", json!({})).await);
    let until = bench.clock.now() + Duration::from_secs(3600);
    let answer = Answer::Approve { scope: ApprovalScope::Until, until: Some(until) };
    bench.database.approval_answer(&id, &answer, "bob", bench.clock.now()).await.unwrap();
    bench.clock.advance(Duration::from_millis(3_599_999));
    assert!(bench.ask("t", json!({})).await.success());
    assert!(bench.ask("t", json!({})).await.success());
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.ask("t", json!({})).await.denial_kind(), Some(DenialKind::ApprovalRequired));
}

#[tokio::test]
async fn a_restart_loses_no_approval() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let file = weir_store::DatabaseLocation::Sqlite(folder.path().join("weir.db"));
        weir_store::Database::open(weir_store::DatabaseOptions::new(file))
    };
    let before = Bench::over(open().await.unwrap(), tools(), ASK, Policies::new()).await;
    let id = pending_id(&before.ask("t", json!({"a": 1})).await);
    drop(before);
    let between = Bench::over(open().await.unwrap(), tools(), ASK, Policies::new()).await;
    assert_eq!(pending_id(&between.ask("t", json!({"a": 1})).await), id);
    between.approve(&id).await;
    drop(between);
    let after = Bench::over(open().await.unwrap(), tools(), ASK, Policies::new()).await;
    assert!(after.ask("t", json!({"a": 1})).await.success());
    assert!(!after.ask("t", json!({"a": 1})).await.success());
    assert_eq!(after.ran(), 1);
}

#[tokio::test]
async fn who_waits_gets_the_answer_and_who_leaves_takes_the_question_along() {
    let bench = bench().await;
    let call = || Bench::call_as(Bench::caller("web"), "t", json!({}));
    let patience = Duration::from_secs(60);
    let answered = async {
        bench.clock.wait_for_sleepers(1).await;
        let id = pending_id(&bench.ask("t", json!({})).await);
        bench.approve(&id).await;
        bench.clock.advance(Duration::from_millis(200));
    };
    let (outcome, ()) =
        tokio::join!(bench.gate.call_and_wait(call(), patience, |_| bench.execute()), answered);
    assert!(outcome.success());
    // The patience ends: the question stays open.
    let impatient = async {
        bench.clock.wait_for_sleepers(1).await;
        bench.clock.advance(patience);
    };
    let (outcome, ()) =
        tokio::join!(bench.gate.call_and_wait(call(), patience, |_| bench.execute()), impatient);
    assert_eq!(outcome.denial_kind(), Some(DenialKind::ApprovalRequired));
    assert_eq!(bench.pending().await, 1);
    // The caller leaves.
    let id = pending_id(&outcome);
    let waiting = bench.gate.call_and_wait(call(), patience, |_| bench.execute());
    tokio::select! {
        _ = waiting => panic!("nobody answered"),
        () = bench.clock.wait_for_sleepers(1) => {}
    }
    let denied = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while bench.database.approval(&id, bench.clock.now()).await.unwrap().unwrap().state
            != ApprovalState::Denied
        {
            tick.tick().await;
        }
    };
    weir_testkit::deadline::within("the approval to be denied", denied).await;
    assert_eq!(bench.ran(), 1);
}

#[tokio::test]
async fn too_many_open_questions_of_one_caller_are_denied_without_a_new_one() {
    let bench = bench().await;
    for n in 0..PENDING_PER_CALLER_MAX {
        assert!(bench.ask("t", json!({ "n": n })).await.denied().unwrap().pending.is_some());
    }
    let denied = bench.ask("t", json!({"n": "one more"})).await;
    let denied = denied.denied().unwrap();
    assert_eq!(denied.denial.kind, DenialKind::ApprovalRequired);
    assert!(denied.pending.is_none() && denied.denial.approval_id.is_none());
    assert!(denied.message.contains("wait already"), "{}", denied.message);
}

#[test]
fn who_may_say_yes_is_a_setting() {
    use weir_config::config::{Approver, Role};
    let table = [
        (Approver::Requester, "ada", Role::Viewer, true),
        (Approver::Other, "ada", Role::Operator, false),
        (Approver::Other, " user:ada ", Role::Operator, false),
        (Approver::Other, "bob", Role::Viewer, true),
        (Approver::Role(Role::Approver), "bob", Role::Viewer, false),
        (Approver::Role(Role::Approver), "ada", Role::Approver, true),
        (Approver::Role(Role::Operator), "bob", Role::Approver, false),
    ];
    for (approver, by, role, may) in table {
        assert_eq!(approver.admits("user:ada", by, role).is_ok(), may, "{approver:?} {by}");
    }
}

#[tokio::test]
async fn a_new_approval_is_told_to_the_webhook_without_the_values_of_its_arguments() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
    let approvals = weir_config::config::Approvals { webhook: Some(url), ..tools().approvals };
    let config = weir_config::config::Tools { approvals, ..tools() };
    let bench = Bench::new(config, ASK, Policies::new()).await;
    let told = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        // The body is the last of the request, and is one JSON object.
        while !received.ends_with(b"}") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "it hung up");
            received.extend_from_slice(&piece[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(received).unwrap()
    };
    let asked = bench.ask("t", json!({"secret": "canary-value"})).await;
    bench.ask("t", json!({"secret": "canary-value"})).await;
    let told = weir_testkit::deadline::within("the webhook", told).await;
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["event"], json!("approval.created"));
    assert_eq!(body["approval"]["id"], json!(pending_id(&asked)));
    assert_eq!(body["approval"]["args"], json!(["secret"]));
    assert!(!body.to_string().contains("canary-value"));
}

#[tokio::test]
async fn a_yes_on_one_channel_or_through_one_agent_is_none_on_another() {
    let bench = bench().await;
    let call = |channel: &str, agent: &str| {
        let caller = Caller { agent: agent.to_owned(), ..Bench::caller(channel) };
        Bench::call_as(caller, "t", json!({"a": 1}))
    };
    let id = pending_id(&bench.run(call("web", "weir")).await);
    bench.approve(&id).await;
    for (channel, agent) in [("cli", "weir"), ("web", "codex"), ("mcp", "")] {
        let asked = bench.run(call(channel, agent)).await;
        assert_ne!(pending_id(&asked), id, "{channel} {agent}");
    }
    assert_eq!(bench.ran(), 0);
    // Another session of the same agent on the same channel is the same question.
    let mut again = call("web", "weir");
    again.caller = std::sync::Arc::new(Caller { session: "s2".to_owned(), ..(*again.caller).clone() });
    assert!(bench.run(again).await.success());
}
