//! One weir as the abuse service of another.

use serde_json::{Value, json};
use weir_core::action::CACHED_NONE;
use weir_core::clock::Clock as _;
use weir_store::clock::SystemClock;
use weir_testkit::{ScriptedUpstream, WeirProcess, http};

use crate::support::{
    ADMIN_TOKEN, NO_RETRIES, PAID, PROMPT, ask, assert_no_canary, binary, config, eventually, make_key, read,
    record, rule_for, wait_for_dependency, write,
};

const CLIENT_ID: &str = "gateway-one";
const CLIENT_SECRET: &str = "access-canary-secret";

/// Reads of an identity what the events of other systems told of it, and of a prompt.
const RULES: &str = r#"
rules:
  - {id: blocked, on: request, when: identity.blocked, then: block, score: 90, tags: [account]}
  - {id: young, on: request, when: 'identity.user_id != "" && identity.age_days >= 3 && identity.age_days < 7', then: quarantine-1, score: 10}
  - {id: unverified-trial, on: request, when: 'identity.plan == "trial" && !identity.verified', then: rate-limit, score: 20}
  - {id: tagged, on: request, when: '"watched" in identity.tags', then: log, score: 5, tags: [watch, account]}
  - {id: spender, on: request, when: stats.spend_1h_usd > 0.0, then: log, score: 1}
  - {id: prompted, on: request, when: 'request.user_prompt.contains("canary sing")', then: log, score: 2}
"#;

/// A gateway that asks a service, both of them weir.
struct Two {
    upstream: ScriptedUpstream,
    gateway: WeirProcess,
    service: WeirProcess,
}

impl Two {
    async fn start() -> Self {
        let upstream = ScriptedUpstream::start().await;
        let service = WeirProcess::start(binary(), &service_config()).await;
        let gateway = WeirProcess::start(binary(), &gateway_config(&upstream, &service, CLIENT_SECRET)).await;
        let rules = http::request(
            "PUT",
            &format!("{}/api/rules", service.admin()),
            &[("authorization", &format!("Bearer {}", ADMIN_TOKEN)), ("content-type", "application/yaml")],
            RULES,
        )
        .await;
        assert_eq!(rules.status, 200, "{}", rules.text());
        Self { upstream, gateway, service }
    }

    /// Asks, and waits until the gateway has learned this action of the user.
    async fn ask_and_learn(&self, key: &str, user: &str, learned: &str) -> http::Response {
        let answer = ask(&self.gateway, key, PAID.0).await;
        self.learned(user, learned).await;
        answer
    }

    async fn learned(&self, user: &str, action: &str) {
        let path = format!("/api/identities/user:{user}");
        eventually(&format!("`{action}` to be cached for {user}"), async || {
            (read(&self.gateway, &path).await["action"] == action).then_some(())
        })
        .await;
    }

    async fn tell(&self, data: Value) {
        let events = json!({"events": [{"type": "user.updated", "data": data}]});
        let told = write(&self.service, "POST", "/api/events", &events, 202).await.json();
        assert_eq!(told["accepted"], 1, "{told}");
    }
}

fn service_config() -> String {
    format!(
        "admin: {{token: {ADMIN_TOKEN}, access: {{client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET}}}}}\n"
    )
}

fn gateway_config(upstream: &ScriptedUpstream, service: &WeirProcess, secret: &str) -> String {
    config(
        upstream,
        &format!(
            "abuse: {{service_url: \"{}\", classify_timeout: 20s, quarantine: {{first: 10ms, second: 20ms}}, \
             service_headers: {{CF-Access-Client-Id: {CLIENT_ID}, CF-Access-Client-Secret: {secret}}}}}\n{NO_RETRIES}",
            service.admin()
        ),
    )
}

#[tokio::test]
async fn verdicts_of_the_service_are_enforced_by_the_gateway() {
    let two = Two::start().await;
    let table = [
        (json!({"kilo_user_id": "b", "blocked": true}), "block", 403, "blocked"),
        (json!({"kilo_user_id": "y", "age_days": 3}), "quarantine-1", 200, "young"),
        (
            json!({"kilo_user_id": "t", "plan": "trial", "verified": false}),
            "rate-limit",
            429,
            "unverified-trial",
        ),
        (json!({"kilo_user_id": "w", "verified": true, "tags": ["watched"]}), "log", 200, "tagged"),
    ];
    for (data, action, status, rule) in table {
        let user = data["kilo_user_id"].as_str().unwrap().to_owned();
        two.tell(data).await;
        let key = make_key(&two.gateway, &user).await;
        let first = two.ask_and_learn(&key, &user, action).await;
        assert_eq!(first.status, 200, "the first passes: {}", first.text());
        let second = ask(&two.gateway, &key, PAID.0).await;
        assert_eq!(second.status, status, "{user}: {}", second.text());
        let record = record(&two.gateway, &second).await;
        if action == "log" {
            assert_eq!(record["outcome"], "nothing", "what does not enforce is not waited for: {record}");
        } else {
            assert_eq!((&record["outcome"], &record["rule"]), (&json!(action), &json!(rule)), "{record}");
        }
    }
    wait_for_dependency(&two.gateway, "abuse_service", "up").await;
    for node in [&two.gateway, &two.service] {
        assert_no_canary(node).await;
    }
}

#[tokio::test]
async fn what_changes_of_a_user_changes_the_verdict() {
    let two = Two::start().await;
    let key = make_key(&two.gateway, "u").await;
    assert_eq!(two.ask_and_learn(&key, "u", "log").await.status, 200, "only the prompt matched: {PROMPT}");
    two.tell(json!({"kilo_user_id": "u", "plan": "trial"})).await;
    two.ask_and_learn(&key, "u", "rate-limit").await;
    assert_eq!(ask(&two.gateway, &key, PAID.0).await.status, 429);
    two.tell(json!({"kilo_user_id": "u", "verified": true})).await;
    assert_eq!(
        ask(&two.gateway, &key, PAID.0).await.status,
        200,
        "a fresh answer wins over the cached action"
    );
    two.learned("u", "log").await;

    // A sign-up gives the age; the sign-in that follows changes nothing.
    let day = days_ago(5);
    let signup = json!({"kilo_user_id": "u", "event_type": "signup", "occurred_at": day});
    write(&two.service, "POST", "/api/auth-event", &signup, 202).await;
    let signin = json!({"kilo_user_id": "u", "event_type": "signin"});
    write(&two.service, "POST", "/api/auth-event", &signin, 202).await;
    let facts = read(&two.service, "/api/identities/user:u").await["facts"].take();
    assert_eq!(
        (&facts["age_days"], &facts["verified"], &facts["plan"]),
        (&json!(5), &json!(true), &json!("trial"))
    );
    two.ask_and_learn(&key, "u", "quarantine-1").await;
    let slowed = ask(&two.gateway, &key, PAID.0).await;
    assert_eq!(record(&two.gateway, &slowed).await["result"]["abuse_delay"], 10);
}

fn days_ago(days: i64) -> String {
    (SystemClock.now() - jiff::SignedDuration::from_hours(24 * days + 1)).to_string()
}

#[tokio::test]
async fn the_cost_of_a_classified_request_reaches_the_service() {
    let two = Two::start().await;
    let key = make_key(&two.gateway, "payer").await;
    let answer = two.ask_and_learn(&key, "payer", "log").await;
    let usage = record(&two.gateway, &answer).await["result"]["usage"].take();
    let cost = usage["cost_microusd"].as_u64().unwrap();
    assert!(cost > 0, "{usage}");
    let stats = eventually("the cost at the service", async || {
        let stats = read(&two.service, "/api/identities/user:payer").await["stats"].take();
        (stats["spend_1h_usd"].as_f64()? > 0.0).then_some(stats)
    })
    .await;
    let spent = stats["spend_1h_usd"].as_f64().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a few cents")]
    let expected = cost as f64 / 1e6;
    assert!((spent - expected).abs() < 1e-9, "{spent} and {expected}");
    assert_eq!(stats["requests_1h"], 1, "{stats}");

    // What fails costs nothing, and nothing is told.
    two.upstream.respond_once(weir_testkit::Script::error(500, "broken", "not today"));
    let failed = ask(&two.gateway, &key, PAID.0).await;
    assert_ne!(failed.status, 200);
    let counted = eventually("the second classification", async || {
        let stats = read(&two.service, "/api/identities/user:payer").await["stats"].take();
        (stats["requests_1h"] == 2).then_some(stats)
    });
    assert_eq!(counted.await["spend_1h_usd"].as_f64(), Some(spent));
}

#[tokio::test]
async fn an_operator_clears_an_action_and_exempts_an_identity() {
    let two = Two::start().await;
    let key = make_key(&two.gateway, "b").await;
    two.tell(json!({"kilo_user_id": "b", "blocked": true})).await;
    two.ask_and_learn(&key, "b", "block").await;
    assert_eq!(ask(&two.gateway, &key, PAID.0).await.status, 403);

    write(&two.gateway, "DELETE", "/api/identities/user:b/action", &Value::Null, 204).await;
    let cleared = two.ask_and_learn(&key, "b", "block").await;
    assert_eq!(
        cleared.status,
        200,
        "the cleared action is not enforced, and learned again: {}",
        cleared.text()
    );
    assert_eq!(ask(&two.gateway, &key, PAID.0).await.status, 403);

    // At the gateway: its own identities are exempt, whatever the service says.
    let until = json!({"until": "2035-01-01T00:00:00Z"});
    write(&two.gateway, "PUT", "/api/identities/user:b/exemption", &until, 200).await;
    // Who does not answer within 50 ms what is known of an identity is not waited for; then it is asked again.
    let passes = async || (ask(&two.gateway, &key, PAID.0).await.status == 200).then_some(());
    eventually("the exemption at the gateway to count", passes).await;
    write(&two.gateway, "DELETE", "/api/identities/user:b/exemption", &Value::Null, 204).await;
    assert_eq!(ask(&two.gateway, &key, PAID.0).await.status, 403);

    // At the service: it answers that nothing is to be done.
    write(&two.service, "PUT", "/api/identities/user:b/exemption", &until, 200).await;
    eventually("the exemption at the service to count", passes).await;
    two.learned("b", CACHED_NONE).await;
    let gone = json!({"until": "2020-01-01T00:00:00Z"});
    write(&two.service, "PUT", "/api/identities/user:b/exemption", &gone, 400).await;
    write(&two.service, "DELETE", "/api/identities/user:b/exemption", &Value::Null, 204).await;
    two.ask_and_learn(&key, "b", "block").await;
}

#[tokio::test]
async fn a_service_that_refuses_or_is_gone_fails_no_request() {
    let upstream = ScriptedUpstream::start().await;
    let mut service = WeirProcess::start(binary(), &service_config()).await;
    let gateway =
        WeirProcess::start(binary(), &gateway_config(&upstream, &service, "wrong-canary-secret")).await;
    let key = make_key(&gateway, "u").await;
    write(&service, "POST", "/api/rules", &rule_for("u", &json!("block")), 201).await;
    let url = format!("{}/api/classify", service.admin());
    assert_eq!(http::post_json(&url, &[], &json!({})).await.status, 401);
    for _ in 0..2 {
        assert_eq!(ask(&gateway, &key, PAID.0).await.status, 200);
        wait_for_dependency(&gateway, "abuse_service", "down").await;
    }
    service.signal(weir_testkit::weir::Signal::KILL);
    service.wait().await;
    assert_eq!(ask(&gateway, &key, PAID.0).await.status, 200);
    wait_for_dependency(&gateway, "abuse_service", "down").await;
    assert_eq!(upstream.calls(), 3);
    assert_no_canary(&gateway).await;
}
