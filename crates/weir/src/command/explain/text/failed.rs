//! The failed attempts of a request in words: what each was, by which rule, what it was read from, and what was done.

use weir_console::explanation::{AttemptExplained, Explanation};
use weir_core::record::{FailedAttempt, FallbackDecision, Record, RecordedEvidence};

use super::{Text, rules};

/// All failed attempts, in order; nothing where none has failed.
pub(super) fn attempts(text: &mut Text, record: &Record, explanation: &Explanation) {
    for (at, attempt) in record.result.failures.iter().enumerate() {
        text.list("failed", lines(attempt, explanation.attempts.get(at)));
    }
}

/// The decisions about fallback models: each is one of its own.
pub(super) fn fallbacks(text: &mut Text, record: &Record) {
    let lines = record.result.fallbacks.iter().flat_map(decided).collect::<Vec<_>>();
    if !lines.is_empty() {
        text.list("fallbacks", lines);
    }
}

fn decided(decided: &FallbackDecision) -> Vec<String> {
    let FallbackDecision { model, outcome, epoch, .. } = decided;
    let by = decided.rule.as_ref().map_or_else(|| "no rule".to_owned(), |rule| format!("rule {rule}"));
    let taken = if decided.taken { "it was sent to" } else { "it was not sent to" };
    let mut lines = vec![format!("{model}: {} by {by} (epoch {epoch}); {taken}", outcome.as_str())];
    lines.extend(decided.because.as_ref().map(|because| format!("  because {because}")));
    let others = decided.matched.iter().filter(|matched| Some(&matched.rule) != decided.rule.as_ref());
    lines.extend(others.map(|matched| format!("  matched {} ({})", matched.rule, matched.action)));
    lines.extend(
        decided.errored.iter().map(|errored| format!("  errored {}: {}", errored.rule, errored.error)),
    );
    lines
}

fn lines(attempt: &FailedAttempt, explained: Option<&AttemptExplained>) -> Vec<String> {
    let mut lines = vec![what(attempt), by(attempt)];
    // The rule that decided is named above; here is why it matched.
    let rule = explained.and_then(|it| it.matched.iter().find(|rule| Some(&rule.rule) == it.rule.as_ref()));
    if let Some(rule) = rule.filter(|rule| rule.condition.is_some()) {
        lines.extend(rules::lines(rule, "").into_iter().skip(1).map(|line| format!("  {line}")));
    }
    lines.extend(attempt.because.as_ref().map(|because| format!("  because {because}")));
    lines.push(format!("  read {}", read(&attempt.evidence)));
    lines.extend(attempt.evidence.ignored.iter().map(|ignored| format!("  ignored {ignored}")));
    lines.extend(attempt.matched.iter().filter(|matched| Some(&matched.rule) != attempt.rule.as_ref()).map(
        |matched| {
            format!("  {} would have said {} (in shadow: it changed nothing)", matched.rule, matched.action)
        },
    ));
    lines.extend(
        attempt.errored.iter().map(|errored| format!("  errored {}: {}", errored.rule, errored.error)),
    );
    lines.extend(
        attempt.skipped.iter().map(|skipped| format!("  not {}: {}", skipped.model, skipped.because)),
    );
    lines.push(next(attempt));
    lines
}

fn what(attempt: &FailedAttempt) -> String {
    let number =
        if attempt.number == 0 { "no call".to_owned() } else { format!("attempt {}", attempt.number) };
    let key = if attempt.key == 0 { String::new() } else { format!(", key {} of the pool", attempt.key) };
    let class = attempt.class.as_str();
    format!(
        "{number}: {class}, {} ({}, credential {}{key})",
        attempt.model,
        attempt.provider,
        attempt.credential.as_str()
    )
}

fn by(attempt: &FailedAttempt) -> String {
    let words = [attempt.owner.as_str(), attempt.retry.as_str(), attempt.report.as_str()];
    let said = format!("owner {}, retry {}, report {}", words[0], words[1], words[2]);
    match &attempt.rule {
        None => format!("  by no rule: {said}"),
        Some(rule) => {
            let matched = attempt.matched.iter().find(|matched| matched.rule == *rule);
            let version = matched.map_or("unknown", |matched| matched.version.as_str());
            format!("  by rule {rule} (version {version}): {said}")
        }
    }
}

fn read(evidence: &RecordedEvidence) -> String {
    let mut read = Vec::new();
    if !evidence.cause.is_empty() {
        read.push(evidence.cause.clone());
    }
    let named = [
        ("phase", Some(evidence.phase.clone())),
        ("transport", Some(evidence.transport.clone())),
        ("status", Some(evidence.status.to_string()).filter(|_| evidence.status != 0)),
        ("code", evidence.code.clone()),
        ("type", evidence.kind.clone()),
        ("wait", evidence.retry_after_s.map(|seconds| format!("{seconds} s"))),
    ];
    read.extend(
        named
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.filter(|v| !v.is_empty())?))),
    );
    if !evidence.read.is_empty() {
        read.push(format!("facts {}", evidence.read.join(" ")));
    }
    if read.is_empty() { "nothing".to_owned() } else { read.join("; ") }
}

fn next(attempt: &FailedAttempt) -> String {
    let waited = if attempt.wait_ms == 0 { String::new() } else { format!(" after {} ms", attempt.wait_ms) };
    format!("  then {}{waited}", attempt.next.in_words())
}
