//! What is counted and timed, with labels that callers cannot make up.

mod models;

use std::sync::OnceLock;
use std::time::Instant;

use metrics::{Counter, Histogram, counter, histogram};
use weir_core::decision::{Errored, Matched};
use weir_core::failure::FailureEvent;
use weir_core::record::{FailedAttempt, RequestResult};
use weir_core::{ApiKind, Decision};

use crate::exchange::Exchange;
pub(crate) use models::ModelMeters;

/// The metrics of every request, looked up once.
pub(crate) struct Meters {
    /// By operation and status: looking a counter up by its labels costs more than the rest of this together.
    requests: [[OnceLock<Counter>; STATUS_WORDS.len()]; APIS.len()],
    overhead: Histogram,
    duration: Histogram,
    delayed: Histogram,
    decide: Histogram,
    tokens_in: Counter,
    tokens_out: Counter,
    /// Look-ups in the action cache: found, not found, failed.
    action_cache: [Counter; 3],
    models: models::Known,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            requests: Default::default(),
            overhead: histogram!("weir_overhead_seconds"),
            duration: histogram!("weir_request_duration_seconds"),
            delayed: histogram!("weir_quarantine_delay_seconds"),
            decide: histogram!("weir_decision_duration_seconds", "boundary" => "request"),
            tokens_in: counter!("weir_tokens_total", "direction" => "input"),
            tokens_out: counter!("weir_tokens_total", "direction" => "output"),
            action_cache: ["hit", "miss", "error"]
                .map(|result| counter!("weir_action_cache_total", "result" => result)),
            models: models::Known::default(),
        }
    }

    /// Counts a request that has ended.
    pub(crate) fn finished(&self, kind: Option<ApiKind>, decision: &Decision, result: &RequestResult) {
        self.request(kind, result.status);
        self.overhead.record(result.timings.overhead_ms / 1e3);
        self.duration.record(result.timings.total_ms / 1e3);
        self.decide.record(result.timings.decide_us / 1e6);
        if let Some(delay_ms) = result.abuse_delay {
            #[expect(clippy::cast_precision_loss, reason = "a delay is far below 2^52 milliseconds")]
            self.delayed.record(delay_ms as f64 / 1e3);
        }
        if let Some(usage) = &result.usage {
            self.tokens_in.increment(usage.input_tokens);
            self.tokens_out.increment(usage.output_tokens);
        }
        rules("request", &decision.matched, &decision.errored);
    }

    fn request(&self, kind: Option<ApiKind>, status: u16) {
        let api = kind.map_or("models", ApiKind::as_str);
        let status = status_word(status);
        let at = |words: &[&str], word| words.iter().position(|w| *w == word);
        let (Some(row), Some(column)) = (at(&APIS, api), at(&STATUS_WORDS, status)) else { return };
        if let Some(cell) = self.requests.get(row).and_then(|cells| cells.get(column)) {
            cell.get_or_init(|| counter!("weir_requests_total", "api" => api, "status" => status))
                .increment(1);
        }
    }

    /// Counts a call that was not made, because the provider's key is known to be dead.
    pub(crate) fn known_dead(&self, provider: &str) {
        counter!("weir_known_dead_total", "provider" => provider.to_owned()).increment(1);
    }

    /// Counts a failed provider call, and the rules that classed it.
    pub(crate) fn upstream_failed(&self, event: &FailureEvent, attempt: Option<&FailedAttempt>) {
        if let Some(attempt) = attempt {
            rules("failure", &attempt.matched, &attempt.errored);
        }
        counter!(
            "weir_upstream_errors_total",
            "provider" => event.provider.clone(),
            "class" => event.class.as_str(),
            "owner" => event.owner.as_str(),
            "reported" => event.report.as_str()
        )
        .increment(1);
    }

    /// Counts a look-up in the action cache.
    pub(crate) fn action_cache<E>(&self, looked_up: &Result<Option<String>, E>) {
        let [hit, miss, error] = &self.action_cache;
        match looked_up {
            Ok(Some(_)) => hit,
            Ok(None) => miss,
            Err(_) => error,
        }
        .increment(1);
    }

    /// Counts the attempts of a request that has ended then.
    pub(crate) fn attempts(&self, exchange: &Exchange, ended: Instant) {
        let draft = &exchange.draft;
        if let Some(kind) = draft.kind {
            // By the conventions for generative AI an estimate is no usage.
            let usage = draft.result.usage.as_ref().filter(|usage| !usage.estimated);
            exchange.settings.model_meters.count(&self.models, kind, &draft.watched.attempts, usage, ended);
        }
    }
}

/// Counts the rules that matched, and those that could not be evaluated.
fn rules(boundary: &'static str, matched: &[Matched], errored: &[Errored]) {
    for matched in matched {
        counter!(
            "weir_decisions_total",
            "boundary" => boundary,
            "action" => matched.action.clone(),
            "mode" => matched.mode.as_str(),
            "rule" => matched.rule.clone()
        )
        .increment(1);
    }
    for errored in errored {
        counter!("weir_rule_errors_total", "boundary" => boundary, "rule" => errored.rule.clone())
            .increment(1);
    }
}

/// The operations as a label.
const APIS: [&str; 6] = ["chat_completions", "responses", "messages", "embeddings", "count_tokens", "models"];

/// Statuses as a label: the few that weir gives out, and the rest by their hundred.
const STATUS_WORDS: [&str; 17] = [
    "none", "200", "400", "401", "402", "403", "404", "405", "413", "429", "500", "502", "503", "504", "2xx",
    "4xx", "5xx",
];

fn status_word(status: u16) -> &'static str {
    match status {
        0 => "none",
        200 => "200",
        400 => "400",
        401 => "401",
        402 => "402",
        403 => "403",
        404 => "404",
        405 => "405",
        413 => "413",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        s if s < 400 => "2xx",
        s if s < 500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_status_has_its_counter() {
        for status in 0..=1000 {
            assert!(STATUS_WORDS.contains(&status_word(status)), "{status}");
        }
        for kind in [
            ApiKind::ChatCompletions,
            ApiKind::Responses,
            ApiKind::Messages,
            ApiKind::Embeddings,
            ApiKind::CountTokens,
        ] {
            assert!(APIS.contains(&kind.as_str()));
        }
    }
}
