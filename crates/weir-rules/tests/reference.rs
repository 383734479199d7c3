//! `docs/rules.md` says what the code does: its facts, its keys, its functions, and examples that load.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

use weir_rules::{Fact, LoadOptions, SourceFile, load};

const REFERENCE: &str = include_str!("../../../docs/rules.md");

fn rows_after(heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = REFERENCE.split_once(heading).unwrap();
    let rows =
        rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    rows.skip(2).map(cells).collect()
}

#[test]
fn the_table_of_facts_is_the_table_of_the_code() {
    let written: Vec<(String, String)> = rows_after("## Facts")
        .iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone()))
        .collect();
    let known: Vec<(String, String)> =
        Fact::ALL.iter().map(|fact| (fact.path(), fact.ty().as_str().to_owned())).collect();
    assert_eq!(written, known);
    for (row, fact) in rows_after("## Facts").iter().zip(Fact::ALL) {
        for word in fact.words() {
            assert!(row[2].contains(word), "{}: {word}", fact.path());
        }
    }
}

/// An unknown key makes the loader name all keys that there are.
#[test]
fn the_table_of_keys_is_that_of_the_loader() {
    let text = "rules: [{id: a, on: request, when: true, then: log, zzzzzz: 1}]".to_owned();
    let help = failure(text).help.unwrap();
    let known: std::collections::BTreeSet<&str> =
        help.trim_start_matches("the keys are ").split(", ").collect();
    let rows = rows_after("## The file");
    let written: std::collections::BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(written, known);
}

#[test]
fn every_function_is_named() {
    let text = "rules: [{id: a, on: request, when: 'qqqqq(1)', then: log}]".to_owned();
    let help = failure(text).help.unwrap();
    for function in help.trim_start_matches("the functions are ").split(", ") {
        let name = function.trim_matches('`');
        assert!(
            REFERENCE.contains(&format!("{name}(")) || REFERENCE.contains(&format!("`{name}`")),
            "{name}"
        );
    }
}

fn failure(text: String) -> weir_rules::Diagnostic {
    let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
    load(&[SourceFile { name: "a".into(), text }], &options).unwrap_err().diagnostics.remove(0)
}

#[test]
fn every_example_loads() {
    let blocks: Vec<&str> =
        REFERENCE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 2);
    let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
    for block in blocks {
        let files = [SourceFile { name: "docs/rules.md".into(), text: block.to_owned() }];
        match load(&files, &options) {
            Ok(loaded) => assert!(loaded.warnings.is_empty() && !loaded.rules.rules().is_empty()),
            Err(failure) => panic!("{}", failure.diagnostics[0]),
        }
    }
}
