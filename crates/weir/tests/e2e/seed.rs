//! The verification that the author of the seed did by hand (spec A11), against real Redis and PostgreSQL.

use serde_json::{Value, json};
use weir_testkit::{PostgresServer, RedisServer, ScriptedUpstream, WeirProcess};

use crate::support::{
    FREE, PAID, PATIENT, ask, assert_no_canary, binary, chat, config, eventually, make_key, post, read,
    record, rule_for, write,
};

/// The seed's key of the action cache, to the letter (spec A5).
const SEED_KEY: &str = "ai-gateway.abuse-rules:last-classification:";
/// Delays that a test can wait for; what is asserted of them is that nothing comes sooner.
const QUARANTINE: &str = "quarantine: {first: 300ms, second: 600ms}";

/// An action, what the action cache holds of it, and how it is enforced.
struct Case {
    action: &'static str,
    cached: &'static str,
    status: u16,
    delay_ms: Option<u64>,
    upstream: Option<&'static str>,
}

const fn case(
    action: &'static str,
    status: u16,
    delay_ms: Option<u64>,
    upstream: Option<&'static str>,
) -> Case {
    Case { action, cached: action, status, delay_ms, upstream }
}

fn cases() -> [Case; 7] {
    [
        Case { cached: "none", ..case("nothing", 200, None, Some(PAID.1)) },
        case("log", 200, None, Some(PAID.1)),
        case("rate-limit", 429, None, None),
        case("quarantine-1", 200, Some(300), Some(PAID.1)),
        case("quarantine-2", 200, Some(600), Some(PAID.1)),
        case("quarantine-3", 200, Some(600), Some(FREE.1)),
        case("block", 403, None, None),
    ]
}

/// A node, its provider, and a caller with a rule for each action.
struct Verification {
    upstream: ScriptedUpstream,
    weir: WeirProcess,
    cached: bool,
    /// The caller's user and key, in the order of [`cases`].
    callers: Vec<(String, String)>,
}

impl Verification {
    async fn start(upstream: ScriptedUpstream, config: &str) -> Self {
        let weir = WeirProcess::start(binary(), config).await;
        let mut callers = Vec::new();
        for case in cases() {
            let user = format!("seed-{}", case.action);
            write(&weir, "POST", "/api/rules", &rule_for(&user, &json!(case.action)), 201).await;
            let key = make_key(&weir, &user).await;
            callers.push((user, key));
        }
        Self { upstream, weir, cached: config.contains("mode: cached"), callers }
    }

    fn cases(&self) -> impl Iterator<Item = (Case, &str, &str)> {
        cases().into_iter().zip(&self.callers).map(|(case, (user, key))| (case, user.as_str(), key.as_str()))
    }

    /// The service says of every caller what its rule says.
    async fn classify_confirms(&self) {
        for (case, user, _) in self.cases() {
            let asked = json!({"kilo_user_id": user, "requested_model": PAID.0, "user_prompt": "hello"});
            let answer = write(&self.weir, "POST", "/api/classify", &asked, 200).await.json();
            let engine = &answer["rules_engine"];
            assert_eq!(engine["resolved_action"], case.action, "{user}: {answer}");
            assert_eq!(engine["matched_abuse_rule_ids"], json!([format!("of-{user}")]), "{user}: {answer}");
        }
    }

    /// A request passes as if there were no rules.
    async fn passes(&self, user: &str, key: &str) {
        let before = self.upstream.calls();
        let answer = ask(&self.weir, key, PAID.0).await;
        assert_eq!(answer.status, 200, "{user}: {}", answer.text());
        assert_eq!(
            (self.upstream.calls(), self.upstream.last().model.as_str()),
            (before + 1, PAID.1),
            "{user}"
        );
        let result = &record(&self.weir, &answer).await["result"];
        assert_eq!(result["abuse_delay"], Value::Null, "{user}: {result}");
        assert_eq!(result["abuse_downgraded_from"], Value::Null, "{user}: {result}");
    }

    /// A request meets what its action asks for.
    async fn is_enforced(&self, case: &Case, user: &str, key: &str) {
        let before = self.upstream.calls();
        let since = std::time::Instant::now();
        let answer = ask(&self.weir, key, PAID.0).await;
        let took = since.elapsed();
        assert_eq!(answer.status, case.status, "{user}: {}", answer.text());
        let called = (self.upstream.calls() > before).then(|| self.upstream.last().model);
        assert_eq!(called.as_deref(), case.upstream, "{user}");
        let record = record(&self.weir, &answer).await;
        // A cached action that does not enforce is not waited for (spec A6), so nothing was decided.
        let decided = if self.cached && case.action == "log" { "nothing" } else { case.action };
        assert_eq!(record["outcome"], decided, "{user}: {record}");
        let result = &record["result"];
        assert_eq!(result["abuse_delay"], json!(case.delay_ms), "{user}: {result}");
        if let Some(delay_ms) = case.delay_ms {
            assert!(took.as_millis() >= u128::from(delay_ms), "{user}: answered after {took:?}");
        }
        let error_type = match case.status {
            403 => "abuse_blocked",
            429 => "rate_limit_exceeded",
            _ => return self.is_invisible(case, user, &answer, &record).await,
        };
        assert_eq!(answer.json()["error"]["error_type"], error_type, "{user}: {}", answer.text());
        assert_eq!(result["error_type"], error_type, "{user}: {result}");
    }

    /// What passed names the model that was asked for; the records name the one that answered.
    async fn is_invisible(
        &self,
        case: &Case,
        user: &str,
        answer: &weir_testkit::http::Response,
        record: &Value,
    ) {
        let downgraded = case.upstream == Some(FREE.1);
        // What passes is passed as it came; only a downgraded answer must not name the model that gave it.
        let named = if downgraded { PAID.0 } else { PAID.1 };
        assert_eq!(answer.json()["model"], named, "{user}: {}", answer.text());
        let from = if downgraded { json!(PAID.0) } else { Value::Null };
        assert_eq!(record["result"]["abuse_downgraded_from"], from, "{user}: {record}");
        let usage = read(&self.weir, &format!("/api/usage?subject=user:{user}&limit=1")).await;
        let used = if downgraded { FREE.0 } else { PAID.0 };
        assert_eq!(usage["items"][0]["requested_model"], used, "{user}: {usage}");
        assert_eq!(usage["items"][0]["abuse_downgraded_from"], from, "{user}: {usage}");
    }

    /// The delays are in the order of their severity, and only quarantine has any.
    async fn limits_and_delays_are_in_order(&self) {
        let mut seen = Vec::new();
        for (_, user, _) in self.cases() {
            let newest = read(&self.weir, &format!("/api/decisions?subject=user:{user}&limit=1")).await;
            seen.push(newest["items"][0]["result"]["abuse_delay"].as_u64().unwrap_or(0));
        }
        assert_eq!(seen, [0, 0, 0, 300, 600, 600, 0]);
    }
}

#[tokio::test]
async fn in_cached_mode_the_first_request_passes_and_the_second_is_enforced() {
    let redis = RedisServer::start();
    let postgres = PostgresServer::start();
    let upstream = ScriptedUpstream::start().await;
    let stores = format!(
        "store: {}\ncache: {}\nlimits: {{{PATIENT}}}\nabuse: {{mode: cached, {QUARANTINE}}}",
        postgres.create_database("seed"),
        redis.url()
    );
    let config = config(&upstream, &stores);
    let seed = Verification::start(upstream, &config).await;
    seed.classify_confirms().await;
    for (case, user, key) in seed.cases() {
        let name = format!("{SEED_KEY}user:{user}");
        assert_eq!(redis.get(&name), None, "nothing is cached before the first request");
        seed.passes(user, key).await;
        let value = eventually("the action in Redis", async || redis.get(&name)).await;
        assert_eq!(value, case.cached, "the bare word, {user}");
        let identity = read(&seed.weir, &format!("/api/identities/user:{user}")).await;
        assert_eq!(identity["action"], case.cached, "{identity}");
        seed.is_enforced(&case, user, key).await;
    }
    seed.limits_and_delays_are_in_order().await;
    streams_are_downgraded_too(&seed).await;
    clean_up(&seed, &redis).await;
    assert_no_canary(&seed.weir).await;
}

async fn streams_are_downgraded_too(seed: &Verification) {
    let (_, user, key) = seed.cases().find(|(case, ..)| case.action == "quarantine-3").unwrap();
    let mut body = chat(PAID.0);
    body["stream"] = json!(true);
    let authorization = format!("Bearer {key}");
    let answer = post(&seed.weir, "/v1/chat/completions", &[("authorization", &authorization)], &body).await;
    assert_eq!(seed.upstream.last().model, FREE.1, "{user}");
    let events = answer.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{}", answer.text());
    for event in events.iter().filter(|event| *event != "[DONE]") {
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(event["model"], PAID.0, "every chunk names the model that was asked for");
    }
}

/// Rules that are gone leave what is cached in force, as in the seed; clearing the cache ends it, and leaves nothing.
async fn clean_up(seed: &Verification, redis: &RedisServer) {
    for (_, user, _) in seed.cases() {
        write(&seed.weir, "DELETE", &format!("/api/rules/of-{user}"), &Value::Null, 204).await;
    }
    assert_eq!(read(&seed.weir, "/api/rules").await["rules"], json!([]));
    for (case, user, key) in seed.cases() {
        if matches!(case.action, "rate-limit" | "block") {
            assert_eq!(
                ask(&seed.weir, key, PAID.0).await.status,
                case.status,
                "{user}: the cached action holds"
            );
        }
        write(&seed.weir, "DELETE", &format!("/api/identities/user:{user}/action"), &Value::Null, 204).await;
        assert_eq!(redis.get(&format!("{SEED_KEY}user:{user}")), None, "{user}");
        seed.passes(user, key).await;
    }
    assert_eq!(
        redis.command(&["KEYS", &format!("{SEED_KEY}*")]),
        "*0\r\n",
        "without rules nothing is learned"
    );
}

#[tokio::test]
async fn in_inline_mode_the_first_request_is_enforced() {
    let upstream = ScriptedUpstream::start().await;
    let config = config(&upstream, &format!("abuse: {{mode: inline, {QUARANTINE}}}"));
    let seed = Verification::start(upstream, &config).await;
    for (case, user, key) in seed.cases() {
        seed.is_enforced(&case, user, key).await;
        let identity = read(&seed.weir, &format!("/api/identities/user:{user}")).await;
        assert_eq!(identity["action"], Value::Null, "nothing is cached: {identity}");
    }
    seed.limits_and_delays_are_in_order().await;
    let other = make_key(&seed.weir, "somebody-else").await;
    seed.passes("somebody-else", &other).await;
    assert_no_canary(&seed.weir).await;
}

#[tokio::test]
async fn in_mode_off_no_rule_is_asked() {
    let upstream = ScriptedUpstream::start().await;
    let config = config(&upstream, "abuse: {mode: off}");
    let seed = Verification::start(upstream, &config).await;
    for (_, user, key) in seed.cases() {
        for _ in 0..2 {
            seed.passes(user, key).await;
        }
        let newest = read(&seed.weir, &format!("/api/decisions?subject=user:{user}&limit=1")).await;
        let decision = &newest["items"][0];
        assert_eq!(
            (&decision["outcome"], &decision["matched"]),
            (&json!("nothing"), &json!([])),
            "{decision}"
        );
    }
}

#[tokio::test]
async fn a_mode_that_is_none_is_refused() {
    let upstream = ScriptedUpstream::start().await;
    for (abuse, said) in [
        ("{mode: sometimes}", "sometimes"),
        ("{mode: inline, service_url: \"http://127.0.0.1:1\"}", "service_url"),
    ] {
        let config = config(&upstream, &format!("abuse: {abuse}"));
        let ended =
            weir_testkit::WeirCommand::new(binary(), &config).try_start().await.err().expect("it ended");
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}
