//! `weir backtest`, and what `weir rules diff` says of recorded decisions. What they count is held in
//! `tests/e2e/rehearsal.rs`.

use serde_json::json;

use crate::support::{BAD, Folder, NO_ECHO};

#[test]
fn a_store_without_records_has_nothing_to_replay() {
    let folder = Folder::with_store();
    folder.write("a.yaml", NO_ECHO);
    let run = folder.run(&["backtest", "a.yaml"]);
    assert!(run.good().starts_with("no decision is recorded in that time\n"), "{run:#?}");
    let report =
        folder.run(&["backtest", "a.yaml", "--since", "7d", "--boundary", "request", "--json"]).json();
    assert_eq!((&report["records"], &report["complete"]), (&json!(0), &json!(true)), "{report}");
    assert_eq!(report["rules"][0]["rule"], "no-echo");
    let diff = folder.run(&["rules", "diff", "a.yaml", "--since", "1h"]);
    assert_eq!(diff.good(), "+ no-echo\n1 rule: 1 added\n");
    assert!(diff.stderr.contains("no decision is recorded since 1h"), "{diff:#?}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = Folder::with_store();
    folder.write("a.yaml", NO_ECHO);
    folder.write("bad.yaml", BAD);
    folder.run(&["backtest", "bad.yaml"]).failed(1, "bad.yaml:4:");
    folder.run(&["backtest", "none.yaml"]).failed(2, "none.yaml");
    folder.run(&["backtest", "a.yaml", "--since", "yesterday"]).failed(2, "--since: `yesterday` is no time");
    folder.run(&["backtest", "a.yaml", "--since", "1h", "--until", "2h"]).failed(2, "later than --since");
    folder.run(&["backtest"]).failed(2, "RULES");
    let without = Folder::with(&[("a.yaml", NO_ECHO)]);
    without.run(&["backtest", "a.yaml"]).failed(3, "there is no store");
}
