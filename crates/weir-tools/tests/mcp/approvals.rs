//! Approvals over MCP: asked in the way of the client's version, answered by who may.

use serde_json::{Value, json};
use weir_config::config::Approver;
use weir_core::clock::Clock as _;
use weir_store::clock::SystemClock;
use weir_store::database::{Answer, ApprovalScope};

use crate::http::{PATH, Web, modern};
use crate::support::{Bench, Client, text};

const ASK: &str = "- {id: ask-echo, on: tool, when: tool.name == \"echo\", then: require-approval, because: Somebody should look.}\n";

async fn bench(approver: Approver) -> Bench {
    Bench::with(ASK, |tools| tools.approvals.approver = approver).await
}

/// Another person's yes.
async fn approve(bench: &Bench, id: &str) {
    let answer = Answer::Approve { scope: ApprovalScope::Once, until: None };
    bench.database.approval_answer(id, &answer, "bob", SystemClock.now()).await.unwrap();
}

/// Calls `echo`, answers the question as `answer` says, and gives the call's result.
async fn asked(client: &mut Client, answer: Value) -> (Value, Value) {
    client.send(json!({"jsonrpc": "2.0", "id": "e", "method": "tools/call", "params": {"name": "echo", "arguments": {"a": 1}}})).await;
    let question = client.message().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    client.send(json!({"jsonrpc": "2.0", "id": question["id"], "result": answer})).await;
    let answer = client.message().await;
    assert_eq!(answer["id"], "e");
    (question["params"].clone(), answer["result"].clone())
}

#[tokio::test]
async fn an_earlier_client_is_asked_while_its_call_waits() {
    let bench = bench(Approver::Requester).await;
    let mut client = bench.client().await;
    client.shake_hands(json!({"elicitation": {}})).await;
    let yes = json!({"action": "accept", "content": {"answer": "approve"}});
    let (question, result) = asked(&mut client, yes.clone()).await;
    let message = question["message"].as_str().unwrap();
    assert!(message.contains("Somebody should look"), "{question}");
    assert!(message.ends_with("Arguments: {\"a\":1}"), "who agrees sees to what: {question}");
    assert_eq!(text(&result), r#"{"a":1}"#);
    // One yes is for one call.
    let (_, result) = asked(&mut client, json!({"action": "decline"})).await;
    assert_eq!(result["structuredContent"]["kind"], "approval_denied", "{result}");
    assert_eq!(client.ran().await, 1);
    client.end().await.unwrap();
}

#[tokio::test]
async fn who_may_not_approve_can_only_deny_or_wait_for_another() {
    let bench = bench(Approver::Other).await;
    let mut client = bench.client().await;
    client.shake_hands(json!({"elicitation": {}})).await;
    // A client that says more than it was asked.
    let (question, result) =
        asked(&mut client, json!({"action": "accept", "content": {"answer": "approve"}})).await;
    assert_eq!(question["requestedSchema"]["properties"]["answer"]["enum"], json!(["look again", "deny"]));
    assert_eq!(result["structuredContent"]["kind"], "approval_required");
    let id = result["structuredContent"]["approval_id"].as_str().unwrap().to_owned();
    // While the person is asked, another one says yes: the question is taken back and the call runs.
    client.send(json!({"jsonrpc": "2.0", "id": "e", "method": "tools/call", "params": {"name": "echo", "arguments": {"a": 1}}})).await;
    let question = client.message().await;
    approve(&bench, &id).await;
    let taken_back = client.message().await;
    assert_eq!(
        (&taken_back["method"], &taken_back["params"]["requestId"]),
        (&json!("notifications/cancelled"), &question["id"])
    );
    assert_eq!(text(&client.message().await["result"]), r#"{"a":1}"#);
    assert_eq!(client.ran().await, 1);
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_client_that_cannot_ask_gets_the_id_and_may_call_again() {
    let bench = bench(Approver::Other).await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    let denied = client.call("echo", json!({"a": 1})).await;
    let id = denied["structuredContent"]["approval_id"].as_str().unwrap().to_owned();
    assert!(text(&denied).contains(&id));
    approve(&bench, &id).await;
    assert_eq!(client.call("echo", json!({"a": 2})).await["structuredContent"]["kind"], "approval_required");
    assert_eq!(text(&client.call("echo", json!({"a": 1})).await), r#"{"a":1}"#);
    assert_eq!(client.call("echo", json!({"a": 1})).await["structuredContent"]["kind"], "approval_required");
    assert_eq!(client.ran().await, 1);
    client.end().await.unwrap();
}

#[tokio::test]
async fn since_2026_the_question_is_the_result_and_its_state_is_sealed() {
    let bench = bench(Approver::Requester).await;
    let ada = Web::new(&bench);
    let eve = Web { mcp: ada.mcp.clone(), user: "eve", session: None, path: PATH };
    let headers =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    let call = |arguments: Value, more: Value| {
        let mut call = modern("e", "tools/call", json!({"name": "echo", "arguments": arguments}));
        call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
        call["params"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    };
    let asked = ada.post(&headers, call(json!({"a": 1}), json!({}))).await;
    let result = asked.last()["result"].clone();
    assert_eq!(result["resultType"], "input_required", "{result}");
    assert_eq!(result["inputRequests"]["weir-approval"]["method"], "elicitation/create");
    let yes = json!({"weir-approval": {"action": "accept", "content": {"answer": "approve"}}});
    let back = |state: &Value| json!({"requestState": state, "inputResponses": yes});
    let state = &result["requestState"];
    // Another's state, another call's, and one that was changed are refused.
    let mut changed = state.as_str().unwrap().to_owned();
    changed.push('A');
    for (web, arguments, state) in [
        (&eve, json!({"a": 1}), state.clone()),
        (&ada, json!({"a": 2}), state.clone()),
        (&ada, json!({"a": 1}), changed.into()),
    ] {
        let refused = web.post(&headers, call(arguments, back(&state))).await;
        assert_eq!(refused.last()["error"]["code"], -32602, "{:?}", refused.messages);
    }
    let ran = ada.post(&headers, call(json!({"a": 1}), back(state))).await;
    assert_eq!(text(&ran.last()["result"]), r#"{"a":1}"#);
    // Used up: the same answer does not run it again.
    let again = ada.post(&headers, call(json!({"a": 1}), back(state))).await;
    assert_eq!(again.last()["result"]["structuredContent"]["kind"], "approval_required");
    ada.mcp.shutdown().await;
}

#[tokio::test]
async fn a_yes_for_one_run_holds_for_the_legs_of_one_call_each_of_them_once() {
    let bench = bench(Approver::Other).await;
    let ada = Web::new(&bench);
    let headers =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    let call = |arguments: Value, more: Value| {
        let mut call = modern("e", "tools/call", json!({"name": "echo", "arguments": arguments}));
        call["params"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    };
    let arguments = json!({"legs": 2});
    let denied = ada.post(&headers, call(arguments.clone(), json!({}))).await;
    let id = denied.last()["result"]["structuredContent"]["approval_id"].as_str().unwrap().to_owned();
    approve(&bench, &id).await;
    let answers = json!({"q": {"action": "accept", "content": {"n": 1}}});
    let back = |result: &Value| json!({"requestState": result["requestState"], "inputResponses": answers});
    let first = ada.post(&headers, call(arguments.clone(), json!({}))).await.last()["result"].clone();
    assert_eq!(
        (&first["resultType"], &first["inputRequests"]["q"]["params"]["message"]),
        (&json!("input_required"), &json!("well?"))
    );
    assert!(!first["requestState"].as_str().unwrap().contains("leg-1"), "the state is sealed");
    // A call from its beginning is another call.
    let anew = ada.post(&headers, call(arguments.clone(), json!({}))).await;
    assert_eq!(anew.last()["result"]["structuredContent"]["kind"], "approval_required");
    // The state belongs to these arguments.
    let other = ada.post(&headers, call(json!({"legs": 3}), back(&first))).await;
    assert_eq!(other.last()["error"]["code"], -32602);
    let second = ada.post(&headers, call(arguments.clone(), back(&first))).await.last()["result"].clone();
    assert_eq!(second["resultType"], "input_required", "{second}");
    let replayed = ada.post(&headers, call(arguments.clone(), back(&first))).await;
    assert_eq!(replayed.last()["result"]["structuredContent"]["kind"], "approval_required", "each leg once");
    let done = ada.post(&headers, call(arguments.clone(), back(&second))).await.last()["result"].clone();
    assert_eq!(text(&done), answers.to_string(), "{done}");
    let over = ada.post(&headers, call(arguments, back(&second))).await;
    assert_eq!(over.last()["result"]["structuredContent"]["kind"], "approval_required");
    ada.mcp.shutdown().await;
}
