//! Every refusal, in every dialect, has an id that can be explained: walked from the list of refusals that the code
//! itself has, so that a new kind does not compile here until somebody has said how it arises.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use weir_dialect::RefusalKind;
use weir_testkit::http::{self, Response};
use weir_testkit::{WeirCommand, WeirProcess};

use crate::support::{ADMIN_TOKEN, binary, decision_id, eventually, read, simulated};

/// The dialects, by an operation of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Anthropic,
    Seed,
}

const ALL: [Dialect; 3] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Seed];

impl Dialect {
    const fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
            Self::Seed => "/api/gateway/v1/chat/completions",
        }
    }
}

/// One request.
struct Ask {
    method: &'static str,
    path: &'static str,
    key: Option<String>,
    address: String,
    feature: &'static str,
    body: Value,
    raw: Option<&'static str>,
}

/// Each request comes from an address of its own, so that only who should be is held to an address's limit.
static ADDRESSES: AtomicUsize = AtomicUsize::new(1);

impl Ask {
    fn new(dialect: Dialect, model: &str) -> Self {
        let n = ADDRESSES.fetch_add(1, Ordering::Relaxed);
        Self {
            method: "POST",
            path: dialect.path(),
            key: Some("key-of-ada".into()),
            address: format!("203.0.{}.{}", n / 250, n % 250),
            feature: "none",
            body: json!({"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}),
            raw: None,
        }
    }

    async fn send(&self, weir: &WeirProcess) -> Response {
        let bearer = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let mut headers = vec![
            ("content-type", "application/json"),
            ("x-forwarded-for", self.address.as_str()),
            ("x-weir-feature", self.feature),
        ];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let body = self.raw.map_or_else(|| self.body.to_string(), str::to_owned);
        http::request(self.method, &format!("{}{}", weir.data(), self.path), &headers, body).await
    }
}

/// How a kind arises in a dialect; nothing where it cannot. `earlier` says how many requests go before. No `_` arm.
fn ways(kind: RefusalKind, dialect: Dialect) -> Option<(Ask, usize)> {
    let ask = |model: &str| Ask::new(dialect, model);
    let keyed =
        |key: &str, model: &str| Ask { key: Some(format!("key-of-{key}")), ..Ask::new(dialect, model) };
    let user = |who: &str| format!("{who}-{dialect:?}").to_lowercase();
    let way = match kind {
        RefusalKind::InvalidRequest => Ask { raw: Some("{"), ..ask("sim/echo") },
        RefusalKind::UnsupportedField if dialect == Dialect::OpenAi => Ask {
            path: "/v1/responses",
            body: json!({"model": "sim/echo", "input": "hello", "store": true}),
            ..ask("sim/echo")
        },
        // A member of the Responses API alone.
        RefusalKind::UnsupportedField => return None,
        RefusalKind::ApiKindNotSupported => ask("narrow/model"),
        RefusalKind::InvalidPath if dialect == Dialect::Seed => {
            Ask { path: "/api/gateway/v1/embeddings", ..ask("sim/echo") }
        }
        // Elsewhere it is `NotFound`.
        RefusalKind::InvalidPath => return None,
        RefusalKind::InvalidApiKey => Ask { key: Some("wrong".into()), ..ask("sim/free") },
        RefusalKind::PaidModelAuthRequired => Ask { key: None, ..ask("sim/echo") },
        RefusalKind::UsageLimitExceeded => keyed("broke", "sim/echo"),
        RefusalKind::AbuseBlocked => Ask { feature: "blocked", ..ask("sim/echo") },
        RefusalKind::NotFound => match dialect {
            Dialect::OpenAi => Ask { path: "/v1/nothing", ..ask("sim/echo") },
            Dialect::Anthropic => Ask { path: "/v1/messages/batches", ..ask("sim/echo") },
            Dialect::Seed => return None,
        },
        RefusalKind::ModelNotFound => ask("no/such-model"),
        RefusalKind::DiscontinuedFreeModel => ask("dead/free"),
        RefusalKind::MethodNotAllowed => Ask { method: "PUT", ..ask("sim/echo") },
        RefusalKind::PayloadTooLarge => {
            Ask { body: json!({"model": "sim/echo", "messages": "x".repeat(9_000)}), ..ask("sim/echo") }
        }
        RefusalKind::RateLimitAbuse => Ask { feature: "stopped", ..ask("sim/echo") },
        RefusalKind::RateLimitHoldFull => {
            return Some((Ask { feature: "held", ..keyed(&user("held"), "sim/echo") }, 1));
        }
        RefusalKind::RateLimitFreeModel => return Some((keyed(&user("free"), "sim/free"), 1)),
        RefusalKind::RateLimitAddress => return Some((Ask { key: None, ..ask("sim/free") }, 1)),
        RefusalKind::RateLimitRule => {
            return Some((Ask { feature: "limited", ..keyed(&user("limited"), "sim/echo") }, 1));
        }
        RefusalKind::TooManyMaxTokens => {
            let mut way = ask("sim/echo");
            way.body["max_tokens"] = json!(100_000_000_000_u64);
            way
        }
        RefusalKind::TemporarilyUnavailable => ask("keyless/model"),
        RefusalKind::Failed => ask("sim/error-500"),
    };
    Some((way, 0))
}

fn config() -> String {
    let apis = "apis: [chat_completions, responses, messages]";
    let users = ALL.iter().flat_map(|dialect| {
        ["held", "free", "limited"].map(|who| format!("{who}-{dialect:?}").to_lowercase())
    });
    let keys: Vec<String> =
        users.chain(["ada".into()]).map(|user| format!("{{key: key-of-{user}, user: {user}}}")).collect();
    simulated(&format!(
        "providers:\n\
         - {{name: sim, simulated: true}}\n\
         - {{name: narrow, base_url: \"http://127.0.0.1:9/v1\", api_key: k, apis: [embeddings]}}\n\
         - {{name: keyless, base_url: \"http://127.0.0.1:9/v1\", {apis}}}\n\
         models:\n\
         - {{id: narrow/model, provider: narrow}}\n\
         - {{id: keyless/model, provider: keyless}}\n\
         - {{id: dead/free, provider: sim, upstream_model: free, free: true, discontinued: true}}\n\
         keys: [{}, {{key: key-of-broke, user: broke, budget_usd: 0}}]\n\
         free_models: {{requests: 1, per: 1h}}\n\
         limits: {{body_bytes_max: 8000, unauthenticated: {{requests: 1, per: 1h}}}}\n\
         abuse: {{quarantine: {{first: 20s, held_per_identity_max: 1}}}}\n\
         failures: {{retries: {{attempts: 1}}}}\n\
         rules: [./rules]\n",
        keys.join(", ")
    ))
}

const RULES: &str = "rules:
- {id: blocked, on: request, when: request.feature == \"blocked\", then: block, because: A test., instead: Nothing.}
- {id: stopped, on: request, when: request.feature == \"stopped\", then: rate-limit}
- {id: held, on: request, when: request.feature == \"held\", then: quarantine-1}
- {id: limited, on: request, when: request.feature == \"limited\", then: {rate-limit: {requests: 1, per: 1h}}}
";

#[tokio::test]
async fn every_refusal_in_every_dialect_has_an_id_that_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::fs::write(folder.path().join("rules/a.yaml"), RULES).unwrap();
    let weir = WeirCommand::new(binary(), &config()).folder(folder.path()).start().await;
    let mut kinds = BTreeSet::new();
    for kind in RefusalKind::ALL {
        for dialect in ALL {
            let Some((ask, earlier)) = ways(kind, dialect) else { continue };
            let name = format!("{kind:?} {dialect:?}");
            let answer = refused(&weir, kind, &ask, earlier).await;
            assert!(answer.status >= 400, "{name}: {}", answer.text());
            let id = decision_id(&answer);
            // The seed's bodies have three members and no more.
            if dialect != Dialect::Seed {
                assert_eq!(answer.json()["error"]["decision"], id, "{name}: {}", answer.text());
            }
            is_explained(&weir, &name, &id, &answer).await;
            if kinds.insert(format!("{kind:?}")) {
                explains_at_the_terminal(folder.path(), &name, &id, &answer);
            }
        }
    }
    assert_eq!(kinds.len(), RefusalKind::ALL.len());
}

/// The refusal, after the requests that go before. Of two at once one is held, and does not end meanwhile.
async fn refused(weir: &WeirProcess, kind: RefusalKind, ask: &Ask, earlier: usize) -> Response {
    if kind == RefusalKind::RateLimitHoldFull {
        let (held, full) = (
            ask.send(weir),
            eventually("a full hold", async || {
                let answer = ask.send(weir).await;
                (answer.status == 429).then_some(answer)
            }),
        );
        tokio::select! {
            answer = held => {
                assert_eq!(answer.status, 429, "one of the two is held: {answer:?}");
                return answer;
            }
            answer = full => return answer,
        }
    }
    for _ in 0..earlier {
        assert_eq!(ask.send(weir).await.status, 200, "{kind:?}: the request before");
    }
    ask.send(weir).await
}

async fn is_explained(weir: &WeirProcess, name: &str, id: &str, answer: &Response) {
    let explained = read(weir, &format!("/api/decisions/{id}/explanation")).await;
    assert_eq!(explained["id"], id, "{name}: {explained}");
    let enforced = explained["enforced"].as_array().unwrap();
    let answered = format!("answered {}", answer.status);
    assert!(enforced.iter().any(|line| line.as_str().unwrap().starts_with(&answered)), "{name}: {explained}");
    let ways = explained["lifted_by"].as_array().unwrap();
    assert!(!ways.is_empty(), "{name}: nobody can lift it: {explained}");
    let waits = answer.header("retry-after").is_some();
    assert!(!waits || !explained["until"].as_array().unwrap().is_empty(), "{name}: until when? {explained}");
}

fn explains_at_the_terminal(folder: &std::path::Path, name: &str, id: &str, answer: &Response) {
    let run =
        std::process::Command::new(binary()).args(["explain", id]).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{name}: {run:?}");
    let answered = format!("answered {}", answer.status);
    assert!(
        text.starts_with(id) && text.contains(&answered) && text.contains("lifted by"),
        "{name}:\n{text}"
    );
    assert!(!text.contains(ADMIN_TOKEN) && !text.contains("hello"), "{name}:\n{text}");
}
