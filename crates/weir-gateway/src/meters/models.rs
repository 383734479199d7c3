//! The GenAI metrics of attempts, by operation, provider and configured model.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metrics::{Histogram, histogram};
use weir_config::Model;
use weir_core::ApiKind;
use weir_core::record::Usage;

use crate::resolve::Target;
use crate::telemetry::{Attempt, operation};

/// How many models are told apart; all further ones are [`OTHER`].
const MODELS_MAX: usize = 256;

/// What stands for the models beyond that.
const OTHER: &str = "other";

const DURATION: &str = "gen_ai_client_operation_duration_seconds";
const FIRST_CHUNK: &str = "gen_ai_client_operation_time_to_first_chunk_seconds";
const TOKENS: &str = "gen_ai_client_token_usage";

/// The metrics of the models of one configuration, looked up once: looking one up by its labels costs more than the rest.
#[derive(Default)]
pub(crate) struct ModelMeters(RwLock<HashMap<(usize, ApiKind), Arc<Cell>, foldhash::fast::RandomState>>);

/// The metrics of one model and operation.
struct Cell {
    /// Held, so that its address stays its own.
    _model: Arc<Model>,
    labels: [(&'static str, String); 3],
    input: Histogram,
    output: Histogram,
    duration: Histogram,
    first_chunk: Histogram,
}

/// The models that have series of their own, of all configurations of this process.
#[derive(Default)]
pub(crate) struct Known(RwLock<Vec<String>>);

impl Known {
    /// The id as a label. It is the configuration's, which may be a prefix with a star: never what a caller wrote.
    fn label(&self, id: &str) -> String {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|name| name == id) {
            return id.to_owned();
        }
        if known.len() >= MODELS_MAX {
            return OTHER.to_owned();
        }
        known.push(id.to_owned());
        id.to_owned()
    }
}

impl ModelMeters {
    /// Counts the attempts of a request that has ended. Tokens are those of the last, which was answered.
    pub(crate) fn count(
        &self,
        known: &Known,
        kind: ApiKind,
        attempts: &[Attempt],
        usage: Option<&Usage>,
        ended: Instant,
    ) {
        let mut last = None;
        for attempt in attempts {
            let cell = self.cell(known, kind, &attempt.target);
            cell.attempt(attempt, ended);
            last = Some(cell);
        }
        if let (Some(usage), Some(cell)) = (usage, last) {
            record(&cell.input, usage.input_tokens);
            record(&cell.output, usage.output_tokens);
        }
    }

    fn cell(&self, known: &Known, kind: ApiKind, target: &Target) -> Arc<Cell> {
        let key = (Arc::as_ptr(&target.model).addr(), kind);
        if let Some(cell) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(cell);
        }
        let cell = Arc::new(Cell::new(known, kind, target));
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&cell));
        cell
    }
}

impl Cell {
    fn new(known: &Known, kind: ApiKind, target: &Target) -> Self {
        let labels = [
            ("gen_ai_operation_name", operation(kind).to_owned()),
            ("gen_ai_provider_name", target.provider.name.to_string()),
            ("gen_ai_request_model", known.label(&target.model.id)),
        ];
        let with = |name: &'static str, value: &'static str| {
            labels.iter().cloned().chain([(name, value.to_owned())]).collect::<Vec<_>>()
        };
        Self {
            _model: Arc::clone(&target.model),
            input: histogram!(TOKENS, &with("gen_ai_token_type", "input")),
            output: histogram!(TOKENS, &with("gen_ai_token_type", "output")),
            duration: histogram!(DURATION, &with("error_type", "")),
            first_chunk: histogram!(FIRST_CHUNK, &labels),
            labels,
        }
    }

    fn attempt(&self, attempt: &Attempt, now: Instant) {
        let took = seconds(attempt.took(now));
        match attempt.class() {
            None => self.duration.record(took),
            Some(class) => {
                let labels = self.labels.iter().cloned().chain([("error_type", class.as_str().to_owned())]);
                histogram!(DURATION, &labels.collect::<Vec<_>>()).record(took);
            }
        }
        if let Some(first) = attempt.to_first_chunk() {
            self.first_chunk.record(seconds(first));
        }
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn record(histogram: &Histogram, tokens: u64) {
    histogram.record(tokens as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_beyond_the_bound_share_a_series() {
        let known = Known::default();
        for number in 0..MODELS_MAX + 10 {
            let id = format!("vendor/{number}");
            let expected = if number < MODELS_MAX { id.as_str() } else { OTHER };
            assert_eq!(known.label(&id), expected);
        }
        assert_eq!(known.label("vendor/0"), "vendor/0", "whoever came first keeps its place");
    }
}
