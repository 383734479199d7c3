//! What a collector is sent over OTLP, and what comes of one that is in trouble, gone or behind TLS.

use serde_json::{Value, json};
use weir_testkit::FakeCollector;
use weir_testkit::http::Response;
use weir_testkit::weir::Signal;

use super::{Scene, chat};
use crate::support::{admin, eventually, make_key};

#[tokio::test]
async fn metrics_are_sent_as_they_are_shown() {
    let scene = Scene::new().await;
    let key = make_key(&scene.weir, "one").await;
    scene.ask(&key, &chat("m/two", true), &[]).await;
    scene.collector.wait_for_metric("gen_ai.client.operation.time_to_first_chunk").await;
    let points = scene.collector.points();
    let usage = points.iter().rfind(|point| {
        point.metric == "gen_ai.client.token.usage" && point.attributes["gen_ai.token.type"] == "output"
    });
    let usage = usage.unwrap();
    let expected = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "second"),
        ("gen_ai.request.model", "m/two"),
    ];
    for (name, value) in expected {
        assert_eq!(usage.attributes[name], value, "{usage:?}");
    }
    assert_eq!((usage.unit.as_str(), usage.value), ("{token}", weir_testkit::upstream::OUTPUT_TOKENS as f64));
    assert_eq!((usage.bounds[0], usage.buckets.iter().sum::<u64>()), (1.0, 1));
    let duration = points.iter().rfind(|point| point.metric == "gen_ai.client.operation.duration").unwrap();
    assert_eq!((duration.unit.as_str(), &duration.attributes["error.type"]), ("s", &json!("")));
    assert!(points.iter().any(|point| point.metric == "weir_policy_epoch"));
    assert_eq!(scene.collector.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_collector_in_trouble_costs_spans_and_one_line_and_no_request() {
    let mut scene = Scene::with(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]).await;
    let key = make_key(&scene.weir, "one").await;
    scene.collector.hang(4);
    scene.collector.refuse(400, 2);
    for _ in 0..20 {
        assert_eq!(scene.ask(&key, &chat("m/two", false), &[]).await.status, 200);
    }
    scene.collector.wait_for_answers().await;
    // It is well again, and what comes from now on arrives.
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.trace_of(&answer).await;
    eventually("the lost spans to be counted", async || {
        (scene.value_of("weir_telemetry_exports_total{signal=\"traces\",result=\"sent\"}").await > 0.0)
            .then_some(())
    })
    .await;
    assert!(scene.value_of("weir_telemetry_exports_total").await > 1.0);
    eventually("a rejection to be counted", async || {
        // Each time: an answer that comes too late for the exporter is not counted.
        scene.collector.reject_once(1_000_000);
        scene.ask(&key, &chat("m/two", false), &[]).await;
        (scene.value_of("weir_telemetry_spans_total{result=\"rejected\"}").await > 0.0).then_some(())
    })
    .await;
    for signal in ["traces", "metrics"] {
        let told = scene.weir.stderr().matches(&format!("\"signal\":\"{signal}\",\"cause\"")).count();
        assert!(told <= 2, "{signal} was told {told} times: {}", scene.weir.stderr());
    }
    scene.collector.recover();
    scene.collector.hang(100);
    // So that there is something to send at the end.
    scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.weir.signal(Signal::TERM);
    assert_eq!(scene.weir.wait().await.code(), Some(0), "{}", scene.weir.stderr());
    // Three tries take two of the three seconds: it has given up by itself, or was cut off in a second round of them.
    eventually("the loss to be told", async || {
        let log = scene.weir.stderr();
        let lost = log.rfind("telemetry is lost") > log.rfind("telemetry is taken again");
        (lost || log.contains("could not be sent")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_is_gone_is_noted_where_health_is_shown_and_keeps_weir_ready() {
    let scene = Scene::with(&[("OTEL_METRIC_EXPORT_INTERVAL", "3600000")]).await;
    let key = make_key(&scene.weir, "one").await;
    let health = async || admin(&scene.weir, "GET", "/readyz", &Value::Null).await;
    let noted = |answer: &Response| answer.json()["dependencies"]["telemetry"].clone();
    assert_eq!(noted(&health().await)["state"], "up");
    scene.collector.refuse(418, 1);
    scene.ask(&key, &chat("m/two", false), &[]).await;
    let seen = eventually("the loss to be noted", async || {
        let answer = health().await;
        (noted(&answer)["state"] == "degraded").then_some(answer)
    });
    let seen = seen.await;
    assert_eq!((seen.status, &seen.json()["status"]), (200, &json!("ready")), "{}", seen.text());
    assert!(noted(&seen)["error"].as_str().unwrap().contains("418"), "{}", seen.text());
    eventually("the collector to be well again", async || {
        scene.ask(&key, &chat("m/two", false), &[]).await;
        (noted(&health().await)["state"] == "up").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_collector_behind_tls_is_trusted_by_the_authority_that_is_set_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    let collector = FakeCollector::start_tls().await;
    std::fs::write(&file, FakeCollector::AUTHORITY).unwrap();
    let scene = Scene::before(collector, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap())]).await;
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.trace_of(&answer).await;
    scene.collector.wait_for_metric("weir_policy_epoch").await;
    assert_eq!(scene.collector.faults(), Vec::<String>::new());

    let stranger = Scene::before(FakeCollector::start_tls().await, &[]).await;
    let key = make_key(&stranger.weir, "one").await;
    assert_eq!(stranger.ask(&key, &chat("m/two", false), &[]).await.status, 200);
    eventually("the certificate to be refused", async || {
        stranger.weir.stderr().contains("invalid peer certificate").then_some(())
    })
    .await;
    assert!(stranger.collector.spans().is_empty() && stranger.collector.bytes().is_empty());
}

#[tokio::test]
async fn the_last_spans_are_sent_at_the_end() {
    let mut scene = Scene::with(&[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]).await;
    let key = make_key(&scene.weir, "one").await;
    let answer = scene.ask(&key, &chat("m/two", false), &[]).await;
    scene.weir.signal(Signal::TERM);
    assert_eq!(scene.weir.wait().await.code(), Some(0));
    scene.trace_of(&answer).await;
}
