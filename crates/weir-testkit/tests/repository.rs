//! What must hold for the repository as a whole.
#![allow(clippy::panic, reason = "a test that fails should panic")]

use weir_testkit::repository;

/// Folders of the machines on which this was written; put together here, so that this file does not name them.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/tmp/", "t-"), concat!("/root/", ".")];

#[test]
fn no_file_names_a_path_of_one_machine() {
    let files = repository::files();
    assert!(files.len() > 50, "only {} files were found", files.len());
    for file in files {
        let bytes = std::fs::read(repository::root().join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            let found = MACHINE_FOLDERS.iter().find(|folder| line.contains(*folder));
            assert!(found.is_none(), "{file}:{} names {found:?}, which only one machine has", number + 1);
        }
    }
}

#[test]
fn the_test_data_is_that_of_the_specification() {
    let specification = repository::root().join("../shared");
    for name in ["cases.jsonl", "failures.jsonl"] {
        let ours = repository::read(&format!("tests/data/{name}"));
        assert!(ours.lines().count() > 100, "tests/data/{name} is not whole");
        // The specification lies beside the repository on some machines only.
        if let Ok(theirs) = std::fs::read_to_string(specification.join(name)) {
            assert!(ours == theirs, "tests/data/{name} differs from the specification's");
        }
    }
}

#[test]
fn scripts_are_strict_and_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let files = repository::files();
    let scripts: Vec<_> =
        files.iter().filter(|file| file.ends_with(".sh") || file.as_str() == ".ci/run").collect();
    assert!(scripts.len() >= 3, "only {scripts:?}");
    for script in scripts {
        let text = repository::read(script);
        assert!(text.contains("\nset -euo pipefail\n"), "{script} goes on after an error");
        let file = std::fs::metadata(repository::root().join(script));
        let mode = file.unwrap_or_else(|e| panic!("{script}: {e}")).permissions().mode();
        assert!(mode & 0o111 != 0, "{script} cannot be run");
    }
}
