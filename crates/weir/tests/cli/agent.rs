//! `weir agent`: the turn loop through the real program, against the simulated provider and a scripted one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use weir_testkit::{Script, ScriptedUpstream};

use crate::support::{Folder, Run};

/// A configuration with this ceiling of the channel `web`, and these lines.
fn config(ceiling: &str, more: &str) -> String {
    format!(
        "tools:\n  channel_permissions: {{web: {ceiling}, cli: dangerous}}\n  levels: {{run_script: execute}}\n  \
         allowed_roots: [./work]\n{more}"
    )
}

/// A folder with a script that greets.
fn folder(config: &str) -> Folder {
    let folder = Folder::with(&[
        ("weir.yaml", config),
        ("work/hello.sh", "#!/bin/sh\necho greetings from the script\n"),
    ]);
    fs::set_permissions(folder.at("work/hello.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn agent(folder: &Folder, more: &[&str]) -> Run {
    folder.run(&[&["agent", "--user", "ada", "--model", "sim/tool"], more].concat())
}

fn events<'r>(lines: &'r [Value], kind: &str) -> Vec<&'r Value> {
    lines.iter().filter(|line| line["event"] == kind).collect()
}

#[test]
fn the_seed_is_denied_relayed_and_listed_and_runs_once_the_ceiling_is_raised_as_it_says() {
    let folder = folder(&config("read_only", ""));
    let run = agent(&folder, &["--channel", "web", "--json", "hello.sh"]);
    run.good();
    let lines = run.json_lines();
    let completed = events(&lines, "tool_completed");
    assert_eq!((events(&lines, "tool_started").len(), completed.len()), (1, 1), "{lines:#?}");
    let completed = completed[0];
    assert_eq!((&completed["success"], &completed["ended"]), (&json!(false), &json!("denied")));
    assert_eq!(completed["call_id"], events(&lines, "tool_started")[0]["call_id"]);
    let error = completed["error"].as_str().unwrap();
    assert_eq!(completed["output"], error, "a denial is told whole");
    for part in [
        "Blocked: Tool 'run_script'",
        "`tools.channel_permissions.web` to `execute`",
        "Relay this to the user",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let result = lines.last().unwrap();
    assert_eq!((&result["event"], &result["end"]), (&json!("result"), &json!("answered")));
    assert!(result["text"].as_str().unwrap().starts_with(error), "the model's answer relays it: {result}");
    let notices = result["notices"].as_array().unwrap();
    assert_eq!(notices.len(), 1);
    let denial = &notices[0]["denial"];
    assert_eq!(
        (&denial["kind"], &denial["required"], &denial["allowed"], &denial["channel"]),
        (&json!("session_forbidden"), &json!("execute"), &json!("read_only"), &json!("web"))
    );
    let explained = folder.run(&["explain", denial["decision"].as_str().unwrap()]);
    assert!(explained.good().contains("run_script"), "{explained:?}");

    // As the workaround says.
    folder.write("weir.yaml", config("execute", ""));
    let run = agent(&folder, &["--channel", "web", "--json", "hello.sh"]);
    run.good();
    let lines = run.json_lines();
    let result = lines.last().unwrap();
    assert_eq!((&result["text"], &result["notices"]), (&json!("greetings from the script\n"), &json!([])));
    assert_eq!(events(&lines, "tool_completed")[0]["success"], true);
}

#[test]
fn a_person_sees_the_answer_and_every_denial_as_fields() {
    let folder = folder(&config("read_only", ""));
    let run = agent(&folder, &["--channel", "web", "hello.sh"]);
    for part in [
        "\nBlocked: Tool 'run_script' is forbidden",
        "\n  reason      it requires Execute permission",
        "\n  workaround  set `tools.channel_permissions.web` to `execute`",
        "\n  decision    dec_",
    ] {
        assert!(run.good().contains(part), "{part}: {run:#?}");
    }
    assert!(run.stderr.contains("! run_script denied: session_forbidden"), "{run:#?}");
}

/// The call of a tool and the answer after it, in each protocol.
fn scripts() -> [(&'static str, Value, Value); 3] {
    let arguments = "{\"path\":\"hello.sh\"}";
    [
        (
            "chat_completions",
            json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant",
                "content": null, "tool_calls": [{"id": "c1", "type": "function",
                "function": {"name": "run_script", "arguments": arguments}}]}}]}),
            json!({"choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "it greets"}}]}),
        ),
        (
            "responses",
            json!({"id": "r1", "object": "response", "status": "completed", "output": [
                {"type": "function_call", "id": "f1", "call_id": "c1", "name": "run_script", "arguments": arguments},
            ]}),
            json!({"id": "r2", "object": "response", "status": "completed", "output": [
                {"type": "message", "id": "m1", "role": "assistant", "status": "completed",
                 "content": [{"type": "output_text", "text": "it greets", "annotations": []}]},
            ]}),
        ),
        (
            "messages",
            json!({"id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
                "content": [{"type": "tool_use", "id": "c1", "name": "run_script", "input": {"path": "hello.sh"}}]}),
            json!({"id": "m2", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": "it greets"}]}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_in_the_protocol_that_it_speaks() {
    for (api, call, last) in scripts() {
        let upstream = ScriptedUpstream::start().await;
        upstream.respond_once(Script::json(200, &call));
        upstream.respond_once(Script::json(200, &last));
        let folder = folder(&config(
            "execute",
            &format!(
                "providers: [{{name: vendor, base_url: \"{}\", apis: [{api}], api_key: k}}]\n\
                 models: [{{id: vendor/m, provider: vendor, upstream_model: m}}]\n",
                upstream.base_url()
            ),
        ));
        let run = folder.run(&["agent", "--user", "ada", "--channel", "web", "--json", "greet"]);
        assert_eq!(run.code, 0, "{api}: {run:#?}");
        let result = run.json_lines().pop().unwrap();
        assert_eq!((&result["text"], &result["iterations"]), (&json!("it greets"), &json!(2)), "{api}");
        let sent = upstream.requests();
        assert_eq!(sent.len(), 2, "{api}");
        let body = sent[1].json().to_string();
        assert!(body.contains("greetings from the script") && body.contains("\"c1\""), "{api}: {body}");
    }
}

#[test]
fn rules_for_requests_hold_for_the_agent_too() {
    let rules = "rules:\n  - {id: no-ada, on: request, when: 'identity.user_id == \"ada\"', then: block, because: Ada rests.}\n";
    let folder = folder(&config("execute", "rules: [./rules]\n"));
    folder.write("rules/a.yaml", rules);
    let run = agent(&folder, &["--json", "hello.sh"]);
    assert_eq!(run.code, 1, "{run:#?}");
    let result = run.json_lines().pop().unwrap();
    assert_eq!((&result["end"], &result["calls"]), (&json!("refused"), &json!(0)));
    assert!(result["text"].as_str().unwrap().contains("403"), "{result}");
    let run = folder.run(&["agent", "--user", "bob", "--model", "sim/echo", "hello"]);
    assert_eq!(run.good(), "hello\n");
}

#[test]
fn a_model_that_fails_is_told_by_the_exit_code() {
    let folder = folder(&config("execute", "failures: {retries: {attempts: 1}}\n"));
    for (model, code) in [("sim/error-500", 3), ("no/such", 1), ("sim/error-400", 1)] {
        let run = folder.run(&["agent", "--user", "ada", "--model", model, "x"]);
        run.failed(code, "error: ");
    }
    folder.run(&["agent", " "]).failed(2, "PROMPT");
    folder.run(&["agent", "--channel", "a\u{1b}", "x"]).failed(2, "--channel");
}

#[test]
fn an_approval_is_listed_answered_by_another_person_and_lets_the_call_through_once() {
    let rules = "rules:\n  - {id: ask, on: tool, when: 'tool.name == \"run_script\"', then: require-approval, because: A look first.}\n";
    let folder = folder(&config("execute", "rules: [./rules]\n"));
    folder.write("rules/a.yaml", rules);
    let turn = || agent(&folder, &["--channel", "web", "--json", "hello.sh"]).json_lines().pop().unwrap();
    let first = turn();
    let pending = first["notices"][0]["pending"]["id"].as_str().unwrap().to_owned();
    assert_eq!(first["notices"][0]["denial"]["kind"], "approval_required");
    folder.run(&["approvals", "approve", &pending, "--as", "ada"]).failed(1, "somebody else");
    folder.run(&["approvals", "approve", &pending, "--as", "bob"]).good();
    assert_eq!(
        (&turn()["text"], &turn()["notices"][0]["denial"]["kind"]),
        (&json!("greetings from the script\n"), &json!("approval_required"))
    );
}

#[test]
fn tools_of_a_configured_server_are_offered_and_one_that_is_not_there_is_told() {
    let command = json!(weir_testkit::mcp::command("agent::scripted_server"));
    let folder = folder(&config(
        "execute",
        &format!(
            "  mcp_servers:\n  - {{name: kit, command: {command}}}\n  - {{name: gone, command: [/no/such/program]}}\n"
        ),
    ));
    // The simulated model calls the first tool, so all but the server's are concealed.
    folder.write(
        "weir.yaml",
        format!("{}rules: [./rules]\n", std::fs::read_to_string(folder.at("weir.yaml")).unwrap()),
    );
    folder.write(
        "rules/a.yaml",
        "rules:\n  - {id: hide, on: tool, when: 'tool.name != \"echo\"', then: deny, conceal: true}\n",
    );
    let run = agent(&folder, &["--json", "x"]);
    run.good();
    assert!(run.stderr.contains("the tools of server `gone` are not there"), "{run:#?}");
    let lines = run.json_lines();
    let completed = events(&lines, "tool_completed");
    assert_eq!(
        (&completed[0]["tool"], &completed[0]["success"]),
        (&json!("echo"), &json!(true)),
        "{lines:#?}"
    );
    assert_eq!(events(&lines, "tool_started")[0]["server"], "kit");
}

#[test]
#[ignore = "it is the server that another test starts"]
fn scripted_server() {
    weir_testkit::mcp::serve_if_asked();
}

#[test]
fn an_interrupted_turn_ends_in_order() {
    let folder = folder(&config("execute", ""));
    let mut command = folder.command(&["agent", "--user", "ada", "--model", "sim/hang", "--json", "x"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line
    });
    assert_eq!(lines.next().unwrap()["event"], "turn_started");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let result = lines.next().unwrap();
    assert_eq!((&result["event"], &result["end"]), (&json!("result"), &json!("cancelled")));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_session_is_gone_on_with_by_its_user_alone_and_its_approval_holds() {
    let rules = "rules:\n  - {id: ask, on: tool, when: 'tool.name == \"run_script\"', then: require-approval, because: A look first.}\n";
    let folder = folder(&config("execute", "rules: [./rules]\n"));
    folder.write("rules/a.yaml", rules);
    let first = agent(&folder, &["--channel", "web", "--json", "hello.sh"]).json_lines();
    let session = first[0]["session"].as_str().unwrap().to_owned();
    assert_eq!(first.last().unwrap()["session"], session.as_str());
    let file = folder.at(&format!("weir-data/sessions/{session}.json"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let pending = first.last().unwrap()["notices"][0]["pending"]["id"].as_str().unwrap();
    folder.run(&["approvals", "approve", pending, "--as", "bob"]).good();
    let resume = |user: &str, more: &[&str]| {
        folder.run(&[&["agent", "--user", user, "--resume", &session], more].concat())
    };
    resume("eve", &["--json", "hello.sh"]).failed(1, "there is no session");
    resume("ada", &["--channel", "cli", "hello.sh"]).failed(1, "is on channel 'web'");
    folder.run(&["agent", "--user", "ada", "--resume", "agent-0", "x"]).failed(1, "there is no session");
    let run = resume("ada", &["--json", "hello.sh"]);
    run.good();
    let result = run.json_lines().pop().unwrap();
    assert_eq!(result["session"], session.as_str());
    assert!(result["text"].as_str().unwrap().contains("greetings from the script"), "{result}");
    // Somebody is at it.
    let mut command =
        folder.command(&["agent", "--user", "ada", "--resume", &session, "--model", "sim/hang", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("turn_started"));
    resume("ada", &["x"]).failed(1, "in use");
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(&file, "{\"version\": 1, \"history\": \"words").unwrap();
    let damaged = resume("ada", &["x"]);
    damaged.failed(1, "is damaged");
    assert!(!damaged.stderr.contains("words"));
    assert!(fs::read_to_string(&file).unwrap().contains("words"), "it is left as it is");
    let stored = fs::read(folder.at("weir-data/weir.db")).unwrap();
    assert!(!stored.windows(9).any(|part| part == b"greetings"), "what was said is not in the store");
}

#[test]
fn without_a_configuration_tools_read_in_this_folder_and_no_more() {
    let folder = Folder::with(&[("notes.txt", "remember the milk\n"), ("hello.sh", "#!/bin/sh\necho no\n")]);
    let run = folder.run(&["agent", "--user", "ada", "hello.sh"]);
    assert!(run.good().contains("tools.channel_permissions.cli` to `execute`"), "{run:#?}");
    assert!(
        run.stderr.contains("there is no configuration") && run.stderr.contains("--resume agent-"),
        "{run:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_as_it_is_said_and_a_stream_that_fails_is_a_failure_of_its_class() {
    let chunk = |text: &str| {
        format!(
            "data: {}\n\n",
            json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
        )
    };
    let end = format!(
        "data: {}\n\ndata: [DONE]\n\n",
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    );
    let failure = format!(
        "data: {}\n\n",
        json!({"error": {"message": "overloaded", "type": "overloaded_error", "code": 529}})
    );
    for (tail, code) in [(end, 0), (failure, 3)] {
        let upstream = ScriptedUpstream::start().await;
        let body = [chunk("one "), chunk("two"), tail].concat();
        upstream.respond_with(Script::body(200, "text/event-stream", body));
        let folder = folder(&config(
            "execute",
            &format!(
                "failures: {{retries: {{attempts: 1}}}}\n\
                 providers: [{{name: vendor, base_url: \"{}\", apis: [chat_completions], api_key: k}}]\n\
                 models: [{{id: vendor/m, provider: vendor, upstream_model: m}}]\n",
                upstream.base_url()
            ),
        ));
        let run = folder.run(&["agent", "--user", "ada", "--json", "greet"]);
        assert_eq!(run.code, code, "{run:#?}");
        let lines = run.json_lines();
        let said: Vec<_> = events(&lines, "text_delta").iter().map(|delta| delta["text"].clone()).collect();
        assert_eq!(said, [json!("one "), json!("two")], "{lines:#?}");
        let result = lines.last().unwrap();
        if code == 0 {
            assert_eq!(result["text"], "one two");
        } else {
            assert_eq!(result["end"], "failed");
            assert!(result["error_type"].as_str().is_some_and(|class| !class.is_empty()), "{result}");
        }
    }
}
