//! The cases of the specification, as data: `tests/data/cases.jsonl` and `tests/data/failures.jsonl`.

use std::path::PathBuf;

use serde_json::Value;

/// One case: what is given and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its id, such as `A014`.
    pub id: String,
    /// Its area: `A`, `B` or `C`.
    pub area: String,
    /// One line for people.
    pub name: String,
    /// What is given, an object.
    pub given: Value,
    /// What is expected, an object.
    pub expect: Value,
}

/// The repository's folder of test data.
#[must_use]
pub fn folder() -> PathBuf {
    crate::repository::root().join("tests/data")
}

/// All cases of one area, in the file's order.
///
/// # Panics
/// The file is missing or broken, or there is no such area.
#[must_use]
pub fn area(area: &str) -> Vec<Case> {
    let cases: Vec<Case> = lines("cases.jsonl").iter().map(case).filter(|case| case.area == area).collect();
    assert!(!cases.is_empty(), "no cases of area {area}");
    cases
}

/// The labelled errors of real providers, one object each.
///
/// # Panics
/// The file is missing or broken.
#[must_use]
pub fn failures() -> Vec<Value> {
    lines("failures.jsonl")
}

fn lines(file: &str) -> Vec<Value> {
    let path = folder().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let parse = |(index, line)| {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{}:{}: {e}", path.display(), index + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(parse).collect()
}

fn case(line: &Value) -> Case {
    let text = |member: &str| match line[member].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("a case without `{member}`: {line}"),
    };
    Case {
        id: text("id"),
        area: text("area"),
        name: text("name"),
        given: line["given"].clone(),
        expect: line["expect"].clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_area_has_its_cases_with_ids_of_their_own() {
        for (letter, at_least) in [("A", 50), ("B", 50), ("C", 30)] {
            let cases = area(letter);
            assert!(cases.len() >= at_least, "{letter}: {}", cases.len());
            let ids: std::collections::BTreeSet<_> = cases.iter().map(|case| &case.id).collect();
            assert_eq!(ids.len(), cases.len());
            assert!(cases.iter().all(|case| case.given.is_object() && case.expect.is_object()));
        }
        assert!(failures().len() > 300);
    }

    #[test]
    #[should_panic(expected = "no cases of area Z")]
    fn an_area_without_cases_is_a_mistake() {
        let _ = area("Z");
    }
}
