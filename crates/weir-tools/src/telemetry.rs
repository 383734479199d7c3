//! The span and the counts of a tool's call: what was asked for and what came of it, never an argument and never a result.

use std::time::Duration;

use metrics::{counter, histogram};
use weir_core::record::ToolRecord;
use weir_core::{Decision, Timestamp};
use weir_telemetry::{Attributes, Kind, Span, Telemetry, Trace, Tracer, names};

/// The conventions' word for any error of a tool, a denial included; `weir.decision.action` tells them apart.
pub(crate) const TOOL_ERROR: &str = "tool_error";

/// The channel of calls that came over MCP.
const MCP: &str = "mcp";

/// A call's place in a trace.
pub(crate) struct Watched {
    tracer: Tracer,
    trace: Trace,
    at: Timestamp,
}

impl Watched {
    /// Begins with the call, where there are traces.
    pub(crate) fn begin(telemetry: &Telemetry, within: Option<&Trace>, at: Timestamp) -> Option<Self> {
        let tracer = telemetry.tracer.clone()?;
        let trace = within.map_or_else(|| tracer.begin(None), |trace| tracer.begin_within(trace));
        Some(Self { tracer, trace, at })
    }

    /// Tells of the call's end.
    pub(crate) fn tell(&self, tool: &ToolRecord, decision: &Decision, took: Duration) {
        self.tracer.record(&self.trace, 1, |spans| {
            let start_ns = u64::try_from(self.at.as_nanosecond()).unwrap_or(0);
            let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            let failed = !matches!(tool.ended.as_str(), "ran" | "decided");
            let span = Span {
                name: "execute_tool",
                subject: &tool.name,
                kind: Kind::Internal,
                id: self.trace.id(),
                parent: self.trace.parent(),
                remote_parent: self.trace.is_remote(),
                start_ns,
                end_ns: start_ns.saturating_add(took),
                failed,
            };
            spans.write(&span, |attributes| of_call(attributes, tool, decision, failed));
        });
    }
}

fn of_call(attributes: &mut Attributes<'_>, tool: &ToolRecord, decision: &Decision, failed: bool) {
    attributes.text(names::GEN_AI_OPERATION_NAME, "execute_tool");
    attributes.text(names::GEN_AI_TOOL_NAME, &tool.name);
    attributes.text(names::GEN_AI_TOOL_CALL_ID, &tool.call_id);
    attributes.some(names::WEIR_TOOL_SERVER, Some(&tool.server));
    attributes.some(names::WEIR_TOOL_CHANNEL, Some(&tool.channel));
    if tool.channel == MCP {
        attributes.text(names::MCP_METHOD_NAME, "tools/call");
    }
    attributes.some(names::WEIR_TOOL_LEVEL, tool.level.map(|level| level.token()));
    attributes.text(names::WEIR_DECISION_ID, &decision.id.to_string());
    attributes.text(names::WEIR_DECISION_ACTION, decision.outcome.as_str());
    attributes.some(names::WEIR_DECISION_RULE, decision.rule.as_deref());
    attributes.text(names::WEIR_TOOL_ENDED, &tool.ended);
    if failed {
        attributes.text(names::ERROR_TYPE, TOOL_ERROR);
    }
    if let Some(denial) = &tool.denial {
        attributes.text(names::WEIR_DENIAL_KIND, denial.kind.as_str());
    }
}

/// Counts a call that has ended; `ran` says whether it was begun.
pub(crate) fn count(tool: &ToolRecord, decision: &Decision, ran: bool) {
    let kind = tool.denial.as_ref().map_or("none", |denial| denial.kind.as_str());
    counter!("weir_tool_calls_total", "ended" => tool.ended.clone(), "kind" => kind).increment(1);
    if ran {
        histogram!("weir_tool_call_duration_seconds", "ended" => tool.ended.clone())
            .record(tool.duration_ms / 1e3);
    }
    for matched in &decision.matched {
        counter!(
            "weir_decisions_total",
            "boundary" => "tool",
            "action" => matched.action.clone(),
            "mode" => matched.mode.as_str(),
            "rule" => matched.rule.clone()
        )
        .increment(1);
    }
    for errored in &decision.errored {
        counter!("weir_rule_errors_total", "boundary" => "tool", "rule" => errored.rule.clone()).increment(1);
    }
}
