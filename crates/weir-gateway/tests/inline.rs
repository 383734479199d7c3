//! `abuse.mode: inline`: weir's own rules on the first request.

use serde_json::json;
use weir_core::IdentityKey;
use weir_core::decision::Source;
use weir_store::database::IdentityChange;

use crate::support::{Api, Ask, Node, Options, PROMPT, World, eventually};

async fn node(world: &World, rules: &[&str]) -> Node {
    let rules = format!(
        "rules:\n{}",
        rules.iter().map(|rule| format!("- {{{rule}, on: request, because: A test.}}\n")).collect::<String>()
    );
    let config = world.config().set("abuse", "{mode: inline}");
    Node::with(world, &config, Options { rules, ..Options::default() }).await
}

#[tokio::test]
async fn each_action_is_enforced_on_the_first_request() {
    let table = [
        ("nothing", 200, 0, "big-1"),
        ("log", 200, 0, "big-1"),
        ("rate-limit", 429, 0, ""),
        ("quarantine-1", 200, 2_000, "big-1"),
        ("quarantine-2", 200, 6_000, "big-1"),
        ("quarantine-3", 200, 6_000, "small-1"),
        ("block", 403, 0, ""),
    ];
    for (action, status, delay_ms, upstream_model) in table {
        let world = World::new().await;
        let node = node(
            &world,
            &[&format!("id: the-rule, when: 'true', then: {action}, instead: Ask us., score: 40")],
        )
        .await;
        let request = node.spawn(&Ask::chat("paid/big"));
        if delay_ms > 0 {
            assert_eq!(world.clock.nth_sleep(0).await.as_millis(), delay_ms);
            world.clock.advance_ms(u64::try_from(delay_ms).unwrap());
        }
        let answer = request.await.unwrap();
        assert_eq!(answer.status, status, "{action}: {}", answer.text());
        assert_eq!(world.clock.slept().len(), usize::from(delay_ms > 0), "{action}");
        let sent = world.upstream.requests();
        assert_eq!(sent.first().map_or("", |request| request.model.as_str()), upstream_model, "{action}");
        let decision = node.record_of(&answer).await.decision;
        assert_eq!((decision.outcome.as_str(), decision.source), (action, Source::Fresh));
        assert_eq!((decision.matched.len(), decision.sus_score, decision.epoch), (1, 40, 1), "{action}");
        assert_eq!(decision.matched[0].rule, "the-rule");
        if action == "block" {
            assert!(answer.text().contains("Ask us."), "{}", answer.text());
        }
        assert_eq!(node.cached("user:user-123").await, None, "{action}: nothing is cached");
        assert_eq!(world.classifier.calls(), 0);
        node.leaks_nothing(&world).await;
    }
}

#[tokio::test]
async fn the_most_severe_wins_a_skip_lifts_and_shadow_changes_nothing() {
    let block = "id: b, when: 'true', then: block";
    let log = "id: l, when: 'true', then: log";
    let table: [(&[&str], u16, &str); 4] = [
        (&[log, block], 403, "block"),
        (&[block, "id: s, when: identity.user_id == \"user-123\", then: skip"], 200, "nothing"),
        (&[log, "id: b, when: 'true', then: block, mode: shadow"], 200, "log"),
        (&["id: b, when: 'true', then: block, mode: off"], 200, "nothing"),
    ];
    for (rules, status, outcome) in table {
        let world = World::new().await;
        let node = node(&world, rules).await;
        let answer = node.send(&Ask::chat("paid/big")).await;
        assert_eq!(answer.status, status, "{rules:?}");
        let decision = node.record_of(&answer).await.decision;
        assert_eq!(decision.outcome.as_str(), outcome, "{rules:?}");
        let listed = rules.iter().filter(|rule| !rule.contains("mode: off")).count();
        assert_eq!(decision.matched.len(), listed, "{rules:?}");
    }
}

#[tokio::test]
async fn rules_read_the_facts_of_the_request() {
    let conditions = [
        "request.api == \"chat_completions\" && request.model == \"paid/big\" && request.provider == \"main\"",
        "request.path == \"/v1/chat/completions\" && request.stream && !request.free && request.has_tools",
        "request.max_tokens == 100 && request.feature == \"f\" && request.editor == \"e\" && !request.byok",
        "request.user_agent == \"ua/1\" && request.ip == \"127.0.0.1\" && request.body_bytes > 50",
        "request.headers[\"x-anything\"] == \"seen\" && request.headers[\"authorization\"] == \"\"",
        "identity.key == \"user:user-123\" && identity.kind == \"user\" && identity.user_id == \"user-123\"",
        "identity.org_id == \"acme\" && identity.project_id == \"demo\" && identity.plan == \"pro\" && \"first\" in identity.tags",
    ];
    let prompt = format!("request.user_prompt == \"{PROMPT}\" && request.system_prompt == \"\"");
    for condition in conditions.into_iter().chain([prompt.as_str()]) {
        let world = World::new().await;
        let node = node(&world, &[&format!("id: r, when: '{condition}', then: block")]).await;
        let ask = Ask::chat("paid/big")
            .streamed()
            .with("tools", json!([{"type": "function"}]))
            .with("max_tokens", json!(100))
            .header("user-agent", "ua/1")
            .header("x-weir-feature", "f")
            .header("x-weir-editor", "e")
            .header("x-anything", "seen");
        let answer = node.send(&ask).await;
        assert_eq!(answer.status, 403, "{condition}");
        let other = Ask::anonymous(Api::Messages, "free/small")
            .with("messages", json!([{"role": "user", "content": "another prompt"}]));
        assert_eq!(node.send(&other).await.status, 200, "{condition}");
        node.leaks_nothing(&world).await;
    }
}

#[tokio::test]
async fn a_limit_is_exact_under_concurrency_and_comes_before_any_delay() {
    let world = World::new().await;
    let node = node(
        &world,
        &[
            "id: ten, when: 'true', then: {rate-limit: {requests: 10, per: 1m}}",
            "id: slow, when: request.feature == \"slow\", then: quarantine-2",
        ],
    )
    .await;
    let requests: Vec<_> = (0..64).map(|_| node.spawn(&Ask::chat("paid/big"))).collect();
    let mut statuses = Vec::new();
    for request in requests {
        let answer = request.await.unwrap();
        if answer.status == 429 {
            assert_eq!(answer.header("x-weir-limit"), Some("rule:ten"));
            assert_eq!(answer.header("retry-after"), Some("60"));
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 54);
    assert_eq!(world.upstream.calls(), 10);
    let slow = node.send(&Ask::chat("paid/big").header("x-weir-feature", "slow")).await;
    assert_eq!((slow.status, world.clock.slept().len()), (429, 0), "the limit comes first");
    world.clock.advance_ms(20_000);
    let answer = node.send(&Ask::chat("paid/big")).await;
    assert_eq!(answer.header("retry-after"), Some("40"), "what is left of the window");
    world.clock.advance_ms(40_000);
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200, "a new window");
    assert_eq!(node.cached("user:user-123").await, None);
}

#[tokio::test]
async fn a_blocked_request_is_not_counted_against_a_limit() {
    let world = World::new().await;
    let node = node(
        &world,
        &[
            "id: one, when: 'true', then: {rate-limit: {requests: 1, per: 1m}}",
            "id: b, when: request.feature == \"bad\", then: block",
        ],
    )
    .await;
    for _ in 0..3 {
        assert_eq!(node.send(&Ask::chat("paid/big").header("x-weir-feature", "bad")).await.status, 403);
    }
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200);
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 429);
}

#[tokio::test]
async fn an_exempted_identity_passes_until_its_time_is_over() {
    let world = World::new().await;
    let node = node(&world, &["id: b, when: 'true', then: block"]).await;
    let key = IdentityKey::from_stored("user:user-123");
    let now = world.clock.manual.now();
    let until = now + jiff::SignedDuration::from_secs(60);
    node.database.identity_exempt(&key, Some(until), "ops", now).await.unwrap();
    node.directory.refresh().await.unwrap();
    eventually("the exemption", async || {
        node.directory.identity(&key, world.clock.manual.now()).await.exempt_until
    })
    .await;
    let answer = node.send(&Ask::chat("paid/big")).await;
    assert_eq!(answer.status, 200);
    let decision = node.record_of(&answer).await.decision;
    assert_eq!((decision.outcome.as_str(), decision.matched.len()), ("nothing", 1));
    world.clock.advance_ms(60_000);
    eventually("what is known, read anew", async || {
        node.directory.identity(&key, world.clock.manual.now()).await.exempt_until
    })
    .await;
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 403);
}

#[tokio::test]
async fn what_events_have_told_of_an_identity_are_facts() {
    let world = World::new().await;
    let node = node(&world, &[
        "id: b, when: 'identity.verified && identity.blocked && identity.age_days == 3 && identity.plan == \"team\" && \"told\" in identity.tags', then: block",
    ]).await;
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200);
    let now = world.clock.manual.now();
    let key = IdentityKey::from_stored("user:user-123");
    let change = IdentityChange {
        plan: Some("team".to_owned()),
        verified: Some(true),
        blocked: Some(true),
        tags: Some(vec!["told".to_owned()]),
        created_at: Some(now - jiff::SignedDuration::from_hours(80)),
    };
    node.database.identity_merge(&key, change, now).await.unwrap();
    node.directory.refresh().await.unwrap();
    eventually("the change", async || node.directory.identity(&key, world.clock.manual.now()).await.plan)
        .await;
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 403);
}

#[tokio::test]
async fn stats_count_earlier_requests() {
    let world = World::new().await;
    let node = node(&world, &[
        "id: often, when: 'stats.requests_1h >= 3 && stats.tokens_1h == 54 && stats.requests_per_second > 0.04', then: block",
        "id: denied, when: 'stats.denied_1h >= 2', then: rate-limit",
    ]).await;
    for n in 0..3 {
        assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200, "{n}");
    }
    let blocked = node.send(&Ask::chat("paid/big")).await;
    assert_eq!(blocked.status, 403);
    let stats = node.record_of(&blocked).await.facts.stats;
    assert_eq!((stats.requests_1h, stats.tokens_1h, stats.ips_1h, stats.denied_1h), (3, 54, 1, 0));
    assert!(stats.spend_1h_usd > 0.0);
    world.clock.advance_ms(3_601_000);
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200, "an hour later");
}

#[tokio::test]
async fn new_rules_are_in_force_for_the_next_request() {
    let world = World::new().await;
    let node = node(&world, &["id: b, when: 'true', then: block"]).await;
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 403);
    node.rules.swap(weir_rules::RuleSet::default(), 2);
    let answer = node.send(&Ask::chat("paid/big")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(node.record_of(&answer).await.decision.epoch, 2);
}
