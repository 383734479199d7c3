//! Approvals, tool definitions and AuthZEN.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use weir_console::{AskedCall, PointAnswer, ToolPoint};
use weir_core::DecisionId;
use weir_core::tool::{CallSource, CeilingStanding, Denial, DenialKind, PermissionLevel, ToolStanding};
use weir_store::database::{Asked, NewApproval, Question};

use crate::plane::Plane;

async fn ask(plane: &Plane, id: &str, digest: &str) -> String {
    let now = plane.clock.now();
    let question =
        Question { tool: "t".into(), digest: digest.into(), session: "s".into(), ..Question::default() };
    let new = NewApproval {
        id: id.to_owned(),
        caller: "user:ada".to_owned(),
        question,
        expires_at: now + Duration::from_secs(600),
        of_session: false,
    };
    match plane.parts.database.approval_ask(&new, now).await.unwrap() {
        Asked::New(approval) => approval.id,
        other => panic!("{other:?}"),
    }
}

async fn answer(plane: &Plane, id: &str, body: Value) -> (u16, Value) {
    let answer = plane.json("POST", &format!("/api/approvals/{id}"), body).await;
    (answer.status.as_u16(), serde_json::from_str(&answer.text()).unwrap())
}

#[tokio::test]
async fn an_approval_is_listed_answered_and_withdrawn() {
    let plane = Plane::start().await;
    let id = ask(&plane, "apr_1", "d1").await;
    let pending = plane.get("/api/approvals?state=pending").await.ok();
    assert_eq!(
        (&pending["items"][0]["id"], &pending["items"][0]["caller"]),
        (&json!(id), &json!("user:ada"))
    );
    let (status, approved) =
        answer(&plane, &id, json!({"answer": "approve", "scope": "session", "by": "bob"})).await;
    assert_eq!(
        (status, &approved["state"], &approved["answered_by"]),
        (200, &json!("approved"), &json!("bob"))
    );
    assert_eq!(plane.get("/api/approvals?state=pending").await.ok()["items"], json!([]));
    // The same answer again is benign, the opposite is not.
    assert_eq!(answer(&plane, &id, json!({"answer": "approve", "by": "carl"})).await.0, 200);
    assert_eq!(answer(&plane, &id, json!({"answer": "deny", "by": "carl"})).await.0, 409);
    let path = format!("/api/approvals/{id}");
    assert_eq!(plane.call("DELETE", &path, "").await.status, 204);
    assert_eq!(plane.call("DELETE", &path, "").await.status, 409);
    assert!(plane.get(&path).await.ok()["withdrawn_at"].is_string());
    assert_eq!(plane.audited().await, ["approval.withdraw", "approval.approve"]);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let plane = Plane::start().await;
    let id = ask(&plane, "apr_1", "d1").await;
    let table = [
        (json!({"answer": "approve", "by": "ada"}), 403, "somebody else must approve"),
        (json!({"answer": "approve", "by": "user:ada"}), 403, "somebody else must approve"),
        (json!({"answer": "approve", "by": " "}), 400, "by"),
        (json!({"answer": "approve", "by": "bob", "until": "2020-01-01T00:00:00Z"}), 400, "until"),
        (json!({"answer": "approve", "by": "bob", "scope": "until"}), 400, "until"),
        (json!({"answer": "maybe"}), 400, "answer"),
        (json!({"answer": "approve", "extra": 1}), 400, "extra"),
    ];
    for (body, expected, said) in table {
        let (status, problem) = answer(&plane, &id, body.clone()).await;
        assert_eq!(status, expected, "{body} {problem}");
        assert!(problem.to_string().contains(said), "{body} {problem}");
    }
    assert_eq!(answer(&plane, "apr_x", json!({"answer": "deny"})).await.0, 404);
    // The same person may refuse.
    assert_eq!(answer(&plane, &id, json!({"answer": "deny", "by": "ada"})).await.0, 200);
    let late = ask(&plane, "apr_2", "d2").await;
    plane.clock.advance(Duration::from_secs(600));
    let (status, problem) = answer(&plane, &late, json!({"answer": "approve", "by": "bob"})).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(plane.get("/api/approvals?state=expired").await.ok()["items"][0]["id"], json!(late));
    assert_eq!(plane.get("/api/approvals?state=open").await.status, 400);
}

#[tokio::test]
async fn a_changed_tool_is_shown_and_accepted() {
    let plane = Plane::start().await;
    let seen = async |hash: &str| {
        let listed = [("fetch".to_owned(), hash.to_owned())];
        plane.parts.database.definitions_seen("files", &listed, plane.clock.now()).await.unwrap();
    };
    seen("h1").await;
    assert_eq!(plane.get("/api/tools").await.ok()["items"][0]["changed"], json!(false));
    seen("h2").await;
    assert_eq!(plane.get("/api/tools").await.ok()["items"][0]["changed"], json!(true));
    let accept = |name: &str| json!({"server": "files", "name": name});
    assert_eq!(plane.json("POST", "/api/tools/accept", accept("absent")).await.status, 404);
    assert_eq!(plane.json("POST", "/api/tools/accept", accept("fetch")).await.status, 204);
    assert_eq!(plane.get("/api/tools").await.ok()["items"][0]["changed"], json!(false));
}

/// Denies tools whose name begins with `no`, and notes what it was asked.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Vec<AskedCall>>>);

impl ToolPoint for Scripted {
    fn standings(&self, _: &[(String, String)]) -> Vec<ToolStanding> {
        Vec::new()
    }

    fn ceilings(&self) -> Vec<CeilingStanding> {
        Vec::new()
    }

    fn evaluate(&self, call: AskedCall) -> Pin<Box<dyn Future<Output = PointAnswer> + Send + '_>> {
        let decision = DecisionId::new("2026-11-20T10:00:00Z".parse().unwrap(), [1; 10]);
        let allowed = !call.tool.starts_with("no");
        let denial = (!allowed).then(|| Denial {
            kind: DenialKind::RuleDenied,
            tool: call.tool.clone(),
            channel: call.channel.clone(),
            required: None,
            allowed: None,
            rule: Some("r".into()),
            policy: None,
            reason: "because".into(),
            workaround: "none".into(),
            alternatives: Vec::new(),
            approval_id: None,
            permanent: true,
            decision: Some(decision),
        });
        self.0.lock().unwrap().push(call);
        let message = denial.as_ref().map(Denial::message);
        Box::pin(std::future::ready(PointAnswer { allowed, denial, message, decision }))
    }
}

async fn plane_with_point() -> (Plane, Scripted) {
    let mut plane = Plane::start().await;
    let point = Scripted::default();
    plane.router = weir_console::router_with(plane.parts.clone(), Some(Arc::new(point.clone())));
    (plane, point)
}

fn question(tool: &str) -> Value {
    json!({
        "subject": {"type": "user", "id": "ada"},
        "action": {"name": "call"},
        "resource": {"type": "tool", "id": tool, "properties": {"server": "files", "level": "write"}},
        "context": {"channel": "web", "session": "s1", "args": {"a": 1}, "source": "bus"},
        "unknown_members": "are tolerated"
    })
}

#[tokio::test]
async fn a_question_of_authzen_reaches_the_gate_and_its_answer_comes_back() {
    let (plane, point) = plane_with_point().await;
    let no = plane.json("POST", "/access/v1/evaluation", question("no_way")).await.ok();
    assert_eq!(no["decision"], json!(false));
    assert_eq!(no["context"]["denial"]["kind"], json!("rule_denied"));
    assert!(no["context"]["message"].as_str().unwrap().starts_with("Blocked: Tool 'no_way'"));
    assert!(no["context"]["decision_id"].as_str().unwrap().starts_with("dec_"));
    let yes = plane.json("POST", "/access/v1/evaluation", question("fine")).await.ok();
    assert_eq!((&yes["decision"], &yes["context"]["denial"]), (&json!(true), &Value::Null));
    let asked = point.0.lock().unwrap();
    let call = &asked[0];
    assert_eq!(
        (call.user.as_deref(), call.server.as_str(), call.channel.as_str()),
        (Some("ada"), "files", "web")
    );
    assert_eq!((call.level, call.source), (Some(PermissionLevel::Write), CallSource::Bus));
    assert_eq!(call.args.as_value(), &json!({"a": 1}));
}

#[tokio::test]
async fn a_batch_takes_what_items_leave_out_from_its_defaults_and_stops_where_it_is_told() {
    let (plane, point) = plane_with_point().await;
    let tool = |name: &str| json!({"resource": {"type": "tool", "id": name}});
    let mut batch = question("unused");
    batch["evaluations"] = json!([tool("a"), tool("no"), tool("b")]);
    for (semantic, answers) in [
        ("execute_all", vec![true, false, true]),
        ("deny_on_first_deny", vec![true, false]),
        ("permit_on_first_permit", vec![true]),
    ] {
        batch["options"] = json!({"evaluations_semantic": semantic});
        let answer = plane.json("POST", "/access/v1/evaluations", batch.clone()).await.ok();
        let decisions: Vec<bool> = answer["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["decision"].as_bool().unwrap())
            .collect();
        assert_eq!(decisions, answers, "{semantic}");
    }
    let one = plane.json("POST", "/access/v1/evaluations", question("no")).await.ok();
    assert_eq!(one["decision"], json!(false), "without evaluations it is one question");
    // One bad item, and nothing is decided.
    let before = point.0.lock().unwrap().len();
    batch["evaluations"] = json!([tool("a"), {"resource": {"type": "page", "id": "x"}}]);
    let answer = plane.json("POST", "/access/v1/evaluations", batch).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("evaluations[1].resource.type"), "{}", answer.text());
    assert_eq!(point.0.lock().unwrap().len(), before);
}

#[tokio::test]
async fn a_question_that_is_none_names_everything_that_is_wrong() {
    let (plane, _) = plane_with_point().await;
    let mut bad = question("t");
    bad["subject"]["type"] = "robot".into();
    bad["action"]["name"] = "read".into();
    bad["resource"]["properties"]["level"] = "supervised".into();
    bad["context"]["source"] = "space".into();
    bad["context"]["args"] = "{\"big\": 1}".into();
    bad["context"]["channel"] = 5.into();
    bad["resource"]["properties"]["server"] = 5.into();
    let answer = plane.json("POST", "/access/v1/evaluation", bad).await;
    assert_eq!(answer.status, 400);
    let paths = [
        "subject.type",
        "action.name",
        "resource.properties.level",
        "resource.properties.server",
        "context.source",
        "context.args",
        "context.channel",
    ];
    for path in paths {
        assert!(answer.text().contains(path), "{path}: {}", answer.text());
    }
    let mut bad = question("t");
    bad["context"] = json!(["args"]);
    assert_eq!(plane.json("POST", "/access/v1/evaluation", bad).await.status, 400);
    assert_eq!(plane.json("POST", "/access/v1/evaluation", json!({})).await.status, 400);
    let without = Plane::start().await;
    assert_eq!(without.json("POST", "/access/v1/evaluation", question("t")).await.status, 503);
}
