//! Errors as providers document them and as families of servers, SDKs and agents report them, with the classes that they
//! mean.
//!
//! Written from what is known of those programs, not from the labelled rows: model names, ids and numbers are made up. A
//! row is a line as `weir decide --on failure` takes it, and `classes`: the right one, or those of which any is.

use serde_json::Value;

use super::classified;

const DOCUMENTED: &str = include_str!("../data/documented.jsonl");

#[test]
fn documented_errors_are_what_they_mean() {
    assert!(DOCUMENTED.lines().count() > 300, "rows are lost");
    let wrong: Vec<String> = DOCUMENTED.lines().filter_map(mistaken).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong about how a row is classed.
fn mistaken(row: &str) -> Option<String> {
    let mut line: Value = serde_json::from_str(row).unwrap_or_else(|error| panic!("{error}: {row}"));
    let classes = line.as_object_mut().unwrap().remove("classes").unwrap();
    let found = classified(&line);
    let is_right = classes.as_array().unwrap().iter().any(|class| *class == found.class.as_str());
    (!is_right).then(|| format!("{classes} taken for {} by {:?}: {line}", found.class, found.rule))
}
