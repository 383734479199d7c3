//! The log's lines of failures: one for each, from this place only (spec B8).

use weir_core::failure::{Class, FailureEvent};

use crate::notice::Notice;

/// The level of all demotions: failures that are not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DemotionLevel {
    /// `error`.
    Error,
    /// `warn`.
    Warn,
    /// `info`.
    #[default]
    Info,
    /// `debug`.
    Debug,
    /// `trace`.
    Trace,
}

/// The domain of everything that is told of providers.
pub(crate) const DOMAIN: &str = "llm_provider";

/// The target of the lines that go along with a report. What turns log lines into events must leave it out: the event
/// has been made.
pub(crate) const REPORTED: &str = "weir_report::reported";

/// The target of the lines on defects of weir's own.
pub(crate) const DEFECT: &str = "weir_report::defect";

/// How a call failed, in the words of the tag `failure`.
pub(crate) fn failure(event: &FailureEvent) -> &'static str {
    if event.transport.is_empty() && event.http_status != 0 { "non_2xx" } else { "transport" }
}

/// The kinds of demotions (spec B8), and `transient` for what passes by itself.
pub(crate) const fn kind(class: Class) -> &'static str {
    match class {
        Class::QuotaExhausted => "budget",
        Class::AccessPolicyDenied => "provider_access_policy",
        Class::ModelNotFound | Class::GatewayMisconfig | Class::LocalModelUnavailable => {
            "provider_config_rejection"
        }
        Class::ContextLengthExceeded => "context_window_exceeded",
        Class::AuthInvalid
        | Class::PermissionDenied
        | Class::MaxTokensInvalid
        | Class::InvalidRequest
        | Class::PayloadTooLarge
        | Class::ContentPolicy => "provider_user_state",
        Class::RateLimited
        | Class::Overloaded
        | Class::Upstream5xx
        | Class::Timeout
        | Class::Network
        | Class::StreamErrorOther => "transient",
        Class::Unknown => "unknown",
    }
}

macro_rules! demotion {
    ($level:ident, $event:expr, $why:expr) => {
        tracing::$level!(
            domain = DOMAIN,
            operation = %$event.operation,
            provider = %$event.provider,
            model = %$event.model,
            status = $event.status,
            failure = failure($event),
            kind = kind($event.class),
            class = $event.class.as_str(),
            owner = $event.owner.as_str(),
            credential = $event.credential.as_str(),
            rule = $event.rule.as_deref().unwrap_or_default(),
            attempt = $event.attempt,
            attempts = $event.attempts,
            decision = %$event.decision,
            request_id = %$event.request_id,
            error = %$event.chain(),
            "{} failed at the provider; not reported: {}",
            $event.operation,
            $why
        )
    };
}

/// One line for a failure that makes no report of its own.
pub(crate) fn demoted(level: DemotionLevel, event: &FailureEvent, why: &str) {
    match level {
        DemotionLevel::Error => demotion!(error, event, why),
        DemotionLevel::Warn => demotion!(warn, event, why),
        DemotionLevel::Info => demotion!(info, event, why),
        DemotionLevel::Debug => demotion!(debug, event, why),
        DemotionLevel::Trace => demotion!(trace, event, why),
    }
}

/// The line that goes along with a report.
pub(crate) fn reported(notice: &Notice, event_id: Option<&str>) {
    let Some(event) = notice.example() else { return };
    tracing::error!(
        target: REPORTED,
        domain = DOMAIN,
        operation = %event.operation,
        provider = %event.provider,
        model = %event.model,
        status = event.status,
        failure = if matches!(notice, Notice::Exhausted(_)) { "all_exhausted" } else { failure(event) },
        class = event.class.as_str(),
        owner = event.owner.as_str(),
        report = notice.kind(),
        rule = event.rule.as_deref().unwrap_or_default(),
        decision = %event.decision,
        request_id = %event.request_id,
        sentry_event = event_id.unwrap_or_default(),
        error = %notice.message(),
        "{} failed at the provider",
        event.operation
    );
}
