//! What must not compile: a permit that no decision gave, a failure that was not classified, and a prompt or a key that is
//! printed.
//!
//! The programs in `compiled/` are given to rustc with the crates that this test itself was built with, which takes a
//! second; a build of its own would take minutes. Each pair differs in what is shown, so that a program which does not
//! compile fails for that reason, and the compiler's code for it is checked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

const GOOD: [&str; 4] =
    ["permit_from_a_decision", "prompt_read", FROM_EVIDENCE, "call_permit_from_a_decision"];

const FROM_EVIDENCE: &str = "failure_from_evidence";

/// The program, and the error that it must be refused with.
const BAD: [(&str, &str); 12] = [
    ("permit_made_by_hand", "E0451"),
    ("permit_by_default", "E0277"),
    ("permit_used_twice", "E0382"),
    ("failure_made_by_hand", "E0451"),
    ("failure_by_default", "E0277"),
    ("prompt_shown", "E0277"),
    ("prompt_debugged", "E0277"),
    ("key_shown", "E0277"),
    ("call_permit_made_by_hand", "E0451"),
    ("call_permit_used_twice", "E0382"),
    ("call_decision_changed", "E0616"),
    ("arguments_debugged", "E0277"),
];

#[test]
fn a_permit_cannot_be_made_elsewhere_and_secrets_cannot_be_printed() {
    let crates = Crates::find();
    for good in GOOD {
        assert_eq!(crates.compile(good), Ok(()), "{good}");
    }
    for (bad, code) in BAD {
        let errors = crates.compile(bad).expect_err(bad);
        assert!(errors.contains(&format!("error[{code}]")), "{bad}:\n{errors}");
        assert_eq!(errors.matches("error[").count(), 1, "{bad}: for one reason alone:\n{errors}");
    }
    let programs = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(programs, GOOD.len() + BAD.len(), "every program is tried");
}

/// What the types cannot say is said of the source: one place classifies and tells, and none answers a failed call
/// without its failure.
#[test]
fn one_place_classifies_and_tells() {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let holding = |words: &str| {
        let tests = |text: &str| text.split("#[cfg(test)]").next().unwrap().contains(words);
        let found = files.iter().filter(|file| tests(&std::fs::read_to_string(file).unwrap()));
        found.map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    for (words, places) in [
        ("UpstreamFailure::classify(", &["failed.rs"][..]),
        (".observers.failed(", &["failed.rs"]),
        (".observers.all_exhausted(", &["failed.rs"]),
        (".upstream_failed(", &["failed.rs"]),
        ("Refusal::Failed(", &[]),
        ("Refusal::failed(", &[]),
        ("FailedCall", &[]),
    ] {
        assert_eq!(holding(words), places, "{words}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compiled")
}

/// The crates as they lie beside this test's program.
struct Crates {
    folder: PathBuf,
    core: PathBuf,
    rules: PathBuf,
    dialect: PathBuf,
}

impl Crates {
    /// Of each crate there may be older builds: those are meant which a good program compiles with, the latest first.
    fn find() -> Self {
        let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        for rules in builds(&folder, "weir_rules") {
            for core in builds(&folder, "weir_core") {
                for dialect in builds(&folder, "weir_dialect") {
                    let (folder, core, rules) = (folder.clone(), core.clone(), rules.clone());
                    let crates = Self { folder, core, rules, dialect };
                    if crates.compile(GOOD[0]).is_err() {
                        break;
                    }
                    if crates.compile(FROM_EVIDENCE).is_ok() {
                        return crates;
                    }
                }
            }
        }
        panic!(
            "no builds of weir-core, weir-rules and weir-dialect in {} compile {FROM_EVIDENCE}",
            folder.display()
        );
    }

    fn compile(&self, program: &str) -> Result<(), String> {
        let external = |name: &str, path: &Path| format!("{name}={}", path.display());
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "--crate-type", "bin", "--emit", "metadata", "--cap-lints", "allow"])
            .arg("--out-dir")
            .arg(env!("CARGO_TARGET_TMPDIR"))
            .arg("-L")
            .arg(format!("dependency={}", self.folder.display()))
            .args([
                "--extern",
                &external("weir_core", &self.core),
                "--extern",
                &external("weir_rules", &self.rules),
                "--extern",
                &external("weir_dialect", &self.dialect),
            ])
            .arg(folder().join(program).with_extension("rs"))
            .output()
            .expect("rustc");
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

fn builds(folder: &Path, name: &str) -> Vec<PathBuf> {
    let begins = format!("lib{name}-");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "rlib"))
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begins)))
        .collect();
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().and_then(|meta| meta.modified()).ok()));
    found
}
