//! A server that speaks HTTP: another weir, before the scripted one.

use std::convert::Infallible;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use weir_config::config::{McpServer, McpTransport};
use weir_core::tool::CallSource;
use weir_tools::Caller;
use weir_tools::mcp::Mcp;

use crate::http::Web;
use crate::support::{Bench, text};

/// Serves on a free port until it is dropped.
async fn served(mcp: Mcp) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp/scripted", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mcp = mcp.clone();
            let service = service_fn(move |request| {
                let mcp = mcp.clone();
                let caller = Caller::user("weir", "mcp", CallSource::Channel);
                async move { Ok::<_, Infallible>(mcp.handle(request, caller).await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (url, AbortOnDropHandle::new(serving))
}

fn remote(url: &str) -> McpServer {
    McpServer { name: "remote".to_owned(), transport: McpTransport::Url(url.parse().unwrap()) }
}

#[tokio::test]
async fn calls_streams_and_questions_pass_and_a_forgotten_session_is_begun_again() {
    let (far, near) = (Bench::new("").await, Bench::new("").await);
    let behind = far.mcp(Vec::new());
    let (url, _serving) = served(behind.clone()).await;
    let mut web = Web { mcp: near.mcp(vec![remote(&url)]), path: "/mcp/remote", ..Web::new(&near) };
    web.shake_hands().await;
    assert_eq!(text(&web.call("echo", json!({"a": 1})).await.last()["result"]), r#"{"a":1}"#);
    let answer = web.call("progress", json!({})).await;
    assert_eq!(answer.messages.len(), 3, "{:?}", answer.messages);
    // The far one forgets all its sessions, as one does that is started again.
    behind.shutdown().await;
    assert_eq!(text(&web.call("echo", json!({"a": 2})).await.last()["result"]), r#"{"a":2}"#);
    assert_eq!(web.call("count", json!({})).await.last()["result"]["structuredContent"]["calls"], 1);
    web.mcp.shutdown().await;
    behind.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let bench = Bench::new("").await;
    let url = format!("{}/mcp", weir_testkit::upstream::refused_url());
    let web = Web { mcp: bench.mcp(vec![remote(&url)]), path: "/mcp/remote", ..Web::new(&bench) };
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let answer =
        web.post(&[], json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
    let message = answer.last()["error"]["message"].as_str().unwrap();
    assert!(message.contains("`remote`") && message.contains("could not be reached"), "{message}");
    assert!(!answer.headers.contains_key("mcp-session-id"));
}
