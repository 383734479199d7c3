//! What is told of a request that has ended: its spans, and its line in the access log.
//!
//! While the request lives only times are kept, which cost a few bytes; everything else is read from its record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method};
use weir_core::failure::{Class, Owner};
use weir_core::record::{RequestResult, Stage};
use weir_core::{ApiKind, Decision};
use weir_dialect::{FinishReasons, Observed};
use weir_telemetry::access::{self, Line};
use weir_telemetry::{Attributes, Kind, Span, SpanId, Trace, names};

use crate::exchange::Exchange;
use crate::resolve::Target;

/// How many stages of one request have spans: each once, and some again after a fallback.
const STAGES_MAX: usize = 24;

/// How many stages most requests come to.
const STAGES_USUAL: usize = 14;

/// Where the numbers of the attempts' spans begin; below are those of the stages.
const FIRST_ATTEMPT: u32 = 1_000;

/// What is kept of a request on its way, for the end.
pub(crate) struct Watched {
    /// Its place in a trace, where there are traces.
    pub(crate) trace: Option<Trace>,
    method: &'static str,
    /// The stages that it has entered, *route* first, and when; nothing where the trace is not kept.
    stages: Vec<(Stage, Instant)>,
    pub(crate) attempts: Vec<Attempt>,
    response_model: Option<String>,
    finish_reasons: FinishReasons,
}

/// One call of a provider.
pub(crate) struct Attempt {
    pub(crate) target: Arc<Target>,
    /// From 1.
    number: u32,
    /// Which stage's span it belongs to.
    within: u32,
    began: Instant,
    first_chunk: Option<Instant>,
    ended: Option<Instant>,
    /// What it failed with, who must act, and the status that was seen.
    failed: Option<(Class, Owner, u16)>,
}

impl Attempt {
    /// How long it took, or has taken up to `now`.
    pub(crate) fn took(&self, now: Instant) -> Duration {
        self.ended.unwrap_or(now).saturating_duration_since(self.began)
    }

    /// From the call to the first piece of the answer.
    pub(crate) fn to_first_chunk(&self) -> Option<Duration> {
        self.first_chunk.map(|at| at.saturating_duration_since(self.began))
    }

    /// What it failed with.
    pub(crate) fn class(&self) -> Option<Class> {
        self.failed.map(|(class, ..)| class)
    }
}

impl Watched {
    /// Begins with the head of a request.
    pub(crate) fn new(trace: Option<Trace>, method: &Method, at: Instant) -> Self {
        let method = match *method {
            Method::POST => "POST",
            Method::GET => "GET",
            Method::DELETE => "DELETE",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            _ => "_OTHER",
        };
        let mut watched = Self {
            trace,
            method,
            stages: Vec::new(),
            attempts: Vec::new(),
            response_model: None,
            finish_reasons: FinishReasons::default(),
        };
        if watched.is_kept() {
            watched.stages.reserve_exact(STAGES_USUAL);
            watched.entered(Stage::Route, at);
        }
        watched
    }

    fn is_kept(&self) -> bool {
        self.trace.as_ref().is_some_and(Trace::is_kept)
    }

    /// Notes that a stage begins.
    pub(crate) fn entered(&mut self, stage: Stage, at: Instant) {
        if self.is_kept() && self.stages.len() < STAGES_MAX {
            self.stages.push((stage, at));
        }
    }

    /// Notes that a provider is called. Gives what it is told of the trace.
    pub(crate) fn attempt_begins(
        &mut self,
        target: &Arc<Target>,
        number: u32,
        began: Instant,
    ) -> Option<HeaderValue> {
        let within = u32::try_from(self.stages.len()).unwrap_or(u32::MAX).saturating_sub(1);
        self.attempts.push(Attempt {
            target: Arc::clone(target),
            number,
            within,
            began,
            first_chunk: None,
            ended: None,
            failed: None,
        });
        let trace = self.trace.as_ref()?;
        HeaderValue::from_bytes(&trace.header_of(FIRST_ATTEMPT.saturating_add(number))).ok()
    }

    /// Notes that the latest attempt has failed.
    pub(crate) fn attempt_failed(&mut self, class: Class, owner: Owner, status: u16) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended = Some(Instant::now());
            attempt.failed = Some((class, owner, status));
        }
    }

    /// Notes that the answer begins to come.
    pub(crate) fn first_chunk(&mut self) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.first_chunk.get_or_insert_with(Instant::now);
        }
    }

    /// Notes which model the provider says has answered, and why it has stopped.
    pub(crate) fn answered(&mut self, seen: &Observed) {
        if self.is_kept() {
            self.response_model.clone_from(&seen.model);
            self.finish_reasons = seen.finish_reasons;
        }
    }
}

/// The request's place in a trace: the caller's, or a new one.
pub(crate) fn trace(exchange: &crate::gateway::Inner, headers: &HeaderMap) -> Option<Trace> {
    let tracer = exchange.telemetry.tracer.as_ref()?;
    Some(tracer.begin(headers.get("traceparent").and_then(|value| value.to_str().ok())))
}

/// The operation as the GenAI conventions name it.
pub(crate) const fn operation(kind: ApiKind) -> &'static str {
    match kind {
        ApiKind::ChatCompletions | ApiKind::Responses | ApiKind::Messages => "chat",
        ApiKind::Embeddings => "embeddings",
        ApiKind::CountTokens => "count_tokens",
    }
}

/// Tells of a request that has ended `now`.
pub(crate) fn tell(exchange: &Exchange, decision: Option<&Decision>, now: Instant) {
    let telemetry = &exchange.inner.telemetry;
    let watched = &exchange.draft.watched;
    let access = telemetry.access.as_ref().filter(|access| access.is_wanted());
    if access.is_none() && !watched.is_kept() {
        return;
    }
    let ended = Ended {
        exchange,
        result: &exchange.draft.result,
        decision,
        id: exchange.id.to_text(),
        began_ns: u64::try_from(exchange.at.as_nanosecond()).unwrap_or(0),
        now,
    };
    if let (Some(tracer), Some(trace)) = (&telemetry.tracer, &watched.trace) {
        let expected = u64::try_from(1 + watched.stages.len() + watched.attempts.len()).unwrap_or(1);
        tracer.record(trace, expected, |spans| ended.spans(trace, spans));
    }
    if let Some(access) = access {
        ended.line(access);
    }
}

/// A request that has ended.
struct Ended<'a> {
    exchange: &'a Exchange,
    result: &'a RequestResult,
    decision: Option<&'a Decision>,
    /// The decision's id.
    id: String,
    /// When the request came, in nanoseconds since 1970.
    began_ns: u64,
    now: Instant,
}

impl Ended<'_> {
    /// A moment as nanoseconds since 1970, by the time at which the request came.
    fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.exchange.began());
        self.began_ns.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The path, where it is one of those that are served; never what a caller made up.
    fn route(&self) -> &str {
        let path = self.exchange.draft.facts.request.path.as_str();
        if self.exchange.draft.kind.is_some() || path == "/v1/models" {
            path
        } else if self.is_mcp() {
            "/mcp/{server}"
        } else {
            ""
        }
    }

    fn is_mcp(&self) -> bool {
        let path = self.exchange.draft.facts.request.path.as_str();
        self.exchange.inner.guest.as_deref().is_some_and(|guest| guest.serves(path))
    }

    fn operation(&self) -> &'static str {
        match self.exchange.draft.kind {
            Some(kind) => kind.as_str(),
            None if self.is_mcp() => "mcp",
            None if self.route().is_empty() => "none",
            None => "models",
        }
    }

    fn spans(&self, trace: &Trace, spans: &mut weir_telemetry::Spans<'_>) {
        let watched = &self.exchange.draft.watched;
        let now = self.at(self.now);
        let server = Span {
            name: watched.method,
            subject: self.route(),
            kind: Kind::Server,
            id: trace.id(),
            parent: trace.parent(),
            remote_parent: trace.is_remote(),
            start_ns: self.began_ns,
            end_ns: now,
            failed: self.result.status >= 500,
        };
        spans.write(&server, |attributes| self.of_server(attributes));
        let mut open: Option<(u32, Stage, u64)> = None;
        for (number, (stage, began)) in (0..).zip(&watched.stages) {
            if open.is_some_and(|(_, same, _)| same == *stage) {
                continue;
            }
            // One stage ends when the next begins.
            let began = self.at(*began);
            if let Some(before) = open.replace((number, *stage, began)) {
                self.stage(trace, spans, before, began);
            }
        }
        if let Some(last) = open {
            self.stage(trace, spans, last, now);
        }
        for attempt in &watched.attempts {
            spans.write(&self.attempt(trace, attempt), |attributes| self.of_attempt(attempt, attributes));
        }
    }

    fn stage(
        &self,
        trace: &Trace,
        spans: &mut weir_telemetry::Spans<'_>,
        (number, stage, start_ns): (u32, Stage, u64),
        end_ns: u64,
    ) {
        let span = Span {
            name: stage.as_str(),
            subject: "",
            kind: Kind::Internal,
            id: trace.child(number),
            parent: Some(trace.id()),
            remote_parent: false,
            start_ns,
            end_ns,
            failed: false,
        };
        spans.write(&span, |attributes| self.of_stage(stage, attributes));
    }

    fn of_server(&self, attributes: &mut Attributes<'_>) {
        let (draft, result) = (&self.exchange.draft, self.result);
        attributes.text(names::HTTP_METHOD, draft.watched.method);
        attributes.some(names::HTTP_ROUTE, Some(self.route()));
        attributes.int(names::HTTP_STATUS, u64::from(result.status));
        attributes.some(names::GEN_AI_OPERATION_NAME, draft.kind.map(operation));
        attributes.some(names::GEN_AI_REQUEST_MODEL, draft.target.as_ref().map(|target| target.id.as_str()));
        attributes.some(names::ERROR_TYPE, result.error_type.as_deref().or(result.failure_class.as_deref()));
        attributes.some(names::WEIR_ENDED_AT, result.ended_at.as_deref());
        attributes.text(names::WEIR_DECISION_ID, &self.id);
        if let Some(decision) = self.decision {
            attributes.text(names::WEIR_DECISION_ACTION, decision.outcome.as_str());
            attributes.some(names::WEIR_DECISION_RULE, decision.rule.as_deref());
            attributes.int(names::WEIR_POLICY_EPOCH, decision.epoch);
        }
        attributes.double(names::WEIR_OVERHEAD_MS, result.timings.overhead_ms);
        if let Some(delay_ms) = result.abuse_delay {
            attributes.int(names::WEIR_DELAY_MS, delay_ms);
        }
        if result.abuse_downgraded_from.is_some() {
            attributes.flag(names::WEIR_DOWNGRADED, true);
        }
        if result.client_gone {
            attributes.flag(names::WEIR_CLIENT_GONE, true);
        }
    }

    fn of_stage(&self, stage: Stage, attributes: &mut Attributes<'_>) {
        match (stage, self.decision) {
            (Stage::Decide, Some(decision)) => {
                attributes.text(names::WEIR_DECISION_ACTION, decision.outcome.as_str());
                attributes.some(names::WEIR_DECISION_RULE, decision.rule.as_deref());
            }
            (Stage::Hold, _) => {
                attributes.int(names::WEIR_DELAY_MS, self.result.abuse_delay.unwrap_or_default())
            }
            _ => {}
        }
    }

    fn attempt<'a>(&'a self, trace: &Trace, attempt: &'a Attempt) -> Span<'a> {
        Span {
            name: self.exchange.draft.kind.map_or("call", operation),
            subject: &attempt.target.upstream_name,
            kind: Kind::Client,
            id: trace.child(FIRST_ATTEMPT.saturating_add(attempt.number)),
            parent: Some(self.parent_of(trace, attempt)),
            remote_parent: false,
            start_ns: self.at(attempt.began),
            end_ns: self.at(attempt.ended.unwrap_or(self.now)),
            failed: attempt.failed.is_some(),
        }
    }

    fn parent_of(&self, trace: &Trace, attempt: &Attempt) -> SpanId {
        if self.exchange.draft.watched.stages.is_empty() { trace.id() } else { trace.child(attempt.within) }
    }

    fn of_attempt(&self, attempt: &Attempt, attributes: &mut Attributes<'_>) {
        let (draft, target) = (&self.exchange.draft, &attempt.target);
        attributes.some(names::GEN_AI_OPERATION_NAME, draft.kind.map(operation));
        attributes.text(names::GEN_AI_PROVIDER_NAME, &target.provider.name);
        attributes.text(names::GEN_AI_REQUEST_MODEL, &target.upstream_name);
        attributes.flag(names::GEN_AI_REQUEST_STREAM, draft.facts.request.stream);
        attributes.int(names::WEIR_ATTEMPT, u64::from(attempt.number));
        if let Some(first) = attempt.to_first_chunk() {
            attributes.double(names::GEN_AI_TIME_TO_FIRST_CHUNK, first.as_secs_f64());
        }
        if let Some((class, owner, status)) = attempt.failed {
            attributes.text(names::ERROR_TYPE, class.as_str());
            attributes.text(names::WEIR_ERROR_OWNER, owner.as_str());
            if status != 0 {
                attributes.int(names::HTTP_STATUS, u64::from(status));
            }
            return;
        }
        attributes.int(names::HTTP_STATUS, u64::from(self.result.status));
        attributes.some(names::GEN_AI_RESPONSE_MODEL, draft.watched.response_model.as_deref());
        if !draft.watched.finish_reasons.is_empty() {
            attributes.texts(names::GEN_AI_RESPONSE_FINISH_REASONS, draft.watched.finish_reasons.words());
        }
        // By the conventions an estimate is no usage.
        if let Some(usage) = self.result.usage.as_ref().filter(|usage| !usage.estimated) {
            attributes.int(names::GEN_AI_INPUT_TOKENS, usage.input_tokens);
            attributes.int(names::GEN_AI_OUTPUT_TOKENS, usage.output_tokens);
            if usage.cache_read_tokens > 0 {
                attributes.int(names::GEN_AI_CACHE_READ_TOKENS, usage.cache_read_tokens);
            }
            if usage.cache_write_tokens > 0 {
                attributes.int(names::GEN_AI_CACHE_CREATION_TOKENS, usage.cache_write_tokens);
            }
        }
    }

    fn line(&self, access: &access::AccessLog) {
        let (draft, result) = (&self.exchange.draft, self.result);
        let trace_id = draft.watched.trace.as_ref().map(Trace::trace_id);
        let usage = result.usage.unwrap_or_default();
        access.write(&Line {
            at: self.exchange.at,
            request_id: &result.request_id,
            decision: &self.id,
            trace_id: trace_id.as_ref().and_then(|digits| std::str::from_utf8(digits).ok()),
            operation: self.operation(),
            model: draft.target.as_ref().map(|target| target.model.id.as_str()),
            upstream: draft.target.as_ref().map(|target| target.provider.name.as_ref()),
            status: result.status,
            error_type: result.error_type.as_deref(),
            failure_class: result.failure_class.as_deref(),
            ended_at: result.ended_at.as_deref(),
            outcome: self.decision.map_or("none", |decision| decision.outcome.as_str()),
            rule: self.decision.and_then(|decision| decision.rule.as_deref()),
            duration_ms: self.now.saturating_duration_since(self.exchange.began()).as_secs_f64() * 1e3,
            overhead_ms: result.timings.overhead_ms,
            upstream_ms: result.timings.upstream_head_ms,
            delay_ms: result.abuse_delay.unwrap_or_default(),
            attempts: draft.watched.attempts.len(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            tokens_estimated: usage.estimated,
            client_gone: result.client_gone,
        });
    }
}
