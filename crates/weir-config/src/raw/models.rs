//! Providers, models and callers' keys as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{RawDuration, RawMap, RawSecret};

/// One upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProvider {
    /// Its name, unique.
    #[schemars(required, length(min = 1))]
    pub name: Option<String>,
    /// Where it is, version included: `https://api.openai.com/v1`. Required unless `simulated`.
    pub base_url: Option<String>,
    /// Whether weir itself plays it, so that no key and no network is needed.
    #[schemars(extend("default" = false))]
    pub simulated: Option<bool>,
    /// What it serves. Required unless `simulated`, which serves everything when it is left out.
    #[schemars(length(min = 1))]
    pub apis: Option<Vec<RawApi>>,
    /// How it is shown a key. A simulated one takes none.
    #[schemars(extend("default" = "bearer"))]
    pub auth: Option<RawAuth>,
    /// The platform's key. Left out or empty: only callers' own keys are served.
    pub api_key: Option<RawSecret>,
    /// A pool of the platform's keys: weir moves on when one is exhausted. Empty ones are left out.
    pub api_keys: Option<Vec<RawSecret>>,
    /// Whether it is the platform's own backend, whose 401 and 403 are the session's.
    #[schemars(extend("default" = false))]
    pub house: Option<bool>,
}

/// What a provider serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawApi {
    /// OpenAI chat completions.
    ChatCompletions,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages, with the count of tokens.
    Messages,
    /// OpenAI embeddings.
    Embeddings,
}

/// How a provider is shown a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum RawAuth {
    /// `authorization: Bearer KEY`.
    #[serde(rename = "bearer")]
    Bearer,
    /// `x-api-key: KEY`.
    #[serde(rename = "x-api-key")]
    XApiKey,
    /// Not at all.
    #[serde(rename = "none")]
    None,
}

/// One model.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawModel {
    /// What callers name; a `*` at the end stands for whatever follows. Case does not count.
    #[schemars(required, length(min = 1))]
    pub id: Option<String>,
    /// The name of the provider that serves it.
    #[schemars(required)]
    pub provider: Option<String>,
    /// What it is called upstream; `"*"` is what the star of the id stood for. Left out: the name that was asked for.
    #[schemars(length(min = 1))]
    pub upstream_model: Option<String>,
    /// How many tokens fit into its context.
    #[schemars(range(min = 1))]
    pub context_window: Option<u64>,
    /// What it costs. Left out: nothing is charged.
    pub price: Option<RawPrice>,
    /// Models to try when this one fails, in order.
    #[schemars(extend("default" = []))]
    pub fallbacks: Option<Vec<String>>,
    /// Whether anonymous callers may use it and quarantine-3 may choose it.
    #[schemars(extend("default" = false))]
    pub free: Option<bool>,
    /// Whether it is gone: 404 `discontinued_free_model`.
    #[schemars(extend("default" = false))]
    pub discontinued: Option<bool>,
}

/// US dollars for a million tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPrice {
    /// Of what the model reads.
    #[schemars(required, range(min = 0))]
    pub input: Option<f64>,
    /// Of what it writes.
    #[schemars(required, range(min = 0))]
    pub output: Option<f64>,
}

/// The limit of an anonymous address or a user over all free models.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFreeModels {
    /// How many requests pass in one window.
    #[schemars(range(min = 1), extend("default" = 200))]
    pub requests: Option<u64>,
    /// The length of the window.
    #[schemars(extend("default" = "1h"))]
    pub per: Option<RawDuration>,
}

/// A caller's key that the file itself holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKey {
    /// The key, as the caller sends it.
    #[schemars(required)]
    pub key: Option<RawSecret>,
    /// Whose it is.
    #[schemars(required, length(min = 1))]
    pub user: Option<String>,
    /// The organisation.
    pub org: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// The plan.
    pub plan: Option<String>,
    /// Tags that rules may read.
    #[schemars(extend("default" = []))]
    pub tags: Option<Vec<String>>,
    /// How much it may spend, in US dollars. Left out: no limit.
    #[schemars(range(min = 0))]
    pub budget_usd: Option<f64>,
    /// The caller's own keys: provider name -> key.
    #[schemars(extend("default" = {}))]
    pub byok: Option<RawMap<RawSecret>>,
    /// The channel of its tool calls through `/mcp`.
    #[schemars(length(min = 1), extend("default" = "mcp"))]
    pub channel: Option<String>,
}
