//! `scripts/coverage.py` on small repositories: what it counts, when it is content, and what it says when it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test that fails should panic"
)]

use std::path::Path;
use std::process::Command;

use weir_testkit::repository;

/// Twenty lines, of which the last eight are a module of tests.
const SOURCE: &str =
    "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n\n#[cfg(test)]\nmod tests {\n15\n16\n17\n18\n}\n20\n";

/// The crate whose file it is, the lines that are run, those that are not, those that change, and whether that is
/// enough, with words of what is said.
type Case = (&'static str, &'static [u32], &'static [u32], &'static [u32], bool, &'static [&'static str]);

const CASES: &[Case] = &[
    ("weir-core", &[1, 2, 3, 4, 5, 6, 7, 8, 9], &[10], &[1], true, &["90.0 %     90 %\n"]),
    (
        "weir-core",
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[9, 10],
        &[1],
        false,
        &[
            "80.0 %     90 %  TOO LOW",
            "weir-core, a pure crate, below 90 %",
            "crates/weir-core/src/a.rs: 9-10\n",
        ],
    ),
    // What is run in a module of tests makes no crate better, and what is not makes it no worse.
    ("weir-core", &[1, 15, 16, 17, 18, 19], &[2], &[1], false, &["50.0 %     90 %  TOO LOW"]),
    ("weir-core", &[1, 20], &[15, 16, 17, 18, 19], &[1], true, &["100.0 %     90 %\n"]),
    // Of another crate only the change is judged: four lines of five are enough, three of four are not.
    ("weir", &[1, 2, 3, 4], &[5, 6, 7, 8], &[1, 2, 3, 4, 5], true, &["80.0 %     80 %\n"]),
    (
        "weir",
        &[1, 2, 3, 5, 6, 7, 8],
        &[4],
        &[1, 2, 3, 4],
        false,
        &["75.0 %     80 %  TOO LOW", "lines changed since", "crates/weir/src/a.rs: 4\n"],
    ),
    // A change of lines that are no code, and of tests, is no change that could be run.
    ("weir", &[2], &[1], &[12, 15], true, &["changed                0"]),
];

#[test]
fn too_few_lines_fail_and_are_named() {
    for (name, run, not_run, changed, enough, words) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("crates/{name}/src/a.rs");
        write(folder.path(), &file, SOURCE);
        git(folder.path(), &["init", "--quiet"]);
        commit(folder.path());
        let lines = SOURCE.lines().zip(1..).map(|(line, number)| {
            if changed.contains(&number) { format!("changed {line}\n") } else { format!("{line}\n") }
        });
        write(folder.path(), &file, &lines.collect::<String>());
        let counted = |lines: &[u32], count: u32| {
            lines.iter().map(|line| format!("DA:{line},{count}\n")).collect::<String>()
        };
        let report = format!("SF:{file}\n{}{}end_of_record\n", counted(run, 3), counted(not_run, 0));
        write(folder.path(), "lcov.info", &report);

        let case = format!("{name}, {run:?} run, {not_run:?} not, {changed:?} changed");
        let (passed, said) = coverage(folder.path(), &["lcov.info", "HEAD"]);
        assert_eq!(passed, *enough, "{case}:\n{said}");
        for words in *words {
            assert!(said.contains(words), "{case}: {words:?} is not said:\n{said}");
        }
    }
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "crates/weir/src/a.rs", SOURCE);
    git(folder.path(), &["init", "--quiet"]);
    commit(folder.path());
    write(folder.path(), "lcov.info", "SF:crates/weir/src/a.rs\nDA:1,1\nend_of_record\n");
    write(folder.path(), "empty.info", "SF:crates/weir/tests/a.rs\nDA:1,1\nend_of_record\n");
    for (arguments, words) in [
        (&["lcov.info", "nowhere"], "BASE=nowhere is no commit here"),
        (&["empty.info", "HEAD"], "tells of no line of this repository"),
    ] {
        let (passed, said) = coverage(folder.path(), arguments);
        assert!(!passed && said.contains(words), "{arguments:?}: {said}");
    }
    assert!(coverage(folder.path(), &["lcov.info"]).0, "the first commit of all is its own base");
}

/// Whether it ended well, and what it said.
fn coverage(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let script = repository::root().join("scripts/coverage.py");
    let output = Command::new("python3").arg(script).args(arguments).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn commit(folder: &Path) {
    git(folder, &["add", "--all"]);
    git(folder, &["-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "--quiet", "-m", "a"]);
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git").args(arguments).current_dir(folder).status().unwrap();
    assert!(status.success(), "git {arguments:?}");
}
