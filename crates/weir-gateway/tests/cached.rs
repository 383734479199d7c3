//! `abuse.mode: cached` beyond the cases of area A: what is logged of verdicts, what the service is told and asked, the
//! local rules in the classifier's place, and `off`.

use std::time::Duration;

use serde_json::{Value, json};
use tracing::Level;
use weir_testkit::ClassifierScript;
use weir_testkit::logs::LoggedEvent;
use weir_testkit::upstream::{INPUT_TOKENS, OUTPUT_TOKENS};

use crate::support::{Api, Ask, Node, Options, PROMPT, World, eventually};

fn verdicts(world: &World) -> Vec<LoggedEvent> {
    world.logs.matching(Level::INFO, "abuse classification")
}

#[tokio::test]
async fn every_verdict_is_logged_once_and_a_late_one_says_so() {
    let table = [
        (None, 0, None),
        (Some("log"), 0, None),
        (None, 500, Some(true)),
        (Some("none"), 500, Some(true)),
        (Some("nothing"), 500, Some(true)),
        (Some("log"), 500, Some(true)),
        (Some("block"), 500, Some(false)),
    ];
    for (cached, latency_ms, late) in table {
        let world = World::new().await;
        let mut node = Node::start(&world, &world.config()).await;
        if let Some(action) = cached {
            node.cache_action("user:user-123", action).await;
        }
        let script = ClassifierScript::resolved(Some("log")).matched(40, &["rule-1"]).request_id(7);
        world.classifier.respond_with(script.after(Duration::from_millis(latency_ms)));
        let request = node.spawn(&Ask::chat("paid/big"));
        if cached == Some("block") {
            world.clock.nth_sleep(0).await;
            world.classifier.wait_for_calls(1).await;
            world.clock.advance_ms(latency_ms);
        }
        assert_eq!(request.await.unwrap().status, 200);
        assert_eq!(world.clock.slept().len(), usize::from(cached == Some("block")), "{cached:?}: who waits");
        world.clock.advance_ms(60_000);
        node.stop().await;
        let lines = verdicts(&world);
        assert_eq!(lines.len(), 1, "{cached:?} {latency_ms}: {lines:?}");
        let expected = [
            ("rules_engine_resolved_action", json!("log")),
            ("rules_engine_sus_score", json!(40)),
            ("rules_engine_matched_abuse_rule_ids", json!("[\"rule-1\"]")),
            ("identity_key", json!("user:user-123")),
            ("kilo_user_id", json!("user-123")),
            ("requested_model", json!("paid/big")),
            ("rps", json!(0.5)),
            ("request_id", json!(7)),
        ];
        for (field, value) in expected {
            assert_eq!(*lines[0].field(field), value, "{field}");
        }
        if let Some(late) = late {
            assert_eq!(*lines[0].field("late"), json!(late), "{cached:?} {latency_ms}");
        }
    }
}

#[tokio::test]
async fn the_service_is_asked_and_told_as_its_protocol_says() {
    let world = World::new().await;
    let headers = "{CF-Access-Client-Id: canary-id, CF-Access-Client-Secret: canary-secret}";
    let abuse = format!("{{service_url: \"{}\", service_headers: {headers}}}", world.classifier.url());
    let node =
        Node::start(&world, &world.config().set("abuse", abuse).set("trusted_proxies", "[127.0.0.1/32]"))
            .await;
    world.classifier.respond_with(ClassifierScript::resolved(None).request_id(41));
    let ask = Ask::chat("Paid/Big")
        .with("max_tokens", json!(100))
        .with("tools", json!([{"type": "function"}]))
        .header("x-forwarded-for", "203.0.113.5")
        .header("x-vercel-ja4-digest", "t13")
        .header("x-vercel-ip-city", "Graz")
        .header("x-vercel-ip-country", "AT")
        .header("x-vercel-ip-latitude", "47.07")
        .header("x-vercel-ip-longitude", "15.4")
        .header("user-agent", "a-client/1")
        .header("x-weir-feature", "chat")
        .header("x-weir-editor", "ed");
    assert_eq!(node.send(&ask).await.status, 200);
    world.classifier.wait_for_cost_calls(1).await;
    let asked = world.classifier.last();
    assert_eq!(asked.headers["cf-access-client-id"], "canary-id");
    assert_eq!(asked.headers["cf-access-client-secret"], "canary-secret");
    let expected = json!({
        "kilo_user_id": "user-123", "organization_id": "acme", "project_id": "demo", "ip_address": "203.0.113.5",
        "geo_city": "Graz", "geo_country": "AT", "geo_latitude": 47.07, "geo_longitude": 15.4, "ja4_digest": "t13",
        "user_agent": "a-client/1", "provider": "main", "requested_model": "paid/big", "user_prompt": PROMPT,
        "system_prompt": null, "max_tokens": 100.0, "has_middle_out_transform": false, "has_tools": true,
        "streamed": false, "is_user_byok": false, "editor_name": "ed", "feature": "chat",
    });
    assert_eq!(asked.body, expected);
    let cost = world.classifier.cost_calls().remove(0);
    assert_eq!(cost.headers["cf-access-client-id"], "canary-id");
    // 2.5 and 10 dollars for a million tokens.
    let micro_dollars = (2.5 * INPUT_TOKENS as f64 + 10.0 * OUTPUT_TOKENS as f64).ceil();
    let expected = json!({
        "kilo_user_id": "user-123", "organization_id": "acme", "project_id": "demo", "ip_address": "203.0.113.5",
        "ja4_digest": "t13", "user_agent": "a-client/1", "request_id": 41, "message_id": "chatcmpl-1",
        "cost": micro_dollars as u64, "requested_model": "paid/big", "input_tokens": INPUT_TOKENS,
        "output_tokens": OUTPUT_TOKENS, "cache_write_tokens": 0, "cache_hit_tokens": 0,
    });
    assert_eq!(cost.body, expected);
    node.leaks_nothing(&world).await;
}

/// Whatever shape an answer has, it is no answer unless it has the right one.
#[tokio::test]
async fn an_answer_of_a_wrong_shape_is_none() {
    let good = json!({
        "verdict": "ALLOW", "risk_score": 0.0, "signals": [], "action_metadata": {}, "context": {}, "request_id": 1,
        "rules_engine": {"matches": [], "sus_score": 0, "resolved_action": "log", "matched_abuse_rule_ids": []},
    });
    let mut wrong: Vec<Value> = vec![json!([]), json!("log"), Value::Null];
    for member in ["verdict", "risk_score", "signals", "action_metadata", "context", "request_id"] {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(member);
        let mut other = good.clone();
        other[member] = Value::Null;
        wrong.extend([without, other]);
    }
    for member in ["matches", "sus_score", "resolved_action", "matched_abuse_rule_ids"] {
        let mut without = good.clone();
        without["rules_engine"].as_object_mut().unwrap().remove(member);
        let mut other = good.clone();
        other["rules_engine"][member] = json!({"an": "object"});
        wrong.extend([without, other]);
    }
    let world = World::new().await;
    let node = Node::start(&world, &world.config()).await;
    for (n, body) in wrong.iter().enumerate() {
        node.cache_action("user:user-123", "block").await;
        world.classifier.respond_once(ClassifierScript::json(body.clone()));
        assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 403, "{body}");
        assert_eq!(node.cached("user:user-123").await.as_deref(), Some("block"), "{body}");
        let errors = world.logs.matching(Level::ERROR, "the abuse service failed").len();
        assert_eq!(errors, n + 1, "{body}");
    }
    world.classifier.respond_once(ClassifierScript::json(good));
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200);
    assert_eq!(node.cached("user:user-123").await.as_deref(), Some("log"));
}

#[tokio::test]
async fn the_local_rules_stand_in_for_the_service() {
    let rules = "rules:\n- {id: nobody, on: request, when: identity.user_id == \"user-123\", then: block, because: A test.}\n";
    let world = World::new().await;
    let config = world.config().set("abuse", "{mode: cached}");
    let node = Node::with(&world, &config, Options { rules: rules.to_owned(), ..Options::default() }).await;
    for api in Api::ALL {
        node.cache.action_delete(&weir_core::IdentityKey::from_stored("user:user-123")).await.unwrap();
        assert_eq!(node.send(&Ask::new(api, "paid/big")).await.status, 200, "the first request passes");
        eventually("the verdict in the cache", async || {
            node.cached("user:user-123").await.filter(|a| a == "block")
        })
        .await;
        assert_eq!(node.send(&Ask::new(api, "paid/big")).await.status, 403, "the second is enforced");
    }
    assert_eq!(world.classifier.calls(), 0);
    assert_eq!(verdicts(&world).len(), 6);
}

/// The counters are read together with the cached action, and are told as known.
#[tokio::test]
async fn the_counters_that_rules_read_are_recorded_as_known() {
    let world = World::new().await;
    let config = world.config().set("abuse", "{mode: cached}");
    for (when, known) in [("stats.requests_1h > 9", true), ("request.free", false)] {
        let rules = format!("rules:\n- {{id: a, on: request, when: '{when}', then: block}}\n");
        let node = Node::with(&world, &config, Options { rules, ..Options::default() }).await;
        let answer = node.send(&Ask::chat("paid/big")).await;
        assert_eq!(node.record_of(&answer).await.facts.stats_known, known, "{when}");
    }
}

#[tokio::test]
async fn without_service_and_rules_nothing_is_classified_but_what_is_cached_holds() {
    let world = World::new().await;
    let node = Node::start(&world, &world.config().set("abuse", "{mode: cached}")).await;
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200);
    assert_eq!(node.cached("user:user-123").await, None);
    node.cache_action("user:user-123", "block").await;
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 403);
    assert_eq!(node.cached("user:user-123").await.as_deref(), Some("block"));
    assert!(verdicts(&world).is_empty());
}

#[tokio::test]
async fn off_decides_nothing() {
    let rules = "rules:\n- {id: all, on: request, when: 'true', then: block, because: A test.}\n";
    let world = World::new().await;
    let node =
        Node::with(&world, &world.open_config(), Options { rules: rules.to_owned(), ..Options::default() })
            .await;
    node.cache_action("user:user-123", "block").await;
    let answer = node.send(&Ask::chat("paid/big")).await;
    assert_eq!(answer.status, 200);
    let record = node.record_of(&answer).await;
    assert!(record.decision.matched.is_empty());
    assert_eq!(record.decision.outcome.as_str(), "nothing");
}
