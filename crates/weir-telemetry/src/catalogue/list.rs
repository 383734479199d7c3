//! The list itself, in the order of the alphabet.

use super::{Metric, MetricKind, Unit};

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, unit: Unit::Count, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, unit: Unit::Count, labels, help }
}

const fn seconds(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, unit: Unit::Seconds, labels, help }
}

/// All of them.
pub const METRICS: &[Metric] = &[
    seconds(
        "gen_ai_client_operation_duration_seconds",
        &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"],
        "One attempt at a provider, from the call to the end of its answer; `error_type` is the class of a failure, empty for none.",
    ),
    seconds(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"],
        "From the call to the first piece of a streamed answer.",
    ),
    Metric {
        name: "gen_ai_client_token_usage",
        kind: MetricKind::Histogram,
        unit: Unit::Tokens,
        labels: &[
            "gen_ai_operation_name",
            "gen_ai_provider_name",
            "gen_ai_request_model",
            "gen_ai_token_type",
        ],
        help: "Tokens of one answer, by the provider's own count.",
    },
    seconds(
        "mcp_client_operation_duration_seconds",
        &["mcp_method_name", "error_type"],
        "Requests to tool servers over MCP; `error_type` is `tool_error`, a code of JSON-RPC, what kept the answer away, or empty.",
    ),
    seconds(
        "mcp_server_operation_duration_seconds",
        &["mcp_method_name", "error_type"],
        "Requests of MCP clients to weir, from their coming to their answer; `error_type` as of `mcp_client_operation_duration_seconds`.",
    ),
    counter(
        "weir_access_log_dropped_total",
        &[],
        "Lines of the access log that found no room, because it is read too slowly.",
    ),
    counter(
        "weir_action_cache_total",
        &["result"],
        "Look-ups in the action cache (`abuse.mode: cached`): `hit`, `miss`, `error`.",
    ),
    counter(
        "weir_approval_webhooks_total",
        &["result"],
        "Calls of the approvals' webhook: `sent`, `failed`, `dropped`.",
    ),
    counter(
        "weir_approvals_total",
        &["state"],
        "Approvals by the state that they came into: `pending`, `approved`, `denied`, `withdrawn`.",
    ),
    gauge("weir_build_info", &["version"], "1; the version is the label."),
    counter(
        "weir_classifications_total",
        &["action"],
        "Answers of the abuse service `/api/classify`, by action.",
    ),
    seconds("weir_decision_duration_seconds", &["boundary"], "Asking the rules."),
    counter(
        "weir_decisions_total",
        &["boundary", "action", "mode", "rule"],
        "Matches of rules, by what they asked for and whether they were enforced or in shadow.",
    ),
    counter(
        "weir_failure_reports_total",
        &["report"],
        "Reports of failures by their kind: `first`, `page`, `surge`, `summary`.",
    ),
    counter(
        "weir_failures_total",
        &["provider", "class", "owner", "outcome"],
        "Failed attempts by what became of their report: `reported`, `suppressed` (in a summary), `expected` (nobody is called).",
    ),
    counter("weir_feed_reads_total", &[], "Reads of the store's feed of changes by this node."),
    counter(
        "weir_known_dead_total",
        &["provider"],
        "Calls that were not made, because the provider's key is known to be dead.",
    ),
    gauge(
        "weir_limit_overadmission_bound",
        &[],
        "How many requests more than a limit may pass in one window while nodes count by themselves; 0 while Redis answers.",
    ),
    counter(
        "weir_limit_windows_evicted_total",
        &[],
        "Windows of limits that were given up for want of room.",
    ),
    gauge("weir_nodes", &[], "Nodes that count together."),
    seconds(
        "weir_overhead_seconds",
        &[],
        "weir's own share of a request up to its answer's head, without artificial delay and without the provider's time.",
    ),
    counter("weir_panics_total", &[], "Panics: defects of weir's own."),
    gauge("weir_policy_epoch", &[], "The number of the rule set in force on this node."),
    seconds("weir_quarantine_delay_seconds", &[], "Artificial delays that were applied."),
    gauge("weir_quarantine_held", &[], "Requests that wait in quarantine now."),
    counter(
        "weir_records_dropped_total",
        &["kind"],
        "Records that were lost: `routine` and `enforced` for want of room, `refused`, `unwritten` at the end.",
    ),
    gauge("weir_records_queued", &[], "Records that wait to be written."),
    counter("weir_records_written_total", &[], "Records that were written."),
    counter("weir_reloads_total", &["result"], "Reloads of the configuration: `ok`, `refused`."),
    seconds("weir_request_duration_seconds", &[], "Requests from their head to the end of their answer."),
    counter(
        "weir_requests_exhausted_total",
        &["class", "outcome"],
        "Requests that ended with a failure, by its class.",
    ),
    counter(
        "weir_requests_total",
        &["api", "status"],
        "Requests that reached an endpoint, by operation and status; `none`: the client left before there was one.",
    ),
    counter("weir_rule_errors_total", &["boundary", "rule"], "Rules that could not be evaluated."),
    counter(
        "weir_rules_stopped_total",
        &["why"],
        "Rules that the stop-loss of this node has taken back to shadow: `share`, `paying`, `byok`.",
    ),
    counter(
        "weir_sentry_envelopes_total",
        &["result"],
        "Envelopes for Sentry: `sent`, `limited`, `refused`, `failed`, `dropped`.",
    ),
    counter("weir_sessions_expired_total", &["provider"], "Failures that mean an expired session."),
    counter(
        "weir_stats_dropped_total",
        &[],
        "Counts of identities that were dropped while the shared cache was gone.",
    ),
    gauge("weir_store_state", &["dependency"], "State of a dependency: 1 up, 0.5 degraded, 0 down."),
    counter(
        "weir_telemetry_exports_total",
        &["signal", "result"],
        "Sendings over OTLP of `traces` and `metrics`: `sent`, `refused`, `failed`.",
    ),
    counter(
        "weir_telemetry_spans_total",
        &["result"],
        "Spans: `sent`, `rejected` by the collector, `failed` to be sent, `dropped` for want of room.",
    ),
    counter(
        "weir_tokens_total",
        &["direction"],
        "Tokens that providers have counted, or weir has estimated where they have not: `input`, `output`.",
    ),
    seconds(
        "weir_tool_call_duration_seconds",
        &["ended"],
        "Calls of tools that ran, from the permit to the end.",
    ),
    counter(
        "weir_tool_calls_total",
        &["ended", "kind"],
        "Calls of tools by how they ended, and by the kind of a denial.",
    ),
    counter(
        "weir_tool_definitions_changed_total",
        &[],
        "Tools whose definition has changed since it was accepted.",
    ),
    counter(
        "weir_upstream_errors_total",
        &["provider", "class", "owner", "reported"],
        "Failed attempts by class, by who must act, and by what the class's rule wants: `page`, `log`, `none`.",
    ),
];
