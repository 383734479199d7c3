//! One request from its head to the end of its answer, and the record that it leaves.
//!
//! The exchange owns the record and files it when it is dropped: on whichever way a request ends, also when the
//! client goes away, exactly one record is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use weir_core::decision::Source;
use weir_core::failure::FailureEvent;
pub(crate) use weir_core::record::Stage;
use weir_core::record::{ProviderCall, Record, RecordedFacts, RequestResult, Usage};
use weir_core::{Action, ApiKind, Decision, DecisionId, IdentityKey, Timestamp};
use weir_dialect::{Dialect, Observed, Refusal};
use weir_store::StatsEvent;
use weir_store::directory::ApiKey;

use crate::alarm::Alarm;
use crate::classifier::CostReport;
use crate::gateway::Inner;
use crate::resolve::Target;
use crate::settings::Settings;
use crate::telemetry::{self, Watched};

/// One request and what has been learned of it so far.
pub(crate) struct Exchange {
    pub(crate) inner: Arc<Inner>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) id: DecisionId,
    pub(crate) at: Timestamp,
    pub(crate) dialect: Dialect,
    /// The timer of the connection that the request came by.
    pub(crate) alarm: Alarm,
    /// The remote classifier's number of this request, for the log.
    pub(crate) abuse_request_id: Option<u64>,
    /// Whether an operator has exempted the identity.
    pub(crate) exempt: bool,
    /// The action that the cache holds of the identity, once it was asked for: none, if it holds none.
    pub(crate) cached_action: Option<Option<Action>>,
    pub(crate) draft: Box<Draft>,
    started: Instant,
    /// The stage that the request is in, and since when.
    stage: (Stage, Instant),
    /// Time that is not weir's own: the artificial delay, waiting for a classification, the upstream's answer.
    not_ours: Duration,
}

/// What becomes the record.
pub(crate) struct Draft {
    pub(crate) kind: Option<ApiKind>,
    pub(crate) identity: IdentityKey,
    pub(crate) decision: Option<Decision>,
    pub(crate) result: RequestResult,
    pub(crate) facts: RecordedFacts,
    pub(crate) key: Option<Arc<ApiKey>>,
    pub(crate) target: Option<Arc<Target>>,
    pub(crate) message_id: Option<String>,
    /// How many tokens the provider reads, by an estimate: made of the body, which is gone when it is needed.
    pub(crate) tokens_read_estimate: u64,
    pub(crate) cost_report: Option<CostReport>,
    /// What was told of attempts that have failed.
    pub(crate) events: Vec<FailureEvent>,
    /// What is told of besides the record.
    pub(crate) watched: Watched,
    /// Whether an endpoint was reached, so that the request counts for its identity.
    pub(crate) reached: bool,
    /// Whether there is something to record: an endpoint was reached, or weir has refused.
    pub(crate) recorded: bool,
    /// Whether the answer was given to its end.
    pub(crate) complete: bool,
}

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of an answer that is recorded, in bytes.
const MESSAGE_ID_BYTES_MAX: usize = 512;

/// The longest `x-request-id` that is taken over, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 200;

/// How much is recorded of a path at which nothing is, in bytes.
const UNKNOWN_PATH_BYTES_MAX: usize = 500;

/// `x-request-id` as the caller sent it, if it is text that a header and a log may hold.
fn given_request_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(X_REQUEST_ID)?.to_str().ok()?.trim();
    (!value.is_empty() && value.len() <= REQUEST_ID_BYTES_MAX).then(|| value.to_owned())
}

impl Exchange {
    /// Begins with the head of a request.
    pub(crate) fn begin(
        inner: &Arc<Inner>,
        settings: Arc<Settings>,
        alarm: Alarm,
        dialect: Dialect,
        head: &Parts,
        identity: IdentityKey,
        facts: RecordedFacts,
    ) -> Self {
        let at = inner.clock.now();
        let id = inner.new_decision_id(at);
        let request_id = given_request_id(&head.headers).unwrap_or_else(|| ["req_", &id.to_hex()].concat());
        let started = Instant::now();
        Self {
            settings,
            alarm,
            id,
            at,
            dialect,
            abuse_request_id: None,
            exempt: false,
            cached_action: None,
            started,
            stage: (Stage::Route, started),
            not_ours: Duration::ZERO,
            draft: Box::new(Draft {
                kind: None,
                identity,
                decision: None,
                result: RequestResult { request_id, ..RequestResult::default() },
                facts,
                key: None,
                target: None,
                message_id: None,
                tokens_read_estimate: 0,
                cost_report: None,
                events: Vec::new(),
                watched: Watched::new(telemetry::trace(inner, &head.headers), &head.method, started),
                reached: false,
                recorded: false,
                complete: false,
            }),
            inner: Arc::clone(inner),
        }
    }

    /// When the request came, for measuring.
    pub(crate) const fn began(&self) -> Instant {
        self.started
    }

    /// Notes time that is not weir's own.
    pub(crate) fn exclude(&mut self, since: Instant) -> Duration {
        let spent = since.elapsed();
        self.leave_out(spent);
        spent
    }

    /// Notes time that is not weir's own: it waited for the client.
    pub(crate) fn leave_out(&mut self, waited: Duration) {
        self.not_ours += waited;
    }

    /// weir's own share so far.
    pub(crate) fn overhead(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.not_ours)
    }

    /// The stage that it is in.
    pub(crate) const fn stage(&self) -> Stage {
        self.stage.0
    }

    /// Notes that a stage begins, and with it the time that the one before it took. Gives the moment.
    pub(crate) fn enter(&mut self, stage: Stage) -> Instant {
        let now = Instant::now();
        let (before, since) = std::mem::replace(&mut self.stage, (stage, now));
        self.draft.result.timings.stages_us.add(before, now.saturating_duration_since(since));
        self.draft.watched.entered(stage, now);
        now
    }

    /// Notes that an endpoint is reached.
    pub(crate) fn at_endpoint(&mut self) {
        self.draft.reached = true;
        self.draft.recorded = true;
    }

    /// Notes that the request ended with a refusal: whatever it is about, its id can be explained.
    pub(crate) fn refused(&mut self, stage: Stage, refusal: &Refusal, retry_after_s: Option<u64>) {
        self.draft.recorded = true;
        if !self.draft.reached {
            let path = &mut self.draft.facts.request.path;
            path.truncate(path.floor_char_boundary(UNKNOWN_PATH_BYTES_MAX));
        }
        let result = &mut self.draft.result;
        result.retry_after_s = retry_after_s;
        result.error_type = Some(refusal.error_type(self.dialect).to_owned());
        result.ended_at = Some(stage.as_str().to_owned());
        result.limit = refusal.limit();
    }

    /// Notes that it ended with the list of models.
    pub(crate) fn ended_with_models(&mut self) {
        self.draft.result.ended_at = Some("models".to_owned());
    }

    /// Notes which operation was reached.
    pub(crate) fn reached(&mut self, kind: ApiKind) {
        self.draft.kind = Some(kind);
        self.draft.facts.request.api = kind.as_str().to_owned();
    }

    /// Logs what is about to be enforced (spec A8), whatever it is; that nothing is, is not worth a line.
    pub(crate) fn log_enforcement(&self, decision: &Decision) {
        if !decision.action().enforces() {
            return;
        }
        let rules: Vec<&str> = decision.matched.iter().map(|m| m.rule.as_str()).collect();
        tracing::info!(
            action = %decision.action(),
            identity_key = %self.draft.identity,
            rule = decision.rule.as_deref(),
            matched_rule_ids = ?rules,
            source = ?decision.source,
            decision = %self.id,
            "an abuse action is enforced"
        );
    }

    /// Logs a downgrade (spec A8).
    pub(crate) fn log_override(&self, original: &Target, overridden: &Target) {
        let decision = self.draft.decision.as_ref();
        let fresh = decision.filter(|d| d.source == Source::Fresh);
        let rules: Vec<&str> =
            fresh.map(|d| d.matched.iter().map(|m| m.rule.as_str()).collect()).unwrap_or_default();
        let facts = &self.draft.facts;
        tracing::warn!(
            kilo_user_id = %facts.identity.user_id,
            identity_key = %self.draft.identity,
            abuse_request_id = self.abuse_request_id,
            rules_engine_action = decision.map(|d| d.outcome.as_str()),
            rules_engine_matched_abuse_rule_ids = ?rules,
            original_model = %original.id,
            overridden_model = %overridden.id,
            original_provider = %original.provider.name,
            overridden_provider = %overridden.provider.name,
            user_byok = overridden.byok,
            feature = %facts.request.feature,
            project_id = %facts.identity.project_id,
            "SECURITY: the model is overridden"
        );
    }

    /// Notes the head of the answer. Gives weir's own share of the time up to it.
    pub(crate) fn answered(&mut self, status: u16) -> Duration {
        let overhead = self.overhead();
        self.draft.result.status = status;
        self.draft.result.timings.overhead_ms = overhead.as_secs_f64() * 1000.0;
        overhead
    }

    /// Notes what was read of a provider's answer.
    pub(crate) fn observed(&mut self, seen: &Observed) {
        let failed = self.draft.result.failure_class.is_some();
        let usage = seen.usage_or_estimate(self.draft.tokens_read_estimate, failed);
        if let (Some(usage), Some(target)) = (usage, &self.draft.target) {
            let cost_microusd = target.cost_microusd(&usage);
            self.draft.result.usage = Some(Usage { cost_microusd, ..usage });
        }
        self.draft.message_id = seen.message_id.clone().filter(|id| id.len() <= MESSAGE_ID_BYTES_MAX);
        self.draft.watched.answered(seen);
    }

    fn provider_call(&self) -> Option<ProviderCall> {
        let target = self.draft.target.as_ref()?;
        Some(ProviderCall {
            key_id: self.draft.key.as_ref().map(|key| key.id.clone()),
            requested_model: target.id.clone(),
            upstream_model: target.upstream_name.clone(),
            provider: target.provider.name.to_string(),
            user_byok: target.byok,
            message_id: self.draft.message_id.clone(),
        })
    }

    fn stats(&self) -> StatsEvent {
        let usage = self.draft.result.usage.unwrap_or_default();
        StatsEvent {
            requests: 1,
            tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            spend_microusd: usage.cost_microusd,
            denied: u64::from(
                matches!(self.draft.result.status, 402 | 403 | 429) && self.draft.target.is_none(),
            ),
            ip: Some(self.draft.facts.request.ip.clone()),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.draft.recorded {
            return telemetry::tell(self, None, Instant::now());
        }
        let ended = self.enter(Stage::Pass);
        self.draft.result.client_gone |= !self.draft.complete;
        self.draft.result.timings.total_ms =
            ended.saturating_duration_since(self.started).as_secs_f64() * 1000.0;
        if let Some(key) = &self.draft.key {
            self.inner.directory.spend(key, self.draft.result.usage.map_or(0, |usage| usage.cost_microusd));
        }
        if self.draft.reached {
            // Without another look at the clock.
            let now = self.at.checked_add(ended.saturating_duration_since(self.started)).unwrap_or(self.at);
            self.inner.cache.stats_add(&self.draft.identity, self.stats(), now);
        }
        let decision = self.draft.decision.take().unwrap_or_else(|| {
            let epoch = self.inner.rules.load().epoch;
            Decision::unasked(self.id, self.draft.identity.as_str().to_owned(), epoch, self.at)
        });
        if self.draft.reached {
            self.inner.meters.finished(self.draft.kind, &decision, &self.draft.result);
        }
        self.inner.meters.attempts(self, ended);
        telemetry::tell(self, self.draft.reached.then_some(&decision), ended);
        let mut record = Record {
            decision,
            result: std::mem::take(&mut self.draft.result),
            facts: std::mem::take(&mut self.draft.facts),
            call: self.provider_call(),
        };
        if let Some(report) = self.draft.cost_report.take()
            && let Some(usage) = record.usage()
        {
            report.send(&self.inner, &usage);
        }
        record.redact();
        self.inner.recorder.file(&record);
    }
}
