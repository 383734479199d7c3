//! The facts that rules read (design, section 3): their names, their types, and the boundaries that know them.
//!
//! One table says everything about a fact. The compiler checks conditions against it, [`Facts`] lays out its slots
//! by it, and a test holds the reference in `docs/rules.md` against it.

mod caller;
mod owned;
mod recorded;
mod set;
mod slots;

use std::collections::BTreeMap;

use weir_core::Boundary;

pub(crate) use owned::kind_of;
pub use owned::{FactError, OwnedFacts, World};
pub(crate) use set::FactSet;
pub(crate) use slots::Slot;
pub use slots::{Facts, PROMPT_HEAD_BYTES, PROMPT_TAIL_BYTES, prompt_window};

/// The type of a fact, as the rule language sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FactType {
    /// `true` or `false`; unknown is `false`.
    Bool,
    /// A 64-bit integer; unknown is 0.
    Int,
    /// A 64-bit floating-point number; unknown is 0.
    Double,
    /// Text; unknown is empty.
    String,
    /// A point in time.
    Timestamp,
    /// A list of strings; unknown is empty.
    StringList,
    /// A map from names to strings; an absent name reads as the empty string.
    StringMap,
    /// Any JSON; reading an absent member is an error at run time.
    Dynamic,
}

impl FactType {
    /// The word in messages and in the reference.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::StringList => "list of strings",
            Self::StringMap => "map of strings",
            Self::Dynamic => "dynamic",
        }
    }
}

/// A map of strings that is looked up by name, such as the headers of a request (names in lower case).
pub trait StringMap: Sync {
    /// The value of a name, if the map has it.
    fn get(&self, name: &str) -> Option<&str>;

    /// Whether the map has the name.
    fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Calls `visit` with each name and its value. Whatever `get` finds must be visited.
    fn for_each(&self, visit: &mut dyn FnMut(&str, &str));
}

impl StringMap for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        BTreeMap::get(self, name).map(String::as_str)
    }

    fn for_each(&self, visit: &mut dyn FnMut(&str, &str)) {
        for (name, value) in self {
            visit(name, value);
        }
    }
}

macro_rules! facts {
    ($($variant:ident = $root:literal $name:literal $ty:ident $([$($word:literal),+])?;)+) => {
        /// One fact: a field of a root. The variants are in the order of design section 3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is named as its path")]
        pub enum Fact { $($variant,)+ }

        impl Fact {
            /// All facts.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The root that the fact belongs to, such as `request`.
            #[must_use]
            pub const fn root(self) -> &'static str {
                match self { $(Self::$variant => $root,)+ }
            }

            /// The field's name below its root; empty for `now`, which is a root without fields.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The fact's type.
            #[must_use]
            pub const fn ty(self) -> FactType {
                match self { $(Self::$variant => FactType::$ty,)+ }
            }

            /// The words that the fact can hold besides the empty one; empty where any text is possible.
            #[must_use]
            pub const fn words(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($($word),+)?],)+ }
            }
        }
    };
}

facts! {
    RequestApi = "request" "api" String ["chat_completions", "responses", "messages", "embeddings", "count_tokens"];
    RequestPath = "request" "path" String;
    RequestModel = "request" "model" String;
    RequestProvider = "request" "provider" String;
    RequestFree = "request" "free" Bool;
    RequestStream = "request" "stream" Bool;
    RequestMaxTokens = "request" "max_tokens" Int;
    RequestHasTools = "request" "has_tools" Bool;
    RequestByok = "request" "byok" Bool;
    RequestFeature = "request" "feature" String;
    RequestEditor = "request" "editor" String;
    RequestUserAgent = "request" "user_agent" String;
    RequestIp = "request" "ip" String;
    RequestJa4 = "request" "ja4" String;
    RequestCountry = "request" "country" String;
    RequestCity = "request" "city" String;
    RequestHeaders = "request" "headers" StringMap;
    RequestBodyBytes = "request" "body_bytes" Int;
    RequestUserPrompt = "request" "user_prompt" String;
    RequestSystemPrompt = "request" "system_prompt" String;
    IdentityKey = "identity" "key" String;
    IdentityKind = "identity" "kind" String ["user", "anonymous"];
    IdentityUserId = "identity" "user_id" String;
    IdentityOrgId = "identity" "org_id" String;
    IdentityProjectId = "identity" "project_id" String;
    IdentityPlan = "identity" "plan" String;
    IdentityVerified = "identity" "verified" Bool;
    IdentityBlocked = "identity" "blocked" Bool;
    IdentityAgeDays = "identity" "age_days" Int;
    IdentityTags = "identity" "tags" StringList;
    StatsRequestsPerSecond = "stats" "requests_per_second" Double;
    StatsRequests1h = "stats" "requests_1h" Int;
    StatsTokens1h = "stats" "tokens_1h" Int;
    StatsSpend1hUsd = "stats" "spend_1h_usd" Double;
    StatsDenied1h = "stats" "denied_1h" Int;
    StatsIps1h = "stats" "ips_1h" Int;
    StatsFirstSeenS = "stats" "first_seen_s" Int;
    FailureProvider = "failure" "provider" String;
    FailureOperation = "failure" "operation" String;
    FailureModel = "failure" "model" String;
    FailureStatus = "failure" "status" Int;
    FailureHttpStatus = "failure" "http_status" Int;
    FailurePhase = "failure" "phase" String ["connect", "head", "body", "stream"];
    FailureTransport = "failure" "transport" String ["connect", "dns", "tls", "timeout", "reset"];
    FailureCode = "failure" "code" String;
    FailureType = "failure" "type" String;
    FailureMessage = "failure" "message" String;
    FailureText = "failure" "text" String;
    FailureHeaders = "failure" "headers" StringMap;
    FailureRetryAfterS = "failure" "retry_after_s" Double;
    FailureHouse = "failure" "house" Bool;
    CredentialOwner = "credential" "owner" String ["user", "platform", "pooled"];
    AttemptNumber = "attempt" "number" Int;
    AttemptOf = "attempt" "of" Int;
    ToolName = "tool" "name" String;
    ToolServer = "tool" "server" String;
    ToolLevel = "tool" "level" String ["none", "read_only", "write", "execute", "dangerous"];
    ToolAnnotations = "tool" "annotations" Dynamic;
    CallArgs = "call" "args" Dynamic;
    CallLevel = "call" "level" String ["none", "read_only", "write", "execute", "dangerous"];
    CallIteration = "call" "iteration" Int;
    CallSource = "call" "source" String ["session", "bus", "channel", "cron", "webhook", "unknown"];
    ChannelName = "channel" "name" String;
    ChannelCeiling = "channel" "ceiling" String ["none", "read_only", "write", "execute", "dangerous"];
    AgentId = "agent" "id" String;
    SessionId = "session" "id" String;
    Now = "now" "" Timestamp;
}

impl Fact {
    /// How many facts there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The counters of an identity, which may lie in a shared store and are looked up where a rule reads one.
    pub const STATS: [Self; 7] = [
        Self::StatsRequestsPerSecond,
        Self::StatsRequests1h,
        Self::StatsTokens1h,
        Self::StatsSpend1hUsd,
        Self::StatsDenied1h,
        Self::StatsIps1h,
        Self::StatsFirstSeenS,
    ];

    /// The fact as a rule writes it, such as `request.model` or `now`.
    #[must_use]
    pub fn path(self) -> String {
        if self.name().is_empty() {
            self.root().to_owned()
        } else {
            format!("{}.{}", self.root(), self.name())
        }
    }

    /// The boundaries whose rules may read the fact.
    #[must_use]
    pub fn boundaries(self) -> &'static [Boundary] {
        boundaries_of(self.root())
    }

    /// Whether a rule of the boundary may read the fact.
    #[must_use]
    pub fn is_known_on(self, boundary: Boundary) -> bool {
        self.boundaries().contains(&boundary)
    }

    /// The fact of a root with a name, whatever the boundary.
    #[must_use]
    pub fn find(root: &str, name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.root() == root && f.name() == name)
    }

    /// Whether the fact is the text of a prompt, of which rules see a window only ([`prompt_window`]).
    #[must_use]
    pub const fn is_prompt(self) -> bool {
        matches!(self, Self::RequestUserPrompt | Self::RequestSystemPrompt)
    }
}

/// The boundaries whose rules may read a root; empty for a word that is no root.
#[must_use]
pub fn boundaries_of(root: &str) -> &'static [Boundary] {
    match root {
        "request" => &[Boundary::Request, Boundary::Failure],
        "identity" | "now" => &Boundary::ALL,
        "stats" => &[Boundary::Request, Boundary::Tool],
        "failure" | "credential" | "attempt" => &[Boundary::Failure],
        "tool" | "call" | "channel" | "agent" | "session" => &[Boundary::Tool],
        _ => &[],
    }
}

/// The roots that rules of a boundary may read, in the order of design section 3.
pub fn roots_on(boundary: Boundary) -> impl Iterator<Item = &'static str> {
    let mut last = "";
    Fact::ALL.iter().filter(move |f| f.is_known_on(boundary)).filter_map(move |f| {
        let new = f.root() != last;
        last = f.root();
        new.then_some(last)
    })
}

#[cfg(test)]
mod tests;
