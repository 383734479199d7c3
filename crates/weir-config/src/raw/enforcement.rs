//! Abuse rules, the stop-loss and failures as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{RawDuration, RawMap, RawSecret};

/// How abuse rules are enforced.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAbuse {
    /// When a request is decided. Left out: `inline`, or `cached` when there is a `service_url`.
    pub mode: Option<RawAbuseMode>,
    /// A remote classifier that speaks `POST /api/classify`; with `mode: cached` (or no mode) only. Empty: none.
    #[schemars(extend("default" = ""))]
    pub service_url: Option<String>,
    /// Headers for the remote classifier. `CF-Access-Client-Id` and `CF-Access-Client-Secret`: both or neither.
    #[schemars(extend("default" = {}))]
    pub service_headers: Option<RawMap<RawSecret>>,
    /// How long a fresh classification is waited for.
    #[schemars(extend("default" = "2s"))]
    pub classify_timeout: Option<RawDuration>,
    /// Whether a downgraded or delayed answer says so.
    #[schemars(extend("default" = false))]
    pub disclose: Option<bool>,
    /// The delays of quarantined requests and what bounds them.
    pub quarantine: Option<RawQuarantine>,
}

/// When a request is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawAbuseMode {
    /// Before it leaves, the first request included.
    Inline,
    /// The last known action is enforced, and refreshed beside the request.
    Cached,
    /// Not at all.
    Off,
}

/// The delays of quarantined requests and what bounds them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawQuarantine {
    /// The delay of quarantine-1.
    #[schemars(extend("default" = "2s"))]
    pub first: Option<RawDuration>,
    /// The delay of quarantine-2 and quarantine-3.
    #[schemars(extend("default" = "6s"))]
    pub second: Option<RawDuration>,
    /// How many requests may be held at once; beyond it 429.
    #[schemars(range(min = 1), extend("default" = 10_000))]
    pub held_max: Option<u64>,
    /// How many of one identity; beyond it 429.
    #[schemars(range(min = 1), extend("default" = 20))]
    pub held_per_identity_max: Option<u64>,
}

/// Switches enforcement off when it hits too large a share of identities.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStopLoss {
    /// The share of identities, in per cent.
    #[schemars(range(min = 0, max = 100), extend("default" = 10))]
    pub share_percent: Option<f64>,
    /// Below this many identities in the window it never acts.
    #[schemars(range(min = 1), extend("default" = 100))]
    pub identities_min: Option<u64>,
    /// The window.
    #[schemars(extend("default" = "5m"))]
    pub window: Option<RawDuration>,
    /// Who is exempt while it acts.
    #[schemars(extend("default" = ["paying", "byok"]))]
    pub protect: Option<Vec<RawProtected>>,
}

/// Who is exempt while a stop-loss acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawProtected {
    /// Those with a plan.
    Paying,
    /// Those with their own provider keys.
    Byok,
}

/// What happens when a provider fails.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFailures {
    /// How a failed request is tried again.
    pub retries: Option<RawRetries>,
    /// Where errors are reported. Empty: nowhere.
    #[schemars(extend("default" = ""))]
    pub sentry_dsn: Option<RawSecret>,
    /// The environment that reports name, such as `production`. Empty: none.
    #[schemars(extend("default" = ""))]
    pub sentry_environment: Option<String>,
    /// The log level of failures that are nobody's emergency.
    #[schemars(extend("default" = "info"))]
    pub log_level: Option<RawLogLevel>,
    /// One report for each class, provider and owner in this time, with its count.
    #[schemars(extend("default" = "60s"))]
    pub report_window: Option<RawDuration>,
}

/// How a failed request is tried again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRetries {
    /// Tries of one model, the first included.
    #[schemars(range(min = 1, max = 100), extend("default" = 2))]
    pub attempts: Option<u32>,
    /// The first pause.
    #[schemars(extend("default" = "50ms"))]
    pub base: Option<RawDuration>,
    /// The longest pause.
    #[schemars(extend("default" = "10s"))]
    pub max: Option<RawDuration>,
    /// The longest `retry-after` that is waited for.
    #[schemars(extend("default" = "30s"))]
    pub retry_after_max: Option<RawDuration>,
}

/// A level of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawLogLevel {
    /// Every step.
    Trace,
    /// For developers.
    Debug,
    /// For operators.
    Info,
    /// Should be looked at.
    Warn,
    /// Must be looked at.
    Error,
}
