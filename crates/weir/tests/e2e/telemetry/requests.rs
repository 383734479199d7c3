//! The spans of a request, its stages and its calls of providers; whose trace they continue, and which are kept.

use std::time::Duration;

use serde_json::{Value, json};
use weir_testkit::collector::ReceivedSpan;
use weir_testkit::{Script, ScriptedUpstream, WeirProcess};

use super::{PARENT, Scene, TRACE, assert_attributes, chat, config};
use crate::support::{PROMPT, binary, eventually, make_key, post, rule_for, write};

/// The stages of a request that is answered without a delay, in their order.
const STAGES: [&str; 11] = [
    "route", "admit", "read", "identify", "resolve", "precheck", "decide", "limit", "enforce", "send", "pass",
];

fn ms(span: &ReceivedSpan) -> f64 {
    Duration::from_nanos(span.end_ns - span.start_ns).as_secs_f64() * 1e3
}

#[tokio::test]
async fn a_request_is_a_tree_of_its_stages_and_its_call() {
    let scene = Scene::with(&[
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=collector-key"),
    ])
    .await;
    let key = make_key(&scene.weir, "one").await;
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    let answer = scene.ask(&key, &chat("m/two", false), &headers).await;
    assert_eq!(answer.status, 200);
    let trace = scene.trace_of(&answer).await;

    let server = trace.server();
    assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, "00f067aa0ba902b7"));
    assert_eq!((server.name.as_str(), server.failed), ("POST /v1/chat/completions", false));
    assert_attributes(
        server,
        &[
            ("http.request.method", json!("POST")),
            ("http.route", json!("/v1/chat/completions")),
            ("http.response.status_code", json!(200)),
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.request.model", json!("m/two")),
            ("weir.decision.action", json!("nothing")),
            ("error.type", Value::Null),
            ("weir.delay_ms", Value::Null),
        ],
    );
    assert_eq!(server.resource["service.name"], "edge");
    assert_eq!(server.resource["deployment.environment.name"], "test");
    assert!(scene.collector.headers().iter().all(|headers| headers["api-key"] == "collector-key"));

    for stage in STAGES {
        let span = trace.named(stage);
        assert_eq!((span.parent.as_str(), span.kind), (server.id.as_str(), 1), "{span:#?}");
        assert!(server.start_ns <= span.start_ns && span.end_ns <= server.end_ns, "{span:#?} in {server:#?}");
    }
    let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert_eq!(
        (attempt.name.as_str(), attempt.parent.as_str()),
        ("chat two", trace.named("send").id.as_str())
    );
    assert_attributes(
        attempt,
        &[
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("second")),
            ("gen_ai.request.model", json!("two")),
            ("gen_ai.response.model", json!("two")),
            ("gen_ai.response.finish_reasons", json!(["stop"])),
            ("gen_ai.request.stream", json!(false)),
            ("gen_ai.usage.input_tokens", json!(weir_testkit::upstream::INPUT_TOKENS)),
            ("gen_ai.usage.output_tokens", json!(weir_testkit::upstream::OUTPUT_TOKENS)),
            ("error.type", Value::Null),
        ],
    );
    // The provider's own spans belong below the call.
    let sent = scene.second.last();
    assert_eq!(sent.header("traceparent"), Some(format!("00-{TRACE}-{}-01", attempt.id).as_str()));
    assert_eq!(sent.header("tracestate"), Some("vendor=1"));

    let ids: std::collections::HashSet<_> = trace.0.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), trace.0.len(), "ids are unique: {trace:#?}");
    assert_eq!(scene.collector.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_stream_s_call_lasts_to_its_end_and_knows_its_first_piece() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/two", true), &[]).await;
    assert!(answer.text().contains("[DONE]"));
    let trace = scene.trace_of(&answer).await;
    let server = trace.server();
    assert_eq!(server.parent, "", "a trace of its own");
    let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert_attributes(
        attempt,
        &[
            ("gen_ai.request.stream", json!(true)),
            ("gen_ai.usage.output_tokens", json!(weir_testkit::upstream::OUTPUT_TOKENS)),
        ],
    );
    let first = attempt.attributes["gen_ai.response.time_to_first_chunk"].as_f64().unwrap();
    assert!(first > 0.0 && first * 1e3 <= ms(attempt), "{attempt:#?}");
    assert_eq!((attempt.end_ns, trace.named("pass").end_ns), (server.end_ns, server.end_ns), "{trace:#?}");
    // The same trace that the provider was told of.
    assert!(scene.second.last().header("traceparent").unwrap().contains(&attempt.id));
}

#[tokio::test]
async fn why_the_model_stopped_is_told_for_every_api_streamed_or_not() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    let authorization = format!("Bearer {key}");
    let table = [("chat/completions", "stop"), ("messages", "end_turn"), ("responses", "completed")];
    for ((path, reason), stream) in table.into_iter().flat_map(|row| [(row, false), (row, true)]) {
        let mut body = json!({"model": "m/two", "stream": stream, "max_tokens": 100,
            "messages": [{"role": "user", "content": PROMPT}]});
        if path == "responses" {
            body = json!({"model": "m/two", "stream": stream, "input": PROMPT});
        }
        let headers = [("authorization", authorization.as_str())];
        let answer = post(&scene.weir, &format!("/v1/{path}"), &headers, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let trace = scene.trace_of(&answer).await;
        let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
        assert_attributes(attempt, &[("gen_ai.response.finish_reasons", json!([reason]))]);
    }
    // What is no word of the protocol could be anything.
    scene.second.respond_with(Script::json(
        200,
        &json!({"id": "1", "object": "chat.completion", "model": "two", "choices": [
            {"index": 0, "finish_reason": "canary said so", "message": {"role": "assistant", "content": "x"}},
            {"index": 1, "finish_reason": "length", "message": {"role": "assistant", "content": "y"}},
        ]}),
    ));
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    let trace = scene.trace_of(&answer).await;
    let [attempt] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert_attributes(attempt, &[("gen_ai.response.finish_reasons", json!(["_OTHER", "length"]))]);
}

#[tokio::test]
async fn each_failed_attempt_is_a_call_with_its_class() {
    let scene = Scene::new().await;
    scene.first.respond_with(Script::error(500, "server_error", "it broke"));
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/one", false), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let trace = scene.trace_of(&answer).await;
    let [failed, served] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert!(failed.failed && !served.failed && !trace.server().failed, "{trace:#?}");
    assert_attributes(
        failed,
        &[
            ("error.type", json!("upstream_5xx")),
            ("weir.error.owner", json!("provider")),
            ("http.response.status_code", json!(500)),
            ("gen_ai.provider.name", json!("first")),
            ("gen_ai.usage.input_tokens", Value::Null),
        ],
    );
    assert_attributes(served, &[("error.type", Value::Null), ("gen_ai.provider.name", json!("second"))]);
    assert!(failed.end_ns <= served.start_ns, "{trace:#?}");

    scene.second.respond_with(Script::cut_mid_stream([
        "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
    ]));
    let answer = scene.ask(&key, &chat("m/two", true), &[]).await;
    let trace = scene.trace_of(&answer).await;
    let [broken] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert!(broken.failed && broken.attributes["error.type"].is_string(), "{broken:#?}");

    // A policy's refusal is an answer and no error of weir's.
    write(&scene.weir, "POST", "/api/rules", &rule_for("blocked", &json!("block")), 201).await;
    let blocked = make_key(&scene.weir, "blocked").await;
    let answer = eventually("the rule to block", async || {
        let answer = scene.ask(&blocked, &chat("m/two", false), &[]).await;
        (answer.status == 403).then_some(answer)
    });
    let trace = scene.trace_of(&answer.await).await;
    assert!(trace.attempts().is_empty() && !trace.server().failed, "{trace:#?}");
    assert_attributes(
        trace.server(),
        &[
            ("weir.decision.action", json!("block")),
            ("weir.decision.rule", json!("of-blocked")),
            ("weir.ended_at", json!("enforce")),
            ("http.response.status_code", json!(403)),
        ],
    );
}

#[tokio::test]
async fn a_quarantine_shows_to_operators_alone_and_its_delay_is_no_overhead() {
    let scene = Scene::new().await;
    write(&scene.weir, "POST", "/api/rules", &rule_for("slow", &json!("quarantine-1")), 201).await;
    let key = make_key(&scene.weir, "slow").await;
    let (answer, trace) = eventually("the rule to slow down", async || {
        let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
        let trace = scene.trace_of(&answer).await;
        (trace.server().attributes["weir.decision.action"] == "quarantine-1").then_some((answer, trace))
    })
    .await;
    assert_eq!(answer.status, 200);
    let told: Vec<String> = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    assert!(!told.concat().contains("quarantine") && !told.concat().contains("delay"), "{told:?}");
    assert!(!scene.second.last().headers.iter().any(|(_, value)| value.as_bytes() == b"quarantine-1"));

    let server = trace.server();
    assert_attributes(server, &[("weir.delay_ms", json!(120)), ("weir.decision.rule", json!("of-slow"))]);
    let overhead = server.attributes["weir.overhead_ms"].as_f64().unwrap();
    let hold = trace.named("hold");
    assert!(
        ms(hold) >= 120.0 && ms(server) - ms(hold) >= overhead && overhead < ms(server) - 119.0,
        "{trace:#?}"
    );
    assert!(scene.value_of("weir_quarantine_delay_seconds_sum").await >= 0.12);
    assert!(scene.value_of("weir_quarantine_delay_seconds_count").await >= 1.0);
}

#[tokio::test]
async fn without_an_endpoint_the_caller_s_context_passes_as_it_came() {
    let (first, second) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let weir = WeirProcess::start(binary(), &config(&first, &second, "")).await;
    let key = make_key(&weir, "one").await;
    let authorization = format!("Bearer {key}");
    for given in [PARENT, "what the caller calls a context"] {
        let headers = [("authorization", authorization.as_str()), ("traceparent", given)];
        assert_eq!(post(&weir, "/v1/chat/completions", &headers, &chat("m/two", false)).await.status, 200);
        assert_eq!(second.last().header("traceparent"), Some(given));
    }
}

#[tokio::test]
async fn a_trace_that_is_not_kept_is_passed_on_and_not_sent() {
    let scene = Scene::with(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await;
    let key = make_key(&scene.weir, "one").await;
    assert_eq!(scene.ask(&key, &chat("m/two", false), &[]).await.status, 200);
    let sent = scene.second.last().header("traceparent").unwrap().to_owned();
    assert!(sent.ends_with("-00"), "{sent}");
    let kept = scene.ask(&key, &chat("m/two", false), &[("traceparent", PARENT)]).await;
    let trace = scene.trace_of(&kept).await;
    assert_eq!(trace.server().trace, TRACE);
    assert!(scene.collector.spans().iter().all(|span| span.trace == TRACE));
}
