//! `weir decide`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{BAD, Folder, NO_ECHO};

const RULES: &str = "\
rules:
  - id: shadowed
    on: request
    when: request.model.startsWith(\"sim/\")
    then: block
    mode: shadow
  - id: scripted
    on: request
    when: request.user_agent.contains(\"python-requests/\") && identity.kind == \"anonymous\"
    then: quarantine-2
    because: Scripted anonymous clients exhaust the shared free capacity.
    instead: Sign in, or send an API key.
    score: 40
  - id: slow-down
    on: request
    when: identity.plan == \"free\"
    then: {rate-limit: {requests: 60, per: 1m}}
    score: 2
  - id: free-pass
    on: request
    when: '\"internal\" in identity.tags'
    then: skip
  - id: worst
    on: request
    when: request.country == \"XX\"
    then: quarantine-3
  - id: at-night
    on: request
    when: now.getHours() < 6 && request.feature == \"night\"
    then: log
";

fn decide(rules: &str, input: &str) -> (i32, Vec<Value>) {
    let folder = Folder::with(&[("r.yaml", rules)]);
    let run = folder.run_with(&["decide", "--on", "request", "--rules", "r.yaml"], input.as_bytes());
    assert!(!folder.at("weir-data").exists(), "it opens no store");
    (run.code, run.json_lines())
}

#[test]
fn a_decision_has_exactly_the_members_of_the_contract() {
    let input = r#"{"id": "a", "request": {"user_agent": "python-requests/2.32"}, "identity": {"key": "fingerprint:1", "kind": "anonymous"}}"#;
    let (code, lines) = decide(RULES, input);
    assert_eq!((code, lines.len()), (0, 1));
    let mut decision = lines[0].clone();
    let version = decision["matched"][0]["version"].take();
    assert!(version.as_str().is_some_and(|v| !v.is_empty()), "{version}");
    assert_eq!(
        decision,
        json!({
            "id": "a", "boundary": "request", "subject": "fingerprint:1", "outcome": "quarantine-2",
            "rule": "scripted",
            "because": "Scripted anonymous clients exhaust the shared free capacity.",
            "instead": "Sign in, or send an API key.",
            "sus_score": 40,
            "matched": [{"rule": "scripted", "version": null, "action": "quarantine-2", "mode": "enforce"}],
            "errored": [], "obligations": [{"delay_ms": 6000}], "source": "fresh", "epoch": 0
        })
    );
}

#[test]
fn lines_are_answered_in_order_and_combined_as_the_language_says() {
    let table = [
        (json!({}), "nothing", Value::Null, json!([]), json!([])),
        (json!({"request": {"model": "sim/echo"}}), "nothing", Value::Null, json!([]), json!(["shadowed"])),
        (
            json!({"identity": {"plan": "free"}}),
            "nothing",
            Value::Null,
            json!([{"rate_limit": {"rule": "slow-down", "requests": 60, "per_s": 60}}]),
            json!(["slow-down"]),
        ),
        (
            json!({"request": {"country": "XX"}}),
            "quarantine-3",
            json!("worst"),
            json!([{"delay_ms": 6000}, {"downgrade": true}]),
            json!(["worst"]),
        ),
        (
            json!({"request": {"feature": "night"}, "now": "2026-11-20T05:59:00Z"}),
            "log",
            json!("at-night"),
            json!([]),
            json!(["at-night"]),
        ),
        (
            json!({"request": {"feature": "night"}, "now": "2026-11-20T06:00:00Z"}),
            "nothing",
            Value::Null,
            json!([]),
            json!([]),
        ),
    ];
    let input: String = table.iter().map(|(facts, ..)| format!("{facts}\n")).collect();
    let (code, lines) = decide(RULES, &input);
    assert_eq!((code, lines.len()), (0, table.len()));
    for (at, ((facts, outcome, rule, obligations, matched), line)) in table.iter().zip(&lines).enumerate() {
        assert_eq!(line["id"], json!((at + 1).to_string()), "{facts}");
        assert_eq!((&line["outcome"], &line["rule"]), (&json!(outcome), rule), "{facts} {line}");
        assert_eq!(line["obligations"], *obligations, "{facts} {line}");
        let rules: Vec<&Value> = line["matched"].as_array().unwrap().iter().map(|m| &m["rule"]).collect();
        assert_eq!(json!(rules), *matched, "{facts} {line}");
    }
}

#[test]
fn a_skip_lifts_and_an_error_at_run_time_is_listed() {
    let rules = "\
rules:
  - {id: all, on: request, when: 'true', then: block}
  - {id: pass, on: request, when: '\"internal\" in identity.tags', then: skip}
  - {id: broken, on: request, when: '10 / request.max_tokens > 1', then: block}
";
    let (code, lines) =
        decide(rules, "{\"identity\": {\"tags\": [\"internal\"]}}\n{\"request\": {\"max_tokens\": 100}}\n");
    assert_eq!(code, 0, "whatever was decided");
    assert_eq!(lines[0]["outcome"], "nothing", "{}", lines[0]);
    assert_eq!(lines[0]["errored"][0]["rule"], "broken");
    assert_eq!((&lines[1]["outcome"], &lines[1]["rule"]), (&json!("block"), &json!("all")));
    assert_eq!(lines[1]["errored"], json!([]));
}

#[test]
fn bad_lines_are_answered_in_their_place_and_the_others_go_on() {
    let folder = Folder::with(&[("r.yaml", NO_ECHO)]);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"request\": {{\"user_prompt\": \"{}\"}}}}", "x".repeat(2_000_000));
    let lines: Vec<Vec<u8>> = vec![
        br#"{"id": "good", "request": {"model": "sim/echo"}}"#.to_vec(),
        br#"{"id": "b", "request": {"modell": "x"}}"#.to_vec(),
        br#"{"id": 7, "request": {"model": 1}}"#.to_vec(),
        br#"{"tool": {"name": "x"}}"#.to_vec(),
        b"[1]".to_vec(),
        b"".to_vec(),
        b"\xff\xfe".to_vec(),
        b"{\"id\": \"cut\"".to_vec(),
        deep.into_bytes(),
        br#"{"now": "yesterday"}"#.to_vec(),
        br#"{"id": {"a": 1}}"#.to_vec(),
        long.into_bytes(),
        b"{}".to_vec(),
    ];
    let run = folder.run_with(&["decide", "--on", "request", "--rules", "r.yaml"], &lines.join(&b'\n'));
    assert_eq!(run.code, 2, "{}", run.stderr);
    let answers = run.json_lines();
    assert_eq!(answers.len(), lines.len());
    let expected: [(Value, Option<&str>); 13] = [
        (json!("good"), None),
        (json!("b"), Some("request.modell")),
        (json!(7), Some("request.model")),
        (json!("4"), Some("tool")),
        (json!("5"), Some("")),
        (json!("6"), Some("")),
        (json!("7"), Some("")),
        (json!("8"), Some("")),
        (json!("9"), Some("")),
        (json!("10"), Some("now")),
        (json!("11"), Some("id")),
        (json!("12"), None),
        (json!("13"), None),
    ];
    for (answer, (id, path)) in answers.iter().zip(&expected) {
        assert_eq!(answer["id"], *id, "{answer}");
        match path {
            None => assert!(answer["outcome"].is_string(), "{answer}"),
            Some(path) => {
                assert_eq!(answer["error"]["path"], json!(path), "{answer}");
                assert!(answer["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{answer}");
                assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
            }
        }
    }
}

#[test]
fn each_line_is_flushed_so_that_a_conversation_is_possible() {
    let folder = Folder::with(&[("r.yaml", NO_ECHO)]);
    let mut command = folder.command(&["decide", "--on", "request", "--rules", "r.yaml"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for (model, outcome) in [("sim/echo", "block"), ("sim/free", "nothing")] {
        writeln!(stdin, "{{\"request\": {{\"model\": \"{model}\"}}}}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["outcome"], outcome);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn rules_with_errors_print_nothing_on_stdout() {
    let folder = Folder::with(&[("bad.yaml", BAD)]);
    let run = folder.run_with(&["decide", "--on", "request", "--rules", "bad.yaml"], b"{}\n");
    run.failed(1, "bad.yaml:4:");
    run.failed(1, "2 errors found");
    folder.run_with(&["decide", "--on", "request", "--rules", "lost.yaml"], b"{}\n").failed(2, "lost.yaml");
}

#[test]
fn rules_and_delays_come_from_the_configuration() {
    let rules = NO_ECHO.replace("then: block", "then: quarantine-1");
    let config = "rules: [r.yaml]\nabuse: {quarantine: {first: 150ms}}\n";
    let folder = Folder::with(&[("weir.yaml", config), ("r.yaml", &rules)]);
    let line = b"{\"request\": {\"model\": \"sim/echo\"}}\n";
    let run = folder.run_with(&["decide", "--on", "request"], line);
    assert_eq!(run.json_lines()[0]["obligations"], json!([{"delay_ms": 150}]));

    folder.write("weir.yaml", "{}\n");
    let run = folder.run_with(&["decide", "--on", "request"], line);
    assert_eq!(run.json_lines()[0]["outcome"], "nothing");
    assert!(run.stderr.contains("no rule is asked"), "{}", run.stderr);
}

#[test]
fn an_expired_rule_is_not_asked_at_the_time_of_the_facts() {
    let rules = NO_ECHO.replace("then: block", "then: block\n    expires: 2026-01-01T00:00:00Z");
    let input = "{\"request\": {\"model\": \"sim/echo\"}, \"now\": \"2025-12-31T00:00:00Z\"}\n{\"request\": {\"model\": \"sim/echo\"}, \"now\": \"2026-01-01T00:00:01Z\"}\n";
    let (_, lines) = decide(&rules, input);
    assert_eq!((&lines[0]["outcome"], &lines[1]["outcome"]), (&json!("block"), &json!("nothing")));
}

#[test]
fn a_reader_that_has_enough_ends_it_well() {
    let folder = Folder::with(&[("r.yaml", NO_ECHO)]);
    let mut command = folder.command(&["decide", "--on", "request", "--rules", "r.yaml"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(b"{}\n{}\n{}\n");
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
