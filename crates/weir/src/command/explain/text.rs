//! A recorded decision in words. It is the record printed, never a second evaluation.

mod failed;
mod rules;
mod tool;

use std::fmt::Write as _;

use serde_json::Value as Json;
use weir_console::explanation::{Explanation, Lift};
use weir_core::decision::Obligation;
use weir_core::record::{Record, RequestResult};
use weir_core::words::counted;

/// The width of the column of names.
const NAMES: usize = 12;

/// The text for a person.
pub fn render(record: &Record, explanation: &Explanation) -> String {
    let mut text = Text::default();
    let decision = &record.decision;
    text.line(&format!("{}  {}  {}\n", decision.id, record.came_to(), decision.at));
    match record.result.tool.as_deref() {
        Some(call) => tool::call(&mut text, record, call),
        None => request(&mut text, record),
    }
    reasons(&mut text, record, explanation);
    rules::all(&mut text, explanation);
    text.list("obligations", decision.obligations.iter().map(obligation));
    text.list("enforced", explanation.enforced.iter().cloned());
    if let Some(call) = record.result.tool.as_deref() {
        tool::ended(&mut text, call);
    }
    failed::attempts(&mut text, record, explanation);
    failed::fallbacks(&mut text, record);
    text.list(
        "until",
        explanation.until.iter().map(|until| match until.at {
            Some(at) if !until.what.contains(&at.to_string()) => format!("{} ({at})", until.what),
            _ => until.what.clone(),
        }),
    );
    text.list("lifted by", explanation.lifted_by.iter().map(lift));
    if record.result.tool.is_none() {
        timings(&mut text, &record.result, explanation);
    }
    text.list("note", explanation.notes.iter().cloned());
    facts(&mut text, record);
    text.0
}

fn lift(lift: &Lift) -> String {
    let who = match lift.who {
        who @ "operator" | who @ "approver" => format!("an {who}"),
        who => format!("the {who}"),
    };
    match (&lift.command, &lift.endpoint) {
        (Some(command), _) => format!("{who}: {}: {command}", lift.what),
        (None, Some(endpoint)) => format!("{who}: {}: {endpoint}", lift.what),
        (None, None) => format!("{who}: {}", lift.what),
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end_matches(' '));
        self.0.push('\n');
    }

    fn named(&mut self, name: &str, value: &str) {
        self.line(&format!("{name:NAMES$} {value}"));
    }

    /// The first item beside the name, the others below it.
    fn list(&mut self, name: &str, items: impl IntoIterator<Item = String>) {
        let mut name = name;
        for item in items {
            self.named(name, &item);
            name = "";
        }
    }
}

fn request(text: &mut Text, record: &Record) {
    let facts = &record.facts.request;
    let words = [facts.api.as_str(), facts.path.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    text.named("request", &words.join(" "));
    if !facts.model.is_empty() {
        let provider = if facts.provider.is_empty() { "no provider" } else { &facts.provider };
        text.named("model", &format!("{} ({provider})", facts.model));
    }
    text.named("subject", &record.decision.subject);
}

fn reasons(text: &mut Text, record: &Record, explanation: &Explanation) {
    let decision = &record.decision;
    match &decision.rule {
        None => text.named("rule", "none decided"),
        Some(rule) => {
            let version = decision.matched.iter().find(|m| m.rule == *rule).map(|m| m.version.as_str());
            text.named("rule", &format!("{rule} (version {})", version.unwrap_or("unknown")));
        }
    }
    if record.is_refused_without_rule() {
        let error_type = record.result.error_type.as_deref().unwrap_or_default();
        text.named(
            "refused",
            &format!("by weir itself, not by a rule: {} {error_type}", record.result.status),
        );
    }
    if let Some(rule) = record.result.limiting_rule() {
        text.named("limited", &format!("refused by the limit of the rule {rule}"));
    }
    text.list("because", decision.because.clone());
    text.list("instead", decision.instead.clone());
    let source = &explanation.source_in_words;
    text.named("source", &format!("{source}; epoch {}, sus_score {}", decision.epoch, decision.sus_score));
}

fn obligation(obligation: &Obligation) -> String {
    match obligation {
        Obligation::DelayMs(ms) => format!("wait {ms} ms before the upstream call"),
        Obligation::Downgrade(true) => "send a free model instead".to_owned(),
        Obligation::Downgrade(false) => "keep the model".to_owned(),
        Obligation::RateLimit(limit) => {
            let requests = counted(limit.requests, "request");
            format!("let at most {requests} pass in {} s (rule {})", limit.per_s, limit.rule)
        }
    }
}

fn timings(text: &mut Text, result: &RequestResult, explanation: &Explanation) {
    let t = &result.timings;
    let mut line = format!("total {:.3} ms, weir {:.3} ms", t.total_ms, t.overhead_ms);
    if t.upstream_head_ms > 0.0 {
        let _ = write!(line, ", upstream's head {:.3} ms", t.upstream_head_ms);
    }
    let _ = write!(line, ", decision {:.1} us", t.decide_us);
    text.named("timings", &line);
    let stages: Vec<String> =
        explanation.stages.iter().map(|stage| format!("{} {} us", stage.stage, stage.us)).collect();
    text.list("stages", Some(stages.join(", ")).filter(|stages| !stages.is_empty()));
    if let Some(usage) = &result.usage {
        let usd = usage.cost_microusd as f64 / 1e6;
        let (read, written) = (usage.input_tokens, usage.output_tokens);
        let estimated =
            if usage.estimated { " (estimated: the provider has not counted all of it)" } else { "" };
        text.named("usage", &format!("{read} tokens in, {written} out, ${usd:.6}{estimated}"));
    }
}

/// All facts that are not empty, as a rule names them.
fn facts(text: &mut Text, record: &Record) {
    let roots = serde_json::to_value(&record.facts).unwrap_or_default();
    let mut lines = Vec::new();
    for (root, fields) in roots.as_object().into_iter().flatten() {
        for (name, value) in fields.as_object().into_iter().flatten() {
            if !is_empty(value) {
                lines.push(format!("{root}.{name} = {value}"));
            }
        }
    }
    text.list("facts", lines);
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
    }
}

#[cfg(test)]
mod tests;
