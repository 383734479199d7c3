//! Calls that wait for a person, and who answers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use weir_config::config::Approver;
use weir_store::database::{Answer, ApprovalScope};
use weir_testkit::deadline::within;
use weir_tools::PendingApproval;
use weir_tools::agent::{Person, TurnEnd};

use crate::support::{Bench, answer, calls};

const ASK: &str =
    "  - {id: ask, on: tool, when: 'true', then: require-approval, because: A person should look.}\n";

/// How often the gate looks whether an open approval was answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Says this, and counts how often it was asked.
struct Says(Option<bool>, Arc<AtomicUsize>);

impl Person for Says {
    fn ask<'a>(
        &'a self,
        _: &'a PendingApproval,
        _: &'a serde_json::Value,
        _: bool,
    ) -> BoxFuture<'a, Option<bool>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        std::future::ready(self.0).boxed()
    }
}

/// Says nothing, ever.
struct Silent(Arc<Notify>);

impl Person for Silent {
    fn ask<'a>(
        &'a self,
        _: &'a PendingApproval,
        _: &'a serde_json::Value,
        _: bool,
    ) -> BoxFuture<'a, Option<bool>> {
        self.0.notify_one();
        std::future::pending().boxed()
    }
}

#[tokio::test]
async fn a_yes_of_the_same_person_counts_where_the_setting_says_so_and_a_no_always() {
    // Who may approve, what the person says, whether it ran, how many notices there are.
    let table = [
        (Approver::Requester, Some(true), 1, None),
        (Approver::Requester, Some(false), 0, Some("approval_denied")),
        (Approver::Requester, None, 0, Some("approval_required")),
        (Approver::Other, Some(true), 0, Some("approval_required")),
        (Approver::Other, Some(false), 0, Some("approval_denied")),
    ];
    for (approver, says, ran, kind) in table {
        let case = format!("{approver:?} {says:?}");
        let mut bench = Bench::new(ASK, approver, vec![calls(&[("ok", "{}")]), answer("done")]).await;
        let asked = Arc::new(AtomicUsize::new(0));
        bench.person(Says(says, asked.clone()));
        let result = bench.run().await;
        assert_eq!((bench.ran(), asked.load(Ordering::SeqCst)), (ran, 1), "{case}");
        let kinds: Vec<&str> = result.notices.iter().map(|notice| notice.denial.kind.as_str()).collect();
        assert_eq!(kinds, kind.into_iter().collect::<Vec<_>>(), "{case}");
        let pending = result.notices.iter().filter_map(|notice| notice.pending.as_ref()).count();
        assert_eq!(pending, usize::from(kind == Some("approval_required")), "{case}");
        bench.every_call_ended_once(1);
    }
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_approval_is_listed_with_its_id() {
    let bench = Bench::new(ASK, Approver::Other, vec![calls(&[("ok", "{}")]), answer("done")]).await;
    let result = bench.run().await;
    let pending = result.notices[0].pending.as_ref().unwrap();
    assert!(pending.id.starts_with("apr_") && pending.question.contains("'user:ada'"), "{pending:?}");
    assert_eq!(Some(&pending.id), result.notices[0].denial.approval_id.as_ref());
    assert_eq!((result.end, bench.ran()), (TurnEnd::Answered, 0));
}

#[tokio::test]
async fn an_answer_from_elsewhere_ends_the_question_and_the_call_runs() {
    let mut bench = Bench::new(ASK, Approver::Other, vec![calls(&[("ok", "{}")]), answer("done")]).await;
    let asked = Arc::new(Notify::new());
    bench.person(Silent(asked.clone()));
    let elsewhere = async {
        asked.notified().await;
        let id = bench.told.of("approval_requested")[0]["approval"]["id"].as_str().unwrap().to_owned();
        bench.clock.wait_for_sleep_of(LOOK_EVERY).await;
        let yes = Answer::Approve { scope: ApprovalScope::Once, until: None };
        bench.database.approval_answer(&id, &yes, "bob", bench.clock.now()).await.unwrap();
        bench.clock.advance(LOOK_EVERY);
    };
    let turn = async { tokio::join!(bench.run(), elsewhere).0 };
    let result = within("the turn to end", turn).await;
    assert_eq!((result.end, result.notices.len(), bench.ran()), (TurnEnd::Answered, 0, 1));
}
