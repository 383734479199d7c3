//! What the configuration means for the data plane, prepared once so that no request has to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use weir_config::Config;
use weir_config::config::{AbuseMode, Auth};
use weir_core::ApiKind;
use weir_core::action::QuarantineDelays;
use weir_core::address::TrustedProxies;
use weir_core::secret::{Secret, expose};

use crate::classifier::ServiceSettings;
use crate::client::Destination;
use crate::gateway::GatewayError;
use crate::hold::HoldBounds;
use crate::known_dead::KnownDead;
use crate::meters::ModelMeters;

/// The settings of one configuration. A request keeps the ones it began with.
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) providers: HashMap<String, Arc<Provider>, foldhash::fast::RandomState>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) fingerprint_header: HeaderName,
    pub(crate) mode: AbuseMode,
    pub(crate) disclose: bool,
    pub(crate) delays: QuarantineDelays,
    pub(crate) hold_bounds: HoldBounds,
    pub(crate) classify_timeout: Duration,
    pub(crate) connections_max: usize,
    pub(crate) body_bytes_max: usize,
    pub(crate) drain: Duration,
    pub(crate) service: Option<ServiceSettings>,
    /// The platform's keys that are known to be dead, as long as this configuration is in force.
    pub(crate) known_dead: KnownDead,
    /// The metrics of its models.
    pub(crate) model_meters: ModelMeters,
}

/// One configured provider, with everything of an upstream request that does not depend on the request.
pub(crate) struct Provider {
    pub(crate) name: Arc<str>,
    pub(crate) simulated: bool,
    pub(crate) auth: Auth,
    /// The platform's keys, ready to be sent; none means that only callers' own keys are served.
    pub(crate) keys: Vec<Credential>,
    /// Whether it is the platform's own backend, whose 401 and 403 are the session's.
    pub(crate) house: bool,
    /// Where it is, for failures to reach it.
    pub(crate) base_url: String,
    apis: Vec<ApiKind>,
    /// Where each operation lies.
    destinations: Vec<(ApiKind, Destination)>,
}

/// The header that authenticates at a provider.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

impl Provider {
    fn new(provider: &weir_config::config::Provider) -> Result<Self, GatewayError> {
        let mut destinations = Vec::new();
        if let Some(base) = &provider.base_url {
            for kind in ALL_KINDS {
                let text = format!("{}{}", base.as_str().trim_end_matches('/'), kind.upstream_path());
                let unusable = || GatewayError::BaseUrl { provider: provider.name.clone() };
                destinations.push((kind, Destination::parse(&text).ok_or_else(unusable)?));
            }
        }
        let credential = |key: &Secret| {
            Credential::new(provider.auth, key)
                .ok_or_else(|| GatewayError::ProviderKey { provider: provider.name.clone() })
        };
        // A provider that is shown no key has none, whatever is configured.
        let shown = provider.api_keys.iter().filter(|_| provider.auth != Auth::None);
        let keys = shown.map(credential).collect::<Result<_, _>>()?;
        Ok(Self {
            name: provider.name.as_str().into(),
            simulated: provider.simulated,
            auth: provider.auth,
            keys,
            house: provider.house,
            base_url: provider.base_url.as_ref().map(ToString::to_string).unwrap_or_default(),
            apis: provider.apis.clone(),
            destinations,
        })
    }

    /// Whether the provider serves this operation.
    pub(crate) fn serves(&self, kind: ApiKind) -> bool {
        self.apis.contains(&kind.served_as())
    }

    /// Whether a request to it needs a key.
    pub(crate) fn needs_key(&self) -> bool {
        !self.simulated && self.auth != Auth::None
    }

    /// Where the operation lies at the provider.
    pub(crate) fn destination(&self, kind: ApiKind) -> Option<&Destination> {
        self.destinations.iter().find(|(of, _)| *of == kind).map(|(_, destination)| destination)
    }
}

const ALL_KINDS: [ApiKind; 5] = [
    ApiKind::ChatCompletions,
    ApiKind::Responses,
    ApiKind::Messages,
    ApiKind::Embeddings,
    ApiKind::CountTokens,
];

impl Credential {
    /// None when the key has bytes that no header may hold.
    pub(crate) fn new(auth: Auth, key: &Secret) -> Option<Self> {
        let (name, text) = match auth {
            Auth::Bearer => (http::header::AUTHORIZATION, format!("Bearer {}", expose(key))),
            Auth::XApiKey => (HeaderName::from_static("x-api-key"), expose(key).to_owned()),
            Auth::None => return None,
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(Self { name, value })
    }
}

impl Settings {
    pub(crate) fn new(config: Arc<Config>) -> Result<Self, GatewayError> {
        let mut providers = HashMap::default();
        for provider in &config.providers {
            providers.insert(provider.name.clone(), Arc::new(Provider::new(provider)?));
        }
        let quarantine = &config.abuse.quarantine;
        Ok(Self {
            providers,
            trusted_proxies: config.trusted_proxies.clone(),
            fingerprint_header: HeaderName::from_bytes(config.fingerprint_header.as_bytes())
                .map_err(|_| GatewayError::FingerprintHeader)?,
            mode: config.abuse.mode,
            disclose: config.abuse.disclose,
            delays: quarantine.delays,
            hold_bounds: HoldBounds {
                held_max: quarantine.held_max,
                held_per_identity_max: quarantine.held_per_identity_max,
            },
            classify_timeout: config.abuse.classify_timeout,
            connections_max: config.limits.connections_max,
            body_bytes_max: config.limits.body_bytes_max,
            drain: config.limits.drain,
            service: ServiceSettings::new(&config)?,
            known_dead: KnownDead::default(),
            model_meters: ModelMeters::default(),
            config,
        })
    }
}
