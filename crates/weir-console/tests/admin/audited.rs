//! Every change that a route makes is in the audit list: the routes are those that the router is made of, and each that may
//! change something is either called here and leaves one entry, or is named with the reason why it leaves none.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_core::DecisionId;
use weir_core::stop::{RuleStop, StopWhy};

use crate::browser::Browser;
use crate::pages::approval;
use crate::plane::{ADMIN, Plane};

/// Routes that change nothing that an operator has set, and why.
const NONE: [(&str, &str); 12] = [
    ("POST /api/rules/check", "it changes nothing"),
    ("POST /api/rules/draft", "it changes nothing"),
    ("POST /api/backtests", "it changes nothing: it reads records"),
    ("DELETE /api/backtests/{id}", "it changes nothing: it ends a reading"),
    ("POST /rules/backtests/{id}/stop", "it changes nothing: it ends a reading"),
    ("POST /theme", "it changes nothing: a cookie of the browser says how pages look"),
    ("POST /api/classify", "it is traffic: a decision and its record"),
    ("POST /api/usage/cost", "it is traffic: spend, told by the caller's gateway"),
    ("POST /api/auth-event", "it is traffic of the product's backend; identities keep what it told"),
    ("POST /api/events", "it is traffic of the product's backend; identities keep what it told"),
    ("POST /access/v1/evaluation", "it is traffic: a decision and its record"),
    ("POST /access/v1/evaluations", "it is traffic: decisions and their records"),
];

/// What a route is sent.
enum Sent {
    Nothing,
    Json(Value),
    /// The fields of a page's form.
    Form(Vec<(&'static str, String)>),
}

/// One call: the route, the path with its parameters, what is sent, the entry that it leaves.
type Call = (&'static str, String, Sent, &'static str);

fn rule(id: &str, when: &str) -> Value {
    json!({"id": id, "on": "request", "when": when, "then": "log"})
}

fn form<const N: usize>(pairs: [(&'static str, &str); N]) -> Sent {
    Sent::Form(pairs.map(|(name, value)| (name, value.to_owned())).to_vec())
}

/// Calls of the API, in this order.
fn of_the_api(key: &str) -> Vec<Call> {
    let path = |text: &str| text.to_owned();
    let ann = |what: &str| format!("/api/identities/user:ann/{what}");
    let level = || Sent::Json(json!({"level": "write"}));
    vec![
        (
            "PUT /api/rules",
            path("/api/rules"),
            Sent::Json(json!({"rules": [rule("a", "true")]})),
            "rules.apply",
        ),
        ("POST /api/rules", path("/api/rules"), Sent::Json(rule("b", "true")), "rules.add"),
        ("PUT /api/rules/{id}", path("/api/rules/b"), Sent::Json(rule("b", "false")), "rules.put"),
        ("POST /api/rules/{id}/resume", path("/api/rules/b/resume"), Sent::Nothing, "rules.resume"),
        ("DELETE /api/rules/{id}", path("/api/rules/b"), Sent::Nothing, "rules.delete"),
        (
            "POST /api/rules/rollback",
            path("/api/rules/rollback"),
            Sent::Json(json!({"epoch": 2})),
            "rules.rollback",
        ),
        ("POST /api/keys", path("/api/keys"), Sent::Json(json!({"user": "ann"})), "key.create"),
        ("DELETE /api/keys/{id}", format!("/api/keys/{key}"), Sent::Nothing, "key.revoke"),
        ("DELETE /api/identities/{key}/action", ann("action"), Sent::Nothing, "action.clear"),
        ("DELETE /api/actions", path("/api/actions"), Sent::Nothing, "actions.clear"),
        (
            "PUT /api/identities/{key}/exemption",
            ann("exemption"),
            Sent::Json(json!({"until": "2027-01-01T00:00:00Z"})),
            "identity.exempt",
        ),
        ("DELETE /api/identities/{key}/exemption", ann("exemption"), Sent::Nothing, "identity.unexempt"),
        ("PUT /api/identities/{key}/tags", ann("tags"), Sent::Json(json!({"tags": ["x"]})), "identity.tags"),
        (
            "POST /api/approvals/{id}",
            path("/api/approvals/apr_1"),
            Sent::Json(json!({"answer": "approve", "scope": "session"})),
            "approval.approve",
        ),
        ("DELETE /api/approvals/{id}", path("/api/approvals/apr_1"), Sent::Nothing, "approval.withdraw"),
        (
            "POST /api/tools/accept",
            path("/api/tools/accept"),
            Sent::Json(json!({"server": "files", "name": "fetch"})),
            "tool.accept",
        ),
        ("PUT /api/tools/levels/{name}", path("/api/tools/levels/t"), level(), "tool.level"),
        ("DELETE /api/tools/levels/{name}", path("/api/tools/levels/t"), Sent::Nothing, "tool.level.reset"),
        ("PUT /api/tools/ceilings/{channel}", path("/api/tools/ceilings/web"), level(), "tool.ceiling"),
        (
            "DELETE /api/tools/ceilings/{channel}",
            path("/api/tools/ceilings/web"),
            Sent::Nothing,
            "tool.ceiling.reset",
        ),
    ]
}

/// Calls of the pages, in this order, after those.
fn of_the_pages(key: &str) -> Vec<Call> {
    const RULE: &str = "id: p\non: request\nwhen: request.free\nthen: log\n";
    let path = |text: &str| text.to_owned();
    let ann = |what: &str| format!("/identities/user:ann/{what}");
    let typed = |text: &str, mode| form([("text", text), ("do", mode)]);
    vec![
        ("POST /rules/new", path("/rules/new"), typed(RULE, "enforce"), "rules.add"),
        ("POST /rules/{id}", path("/rules/p"), typed(&RULE.replace("free", "byok"), "enforce"), "rules.put"),
        ("POST /rules/{id}/resume", path("/rules/p/resume"), form([]), "rules.resume"),
        ("POST /rules/{id}/mode", path("/rules/p/mode"), form([("mode", "shadow")]), "rules.put"),
        ("POST /rules/{id}/delete", path("/rules/p/delete"), form([]), "rules.delete"),
        ("POST /rules/history/{epoch}", path("/rules/history/1"), form([]), "rules.rollback"),
        ("POST /keys", path("/keys"), form([("user", "ann")]), "key.create"),
        ("POST /keys/{id}/revoke", format!("/keys/{key}/revoke"), form([]), "key.revoke"),
        ("POST /identities/{key}/clear", ann("clear"), form([]), "action.clear"),
        ("POST /identities/{key}/exempt", ann("exempt"), form([("for", "24")]), "identity.exempt"),
        ("POST /identities/{key}/unexempt", ann("unexempt"), form([]), "identity.unexempt"),
        ("POST /identities/{key}/tags", ann("tags"), form([("tags", "y")]), "identity.tags"),
        (
            "POST /approvals/{id}/answer",
            path("/approvals/apr_2/answer"),
            form([("answer", "approve"), ("scope", "session")]),
            "approval.approve",
        ),
        ("POST /approvals/{id}/withdraw", path("/approvals/apr_2/withdraw"), form([]), "approval.withdraw"),
        (
            "POST /tools/accept",
            path("/tools/accept"),
            form([("server", "files"), ("name", "fetch")]),
            "tool.accept",
        ),
        (
            "POST /tools/levels",
            path("/tools/levels"),
            form([("name", "t"), ("level", "write")]),
            "tool.level",
        ),
        (
            "POST /tools/ceilings",
            path("/tools/ceilings"),
            form([("channel", "web"), ("level", "write")]),
            "tool.ceiling",
        ),
        // The session is over then.
        ("POST /sign-out", path("/sign-out"), form([]), "session.end"),
    ]
}

async fn newest(plane: &Plane) -> (u64, String) {
    let entries = plane.parts.database.audit_list(None, 1).await.unwrap();
    entries.first().map(|entry| (entry.id, entry.action.clone())).unwrap_or_default()
}

#[tokio::test]
async fn every_change_is_in_the_audit_list() {
    let plane = Plane::start().await;
    let mut keys = Vec::new();
    for user in ["bob", "cyd"] {
        let made = plane.json("POST", "/api/keys", json!({"user": user})).await.ok();
        keys.push(made["id"].as_str().unwrap().to_owned());
    }
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let mut called = BTreeSet::new();
    for (route, path, sent, action) in of_the_api(&keys[0]).into_iter().chain(of_the_pages(&keys[1])) {
        prepare(&plane, route).await;
        let (before, _) = newest(&plane).await;
        let method = route.split(' ').next().unwrap();
        let answer = match sent {
            Sent::Nothing => plane.call(method, &path, "").await,
            Sent::Json(body) => plane.json(method, &path, body).await,
            Sent::Form(mut fields) => {
                if route == "POST /rules/{id}" {
                    let version = plane.parts.rulebook.text_of("p").await.unwrap().version;
                    fields.push(("version", version));
                }
                let pairs: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                browser.form(&path, &pairs).await
            }
        };
        let status = answer.status;
        assert!(status.is_success() || status.is_redirection(), "{route}: {status} {}", answer.text());
        let (after, newest) = newest(&plane).await;
        assert_eq!((after, newest.as_str()), (before + 1, action), "{route}");
        called.insert(route.to_owned());
    }
    let reasoned = NONE.map(|(route, _)| route.to_owned());
    called.extend(reasoned);
    let routes: BTreeSet<String> = weir_console::changing_routes().into_iter().collect();
    let missing: Vec<_> = routes.difference(&called).collect();
    assert_eq!(missing, Vec::<&String>::new(), "call these here, or say why they leave no entry");
    let gone: Vec<_> = called.difference(&routes).collect();
    assert_eq!(gone, Vec::<&String>::new(), "there are no such routes");
}

/// What must be there for a route to change it.
async fn prepare(plane: &Plane, route: &str) {
    match route {
        "POST /api/rules/{id}/resume" => stop_rule(plane, "b").await,
        "POST /rules/{id}/resume" => stop_rule(plane, "p").await,
        "POST /api/approvals/{id}" => approval(plane, "apr_1").await,
        "POST /approvals/{id}/answer" => approval(plane, "apr_2").await,
        "POST /api/tools/accept" => changed_definition(plane, ["h1", "h2"]).await,
        "POST /tools/accept" => changed_definition(plane, ["h2", "h3"]).await,
        _ => {}
    }
}

async fn changed_definition(plane: &Plane, hashes: [&str; 2]) {
    for hash in hashes {
        let listed = [("fetch".to_owned(), hash.to_owned())];
        plane.parts.database.definitions_seen("files", &listed, plane.clock.now()).await.unwrap();
    }
}

async fn stop_rule(plane: &Plane, id: &str) {
    let version = plane.parts.rules.load().rules.get(id).unwrap().version.to_string();
    let at = plane.clock.now();
    let decision = DecisionId::new(at, [1; 10]);
    let stop = RuleStop { rule: id.to_owned(), version, at, why: StopWhy::Paying, hit: 1, seen: 1, decision };
    plane.parts.database.rule_stop(&stop).await.unwrap();
    plane.parts.rulebook.reload_from_store().await.unwrap();
}
