//! Every way out that is not a provider's success: walked from the list of refusals that the code itself has, so that a
//! new kind does not compile here until somebody has said how it arises and whether the quarantine's delay precedes it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_config::ModelCatalogue;
use weir_core::ApiKind;
use weir_dialect::RefusalKind;
use weir_gateway::Candidates;
use weir_testkit::Script;
use weir_testkit::http::Response;

use crate::support::{Api, Ask, ConfigText, Node, Options, World};

/// When a refusal is given, as seen by an identity that is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// No endpoint was reached: no delay, and it counts for nobody; but its id can be explained.
    NowhereToGo,
    /// It precedes the decision: no delay.
    Before,
    /// It is what the decision asks for, or the 429 of a limit or of a full hold: no delay.
    AtOnce,
    /// It follows the decision: after the delay.
    After,
}

/// How a kind of refusal arises.
struct Way {
    when: When,
    status: u16,
    error_type: &'static str,
    /// The stage in the record.
    stage: &'static str,
    limit: Option<&'static str>,
    /// What the rule for everybody says.
    action: &'static str,
    ask: fn(Api) -> Ask,
    config: fn(ConfigText) -> ConfigText,
    candidate: Option<&'static str>,
    upstream: Option<fn() -> Script>,
    /// Requests that go before.
    earlier: usize,
    /// Whether those still wait.
    held: bool,
    dialects: &'static [Spoken],
}

/// A dialect and an operation that speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    OpenAi,
    OpenAiResponses,
    Anthropic,
    Seed,
}

const ALL: &[Spoken] = &[Spoken::OpenAi, Spoken::OpenAiResponses, Spoken::Anthropic, Spoken::Seed];
const V1: &[Spoken] = &[Spoken::OpenAi, Spoken::OpenAiResponses, Spoken::Anthropic];

fn way(when: When, status: u16, error_type: &'static str, stage: &'static str) -> Way {
    Way {
        when,
        status,
        error_type,
        stage,
        limit: None,
        action: "quarantine-2",
        ask: |api| Ask::new(api, "paid/big"),
        config: |config| config,
        candidate: None,
        upstream: None,
        earlier: 0,
        held: false,
        dialects: ALL,
    }
}

impl Way {
    fn asked(self, ask: fn(Api) -> Ask) -> Self {
        Self { ask, ..self }
    }

    fn configured(self, config: fn(ConfigText) -> ConfigText) -> Self {
        Self { config, ..self }
    }

    fn in_dialects(self, dialects: &'static [Spoken]) -> Self {
        Self { dialects, ..self }
    }

    /// A quarantine-3 whose candidate is this one.
    fn overridden_to(self, candidate: &'static str) -> Self {
        Self { candidate: Some(candidate), action: "quarantine-3", ..self }
    }

    fn limited_by(self, limit: &'static str) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// How each kind arises. No `_` arm.
fn ways(kind: RefusalKind) -> Vec<Way> {
    use When::{After, AtOnce, Before, NowhereToGo};
    match kind {
        RefusalKind::InvalidRequest => {
            vec![way(Before, 400, "invalid_request", "read").asked(|api| Ask::new(api, "paid/big").body("{"))]
        }
        RefusalKind::UnsupportedField => vec![
            way(Before, 400, "unsupported_field", "identify")
                .asked(|api| Ask::new(api, "paid/big").with("store", json!(true)))
                .in_dialects(&[Spoken::OpenAiResponses]),
        ],
        RefusalKind::ApiKindNotSupported => vec![
            way(Before, 400, "api_kind_not_supported", "resolve").asked(|api| Ask::new(api, "narrow/model")),
            way(After, 400, "api_kind_not_supported", "enforce").overridden_to("narrow/model"),
        ],
        RefusalKind::InvalidPath => vec![
            way(NowhereToGo, 400, "invalid_path", "route")
                .asked(|api| Ask::new(api, "paid/big").path("/v1/embeddings"))
                .in_dialects(&[Spoken::Seed]),
        ],
        RefusalKind::InvalidApiKey => vec![
            way(Before, 401, "invalid_api_key", "identify")
                .asked(|api| Ask::new(api, "free/small").header("authorization", "Bearer canary-wrong")),
        ],
        RefusalKind::PaidModelAuthRequired => vec![
            way(Before, 401, "paid_model_auth_required", "identify")
                .asked(|api| Ask::anonymous(api, "paid/big")),
        ],
        RefusalKind::UsageLimitExceeded => {
            vec![way(After, 402, "usage_limit_exceeded", "enforce").configured(|config| {
                config.set("keys", "[{key: canary-key-of-user-123, user: user-123, budget_usd: 0}]")
            })]
        }
        RefusalKind::AbuseBlocked => {
            vec![Way { action: "block", ..way(AtOnce, 403, "abuse_blocked", "enforce") }]
        }
        RefusalKind::NotFound => vec![
            way(NowhereToGo, 404, "not_found", "route")
                .asked(|_| Ask::chat("paid/big").path("/v1/nothing"))
                .in_dialects(&[Spoken::OpenAi]),
            way(NowhereToGo, 404, "not_found", "route")
                .asked(|_| Ask::chat("paid/big").path("/v1/messages/batches"))
                .in_dialects(&[Spoken::Anthropic]),
        ],
        RefusalKind::ModelNotFound => vec![
            way(Before, 404, "model_not_found", "identify").asked(|api| Ask::new(api, "no/such-model")),
            way(Before, 404, "model_not_found", "read").asked(|api| Ask::new(api, " ")),
            way(After, 404, "model_not_found", "enforce").overridden_to("gone/model"),
        ],
        RefusalKind::DiscontinuedFreeModel => vec![
            way(Before, 404, "discontinued_free_model", "precheck").asked(|api| Ask::new(api, "dead/free")),
            way(After, 404, "discontinued_free_model", "enforce").overridden_to("dead/free"),
        ],
        RefusalKind::MethodNotAllowed => vec![
            way(NowhereToGo, 405, "method_not_allowed", "route")
                .asked(|api| Ask::new(api, "paid/big").method("PUT")),
        ],
        RefusalKind::PayloadTooLarge => vec![
            way(Before, 413, "payload_too_large", "read")
                .configured(|config| config.set("limits", "{body_bytes_max: 20}")),
        ],
        RefusalKind::RateLimitAbuse => vec![
            Way { action: "rate-limit", ..way(AtOnce, 429, "rate_limit_exceeded", "enforce") }
                .limited_by("abuse"),
        ],
        RefusalKind::RateLimitHoldFull => vec![
            Way { earlier: 1, held: true, ..way(AtOnce, 429, "rate_limit_exceeded", "hold") }
                .configured(|config| config.set("abuse", "{quarantine: {held_per_identity_max: 1}}"))
                .limited_by("abuse"),
            Way { earlier: 1, held: true, ..way(AtOnce, 429, "rate_limit_exceeded", "hold") }
                .configured(|config| config.set("abuse", "{quarantine: {held_max: 1}}"))
                .limited_by("abuse"),
        ],
        RefusalKind::RateLimitFreeModel => vec![
            Way { earlier: 1, ..way(Before, 429, "rate_limit_exceeded", "identify") }
                .asked(|api| Ask::new(api, "free/small"))
                .configured(|config| config.set("free_models", "{requests: 1, per: 1h}"))
                .limited_by("free-model"),
        ],
        RefusalKind::RateLimitAddress => vec![
            Way { earlier: 1, ..way(Before, 429, "rate_limit_exceeded", "admit") }
                .asked(|api| Ask::anonymous(api, "free/small"))
                .configured(|config| config.set("limits", "{unauthenticated: {requests: 1, per: 1m}}"))
                .limited_by("address"),
        ],
        RefusalKind::RateLimitRule => vec![
            Way { earlier: 1, ..way(AtOnce, 429, "rate_limit_exceeded", "limit") }
                .asked(|api| Ask::new(api, "paid/big").header("x-weir-feature", "limited"))
                .limited_by("rule:one-a-minute"),
        ],
        RefusalKind::TooManyMaxTokens => vec![
            way(Before, 400, "invalid_request", "precheck")
                .asked(|api| Ask::new(api, "paid/big").with(most_tokens(api), json!(100_000_000_000_u64)))
                .in_dialects(V1),
            // The seed's status (design, section 6).
            way(Before, 503, "temporarily_unavailable", "precheck")
                .asked(|api| Ask::new(api, "paid/big").with(most_tokens(api), json!(100_000_000_000_u64)))
                .in_dialects(&[Spoken::Seed]),
        ],
        RefusalKind::TemporarilyUnavailable => vec![
            way(Before, 503, "temporarily_unavailable", "resolve")
                .asked(|api| Ask::new(api, "own/keys-only")),
            way(After, 503, "temporarily_unavailable", "enforce").overridden_to("own/keys-only"),
        ],
        RefusalKind::Failed => failures(),
    }
}

/// What providers do. Under the seed's prefixes a provider's own error passes as it came (spec A10), so only what is no
/// answer at all is a refusal there.
fn failures() -> Vec<Way> {
    fn failing(status: u16, error_type: &'static str, upstream: fn() -> Script) -> Way {
        Way { upstream: Some(upstream), ..way(When::After, status, error_type, "send") }
    }
    fn of(status: u16) -> Script {
        Script::error(status, "some_code", "Something is wrong.")
    }
    vec![
        failing(502, "network", Script::cut_before_head),
        failing(504, "timeout", Script::hang)
            .configured(|config| config.set("limits", "{upstream: {first_byte: 50ms}}")),
        failing(502, "network", Script::malformed_json),
        failing(502, "upstream_5xx", || of(500)).in_dialects(V1),
        failing(503, "temporarily_unavailable", || of(503)).in_dialects(V1),
        failing(503, "temporarily_unavailable", || of(402)),
        // The platform's account shows nowhere.
        failing(503, "temporarily_unavailable", || of(401)),
        failing(400, "invalid_request", || of(422)).in_dialects(V1),
        failing(413, "payload_too_large", || of(413)).in_dialects(V1),
        Way { limit: None, ..failing(429, "rate_limit_exceeded", || of(429)).in_dialects(V1) },
    ]
}

fn most_tokens(api: Api) -> &'static str {
    match api {
        Api::Chat | Api::Messages => "max_tokens",
        Api::Responses => "max_output_tokens",
    }
}

#[tokio::test]
async fn every_refusal_waits_as_it_should_and_says_what_it_should() {
    let mut kinds = BTreeSet::new();
    for kind in RefusalKind::ALL {
        let ways = ways(kind);
        assert!(!ways.is_empty(), "{kind:?} never arises");
        kinds.insert(format!("{kind:?}"));
        for (index, way) in ways.iter().enumerate() {
            for spoken in way.dialects {
                walk(&format!("{kind:?} {index} {spoken:?}"), way, *spoken).await;
            }
        }
    }
    assert_eq!(kinds.len(), RefusalKind::ALL.len());
}

async fn walk(name: &str, way: &Way, spoken: Spoken) {
    let world = World::new().await;
    if let Some(script) = way.upstream {
        world.upstream.respond_with(script());
    }
    let candidates = way.candidate.map(|id| Box::new(One(id)) as Box<dyn Candidates>);
    let node = Node::with(
        &world,
        &config(way, &world),
        Options { rules: rules(way.action), candidates, ..Options::default() },
    )
    .await;
    let ask = spoken.ask(way).header("x-request-id", "req-of-the-caller");

    let mut waiting = Vec::new();
    for earlier in 0..way.earlier {
        let earlier_one = node.spawn(&ask);
        world.clock.nth_sleep(earlier).await;
        if way.held {
            waiting.push(earlier_one);
        } else {
            world.clock.advance_ms(6_000);
            assert_eq!(earlier_one.await.unwrap().status, 200, "{name}: the request before");
        }
    }
    let calls_before = world.upstream.calls();

    let mut request = node.spawn(&ask);
    let mut delays = 0;
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut request => break answer.unwrap(),
            delay = world.clock.nth_sleep(way.earlier + delays) => {
                assert_eq!(delay.as_secs(), 6, "{name}");
                assert_eq!(world.upstream.calls(), calls_before, "{name}: called before the delay was over");
                delays += 1;
                world.clock.advance_ms(6_000);
            }
        }
    };
    assert_eq!(delays, usize::from(way.when == When::After), "{name}: delays before {}", answer.text());
    let called = way.upstream.is_some();
    assert_eq!(world.upstream.calls() > calls_before, called, "{name}: calls of the provider");
    says_what_it_should(name, way, spoken, &answer);
    for earlier in waiting {
        earlier.abort();
    }
    is_recorded_once(name, way, &node, &answer).await;
    node.leaks_nothing(&world).await;
}

fn config(way: &Way, world: &World) -> ConfigText {
    let url = world.upstream.base_url();
    let apis = "apis: [chat_completions, responses, messages]";
    let providers = [
        format!("{{name: main, base_url: \"{url}\", api_key: canary-main, {apis}}}"),
        format!("{{name: other, base_url: \"{url}\", api_key: canary-other, {apis}}}"),
        format!("{{name: keyless, base_url: \"{url}\", {apis}}}"),
        format!("{{name: narrow, base_url: \"{url}\", api_key: canary-narrow, apis: [embeddings]}}"),
    ];
    let models = "[{id: paid/big, provider: main, price: {input: 1, output: 1}}, \
                   {id: free/small, provider: other, free: true}, \
                   {id: dead/free, provider: other, free: true, discontinued: true}, \
                   {id: own/keys-only, provider: keyless}, {id: narrow/model, provider: narrow}]";
    let config = world.config().set("abuse", "{mode: inline}").set("models", models);
    (way.config)(config.set("providers", format!("[{}]", providers.join(", "))))
}

/// One rule for everybody, and a limit for those who ask for it.
fn rules(action: &str) -> String {
    format!(
        "rules:\n\
         - {{id: everybody, on: request, when: 'true', then: {action}, because: A test.}}\n\
         - {{id: one-a-minute, on: request, when: request.feature == \"limited\", \
              then: {{rate-limit: {{requests: 1, per: 1m}}}}, because: A test.}}\n"
    )
}

struct One(&'static str);

impl Candidates for One {
    fn candidates(&self, _models: &ModelCatalogue, _kind: ApiKind) -> Result<Vec<String>, String> {
        Ok(vec![self.0.to_owned()])
    }
}

impl Spoken {
    fn ask(self, way: &Way) -> Ask {
        match self {
            Self::OpenAi => (way.ask)(Api::Chat),
            Self::OpenAiResponses => (way.ask)(Api::Responses),
            Self::Anthropic => (way.ask)(Api::Messages),
            Self::Seed => (way.ask)(Api::Chat).seed(),
        }
    }
}

fn says_what_it_should(name: &str, way: &Way, spoken: Spoken, answer: &Response) {
    assert_eq!(answer.status, way.status, "{name}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
    assert_eq!(answer.header("x-request-id"), Some("req-of-the-caller"), "{name}");
    let overhead: f64 = answer.header("x-weir-overhead-ms").expect("x-weir-overhead-ms").parse().unwrap();
    assert!(overhead >= 0.0, "{name}");
    assert_eq!(answer.header("x-weir-limit"), way.limit, "{name}");
    let retry_after = answer.header("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
    assert!(retry_after.is_none_or(|seconds| seconds >= 1), "{name}");
    assert!(way.status != 429 || retry_after.is_some(), "{name}: no Retry-After");
    let should_retry = (!matches!(way.status, 429 | 503)).then_some("false");
    assert_eq!(answer.header("x-should-retry"), should_retry, "{name}");
    assert_eq!(answer.header("allow"), (way.status == 405).then_some("POST"), "{name}");
    let told_of_override = way.candidate.is_some_and(|candidate| answer.text().contains(candidate));
    assert!(!told_of_override, "{name}: the other model is not the caller's business: {}", answer.text());
    let decision = answer.header("x-weir-decision").expect("x-weir-decision");
    let body = answer.json();
    match spoken {
        Spoken::Seed => {
            assert_eq!(members(&body), ["error", "error_type", "message"], "{name}");
            assert_eq!(body["error_type"], way.error_type, "{name}");
        }
        Spoken::OpenAi | Spoken::OpenAiResponses => {
            assert_eq!(members(&body), ["error"], "{name}");
            let error = &body["error"];
            assert_eq!(
                members(error),
                ["code", "decision", "error_type", "message", "param", "type"],
                "{name}"
            );
            assert_eq!(
                (&error["code"], &error["error_type"]),
                (&json!(way.error_type), &json!(way.error_type)),
                "{name}"
            );
            assert_eq!(
                (&error["decision"], &error["type"]),
                (&json!(decision), &json!(openai(way.status))),
                "{name}"
            );
        }
        Spoken::Anthropic => {
            assert_eq!(members(&body), ["error", "request_id", "type"], "{name}");
            let error = &body["error"];
            assert_eq!(members(error), ["decision", "error_type", "message", "type"], "{name}");
            assert_eq!(
                (&body["type"], &error["error_type"]),
                (&json!("error"), &json!(way.error_type)),
                "{name}"
            );
            assert_eq!(
                (&error["decision"], &error["type"]),
                (&json!(decision), &json!(anthropic(way.status))),
                "{name}"
            );
            assert_eq!(body["request_id"], "req-of-the-caller", "{name}");
            assert_eq!(answer.header("request-id"), Some("req-of-the-caller"), "{name}");
        }
    }
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The tables of design section 6.
fn openai(status: u16) -> &'static str {
    match status {
        400 | 404 | 405 | 413 => "invalid_request_error",
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        502..=504 => "server_error",
        _ => panic!("{status} is in no table"),
    }
}

fn anthropic(status: u16) -> &'static str {
    match status {
        400 | 405 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        502..=504 => "api_error",
        _ => panic!("{status} is in no table"),
    }
}

async fn is_recorded_once(name: &str, way: &Way, node: &Node, answer: &Response) {
    let records = node.wait_for_records(way.earlier + 1).await;
    assert_eq!(records.len(), way.earlier + 1, "{name}: records");
    let record = node.record_of(answer).await;
    assert_eq!(records.iter().filter(|other| other.decision.id == record.decision.id).count(), 1, "{name}");
    let result = &record.result;
    assert_eq!((result.status, result.ended_at.as_deref()), (way.status, Some(way.stage)), "{name}");
    assert_eq!(result.error_type.as_deref(), Some(way.error_type), "{name}");
    assert_eq!(result.limit.as_deref(), way.limit, "{name}");
    assert_eq!(result.abuse_delay, (way.when == When::After).then_some(6_000), "{name}");
    assert!(!result.client_gone, "{name}");
    assert_eq!(result.request_id, "req-of-the-caller", "{name}");
    let told = answer.header("retry-after").map(|seconds| seconds.parse().unwrap());
    assert_eq!(result.retry_after_s, told, "{name}: how long the caller was told to wait");
    let stages = result.timings.stages_us;
    let stages_ms = stages.measured().map(|(_, us)| us).sum::<u64>() as f64 / 1e3;
    assert!(stages_ms <= result.timings.total_ms, "{name}: {stages:?} in {} ms", result.timings.total_ms);
    let sent = stages.send > 0;
    assert_eq!(sent, way.upstream.is_some(), "{name}: {stages:?}");
}
