//! The remote abuse service as `abuse.mode: cached` uses it (spec A9): asked beside the request, never in its way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use weir_config::Config;
use weir_core::action::QuarantineDelays;
use weir_core::decision::{Matched, Mode, Source, obligations_of};
use weir_core::record::UsageRecord;
use weir_core::secret::expose;
use weir_core::{Action, Decision, Timestamp};
use weir_store::{Dependency, DependencyState};

use crate::client::{Destination, HttpClient};
use crate::gateway::{GatewayError, Inner};
use crate::settings::Settings;

/// How long an answer is worth having: a late one still goes into the action cache.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// How many classifications may be under way; beyond that a request counts as unanswered.
const UNDER_WAY_MAX: usize = 1_000;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Where the remote classifier is and what it is shown.
pub(crate) struct ServiceSettings {
    /// Where it is asked.
    classify: Destination,
    /// Where it is told what a request cost.
    cost: Destination,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ServiceSettings {
    pub(crate) fn new(config: &Config) -> Result<Option<Self>, GatewayError> {
        let Some(url) = &config.abuse.service_url else { return Ok(None) };
        let mut headers = Vec::new();
        for (name, value) in &config.abuse.service_headers {
            let unusable = || GatewayError::ServiceHeader { name: name.clone() };
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
            let mut value = HeaderValue::from_str(expose(value)).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.push((header, value));
        }
        let base = url.as_str().trim_end_matches('/');
        let at = |path| Destination::parse(&format!("{base}{path}")).ok_or(GatewayError::ServiceUrl);
        Ok(Some(Self { classify: at("/api/classify")?, cost: at("/api/usage/cost")?, headers }))
    }
}

/// What the service is asked (spec A9). Prompts are in it, so it has no `Debug`.
#[derive(Serialize)]
pub(crate) struct ClassifyRequest {
    pub(crate) kilo_user_id: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) geo_city: Option<String>,
    pub(crate) geo_country: Option<String>,
    pub(crate) geo_latitude: Option<f64>,
    pub(crate) geo_longitude: Option<f64>,
    pub(crate) ja4_digest: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) requested_model: Option<String>,
    pub(crate) user_prompt: Option<String>,
    pub(crate) system_prompt: Option<String>,
    pub(crate) max_tokens: Option<f64>,
    pub(crate) has_middle_out_transform: bool,
    pub(crate) has_tools: bool,
    pub(crate) streamed: bool,
    pub(crate) is_user_byok: bool,
    pub(crate) editor_name: Option<String>,
    pub(crate) feature: Option<String>,
}

/// The service's answer, checked: a wrong type or a missing member is no answer.
#[derive(Deserialize)]
#[expect(dead_code, reason = "members that only have to be there")]
struct ClassifyResponse {
    verdict: String,
    risk_score: f64,
    signals: Vec<serde_json::Value>,
    action_metadata: serde_json::Map<String, serde_json::Value>,
    context: serde_json::Map<String, serde_json::Value>,
    request_id: u64,
    rules_engine: Option<RulesEngine>,
}

#[derive(Deserialize)]
struct RulesEngine {
    matches: Vec<serde_json::Value>,
    sus_score: f64,
    /// Must be there; may be null.
    #[serde(deserialize_with = "Option::deserialize")]
    resolved_action: Option<String>,
    matched_abuse_rule_ids: Vec<serde_json::Value>,
}

/// What a classifier said.
#[derive(Clone, Debug)]
pub(crate) struct Classified {
    /// The service's number of this classification; 0 from the local rules, and after an error of the service.
    pub(crate) request_id: u64,
    /// None when the answer carried no `rules_engine`.
    pub(crate) verdict: Option<Verdict>,
    /// Requests of the identity in a second, as the classifier counts them.
    pub(crate) rps: f64,
}

/// The part of an answer that is acted on.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The action; none also for a word that is unknown.
    pub(crate) action: Option<Action>,
    /// Whether the action cache is to learn it.
    pub(crate) cacheable: bool,
    /// The decision that it makes if it is enforced.
    pub(crate) decision: Decision,
}

impl Classified {
    fn read(body: &[u8], unasked: &Decision, delays: QuarantineDelays) -> Result<Self, serde_json::Error> {
        let response: ClassifyResponse = serde_json::from_slice(body)?;
        let verdict = response.rules_engine.map(|engine| engine.verdict(unasked, delays));
        let rps = response.context.get("requests_per_second").and_then(serde_json::Value::as_f64);
        Ok(Self { request_id: response.request_id, verdict, rps: rps.unwrap_or_default() })
    }
}

impl RulesEngine {
    fn verdict(self, unasked: &Decision, delays: QuarantineDelays) -> Verdict {
        let action = match self.resolved_action.as_deref().map(str::parse::<Action>) {
            None => None,
            Some(Ok(action)) => Some(action),
            Some(Err(error)) => {
                tracing::warn!(action = %error.0, "unknown action from the abuse service; treated as no action");
                return Verdict { action: None, cacheable: false, decision: unasked.clone() };
            }
        };
        let matched: Vec<Matched> = self.matched_abuse_rule_ids.iter().map(|id| self.matched(id)).collect();
        let decision = Decision {
            outcome: action.unwrap_or(Action::Nothing).into(),
            rule: matched.first().filter(|_| action.is_some()).map(|first| first.rule.clone()),
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and a score is small")]
            sus_score: self.sus_score as i64,
            obligations: action.map(|a| obligations_of(a, delays)).unwrap_or_default(),
            source: Source::Fresh,
            matched,
            ..unasked.clone()
        };
        Verdict { action, cacheable: true, decision }
    }

    fn matched(&self, id: &serde_json::Value) -> Matched {
        let asked = self.matches.iter().find(|m| m.get("rule_id") == Some(id));
        let action = asked.and_then(|m| m.get("action")).and_then(serde_json::Value::as_str);
        Matched {
            rule: word(id),
            version: String::new(),
            action: action.unwrap_or_default().to_owned(),
            mode: Mode::Enforce,
        }
    }
}

/// A rule's id as text; the seed's service numbers its rules.
fn word(id: &serde_json::Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// A classification under way: the receiver sees it once, or sees the sender go without it.
pub(crate) type UnderWay = watch::Receiver<Option<Arc<Classified>>>;

/// The client of the remote classifier.
pub(crate) struct Classifiers {
    client: HttpClient,
    room: Arc<Semaphore>,
    state: Mutex<Option<Dependency>>,
}

impl Classifiers {
    pub(crate) fn new() -> Self {
        Self {
            client: HttpClient::new(Duration::from_secs(2)),
            room: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
            state: Mutex::new(None),
        }
    }

    /// How the service answers; none when there is no service.
    pub(crate) fn state(&self, settings: &Settings) -> Option<Dependency> {
        settings.service.as_ref()?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the service. None: it is gone, slow beyond use, or gave something that cannot be read.
    pub(crate) async fn classify(
        inner: &Inner,
        service: &ServiceSettings,
        request: &ClassifyRequest,
        unasked: &Decision,
        delays: QuarantineDelays,
    ) -> Option<Classified> {
        let this = &inner.classifiers;
        let _room = this.room.try_acquire().ok()?;
        let body = serde_json::to_vec(request).ok()?;
        let answered = match this.post(&service.classify, &service.headers, body).await {
            Ok(body) => Classified::read(&body, unasked, delays).map_err(|error| {
                // The error names a place and a type; it may quote a value, so only its place is logged.
                ServiceError {
                    status: 200,
                    detail: format!("unreadable answer at column {}", error.column()),
                }
            }),
            Err(error) => Err(error),
        };
        this.note(inner.clock.now(), answered.as_ref().err());
        match answered {
            Ok(classified) => Some(classified),
            Err(error) => {
                tracing::error!(
                    label = "classify",
                    status = error.status,
                    body = %error.detail,
                    "the abuse service failed"
                );
                None
            }
        }
    }

    async fn post(
        &self,
        to: &Destination,
        headers: &[(HeaderName, HeaderValue)],
        body: Vec<u8>,
    ) -> Result<Bytes, ServiceError> {
        let failed = |status, detail: &str| ServiceError { status, detail: detail.to_owned() };
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let exchange = async {
            let response = self.client.request(to, request).await.map_err(|_| failed(0, "no answer"))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|_| failed(status.as_u16(), "the answer broke off or is too large"))?
                .to_bytes();
            if status.is_success() { Ok(body) } else { Err(failed(status.as_u16(), &shown(&body))) }
        };
        tokio::time::timeout(ANSWER_DEADLINE, exchange)
            .await
            .unwrap_or_else(|_| Err(failed(0, "no answer in time")))
    }

    fn note(&self, now: Timestamp, error: Option<&ServiceError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if error.is_some() { DependencyState::Down } else { DependencyState::Up };
        let since = state.as_ref().filter(|s| s.state == next).map_or(now, |s| s.since);
        *state = Some(Dependency { state: next, since, error: error.map(|e| e.detail.clone()) });
    }
}

struct ServiceError {
    status: u16,
    detail: String,
}

/// The beginning of an error body for the log. The service is the operator's own; it is not shown prompts back.
fn shown(body: &[u8]) -> String {
    const SHOWN_CHARS_MAX: usize = 200;
    let text = String::from_utf8_lossy(body);
    text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What the service is told once the cost is known (spec A9).
pub(crate) struct CostReport {
    pub(crate) under_way: UnderWay,
    pub(crate) settings: Arc<Settings>,
    pub(crate) request: CostIdentity,
}

/// The identity members of the cost call.
#[derive(Clone, Serialize)]
pub(crate) struct CostIdentity {
    pub(crate) kilo_user_id: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) ja4_digest: Option<String>,
    pub(crate) user_agent: Option<String>,
}

#[derive(Serialize)]
struct CostRequest<'a> {
    #[serde(flatten)]
    identity: &'a CostIdentity,
    request_id: u64,
    message_id: &'a str,
    cost: u64,
    requested_model: &'a str,
    input_tokens: u64,
    output_tokens: u64,
    cache_write_tokens: u64,
    cache_hit_tokens: u64,
}

impl CostReport {
    /// Reports in the background; skipped without a message id, or when the service did not number the request.
    pub(crate) fn send(self, inner: &Arc<Inner>, usage: &UsageRecord) {
        let Some(message_id) = usage.message_id.clone() else { return };
        let (inner, usage) = (Arc::clone(inner), usage.clone());
        inner.clone().spawn(async move {
            let Some(request_id) = request_id(self.under_way).await.filter(|id| *id != 0) else { return };
            let Some(service) = &self.settings.service else { return };
            let report = CostRequest {
                identity: &self.request,
                request_id,
                message_id: &message_id,
                cost: usage.usage.cost_microusd,
                requested_model: &usage.requested_model,
                input_tokens: usage.usage.input_tokens,
                output_tokens: usage.usage.output_tokens,
                cache_write_tokens: usage.usage.cache_write_tokens,
                cache_hit_tokens: usage.usage.cache_read_tokens,
            };
            let Ok(body) = serde_json::to_vec(&report) else { return };
            if let Err(error) = inner.classifiers.post(&service.cost, &service.headers, body).await {
                tracing::error!(label = "usage/cost", status = error.status, body = %error.detail, "the abuse service failed");
            }
        });
    }
}

async fn request_id(mut under_way: UnderWay) -> Option<u64> {
    let seen = under_way.wait_for(Option::is_some).await.ok()?;
    seen.as_ref().map(|classified| classified.request_id)
}
