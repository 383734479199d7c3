//! The report of a backtest for people.

use weir_core::Timestamp;
use weir_core::words::{counted, grouped};
use weir_rules::replay::{BoundaryReport, Change, Report, RuleReport, Share, Transition};

use crate::output;

/// Names of a breakdown that are shown.
const SHOWN: usize = 5;

/// Samples of a transition that are shown.
const SAMPLES_SHOWN: usize = 3;

/// The whole report.
pub fn of(report: &Report) -> String {
    let mut text = header(report);
    for boundary in report.concerned() {
        text.push('\n');
        text.push_str(&of_boundary(boundary, report.identities_exact));
    }
    text.push_str(&rules(&report.rules));
    text
}

/// Of a report only what would change, after the difference of two sets of rules.
pub fn changed_text(report: &Report) -> String {
    if report.records == 0 {
        return String::new();
    }
    let mut text = header(report);
    for boundary in report.concerned() {
        text.push_str(&of_boundary(boundary, report.identities_exact));
    }
    text
}

fn header(report: &Report) -> String {
    let (Some(from), Some(until)) = (report.from, report.until) else {
        return "no decision is recorded in that time\n".to_owned();
    };
    let stopped = if report.complete { "" } else { "; stopped before the end" };
    format!("{} from {} to {}{stopped}\n", counted(report.records, "record"), minute(from), minute(until))
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn replayed(of: &BoundaryReport) -> String {
    let mut text = format!(
        "{}: {}, {} replayed ({:.1} %), {} as they were\n",
        of.boundary.as_str(),
        counted(of.decisions, "decision"),
        grouped(of.replayed),
        of.share * 100.0,
        grouped(of.unchanged)
    );
    for reason in &of.not_replayed {
        text.push_str(&format!("  not replayed: {}, {}\n", grouped(reason.decisions), reason.reason));
    }
    if of.ended_before > 0 {
        text.push_str(&format!("  {} more ended before a rule is asked\n", grouped(of.ended_before)));
    }
    text
}

fn of_boundary(of: &BoundaryReport, exact: bool) -> String {
    let mut text = replayed(of);
    for change in &of.changes {
        text.push_str(&changed(change, exact));
    }
    for transition in of.transitions.iter().filter(|transition| transition.effect.is_some()) {
        text.push_str(&moved(transition));
    }
    text
}

fn changed(change: &Change, exact: bool) -> String {
    let about = if exact { "" } else { "at least " };
    let mut text = format!(
        "  {}: {} of {about}{}; paying: {} of {about}{}; with the caller's own key: {}\n",
        change.effect.in_words(),
        counted(change.decisions, "decision"),
        counted(change.identities, "identity"),
        grouped(change.paying_decisions),
        grouped(change.paying_identities),
        grouped(change.own_key_decisions)
    );
    for (name, shares, none) in [
        ("by rule", &change.by_rule, "(no rule)"),
        ("by plan", &change.by_plan, "(no plan)"),
        ("by key", &change.by_key, "(no key known)"),
        ("by identity", &change.by_identity, "(none)"),
    ] {
        text.push_str(&format!("    {name}: {}\n", shared(shares, none)));
    }
    text
}

fn shared(shares: &[Share], none: &str) -> String {
    let name = |share: &Share| if share.name.is_empty() { none.to_owned() } else { share.name.clone() };
    let mut said: Vec<String> = shares
        .iter()
        .take(SHOWN)
        .map(|share| format!("{} {}", name(share), grouped(share.decisions)))
        .collect();
    if shares.len() > SHOWN {
        said.push("…".to_owned());
    }
    said.join(", ")
}

fn moved(transition: &Transition) -> String {
    let samples: Vec<String> =
        transition.samples.iter().rev().take(SAMPLES_SHOWN).map(ToString::to_string).collect();
    format!(
        "  {} -> {}: {}, such as {}\n",
        transition.from,
        transition.to,
        grouped(transition.decisions),
        samples.join(", ")
    )
}

fn rules(rules: &[RuleReport]) -> String {
    if rules.is_empty() {
        return "\nthe candidate has no rule of that boundary\n".to_owned();
    }
    let mut text = String::new();
    let rows: Vec<[String; 6]> = rules
        .iter()
        .filter(|rule| rule.hits > 0 || rule.undecided > 0)
        .map(|rule| {
            [
                rule.rule.clone(),
                rule.mode.as_str().to_owned(),
                grouped(rule.hits),
                grouped(rule.identities),
                grouped(rule.decided),
                grouped(rule.undecided),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&output::table(["RULE", "MODE", "HITS", "IDENTITIES", "DECIDES", "NOT KNOWN"], &rows));
    }
    for rule in rules.iter().filter(|rule| rule.undecided > 0) {
        let reads = rule.not_recorded.join(", ");
        let reads = if reads.is_empty() { "facts that these records lack".to_owned() } else { reads };
        text.push_str(&format!("{}: cannot be replayed where it depends on {reads}\n", rule.rule));
    }
    let never: Vec<&str> = rules.iter().filter(|r| r.never_matched()).map(|r| r.rule.as_str()).collect();
    if !never.is_empty() {
        let said = format!("\n{} never matched: {}\n", counted(never.len(), "rule"), never.join(", "));
        text.push_str(&said);
    }
    text
}

#[cfg(test)]
mod tests {
    use weir_core::Boundary;
    use weir_rules::replay::Effect;

    use super::*;

    /// A report of twelve decisions on each of two boundaries, none of which would change.
    fn unchanged() -> Report {
        let of = |boundary| BoundaryReport {
            boundary,
            decisions: 12,
            ended_before: 0,
            replayed: 12,
            share: 1.0,
            unchanged: 12,
            not_replayed: Vec::new(),
            changes: Vec::new(),
            transitions: Vec::new(),
        };
        Report {
            records: 12,
            from: Some(Timestamp::UNIX_EPOCH),
            until: Some(Timestamp::UNIX_EPOCH),
            boundaries: vec![of(Boundary::Request), of(Boundary::Failure)],
            ..Report::default()
        }
    }

    fn rule(boundary: Boundary) -> RuleReport {
        RuleReport {
            rule: "r".into(),
            version: "1".into(),
            boundary,
            mode: weir_core::Mode::Enforce,
            then: "block".into(),
            hits: 0,
            identities: 0,
            decided: 0,
            undecided: 0,
            not_recorded: Vec::new(),
            samples: Vec::new(),
        }
    }

    #[test]
    fn boundaries_are_told_of_that_the_candidate_has_rules_on_or_changes() {
        let told = |report: &Report| {
            let text = of(report);
            ["request: ", "failure: "].map(|boundary| text.contains(boundary))
        };
        let mut report = unchanged();
        assert_eq!(told(&report), [true, true], "it has no rule at all");
        report.rules = vec![rule(Boundary::Request)];
        assert_eq!(told(&report), [true, false]);
        report.boundaries[1].changes = vec![Change {
            effect: Effect::Reclassified,
            decisions: 1,
            identities: 1,
            paying_decisions: 0,
            paying_identities: 0,
            own_key_decisions: 0,
            by_plan: Vec::new(),
            by_key: Vec::new(),
            by_identity: Vec::new(),
            by_rule: Vec::new(),
        }];
        assert_eq!(told(&report), [true, true]);
        let text = of(&report);
        assert!(text.contains("1 decision of at least 1 identity; "), "{text}");
    }

    #[test]
    fn an_empty_report_says_so() {
        let report = Report { complete: true, identities_exact: true, ..Report::default() };
        assert!(of(&report).starts_with("no decision is recorded in that time\n"), "{}", of(&report));
    }
}
