//! `weir agent`: the turn loop through the real program, against the simulated provider and a scripted one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

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
