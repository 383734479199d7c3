//! Approvals and the definitions of tools, on both databases.

use weir_store::database::{
    Answer, Answered, Approval, ApprovalFilter, ApprovalScope, ApprovalState, Asked, NewApproval, Question,
};

use super::support::{Place, at, on_both_databases};

on_both_databases! {
    a_question_is_asked_once_and_a_yes_used_once,
    states_are_told_apart_and_listed,
    a_changed_definition_is_known_until_it_is_accepted,
    an_override_is_set_audited_fed_and_taken_back,
}

fn question(id: &str, digest: &str) -> NewApproval {
    NewApproval {
        id: id.to_owned(),
        caller: "user:ada".to_owned(),
        question: Question { tool: "t".into(), digest: digest.into(), ..Question::default() },
        expires_at: at(600_000),
        of_session: false,
    }
}

fn approval(asked: Asked) -> Approval {
    match asked {
        Asked::New(approval) | Asked::Known(approval) => approval,
        Asked::TooMany => panic!("too many"),
    }
}

async fn a_question_is_asked_once_and_a_yes_used_once(place: Place) {
    let database = place.open().await;
    let (one, two) = (question("apr_1", "d"), question("apr_2", "d"));
    let (one, two) = tokio::join!(database.approval_ask(&one, at(0)), database.approval_ask(&two, at(0)));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(matches!((&one, &two), (Asked::New(_), Asked::Known(_)) | (Asked::Known(_), Asked::New(_))));
    let id = approval(one).id;
    assert_eq!(approval(two).id, id);
    let yes = Answer::Approve { scope: ApprovalScope::Once, until: None };
    assert_eq!(database.approval_answer("apr_9", &yes, "bob", at(1)).await.unwrap(), Answered::Unknown);
    let Answered::Taken(granted) = database.approval_answer(&id, &yes, "bob", at(1)).await.unwrap() else {
        panic!("it was not taken")
    };
    assert_eq!(granted.grant_until, Some(at(600_001)));
    assert!(matches!(
        database.approval_answer(&id, &Answer::Deny, "carl", at(2)).await.unwrap(),
        Answered::TooLate(approval) if approval.answered_by.as_deref() == Some("bob")
    ));
    // Another handle, as of another node.
    let other = place.open().await;
    let (a, b) = tokio::join!(database.approval_use(&granted, at(3)), other.approval_use(&granted, at(3)));
    assert_eq!([a.unwrap(), b.unwrap()].iter().filter(|used| **used).count(), 1);
    assert!(!database.approval_withdraw(&id, "bob", at(4)).await.unwrap());
    let again = database.approval_ask(&question("apr_3", "d"), at(5)).await.unwrap();
    assert!(matches!(again, Asked::New(approval) if approval.id == "apr_3"));
    let audited: Vec<_> = database.audit_list(None, 10).await.unwrap();
    assert_eq!(audited.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["approval.approve"]);
}

async fn states_are_told_apart_and_listed(place: Place) {
    let database = place.open().await;
    for (n, digest) in ["a", "b", "c", "d"].iter().enumerate() {
        database.approval_ask(&question(&format!("apr_{n}"), digest), at(0)).await.unwrap();
    }
    let session = Answer::Approve { scope: ApprovalScope::Session, until: None };
    database.approval_answer("apr_0", &session, "bob", at(1)).await.unwrap();
    database.approval_answer("apr_1", &Answer::Deny, "bob", at(1)).await.unwrap();
    let listed = async |state: ApprovalState, ms: i64| -> Vec<String> {
        let filter = ApprovalFilter { state: Some(state), limit: 10, ..ApprovalFilter::default() };
        let page = database.approvals(&filter, at(ms)).await.unwrap();
        page.items.into_iter().map(|approval| approval.id).collect()
    };
    assert_eq!(listed(ApprovalState::Pending, 599_999).await, ["apr_3", "apr_2"]);
    assert_eq!(listed(ApprovalState::Expired, 599_999).await, Vec::<String>::new());
    assert_eq!(listed(ApprovalState::Pending, 600_000).await, Vec::<String>::new());
    assert_eq!(listed(ApprovalState::Expired, 600_000).await, ["apr_3", "apr_2"]);
    assert_eq!(listed(ApprovalState::Approved, 600_000).await, ["apr_0"]);
    assert_eq!(listed(ApprovalState::Denied, 600_000).await, ["apr_1"]);
    let filter = ApprovalFilter { limit: 3, ..ApprovalFilter::default() };
    let first = database.approvals(&filter, at(0)).await.unwrap();
    let rest =
        database.approvals(&ApprovalFilter { cursor: first.next.clone(), ..filter }, at(0)).await.unwrap();
    let ids = |items: &[Approval]| items.iter().map(|a| a.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        (ids(&first.items), ids(&rest.items)),
        (vec!["apr_3".into(), "apr_2".into(), "apr_1".into()], vec!["apr_0".into()])
    );
    assert_eq!(rest.next, None);
    let granted = database.approval("apr_0", at(2)).await.unwrap().unwrap();
    for _ in 0..2 {
        assert!(database.approval_use(&granted, at(3)).await.unwrap());
    }
    assert!(database.approval_withdraw("apr_0", "carl", at(4)).await.unwrap());
    assert!(!database.approval_use(&granted, at(5)).await.unwrap());
}

async fn a_changed_definition_is_known_until_it_is_accepted(place: Place) {
    let database = place.open().await;
    let seen = async |hash: &str, ms: i64| {
        let listed = [("fetch".to_owned(), hash.to_owned())];
        let known = database.definitions_seen("files", &listed, at(ms)).await.unwrap();
        known.iter().any(|known| known.has_drifted())
    };
    assert!(!seen("h1", 0).await);
    assert!(!seen("h1", 1).await);
    assert!(seen("h2", 2).await);
    assert!(seen("h2", 3).await);
    assert!(!seen("h1", 4).await, "back to what was accepted");
    assert!(seen("h2", 5).await);
    assert!(database.definition_accept("files", "fetch", "bob", at(6)).await.unwrap());
    assert!(!seen("h2", 7).await);
    let known = database.definitions(None).await.unwrap();
    assert_eq!((known.len(), known[0].first_seen, known[0].changed_at), (1, at(0), Some(at(5))));
    assert_eq!(known[0].accepted_by.as_deref(), Some("bob"));
    assert!(!database.definition_accept("files", "absent", "bob", at(8)).await.unwrap());
}

async fn an_override_is_set_audited_fed_and_taken_back(place: Place) {
    use weir_core::tool::PermissionLevel::{Execute, Write};
    use weir_store::database::OverrideKind::{Channel, Tool};
    let database = place.open().await;
    for (kind, name, level) in [(Tool, "x", Write), (Channel, "x", Execute), (Tool, "x", Execute)] {
        database.override_set(kind, name, level, "ada", at(1)).await.unwrap();
    }
    let stand = database.overrides().await.unwrap();
    assert_eq!((stand.levels["x"].level, stand.ceilings["x"].level), (Execute, Execute));
    assert!(database.override_remove(Tool, "x", "bob", at(2)).await.unwrap());
    assert!(!database.override_remove(Tool, "x", "bob", at(3)).await.unwrap());
    assert!(database.overrides().await.unwrap().levels.is_empty());
    let audited = database.audit_list(None, 10).await.unwrap();
    let audited: Vec<_> =
        audited.iter().map(|e| (&*e.author, &*e.action, e.detail["before"].as_str())).collect();
    let expected = [
        ("bob", "tool.level.reset", Some("execute")),
        ("ada", "tool.level", Some("write")),
        ("ada", "tool.ceiling", None),
        ("ada", "tool.level", None),
    ];
    assert_eq!(audited, expected);
    assert_eq!(database.changes_position().await, Ok(4), "what changed nothing is not in the feed");
}
