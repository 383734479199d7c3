//! What a case gives, and the stage that it asks for.

use std::time::Duration;

use serde_json::{Value, json};
use weir_config::ModelCatalogue;
use weir_core::ApiKind;
use weir_gateway::Candidates;
use weir_testkit::upstream::chat;
use weir_testkit::{ClassifierScript, Script};

use crate::support::{Api, Ask, ConfigText, OTHER_KEY, PLATFORM_KEY, USER_KEY, World};

/// The actions that a cached one makes a request wait for, as spec A1 lists them.
pub const ENFORCING: [&str; 5] = ["rate-limit", "quarantine-1", "quarantine-2", "quarantine-3", "block"];

/// The caller's own key at the provider.
pub const OWN_KEY: &str = "canary-own-key";

/// A revoked key, which stands for the seed's token of an old version.
pub const REVOKED_KEY: &str = "canary-revoked-key";

/// The provider of the model that is asked for, and that of the free ones.
pub const ASKED_PROVIDER: &str = "main";
pub const FREE_PROVIDER: &str = "other";

/// The free model where a case names none.
const FREE: &str = "test/some-model:free";

pub struct Given {
    pub user_id: Option<String>,
    pub balance: f64,
    pub byok: bool,
    pub model: String,
    /// The cached action; a read of it fails where this is `error`.
    pub cache: Option<String>,
    pub cache_write_fails: bool,
    /// What the classifier says; `None` for no action.
    pub fresh: Option<String>,
    pub latency: Duration,
    pub request_id: u64,
    pub free_candidates: Vec<String>,
    pub second_not_found: bool,
    pub second_apis: Option<Vec<String>>,
    pub look_up_fails: bool,
    pub service: bool,
    /// The pair of access headers as it is configured.
    pub access: (Option<String>, Option<String>),
    pub upstream_status: Option<u16>,
    pub upstream_throws: bool,
    pub message_id: bool,
    pub max_tokens: Option<u64>,
    pub authorization: Option<String>,
    pub messages: Option<Value>,
    pub forwarded_for: Option<String>,
    pub ja4: Option<String>,
    pub user_agent: Option<String>,
    pub trusted_proxies: Vec<String>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            user_id: Some("user-123".to_owned()),
            balance: 1000.0,
            byok: false,
            model: "openai/gpt-4o".to_owned(),
            cache: None,
            cache_write_fails: false,
            fresh: None,
            latency: Duration::ZERO,
            request_id: 1,
            free_candidates: vec![FREE.to_owned()],
            second_not_found: false,
            second_apis: None,
            look_up_fails: false,
            service: true,
            access: (None, None),
            upstream_status: None,
            upstream_throws: false,
            message_id: true,
            max_tokens: None,
            authorization: None,
            messages: None,
            forwarded_for: None,
            ja4: None,
            user_agent: None,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Given {
    /// Reads what a case gives.
    ///
    /// # Errors
    /// A member, or a value of one, that nobody here knows.
    pub fn read(value: &Value) -> Result<Self, String> {
        let mut given = Self::default();
        for (name, value) in value.as_object().ok_or("`given` is no object")? {
            given.member(name, value).ok_or_else(|| format!("`given.{name}` = {value} is not known"))?;
        }
        Ok(given)
    }

    fn member(&mut self, name: &str, value: &Value) -> Option<()> {
        match name {
            "user_id" => self.user_id = text_or_null(value)?,
            "balance" => self.balance = value.as_f64()?,
            "byok" => self.byok = value.as_bool()?,
            "kind" => (value == "chat_completions").then_some(())?,
            "model" => self.model = value.as_str()?.to_owned(),
            "cache" => self.cache = text_or_null(value)?,
            "cache_raw" => self.cache = Some(value.as_str()?.to_owned()),
            "cache_write" => self.cache_write_fails = value == "error",
            "fresh" => self.fresh = text_or_null(value)?,
            "fresh_latency_ms" => self.latency = Duration::from_millis(value.as_u64()?),
            "free_candidates" => self.free_candidates = texts(value)?,
            "second_resolution" => self.second_not_found = (value == "not-found").then_some(true)?,
            "second_provider_apis" => self.second_apis = Some(texts(value)?),
            "candidate_lookup" => self.look_up_fails = (value == "error").then_some(true)?,
            "abuse_url" => self.service = (!value.is_null()).then_some(()).is_some(),
            "cf_id" => self.access.0 = text_or_null(value)?,
            "cf_secret" => self.access.1 = text_or_null(value)?,
            "upstream_status" => self.upstream_status = Some(u16::try_from(value.as_u64()?).ok()?),
            "upstream" => self.upstream_throws = (value == "throws").then_some(true)?,
            "classify_request_id" => self.request_id = value.as_u64()?,
            "message_id" => self.message_id = !value.is_null(),
            "max_tokens" => self.max_tokens = Some(value.as_u64()?),
            // Cases run under it in any case (spec A0).
            "path" => (value == "the seed's prefix").then_some(())?,
            "authorization" => self.authorization = Some(value.as_str()?.to_owned()),
            "messages" => self.messages = Some(value.clone()),
            "xff" => self.forwarded_for = Some(value.as_str()?.to_owned()),
            "ja4" => self.ja4 = Some(value.as_str()?.to_owned()),
            "ua" => self.user_agent = Some(value.as_str()?.to_owned()),
            "trusted_proxies" => self.trusted_proxies = texts(value)?,
            _ => return None,
        }
        Some(())
    }

    /// Whether the request waits for a fresh classification.
    pub fn waits(&self) -> bool {
        self.service && self.cached_enforces()
    }

    /// Whether the cached action is one of those that enforce.
    pub fn cached_enforces(&self) -> bool {
        self.cache.as_deref().is_some_and(|cached| ENFORCING.contains(&cached))
    }

    /// Whether the service says nothing that could be acted on.
    pub fn unanswered(&self) -> bool {
        self.fresh.as_deref().is_some_and(|fresh| matches!(fresh, "unavailable" | "http_500" | "bad_json"))
    }

    /// Who the request is counted as, where a user asks.
    pub fn identity(&self) -> String {
        format!("user:{}", self.user_id.as_deref().unwrap_or_default())
    }

    pub fn config(&self, world: &World) -> ConfigText {
        let user = self.user_id.as_deref().unwrap_or("nobody");
        let config = world
            .config()
            .set("providers", self.providers(world))
            .set("models", self.models())
            .set("keys", format!("[{{key: {USER_KEY}, user: {user}, budget_usd: {}}}]", self.balance));
        let config = match &self.trusted_proxies[..] {
            [] => config,
            trusted => config.set("trusted_proxies", format!("[{}]", trusted.join(", "))),
        };
        config.set("abuse", self.abuse(world))
    }

    fn abuse(&self, world: &World) -> String {
        if !self.service {
            return "{mode: cached}".to_owned();
        }
        let header =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}: {value}"));
        let access = [
            header("CF-Access-Client-Id", &self.access.0),
            header("CF-Access-Client-Secret", &self.access.1),
        ];
        let access: Vec<String> = access.into_iter().flatten().collect();
        format!(
            "{{mode: cached, service_url: \"{}\", service_headers: {{{}}}}}",
            world.classifier.url(),
            access.join(", ")
        )
    }

    fn providers(&self, world: &World) -> String {
        let url = world.upstream.base_url();
        let narrow = self.second_apis.clone().unwrap_or_else(|| vec!["chat_completions".to_owned()]);
        let provider = |name: &str, key: &str, apis: &str| {
            format!("{{name: {name}, base_url: \"{url}\", api_key: {key}, apis: [{apis}]}}")
        };
        let all = "chat_completions, responses, messages";
        [provider(ASKED_PROVIDER, PLATFORM_KEY, all), provider(FREE_PROVIDER, OTHER_KEY, &narrow.join(", "))]
            .join(", ")
            .as_str()
            .bracketed()
    }

    /// The asked model at [`ASKED_PROVIDER`], the free ones at [`FREE_PROVIDER`].
    fn models(&self) -> String {
        let traits = match self.model.as_str() {
            "free" => ", free: true",
            "dead:free" => ", free: true, discontinued: true",
            _ => "",
        };
        let mut models = vec![format!("{{id: \"{}\", provider: {ASKED_PROVIDER}{traits}}}", self.model)];
        if self.model != "free" {
            models.extend(self.free_candidates.iter().map(|id| {
                format!(
                    "{{id: \"{id}\", provider: {FREE_PROVIDER}, free: true, upstream_model: \"{}\"}}",
                    internal_name(id)
                )
            }));
        }
        models.join(", ").as_str().bracketed()
    }

    /// The double of A020, A022 and A023: a list of candidates that a configuration cannot give.
    pub fn candidates(&self) -> Option<Box<dyn Candidates>> {
        if self.look_up_fails {
            Some(Box::new(Doubled(Err("the list is away".to_owned()))))
        } else if self.second_not_found {
            Some(Box::new(Doubled(Ok("test/gone-model:free".to_owned()))))
        } else {
            self.second_apis.as_ref().map(|_| Box::new(Doubled(Ok(FREE.to_owned()))) as Box<dyn Candidates>)
        }
    }

    pub fn classifier(&self) -> ClassifierScript {
        let script = match self.fresh.as_deref() {
            Some("unavailable") => ClassifierScript::unavailable(),
            Some("http_500") => ClassifierScript::http_500(),
            Some("bad_json") => ClassifierScript::bad_json(),
            Some(action) => ClassifierScript::resolved(Some(action)).matched(40, &["rule-1"]),
            None => ClassifierScript::resolved(None),
        };
        script.after(self.latency).request_id(self.request_id)
    }

    /// What the provider answers where it is not the usual.
    pub fn upstream(&self) -> Option<Script> {
        if self.upstream_throws {
            return Some(Script::cut_before_head());
        }
        if let Some(status) = self.upstream_status {
            return Some(Script::error(status, "insufficient_quota", "You have no credit left."));
        }
        if !self.message_id {
            let mut answer = chat(&self.model);
            answer.as_object_mut().unwrap().remove("id");
            return Some(Script::json(200, &answer));
        }
        None
    }

    pub fn ask(&self) -> Ask {
        let mut ask = Ask::anonymous(Api::Chat, &self.model).path("/api/gateway/v1/chat/completions");
        ask = match self.authorization.as_deref() {
            // What a token's audience, version and signature were in the seed is one thing here (spec A0).
            Some("wrong audience") => ask.header("authorization", "Bearer canary-key-of-another-deployment"),
            Some("old version") => ask.header("authorization", &format!("Bearer {REVOKED_KEY}")),
            Some(as_it_is) => ask.header("authorization", as_it_is),
            None if self.user_id.is_some() => ask.header("authorization", &format!("Bearer {USER_KEY}")),
            None => ask,
        };
        let more = [
            ("x-weir-byok", self.byok.then_some(OWN_KEY)),
            ("x-forwarded-for", self.forwarded_for.as_deref()),
            ("x-vercel-ja4-digest", self.ja4.as_deref()),
            ("user-agent", self.user_agent.as_deref()),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                ask = ask.header(name, value);
            }
        }
        if let Some(max_tokens) = self.max_tokens {
            ask = ask.with("max_tokens", json!(max_tokens));
        }
        match &self.messages {
            Some(messages) => ask.with("messages", messages.clone()),
            None => ask,
        }
    }
}

struct Doubled(Result<String, String>);

impl Candidates for Doubled {
    fn candidates(&self, _models: &ModelCatalogue, _kind: ApiKind) -> Result<Vec<String>, String> {
        self.0.clone().map(|candidate| vec![candidate])
    }
}

/// A provider may know a free model by another name than weir's callers do.
fn internal_name(id: &str) -> &str {
    match id {
        "stepfun/step-3.7-flash:free" => "stepfun/step-3.7-flash",
        other => other,
    }
}

trait Bracketed {
    fn bracketed(self) -> String;
}

impl Bracketed for &str {
    fn bracketed(self) -> String {
        format!("[{self}]")
    }
}

fn text_or_null(value: &Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text.clone())),
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
