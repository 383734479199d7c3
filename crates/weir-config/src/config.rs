//! The checked configuration: every value has its meaning as its type.
//!
//! Nothing here can be wrong by itself any more; what is said in `docs/configuration.md` about defaults is done by
//! the checker, so that a reader of these types never meets an absent default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use weir_core::ApiKind;
use weir_core::action::QuarantineDelays;
use weir_core::address::TrustedProxies;
use weir_core::secret::Secret;
use weir_core::tool::PermissionLevel;

use crate::catalogue::ModelCatalogue;

/// A configuration that may be put in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of weir's own files.
    pub data_dir: PathBuf,
    /// Where the two planes listen.
    pub listen: Listen,
    /// Who may use the admin plane.
    pub admin: Admin,
    /// Where rules, keys, approvals, decisions and usage are kept.
    pub store: DatabaseUrl,
    /// Where actions, counters and limits are kept.
    pub cache: CacheUrl,
    /// Whose forwarding, fingerprint and geography headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// The header that carries the client's TLS fingerprint, in lower case.
    pub fingerprint_header: String,
    /// What bounds the data plane.
    pub limits: Limits,
    /// The upstreams, in the order of the file.
    pub providers: Vec<Provider>,
    /// The models, to be looked up.
    pub models: ModelCatalogue,
    /// The limit of an anonymous address or a user over all free models.
    pub free_models: Rate,
    /// The keys that the file itself holds.
    pub keys: Vec<ConfiguredKey>,
    /// How abuse rules are enforced.
    pub abuse: Abuse,
    /// What switches enforcement off when it hits too many; `None`: nothing does.
    pub stop_loss: Option<StopLoss>,
    /// What happens when a provider fails.
    pub failures: Failures,
    /// What bounds agents' tool calls.
    pub tools: Tools,
    /// Rule files and folders; `None`: the store is the master.
    pub rules: Option<Vec<PathBuf>>,
    /// Logs and traces.
    pub telemetry: Telemetry,
}

/// Where the two planes listen. Port 0 takes any free port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The data plane: callers' requests.
    pub data: SocketAddr,
    /// The admin plane.
    pub admin: SocketAddr,
}

/// Who may use the admin plane.
#[derive(Clone, Debug, Default)]
pub struct Admin {
    /// The administrator's token; `None`: one is made and kept in the data folder.
    pub token: Option<Secret>,
    /// The pair of headers that the abuse service also accepts.
    pub access: Option<AccessPair>,
    /// More tokens, each with a name and a role.
    pub tokens: Vec<AdminToken>,
}

/// `CF-Access-Client-Id` and `CF-Access-Client-Secret` as the abuse service expects them.
#[derive(Clone, Debug)]
pub struct AccessPair {
    /// The first header.
    pub client_id: String,
    /// The second header.
    pub client_secret: Secret,
}

/// A token of the admin plane with a name and a role.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// Who it belongs to, for the records.
    pub name: String,
    /// The token.
    pub token: Secret,
    /// What its holder may do.
    pub role: Role,
}

/// What the holder of an admin token may do; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, and answer approvals.
    Approver,
    /// Everything.
    Operator,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Approver, Self::Operator];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
        }
    }
}

/// The database of rules, keys, approvals, decisions and usage.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database; it may hold a password.
    Postgres(Secret),
}

/// The cache of actions, counters, limits and change notices.
#[derive(Clone, Debug)]
pub enum CacheUrl {
    /// In this process: for one node.
    Memory,
    /// The URL of one Redis or Valkey server (`redis://` or `rediss://`).
    Redis(Secret),
    /// The URLs of some nodes of a cluster, each `redis://` or `rediss://`.
    RedisCluster(Vec<Secret>),
    /// A service watched by sentinels.
    RedisSentinel(Sentinel),
}

/// A Redis service that is found by asking its sentinels.
#[derive(Clone, Debug)]
pub struct Sentinel {
    /// The URLs of the sentinels.
    pub sentinels: Vec<Secret>,
    /// The name of the service.
    pub service: String,
    /// The number of the database.
    pub database: i64,
    /// Whether the service itself speaks TLS.
    pub tls: bool,
    /// The user name at the service.
    pub username: Option<String>,
    /// The password at the service.
    pub password: Option<Secret>,
}

/// At most `requests` in a window of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many pass.
    pub requests: u64,
    /// The length of the window.
    pub per: Duration,
}

/// What bounds the data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How many connections may be open at once.
    pub connections_max: usize,
    /// How long open streams may go on after SIGTERM.
    pub drain: Duration,
    /// How long one call of a shared cache may take.
    pub cache_timeout: Duration,
    /// The limit of one address without a valid key.
    pub unauthenticated: Rate,
    /// How long an upstream is waited for.
    pub upstream: UpstreamTimeouts,
}

/// How long an upstream is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
}

/// One configured upstream.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name, unique.
    pub name: String,
    /// Where it is, without a slash at the end of its path; `None` for a simulated one.
    pub base_url: Option<Url>,
    /// Whether weir itself plays it.
    pub simulated: bool,
    /// What it serves; `messages` includes the count of tokens.
    pub apis: Vec<ApiKind>,
    /// How it is shown a key.
    pub auth: Auth,
    /// The platform's keys; empty: only callers' own keys are served, unless `auth` is `none`.
    pub api_keys: Vec<Secret>,
    /// Whether it is the platform's own backend, whose 401 and 403 are the session's.
    pub house: bool,
}

impl Provider {
    /// Whether it serves this kind of request.
    #[must_use]
    pub fn serves(&self, api: ApiKind) -> bool {
        self.apis.contains(&api.served_as())
    }

    /// The URL of an operation; `None` for a simulated provider.
    #[must_use]
    pub fn endpoint(&self, api: ApiKind) -> Option<String> {
        let base = self.base_url.as_ref()?;
        Some(format!("{}{}", base.as_str().trim_end_matches('/'), api.upstream_path()))
    }
}

/// How an upstream is shown a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// `x-api-key: KEY`.
    XApiKey,
    /// Not at all.
    None,
}

/// A caller's key that the file itself holds.
#[derive(Clone, Debug)]
pub struct ConfiguredKey {
    /// The key.
    pub key: Secret,
    /// Whose it is.
    pub user: String,
    /// The organisation.
    pub org: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// The plan.
    pub plan: Option<String>,
    /// Tags that rules may read.
    pub tags: Vec<String>,
    /// How much it may spend, in US dollars; `None`: no limit.
    pub budget_usd: Option<f64>,
    /// The caller's own keys by the provider's name.
    pub byok: BTreeMap<String, Secret>,
    /// The channel of its tool calls.
    pub channel: String,
}

/// How abuse rules are enforced.
#[derive(Clone, Debug)]
pub struct Abuse {
    /// When a decision is made.
    pub mode: AbuseMode,
    /// A remote classifier.
    pub service_url: Option<Url>,
    /// Headers for the remote classifier.
    pub service_headers: Vec<(String, Secret)>,
    /// How long a fresh classification is waited for.
    pub classify_timeout: Duration,
    /// Whether an answer tells of a delay or a downgrade.
    pub disclose: bool,
    /// The delays and what bounds them.
    pub quarantine: Quarantine,
}

/// When a request is decided (design, section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbuseMode {
    /// Before it leaves, the first request included.
    #[default]
    Inline,
    /// The last known action is enforced and refreshed beside the request.
    Cached,
    /// Not at all.
    Off,
}

/// The delays of quarantined requests and what bounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// How long each quarantine holds a request.
    pub delays: QuarantineDelays,
    /// How many requests may be held at once.
    pub held_max: usize,
    /// How many of one identity.
    pub held_per_identity_max: usize,
}

/// Switches enforcement off when it hits too large a share of identities.
#[derive(Clone, Debug, PartialEq)]
pub struct StopLoss {
    /// The share of identities, in per cent.
    pub share_percent: f64,
    /// Below this many identities in the window it never acts.
    pub identities_min: u64,
    /// The window.
    pub window: Duration,
    /// Who is exempt while it acts.
    pub protect: Vec<Protected>,
}

/// Who is exempt while a stop-loss acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protected {
    /// Those with a plan.
    Paying,
    /// Those with their own provider keys.
    Byok,
}

/// What happens when a provider fails.
#[derive(Clone, Debug)]
pub struct Failures {
    /// How a failed request is tried again.
    pub retries: Retries,
    /// Where errors are reported.
    pub sentry_dsn: Option<Secret>,
    /// The environment that reports name.
    pub sentry_environment: Option<String>,
    /// The log level of failures that are nobody's emergency.
    pub log_level: LogLevel,
    /// One report for each class, provider and owner in this time.
    pub report_window: Duration,
}

/// How a failed request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Tries of one model, the first included.
    pub attempts: u32,
    /// The first pause.
    pub base: Duration,
    /// The longest pause.
    pub max: Duration,
    /// The longest `retry-after` that is waited for.
    pub retry_after_max: Duration,
}

/// A level of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
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

/// What bounds agents' tool calls.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The ceiling of each channel; empty: unrestricted.
    pub channel_permissions: BTreeMap<String, PermissionLevel>,
    /// The levels of single tools.
    pub levels: BTreeMap<String, PermissionLevel>,
    /// Where built-in tools may touch files; empty: nowhere.
    pub allowed_roots: Vec<PathBuf>,
    /// weir's own files and folders: its database, the admin token, the sessions of agents, its rules. They are closed to
    /// tools wherever the roots lie. Not a key: it follows from the others.
    pub own_files: Vec<PathBuf>,
    /// Networks of this machine and of private ones that the built-in `fetch_url` may reach.
    pub fetch_private: TrustedProxies,
    /// How long one call may take.
    pub timeout: Duration,
    /// When a turn that goes nowhere is ended.
    pub loop_guard: LoopGuard,
    /// How held calls are answered.
    pub approvals: Approvals,
    /// The tool servers.
    pub mcp_servers: Vec<McpServer>,
}

/// The folder in `data_dir` that holds the sessions of `weir agent`.
pub const SESSIONS: &str = "sessions";

/// When a turn that goes nowhere is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopGuard {
    /// After this many identical failures; at least 2.
    pub identical: u32,
    /// After this many failures in a row.
    pub failures: u32,
}

/// How held calls are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How long a call is held.
    pub ttl: Duration,
    /// Who may answer.
    pub approver: Approver,
    /// Whom to tell about a held call.
    pub webhook: Option<Url>,
}

/// Who may answer an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approver {
    /// Also the one who asked.
    Requester,
    /// Anybody but the one who asked.
    Other,
    /// Whoever has this role, or one that includes it.
    Role(Role),
}

impl Approver {
    /// Whether somebody with a role may say yes to a call of `caller`, an identity's key. A no is always heard.
    ///
    /// # Errors
    /// The reason, for people, and who may.
    pub fn admits(&self, caller: &str, by: &str, role: Role) -> Result<(), String> {
        let user = |name: &str| name.trim().trim_start_matches("user:").to_owned();
        match self {
            Self::Requester => Ok(()),
            Self::Other if user(caller) == user(by) => {
                Err("this call is one's own: somebody else must approve it \
                                                            (`tools.approvals.approver: other`)"
                    .to_owned())
            }
            Self::Other => Ok(()),
            Self::Role(needed) if role < *needed => Err(format!(
                "this needs the role {} (`tools.approvals.approver`), and the role here is {}",
                needed.as_str(),
                role.as_str()
            )),
            Self::Role(_) => Ok(()),
        }
    }
}

/// A tool server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// Its name, unique.
    pub name: String,
    /// How it is reached.
    pub transport: McpTransport,
}

/// How a tool server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpTransport {
    /// A program and its arguments, spoken to over its standard input and output.
    Command(Vec<String>),
    /// Streamable HTTP.
    Url(Url),
}

/// Logs and traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// What is logged, as a filter: `info`, or `info,weir_gateway=debug`.
    pub log: String,
    /// How a line of the log looks.
    pub log_format: LogFormat,
    /// Where traces are sent.
    pub otlp_endpoint: Option<Url>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Config {
    /// The provider with this name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }
}
