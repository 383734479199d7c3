//! Tools of MCP servers in a turn.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use weir_config::config::{Approver, McpServer, McpTransport};
use weir_tools::agent::{McpTools, Toolbox, TurnEnd};

use crate::support::{Bench, answer, calls};

fn server(command: Vec<String>) -> McpServer {
    McpServer { name: "files".to_owned(), transport: McpTransport::Command(command) }
}

#[tokio::test]
async fn tools_of_a_server_are_offered_gated_and_run() {
    let asked = [("echo", "{\"a\":1}"), ("fail", "{}"), ("die", "{}"), ("environment", "{}"), ("ok", "{}")];
    let answers = vec![
        calls(&asked[..1]),
        calls(&asked[1..2]),
        calls(&asked[3..]),
        calls(&asked[2..3]),
        answer("done"),
    ];
    let mut bench = Bench::new("", Approver::Other, answers).await;
    let command = weir_testkit::mcp::command("servers::scripted_server");
    let connected = McpTools::connect(&bench.turn.gate, &server(command), Path::new(".")).await.unwrap();
    let connected = Arc::new(connected);
    let hands = bench.hands.clone();
    bench.turn.tools = Toolbox::new().with("", hands).with("files", connected.clone());
    let result = bench.run().await;
    assert_eq!(result.end, TurnEnd::Answered, "{result:#?}");
    bench.every_call_ended_once(5);
    let ended = bench.told.of("tool_completed");
    let ended = |tool: &str| ended.iter().find(|event| event["tool"] == tool).unwrap().clone();
    assert!(ended("echo")["output"].as_str().unwrap().contains("\"a\""), "{}", ended("echo"));
    assert_eq!(
        (ended("fail")["success"].clone(), ended("fail")["ended"].clone()),
        (false.into(), "failed".into())
    );
    assert_eq!(ended("environment")["ended"], "denied", "nobody has classified it, so it is dangerous");
    assert!(ended("die")["error"].as_str().unwrap().contains("ended before it answered"), "{}", ended("die"));
    let started: Vec<Json> =
        bench.told.of("tool_started").iter().map(|event| event["server"].clone()).collect();
    assert_eq!(started, ["files", "files", "files", "", "files"]);
    connected.close().await;
}

#[tokio::test]
async fn a_server_that_is_none_says_so() {
    let bench = Bench::new("", Approver::Other, vec![answer("x")]).await;
    for command in [vec!["/no/such/program".to_owned()], vec!["true".to_owned()]] {
        let connected = McpTools::connect(&bench.turn.gate, &server(command.clone()), Path::new(".")).await;
        assert!(connected.is_err(), "{command:?}");
    }
}

#[test]
#[ignore = "it is the server that the other tests start"]
fn scripted_server() {
    weir_testkit::mcp::serve_if_asked();
}
