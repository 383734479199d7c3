//! Who asks, with which key, at whose cost, and how often.

use serde_json::json;
use weir_testkit::Script;
use weir_testkit::http::Response;

use crate::support::{Api, Ask, ConfigText, Node, PLATFORM_KEY, USER_KEY, World};

pub const OWN: &str = "canary-own-provider-key";

async fn node(world: &World, change: impl FnOnce(ConfigText) -> ConfigText) -> Node {
    Node::start(world, &change(world.open_config())).await
}

pub fn error_type(answer: &Response) -> String {
    let body = answer.json();
    let told = if body["error"].is_object() { &body["error"]["error_type"] } else { &body["error_type"] };
    told.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn without_a_key_free_models_are_served_and_paid_ones_are_not() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    let nameless = [
        Ask::anonymous(Api::Chat, "free/small"),
        Ask::anonymous(Api::Chat, "free/small").header("authorization", "Bearer anonymous"),
        Ask::anonymous(Api::Chat, "free/small").header("x-api-key", "anonymous"),
        Ask::anonymous(Api::Chat, "free/small").header("authorization", "anonymous"),
        Ask::anonymous(Api::Chat, "free/small").header("authorization", "Bearer "),
    ];
    for ask in nameless {
        let answer = node.send(&ask).await;
        assert_eq!(answer.status, 200, "{ask:?}: {}", answer.text());
        let usage = node.usage_of(&answer).await;
        assert_eq!((usage.user_id.as_str(), usage.key_id), ("anon:127.0.0.1", None));
        assert_eq!(usage.usage.cost_microusd, 0);
        assert!(usage.subject.starts_with("fingerprint:"));
        let paid = node.send(&ask.with("model", json!("paid/big"))).await;
        assert_eq!((paid.status, error_type(&paid).as_str()), (401, "paid_model_auth_required"));
    }
}

#[tokio::test]
async fn a_key_that_is_not_valid_is_never_anonymous() {
    let world = World::new().await;
    let node = node(&world, |config| {
        config.set("keys", format!("[{{key: {USER_KEY}, user: a}}, {{key: canary-b, user: b}}]"))
    })
    .await;
    let free = || Ask::anonymous(Api::Chat, "free/small");
    let right = format!("Bearer {USER_KEY}");
    let wrong = [
        free().header("authorization", "Bearer canary-wrong"),
        free().header("authorization", "Basic Y2FuYXJ5"),
        free().header("authorization", USER_KEY),
        free().header("x-api-key", "canary-wrong"),
        free().header("authorization", &right).header("x-api-key", "canary-wrong"),
        free().header("authorization", "Bearer canary-wrong").header("x-api-key", USER_KEY),
        free().header("authorization", &right).header("x-api-key", "canary-b"),
        free().header("authorization", "Bearer \u{e9}"),
        free().header("authorization", &right).header_again("authorization", "Bearer canary-wrong"),
        free().header("x-api-key", USER_KEY).header_again("x-api-key", "canary-wrong"),
    ];
    for ask in wrong {
        for ask in [ask.clone(), ask.clone().seed(), ask.path("/v1/messages")] {
            let answer = node.send(&ask).await;
            assert_eq!((answer.status, error_type(&answer).as_str()), (401, "invalid_api_key"), "{ask:?}");
        }
    }
    assert_eq!(world.upstream.calls(), 0);
    for ask in [
        free().header("authorization", &right),
        free().header("authorization", &format!("bearer  {USER_KEY}")),
        free().header("x-api-key", USER_KEY),
        free().header("authorization", &right).header("x-api-key", USER_KEY),
        free().header("authorization", &right).header("x-api-key", "anonymous"),
    ] {
        let answer = node.send(&ask).await;
        assert_eq!(answer.status, 200, "{ask:?}");
        assert_eq!(node.usage_of(&answer).await.user_id, "a");
    }
    node.leaks_nothing(&world).await;
}

#[tokio::test]
async fn a_callers_own_provider_key_is_sent_and_the_platforms_never() {
    let keys = format!(
        "[{{key: {USER_KEY}, user: a, budget_usd: 0}}, {{key: canary-stored, user: b, budget_usd: 0, byok: {{main: {OWN}, keyless: {OWN}}}}}]"
    );
    let world = World::new().await;
    let node = node(&world, |config| config.set("keys", keys)).await;
    let stored = || Ask::chat("paid/big").header("authorization", "Bearer canary-stored");
    for ask in [
        Ask::chat("paid/big").header("x-weir-byok", OWN),
        stored(),
        stored().with("model", json!("own/keys-only")),
    ] {
        let answer = node.send(&ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = world.upstream.last();
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {OWN}").as_str()));
        assert_eq!(sent.header("x-weir-byok"), None);
        let usage = node.usage_of(&answer).await;
        assert_eq!((usage.user_byok, usage.usage.cost_microusd), (true, 0));
    }
    // Beside no valid key it means nothing.
    let anonymous = node.send(&Ask::anonymous(Api::Chat, "paid/big").header("x-weir-byok", OWN)).await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(
        node.send(&Ask::anonymous(Api::Chat, "free/small").header("x-weir-byok", OWN)).await.status,
        200
    );
    assert_ne!(world.upstream.last().header("authorization"), Some(format!("Bearer {OWN}").as_str()));
    node.leaks_nothing(&world).await;
}

#[tokio::test]
async fn an_own_key_that_cannot_be_read_is_told_and_not_replaced() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    let body = Ask::chat("paid/big").body;
    let mut request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nconnection: close\r\nauthorization: Bearer {USER_KEY}\r\ncontent-length: {}\r\nx-weir-byok: ",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(b"\xff\xfe\r\n\r\n");
    request.extend_from_slice(&body);
    let answer = String::from_utf8(weir_testkit::http::raw(&node.url, &request).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("x-weir-byok"), "{answer}");
    assert_eq!(world.upstream.calls(), 0);
}

#[tokio::test]
async fn errors_of_an_own_key_are_told_as_they_came_or_as_the_seed_did() {
    for status in [401, 402, 403, 429] {
        let world = World::new().await;
        let node = node(&world, |config| config).await;
        let body = json!({"error": {"message": "Your account says no.", "code": "whatever"}});
        world.upstream.respond_with(Script::json(status, &body).header("retry-after", "9"));
        let own = Ask::chat("paid/big").header("x-weir-byok", OWN);
        let as_sent = node.send(&own).await;
        assert_eq!((as_sent.status, as_sent.json()), (status, body));
        assert_eq!(as_sent.header("retry-after"), Some("9"));
        let seed = node.send(&own.clone().seed()).await;
        assert_eq!((seed.status, error_type(&seed).as_str()), (status, "byok_error"));
        assert!(seed.json()["message"].as_str().unwrap().starts_with("[BYOK] "));
        assert_eq!(world.upstream.calls(), 2, "nothing falls over to the platform's key");
        let record = node.record_of(&seed).await.result;
        assert_eq!((record.status, record.error_type.as_deref()), (status, Some("byok_error")));
        assert!(record.failure_class.is_some());
        for answer in [as_sent, seed] {
            assert!(answer.header("x-weir-decision").is_some() && answer.header("x-request-id").is_some());
        }
    }
}

#[tokio::test]
async fn under_the_seeds_prefixes_a_providers_error_passes_as_it_came() {
    let world = World::new().await;
    let node = node(&world, |config| config).await;
    let overflow =
        json!({"error": {"message": "This model's maximum context length is 8192 tokens.", "code": "x"}});
    let mut told = overflow.clone();
    told["error_type"] = json!("context_length_exceeded");
    let other = json!({"error": {"message": "No.", "code": "x"}});
    for (status, sent, expected) in [(400, &overflow, &told), (400, &other, &other), (500, &other, &other)] {
        world.upstream.respond_with(Script::json(status, sent));
        for path in [
            "/api/gateway/chat/completions",
            "/api/gateway/v1/chat/completions",
            "/api/openrouter/v1/chat/completions",
        ] {
            let answer = node.send(&Ask::chat("paid/big").path(path)).await;
            assert_eq!((answer.status, &answer.json()), (status, expected), "{path}");
        }
    }
    world.upstream.respond_with(Script::error(402, "x", "No credit."));
    let answer = node.send(&Ask::chat("paid/big").seed()).await;
    assert_eq!((answer.status, error_type(&answer).as_str()), (503, "temporarily_unavailable"));
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_402_unless_the_request_costs_nothing() {
    let world = World::new().await;
    // One request costs 98 micro-dollars.
    let node = node(&world, |config| {
        config.set("keys", format!("[{{key: {USER_KEY}, user: a, budget_usd: 0.00015}}]"))
    })
    .await;
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200);
    assert_eq!(node.send(&Ask::chat("paid/big").streamed()).await.status, 200, "something is left");
    for ask in [Ask::chat("paid/big"), Ask::chat("paid/big").seed(), Ask::new(Api::Messages, "paid/big")] {
        let answer = node.send(&ask).await;
        assert_eq!((answer.status, error_type(&answer).as_str()), (402, "usage_limit_exceeded"));
    }
    assert_eq!(node.send(&Ask::chat("free/small")).await.status, 200);
    assert_eq!(node.send(&Ask::chat("paid/big").header("x-weir-byok", OWN)).await.status, 200);
    assert_eq!(node.directory.keys()[0].spent(), 196);
}

#[tokio::test]
async fn free_models_have_a_limit_for_each_user_and_address() {
    let world = World::new().await;
    let node = node(&world, |config| {
        config.set("free_models", "{requests: 2, per: 1h}").set("trusted_proxies", "[127.0.0.1/32]")
    })
    .await;
    let from = |address: &str| Ask::anonymous(Api::Chat, "free/small").header("x-forwarded-for", address);
    for ask in [Ask::chat("free/small"), from("203.0.113.1"), from("203.0.113.2")] {
        for expected in [200, 200, 429] {
            let answer = node.send(&ask).await;
            assert_eq!(answer.status, expected, "{ask:?}");
            if expected == 429 {
                assert_eq!(
                    (answer.header("x-weir-limit"), answer.header("retry-after")),
                    (Some("free-model"), Some("3600"))
                );
            }
        }
    }
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200, "not of this limit");
    world.clock.advance_ms(3_600_000);
    assert_eq!(node.send(&Ask::chat("free/small")).await.status, 200);
}

#[tokio::test]
async fn an_address_without_a_valid_key_has_a_limit_before_anything_is_read() {
    let world = World::new().await;
    let limits = "{unauthenticated: {requests: 2, per: 1m}}";
    let node =
        node(&world, |config| config.set("limits", limits).set("trusted_proxies", "[127.0.0.1/32]")).await;
    let wrong = |address: &str| {
        Ask::chat("free/small")
            .header("authorization", "Bearer canary-wrong")
            .header("x-forwarded-for", address)
    };
    // The two addresses are of one network, out of which one client may choose.
    for (first, second) in [("203.0.113.1", "203.0.113.1"), ("2001:db8::1", "2001:db8::2")] {
        assert_eq!(node.send(&wrong(first)).await.status, 401);
        assert_eq!(node.send(&wrong(second).body("not JSON")).await.status, 400);
        let answer = node.send(&wrong(second).body("not JSON")).await;
        assert_eq!((answer.status, answer.header("x-weir-limit")), (429, Some("address")));
        assert_eq!(answer.header("retry-after"), Some("60"));
        let valid = Ask::chat("free/small").header("x-forwarded-for", first);
        assert_eq!(node.send(&valid).await.status, 200, "a valid key is not of this limit");
    }
    assert_eq!(node.send(&wrong("203.0.113.9")).await.status, 401, "another address");
}

#[tokio::test]
async fn what_a_proxy_says_is_believed_from_trusted_ones_only() {
    for (trusted, expected) in
        [("[]", "127.0.0.1"), ("[127.0.0.1/32]", "10.0.0.1"), ("[127.0.0.1/32, 10.0.0.0/8]", "203.0.113.5")]
    {
        let world = World::new().await;
        let node = node(&world, |config| config.set("trusted_proxies", trusted)).await;
        let ask = Ask::anonymous(Api::Chat, "free/small")
            .header("x-forwarded-for", "6.6.6.6, 203.0.113.5, 10.0.0.1")
            .header("x-vercel-ja4-digest", "t13")
            .header("x-vercel-ip-country", "AT");
        let answer = node.send(&ask).await;
        let facts = node.record_of(&answer).await.facts;
        assert_eq!(
            (facts.request.ip.as_str(), facts.identity.user_id),
            (expected, format!("anon:{expected}"))
        );
        let believed = trusted != "[]";
        assert_eq!((facts.request.ja4.is_empty(), facts.request.country.is_empty()), (!believed, !believed));
    }
}

#[tokio::test]
async fn models_are_found_by_name_whatever_its_case_and_by_the_longest_prefix() {
    let models = "[{id: paid/big, provider: main, upstream_model: big-1}, {id: 'paid/*', provider: main, upstream_model: '*'}, \
                   {id: 'paid/x-*', provider: main}]";
    let world = World::new().await;
    let node = node(&world, |config| config.set("models", models)).await;
    for (asked, sent) in [("PAID/Big", "big-1"), ("paid/other", "other"), ("paid/x-1", "paid/x-1")] {
        let answer = node.send(&Ask::chat(asked)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(world.upstream.last().model, sent);
        assert_eq!(node.usage_of(&answer).await.requested_model, asked.to_lowercase());
    }
    assert_eq!(
        world.upstream.last().header("authorization"),
        Some(format!("Bearer {PLATFORM_KEY}").as_str())
    );
}
