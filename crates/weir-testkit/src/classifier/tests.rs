use super::*;
use crate::http::{post_json, try_request};

async fn classify(service: &ScriptedClassifier) -> crate::http::Response {
    let url = format!("{}/api/classify", service.url());
    post_json(&url, &[("x-access", "1")], &json!({"kilo_user_id": "u1"})).await
}

#[tokio::test]
async fn answers_are_those_of_the_script() {
    let service = ScriptedClassifier::start(&ManualClock::at_ten()).await;
    let none = classify(&service).await.json();
    assert_eq!((&none["rules_engine"]["resolved_action"], &none["request_id"]), (&Value::Null, &json!(1)));
    service.respond_with(ClassifierScript::resolved(Some("block")).request_id(7).matched(40, &["r-1"]));
    let block = classify(&service).await.json();
    assert_eq!(block["request_id"], 7);
    assert_eq!(
        block["rules_engine"],
        json!({
            "matches": [{"rule_id": "r-1", "action": "block", "score": 0}], "sus_score": 40,
            "resolved_action": "block", "matched_abuse_rule_ids": ["r-1"],
        })
    );
    service.respond_once(ClassifierScript::no_rules_engine());
    assert_eq!(classify(&service).await.json().get("rules_engine"), None);
    service.respond_once(ClassifierScript::http_500());
    assert_eq!(classify(&service).await.status, 500);
    service.respond_once(ClassifierScript::bad_json());
    assert!(serde_json::from_slice::<Value>(&classify(&service).await.body).is_err());
    service.respond_once(ClassifierScript::json(json!([1])));
    assert_eq!(classify(&service).await.json(), json!([1]));
    service.respond_once(ClassifierScript::unavailable());
    assert!(try_request("POST", &format!("{}/api/classify", service.url()), &[], "{}").await.is_err());
    assert_eq!((service.calls(), service.answered(), service.cost_calls().len()), (7, 7, 0));
    assert_eq!(service.requests()[0].body["kilo_user_id"], "u1");
    assert_eq!(service.requests()[0].headers["x-access"], "1");
}

#[tokio::test]
async fn latency_is_of_the_tests_clock_and_costs_are_recorded() {
    let clock = ManualClock::at_ten();
    let service = ScriptedClassifier::start(&clock).await;
    let latency = Duration::from_millis(1999);
    service.respond_with(ClassifierScript::resolved(None).after(latency));
    let url = format!("{}/api/classify", service.url());
    let waiting = tokio::spawn(async move { post_json(&url, &[], &json!({})).await.status });
    service.wait_for_calls(1).await;
    assert_eq!((clock.sleeping(), service.answered()), (vec![latency], 0));
    clock.advance(latency);
    assert_eq!(waiting.await.unwrap(), 200);
    service.wait_for_answered(1).await;
    post_json(&format!("{}/api/usage/cost", service.url()), &[], &json!({"cost": 5})).await;
    service.wait_for_cost_calls(1).await;
    assert_eq!(service.cost_calls()[0].body["cost"], 5);
    assert_eq!(service.calls(), 1);
}
