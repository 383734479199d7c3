use std::sync::Arc;

use weir_core::record::{Past, Record};
use weir_core::{Boundary, Timestamp};
use weir_rules::replay::{BoundaryReport, Options, Rehearsal, Report};
use weir_rules::{LoadOptions, RuleSet, SourceFile, load};

pub fn at() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// Rules of a boundary from their conditions and what else they have, in flow form.
pub fn set(on: &str, rules: &[(String, String)]) -> Arc<RuleSet> {
    let mut text = String::from("rules:\n");
    for (n, (when, rest)) in rules.iter().enumerate() {
        text.push_str(&format!("  - {{id: r{n}, on: {on}, when: '{when}', {rest}}}\n"));
    }
    if rules.is_empty() {
        text = "rules: []".to_owned();
    }
    match load(&[SourceFile { name: "rules.yaml".into(), text: text.clone() }], &LoadOptions { now: at() }) {
        Ok(loaded) => Arc::new(loaded.rules),
        Err(failure) => panic!("{}\n{text}", failure.diagnostics[0]),
    }
}

pub fn of(rules: &[(&str, &str)]) -> Vec<(String, String)> {
    rules.iter().map(|(when, rest)| ((*when).to_owned(), (*rest).to_owned())).collect()
}

pub fn replay<'r>(rules: &Arc<RuleSet>, records: impl IntoIterator<Item = &'r Record>) -> Report {
    let mut rehearsal = Rehearsal::new(Arc::clone(rules), Options::default());
    records.into_iter().for_each(|record| rehearsal.see(&Past::from(record)));
    rehearsal.report(true)
}

pub fn side(report: &Report, boundary: Boundary) -> &BoundaryReport {
    report.boundaries.iter().find(|of| of.boundary == boundary).unwrap()
}

/// The transitions in words.
pub fn moves(report: &Report, boundary: Boundary) -> Vec<String> {
    let list = side(report, boundary).transitions.iter();
    let mut moves: Vec<String> = list.map(|t| format!("{} -> {}: {}", t.from, t.to, t.decisions)).collect();
    moves.sort();
    moves
}
