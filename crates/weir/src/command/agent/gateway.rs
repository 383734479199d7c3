//! weir's own gateway, in this process: what the agent asks a model passes the same stages as anybody's request.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_config::Config;
use weir_config::config::ConfiguredKey;
use weir_core::ApiKind;
use weir_core::failure::Observers;
use weir_core::secret::{Secret, expose};
use weir_core::tool::cleaned;
use weir_gateway::Gateway;
use weir_report::Reporter;
use weir_store::Cache;
use weir_store::clock::SystemClock;
use weir_tools::agent::{Api, Assembler, Model, ModelError, Said};

use crate::exit::Failure;
use crate::serve::report;
use crate::store;
use crate::tool_gate::ToolGate;

/// How long an answer of a model may be, in bytes.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How much of a refusal is told, in characters.
const TOLD_CHARS_MAX: usize = 1_000;

/// How long the last reports may take to be sent.
const REPORTS_MAX: Duration = Duration::from_secs(2);

/// A key for this run alone, with what the configuration knows of the user.
pub fn own_key(config: &Config, user: &str, channel: &str) -> ConfiguredKey {
    let key = Secret::from(format!("agent-{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()));
    match config.keys.iter().find(|key| key.user == user) {
        Some(known) => ConfiguredKey { key, channel: channel.to_owned(), ..known.clone() },
        None => ConfiguredKey {
            key,
            user: user.to_owned(),
            org: None,
            project: None,
            plan: None,
            tags: Vec::new(),
            budget_usd: None,
            byok: std::collections::BTreeMap::new(),
            channel: channel.to_owned(),
        },
    }
}

/// The protocol that a model's provider speaks: chat completions where it has the choice.
pub fn api_of(config: &Config, model: &str) -> Api {
    let found = config.models.find(model);
    let provider = found.and_then(|found| config.provider(&found.model.provider));
    let speaks = |api| provider.is_some_and(|provider| provider.serves(api));
    let choice = [
        (ApiKind::ChatCompletions, Api::ChatCompletions),
        (ApiKind::Responses, Api::Responses),
        (ApiKind::Messages, Api::Messages),
    ];
    // A model that nobody serves is refused by the gateway, whichever way it is asked for.
    choice.into_iter().find(|(kind, _)| speaks(*kind)).map_or(Api::ChatCompletions, |(_, api)| api)
}

/// The gateway, listening on this machine alone.
pub struct OwnGateway {
    model: ThroughGateway,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    reporter: Reporter,
}

impl OwnGateway {
    /// Starts it over the stores and rules of the gate.
    ///
    /// # Errors
    /// It cannot listen, or the configuration cannot be served.
    pub async fn start(tools: &ToolGate, config: Arc<Config>, key: &ConfiguredKey) -> Result<Self, Failure> {
        let clock = SystemClock::shared();
        let cache = Cache::open(store::cache_options(&config), clock.clone()).await;
        let reporter = Reporter::start(report::options(&config), clock.clone());
        let reporter = reporter.map_err(|e| Failure::No(format!("failures.sentry_dsn: {e}")))?;
        let parts = weir_gateway::Parts {
            config,
            rules: tools.rules.clone(),
            cache,
            directory: tools.directory.clone(),
            recorder: tools.recorder.clone(),
            clock,
            candidates: None,
            observers: Observers::new(vec![Arc::new(reporter.clone())]),
            guest: None,
        };
        let gateway =
            Gateway::told(parts, tools.telemetry()).await.map_err(|e| Failure::No(e.to_string()))?;
        let of_port = |e| Failure::dependency("listening for the agent's own requests", e);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(of_port)?;
        let address = listener.local_addr().map_err(of_port)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move { gateway.serve(listener, stopped).await });
        let client = Client::builder(TokioExecutor::new()).build_http();
        let model = ThroughGateway { address, client, key: key.key.clone() };
        Ok(Self { model, stop, serving, reporter })
    }

    /// The way to ask a model.
    pub fn model(&self) -> ThroughGateway {
        self.model.clone()
    }

    /// Ends it in order, so that its last records are filed.
    pub async fn end(self) {
        let Self { model, stop, serving, reporter } = self;
        // Its connections would be waited for.
        drop(model);
        stop.cancel();
        if let Err(error) = serving.await {
            tracing::error!(%error, "the agent's gateway ended badly");
        }
        reporter.shutdown(REPORTS_MAX).await;
    }
}

/// Asks models through the gateway.
#[derive(Clone)]
pub struct ThroughGateway {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    key: Secret,
}

impl Model for ThroughGateway {
    async fn ask(&self, api: Api, request: Json, said: Said<'_>) -> Result<Json, ModelError> {
        let request = Request::post(format!("http://{}{}", self.address, api.path()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", expose(&self.key)))
            .header("anthropic-version", "2023-06-01")
            .body(Full::from(request.to_string()))
            .map_err(|error| ModelError::failed(error.to_string()))?;
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| ModelError::failed(format!("weir's own gateway: {error}")))?;
        let status = answer.status();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let streams = header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let decision = header("x-weir-decision").map(str::to_owned);
        if status.is_success() && streams {
            return assembled(api, answer.into_body(), said).await;
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body =
            body.map_err(|_| ModelError::failed("the model's answer broke off, or is too long"))?.to_bytes();
        let read: Result<Json, _> = serde_json::from_slice(&body);
        match read {
            Ok(answer) if status.is_success() => Ok(answer),
            Err(_) if status.is_success() => Err(ModelError::failed("the model's answer is no JSON")),
            read => Err(refusal(status, &read.unwrap_or_default(), decision.as_deref())),
        }
    }
}

/// Reads a stream to its end.
async fn assembled(api: Api, mut body: Incoming, said: Said<'_>) -> Result<Json, ModelError> {
    let mut assembler = Assembler::new(api);
    while let Some(frame) = body.frame().await {
        // What came before the cut may be the whole answer, or tell of the failure.
        let Ok(frame) = frame else { break };
        if let Some(chunk) = frame.data_ref() {
            assembler.push(chunk, said)?;
        }
    }
    assembler.finish()
}

/// A refusal for a person: both protocols keep their words in the same place.
fn refusal(status: http::StatusCode, body: &Json, decision: Option<&str>) -> ModelError {
    let explain = decision.map(|id| format!(" (weir explain {id} says why)")).unwrap_or_default();
    let error = body.get("error").unwrap_or(&Json::Null);
    let told = ModelError::told(error, "");
    let said = error.get("message").and_then(Json::as_str).unwrap_or("no reason was given");
    let message =
        format!("the model's request was answered with {status}: {}{explain}", cleaned(said, TOLD_CHARS_MAX));
    ModelError { message, refused: status.is_client_error(), error_type: told.error_type }
}
