//! A quarantine stays invisible, is cancelled when its client goes, and has bounds.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_testkit::Script;
use weir_testkit::http::Response;

use crate::support::{Api, Ask, Node, Options, World, settle};

/// A model that its provider knows by the same name: what a plain answer names is what was asked for.
const ASKED: &str = "openai/gpt-4o";

const MODELS: &str = "[{id: openai/gpt-4o, provider: main}, \
                       {id: free/small, provider: other, upstream_model: small-1, free: true}]";

fn rules(action: &str) -> Options {
    let rules =
        format!("rules:\n- {{id: everybody, on: request, when: 'true', then: {action}, because: A test.}}\n");
    Options { rules, ..Options::default() }
}

/// The answer to one request of an identity with this action, by a node and a provider of its own.
async fn answer(action: &str, disclose: bool, ask: &Ask, upstream: Option<Script>) -> Response {
    let world = World::new().await;
    if let Some(script) = upstream {
        world.upstream.respond_with(script);
    }
    let config =
        world.config().set("models", MODELS).set("abuse", format!("{{mode: inline, disclose: {disclose}}}"));
    let node = Node::with(&world, &config, rules(action)).await;
    let request = node.spawn(ask);
    if action.starts_with("quarantine") {
        let delay = world.clock.nth_sleep(0).await;
        world.clock.manual.advance(delay);
    }
    let answer = request.await.unwrap();
    let sent = world.upstream.last().model;
    assert_eq!(sent, if action == "quarantine-3" { "small-1" } else { ASKED });
    let usage = node.usage().await;
    assert_eq!(usage[0].upstream_model, sent, "records name the real one");
    node.leaks_nothing(&world).await;
    answer
}

/// Names and values of all headers but those that differ between any two answers.
fn comparable(answer: &Response) -> BTreeMap<String, Vec<u8>> {
    let differ = ["date", "x-weir-decision", "x-weir-overhead-ms"];
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    headers.filter(|(name, _)| !differ.contains(&name.as_str())).collect()
}

/// Every JSON value of a body, ids of the decision apart.
fn values(answer: &Response) -> Vec<Value> {
    let id = answer.header("x-weir-decision").unwrap();
    let text = answer.text().replace(id, "dec_");
    if answer.header("content-type") == Some("text/event-stream") {
        let events =
            text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        return events.map(|data| serde_json::from_str(data).unwrap()).collect();
    }
    vec![serde_json::from_str(&text).unwrap()]
}

#[tokio::test]
async fn a_quarantined_answer_is_the_same_as_a_plain_one() {
    for api in Api::ALL {
        for ask in [Ask::new(api, ASKED), Ask::new(api, ASKED).streamed()] {
            let ask = ask.header("x-request-id", "req-1");
            let plain = answer("nothing", false, &ask, None).await;
            assert_eq!(plain.status, 200);
            assert!(values(&plain).iter().any(|value| value.to_string().contains(ASKED)));
            for action in ["quarantine-1", "quarantine-2", "quarantine-3"] {
                let held = answer(action, false, &ask, None).await;
                assert_eq!(held.status, plain.status, "{api:?} {action}");
                assert_eq!(comparable(&held), comparable(&plain), "{api:?} {action}");
                assert_eq!(values(&held), values(&plain), "{api:?} {action}");
                assert!(!held.text().contains("small-1"), "{api:?} {action}");
            }
        }
    }
}

#[tokio::test]
async fn a_failure_under_quarantine_is_the_same_as_a_plain_one() {
    let scripts = [
        Script::error(500, "server_error", "It broke."),
        Script::error(429, "rate_limit", "Too fast.").header("retry-after", "7"),
        Script::cut_before_head(),
        Script::cut_mid_stream(["data: {\"id\":\"c\",\"model\":\"openai/gpt-4o\",\"choices\":[]}\n\n"]),
    ];
    for script in scripts {
        for api in Api::ALL {
            let ask = Ask::new(api, ASKED).streamed().header("x-request-id", "req-1");
            let plain = answer("nothing", false, &ask, Some(script.clone())).await;
            let held = answer("quarantine-3", false, &ask, Some(script.clone())).await;
            assert_eq!((held.status, comparable(&held)), (plain.status, comparable(&plain)), "{api:?}");
            assert_eq!(values(&held), values(&plain), "{api:?}");
        }
    }
}

#[tokio::test]
async fn disclose_turns_it_round() {
    for ask in [Ask::chat(ASKED), Ask::chat(ASKED).streamed()] {
        let told = answer("quarantine-3", true, &ask, None).await;
        assert_eq!(told.header("x-weir-delay-ms"), Some("6000"));
        assert_eq!(told.header("x-weir-downgraded-to"), Some("free/small"));
        assert!(values(&told).iter().all(|value| value["model"] == json!("small-1")), "{}", told.text());
        let plain = answer("nothing", true, &ask, None).await;
        assert!(plain.header("x-weir-delay-ms").is_none() && plain.header("x-weir-downgraded-to").is_none());
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_and_nothing_is_sent() {
    let world = World::new().await;
    let node =
        Node::with(&world, &world.config().set("abuse", "{mode: inline}"), rules("quarantine-2")).await;
    let request = node.spawn(&Ask::chat("paid/big"));
    world.clock.nth_sleep(0).await;
    assert_eq!(node.gateway.held(), 1);
    request.abort();
    world.clock.manual.wait_for_at_most(0).await;
    let records = node.wait_for_records(1).await;
    assert_eq!(node.gateway.held(), 0);
    world.clock.advance_ms(60_000);
    settle().await;
    assert_eq!(world.upstream.calls(), 0);
    assert_eq!(records.len(), 1);
    let result = &records[0].result;
    assert!(result.client_gone);
    assert_eq!((result.status, result.abuse_delay), (0, Some(6_000)));
    assert!(node.usage().await.is_empty());
}

#[tokio::test]
async fn beyond_the_bounds_a_hold_is_refused_at_once() {
    for (bounds, third_waits) in [("{held_max: 2}", false), ("{held_per_identity_max: 2}", true)] {
        let world = World::new().await;
        let config = world
            .config()
            .set("abuse", format!("{{mode: inline, quarantine: {bounds}}}"))
            .set("keys", "[{key: canary-a, user: a}, {key: canary-b, user: b}]");
        let node = Node::with(&world, &config, rules("quarantine-1")).await;
        let ask = |key: &str| Ask::chat("paid/big").header("authorization", &format!("Bearer {key}"));
        let mut waiting = Vec::new();
        for n in 0..2 {
            waiting.push(node.spawn(&ask("canary-a")));
            world.clock.nth_sleep(n).await;
        }
        let refused = node.send(&ask("canary-a")).await;
        assert_eq!((refused.status, refused.header("x-weir-limit")), (429, Some("abuse")), "{bounds}");
        assert_eq!(refused.header("retry-after"), Some("2"), "{bounds}");
        if third_waits {
            waiting.push(node.spawn(&ask("canary-b")));
            world.clock.nth_sleep(2).await;
        } else {
            assert_eq!(node.send(&ask("canary-b")).await.status, 429, "{bounds}");
        }
        assert_eq!(node.gateway.held(), waiting.len());
        world.clock.advance_ms(2_000);
        for request in waiting {
            assert_eq!(request.await.unwrap().status, 200, "{bounds}");
        }
        assert_eq!(node.gateway.held(), 0);
        let again = node.spawn(&ask("canary-a"));
        world.clock.nth_sleep(2 + usize::from(third_waits)).await;
        world.clock.advance_ms(2_000);
        assert_eq!(again.await.unwrap().status, 200, "{bounds}: there is room again");
    }
}
