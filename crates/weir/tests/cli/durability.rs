//! What was acknowledged survives `kill -9`.

use serde_json::json;
use weir_testkit::weir::Signal;
use weir_testkit::{WeirCommand, http};

use crate::support::{Folder, NO_ECHO, binary};

#[tokio::test]
async fn keys_and_rules_survive_a_kill_at_once_after_the_answer() {
    let folder = Folder::new();
    let mut weir = WeirCommand::new(binary(), "").folder(folder.path()).start().await;
    let admin = format!("Bearer {}", weir.admin_token());
    let authorized = [("authorization", admin.as_str())];
    let by_cli = folder.run(&["keys", "create", "--user", "cli", "--json"]).json();
    let put = [("authorization", admin.as_str()), ("content-type", "application/yaml")];
    let rules = http::request("PUT", &format!("{}/api/rules", weir.admin()), &put, NO_ECHO).await;
    assert_eq!(rules.status, 200, "{}", rules.text());
    let by_api =
        http::post_json(&format!("{}/api/keys", weir.admin()), &authorized, &json!({"user": "api"})).await;
    assert_eq!(by_api.status, 201, "{}", by_api.text());
    weir.signal(Signal::KILL);
    assert_eq!(weir.wait().await.code(), None, "it was killed");

    let weir = WeirCommand::new(binary(), "").folder(folder.path()).start().await;
    let body = json!({"model": "sim/echo", "messages": [{"role": "user", "content": "hello"}]});
    for made in [by_cli, by_api.json()] {
        let key = format!("Bearer {}", made["key"].as_str().unwrap());
        let url = format!("{}/v1/chat/completions", weir.data());
        let answer = http::post_json(&url, &[("authorization", &key)], &body).await;
        assert_eq!(answer.status, 403, "the key is known and the rule in force: {}", answer.text());
    }
}

#[tokio::test]
async fn a_command_that_was_killed_leaves_a_store_that_opens() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO)]);
    folder.run(&["rules", "apply", "a.yaml"]).good();
    for _ in 0..5 {
        let mut child = folder.command(&["keys", "create", "--user", "me"]).spawn().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(folder.run(&["rules", "diff", "a.yaml"]).good(), "no rule differs\n");
    folder.run(&["keys", "create", "--user", "me"]).good();
}
