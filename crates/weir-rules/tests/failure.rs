//! Failures, read and classified: the cases of the specification, labelled errors of real providers, what must not
//! mislead, and any bytes at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a test that fails should panic"
)]

#[path = "failure/cases.rs"]
mod cases;
#[path = "failure/documented.rs"]
mod documented;
#[path = "failure/labelled.rs"]
mod labelled;
#[path = "failure/traps.rs"]
mod traps;

use serde_json::Value;
use weir_core::failure::Class;
use weir_core::{Boundary, Timestamp};
use weir_rules::World;
use weir_rules::{Classification, EvaluateContext, LoadOptions, OwnedFacts, RuleSet, SourceFile, load};

/// Lines of a file of test data.
fn lines(file: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the built-in pack says of a line; the provider `OpenHuman` is of the house.
fn classified(line: &Value) -> Classification {
    let world = World { now: None, is_house: &|name| name == "OpenHuman" };
    let facts = OwnedFacts::from_json_in(Boundary::Failure, line, &world).unwrap();
    let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
    RuleSet::default().decide_failure(&facts.as_facts(), &context)
}

const REFERENCE: &str = include_str!("../../../docs/failures.md");

#[test]
fn the_table_of_classes_is_the_table_of_the_code() {
    let rows: Vec<Vec<&str>> = REFERENCE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let written: Vec<String> = rows.iter().map(|row| row[..4].join(" ")).collect();
    let word = |value: Value| value.as_str().unwrap().to_owned();
    let known: Vec<String> = Class::ALL
        .iter()
        .map(|class| {
            let owner = word(serde_json::to_value(class.owner()).unwrap());
            let retry = word(serde_json::to_value(class.retry()).unwrap());
            format!("`{class}` {owner} {retry} {}", if owner == "operator" { "page" } else { "log" })
        })
        .collect();
    assert_eq!(written, known);
}

#[test]
fn the_example_of_the_reference_loads() {
    let (_, rest) = REFERENCE.split_once("```yaml\n").unwrap();
    let text = rest.split("```").next().unwrap().to_owned();
    let files = [SourceFile { name: "docs/failures.md".into(), text }];
    let loaded = load(&files, &LoadOptions { now: Timestamp::UNIX_EPOCH });
    assert_eq!(loaded.unwrap().rules.rules().len(), 1);
}
