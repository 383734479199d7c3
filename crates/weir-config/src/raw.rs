//! The configuration as it is written. The JSON Schema of these types is the one description of its shape: it is
//! what `shape` holds a file against and what `weir check --schema` prints. Doc comments are its descriptions.
//!
//! Every field is an `Option`, also where the schema says `required`, so that what is wrong in one place does not
//! hide what is wrong in another.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod enforcement;
mod models;
mod scalars;
mod tools;

pub(crate) use enforcement::*;
pub(crate) use models::*;
pub(crate) use scalars::*;
pub(crate) use tools::*;

/// The configuration of weir. Every section may be left out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "weir configuration")]
pub(crate) struct RawConfig {
    /// The folder of weir's own files: the SQLite database, the admin token that weir made.
    #[schemars(length(min = 1), extend("default" = "./weir-data"))]
    pub data_dir: Option<String>,
    /// Where the two planes listen.
    pub listen: Option<RawListen>,
    /// Who may use the admin plane.
    pub admin: Option<RawAdmin>,
    /// The database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`. Left out: `weir.db` in `data_dir`.
    pub store: Option<RawConnection>,
    /// The cache: `memory`, `redis://…`, `rediss://…` (TLS), `redis+cluster://A,B,C` or
    /// `redis+sentinel://A,B,C/SERVICE`.
    #[schemars(extend("default" = "memory"))]
    pub cache: Option<RawConnection>,
    /// Networks whose `x-forwarded-for`, fingerprint and geography headers are believed.
    #[schemars(extend("default" = ["127.0.0.1/32"]))]
    pub trusted_proxies: Option<Vec<RawNetwork>>,
    /// The header that carries the client's TLS fingerprint (JA4).
    #[schemars(length(min = 1), extend("default" = "x-vercel-ja4-digest"))]
    pub fingerprint_header: Option<String>,
    /// What bounds the data plane.
    pub limits: Option<RawLimits>,
    /// The upstreams. Left out: `sim`, a simulated one.
    pub providers: Option<Vec<RawProvider>>,
    /// The models that are served.
    #[schemars(extend("default" = []))]
    pub models: Option<Vec<RawModel>>,
    /// The limit of an anonymous address or a user over all free models.
    pub free_models: Option<RawFreeModels>,
    /// Callers' keys that the file itself holds; more are made with `weir keys create`.
    #[schemars(extend("default" = []))]
    pub keys: Option<Vec<RawKey>>,
    /// How abuse rules are enforced.
    pub abuse: Option<RawAbuse>,
    /// Switches enforcement off when it hits too large a share of identities. Left out: never.
    pub stop_loss: Option<RawStopLoss>,
    /// What happens when a provider fails.
    pub failures: Option<RawFailures>,
    /// What bounds agents' tool calls.
    pub tools: Option<RawTools>,
    /// Rule files, and folders of them. Left out: the store is the master of the rules.
    pub rules: Option<Vec<RawPath>>,
    /// Logs and traces.
    pub telemetry: Option<RawTelemetry>,
}

/// Where the two planes listen.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawListen {
    /// The data plane: callers' requests. Port 0 takes any free port.
    #[schemars(extend("default" = "127.0.0.1:8080"))]
    pub data: Option<RawAddress>,
    /// The admin plane: the admin API and the abuse service. Port 0 takes any free port.
    #[schemars(extend("default" = "127.0.0.1:8081"))]
    pub admin: Option<RawAddress>,
}

/// Who may use the admin plane.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdmin {
    /// The administrator's token. Left out or empty: a fresh one is made, kept in `data_dir` and shown once.
    pub token: Option<RawSecret>,
    /// The pair of headers that the abuse service also accepts: both or neither.
    pub access: Option<RawAccess>,
    /// More tokens, each with a name and a role.
    #[schemars(extend("default" = []))]
    pub tokens: Option<Vec<RawAdminToken>>,
}

/// The pair of headers that the abuse service also accepts: both or neither.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccess {
    /// What `CF-Access-Client-Id` must say.
    #[schemars(extend("default" = ""))]
    pub client_id: Option<RawSecret>,
    /// What `CF-Access-Client-Secret` must say.
    #[schemars(extend("default" = ""))]
    pub client_secret: Option<RawSecret>,
}

/// A token of the admin plane.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdminToken {
    /// Who it belongs to, for the records.
    #[schemars(required, length(min = 1))]
    pub name: Option<String>,
    /// The token.
    #[schemars(required)]
    pub token: Option<RawSecret>,
    /// What its holder may do.
    #[schemars(required)]
    pub role: Option<RawRole>,
}

/// What the holder of an admin token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawRole {
    /// Look.
    Viewer,
    /// Look, and answer approvals.
    Approver,
    /// Everything.
    Operator,
}

/// What bounds the data plane.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLimits {
    /// The largest request body, in bytes.
    #[schemars(range(min = 1), extend("default" = 33_554_432))]
    pub body_bytes_max: Option<u64>,
    /// How many connections may be open at once; lowered at start to what the limit of open files allows.
    #[schemars(range(min = 1), extend("default" = 18_000))]
    pub connections_max: Option<u64>,
    /// How long open streams may go on after SIGTERM.
    #[schemars(extend("default" = "30s"))]
    pub drain: Option<RawDuration>,
    /// How long one call of a shared cache may take; a slower one counts as failed, and requests go on without it.
    #[schemars(extend("default" = "50ms"))]
    pub cache_timeout: Option<RawDuration>,
    /// The limit of one address without a valid key, before anything is read; beyond it 429.
    pub unauthenticated: Option<RawUnauthenticated>,
    /// How long an upstream is waited for.
    pub upstream: Option<RawUpstream>,
}

/// The limit of one address without a valid key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawUnauthenticated {
    /// How many requests pass in one window.
    #[schemars(range(min = 1), extend("default" = 600))]
    pub requests: Option<u64>,
    /// The length of the window.
    #[schemars(extend("default" = "1m"))]
    pub per: Option<RawDuration>,
}

/// How long an upstream is waited for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawUpstream {
    /// Until the connection stands, TLS included.
    #[schemars(extend("default" = "5s"))]
    pub connect: Option<RawDuration>,
    /// From the request to the first byte of the answer.
    #[schemars(extend("default" = "120s"))]
    pub first_byte: Option<RawDuration>,
    /// Between two pieces of the answer.
    #[schemars(extend("default" = "120s"))]
    pub idle: Option<RawDuration>,
}

/// Logs and traces.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTelemetry {
    /// What is logged, as a filter: `info`, or `info,weir_gateway=debug`.
    #[schemars(length(min = 1), extend("default" = "info"))]
    pub log: Option<String>,
    /// How a line of the log looks.
    #[schemars(extend("default" = "auto"))]
    pub log_format: Option<RawLogFormat>,
    /// The base URL of a collector, to which traces and metrics are sent (OTLP over HTTP). Empty: nowhere.
    #[schemars(extend("default" = ""))]
    pub otlp_endpoint: Option<String>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawLogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Names and their values.
pub(crate) type RawMap<T> = BTreeMap<String, T>;
