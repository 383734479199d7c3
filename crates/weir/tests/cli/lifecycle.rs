//! `weir serve` from its start to its end.

use std::net::TcpListener;

use serde_json::json;
use weir_testkit::weir::Signal;
use weir_testkit::{WeirCommand, WeirProcess, http};

use crate::support::{BAD, Folder, NO_ECHO, binary};

fn chat(model: &str) -> serde_json::Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

#[tokio::test]
async fn without_a_configuration_it_serves_the_simulated_provider() {
    let mut weir = WeirProcess::start(binary(), "").await;
    assert_eq!(weir.stdout().lines().count(), 1, "{}", weir.stdout());
    let answer =
        http::post_json(&format!("{}/v1/chat/completions", weir.data()), &[], &chat("sim/free")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let paid = http::post_json(&format!("{}/v1/chat/completions", weir.data()), &[], &chat("sim/echo")).await;
    assert_eq!(paid.status, 401, "{}", paid.text());
    let token = format!("Bearer {}", weir.admin_token());
    for path in ["healthz", "readyz", "metrics"] {
        let url = format!("{}/{path}", weir.admin());
        let answer = http::request("GET", &url, &[("authorization", token.as_str())], "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(path != "metrics" || answer.text().contains("weir_requests_total"), "{}", answer.text());
    }
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait().await.code(), Some(0), "{}", weir.stderr());
}

#[tokio::test]
async fn the_admin_token_is_made_once_for_its_owner_and_shown_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let mut shown = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let mut weir = WeirCommand::new(binary(), "").folder(folder.path()).start().await;
        let token = weir.admin_token();
        let key = format!("Bearer {token}");
        let url = format!("{}/api/rules", weir.admin());
        assert_eq!(http::request("GET", &url, &[("authorization", key.as_str())], "").await.status, 200);
        assert_eq!(http::get(&url).await.status, 401);
        weir.signal(Signal::INT);
        assert_eq!(weir.wait().await.code(), Some(0));
        shown.push(weir.stderr().matches(&token).count());
        assert!(!weir.stdout().contains(&token));
        tokens.push(token);
    }
    assert_eq!(shown, [1, 0]);
    assert_eq!(tokens[0], tokens[1]);
    let mode = std::fs::metadata(folder.at("weir-data/admin-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn two_with_folders_of_their_own_do_not_know_each_other() {
    let (one, two) = tokio::join!(WeirProcess::start(binary(), ""), WeirProcess::start(binary(), ""));
    assert_ne!(one.data(), two.data());
    assert_ne!(one.admin_token(), two.admin_token());
    let key = format!("Bearer {}", one.admin_token());
    let status = |admin: String| {
        let key = key.clone();
        async move {
            http::request("GET", &format!("{admin}/api/rules"), &[("authorization", &key)], "").await.status
        }
    };
    assert_eq!((status(one.admin().to_owned()).await, status(two.admin().to_owned()).await), (200, 401));
}

#[tokio::test]
async fn a_start_with_errors_says_all_of_them_and_starts_nothing() {
    let table = [
        ("limts: {}\nlisten: {data: x}\n", 2),
        ("rules: [./rules, lost.yaml]\n", 3),
        ("limts: {}\nrules: [./rules, lost.yaml]\n", 4),
        ("rules: [./rules]\n", 2),
    ];
    for (config, errors) in table {
        let folder = Folder::new();
        let command = WeirCommand::new(binary(), config).folder(folder.path()).file("rules/bad.yaml", BAD);
        let ended = command.try_start().await.err().expect("it ended");
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""), "{config} {ended:?}");
        let found = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(found, errors + 1, "{config}\n{}", ended.stderr);
        assert!(!folder.at("weir-data").exists(), "{config}");
    }
}

#[tokio::test]
async fn rules_that_are_missing_or_none_at_all_do_not_keep_it_from_serving() {
    for config in ["rules: [./nowhere]\n", "rules: []\n"] {
        let weir = WeirProcess::start(binary(), config).await;
        assert_eq!(http::get(&format!("{}/readyz", weir.admin())).await.status, 200, "{config}");
    }
}

#[tokio::test]
async fn a_port_in_use_exits_with_3_and_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for plane in ["data", "admin"] {
        let other = if plane == "data" { "admin" } else { "data" };
        let config = format!("listen: {{{plane}: \"{address}\", {other}: \"127.0.0.1:0\"}}\n");
        let ended = WeirCommand::new(binary(), &config).try_start().await.err().expect("it ended");
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(3), ""), "{ended:?}");
        assert!(ended.stderr.contains(&format!("listen.{plane}: {address}")), "{ended:?}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_exits_with_3() {
    let table = [
        ("data_dir: ./a-file/data\n", "a-file/data"),
        ("store: sqlite:./a-file/weir.db\n", "a-file/weir.db"),
        ("store: postgres://weir:secret-word@127.0.0.1:1/weir\n", "PostgreSQL"),
    ];
    for (config, said) in table {
        let ended =
            WeirCommand::new(binary(), config).file("a-file", "").try_start().await.err().expect("it ended");
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(3), ""), "{config} {ended:?}");
        assert!(ended.stderr.contains(said) && !ended.stderr.contains("secret-word"), "{config} {ended:?}");
    }
}

#[tokio::test]
async fn without_redis_it_starts_degraded_and_serves() {
    let weir = WeirProcess::start(binary(), "cache: redis://127.0.0.1:1\n").await;
    let ready = http::get(&format!("{}/readyz", weir.admin())).await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("degraded")), "{}", ready.text());
    let answer =
        http::post_json(&format!("{}/v1/chat/completions", weir.data()), &[], &chat("sim/free")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn at_the_end_an_open_stream_is_let_finish() {
    let mut weir = WeirProcess::start(binary(), "keys: [{key: the-key-of-me, user: me}]\n").await;
    let body =
        json!({"model": "sim/slow", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let headers = [("authorization", "Bearer the-key-of-me"), ("content-type", "application/json")];
    let url = format!("{}/v1/chat/completions", weir.data());
    let mut stream = http::stream("POST", &url, &headers, body.to_string()).await;
    assert_eq!(stream.status, 200);
    let mut text = stream.next_text().await;
    weir.signal(Signal::TERM);
    weir.wait_for_stderr("no new connections").await;
    while let Some(chunk) = stream.next_chunk().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert!(text.contains("data: [DONE]"), "{text}");
    assert_eq!(weir.wait().await.code(), Some(0), "{}", weir.stderr());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_open_requests() {
    let config = "rules: [a.yaml]\nlimits: {drain: 1h}\nabuse: {quarantine: {first: 1h}}\n";
    let rules = NO_ECHO
        .replace("then: block", "then: quarantine-1")
        .replace("sim/free", "sim/other")
        .replace("sim/echo", "sim/free");
    let mut weir = WeirCommand::new(binary(), config).file("a.yaml", &rules).start().await;
    let url = format!("{}/v1/chat/completions", weir.data());
    let asked = tokio::spawn(async move {
        let body = chat("sim/free").to_string();
        http::try_request("POST", &url, &[("content-type", "application/json")], body).await.map(|r| r.status)
    });
    weir.wait_for_stderr("the request is delayed").await;
    weir.signal(Signal::TERM);
    weir.wait_for_stderr("no new connections").await;
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait().await.code(), Some(0), "{}", weir.stderr());
    assert!(asked.await.unwrap().is_err(), "it was cut off");
}

#[tokio::test]
async fn fewer_files_mean_fewer_connections_and_it_says_so() {
    let folder = Folder::new();
    let script = format!("ulimit -n 256; exec {} serve --config weir.yaml", binary().display());
    folder.write("run", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(folder.at("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let weir = WeirCommand::new(&folder.at("run"), "").folder(folder.path()).start().await;
    assert!(
        weir.stderr().contains("limits.connections_max is lowered from 18000 to 230"),
        "{}",
        weir.stderr()
    );
}

#[tokio::test]
async fn logs_are_json_where_nobody_looks_and_results_alone_are_on_stdout() {
    let mut weir = WeirProcess::start(binary(), "rules: [./rules]\n").await;
    weir.signal(Signal::TERM);
    weir.wait().await;
    let (warnings, log): (Vec<_>, Vec<_>) =
        weir.stderr().lines().map(str::to_owned).partition(|l| !l.starts_with('{'));
    assert!(warnings.join("\n").contains("does not exist"), "{warnings:?}");
    assert!(log.len() > 2);
    for line in log {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(
            event["timestamp"].is_string() && event["level"].is_string() && event["message"].is_string(),
            "{line}"
        );
    }
    let pretty = WeirProcess::start(binary(), "telemetry: {log_format: pretty}\n").await;
    assert!(pretty.stderr().contains("data plane") && !pretty.stderr().contains('{'), "{}", pretty.stderr());
}

#[tokio::test]
async fn a_rule_that_is_stored_counts_after_the_next_start() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO), ("weir.yaml", "")]);
    folder.run(&["rules", "apply", "a.yaml"]).good();
    let weir = WeirCommand::new(binary(), "keys: [{key: the-key-of-me, user: me}]\n")
        .folder(folder.path())
        .start()
        .await;
    let key = [("authorization", "Bearer the-key-of-me")];
    let answer =
        http::post_json(&format!("{}/v1/chat/completions", weir.data()), &key, &chat("sim/echo")).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[tokio::test]
async fn a_tool_server_without_a_valid_key_says_what_it_needs() {
    let config = "tools: {mcp_servers: [{name: kit, command: [/no/such/program]}]}\n";
    let weir = WeirProcess::start(binary(), config).await;
    let url = format!("{}/mcp/kit", weir.data());
    for headers in [&[][..], &[("authorization", "Bearer anonymous")], &[("x-api-key", "wrong")]] {
        let answer =
            http::post_json(&url, headers, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["error_type"], "invalid_api_key");
        let said = error["message"].as_str().unwrap();
        assert!(
            said.contains("Tool servers need a valid API key") && !said.contains("free models"),
            "{said}"
        );
    }
}
