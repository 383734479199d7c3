//! Failures, read and classified: the cases of the specification, labelled errors of real providers, what must not
//! mislead, and any bytes at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
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
use weir_core::{Boundary, Timestamp};
use weir_rules::World;
use weir_rules::{Classification, EvaluateContext, OwnedFacts, RuleSet};

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
