//! docs/features.md: every feature has an id of its own and names tests, good and bad, that exist.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test that fails should panic")]

use std::collections::BTreeSet;

use weir_testkit::repository;

const TABLE: &str = "docs/features.md";

struct Feature {
    line: usize,
    id: String,
    good: Vec<String>,
    bad: Vec<String>,
}

#[test]
fn every_feature_names_tests_that_exist() {
    let mut wrong = Vec::new();
    for feature in features() {
        for (kind, tests) in [("good", &feature.good), ("bad", &feature.bad)] {
            if tests.is_empty() {
                wrong.push(format!("{TABLE}:{}: {} names no {kind} case", feature.line, feature.id));
            }
            for test in tests {
                if let Err(why) = find(test) {
                    wrong.push(format!("{TABLE}:{}: {}: {why}", feature.line, feature.id));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_feature_has_an_id_of_its_own() {
    let features = features();
    assert!(features.len() >= 40, "only {} features were found", features.len());
    let mut ids = BTreeSet::new();
    for feature in &features {
        let (letters, number) = feature.id.split_once('-').unwrap_or_default();
        let shape = !letters.is_empty()
            && letters.chars().all(|c| c.is_ascii_uppercase())
            && number.len() == 2
            && number.chars().all(|c| c.is_ascii_digit());
        assert!(shape, "{TABLE}:{}: `{}` is no id", feature.line, feature.id);
        assert!(ids.insert(&feature.id), "{TABLE}:{}: `{}` is there twice", feature.line, feature.id);
    }
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let here = "crates/weir-testkit/tests/features.rs";
    assert_eq!(find(&format!("{here}::every_feature_has_an_id_of_its_own")), Ok(()));
    assert!(find(&format!("{here}::no_such_test")).is_err());
    assert!(find("crates/weir-testkit/tests/lost.rs::a_test").is_err());
    assert!(find(&format!("{here}::references")).is_err(), "a function, but no test");
    assert!(find("a word").is_err());
    let cases = "crates/weir-gateway/tests/area_a.rs";
    assert_eq!(find(&format!("{cases}::A014")), Ok(()), "made by a macro");
    assert!(find(&format!("{cases}::A072")).is_err(), "named, but not given to the macro");
}

/// Rows of four cells: the id, what it is, the good cases, the bad cases.
fn features() -> Vec<Feature> {
    let text = repository::read(TABLE);
    let rows =
        text.lines().enumerate().filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| id |"));
    rows.map(|(index, line)| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{TABLE}:{}: a row has four cells", index + 1);
        Feature {
            line: index + 1,
            id: cells[0].to_owned(),
            good: references(cells[2]),
            bad: references(cells[3]),
        }
    })
    .collect()
}

/// What stands between back-quotes. A name that begins with `::` lies in the file of the one before it.
fn references(cell: &str) -> Vec<String> {
    let mut file = "";
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .map(|reference| match reference.strip_prefix("::") {
            Some(name) => format!("{file}::{name}"),
            None => {
                file = reference.split("::").next().unwrap_or_default();
                reference.to_owned()
            }
        })
        .collect()
}

/// `crates/x/tests/y.rs::name`: the file is there, and a test of this name in it that is run. Python's and
/// JavaScript's tests are named as their files write them.
fn find(reference: &str) -> Result<(), String> {
    let (file, name) = reference.split_once("::").ok_or(format!("`{reference}` is not `file::test`"))?;
    let text = std::fs::read_to_string(repository::root().join(file)).map_err(|e| format!("{file}: {e}"))?;
    let found = match file.rsplit('.').next() {
        Some("rs") => is_rust_test(&text, name) || is_made_by_a_macro(file, &text, name),
        Some("py") => name.starts_with("test_") && text.contains(&format!("def {name}(")),
        _ => text.contains(&format!("test(\"{name}\"")),
    };
    if found { Ok(()) } else { Err(format!("no test `{name}` that is run in {file}")) }
}

/// Whether a function of this name has an attribute that makes it a test, and none that leaves it out.
fn is_rust_test(text: &str, name: &str) -> bool {
    text.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        // `async` and `pub` may stand before it on its line.
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let above = text[..line].lines().rev();
        let attributes: Vec<_> = above.take_while(|line| line.trim_start().starts_with(['#', '/'])).collect();
        let has = |words: &[&str]| attributes.iter().any(|line| words.iter().any(|word| line.contains(word)));
        has(&["#[test]", "::test]", "::test("]) && !has(&["#[ignore"])
    })
}

/// Whether the name is given to a macro of this crate that makes tests: `cases! { A000 A002 }`.
fn is_made_by_a_macro(file: &str, text: &str, name: &str) -> bool {
    let calls =
        text.split("\n").enumerate().filter_map(|(number, line)| Some((number, line.strip_suffix("! {")?)));
    let mut macros = calls.filter(|(number, _)| {
        let body = text.lines().skip(number + 1).take_while(|line| *line != "}");
        body.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|word| word == name)
    });
    macros.any(|(_, called)| makes_tests(file, called))
}

/// Whether the crate of this file has a macro of this name with a test attribute in it.
fn makes_tests(file: &str, called: &str) -> bool {
    let package: String = file.split('/').take(2).collect::<Vec<_>>().join("/") + "/";
    let sources =
        repository::files().into_iter().filter(|path| path.starts_with(&package) && path.ends_with(".rs"));
    sources.map(|path| repository::read(&path)).any(|text| {
        let definition = text.split(&format!("macro_rules! {called} {{")).nth(1);
        definition
            .and_then(|rest| rest.split("\n}").next())
            .is_some_and(|body| body.contains("test]") || body.contains("::test("))
    })
}
