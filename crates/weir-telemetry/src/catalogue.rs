//! Every metric of weir: its name, type, labels, unit and meaning. `/metrics` describes itself by this list, OTLP is made
//! by it, `docs/metrics.md` is held equal to it, and no code counts what is not in it (`crates/weir/tests/e2e/metrics.rs`).

mod list;

pub use list::METRICS;

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name at `/metrics`.
    pub name: &'static str,
    /// What kind of numbers it gives.
    pub kind: MetricKind,
    /// Of what.
    pub unit: Unit,
    /// Its labels. Each takes few values, whatever callers send.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// What kind of numbers a metric gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A count that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// How many values were below which bounds.
    Histogram,
}

impl MetricKind {
    /// The word at `/metrics`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Time.
    Seconds,
    /// Tokens of a model.
    Tokens,
    /// Things.
    Count,
}

impl Unit {
    /// The word in `docs/metrics.md`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Tokens => "tokens",
            Self::Count => "1",
        }
    }

    /// As OpenTelemetry writes it (UCUM).
    #[must_use]
    pub const fn ucum(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Tokens => "{token}",
            Self::Count => "1",
        }
    }
}

/// Upper bounds of durations in seconds, from a decision to a long stream.
pub const SECONDS: &[f64] = &[
    0.000_001, 0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Upper bounds of tokens, as the GenAI conventions advise.
pub const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Names of OpenTelemetry's, which Prometheus writes with low lines and a suffix.
const OTLP_NAMES: &[(&str, &str)] = &[
    ("gen_ai_client_token_usage", "gen_ai.client.token.usage"),
    ("gen_ai_client_operation_duration_seconds", "gen_ai.client.operation.duration"),
    ("gen_ai_client_operation_time_to_first_chunk_seconds", "gen_ai.client.operation.time_to_first_chunk"),
    ("mcp_client_operation_duration_seconds", "mcp.client.operation.duration"),
    ("mcp_server_operation_duration_seconds", "mcp.server.operation.duration"),
];

/// Labels of these metrics, and the attributes that they are.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("gen_ai_operation_name", crate::names::GEN_AI_OPERATION_NAME),
    ("gen_ai_provider_name", crate::names::GEN_AI_PROVIDER_NAME),
    ("gen_ai_request_model", crate::names::GEN_AI_REQUEST_MODEL),
    ("gen_ai_token_type", crate::names::GEN_AI_TOKEN_TYPE),
    ("mcp_method_name", crate::names::MCP_METHOD_NAME),
    ("error_type", crate::names::ERROR_TYPE),
];

impl Metric {
    /// Its name in OTLP.
    #[must_use]
    pub fn otlp_name(&self) -> &'static str {
        OTLP_NAMES.iter().find(|(name, _)| *name == self.name).map_or(self.name, |(_, otlp)| otlp)
    }

    /// The upper bounds of its buckets, if it has any.
    #[must_use]
    pub fn bounds(&self) -> Option<&'static [f64]> {
        match (self.kind, self.unit) {
            (MetricKind::Histogram, Unit::Tokens) => Some(TOKENS),
            (MetricKind::Histogram, Unit::Seconds | Unit::Count) => Some(SECONDS),
            (MetricKind::Counter | MetricKind::Gauge, _) => None,
        }
    }

    /// Tells the recorder in force what the metric is.
    pub fn describe(&self) {
        let unit = match self.unit {
            Unit::Seconds => metrics::Unit::Seconds,
            Unit::Tokens | Unit::Count => metrics::Unit::Count,
        };
        match self.kind {
            MetricKind::Counter => metrics::describe_counter!(self.name, unit, self.help),
            MetricKind::Gauge => metrics::describe_gauge!(self.name, unit, self.help),
            MetricKind::Histogram => metrics::describe_histogram!(self.name, unit, self.help),
        }
        // What has no labels is there from the beginning: nothing yet is 0 and not unknown.
        match self.kind {
            MetricKind::Counter if self.labels.is_empty() => metrics::counter!(self.name).increment(0),
            MetricKind::Gauge if self.labels.is_empty() => metrics::gauge!(self.name).increment(0.0),
            MetricKind::Counter | MetricKind::Gauge | MetricKind::Histogram => {}
        }
    }
}

/// The metric of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// The name of a label in OTLP.
pub(crate) fn attribute_of(label: &str) -> &str {
    ATTRIBUTES.iter().find(|(name, _)| *name == label).map_or(label, |(_, attribute)| attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus_and_stand_once_in_their_order() {
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        for metric in METRICS {
            let Metric { name, kind, unit, labels, help } = metric;
            assert!(["weir_", "gen_ai_", "mcp_"].iter().any(|prefix| name.starts_with(prefix)), "{name}");
            assert_eq!(*kind == MetricKind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(*unit == Unit::Seconds, name.ends_with("_seconds"), "{name}");
            assert!(labels.len() <= 5 && help.ends_with('.'), "{name}");
            // What would name a caller, or be in the caller's words.
            for label in *labels {
                assert!(
                    !["identity", "user", "key", "ip", "path", "feature", "tool"].contains(label),
                    "{name}: {label}"
                );
            }
        }
    }
}
