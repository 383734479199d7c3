//! What changes while `weir serve` runs: files, signals, the store.

use serde_json::json;
use weir_testkit::weir::Signal;
use weir_testkit::{WeirCommand, WeirProcess, http};

use crate::support::{BAD, Folder, NO_ECHO, binary};

const KEY: &str = "keys: [{key: the-key-of-me, user: me}]\n";

/// `weir serve` with the rule files as master.
async fn with_files(folder: &Folder) -> WeirProcess {
    let config = format!("rules: [./rules]\n{KEY}");
    WeirCommand::new(binary(), &config)
        .folder(folder.path())
        .file("rules/a.yaml", "rules: []\n")
        .start()
        .await
}

async fn status(weir: &WeirProcess, model: &str, key: &str) -> u16 {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    let key = format!("Bearer {key}");
    http::post_json(&format!("{}/v1/chat/completions", weir.data()), &[("authorization", &key)], &body)
        .await
        .status
}

/// Asks until the answer is this; the kit's patience bounds it.
async fn until_status(weir: &WeirProcess, model: &str, key: &str, expected: u16) {
    let what = format!("{expected} for {model}: {}", weir.stderr());
    weir_testkit::deadline::within(&what, async {
        while status(weir, model, key).await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn changed_rule_files_come_into_force_and_bad_ones_do_not() {
    let folder = Folder::new();
    let weir = with_files(&folder).await;
    assert_eq!(status(&weir, "sim/echo", "the-key-of-me").await, 200);

    folder.write("rules/a.yaml", NO_ECHO);
    until_status(&weir, "sim/echo", "the-key-of-me", 403).await;

    folder.write("rules/b.yaml", BAD);
    weir.wait_for_stderr("reload refused").await;
    assert!(weir.stderr().contains("rules/b.yaml:4:"), "{}", weir.stderr());
    assert_eq!(status(&weir, "sim/echo", "the-key-of-me").await, 403, "the old ones stay");

    let config = std::fs::read_to_string(folder.at("weir.yaml")).unwrap();
    folder.write("weir.yaml", format!("{config}limts: {{}}\n"));
    weir.wait_for_stderr("unknown key `limts`").await;
    weir.wait_for_stderr("\"errors\":3").await;
    folder.write("weir.yaml", config);

    std::fs::remove_file(folder.at("rules/b.yaml")).unwrap();
    folder.write("other", "rules: []\n");
    std::fs::rename(folder.at("other"), folder.at("rules/a.yaml")).unwrap();
    until_status(&weir, "sim/echo", "the-key-of-me", 200).await;
    let history = folder.run(&["rules", "history", "--json"]).json();
    assert!(history.as_array().unwrap().len() >= 2, "the store keeps the history of the files: {history}");
}

#[tokio::test]
async fn a_hang_up_reloads_the_configuration_and_a_bad_one_is_refused_as_a_whole() {
    let folder = Folder::new();
    let weir = with_files(&folder).await;
    let listen = "listen: {data: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n";
    assert_eq!(status(&weir, "sim/free", "another-key").await, 401);

    let good = "keys: [{key: another-key, user: you}]\n";
    folder.write("weir.yaml", format!("{listen}rules: [./rules]\n{good}"));
    weir.signal(Signal::HUP);
    until_status(&weir, "sim/free", "another-key", 200).await;
    assert_eq!(status(&weir, "sim/free", "the-key-of-me").await, 401, "its key is gone");

    // Good rules beside a bad configuration, and a good configuration beside bad rules: neither comes into force.
    folder.write("rules/a.yaml", NO_ECHO);
    folder.write("weir.yaml", format!("{listen}rules: [./rules]\nkyes: []\n"));
    weir.signal(Signal::HUP);
    weir.wait_for_stderr("kyes").await;
    assert_eq!(status(&weir, "sim/echo", "another-key").await, 200);
    folder.write("rules/a.yaml", BAD);
    folder.write("weir.yaml", format!("{listen}rules: [./rules]\n{KEY}"));
    weir.signal(Signal::HUP);
    weir.wait_for_stderr("rules/a.yaml:4:").await;
    assert_eq!(status(&weir, "sim/free", "another-key").await, 200);
    assert_eq!(status(&weir, "sim/free", "the-key-of-me").await, 401);
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_named() {
    let folder = Folder::new();
    let weir = WeirCommand::new(binary(), KEY).folder(folder.path()).start().await;
    let changed = "listen: {data: \"127.0.0.1:1\"}\ndata_dir: ./elsewhere\nstore: sqlite:./other.db\n\
                   cache: redis://127.0.0.1:1\nadmin: {token: another-admin-token}\nrules: []\n\
                   limits: {cache_timeout: 7ms}\n\
                   keys: [{key: another-key, user: you}]\n";
    folder.write("weir.yaml", changed);
    weir.signal(Signal::HUP);
    until_status(&weir, "sim/free", "another-key", 200).await;
    for member in ["listen", "data_dir", "store", "cache", "limits.cache_timeout", "rules"] {
        assert!(weir.stderr().contains(&format!("`{member}` has changed")), "{member}: {}", weir.stderr());
    }
    assert!(!folder.at("elsewhere").exists() && !folder.at("other.db").exists());
    folder.write("r.yaml", NO_ECHO);
    let key = "Bearer another-admin-token".to_owned();
    let put = http::request(
        "PUT",
        &format!("{}/api/rules", weir.admin()),
        &[("authorization", key.as_str()), ("content-type", "application/yaml")],
        NO_ECHO,
    )
    .await;
    assert_eq!(put.status, 200, "the store is still the master: {}", put.text());
}

#[tokio::test]
async fn admin_tokens_are_those_of_the_configuration_in_force() {
    let folder = Folder::new();
    let weir = WeirCommand::new(binary(), KEY).folder(folder.path()).start().await;
    let made = weir.admin_token();
    let status = async |token: &str| {
        let authorization = format!("Bearer {token}");
        let url = format!("{}/api/keys", weir.admin());
        http::request("GET", &url, &[("authorization", authorization.as_str())], "").await.status
    };
    assert_eq!((status(&made).await, status("of-ops").await), (200, 401));

    let config = std::fs::read_to_string(folder.at("weir.yaml")).unwrap();
    let admin = "admin: {token: a-written-one, tokens: [{name: ops, token: of-ops, role: viewer}]}\n";
    folder.write(
        "weir.yaml",
        format!("{config}{admin}keys: [{{key: another-key, user: you}}]\n").replace(KEY, ""),
    );
    until_status(&weir, "sim/free", "another-key", 200).await;
    assert_eq!((status(&made).await, status("a-written-one").await, status("of-ops").await), (401, 200, 200));

    folder.write("weir.yaml", config);
    until_status(&weir, "sim/free", "the-key-of-me", 200).await;
    assert_eq!((status(&made).await, status("a-written-one").await, status("of-ops").await), (200, 401, 401));
    for secret in [made.as_str(), "a-written-one", "of-ops"] {
        assert_eq!(
            weir.stderr().matches(secret).count(),
            usize::from(secret == made),
            "shown at the start, once"
        );
    }
}

#[tokio::test]
async fn what_the_command_line_writes_is_in_force_on_a_running_node() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO)]);
    let weir = WeirCommand::new(binary(), "").folder(folder.path()).start().await;
    let made = folder.run(&["keys", "create", "--user", "me", "--json"]).json();
    let key = made["key"].as_str().unwrap();
    until_status(&weir, "sim/echo", key, 200).await;
    folder.run(&["rules", "apply", "a.yaml"]).good();
    until_status(&weir, "sim/echo", key, 403).await;
    folder.run(&["rules", "rollback", "1"]).good();
    folder.write("none.yaml", "rules: []\n");
    folder.run(&["rules", "apply", "none.yaml"]).good();
    until_status(&weir, "sim/echo", key, 200).await;
    folder.run(&["keys", "revoke", made["id"].as_str().unwrap()]).good();
    until_status(&weir, "sim/echo", key, 401).await;
}

#[tokio::test]
async fn a_secret_file_that_changes_is_read_again() {
    let folder = Folder::with(&[("key.txt", "first-key-of-all\n")]);
    // Asking again and again with a key that is not valid yet must not run into the limit of the address.
    let config = "keys: [{key: \"file:key.txt\", user: me}]\nlimits: {unauthenticated: {requests: 1000000, per: 1m}}\n";
    let weir = WeirCommand::new(binary(), config).folder(folder.path()).start().await;
    assert_eq!(status(&weir, "sim/free", "first-key-of-all").await, 200);
    folder.write("key.txt", "second-key-of-all\n");
    until_status(&weir, "sim/free", "second-key-of-all", 200).await;
    assert_eq!(status(&weir, "sim/free", "first-key-of-all").await, 401);
}
