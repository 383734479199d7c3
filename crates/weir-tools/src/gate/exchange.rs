//! One call's record and events: exactly one record and one completed event, also when the caller goes away in the middle
//! (spec C6, C7).

use std::sync::Arc;
use std::time::Instant;

use weir_core::Decision;
use weir_core::record::{Record, RecordedFacts, RequestResult, ToolRecord};
use weir_rules::tool::ToolDecision;

use super::Inner;
use super::settle::Settled;
use crate::call::ToolCall;
use crate::observe::{Completed, Started};
use crate::outcome::{Ended, ToolOutcome};
use crate::telemetry::{self, Watched};

/// Files its record and tells of the end when it is dropped.
pub(super) struct Exchange {
    inner: Arc<Inner>,
    decision: Option<Decision>,
    facts: RecordedFacts,
    tool: ToolRecord,
    begun: Instant,
    runs_since: Option<Instant>,
    error: Option<String>,
    watched: Option<Watched>,
}

impl Exchange {
    pub(super) fn begin(inner: Arc<Inner>, call: &ToolCall, call_id: &str, made: &ToolDecision) -> Self {
        let caller = &call.caller;
        inner.observer.started(&Started { call_id, call });
        let tool = ToolRecord {
            call_id: call_id.to_owned(),
            name: call.tool.clone(),
            server: call.server.clone(),
            channel: caller.channel.clone(),
            agent: caller.agent.clone(),
            session: caller.session.clone(),
            source: caller.source.as_str().to_owned(),
            iteration: call.iteration,
            args: call.args.names(),
            ended: "gone".to_owned(),
            ..ToolRecord::default()
        };
        let watched = Watched::begin(&inner.telemetry, caller.trace.as_ref(), inner.clock.now());
        let facts = RecordedFacts {
            identity: caller.identity.clone(),
            stats: caller.stats,
            // Whatever they are, they are what the rules saw.
            stats_known: true,
            ..RecordedFacts::default()
        };
        let mut exchange = Self {
            inner,
            decision: None,
            facts,
            tool,
            begun: Instant::now(),
            runs_since: None,
            error: None,
            watched,
        };
        exchange.decided(made);
        exchange
    }

    fn decided(&mut self, made: &ToolDecision) {
        self.tool.tool_level = Some(made.tool_level());
        self.tool.level = Some(made.level());
        self.tool.floor = Some(made.floor());
        self.tool.ceiling = Some(made.ceiling());
        self.tool.denial = made.denial_to_keep();
        self.decision = Some(made.decision().clone());
    }

    pub(super) fn settled(&mut self, settled: &Settled) {
        self.decided(&settled.made);
        self.tool.args_digest.clone_from(&settled.digest);
        self.tool.approval_id.clone_from(&settled.approval);
    }

    /// The executor is called now.
    pub(super) fn runs(&mut self) {
        self.runs_since = Some(Instant::now());
    }

    pub(super) fn ended<T>(&mut self, outcome: &ToolOutcome<T>) {
        self.tool.ended = match &outcome.ended {
            Ended::Ran(executed) if executed.error.is_none() => "ran",
            Ended::Ran(_) => "failed",
            Ended::Denied(_) => "denied",
            Ended::TimedOut(after) => {
                // Unlike a denial this is an incident (spec C6).
                tracing::warn!(
                    domain = "tool", operation = "execute", outcome = "timeout", tool = %self.tool.name,
                    timeout_secs = after.as_secs(), iteration = self.tool.iteration, "a tool did not come back in time"
                );
                "timed_out"
            }
        }
        .to_owned();
        self.error = outcome.error();
    }

    /// Another program runs the call, or does not.
    pub(super) fn evaluated(&mut self, outcome: &ToolOutcome<()>) {
        self.ended(outcome);
        if matches!(outcome.ended, Ended::Ran(_)) {
            "decided".clone_into(&mut self.tool.ended);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(decision) = self.decision.take() else { return };
        let mut tool = std::mem::take(&mut self.tool);
        tool.duration_ms = self.runs_since.map_or(0.0, |since| since.elapsed().as_secs_f64() * 1e3);
        telemetry::count(&tool, &decision, self.runs_since.is_some());
        if let Some(watched) = &self.watched {
            watched.tell(&tool, &decision, self.begun.elapsed());
        }
        if let Some(denial) = &tool.denial {
            tracing::debug!(decision = %decision.id, "denied: {}", denial.log_line());
        }
        let gone = tool.ended == "gone";
        self.inner.observer.completed(&Completed {
            call_id: &tool.call_id,
            tool: &tool.name,
            success: matches!(tool.ended.as_str(), "ran" | "decided"),
            error: self.error.as_deref().or(gone.then_some("the caller left")),
            ended: &tool.ended,
            elapsed: self.begun.elapsed(),
            iteration: tool.iteration,
        });
        let result = RequestResult {
            request_id: tool.call_id.clone(),
            client_gone: gone,
            tool: Some(Box::new(tool)),
            ..RequestResult::default()
        };
        let facts = std::mem::take(&mut self.facts);
        self.inner.recorder.file(&Record { decision, result, facts, call: None });
    }
}
