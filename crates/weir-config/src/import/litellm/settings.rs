//! `router_settings`, `litellm_settings`, `general_settings` and `mcp_servers`.

use crate::document::{Entry, Node, Value};

use super::{At, Import, entries, get, items, number, text};

/// Tries of one model that weir allows at most.
const ATTEMPTS_MAX: f64 = 100.0;

/// What is not about models.
#[derive(Default)]
pub(super) struct Settings {
    /// Tries of one model, the first included.
    pub(super) attempts: Option<u32>,
    /// In seconds.
    pub(super) timeout_s: Option<f64>,
    pub(super) cache: Option<String>,
    pub(super) admin_token: Option<String>,
    pub(super) body_bytes_max: Option<u64>,
    pub(super) sentry: Option<String>,
    pub(super) otlp: Option<String>,
    pub(super) json_logs: bool,
    pub(super) debug: bool,
    pub(super) mcp_servers: Vec<McpServer>,
}

/// A server of tools.
pub(super) struct McpServer {
    pub(super) name: String,
    pub(super) url: Option<String>,
    pub(super) command: Vec<String>,
}

impl Import {
    pub(super) fn router_settings(&mut self, node: &Node, at: &At) {
        for entry in entries(node) {
            let (at, line) = (at.key(&entry.key), entry.key_place.line);
            if self.is_common(entry, &at) || self.is_redis(node, entry, &at) {
                continue;
            }
            let why = match entry.key.as_str() {
                "model_group_alias" => {
                    self.must_be(&entry.node, matches!(entry.node.value, Value::Map(_)), "mapping", &at);
                    for alias in entries(&entry.node) {
                        self.alias(&alias.key, &alias.node, &at.key(&alias.key));
                    }
                    continue;
                }
                "routing_strategy" | "routing_strategy_args" | "enable_tag_filtering" => {
                    "not carried over: weir tries keys and fallbacks in order, and does not spread requests"
                }
                "allowed_fails" | "allowed_fails_policy" | "cooldown_time" | "disable_cooldowns" => {
                    "not carried over: weir remembers by itself which keys are exhausted, and until when"
                }
                "retry_policy" | "model_group_retry_policy" => {
                    "not carried over: whether another try can help follows from the failure's class (docs/failures.md)"
                }
                "enable_pre_call_checks" => {
                    "not carried over: a request that is too long fails over to a model whose `context_window` is larger"
                }
                _ => "not carried over: not known to the import",
            };
            self.notes.add(&at, line, why);
        }
    }

    pub(super) fn litellm_settings(&mut self, node: &Node, at: &At) {
        for entry in entries(node) {
            let (at, line) = (at.key(&entry.key), entry.key_place.line);
            if self.is_common(entry, &at) {
                continue;
            }
            let why = match entry.key.as_str() {
                "callbacks" | "success_callback" | "failure_callback" | "service_callbacks" => {
                    self.callbacks(&entry.node, &at);
                    continue;
                }
                "json_logs" => {
                    self.settings.json_logs = self.truth_of(entry, &at) == Some(true);
                    continue;
                }
                "set_verbose" => {
                    self.settings.debug = self.truth_of(entry, &at) == Some(true);
                    continue;
                }
                "drop_params" | "modify_params" => {
                    "not carried over: weir sends requests as callers wrote them; a parameter that a provider refuses is \
                     its 400"
                }
                "cache" | "cache_params" | "enable_caching_on_provider_specific_optional_params" => {
                    "not carried over: weir does not answer from a cache of answers"
                }
                "turn_off_message_logging" | "redact_user_api_key_info" | "redact_messages_in_exceptions" => {
                    "not needed: weir records and logs no prompt, no completion and no key"
                }
                "max_budget"
                | "budget_duration"
                | "default_internal_user_params"
                | "max_internal_user_budget"
                | "default_key_generate_params"
                | "upperbound_key_generate_params" => {
                    "not carried over: budgets are of keys (`weir keys create --budget-usd`)"
                }
                _ => "not carried over: not known to the import",
            };
            self.notes.add(&at, line, why);
        }
    }

    /// What may stand in `router_settings` and in `litellm_settings`.
    fn is_common(&mut self, entry: &Entry, at: &At) -> bool {
        let line = entry.key_place.line;
        match entry.key.as_str() {
            "num_retries" => {
                if let Some(retries) = self.number_of(entry, at) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it is between 1 and 100"
                    )]
                    let attempts = (retries + 1.0).min(ATTEMPTS_MAX) as u32;
                    if retries + 1.0 > ATTEMPTS_MAX {
                        let why = format!("cut to {ATTEMPTS_MAX} tries: weir makes no more");
                        self.notes.add(at, line, why);
                    }
                    self.settings.attempts = Some(attempts);
                }
            }
            "timeout" | "request_timeout" | "stream_timeout" => {
                match number(&entry.node).filter(|s| *s > 0.0) {
                    Some(seconds) => {
                        let longer = self.settings.timeout_s.is_none_or(|known| known < seconds);
                        self.settings.timeout_s =
                            if longer { Some(seconds) } else { self.settings.timeout_s };
                        let why = "becomes the time until the first byte and between two pieces of an answer \
                               (`limits.upstream`): weir does not bound the whole";
                        self.notes.add(at, line, why);
                    }
                    None => self.notes.add(at, line, "not carried over: this is no number of seconds"),
                }
            }
            "fallbacks" => self.fallbacks(&entry.node, at),
            "context_window_fallbacks" => {
                let why = "joined to `fallbacks`: weir tries them whenever another model may help, larger windows where the \
                           request was too long";
                self.notes.add(at, line, why);
                self.fallbacks(&entry.node, at);
            }
            "default_fallbacks" => self.default_fallbacks(&entry.node, at),
            "content_policy_fallbacks" => {
                let why =
                    "not carried over: what a provider refuses by its content policy is not tried elsewhere";
                self.notes.add(at, line, why);
            }
            _ => return false,
        }
        true
    }

    fn callbacks(&mut self, node: &Node, at: &At) {
        let named: Vec<String> = match text(node) {
            Some(one) => vec![one],
            None => {
                self.must_be(node, matches!(node.value, Value::List(_)), "name, nor a list of names", at);
                items(node).iter().filter_map(text).collect()
            }
        };
        for name in named {
            match name.as_str() {
                "sentry" => self.settings.sentry = Some(optional(self.variables.read("SENTRY_DSN"))),
                "otel" | "opentelemetry" => {
                    let endpoint = self.variables.read("OTEL_EXPORTER_OTLP_ENDPOINT");
                    self.settings.otlp = Some(optional(endpoint));
                }
                // Served always, at `/metrics` of the admin plane.
                "prometheus" => {}
                _ => {
                    let why = "not carried over: weir tells Sentry, OpenTelemetry and Prometheus";
                    self.notes.add(at, node.place.line, why);
                }
            }
        }
    }

    pub(super) fn general_settings(&mut self, node: &Node, at: &At) {
        for entry in entries(node) {
            let (at, line) = (at.key(&entry.key), entry.key_place.line);
            let why = match entry.key.as_str() {
                "master_key" => {
                    self.master_key(&entry.node, &at);
                    continue;
                }
                "max_request_size_mb" => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it is not negative, and saturates"
                    )]
                    let bytes = self.number_of(entry, &at).map(|mb| (mb * 1024.0 * 1024.0) as u64);
                    self.settings.body_bytes_max = bytes.filter(|bytes| *bytes > 0);
                    continue;
                }
                "database_url"
                | "database_connection_pool_limit"
                | "database_connection_timeout"
                | "store_model_in_db" => {
                    "not carried over: LiteLLM's tables are its own. Virtual keys, teams, users and models that are kept \
                     there are not in this file: make keys with `weir keys create`"
                }
                "alerting" | "alerting_threshold" | "alert_types" | "slack_alerting" => {
                    "not carried over: weir reports failures that the operator must act on to Sentry (docs/reports.md)"
                }
                "max_parallel_requests" | "global_max_parallel_requests" => {
                    "not carried over: limits are rules on who calls (docs/rules.md); `limits.connections_max` bounds all"
                }
                "custom_auth" | "enable_jwt_auth" | "litellm_jwtauth" | "enable_oauth2_auth" => {
                    "not carried over: callers show weir an API key"
                }
                "pass_through_endpoints" => {
                    "not carried over: weir serves the paths that it knows, and no others"
                }
                _ => "not carried over: not known to the import, or not needed",
            };
            self.notes.add(&at, line, why);
        }
    }

    fn master_key(&mut self, node: &Node, at: &At) {
        let Some(key) = text(node) else { return self.not_a(node, "text", at) };
        let reference = self.variables.secret(&key, "LITELLM_MASTER_KEY");
        if reference.was_literal {
            let why = format!("the key itself is not written: set {} to it", reference.text);
            self.notes.add(at, node.place.line, why);
        }
        let why = "becomes the administrator's token, and the key of a caller `admin`, since LiteLLM takes it for both: \
                   give callers keys of their own and take that one away";
        self.notes.add(at, node.place.line, why);
        self.settings.admin_token = Some(reference.text);
    }

    pub(super) fn mcp_servers(&mut self, node: &Node, at: &At) {
        for entry in entries(node) {
            let (at, line) = (at.key(&entry.key), entry.key_place.line);
            let member = |key: &str| get(&entry.node, key).and_then(|entry| text(&entry.node));
            let url = member("url").filter(|url| !url.contains(['@', '?', '#']));
            if let Some(args) = get(&entry.node, "args") {
                self.must_be(&args.node, matches!(args.node.value, Value::List(_)), "list", &at.key("args"));
            }
            let args = get(&entry.node, "args").map(|args| items(&args.node)).unwrap_or_default();
            let command: Vec<String> =
                member("command").into_iter().chain(args.iter().filter_map(text)).collect();
            if url.is_none() && command.is_empty() {
                self.notes.add(&at, line, "not carried over: it has neither a plain URL nor a command");
                continue;
            }
            for other in entries(&entry.node) {
                if !["url", "command", "args", "transport", "description", "spec_version"]
                    .contains(&other.key.as_str())
                {
                    let why = "not carried over: weir starts or calls the server with its address alone";
                    self.notes.add(&at.key(&other.key), other.key_place.line, why);
                }
            }
            if !command.is_empty() && args.iter().filter_map(text).any(|arg| looks_secret(&arg)) {
                self.notes.add(&at.key("args"), line, "not carried over: an argument looks like a secret");
                continue;
            }
            self.settings.mcp_servers.push(McpServer { name: entry.key.clone(), url, command });
        }
    }
}

/// A variable that need not be set.
fn optional(reference: String) -> String {
    format!("{}:-}}", reference.trim_end_matches('}'))
}

fn looks_secret(text: &str) -> bool {
    weir_core::redact::redact(text) != text
}
