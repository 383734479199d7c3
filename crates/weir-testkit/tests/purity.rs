//! The first two invariants of ARCHITECTURE.md: pure crates stay pure, and boundaries do not know each other.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test that fails should panic")]

use std::collections::BTreeMap;

use weir_testkit::repository;

const PURE: [&str; 4] = ["weir-core", "weir-rules", "weir-dialect", "weir-config"];

/// What makes a crate impure, and why. Locks (`parking_lot`, which comes with the CEL parser) are not in the list:
/// they do not reach outside of the process.
const IMPURE: &[(&str, &[&str])] = &[
    (
        "an async runtime",
        &["tokio", "async-std", "smol", "async-io", "async-executor", "futures-executor", "mio"],
    ),
    ("sockets", &["socket2", "hyper", "hyper-util", "h2", "reqwest", "ureq", "rustls", "axum", "tower"]),
    ("a store", &["redis", "sqlx", "sqlx-core", "libsqlite3-sys", "rusqlite"]),
    ("randomness", &["getrandom", "rand", "rand_core", "fastrand"]),
    ("logging", &["tracing", "tracing-core", "log", "metrics"]),
    ("files", &["notify", "tempfile", "walkdir", "glob", "dirs"]),
    ("a clock", &["chrono", "time", "web-time"]),
];

/// What std and jiff offer for the same, which no dependency tree shows. The clock and the environment are also
/// denied by name in `clippy.toml`.
const IMPURE_NAMES: &[&str] = &[
    "std::fs",
    "std::env::",
    "std::process",
    "std::os::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "thread::sleep",
    "println!",
    "eprintln!",
];

#[test]
fn pure_crates_depend_on_nothing_impure() {
    for package in PURE {
        let tree = repository::dependencies_of(package);
        assert!(tree.iter().any(|name| name == "serde"), "{package}: this is no dependency tree: {tree:?}");
        for (what, names) in IMPURE {
            let found: Vec<_> = tree.iter().filter(|name| names.contains(&name.as_str())).collect();
            assert!(found.is_empty(), "{package} has {what} in its dependency tree: {found:?}");
        }
    }
}

#[test]
fn the_gateway_would_not_pass_as_pure() {
    let tree = repository::dependencies_of("weir-gateway");
    for (what, names) in &IMPURE[..2] {
        assert!(tree.iter().any(|name| names.contains(&name.as_str())), "no {what} in {tree:?}");
    }
}

#[test]
fn pure_crates_use_nothing_impure_of_the_standard_library() {
    let mut read = 0;
    for file in repository::files() {
        let Some(package) = PURE.iter().find(|package| file.starts_with(&format!("crates/{package}/src/")))
        else {
            continue;
        };
        if file.ends_with("tests.rs") || file.contains("/tests/") || !file.ends_with(".rs") {
            continue;
        }
        read += 1;
        let text = repository::read(&file);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            let found = IMPURE_NAMES.iter().find(|name| line.contains(*name));
            assert!(found.is_none(), "{package} is pure, but {file}:{} uses {found:?}: {line}", number + 1);
        }
    }
    assert!(read >= PURE.len() * 3, "only {read} files were looked at");
}

/// Who may know whom is said in ARCHITECTURE.md, in the table of crates; here it is held.
#[test]
fn crates_know_only_whom_the_map_allows() {
    let map = allowed_by_the_map();
    let all: Vec<_> = map.keys().cloned().collect();
    for (package, allowed) in &map {
        for known in direct_dependencies(package) {
            assert!(all.contains(&known), "{known} is not in the map of ARCHITECTURE.md");
            assert!(
                allowed.contains(&known) || allowed.contains("all"),
                "{package} knows {known}, and the map of ARCHITECTURE.md does not allow it"
            );
        }
    }
}

#[test]
fn the_boundaries_do_not_know_each_other() {
    let boundaries: Vec<_> = ["weir-gateway", "weir-tools", "weir-console"]
        .into_iter()
        .filter(|package| repository::root().join("crates").join(package).is_dir())
        .collect();
    assert!(boundaries.len() >= 2);
    for package in &boundaries {
        let tree = repository::dependencies_of(package);
        let others: Vec<_> = boundaries
            .iter()
            .filter(|other| *other != package && tree.iter().any(|name| name == *other))
            .collect();
        assert!(others.is_empty(), "{package} knows {others:?}");
    }
}

#[test]
fn the_test_kit_is_in_no_program() {
    let tree = repository::dependencies_of("weir");
    assert!(tree.iter().any(|name| name == "weir-core"));
    assert!(!tree.iter().any(|name| name == "weir-testkit"));
}

/// Crate -> the crates it may know, as full names; `all` stands for all.
fn allowed_by_the_map() -> BTreeMap<String, String> {
    let text = repository::read("ARCHITECTURE.md");
    let rows = text.lines().filter(|line| line.starts_with("| `weir"));
    let map: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let allowed = cells[3].split([',', ';']).map(|word| match word.trim() {
                word @ ("all" | "nothing of ours" | "for tests only") => word.to_owned(),
                word => format!("weir-{word}"),
            });
            (cells[1].trim_matches('`').to_owned(), allowed.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert!(map.len() >= 9, "the map of ARCHITECTURE.md was not understood: {map:?}");
    map
}

/// The workspace's crates that a crate names under `[dependencies]`.
fn direct_dependencies(package: &str) -> Vec<String> {
    let manifest = repository::read(&format!("crates/{package}/Cargo.toml"));
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default());
    names.filter(|name| name.starts_with("weir-")).map(ToOwned::to_owned).collect()
}
