//! The repository as files: for the tests that check it as a whole.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's folder.
#[must_use]
pub fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("this crate lies two levels below the root").to_owned()
}

/// The text of one of its files.
///
/// # Panics
/// There is no such file.
#[must_use]
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Its files, as paths from the root: what git knows and what it would take in. Where there is no git (an
/// unpacked archive), the files below the folders that hold sources.
///
/// # Panics
/// git fails.
#[must_use]
pub fn files() -> Vec<String> {
    if !root().join(".git").exists() {
        return ["crates", "docs", "scripts", "sdk-tests", "tests"]
            .iter()
            .flat_map(|dir| below(dir))
            .collect();
    }
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(args).current_dir(root()).output().expect("git is installed");
    assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).expect("paths are UTF-8");
    // A file that was deleted and not yet committed is still listed.
    let exists = |path: &&str| !path.is_empty() && root().join(path).is_file();
    list.split('\0').filter(exists).map(ToOwned::to_owned).collect()
}

fn below(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let names = entries.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()));
    names.flat_map(|path| if root().join(&path).is_dir() { below(&path) } else { vec![path] }).collect()
}

/// The names of the packages that `cargo tree` finds below a package, without dev- and build-dependencies, as
/// cargo resolves them when this package is built alone.
///
/// # Panics
/// cargo fails.
#[must_use]
pub fn dependencies_of(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package"])
        .arg(package)
        .current_dir(root())
        .output()
        .expect("cargo is there, it built this test");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).expect("names are UTF-8");
    let mut names: Vec<_> =
        list.lines().skip(1).filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect();
    names.sort();
    names.dedup();
    names
}
