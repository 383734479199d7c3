//! `weir explain`, of decisions that a real weir has made.

use serde_json::json;
use weir_core::clock::Clock as _;
use weir_testkit::{WeirProcess, http};

use crate::support::{Folder, NO_ECHO, binary};

const CONFIG: &str = "rules: [./rules]\nkeys: [{key: the-key-of-me, user: me}]\n";

fn chat(model: &str) -> serde_json::Value {
    json!({"model": model, "messages": [{"role": "user", "content": "a secret prompt"}]})
}

#[tokio::test]
async fn a_refusal_is_explained_while_weir_runs() {
    let folder = Folder::new();
    folder.write("rules/a.yaml", NO_ECHO);
    let weir = weir_testkit::WeirCommand::new(binary(), CONFIG).folder(folder.path()).start().await;
    let url = format!("{}/v1/chat/completions", weir.data());
    let key = [("authorization", "Bearer the-key-of-me")];
    let refused = http::post_json(&url, &key, &chat("sim/echo")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let id = refused.header("x-weir-decision").unwrap().to_owned();

    let run = folder.run(&["explain", &id]);
    let text = run.good();
    for said in [
        format!("{id}  block").as_str(),
        "subject      user:me",
        "rule         no-echo (version ",
        "because      Echoes are for tests.",
        "instead      Ask sim/free.",
        "answered 403 abuse_blocked",
        "lifted by    an operator",
        "matched      no-echo -> block (version ",
        "true         request.model == \"sim/echo\"  [request.model = \"sim/echo\"]",
        "lifted by    an operator: change `no-echo` in rules/a.yaml:2",
        "stages       ",
        "facts        ",
        "request.model = \"sim/echo\"",
        "timings      total ",
    ] {
        assert!(text.contains(said), "`{said}` is not in\n{text}");
    }
    assert!(!text.contains("a secret prompt") && !text.contains("the-key-of-me"), "{text}");

    let uuid = id.strip_prefix("dec_").unwrap();
    assert_eq!(folder.run(&["explain", uuid]).good(), text, "the bare UUID will do");
    let record = folder.run(&["explain", "--json", &id]).json();
    assert_eq!((&record["id"], &record["outcome"]), (&json!(id), &json!("block")));
    assert_eq!(record["explanation"]["matched"][0]["condition"]["truth"], "true", "{record}");
    assert_eq!(
        (&record["result"]["status"], &record["facts"]["request"]["model"]),
        (&json!(403), &json!("sim/echo"))
    );
}

#[tokio::test]
async fn the_commands_that_it_names_do_what_it_says() {
    let folder = Folder::new();
    let config = format!("{CONFIG}listen: {{data: \"127.0.0.1:0\", admin: \"ADMIN\"}}\n");
    folder.write("rules/a.yaml", NO_ECHO);
    // `explain` reads the admin plane's address from the configuration, so the port is chosen here.
    let config = config.replace("ADMIN", &format!("127.0.0.1:{}", weir_testkit::free_port()));
    let weir = weir_testkit::WeirCommand::new(binary(), &config).folder(folder.path()).start().await;
    let url = format!("{}/v1/chat/completions", weir.data());
    let key = [("authorization", "Bearer the-key-of-me")];
    let refused = http::post_json(&url, &key, &chat("sim/echo")).await;
    assert_eq!(refused.status, 403);
    let text = folder.run(&["explain", refused.header("x-weir-decision").unwrap()]).good().to_owned();
    let command = text.lines().find_map(|line| line.split_once("exempt the identity: ")).unwrap().1;
    let tomorrow = weir_store::clock::SystemClock.now() + jiff::SignedDuration::from_hours(24);
    let command = command.replace("TIME", &tomorrow.to_string());
    let mut shell = std::process::Command::new("bash");
    let done = shell.args(["-c", &format!("{command} --fail -s")]).env("ADMIN_TOKEN", weir.admin_token());
    assert!(done.output().unwrap().status.success(), "{command}");
    // Who does not answer within 50 ms what is known of an identity is not waited for; then it is asked again.
    weir_testkit::deadline::within("the identity to be exempt", async {
        while http::post_json(&url, &key, &chat("sim/echo")).await.status != 200 {}
    })
    .await;
}

#[tokio::test]
async fn what_passed_is_explained_too_after_the_end() {
    let folder = Folder::new();
    let mut weir = weir_testkit::WeirCommand::new(binary(), "").folder(folder.path()).start().await;
    let answer =
        http::post_json(&format!("{}/v1/chat/completions", weir.data()), &[], &chat("sim/free")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.header("x-weir-decision").unwrap().to_owned();
    end(&mut weir).await;
    let run = folder.run(&["explain", &id]);
    assert!(run.good().contains("  nothing  ") && run.stdout.contains("answered 200"), "{run:#?}");
    assert!(run.stdout.contains("tokens in"), "{run:#?}");
    assert!(!run.stdout.contains("lifted by"), "{run:#?}");
}

/// A failure is explained with its classification: each attempt, its rule, what was read and what was done.
#[tokio::test]
async fn a_failure_is_explained_attempt_by_attempt() {
    let folder = Folder::new();
    let config = "keys: [{key: the-key-of-me, user: me}]\nfailures: {retries: {attempts: 2}}\n";
    let weir = weir_testkit::WeirCommand::new(binary(), config).folder(folder.path()).start().await;
    let url = format!("{}/v1/chat/completions", weir.data());
    let key = [("authorization", "Bearer the-key-of-me")];
    let failed = http::post_json(&url, &key, &chat("sim/error-500")).await;
    assert_eq!(failed.status, 502, "{}", failed.text());
    let id = failed.header("x-weir-decision").unwrap().to_owned();
    let run = folder.run(&["explain", &id]);
    let text = run.good();
    for said in [
        "the provider failed: upstream_5xx, after 2 attempts",
        "answered 502 upstream_5xx",
        "failed       attempt 1: upstream_5xx, sim/error-500 (sim, credential platform)",
        "by rule ",
        "owner provider, retry same, report log",
        "read the provider answered with an error; phase body; status 500",
        "facts failure.status",
        "ignored in the text: what it repeats of the request",
        "then the same model was tried again after ",
        "failed       attempt 2: upstream_5xx",
        "then the caller was told",
    ] {
        assert!(text.contains(said), "`{said}` is not in\n{text}");
    }
    assert!(!text.contains("a secret prompt"), "{text}");
    let record = folder.run(&["explain", "--json", &id]).json();
    assert_eq!(record["result"]["failures"].as_array().unwrap().len(), 2, "{record}");
}

async fn end(weir: &mut WeirProcess) {
    weir.signal(weir_testkit::weir::Signal::TERM);
    assert_eq!(weir.wait().await.code(), Some(0), "{}", weir.stderr());
}

#[test]
fn an_id_that_is_not_known_exits_with_1() {
    let folder = Folder::with_store();
    folder.run(&["explain", "dec_019aa0f5-2a00-7707-8707-070707070707"]).failed(1, "no decision");
    // Its request may still be under way.
    let recent = weir_core::DecisionId::new(weir_store::clock::SystemClock.now(), [7; 10]).to_text();
    folder
        .run(&["explain", &recent])
        .failed(1, "in this store yet: it is written a moment after its request has ended");
    for id in ["dec_1", "hello", "dec_"] {
        folder.run(&["explain", id]).failed(1, "no decision id");
    }
}
