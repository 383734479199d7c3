//! Levels and ceilings that operators set above the configuration.

use serde_json::json;
use weir_core::tool::PermissionLevel;

use crate::plane::{Plane, VIEWER};

#[tokio::test]
async fn a_level_is_set_followed_audited_and_taken_back() {
    let plane = Plane::start().await;
    let overrides = plane.parts.directory.overrides();
    for (path, level) in [("levels/read%20me", "Read-Only"), ("ceilings/web", "execute")] {
        let path = format!("/api/tools/{path}");
        assert_eq!(plane.json("PUT", &path, json!({ "level": level })).await.status, 204, "{path}");
    }
    let stand = overrides.borrow().clone();
    assert_eq!(stand.levels["read me"].level, PermissionLevel::ReadOnly, "this node follows at once");
    assert_eq!(
        (stand.ceilings["web"].level, &*stand.ceilings["web"].by),
        (PermissionLevel::Execute, "admin")
    );
    for expected in [204, 404] {
        assert_eq!(plane.call("DELETE", "/api/tools/levels/read%20me", "").await.status, expected);
    }
    assert_eq!(plane.audited().await, ["tool.level.reset", "tool.ceiling", "tool.level"]);
}

#[tokio::test]
async fn what_cannot_be_set_says_why_and_changes_nothing() {
    let plane = Plane::start().await;
    let table = [
        ("levels/t", json!({"level": "root"}), 400, "none, read_only, write, execute, dangerous"),
        ("levels/t", json!({}), 400, "level"),
        ("levels/t", json!({"level": "write", "extra": 1}), 400, "extra"),
        ("levels/%0A", json!({"level": "write"}), 400, "name"),
    ];
    for (path, body, status, said) in table {
        let answer = plane.json("PUT", &format!("/api/tools/{path}"), body.clone()).await;
        assert_eq!(answer.status, status, "{path} {body} {}", answer.text());
        assert!(answer.text().contains(said), "{path} {body} {}", answer.text());
    }
    let bearer = format!("Bearer {VIEWER}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = plane.call_with("PUT", "/api/tools/levels/t", &headers, "{\"level\": \"write\"}").await;
    assert_eq!(answer.status, 403);
    assert!(plane.audited().await.is_empty());
}
