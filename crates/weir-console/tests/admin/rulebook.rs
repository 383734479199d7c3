//! The rulebook as the binary uses it.

use std::path::PathBuf;
use std::sync::Arc;

use weir_console::{ApplyError, Master, Rulebook};
use weir_rules::{LiveRules, RuleSet, SourceFile};
use weir_store::Database;
use weir_testkit::ManualClock;

use crate::plane::memory;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn one(id: &str) -> String {
    format!("rules:\n  - {{id: {id}, on: request, when: request.stream, then: log}}\n")
}

struct Node {
    book: Rulebook,
    live: Arc<LiveRules>,
}

fn node(database: &Database, master: Master) -> Node {
    let live = Arc::new(LiveRules::new(RuleSet::default(), 0));
    let clock = Arc::new(ManualClock::at_ten());
    Node { book: Rulebook::new(database.clone(), Some(live.clone()), master, clock), live }
}

fn ids(rules: &RuleSet) -> Vec<&str> {
    rules.rules().iter().map(|rule| &*rule.id).collect()
}

#[tokio::test]
async fn another_node_follows_by_reloading() {
    let database = memory().await;
    let (a, b) = (node(&database, Master::Store), node(&database, Master::Store));
    a.book.apply(&[file("a.yaml", &one("first"))], "ada", None).await.unwrap();
    assert_eq!((a.live.load().epoch, b.live.load().epoch), (1, 0));
    assert_eq!(b.book.reload_from_store().await.unwrap(), 1);
    assert_eq!((b.live.load().epoch, ids(&b.live.load().rules)), (1, vec!["first"]));
    // The command line has no live rules.
    let cli = Rulebook::new(database, None, Master::Store, Arc::new(ManualClock::at_ten()));
    assert_eq!(ids(&cli.current().await.unwrap().rules), ["first"]);
    assert_eq!(
        cli.add("id: second\non: request\nwhen: request.stream\nthen: log", "cli", None).await.unwrap().0,
        "second"
    );
    assert_eq!(cli.get("second").await.unwrap()["then"], "log");
    assert!(matches!(cli.get("third").await, Err(ApplyError::UnknownRule(_))));
    assert_eq!(b.book.reload_from_store().await.unwrap(), 2);
}

#[tokio::test]
async fn files_are_kept_in_the_history_when_they_change() {
    let database = memory().await;
    let files = Master::Files(vec![PathBuf::from("rules")]);
    let a = node(&database, files.clone());
    let set = [
        file("one.yaml", &one("first")),
        file("two.yaml", "# two\nrules:\n- id: second\n  on: request\n  when: request.stream\n  then: log\n"),
    ];
    assert_eq!(a.book.install_from_files(&set, "files").await.unwrap().epoch, 1);
    assert_eq!(ids(&a.live.load().rules), ["first", "second"]);
    assert_eq!(a.book.install_from_files(&set, "files").await.unwrap().epoch, 1);
    // A restart with the same files.
    let b = node(&database, files);
    let again = b.book.install_from_files(&set, "files").await.unwrap();
    assert_eq!((again.epoch, again.changes.len(), b.live.load().epoch), (1, 0, 1));
    let (_, text) = b.book.export().await.unwrap();
    let loaded = weir_rules::load(
        &[file("export", &text)],
        &weir_rules::LoadOptions { now: jiff::Timestamp::UNIX_EPOCH },
    );
    assert_eq!(ids(&loaded.unwrap().rules), ["first", "second"]);

    let bad = [file("one.yaml", "rules: 7")];
    assert!(matches!(b.book.install_from_files(&bad, "files").await, Err(ApplyError::Diagnostics(_))));
    assert_eq!(ids(&b.live.load().rules), ["first", "second"]);
    assert_eq!(b.book.install_from_files(&set[..1], "files").await.unwrap().epoch, 2);
    assert_eq!(b.book.history(10).await.unwrap()[0].summary, "removed second");
    assert!(matches!(b.book.apply(&set, "ada", None).await, Err(ApplyError::FilesAreMaster(_))));
    assert_eq!(b.book.reload_from_store().await.unwrap(), 2);
}

#[tokio::test]
async fn edits_at_the_same_time_are_all_kept() {
    let database = memory().await;
    let nodes = [node(&database, Master::Store), node(&database, Master::Store)];
    let edits = (0..8).map(|n| {
        let book = nodes[n % 2].book.clone();
        tokio::spawn(async move {
            book.add(&format!("id: r{n}\non: request\nwhen: request.stream\nthen: log"), "ada", None).await
        })
    });
    for edit in edits.collect::<Vec<_>>() {
        edit.await.unwrap().unwrap();
    }
    let epoch = nodes[0].book.reload_from_store().await.unwrap();
    let live = nodes[0].live.load();
    let mut kept = ids(&live.rules);
    kept.sort_unstable();
    assert_eq!((epoch, kept), (8, vec!["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"]));
}

#[tokio::test]
async fn a_comparison_says_what_would_change() {
    let database = memory().await;
    let a = node(&database, Master::Store);
    a.book.apply(&[file("a.yaml", &one("first"))], "ada", None).await.unwrap();
    let changes = a.book.compare(&[file("b.yaml", &one("second"))]).await.unwrap();
    assert_eq!(changes.iter().map(|c| c.rule.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(a.live.load().epoch, 1);
    assert!(matches!(
        a.book.apply(&[file("b.yaml", &one("b"))], "ada", Some(4)).await,
        Err(ApplyError::Conflict { current: 1, .. })
    ));
}
