//! The spans of tool calls, and how long operations of MCP take.

use serde_json::{Value, json};
use weir_testkit::collector::ReceivedSpan;
use weir_testkit::http::{self, Response};

use super::{PARENT, Scene, TRACE, assert_attributes, metrics};
use crate::support::{assert_no_canary, make_key, place_of, secret_in};

/// A client of `/mcp/kit` that has shaken hands.
async fn mcp(scene: &Scene, key: &str, session: Option<&str>, message: &Value) -> Response {
    let authorization = format!("Bearer {key}");
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("traceparent", PARENT),
    ];
    headers.extend(session.map(|session| ("mcp-session-id", session)));
    let url = format!("{}/mcp/kit", scene.weir.data());
    http::request("POST", &url, &headers, message.to_string()).await
}

async fn begin_mcp(scene: &Scene, key: &str) -> String {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let begin = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let answer = mcp(scene, key, None, &begin).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = answer.header("mcp-session-id").unwrap().to_owned();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(mcp(scene, key, Some(&session), &ready).await.status, 202);
    session
}

async fn call_tool(scene: &Scene, key: &str, session: &str, name: &str) -> ReceivedSpan {
    let arguments = json!({"text": "canary-argument"});
    let call = json!({"jsonrpc": "2.0", "id": name, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let answer = mcp(scene, key, Some(session), &call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let span = format!("execute_tool {name}");
    let spans = scene.collector.wait_for(&span, |spans| {
        let of_tool = spans.iter().find(|found| found.name == span)?.clone();
        spans.iter().any(|parent| parent.id == of_tool.parent).then_some(of_tool)
    });
    spans.await
}

#[tokio::test]
async fn a_tool_s_call_belongs_to_the_request_that_made_it() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let session = begin_mcp(&scene, &key).await;
    let table = [
        // What the tool is, how it ended, its error, what was decided.
        ("echo", "ran", Value::Null, "allow", Value::Null),
        ("fail", "failed", json!("tool_error"), "allow", Value::Null),
        ("die", "denied", json!("tool_error"), "deny", json!("session_forbidden")),
    ];
    for (name, ended, error, action, kind) in table {
        let span = call_tool(&scene, &key, &session, name).await;
        assert_eq!(span.trace, TRACE, "{span:#?}");
        let parent = scene.collector.spans().into_iter().find(|other| other.id == span.parent).unwrap();
        assert_eq!((parent.name.as_str(), parent.kind), ("POST /mcp/{server}", 2));
        assert_attributes(
            &span,
            &[
                ("gen_ai.operation.name", json!("execute_tool")),
                ("gen_ai.tool.name", json!(name)),
                ("mcp.method.name", json!("tools/call")),
                ("weir.tool.server", json!("kit")),
                ("weir.tool.channel", json!("mcp")),
                ("weir.tool.ended", json!(ended)),
                ("weir.decision.action", json!(action)),
                ("weir.denial.kind", kind),
                ("error.type", error),
            ],
        );
    }
    // A method that somebody has made up is none of the labels.
    let odd = json!({"jsonrpc": "2.0", "id": "odd", "method": "canary/method", "params": {}});
    assert_eq!(mcp(&scene, &key, Some(&session), &odd).await.status, 200);
    let shown = metrics(&scene.weir).await;
    for (side, method, error, count) in [
        ("server", "initialize", "", 1),
        ("client", "initialize", "", 1),
        ("server", "tools/call", "", 1),
        ("client", "tools/call", "", 1),
        // The tool that failed; weir's own denial never came to the tool server.
        ("server", "tools/call", "tool_error", 2),
        ("client", "tools/call", "tool_error", 1),
        ("server", "_OTHER", "", 1),
        ("client", "_OTHER", "", 1),
    ] {
        let series = format!(
            "mcp_{side}_operation_duration_seconds_count{{mcp_method_name=\"{method}\",error_type=\"{error}\"}} {count}\n"
        );
        assert!(shown.contains(&series), "{series} in {shown}");
    }
    assert_no_canary_anywhere(&scene).await;
}

async fn assert_no_canary_anywhere(scene: &Scene) {
    assert_no_canary(&scene.weir).await;
    let bytes = scene.collector.bytes();
    assert!(!bytes.is_empty() && place_of(&bytes, "weir.decision.id").is_some());
    if let Some((at, secret)) = secret_in(&bytes) {
        let around = &bytes[at.saturating_sub(100)..(at + 60).min(bytes.len())];
        panic!("the collector was sent `{secret}`: {}", String::from_utf8_lossy(around));
    }
}
