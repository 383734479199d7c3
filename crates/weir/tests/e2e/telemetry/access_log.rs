//! The access log, and that nothing secret is in it or in anything else that an operator collects.

use serde_json::{Value, json};
use weir_testkit::weir::Signal;
use weir_testkit::{Script, ScriptedUpstream, WeirProcess};

use super::{PARENT, Scene, TRACE, chat, metrics};
use crate::support::{CANARY, PROMPT, binary, decision_id, eventually, make_key, post, secret_in};

#[tokio::test]
async fn no_prompt_key_header_or_made_up_path_reaches_the_collector_the_log_or_the_metrics() {
    let scene = Scene::new().await;
    scene.first.respond_with(Script::error(
        400,
        "canary_code",
        &format!("you said `{PROMPT}` with first-canary-key"),
    ));
    let key = make_key(&scene.weir, "one").await;
    let headers = [
        ("cookie", "session=canary"),
        ("x-anything", "canary"),
        ("user-agent", "canary/1"),
        ("x-weir-feature", "canary"),
        ("tracestate", "canary=1"),
        ("x-weir-byok", "own-canary-key"),
    ];
    for model in ["m/one", "m/two", "canary/model"] {
        for stream in [false, true] {
            let answer = scene.ask(&key, &chat(model, stream), &headers).await;
            scene.trace_of(&answer).await;
        }
    }
    for path in ["/v1/canary", "/canary", "/mcp/canary"] {
        let authorization = format!("Bearer {key}");
        let answer =
            post(&scene.weir, path, &[("authorization", &authorization)], &chat("m/two", false)).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let (unknown, body) = ([("authorization", "Bearer canary")], chat("m/two", false));
    assert_eq!(post(&scene.weir, "/v1/chat/completions", &unknown, &body).await.status, 401);
    scene.collector.wait_for_metric("weir_requests_total").await;
    // The records show what an operator may see of a request, the model that was asked for and the user agent among it.
    let bytes = scene.collector.bytes();
    for (place, bytes) in [("the collector", bytes), ("/metrics", metrics(&scene.weir).await.into_bytes())] {
        assert_eq!(secret_in(&bytes), None, "{place}");
    }
    let lines = access_lines(&scene.weir, 10).await;
    for line in lines {
        assert!(!line.to_string().contains(CANARY), "{line}");
    }
}

/// The lines of the access log, once there are so many.
async fn access_lines(weir: &WeirProcess, count: usize) -> Vec<Value> {
    eventually("the access log", async || {
        let stderr = weir.stderr();
        let lines = stderr.lines().filter(|line| line.contains("\"weir::access\""));
        let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn each_request_has_one_line_in_the_access_log() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let before = access_lines(&scene.weir, 0).await.len();
    let answer =
        scene.ask(&key, &chat("m/two", false), &[("x-request-id", "mine-1"), ("traceparent", PARENT)]).await;
    let refused = scene.ask(&key, &chat("canary/model", false), &[]).await;
    assert_eq!(refused.status, 404);
    let lines = access_lines(&scene.weir, before + 2).await;
    let line = lines.iter().find(|line| line["request_id"] == "mine-1").unwrap();
    let expected = [
        ("level", json!("INFO")),
        ("message", json!("request")),
        ("decision", json!(decision_id(&answer))),
        ("trace_id", json!(TRACE)),
        ("operation", json!("chat_completions")),
        ("model", json!("m/two")),
        ("upstream", json!("second")),
        ("status", json!(200)),
        ("outcome", json!("nothing")),
        ("delay_ms", json!(0)),
        ("attempts", json!(1)),
        ("input_tokens", json!(weir_testkit::upstream::INPUT_TOKENS)),
        ("output_tokens", json!(weir_testkit::upstream::OUTPUT_TOKENS)),
        ("client_gone", json!(false)),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name} of {line}");
    }
    assert!(line["overhead_ms"].as_f64().unwrap() <= line["duration_ms"].as_f64().unwrap(), "{line}");
    let refused = lines.iter().find(|line| line["decision"] == decision_id(&refused)).unwrap();
    assert_eq!(
        (&refused["status"], &refused["model"], &refused["ended_at"]),
        (&json!(404), &Value::Null, &json!("identify"))
    );
    assert_eq!(lines.len(), before + 2, "one for each request: {lines:#?}");
    assert!(lines.iter().all(|line| line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z'))));
}

#[tokio::test]
async fn the_access_log_can_be_turned_off_by_the_filter_and_is_not_for_people() {
    for telemetry in ["{log_format: json, log: \"info,weir::access=off\"}", "{log_format: pretty}"] {
        let upstream = ScriptedUpstream::start().await;
        let mut weir = WeirProcess::start(
            binary(),
            &crate::support::config(&upstream, &format!("telemetry: {telemetry}")),
        )
        .await;
        let key = make_key(&weir, "one").await;
        assert_eq!(crate::support::ask(&weir, &key, "vendor/paid").await.status, 200);
        weir.signal(Signal::TERM);
        weir.wait().await;
        assert!(!weir.stderr().contains("weir::access"), "{telemetry}: {}", weir.stderr());
    }
}
