//! Failures as metrics. For each provider, class and owner, `reported`, `suppressed` and `expected` add up to all.

use metrics::counter;
use weir_core::failure::{AllExhausted, FailureEvent};

use crate::names::Names;

/// How many providers are told apart by their names.
const PROVIDERS_MAX: usize = 256;

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It made an event of its own.
    Reported,
    /// It would have: a window's summary has it, or the guard has dropped it.
    Suppressed,
    /// Nobody is called for it.
    Expected,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Suppressed => "suppressed",
            Self::Expected => "expected",
        }
    }
}

/// The metrics of failures.
pub(crate) struct Meters {
    providers: Names,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self { providers: Names::at_most(PROVIDERS_MAX) }
    }

    /// Counts one failed attempt.
    pub(crate) fn failed(&self, event: &FailureEvent, outcome: Outcome) {
        let provider = self.providers.known(&event.provider);
        counter!(
            "weir_failures_total",
            "provider" => provider.to_owned(),
            "class" => event.class.as_str(),
            "owner" => event.owner.as_str(),
            "outcome" => outcome.as_str()
        )
        .increment(1);
        if event.is_session_expired() {
            counter!("weir_sessions_expired_total", "provider" => provider.to_owned()).increment(1);
        }
    }

    /// Counts a request that ended with a failure.
    pub(crate) fn all_exhausted(&self, request: &AllExhausted, outcome: Outcome) {
        counter!(
            "weir_requests_exhausted_total",
            "class" => request.class().as_str(),
            "outcome" => outcome.as_str()
        )
        .increment(1);
    }

    /// Counts an event.
    pub(crate) fn told(&self, kind: &'static str) {
        counter!("weir_failure_reports_total", "report" => kind).increment(1);
    }
}
