//! What README.md says in its first minute, done as it says it.

use std::process::Command;

use weir_testkit::WeirCommand;

use crate::support::{Folder, binary};

/// The blocks of shell commands, in order.
fn blocks() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let text = std::fs::read_to_string(file).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs commands in one shell after what has been set before, and gives what they printed.
fn shell(folder: &Folder, before: &str, commands: &str) -> String {
    let path = std::env::join_paths(
        [binary().parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let script = format!("set -euo pipefail\n{before}\n{commands}");
    let mut command = Command::new("bash");
    let output =
        command.args(["-c", &script]).current_dir(folder.path()).env("PATH", path.unwrap()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_first_minute_works_as_it_is_written() {
    let folder = Folder::new();
    let weir = WeirCommand::new(binary(), "").folder(folder.path()).start().await;
    // weir.yaml only chooses free ports; the commands read the same store by it.
    let blocks: Vec<String> = blocks()
        .into_iter()
        .map(|block| {
            block.replace("http://127.0.0.1:8080", weir.data()).replace("http://127.0.0.1:8081", weir.admin())
        })
        .collect();
    let [_path, free, key, rule, refused, why, decide, failure, tool, admin] = blocks.as_slice() else {
        panic!("README.md has {} blocks of commands", blocks.len());
    };
    assert!(shell(&folder, "", free).contains("hello"));

    let made = shell(&folder, "", &format!("{key}\necho; echo KEY=$KEY"));
    let set = made.lines().last().unwrap().to_owned();
    assert!(made.contains("hello") && set.starts_with("KEY=weir_sk_"), "{made}");

    let applied = shell(&folder, "", rule);
    assert!(applied.contains("1 rule, 2 examples passed") && applied.contains("+ no-curl"), "{applied}");

    weir_testkit::deadline::within("the rule to be in force", async {
        while !shell(&folder, &set, refused).contains("abuse_blocked") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(std::fs::read_to_string(folder.at("headers.txt")).unwrap().starts_with("HTTP/1.1 403"));

    let why = shell(&folder, "", why);
    for said in
        ["no-curl", "Scripts may not use this model.", "Use sim/free, or an SDK.", "403 abuse_blocked"]
    {
        assert!(why.contains(said), "{why}");
    }
    assert!(shell(&folder, "", decide).contains("\"outcome\":\"block\""));
    assert!(shell(&folder, "", failure).contains("\"class\":\"quota_exhausted\""));
    assert!(shell(&folder, "", tool).contains("\"kind\":\"session_forbidden\""));
    assert!(shell(&folder, "", admin).contains("no-curl"));
}

#[test]
fn the_configuration_it_shows_is_good() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let text = std::fs::read_to_string(file).unwrap();
    let config = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = Folder::with(&[("weir.yaml", config), ("rules/a.yaml", "rules: []\n")]);
    let without = folder.command(&["check"]).env_remove("OPENAI_API_KEY").output().unwrap();
    assert_eq!(without.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&without.stderr).contains("OPENAI_API_KEY"), "it names the variable");
    let with = folder.command(&["check"]).env("OPENAI_API_KEY", "sk-test").output().unwrap();
    assert_eq!(with.status.code(), Some(0), "{}", String::from_utf8_lossy(&with.stderr));
}
