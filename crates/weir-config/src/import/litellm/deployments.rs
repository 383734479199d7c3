//! One entry of `model_list`: what it is called, who serves it, with which key, at what price.

use crate::document::{Entry, Node};

use super::providers::{self, Known};
use super::secrets::environment;
use super::{At, Import, entries, get, text};

/// One deployment, in weir's words.
#[derive(Clone)]
pub(super) struct Deployment {
    pub(super) at: At,
    pub(super) line: usize,
    /// What callers name.
    pub(super) name: String,
    pub(super) known: &'static Known,
    /// As weir reads it: with variables.
    pub(super) base_url: String,
    /// References.
    pub(super) key: Option<String>,
    /// What it is called upstream.
    pub(super) upstream: String,
    pub(super) order: i64,
    /// US dollars for a million tokens, read and written.
    pub(super) price: Option<(f64, f64)>,
    pub(super) context_window: Option<u64>,
}

/// Members of `litellm_params` that say how requests are spread over deployments.
const SPREAD: [&str; 6] = ["rpm", "tpm", "weight", "max_parallel_requests", "region_name", "tags"];

/// Modes of `model_info` that weir serves.
const SERVED_MODES: [&str; 4] = ["chat", "completion", "embedding", "responses"];

impl Import {
    /// Reads one entry; tells why when it cannot be carried over.
    pub(super) fn deployment(&mut self, node: &Node, at: &At) -> Option<Deployment> {
        let line = node.place.line;
        let name = get(node, "model_name").and_then(|entry| text(&entry.node));
        let params = get(node, "litellm_params").map(|entry| &entry.node);
        let model = params.and_then(|params| text(&get(params, "model")?.node));
        let (Some(name), Some(params), Some(model)) = (name, params, model) else {
            self.notes.add(at, line, "not carried over: it has no `model_name` or no `litellm_params.model`");
            return None;
        };
        let at_params = at.key("litellm_params");
        self.unread_members(node, at, &["model_name", "litellm_params", "model_info"]);
        let (prefix, upstream) = self.provider_of(params, &model, &at_params)?;
        let Some(known) = providers::find(&prefix) else {
            let line = get(params, "model").map_or(line, |entry| entry.key_place.line);
            self.notes.add(&at_params.key("model"), line, providers::why_not(&prefix));
            return None;
        };
        self.mode_is_served(node, at)?;
        let base_url = self.base_url(params, known, &at_params)?;
        let key = self.key(params, known, &at_params);
        self.params(params, &at_params);
        let info = get(node, "model_info").map(|entry| &entry.node);
        let at_info = at.key("model_info");
        // LiteLLM takes those of the lowest order first, and those without one after them.
        let order = self.number_at(params, "order", &at_params).unwrap_or(f64::MAX);
        let price = self.price((params, &at_params), info.map(|info| (info, &at_info)));
        let context_window =
            info.and_then(|info| whole(self.number_at(info, "max_input_tokens", &at_info)?));
        #[expect(clippy::cast_possible_truncation, reason = "an order is a small whole number")]
        Some(Deployment {
            at: at.clone(),
            line,
            name,
            known,
            base_url,
            key,
            upstream,
            order: order as i64,
            price,
            context_window,
        })
    }

    /// The provider and the upstream's own name of a model.
    fn provider_of(&mut self, params: &Node, model: &str, at: &At) -> Option<(String, String)> {
        if let Some(given) = get(params, "custom_llm_provider").and_then(|entry| text(&entry.node)) {
            let upstream = model.strip_prefix(&format!("{given}/")).unwrap_or(model);
            return Some((given, upstream.to_owned()));
        }
        if let Some((prefix, upstream)) = model.split_once('/')
            && (providers::find(prefix).is_some() || providers::guess(model).is_none())
        {
            // `openai/responses/…` chooses an API, which weir's callers do.
            let upstream = upstream.strip_prefix("responses/").unwrap_or(upstream);
            return Some((prefix.to_owned(), upstream.to_owned()));
        }
        if let Some(guessed) = providers::guess(model) {
            return Some((guessed.to_owned(), model.to_owned()));
        }
        if get(params, "api_base").is_some() {
            return Some(("openai_like".to_owned(), model.to_owned()));
        }
        let line = params.place.line;
        let why = "not carried over: nothing says which provider serves it; write `PROVIDER/MODEL`";
        self.notes.add(&at.key("model"), line, why);
        None
    }

    fn mode_is_served(&mut self, node: &Node, at: &At) -> Option<()> {
        let info = get(node, "model_info").map(|entry| &entry.node);
        let Some(mode) = info.and_then(|info| get(info, "mode")) else { return Some(()) };
        let served = text(&mode.node).is_some_and(|mode| SERVED_MODES.contains(&mode.as_str()));
        if !served {
            let why = "not carried over: weir serves chat completions, responses, messages and embeddings";
            self.notes.add(&at.key("model_info").key("mode"), mode.key_place.line, why);
        }
        served.then_some(())
    }

    /// The URL with its version; what may hold a secret becomes a variable.
    fn base_url(&mut self, params: &Node, known: &Known, at: &At) -> Option<String> {
        let Some(entry) = get(params, "api_base").or_else(|| get(params, "base_url")) else {
            if let Some(url) = known.base_url {
                return Some(url.to_owned());
            }
            let why = "not carried over: this provider has no address of its own; give `api_base`";
            self.notes.add(&at.key("api_base"), params.place.line, why);
            return None;
        };
        let (line, at) = (entry.key_place.line, at.key(&entry.key));
        let given = text(&entry.node).unwrap_or_default();
        if let Some(name) = environment(&given) {
            if known.path.is_empty() {
                return Some(self.variables.read(name));
            }
            let why =
                format!("`{}` is put behind what the variable holds: it must not end with it", known.path);
            self.notes.add(&at, line, why);
            return Some(format!("{}{}", self.variables.read(name), known.path));
        }
        if given.contains(['@', '?', '#']) {
            let usual = format!("{}_BASE_URL", known.prefix.to_ascii_uppercase());
            let reference = self.variables.secret(&given, &usual);
            let why = format!(
                "the URL may hold a secret and is not repeated: set {} to it, without login and query",
                reference.text
            );
            self.notes.add(&at, line, why);
            return Some(reference.text);
        }
        if !(given.starts_with("http://") || given.starts_with("https://")) {
            self.notes.add(&at, line, "not carried over: this is no URL of a provider");
            return None;
        }
        let given = given.trim_end_matches('/').replace("${", "$${");
        let given = given.strip_suffix("/chat/completions").unwrap_or(&given);
        Some(if given.ends_with(known.path) { given.to_owned() } else { format!("{given}{}", known.path) })
    }

    fn key(&mut self, params: &Node, known: &Known, at: &At) -> Option<String> {
        let given = get(params, "api_key").and_then(|entry| Some((entry, text(&entry.node)?)));
        let Some((entry, value)) = given else {
            return (known.auth != "none").then(|| self.variables.read(known.variable));
        };
        let reference = self.variables.secret(&value, known.variable);
        if reference.was_literal {
            let why = format!("the key itself is not written: set {} to it", reference.text);
            self.notes.add(&at.key("api_key"), entry.key_place.line, why);
        }
        Some(reference.text)
    }

    /// Tells of what else there is.
    fn params(&mut self, params: &Node, at: &At) {
        for entry in entries(params) {
            let why = match entry.key.as_str() {
                "model"
                | "api_base"
                | "base_url"
                | "api_key"
                | "order"
                | "custom_llm_provider"
                | "input_cost_per_token"
                | "output_cost_per_token" => continue,
                spread if SPREAD.contains(&spread) => {
                    "not carried over: weir does not spread requests over deployments; it tries keys and fallbacks \
                     in order, and limits are rules on who calls"
                }
                "timeout" | "stream_timeout" | "max_retries" | "num_retries" => {
                    "not carried over: weir has one time-out and one number of tries for all models \
                     (`limits.upstream`, `failures.retries`)"
                }
                "organization" => {
                    "not carried over: weir sends no organisation; use a key of that organisation"
                }
                "extra_headers" | "headers" => {
                    "not carried over: weir adds no headers to a provider's request"
                }
                _ => {
                    "not carried over: weir sends requests as callers wrote them, and sets no parameter itself"
                }
            };
            self.notes.add(&at.key(&entry.key), entry.key_place.line, why);
        }
    }

    /// Tells of members that are not known.
    pub(super) fn unread_members(&mut self, node: &Node, at: &At, known: &[&str]) {
        for Entry { key, key_place, .. } in entries(node) {
            if !known.contains(&key.as_str()) {
                self.notes.add(&at.key(key), key_place.line, "not carried over: not known to the import");
            }
        }
    }

    /// A number under a key; tells of what is none.
    fn number_at(&mut self, node: &Node, key: &str, at: &At) -> Option<f64> {
        get(node, key).and_then(|entry| self.number_of(entry, &at.key(key)))
    }

    /// The prices of a deployment: those beside its key stand before those of its `model_info`.
    fn price(&mut self, params: (&Node, &At), info: Option<(&Node, &At)>) -> Option<(f64, f64)> {
        let mut price = |key| {
            let own = self.price_at(params, key);
            let of_info = info.and_then(|info| self.price_at(info, key));
            own.or(of_info)
        };
        let (input, output) = (price("input_cost_per_token"), price("output_cost_per_token"));
        (input.is_some() || output.is_some()).then(|| (input.unwrap_or(0.0), output.unwrap_or(0.0)))
    }

    /// LiteLLM's prices are for a token, weir's for a million.
    fn price_at(&mut self, (node, at): (&Node, &At), key: &str) -> Option<f64> {
        let price = self.number_at(node, key, at)? * 1e6;
        // What the multiplication adds is far behind what anybody is charged.
        let rounded = (price * 1e12).round() / 1e12;
        if !rounded.is_finite() {
            let line = get(node, key).map_or(node.place.line, |entry| entry.node.place.line);
            self.notes.add(&at.key(key), line, "not carried over: no price is that high");
            return None;
        }
        // What costs something must not become free.
        Some(if rounded > 0.0 { rounded } else { price })
    }
}

fn whole(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and a context of more than 2^53 tokens is a mistake"
    )]
    Some(number as u64).filter(|number| *number > 0)
}
