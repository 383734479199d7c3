//! The rules of a decision in words: each with the parts of its condition and what they saw.

use weir_console::explanation::Explanation;
use weir_core::Mode;
use weir_rules::explain::{ExplainedRule, Part, PartKind, Seen};

use super::Text;

/// All rules that an explanation tells of.
pub(super) fn all(text: &mut Text, explanation: &Explanation) {
    text.list("matched", explanation.matched.iter().flat_map(|rule| lines(rule, &matched(rule))));
    text.list("errored", explanation.errored.iter().flat_map(|rule| lines(rule, &errored(rule))));
    text.list("near misses", explanation.near_misses.iter().flat_map(|rule| lines(rule, &missed(rule))));
    let more = explanation.near_misses_more;
    text.list("", (more > 0).then(|| format!("and {more} more")));
}

fn matched(rule: &ExplainedRule) -> String {
    let shadow = if rule.mode == Mode::Shadow { ", in shadow: it changed nothing" } else { "" };
    format!("{} -> {} (version {}{shadow})", rule.rule, rule.action, rule.version)
}

fn errored(rule: &ExplainedRule) -> String {
    match (&rule.error, rule.error_beside_condition()) {
        (Some(_), None) => rule.rule.clone(),
        (_, error) => format!("{}: {}", rule.rule, error.unwrap_or("the error was not recorded")),
    }
}

fn missed(rule: &ExplainedRule) -> String {
    format!("{} -> {} (version {})", rule.rule, rule.action, rule.version)
}

/// A rule and the parts of its condition, as they read on the recorded facts.
pub(super) fn lines(rule: &ExplainedRule, head: &str) -> Vec<String> {
    let mut lines = vec![head.to_owned()];
    match &rule.condition {
        None => lines.push("  (the text of this version is not kept here)".to_owned()),
        Some(condition) => condition.walk(&mut |part, depth| lines.push(line(part, depth))),
    }
    lines
}

/// The width of the column of truths.
const TRUTHS: usize = 12;

/// How long a condition of several parts may be, in characters, that is shown as a whole before them.
const JOINED_CHARS_MAX: usize = 120;

fn line(part: &Part, depth: usize) -> String {
    let mut truth = part.truth.in_words().to_owned();
    if part.inferred {
        // Nobody has read it: it follows from the outcome.
        truth.push('*');
    }
    // The parts of a long one follow, with all of its text: it is not printed twice.
    let is_told_below = !part.parts.is_empty() && part.text.chars().count() > JOINED_CHARS_MAX;
    let joined = match part.kind {
        PartKind::All if depth > 0 || is_told_below => "all of: ",
        PartKind::Any if depth > 0 || is_told_below => "one of: ",
        PartKind::Not if is_told_below => "not: ",
        _ => "",
    };
    let own = if is_told_below { "" } else { part.text.as_str() };
    let saw = if part.values.is_empty() {
        String::new()
    } else {
        format!("  [{}]", part.values.iter().map(seen).collect::<Vec<_>>().join(", "))
    };
    let error = part.error_of_its_own().map(|error| format!("  ({error})")).unwrap_or_default();
    format!("  {truth:TRUTHS$} {}{joined}{own}{saw}{error}", "  ".repeat(depth)).trim_end().to_owned()
}

fn seen(seen: &Seen) -> String {
    match (&seen.error, seen.recorded) {
        (Some(error), _) => format!("{}: {error}", seen.text),
        (None, false) => format!("{}: not recorded", seen.text),
        (None, true) => format!("{} = {}", seen.text, seen.value),
    }
}
