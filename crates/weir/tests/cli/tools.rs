//! The third boundary at the command line: `weir decide --on tool`, `weir hook`, `weir approvals`.

use serde_json::{Value, json};

use crate::support::Folder;

const CONFIG: &str = "\
tools:
  channel_permissions: {web: read_only, cli: execute}
  levels: {run_script: execute, read_file: read_only}
rules: [./rules]
";

const RULES: &str = "\
rules:
  - id: no-secrets
    on: tool
    when: has(call.args.path) && call.args.path.endsWith(\".key\")
    then: deny
    because: Keys are not for agents.
    instead: Ask the operator.
    match:
      - {call: {args: {path: a.key}}}
  - id: deploys-need-eyes
    on: tool
    when: tool.name == \"Bash\" && has(call.args.command) && call.args.command.contains(\"deploy\")
    then: require-approval
    because: Deployments are looked at.
";

fn folder() -> Folder {
    Folder::with(&[("weir.yaml", CONFIG), ("rules/tools.yaml", RULES)])
}

fn decide(line: Value) -> Value {
    let run = folder().run_with(&["decide", "--on", "tool"], line.to_string().as_bytes());
    run.good();
    run.json_lines().remove(0)
}

#[test]
fn the_seed_is_denied_with_a_workaround_that_is_true() {
    let line = |channel: &str| json!({"id": "a", "tool": {"name": "run_script"}, "channel": {"name": channel}, "identity": {"key": "user:ada"}});
    let denied = decide(line("web"));
    let message = denied["message"].as_str().unwrap();
    for part in [
        "Blocked: Tool 'run_script'",
        "requires Execute permission",
        "`tools.channel_permissions.web` to `execute`",
        "'read_file'",
        "did not run",
        "Relay this to the user",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let mut expected = denied.clone();
    expected["denial"]["workaround"] = Value::Null;
    expected["denial"]["reason"] = Value::Null;
    expected["message"] = Value::Null;
    assert_eq!(
        expected,
        json!({
            "id": "a", "boundary": "tool", "subject": "user:ada", "outcome": "deny", "rule": null, "because": null,
            "instead": null, "sus_score": 0, "matched": [], "errored": [], "obligations": [], "source": "fresh",
            "epoch": 0, "level": "execute", "ceiling": "read_only", "message": null,
            "denial": {
                "kind": "session_forbidden", "tool": "run_script", "channel": "web", "required": "execute",
                "allowed": "read_only", "rule": null, "policy": null, "reason": null, "workaround": null,
                "alternatives": ["read_file"], "approval_id": null, "permanent": true, "decision": null
            }
        })
    );
    let allowed = decide(line("cli"));
    assert_eq!(
        (&allowed["outcome"], &allowed["denial"], &allowed["message"]),
        (&json!("allow"), &Value::Null, &Value::Null)
    );
}

#[test]
fn facts_that_are_given_win_and_others_follow_from_the_configuration() {
    let table = [
        (
            json!({"tool": {"name": "read_file"}, "channel": {"name": "web"}}),
            "allow",
            "read_only",
            "read_only",
        ),
        (json!({"tool": {"name": "other"}, "channel": {"name": "cli"}}), "deny", "dangerous", "execute"),
        (
            json!({"tool": {"name": "other", "level": "write"}, "channel": {"name": "cli"}}),
            "allow",
            "write",
            "execute",
        ),
        (
            json!({"tool": {"name": "other", "level": "write"}, "channel": {"name": "new"}}),
            "deny",
            "write",
            "read_only",
        ),
        (
            json!({"tool": {"name": "x", "level": "write"}, "channel": {"name": "web", "ceiling": "write"}}),
            "allow",
            "write",
            "write",
        ),
        (
            json!({"tool": {"name": "Bash", "level": "read_only"}, "call": {"args": {"command": "rm -rf /"}}, "channel": {"name": "cli"}}),
            "deny",
            "dangerous",
            "execute",
        ),
        (
            json!({"tool": {"name": "Bash", "level": "read_only"}, "call": {"args": {"command": "ls"}}, "channel": {"name": "web"}}),
            "allow",
            "read_only",
            "read_only",
        ),
        (
            json!({"tool": {"name": "read_file"}, "call": {"args": [1]}, "channel": {"name": "web"}}),
            "allow",
            "read_only",
            "read_only",
        ),
    ];
    for (line, outcome, level, ceiling) in table {
        let decided = decide(line.clone());
        assert_eq!(
            (&decided["outcome"], &decided["level"], &decided["ceiling"]),
            (&json!(outcome), &json!(level), &json!(ceiling)),
            "{line}"
        );
    }
    let bad = folder().run_with(&["decide", "--on", "tool"], b"{\"tool\": {\"nam\": 1}}\n{\"call\": 5}\n");
    assert_eq!(bad.code, 2);
    assert_eq!(bad.json_lines()[0]["error"]["path"], json!("tool.nam"));
    assert_eq!(bad.json_lines()[1]["error"]["path"], json!("call"));
}

fn hook(folder: &Folder, agent: &str, event: &Value) -> Value {
    let run = folder.run_with(&["hook", agent, "--user", "ada"], event.to_string().as_bytes());
    run.good();
    run.json()
}

fn bash(command: &str) -> Value {
    json!({
        "session_id": "s1", "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_use_id": "toolu_1",
        "tool_input": {"command": command}
    })
}

fn reason(answer: &Value) -> &str {
    assert_eq!(answer["hookSpecificOutput"]["permissionDecision"], json!("deny"), "{answer}");
    answer["hookSpecificOutput"]["permissionDecisionReason"].as_str().unwrap()
}

#[test]
fn a_hook_narrows_and_never_widens() {
    let folder = folder();
    for agent in ["claude-code", "codex"] {
        assert_eq!(hook(&folder, agent, &bash("ls -la")), json!({}));
        assert!(reason(&hook(&folder, agent, &bash("rm -rf /"))).contains("needs Dangerous permission"));
    }
    let read =
        json!({"hook_event_name": "PreToolUse", "tool_name": "Read", "tool_input": {"path": "x/a.key"}});
    assert!(reason(&hook(&folder, "claude-code", &read)).contains("Keys are not for agents"));
    let post = json!({"hook_event_name": "PostToolUse", "tool_name": "Bash"});
    assert_eq!(hook(&folder, "claude-code", &post), json!({}));
}

/// What Claude Code and Codex send before a tool runs, with all members that they have: the form is theirs, and another
/// member is no error.
#[test]
fn the_agents_own_events_are_read_and_answered_in_their_own_form() {
    let folder = folder();
    let cwd = folder.path().display().to_string();
    let claude = |tool: &str, input: Value| {
        json!({
            "session_id": "0a1b2c3d-0000-4000-8000-000000000000",
            "transcript_path": "/home/ada/.claude/projects/-home-ada-x/0a1b2c3d.jsonl",
            "cwd": cwd, "permission_mode": "default", "hook_event_name": "PreToolUse",
            "tool_name": tool, "tool_input": input, "tool_use_id": "toolu_01ABC",
        })
    };
    let codex = |tool: &str, input: Value| {
        json!({
            "session_id": "01990000-0000-7000-8000-000000000000", "turn_id": "5", "transcript_path": null,
            "cwd": cwd, "model": "gpt-5-codex", "permission_mode": "default", "hook_event_name": "PreToolUse",
            "tool_name": tool, "tool_input": input, "tool_use_id": "call_abc",
        })
    };
    let hooks =
        json!({"command": "*** Begin Patch\n*** Add File: .git/hooks/pre-commit\n+#!/bin/sh\n*** End Patch"});
    let table = [
        ("claude-code", claude("Bash", json!({"command": "git status", "description": "Look"})), true),
        (
            "claude-code",
            claude("Bash", json!({"command": "sudo ls", "timeout": 1000, "run_in_background": false})),
            false,
        ),
        ("claude-code", claude("Read", json!({"file_path": "notes.txt", "offset": 1, "limit": 10})), true),
        ("claude-code", claude("mcp__files__delete", json!({"path": "a"})), false),
        ("codex", codex("Bash", json!({"command": "git status"})), true),
        ("codex", codex("Bash", json!({"command": "rm -rf ."})), false),
        ("codex", codex("mcp__files__delete", json!({"path": "a"})), false),
    ];
    for (agent, event, allowed) in table {
        let answer = hook(&folder, agent, &event);
        if allowed {
            assert_eq!(answer, json!({}), "an allow is silence: Codex takes no other {event}");
        } else {
            assert_eq!(answer["hookSpecificOutput"]["hookEventName"], "PreToolUse");
            assert!(
                reason(&answer).contains("Blocked: ") && answer.as_object().unwrap().len() == 1,
                "{answer}"
            );
        }
    }
    let weak = Folder::with(&[(
        "weir.yaml",
        "tools: {channel_permissions: {cli: write}, levels: {run_it: read_only}}\n",
    )]);
    let patch = hook(&weak, "codex", &codex("apply_patch", hooks));
    assert!(reason(&patch).contains("needs Execute permission"), "{patch}");
    // What is suggested is what the agent has.
    for (agent, own, others) in [("claude-code", "'Read'", "'run_it'"), ("codex", "'apply_patch'", "'Read'")]
    {
        let denied = hook(&weak, agent, &codex("mcp__x__y", json!({})));
        let said = reason(&denied).to_owned();
        assert!(said.contains("such as") && !said.contains(others), "{said}");
        assert!(said.contains(own) || said.contains("'Bash'"), "{said}");
    }
}

#[test]
fn a_hook_that_cannot_decide_denies() {
    let broken = Folder::with(&[("weir.yaml", "rules: [./rules]\n"), ("rules/a.yaml", "rules: [{id: x}]\n")]);
    assert!(reason(&hook(&broken, "claude-code", &bash("ls"))).contains("weir could not decide"));
    let folder = folder();
    for input in ["", "not json", "{}"] {
        let run = folder.run_with(&["hook", "codex"], input.as_bytes());
        run.good();
        assert!(reason(&run.json()).contains("weir could not decide"), "{input}");
    }
}

#[test]
fn an_approval_is_found_answered_by_another_person_and_lets_the_call_through_once() {
    let folder = folder();
    let asked = hook(&folder, "claude-code", &bash("./deploy.sh"));
    let id = asked["hookSpecificOutput"]["permissionDecisionReason"].as_str().unwrap();
    let id = id.split('`').find(|part| part.starts_with("apr_")).unwrap().to_owned();
    let list = folder.run(&["approvals", "list", "--state", "pending", "--json"]).json();
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["caller"]), (&json!(id), &json!("user:ada")));
    assert!(!list.to_string().contains("deploy.sh"), "the values of arguments are not kept: {list}");
    assert!(folder.run(&["approvals", "list"]).good().contains(&id));
    folder.run(&["approvals", "approve", &id, "--as", "ada"]).failed(1, "somebody else must approve");
    folder.run(&["approvals", "approve", "apr_x", "--as", "bob"]).failed(1, "no approval `apr_x`");
    assert!(folder.run(&["approvals", "approve", &id, "--as", "bob"]).good().contains("approved by bob"));
    folder.run(&["approvals", "deny", &id, "--as", "bob"]).failed(1, "already");
    assert_eq!(hook(&folder, "claude-code", &bash("./deploy.sh")), json!({}));
    assert!(reason(&hook(&folder, "claude-code", &bash("./deploy.sh"))).contains("requires approval"));
}

#[test]
fn a_call_can_be_explained() {
    let folder = folder();
    let denied = hook(&folder, "claude-code", &bash("rm -rf /"));
    let said = reason(&denied);
    let id = said.split(['(', ')', ' ']).find(|word| word.starts_with("dec_")).unwrap();
    let text = folder.run(&["explain", id]).good().to_owned();
    for part in
        ["deny", "Bash", "command (sha256:", "user:ada", "permission_too_low", "cli (ceiling: execute)"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("rm -rf"), "{text}");
    let record = folder.run(&["explain", id, "--json"]).json();
    assert_eq!(record["result"]["tool"]["denial"]["kind"], json!("permission_too_low"));
    assert_eq!(record["result"]["tool"]["ended"], json!("denied"));
}
