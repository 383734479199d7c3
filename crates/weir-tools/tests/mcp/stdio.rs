//! `weir mcp`: one client, one server, the gate between them.

use serde_json::json;

use crate::support::{Bench, text};

const NO_ECHO: &str = "\
- {id: no-echo, on: tool, when: tool.name == \"echo\", then: deny, because: It is too loud., instead: Whisper.}
- {id: no-count, on: tool, when: tool.name == \"count\" && has(call.args.denied), then: deny, because: No counting.}
- {id: hidden, on: tool, when: tool.name == \"environment\", then: deny, conceal: true, because: Secret.}
";

#[tokio::test]
async fn a_denied_call_does_not_run_and_the_model_hears_why() {
    let bench = Bench::new(NO_ECHO).await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    let denied = client.call("echo", json!({"secret": "s3cret"})).await;
    assert_eq!(denied["isError"], true);
    for part in ["Blocked: ", "It is too loud", "Whisper", "did not run", "Relay this to the user"] {
        assert!(text(&denied).contains(part), "{part}: {denied}");
    }
    assert_eq!(denied["structuredContent"]["kind"], "rule_denied");
    assert_eq!(denied["structuredContent"]["rule"], "no-echo");
    assert!(!denied.to_string().contains("s3cret"));
    assert_eq!(client.ran().await, 0);
    // A tool that promised a form for its results: a client would refuse another one and the model would not hear.
    let denied = client.call("count", json!({"denied": 1})).await;
    assert_eq!(
        (denied.get("structuredContent"), &denied["_meta"]["weir/denial"]["rule"]),
        (None, &json!("no-count"))
    );
    client.end().await.unwrap();
    let records = bench.records().await;
    assert_eq!(records.len(), 3);
    assert!(!format!("{records:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_list_shows_what_the_caller_may_see_page_by_page() {
    let bench = Bench::new(NO_ECHO).await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    let names = client.names().await;
    let expected: Vec<&str> = weir_testkit::mcp::TOOLS
        .map(|(name, _)| name)
        .into_iter()
        .filter(|name| *name != "environment")
        .collect();
    assert_eq!(names, expected);
    let unknown = client.call("environment", json!({})).await;
    assert_eq!(unknown["structuredContent"]["kind"], "unknown_tool");
    assert_eq!(client.call("no_such_tool", json!({})).await["structuredContent"]["kind"], "unknown_tool");
    assert_eq!(client.ran().await, 0);
    client.end().await.unwrap();
}

#[tokio::test]
async fn what_is_not_gated_passes_byte_for_byte() {
    let bench = Bench::new("").await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    for (id, method) in [
        ("\"a\"", "resources/read"),
        ("7.0", "prompts/get"),
        ("-1", "completion/complete"),
        ("\"\\u0061b\"", "x/new"),
    ] {
        let asked = format!(
            r#"{{"jsonrpc": "2.0","x-new":1.50, "id":{id},"method":"{method}","params":{{"n":12345678901234567890123}}}}"#
        );
        client.send_text(&asked).await;
        let line = client.line().await;
        assert!(line.contains(&serde_json::to_string(&asked).unwrap()), "{line}");
        assert!(line.contains(&format!("\"id\":{id}")), "{line}");
    }
    let call = client.call("echo", json!({"a": [1, {"b": null}]})).await;
    assert_eq!((text(&call), &call["x-new"]), (r#"{"a":[1,{"b":null}]}"#, &json!(true)));
    client.end().await.unwrap();
}

#[tokio::test]
async fn progress_questions_and_their_answers_pass_in_both_directions() {
    let bench = Bench::new("").await;
    let mut client = bench.client().await;
    client.shake_hands(json!({"elicitation": {}})).await;
    let params = json!({"name": "progress", "arguments": {}, "_meta": {"progressToken": "t"}});
    let (answer, before) = client.ask("tools/call", params).await;
    assert_eq!(text(&answer["result"]), "progress");
    let steps: Vec<_> =
        before.iter().map(|m| (&m["params"]["progressToken"], &m["params"]["progress"])).collect();
    assert_eq!(steps, [(&json!("t"), &json!(1)), (&json!("t"), &json!(2))]);

    client
        .send(json!({"jsonrpc": "2.0", "id": "q", "method": "tools/call", "params": {"name": "ask"}}))
        .await;
    let question = client.message().await;
    assert_eq!(question["method"], "elicitation/create");
    client
        .send(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "x": 1}}))
        .await;
    let answer = client.message().await;
    assert_eq!((&answer["id"], text(&answer["result"])), (&json!("q"), r#"{"action":"accept","x":1}"#));
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_fails_its_calls_and_is_started_again() {
    let bench = Bench::new("").await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    // The start after a death waits, each time longer; what is asked meanwhile is told so at once. A pause of the machine
    // may be longer than the first of these.
    let mut waited = 0;
    while waited == 0 {
        let died = client.call("die", json!({})).await;
        assert!(text(&died).contains("ended before it answered"), "{died}");
        loop {
            let again = client.call("echo", json!({"a": 1})).await;
            if again["isError"] == true {
                assert!(text(&again).contains("has died"), "{again}");
                waited += 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            }
            // It is a new one, with which the hands were shaken again.
            assert_eq!(text(&again), r#"{"a":1}"#);
            break;
        }
    }
    assert_eq!(client.ran().await, 1);
    client.end().await.unwrap();
}

#[tokio::test]
async fn what_a_bad_server_does_is_told_and_costs_nobody_else() {
    // Long enough for whoever answers at all on a slow machine, since it is the time of every call.
    let bench = Bench::with("", |tools| tools.timeout = std::time::Duration::from_secs(3)).await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    // The list is read with the first call, within the call's own time or not.
    client.names().await;
    let hung = client.call("hang", json!({})).await;
    assert!(hung["isError"] == true && text(&hung).contains("timed out"), "{hung}");
    assert_eq!(text(&client.call("garbage", json!({})).await), "garbage");
    assert_eq!(client.call("refuse", json!({})).await["error"]["code"], -32602);
    assert_eq!(client.call("fail", json!({})).await["isError"], true);
    assert_eq!(text(&client.call("echo", json!({})).await), "{}");
    client.end().await.unwrap();
    let mut ended: Vec<String> = bench.records().await.into_iter().map(|record| record.ended).collect();
    ended.sort_unstable();
    assert_eq!(ended, ["failed", "failed", "ran", "ran", "timed_out"]);
}

#[tokio::test]
async fn a_result_that_is_too_long_is_told_at_once() {
    let bench = Bench::new("").await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    let big = client.call("big", json!({"mib": 17})).await;
    assert!(big["isError"] == true && text(&big).contains("longer than 16 MiB"), "{}", big.to_string().len());
    assert_eq!(text(&client.call("big", json!({"mib": 1})).await).len(), 1 << 20);
    client.end().await.unwrap();
}

#[tokio::test]
async fn what_a_bad_client_sends_is_answered_and_reaches_no_server() {
    let bench = Bench::new("").await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    let call =
        |params: &str| format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{params}}}"#);
    let table = [
        ("nonsense".to_owned(), -32700),
        ("[]".to_owned(), -32600),
        (format!("[{}]", call(r#"{"name":"echo"}"#)), -32600),
        (call(r#"{"name":"echo"}"#).replace("2.0", "1.0"), -32600),
        (call(r#"{"name":"echo","name":"die"}"#), -32602),
        (call(r#"{"name":"echo","arguments":{"a":1,"a":2}}"#), -32602),
        (call(r#"{"name":"echo","Arguments":{}}"#), -32602),
        (call(r#"{"name":"echo","arguments":"x"}"#), -32602),
        (call("{}"), -32602),
        (call(&format!(r#"{{"name":"echo","arguments":{{"x":"{}"}}}}"#, "x".repeat(17 << 20))), -32600),
    ];
    for (line, code) in table {
        client.send_text(&line).await;
        let answer = client.message().await;
        assert_eq!(answer["error"]["code"], code, "{}", line.get(..200).unwrap_or(&line));
    }
    assert_eq!(client.ran().await, 0);
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_tool_that_changes_after_it_was_listed_is_dangerous_until_it_is_classified() {
    let bench = Bench::with("", |tools| {
        tools.channel_permissions.insert("mcp".to_owned(), weir_core::tool::PermissionLevel::ReadOnly);
    })
    .await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    assert_eq!(text(&client.call("echo", json!({})).await), "{}");
    let (answer, before) = client.ask("tools/call", json!({"name": "change"})).await;
    assert_eq!(text(&answer["result"]), "change");
    assert_eq!(before[0]["method"], "notifications/tools/list_changed");
    let denied = client.call("echo", json!({})).await;
    assert_eq!(denied["structuredContent"]["required"], "dangerous", "{denied}");
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_taken_back_gets_no_answer_and_the_server_hears_of_it() {
    let bench = Bench::new("").await;
    let mut client = bench.client().await;
    client.shake_hands(json!({})).await;
    client.names().await;
    client
        .send(json!({"jsonrpc": "2.0", "id": "h", "method": "tools/call", "params": {"name": "hang"}}))
        .await;
    client
        .send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "h"}}))
        .await;
    // The id is free again, and the next answer is not the hung call's.
    client
        .send(json!({"jsonrpc": "2.0", "id": "h", "method": "tools/call", "params": {"name": "echo"}}))
        .await;
    let answer = client.message().await;
    assert_eq!((&answer["id"], text(&answer["result"])), (&json!("h"), "null"));
    let heard = client.call("count", json!({})).await;
    assert_eq!(heard["structuredContent"]["taken_back"][0], "h", "{heard}");
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_command_that_is_not_there_is_told() {
    let bench = Bench::new("").await;
    let client = bench.client_of(vec!["/no/such/program".to_owned()]).await;
    let error = client.end().await.unwrap_err();
    assert!(error.to_string().contains("could not be started"), "{error}");
}
