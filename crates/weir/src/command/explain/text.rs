//! A recorded decision in words. It is the record printed, never a second evaluation.

mod failed;
mod tool;

use std::fmt::Write as _;

use serde_json::Value as Json;
use weir_core::decision::{Decision, Obligation};
use weir_core::record::{Record, RequestResult};
use weir_core::{Action, Mode, Source, Timestamp};

/// What is in force now of the rule that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleNow {
    /// The same text.
    Same {
        /// Until when it is asked.
        expires: Option<Timestamp>,
    },
    /// The rule, with another text.
    Changed,
    /// No rule of this id.
    Gone,
    /// It could not be found out, or no rule decided.
    Unknown,
}

/// Where an operator turns to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    /// The URL of the admin plane.
    pub admin: String,
    /// The rule files, when they are the master.
    pub rule_files: Option<Vec<String>>,
}

/// The width of the column of names.
const NAMES: usize = 12;

/// The text for a person.
pub fn render(record: &Record, rule: &RuleNow, ways: &Ways) -> String {
    let mut text = Text::default();
    let decision = &record.decision;
    text.line(&format!("{}  {}  {}\n", decision.id, decision.outcome.as_str(), decision.at));
    if let Some(call) = record.result.tool.as_deref() {
        tool::call(&mut text, record, call);
        reasons(&mut text, decision);
        rules(&mut text, decision);
        tool::ended(&mut text, call);
        facts(&mut text, record);
        return text.0;
    }
    request(&mut text, record);
    reasons(&mut text, decision);
    rules(&mut text, decision);
    enforced(&mut text, record);
    failed::attempts(&mut text, record);
    failed::fallbacks(&mut text, record);
    if lifts(record) {
        text.named("until", &until(record, rule));
        lift(&mut text, record, ways);
    }
    timings(&mut text, &record.result);
    facts(&mut text, record);
    text.0
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

fn reasons(text: &mut Text, decision: &Decision) {
    match &decision.rule {
        None => text.named("rule", "none decided"),
        Some(rule) => {
            let version = decision.matched.iter().find(|m| m.rule == *rule).map(|m| m.version.as_str());
            text.named("rule", &format!("{rule} (version {})", version.unwrap_or("unknown")));
        }
    }
    text.list("because", decision.because.clone());
    text.list("instead", decision.instead.clone());
    let source = match decision.source {
        Source::Fresh => "fresh: the rules were asked for this request",
        Source::Cache => "cache: the action that was known of this identity",
        Source::Static => "static: no rule was asked",
    };
    text.named("source", &format!("{source}; epoch {}, sus_score {}", decision.epoch, decision.sus_score));
}

fn rules(text: &mut Text, decision: &Decision) {
    let matched = decision.matched.iter().map(|m| {
        let shadow = if m.mode == Mode::Shadow { ", in shadow: it changed nothing" } else { "" };
        format!("{} -> {} (version {}{shadow})", m.rule, m.action, m.version)
    });
    text.list("matched", matched);
    text.list("errored", decision.errored.iter().map(|e| format!("{}: {}", e.rule, e.error)));
    text.list("obligations", decision.obligations.iter().map(obligation));
}

fn obligation(obligation: &Obligation) -> String {
    match obligation {
        Obligation::DelayMs(ms) => format!("wait {ms} ms before the upstream call"),
        Obligation::Downgrade(true) => "send a free model instead".to_owned(),
        Obligation::Downgrade(false) => "keep the model".to_owned(),
        Obligation::RateLimit(limit) => {
            format!("let at most {} requests pass in {} s (rule {})", limit.requests, limit.per_s, limit.rule)
        }
    }
}

fn enforced(text: &mut Text, record: &Record) {
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
        let attempts = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
        done.push(format!("the provider failed: {class}, after {attempts}"));
    }
    done.push(answered(result));
    text.list("enforced", done);
}

fn answered(result: &RequestResult) -> String {
    let left = if result.client_gone { ", and the client left before the end" } else { "" };
    match (result.status, &result.error_type) {
        (0, _) => "the client left before it was answered".to_owned(),
        (status, Some(error_type)) => format!("answered {status} {error_type}{left}"),
        (status, None) => format!("answered {status}{left}"),
    }
}

/// Whether there is something in force that a person may want to be lifted.
fn lifts(record: &Record) -> bool {
    record.decision.action() > Action::Log || record.result.limit.is_some() || budget_is_spent(record)
}

fn budget_is_spent(record: &Record) -> bool {
    record.result.error_type.as_deref() == Some("usage_limit_exceeded")
}

fn until(record: &Record, rule: &RuleNow) -> String {
    if budget_is_spent(record) {
        return "the caller has a key with a budget that is not spent".to_owned();
    }
    let limits: Vec<_> = record.decision.limits().collect();
    if let (Some(limit), Some(hit)) = (limits.first(), &record.result.limit) {
        let wanted = limits.iter().find(|l| hit.ends_with(&format!("rule:{}", l.rule))).unwrap_or(limit);
        return format!("the window of {} s that the limit counts in is over", wanted.per_s);
    }
    match rule {
        RuleNow::Same { expires: Some(at) } => format!("the rule expires at {at}, or is changed before"),
        RuleNow::Same { expires: None } => "the rule, which does not expire, is changed".to_owned(),
        RuleNow::Changed => {
            "the rule has changed since: the next request is decided by its new text".to_owned()
        }
        RuleNow::Gone => "the rule is gone: the next request is decided without it".to_owned(),
        RuleNow::Unknown if record.decision.source == Source::Cache => {
            "the cached action runs out, or the next classification replaces it".to_owned()
        }
        RuleNow::Unknown => "the limit's window is over, or the rule is changed".to_owned(),
    }
}

fn lift(text: &mut Text, record: &Record, ways: &Ways) {
    let subject = &record.decision.subject;
    let mut steps = vec!["an operator, who can".to_owned()];
    if budget_is_spent(record) {
        let user = &record.facts.identity.user_id;
        steps.push(format!("- make another key: weir keys create --user {user} --budget-usd USD"));
        return text.list("lifted by", steps);
    }
    match (&record.decision.rule, &ways.rule_files) {
        (Some(rule), Some(files)) => steps.push(format!("- change `{rule}` in {}", files.join(", "))),
        (Some(rule), None) => {
            steps.push(format!(
                "- change `{rule}`: weir rules export > rules.yaml, edit, weir rules apply rules.yaml"
            ));
        }
        (None, _) => {}
    }
    let identity = format!("{}/api/identities/{subject}", ways.admin);
    let authorized = "-H \"authorization: Bearer $ADMIN_TOKEN\"";
    steps.push(format!(
        "- exempt the identity: curl -X PUT {identity}/exemption {authorized} -d '{{\"until\": \"TIME\"}}'"
    ));
    if record.decision.source == Source::Cache {
        steps.push(format!("- clear its cached action: curl -X DELETE {identity}/action {authorized}"));
    }
    text.list("lifted by", steps);
}

fn timings(text: &mut Text, result: &RequestResult) {
    let t = &result.timings;
    let mut line = format!("total {:.3} ms, weir {:.3} ms", t.total_ms, t.overhead_ms);
    if t.upstream_head_ms > 0.0 {
        let _ = write!(line, ", upstream's head {:.3} ms", t.upstream_head_ms);
    }
    let _ = write!(line, ", decision {:.1} us", t.decide_us);
    text.named("timings", &line);
    if let Some(usage) = &result.usage {
        let usd = usage.cost_microusd as f64 / 1e6;
        let (read, written) = (usage.input_tokens, usage.output_tokens);
        text.named("usage", &format!("{read} tokens in, {written} out, ${usd:.6}"));
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
