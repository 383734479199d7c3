//! `weir rules`.

use serde_json::json;

use crate::support::{BAD, Folder, NO_ECHO};

#[test]
fn rules_are_applied_compared_exported_and_rolled_back() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO)]);
    let applied = folder.run(&["rules", "apply", "a.yaml"]);
    assert_eq!(applied.good(), "+ no-echo\n1 rule: 1 added; the rules are at epoch 1\n");
    assert_eq!(folder.run(&["rules", "diff", "a.yaml"]).good(), "no rule differs\n");

    folder.write("a.yaml", NO_ECHO.replace("then: block", "then: log"));
    let diff = folder.run(&["rules", "diff", "a.yaml"]);
    assert_eq!(diff.good(), "~ no-echo (then)\n1 rule: 1 changed\n");
    assert_eq!(folder.run(&["rules", "apply", "a.yaml", "--json"]).json()["epoch"], 2);

    let exported = folder.run(&["rules", "export"]);
    folder.write("exported.yaml", exported.good());
    assert_eq!(folder.run(&["rules", "diff", "exported.yaml"]).good(), "no rule differs\n");

    let rolled = folder.run(&["rules", "rollback", "1"]);
    assert_eq!(rolled.good(), "~ no-echo (then)\n1 rule: 1 changed; the rules are at epoch 3\n");
    let history = folder.run(&["rules", "history", "--json"]).json();
    let epochs: Vec<_> = history.as_array().unwrap().iter().map(|v| v["epoch"].clone()).collect();
    assert_eq!(json!(epochs), json!([3, 2, 1]));
    assert!(history[0]["author"].as_str().unwrap().starts_with("cli"), "{history}");
    let text = folder.run(&["rules", "history"]);
    assert_eq!(text.good().lines().count(), 4, "{text:#?}");
    assert!(folder.run(&["rules", "export"]).good().contains("then: block"));
}

#[test]
fn the_same_rules_again_make_no_epoch() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO)]);
    folder.run(&["rules", "apply", "a.yaml"]).good();
    let again = folder.run(&["rules", "apply", "a.yaml"]);
    assert_eq!(again.good(), "no rule differs; the rules are at epoch 1\n");
}

#[test]
fn bad_rules_are_refused_and_the_old_ones_stay() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO), ("bad.yaml", BAD)]);
    folder.run(&["rules", "apply", "a.yaml"]).good();
    let refused = folder.run(&["rules", "apply", "bad.yaml"]);
    refused.failed(1, "bad.yaml:4:");
    refused.failed(1, "2 errors found");
    folder.run(&["rules", "diff", "bad.yaml"]).failed(1, "bad.yaml:4:");
    assert_eq!(folder.run(&["rules", "diff", "a.yaml"]).good(), "no rule differs\n");
}

#[test]
fn an_epoch_that_is_not_the_current_one_is_a_conflict() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO), ("none.yaml", "rules: []\n")]);
    folder.run(&["rules", "apply", "a.yaml", "--expect-epoch", "0"]).good();
    folder.run(&["rules", "apply", "none.yaml", "--expect-epoch", "0"]).failed(1, "epoch 1");
    folder.run(&["rules", "apply", "none.yaml", "--expect-epoch", "1"]).good();
    folder.run(&["rules", "rollback", "77"]).failed(1, "77");
}

#[test]
fn a_typing_error_in_a_path_does_not_empty_the_store() {
    let folder = Folder::with(&[("a.yaml", NO_ECHO)]);
    folder.run(&["rules", "apply", "a.yaml"]).good();
    folder.run(&["rules", "apply", "ruels"]).failed(2, "ruels");
    assert_eq!(folder.run(&["rules", "diff", "a.yaml"]).good(), "no rule differs\n");
}

#[test]
fn where_files_are_the_master_they_are_named() {
    let folder = Folder::with_store();
    folder.write("weir.yaml", "rules: [./rules, extra.yaml]\n");
    folder.write("a.yaml", NO_ECHO);
    let run = folder.run(&["rules", "apply", "a.yaml"]);
    run.failed(1, "extra.yaml");
    run.failed(1, "rules");
    folder.run(&["rules", "rollback", "1"]).failed(1, "extra.yaml");
}

#[test]
fn a_store_without_rules_has_nothing_to_tell() {
    let folder = Folder::with_store();
    assert_eq!(folder.run(&["rules", "export"]).good(), "rules: []\n");
    let history = folder.run(&["rules", "history"]);
    assert!(history.good().is_empty() && history.stderr.contains("no rules"), "{history:#?}");
    assert_eq!(folder.run(&["rules", "history", "--json"]).json(), json!([]));
}
