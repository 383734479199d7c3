//! From the start to the end: what is promised across reloads, kills and a good end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use weir_testkit::weir::Signal;
use weir_testkit::{Gate, Script, ScriptedUpstream, WeirCommand, WeirProcess, http};

use crate::support::{
    A_SECOND, PAID, admin, ask, assert_no_canary, binary, chat, config, decision_id, eventually, make_key,
    read, record, rule_for, simulated, write,
};

/// How many connections are opened that say nothing.
const SILENT: usize = 10_000;
/// What each may cost in resident memory, in bytes, in a build without optimisation.
const SILENT_BYTES_MAX: u64 = 40 * 1024;

#[tokio::test]
async fn ten_thousand_silent_connections_take_little_memory_and_no_service() {
    allow_files(SILENT + 500);
    let weir = WeirProcess::start(binary(), &simulated("")).await;
    let key = make_key(&weir, "me").await;
    for _ in 0..20 {
        assert_eq!(ask(&weir, &key, "sim/echo").await.status, 200);
    }
    let before = resident_bytes(&weir);
    let address = weir.data().strip_prefix("http://").unwrap().to_owned();
    let mut silent = Vec::with_capacity(SILENT);
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let mut took = Vec::new();
    for _ in 0..21 {
        let since = Instant::now();
        assert_eq!(ask(&weir, &key, "sim/echo").await.status, 200, "{} are silent", silent.len());
        took.push(since.elapsed());
    }
    took.sort_unstable();
    assert!(took[10] < A_SECOND, "half of the answers took {:?} or more", took[10]);
    let each = resident_bytes(&weir).saturating_sub(before) / u64::try_from(SILENT).unwrap();
    assert!(each < SILENT_BYTES_MAX, "{each} bytes for each silent connection");
    assert!(open_files(&weir) > SILENT, "they are all taken: {}", open_files(&weir));
    drop(silent);
    eventually("the connections to be given up", async || {
        ask(&weir, &key, "sim/echo").await;
        (open_files(&weir) < 500).then_some(())
    })
    .await;
}

/// Lets this process open as many files, where its own hard limit allows that.
fn allow_files(files: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(files).unwrap();
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    assert!(
        limit.maximum.is_none_or(|maximum| maximum >= wanted),
        "no more than {limit:?} files may be open"
    );
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// The resident memory of a process, in bytes.
pub fn resident_bytes(weir: &WeirProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", weir.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

fn open_files(weir: &WeirProcess) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", weir.id().unwrap())).unwrap().count()
}

/// How many streams are open when the end is asked for. They all end at once, and their records with them.
const OPEN_AT_THE_END: usize = 60;

#[tokio::test]
async fn at_the_end_streams_finish_within_the_drain_time_and_all_records_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = ScriptedUpstream::start().await;
    let config = config(&upstream, "limits: {drain: 1h}");
    let command = || WeirCommand::new(binary(), &config).folder(folder.path());
    let mut weir = command().start().await;
    let key = make_key(&weir, "me").await;
    let mut answers = vec![decision_id(&ask(&weir, &key, PAID.0).await)];
    let gate = Gate::new();
    let event = "data: {\"choices\":[]}\n\n";
    upstream.respond_with(Script::gated(&gate, [event, event, "data: [DONE]\n\n"]));
    let mut body = chat(PAID.0);
    body["stream"] = json!(true);
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let url = format!("{}/v1/chat/completions", weir.data());
    let mut streams = Vec::new();
    for _ in 0..OPEN_AT_THE_END {
        let stream = http::stream("POST", &url, &headers, body.to_string()).await;
        answers.push(stream.headers["x-weir-decision"].to_str().unwrap().to_owned());
        streams.push(stream);
    }
    weir.signal(Signal::TERM);
    weir.wait_for_stderr("no new connections").await;
    eventually("the port to be closed", async || {
        http::try_request("POST", &url, &headers, "{}").await.is_err().then_some(())
    })
    .await;
    gate.open();
    for mut stream in streams {
        let mut text = String::new();
        while let Some(chunk) = stream.next_chunk().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    assert_eq!(weir.wait().await.code(), Some(0), "{}", weir.stderr());

    let weir = command().start().await;
    for id in answers {
        let found = admin(&weir, "GET", &format!("/api/decisions/{id}"), &Value::Null).await;
        assert_eq!(found.status, 200, "{id}: {}", found.text());
    }
    let usage = read(&weir, "/api/usage?subject=user:me&limit=100").await;
    assert_eq!(usage["items"].as_array().unwrap().len(), 1 + OPEN_AT_THE_END);
}

#[tokio::test]
async fn a_stream_that_outlasts_the_drain_time_is_cut_and_it_ends_well() {
    let upstream = ScriptedUpstream::start().await;
    upstream.respond_with(Script::hang_mid_stream(["data: {\"choices\":[]}\n\n"]));
    let folder = tempfile::tempdir().unwrap();
    let config = config(&upstream, "limits: {drain: 300ms}");
    let command = || WeirCommand::new(binary(), &config).folder(folder.path());
    let mut weir = command().start().await;
    let key = make_key(&weir, "me").await;
    let mut body = chat(PAID.0);
    body["stream"] = json!(true);
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let url = format!("{}/v1/chat/completions", weir.data());
    let mut stream = http::stream("POST", &url, &headers, body.to_string()).await;
    stream.next_text().await;
    let since = Instant::now();
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait().await.code(), Some(0), "{}", weir.stderr());
    assert!(since.elapsed() >= Duration::from_millis(300), "it was given its time");
    assert!(weir.stderr().contains("cut off at the end of the drain time"), "{}", weir.stderr());
    let end = stream.next_chunk().await;
    assert!(!matches!(&end, Some(Ok(chunk)) if chunk.ends_with(b"[DONE]\n\n")), "{end:?}");

    // What was cut is recorded, too: its record is filed before the log is flushed.
    let id = stream.headers["x-weir-decision"].to_str().unwrap().to_owned();
    let again = command().start().await;
    let record = read(&again, &format!("/api/decisions/{id}")).await;
    assert_eq!(record["result"]["client_gone"], true, "{record}");
}

#[tokio::test]
async fn a_hang_up_loads_a_good_configuration_and_keeps_the_old_one_over_a_bad_one() {
    let weir =
        WeirCommand::new(binary(), &simulated("keys: [{key: first-canary-key, user: first}]")).start().await;
    let file = weir.folder().join("weir.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(ask(&weir, "first-canary-key", "sim/echo").await.status, 200);

    std::fs::write(&file, text.replace("first-canary-key", "second-canary-key")).unwrap();
    weir.signal(Signal::HUP);
    eventually("the new key", async || {
        (ask(&weir, "second-canary-key", "sim/echo").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(ask(&weir, "first-canary-key", "sim/echo").await.status, 401);

    std::fs::write(&file, format!("{text}\nkees: []\n")).unwrap();
    weir.signal(Signal::HUP);
    weir.wait_for_stderr("kees").await;
    assert_eq!(ask(&weir, "second-canary-key", "sim/echo").await.status, 200, "the old one stays");
    assert_eq!(ask(&weir, "first-canary-key", "sim/echo").await.status, 401);
    assert_no_canary(&weir).await;
}

#[tokio::test]
async fn what_the_admin_api_acknowledged_survives_a_kill_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let command = || WeirCommand::new(binary(), &simulated("")).folder(folder.path());
    let mut weir = command().start().await;
    let (exempt, blocked) = (make_key(&weir, "exempt").await, make_key(&weir, "blocked").await);
    write(&weir, "POST", "/api/rules", &rule_for("exempt", &json!("block")), 201).await;
    write(&weir, "POST", "/api/rules", &rule_for("blocked", &json!("block")), 201).await;
    let events = json!({"events": [{"type": "x", "data": {"kilo_user_id": "blocked", "plan": "pro"}}]});
    write(&weir, "POST", "/api/events", &events, 202).await;
    let until = json!({"until": "2035-01-01T00:00:00Z"});
    write(&weir, "PUT", "/api/identities/user:exempt/exemption", &until, 200).await;
    weir.signal(Signal::KILL);
    assert_eq!(weir.wait().await.code(), None, "it was killed");

    let mut weir = command().start().await;
    // Who does not answer within 50 ms what is known of an identity is not waited for; then it is asked again.
    let passes = async || (ask(&weir, &exempt, "sim/echo").await.status == 200).then_some(());
    eventually("the exemption to count", passes).await;
    assert_eq!(ask(&weir, &blocked, "sim/echo").await.status, 403, "the key and the rule");
    assert_eq!(read(&weir, "/api/identities/user:blocked").await["facts"]["plan"], "pro");
    write(&weir, "DELETE", "/api/rules/of-blocked", &Value::Null, 204).await;
    write(&weir, "DELETE", "/api/identities/user:exempt/exemption", &Value::Null, 204).await;
    weir.signal(Signal::KILL);
    weir.wait().await;

    let mut weir = command().start().await;
    assert_eq!(ask(&weir, &blocked, "sim/echo").await.status, 200, "the rule is gone for good");
    assert_eq!(ask(&weir, &exempt, "sim/echo").await.status, 403, "the exemption is over");
    let keys = read(&weir, "/api/keys").await;
    let id =
        keys["items"].as_array().unwrap().iter().find(|key| key["user"] == "blocked").unwrap()["id"].clone();
    write(&weir, "DELETE", &format!("/api/keys/{}", id.as_str().unwrap()), &Value::Null, 204).await;
    weir.signal(Signal::KILL);
    weir.wait().await;
    assert_eq!(ask(&command().start().await, &blocked, "sim/echo").await.status, 401, "the key is revoked");
}

#[tokio::test]
async fn an_answered_request_is_explained_within_a_second() {
    let weir = WeirProcess::start(binary(), &simulated("")).await;
    let key = make_key(&weir, "me").await;
    write(&weir, "POST", "/api/rules", &rule_for("me", &json!("block")), 201).await;
    let mut took = Vec::new();
    for _ in 0..5 {
        let answer = ask(&weir, &key, "sim/echo").await;
        let since = Instant::now();
        record(&weir, &answer).await;
        took.push(since.elapsed());
        // How long a program takes to start says nothing of weir: what it reads is there.
        let mut command = tokio::process::Command::new(binary());
        command.args(["explain", &decision_id(&answer), "--config", "weir.yaml"]).current_dir(weir.folder());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let explained = String::from_utf8(output.stdout).unwrap();
        for part in ["of-me", "block", "A test says so.", "Ask another way."] {
            assert!(explained.contains(part), "`{part}` is not in {explained}");
        }
    }
    took.sort_unstable();
    assert!(took[2] < A_SECOND, "half of the records took {:?} or more", took[2]);
    let shown = read(&weir, "/api/decisions?subject=user:me").await;
    assert_eq!(shown["items"].as_array().unwrap().len(), 5);
}
