//! What a record says that was done, in words.

use weir_core::Source;
use weir_core::record::{Record, RequestResult, ToolRecord};
use weir_core::words::counted;

/// Where the decision comes from.
pub(super) fn source(record: &Record) -> String {
    match (record.decision.source, record.result.tool.is_some()) {
        (Source::Fresh, true) => "fresh: the rules were asked for this call",
        (Source::Fresh, false) => "fresh: the rules were asked for this request",
        (Source::Cache, _) => "cache: the action that was known of this identity",
        (Source::Static, _) => "static: no rule was asked",
    }
    .to_owned()
}

/// What was enforced, in order.
pub(super) fn enforced(record: &Record) -> Vec<String> {
    if let Some(tool) = record.result.tool.as_deref() {
        return vec![ended(tool)];
    }
    let result = &record.result;
    let mut done = Vec::new();
    if let Some(stage) = &result.ended_at {
        done.push(format!("the request ended at the stage `{stage}`"));
    }
    if let Some(ms) = result.abuse_delay {
        done.push(format!("waited {ms} ms"));
    }
    if let Some(model) = &result.abuse_downgraded_from {
        let served = result.served_model.as_deref().unwrap_or("another model");
        done.push(format!("sent {served} instead of {model}"));
    }
    if let (None, Some(model)) = (&result.abuse_downgraded_from, &result.served_model) {
        done.push(format!("the fallback {model} served it"));
    }
    if let Some(limit) = &result.limit {
        done.push(format!("the limit `{limit}` was exceeded"));
    }
    if let Some(class) = &result.failure_class {
        let attempts = result.failures.iter().filter(|attempt| attempt.number > 0).count();
        done.push(format!("the provider failed: {class}, after {}", counted(attempts, "attempt")));
    }
    done.push(answered(result));
    done
}

fn answered(result: &RequestResult) -> String {
    let left = if result.client_gone { ", and the client left before the end" } else { "" };
    match (result.status, &result.error_type) {
        (0, _) => "the client left before it was answered".to_owned(),
        (status, Some(error_type)) => format!("answered {status} {error_type}{left}"),
        (status, None) => format!("answered {status}{left}"),
    }
}

fn ended(tool: &ToolRecord) -> String {
    match tool.ended.as_str() {
        "ran" => format!("it ran, in {:.3} ms", tool.duration_ms),
        "failed" => format!("it ran and failed, in {:.3} ms", tool.duration_ms),
        "denied" => "it did not run".to_owned(),
        "timed_out" => format!("it ran and was stopped after {:.0} ms", tool.duration_ms),
        "gone" => "the caller left before it was done".to_owned(),
        _ => "it was allowed; the asking program runs it".to_owned(),
    }
}
