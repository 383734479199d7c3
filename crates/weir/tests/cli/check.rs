//! `weir check`.

use serde_json::json;

use crate::support::{BAD, Folder, NO_ECHO};

#[test]
fn good_rules_are_counted_with_their_examples() {
    let folder = Folder::with(&[("rules/a.yaml", NO_ECHO), ("rules/deeper/b.yml", "rules: []\n")]);
    let run = folder.run(&["check", "rules"]);
    assert_eq!(run.good(), "1 rule, 2 examples passed, 0 warnings\n");
    assert_eq!(run.stderr, "");
    assert!(!folder.at("weir-data").exists(), "it opens no store");
}

#[test]
fn bad_rules_are_shown_with_their_places_all_at_once() {
    let folder = Folder::with(&[("rules/bad.yaml", BAD)]);
    let run = folder.run(&["check", "rules/bad.yaml"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.stdout, "2 errors, 1 warning\n");
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn an_example_that_fails_is_an_error() {
    let wrong = NO_ECHO.replace(
        "no_match:\n      - {request: {model: sim/free}}",
        "no_match:\n      - {request: {model: sim/echo}}",
    );
    let folder = Folder::with(&[("a.yaml", &wrong)]);
    let run = folder.run(&["check", "a.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "1 error, 0 warnings\n"), "{run:#?}");
    assert!(run.stderr.contains("a.yaml:11:"), "{run:#?}");
}

#[test]
fn ids_are_unique_over_all_files() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO), ("b.yaml", NO_ECHO)]);
    let run = folder.run(&["check", "a.yaml", "b.yaml"]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.stderr.contains("b.yaml:2:") && run.stderr.contains("no-echo"), "{run:#?}");
}

#[test]
fn json_is_for_programs() {
    let folder = Folder::with(&[("bad.yaml", BAD), ("good.yaml", NO_ECHO)]);
    let good = folder.run(&["check", "--json", "good.yaml"]);
    assert_eq!(
        (good.code, good.json()),
        (
            0,
            json!({"ok": true, "config": null, "rules": 1, "examples": 2, "errors": 0, "warnings": 0, "diagnostics": []})
        )
    );
    let bad = folder.run(&["check", "--json", "bad.yaml"]);
    let found = bad.json();
    assert_eq!((bad.code, bad.stderr.as_str()), (1, ""));
    assert_eq!((&found["ok"], &found["errors"], &found["warnings"]), (&json!(false), &json!(2), &json!(1)));
    let first = &found["diagnostics"][0];
    let (file, rule, line) = (&first["file"], &first["rule"], &first["line"]);
    assert_eq!((file, rule, line), (&json!("bad.yaml"), &json!("typing-error"), &json!(4)));
    assert!(first["column"].as_u64().unwrap() > 0 && first["path"].is_string());
}

#[test]
fn files_that_are_not_there_exit_with_2_and_are_all_named() {
    let folder = Folder::new();
    let run = folder.run(&["check", "no.yaml", "nofolder"]);
    run.failed(2, "no.yaml");
    run.failed(2, "nofolder");
}

#[test]
fn without_files_it_checks_what_serve_would_load() {
    let folder = Folder::new();
    let run = folder.run(&["check"]);
    assert_eq!(run.good(), "the default configuration: 0 rules, 0 examples passed, 0 warnings\n");

    folder.write("weir.yaml", "rules: [./rules]\n");
    let run = folder.run(&["check"]);
    assert_eq!(run.good(), "weir.yaml: 0 rules, 0 examples passed, 1 warning\n");
    assert!(run.stderr.contains("rules") && run.stderr.contains("does not exist"), "{run:#?}");

    folder.write("rules/a.yaml", NO_ECHO);
    assert_eq!(folder.run(&["check"]).good(), "weir.yaml: 1 rule, 2 examples passed, 0 warnings\n");

    folder.write("rules/b.yaml", BAD);
    let run = folder.run(&["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "weir.yaml: 2 errors, 1 warning\n"));
    assert!(!folder.at("weir-data").exists(), "it opens no store");
}

#[test]
fn a_listed_rule_file_that_is_not_there_is_an_error_of_the_configuration() {
    let folder = Folder::with(&[("weir.yaml", "rules: [lost.yaml]\n")]);
    let run = folder.run(&["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "weir.yaml: 1 error, 0 warnings\n"), "{run:#?}");
    assert!(run.stderr.contains("lost.yaml"), "{run:#?}");
}

/// Places that one run must name: of the configuration, of files that are not there, and of the rules that are.
const ALL_AT_ONCE: [&str; 5] =
    ["weir.yaml:2:10", "weir.yaml:3:28", "lost.yaml", "rules/bad.yaml:4:", "rules/bad.yaml:8:"];

#[test]
fn configuration_and_rules_show_all_that_is_wrong_in_one_run() {
    let text = "\
rules: [lost.yaml, ./rules]
limits: {body: 1}
models: [{id: m, provider: nobody}]
";
    let folder = Folder::with(&[("weir.yaml", text), ("rules/bad.yaml", BAD)]);
    let check = folder.run(&["check"]);
    assert_eq!((check.code, check.stdout.as_str()), (1, "weir.yaml: 5 errors, 1 warning\n"), "{check:#?}");
    let serve = folder.run(&["serve"]);
    assert_eq!((serve.code, serve.stdout.as_str()), (1, ""), "{serve:#?}");
    for place in ALL_AT_ONCE {
        for run in [&check, &serve] {
            assert!(run.stderr.contains(place), "{place} is not in {run:#?}");
        }
    }
    assert!(!folder.at("weir-data").exists(), "nothing was started");
}

#[test]
fn a_bad_configuration_shows_its_places_and_no_secret() {
    let text = "\
listen: {data: nowhere}
limts: {}
keys:
  - {key: very-secret-key, user: me, budgt: 1}
";
    let folder = Folder::with(&[("weir.yaml", text)]);
    let run = folder.run(&["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "weir.yaml: 3 errors, 0 warnings\n"), "{run:#?}");
    for place in ["weir.yaml:1:", "weir.yaml:2:1", "weir.yaml:4:"] {
        assert!(run.stderr.contains(place), "{place} is not in {run:#?}");
    }
    assert!(run.stderr.contains("did you mean") || run.stderr.contains("`limits`"), "{run:#?}");
    assert!(!run.stderr.contains("very-secret-key"), "{run:#?}");
    let json = folder.run(&["check", "--json"]);
    assert!(json.code == 1 && !json.stdout.contains("very-secret-key"), "{json:#?}");
    assert_eq!(json.json()["diagnostics"].as_array().unwrap().len(), 3);
}

#[test]
fn the_schema_is_a_json_schema_of_the_configuration() {
    let schema = Folder::new().run(&["check", "--schema"]).json();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{schema}");
    for section in ["listen", "providers", "abuse", "rules", "keys"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}

#[test]
fn a_log_filter_that_cannot_be_read_is_found_before_the_start() {
    let folder = Folder::with(&[("weir.yaml", "telemetry: {log: \"weir=loud\"}\n")]);
    let run = folder.run(&["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "weir.yaml: 1 error, 0 warnings\n"), "{run:#?}");
    assert!(run.stderr.contains("weir.yaml:1:18") && run.stderr.contains("weir=loud"), "{run:#?}");
    folder.run(&["serve"]).failed(1, "weir=loud");
}
