//! Every change that an endpoint makes is in the audit list: each route that may change something is either called here
//! and leaves an entry, or is named with the reason why it leaves none.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_core::DecisionId;
use weir_core::stop::{RuleStop, StopWhy};

use crate::plane::Plane;

/// Routes that change nothing that an operator has set, and why.
const NONE: [(&str, &str); 8] = [
    ("checkRule", "it changes nothing"),
    ("checkRules", "it changes nothing"),
    ("classify", "it is traffic: a decision and its record"),
    ("usageCost", "it is traffic: spend, told by the caller's gateway"),
    ("authEvent", "it is traffic of the product's backend; identities keep what it told"),
    ("events", "it is traffic of the product's backend; identities keep what it told"),
    ("evaluateAccess", "it is traffic: a decision and its record"),
    ("evaluateAccessMany", "it is traffic: decisions and their records"),
];

/// Routes that need a gate before tools or a running question, whose entries are held by the tests named here.
const ELSEWHERE: [(&str, &str); 9] = [
    ("answerApproval", "tests/stores/approvals.rs: written in the answer's transaction"),
    ("withdrawApproval", "tests/stores/approvals.rs: written in the withdrawal's transaction"),
    ("acceptTool", "weir-store definitions.rs: written in the acceptance's transaction"),
    ("setToolLevel", "weir-store overrides.rs: written in the override's transaction"),
    ("resetToolLevel", "weir-store overrides.rs: written in the override's transaction"),
    ("setCeiling", "weir-store overrides.rs: written in the override's transaction"),
    ("resetCeiling", "weir-store overrides.rs: written in the override's transaction"),
    ("startBacktest", "it changes nothing: it reads records"),
    ("stopBacktest", "it changes nothing: it ends a reading"),
];

/// Routes that change something: in this order, each is called and leaves one entry of this action.
fn calls(key: &str) -> Vec<(&'static str, &'static str, String, Value, &'static str)> {
    let rule = |id: &str| json!({"id": id, "on": "request", "when": "true", "then": "log"});
    let path = |text: &str| text.to_owned();
    vec![
        ("replaceRules", "PUT", path("/api/rules"), json!({"rules": [rule("a")]}), "rules.apply"),
        ("addRule", "POST", path("/api/rules"), rule("b"), "rules.add"),
        (
            "putRule",
            "PUT",
            path("/api/rules/b"),
            json!({"id": "b", "on": "request", "when": "false", "then": "log"}),
            "rules.put",
        ),
        ("resumeRule", "POST", path("/api/rules/b/resume"), Value::Null, "rules.resume"),
        ("deleteRule", "DELETE", path("/api/rules/b"), Value::Null, "rules.delete"),
        ("rollbackRules", "POST", path("/api/rules/rollback"), json!({"epoch": 2}), "rules.rollback"),
        ("createKey", "POST", path("/api/keys"), json!({"user": "ann"}), "key.create"),
        ("revokeKey", "DELETE", format!("/api/keys/{key}"), Value::Null, "key.revoke"),
        ("clearAction", "DELETE", path("/api/identities/user:ann/action"), Value::Null, "action.clear"),
        ("clearActions", "DELETE", path("/api/actions"), Value::Null, "actions.clear"),
        (
            "exemptIdentity",
            "PUT",
            path("/api/identities/user:ann/exemption"),
            json!({"until": "2027-01-01T00:00:00Z"}),
            "identity.exempt",
        ),
        (
            "endExemption",
            "DELETE",
            path("/api/identities/user:ann/exemption"),
            Value::Null,
            "identity.unexempt",
        ),
        ("setTags", "PUT", path("/api/identities/user:ann/tags"), json!({"tags": ["x"]}), "identity.tags"),
    ]
}

async fn newest(plane: &Plane) -> (u64, String) {
    let entries = plane.parts.database.audit_list(None, 1).await.unwrap();
    entries.first().map(|entry| (entry.id, entry.action.clone())).unwrap_or_default()
}

#[tokio::test]
async fn every_change_is_in_the_audit_list() {
    let plane = Plane::start().await;
    let made = plane.json("POST", "/api/keys", json!({"user": "bob"})).await.ok();
    let calls = calls(made["id"].as_str().unwrap());
    for (operation, method, path, body, action) in &calls {
        if *operation == "resumeRule" {
            stop_rule(&plane, "b").await;
        }
        let (before, _) = newest(&plane).await;
        let answer = match body {
            Value::Null => plane.call(method, path, "").await,
            body => plane.json(method, path, body.clone()).await,
        };
        assert!(answer.status.is_success(), "{operation}: {} {}", answer.status, answer.text());
        let (after, newest) = newest(&plane).await;
        assert_eq!((after, newest.as_str()), (before + 1, *action), "{operation}");
    }
    let known: BTreeSet<&str> = calls
        .iter()
        .map(|call| call.0)
        .chain(NONE.map(|(operation, _)| operation))
        .chain(ELSEWHERE.map(|(operation, _)| operation))
        .collect();
    let missing: Vec<String> = mutating().into_iter().filter(|id| !known.contains(id.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new(), "call these here, or say why they leave no entry");
}

async fn stop_rule(plane: &Plane, id: &str) {
    let version = plane.parts.rules.load().rules.get(id).unwrap().version.to_string();
    let at = plane.clock.now();
    let decision = DecisionId::new(at, [1; 10]);
    let stop = RuleStop { rule: id.to_owned(), version, at, why: StopWhy::Paying, hit: 1, seen: 1, decision };
    plane.parts.database.rule_stop(&stop).await.unwrap();
    plane.parts.rulebook.reload_from_store().await.unwrap();
}

/// The operations of the description that are no reading.
fn mutating() -> Vec<String> {
    let description = serde_json::to_value(weir_console::openapi()).unwrap();
    let paths = description["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap());
    let mutating =
        operations.filter(|(method, _)| ["post", "put", "patch", "delete"].contains(&method.as_str()));
    mutating.map(|(_, operation)| operation["operationId"].as_str().unwrap().to_owned()).collect()
}
