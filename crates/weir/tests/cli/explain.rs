//! `weir explain`, of decisions that a real weir has made.

use serde_json::json;
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
        "- change `no-echo` in rules",
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
    assert_eq!(
        (&record["result"]["status"], &record["facts"]["request"]["model"]),
        (&json!(403), &json!("sim/echo"))
    );
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

async fn end(weir: &mut WeirProcess) {
    weir.signal(weir_testkit::weir::Signal::TERM);
    assert_eq!(weir.wait().await.code(), Some(0), "{}", weir.stderr());
}

#[test]
fn an_id_that_is_not_known_exits_with_1() {
    let folder = Folder::new();
    folder.run(&["explain", "dec_019aa0f5-2a00-7707-8707-070707070707"]).failed(1, "no decision");
    for id in ["dec_1", "hello", "dec_"] {
        folder.run(&["explain", id]).failed(1, "no decision id");
    }
}
