//! Help, version and usage errors.

use std::path::Path;

use crate::support::Folder;

/// The reference of all commands, made of what they say themselves. `WEIR_BLESS=1 cargo test -p weir --test cli help` writes
/// it anew.
#[test]
fn the_reference_is_what_the_help_says() {
    let folder = Folder::new();
    let mut text = String::from(
        "# Commands\n\nWhat each command says of itself with `--help`; a test holds this page equal to it.\n",
    );
    add(&folder, &mut text, &[]);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    #[expect(clippy::disallowed_methods, reason = "a test is told so by its caller")]
    if std::env::var("WEIR_BLESS").is_ok() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "docs/commands.md is not what the help says: run this with WEIR_BLESS=1");
}

/// Adds what a command says, and then its own commands.
fn add(folder: &Folder, text: &mut String, command: &[&str]) {
    let run = folder.run(&[command, &["--help"]].concat());
    let help = run.good();
    text.push_str(&format!("\n## {}\n\n```text\n{help}```\n", [&["weir"], command].concat().join(" ")));
    let listed = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let listed = listed.split_once("\n\n").map_or(listed, |(commands, _)| commands);
    for name in listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        // A description that goes on in the next line is set further in.
        if !name.is_empty() && name != "help" {
            add(folder, text, &[command, &[name]].concat());
        }
    }
}

#[test]
fn without_a_command_and_with_help_it_says_the_same() {
    let folder = Folder::new();
    assert_eq!(folder.run(&[]).good(), folder.run(&["--help"]).good());
}

#[test]
fn version_is_that_of_the_package() {
    assert_eq!(Folder::new().run(&["--version"]).good(), format!("weir {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_exits_with_2() {
    let table: [(&[&str], &str); 11] = [
        (&["serv"], "unrecognized subcommand"),
        (&["--conf"], "unexpected argument"),
        (&["serve", "file.yaml"], "unexpected argument"),
        (&["decide"], "--on"),
        (&["decide", "--on", "tools"], "invalid value 'tools'"),
        (&["explain"], "required"),
        (&["rules"], "Usage"),
        (&["rules", "apply"], "required"),
        (&["rules", "rollback", "x"], "invalid value 'x'"),
        (&["keys", "create"], "--user"),
        (&["check", "--schema", "a.yaml"], "cannot be used with"),
    ];
    let folder = Folder::new();
    for (arguments, said) in table {
        folder.run(arguments).failed(2, said);
    }
}

#[test]
fn a_configuration_that_cannot_be_read_exits_with_2() {
    let folder = Folder::new();
    folder.write("latin1.yaml", b"data_dir: \xe9\n");
    let commands: [&[&str]; 6] = [
        &["serve"],
        &["check"],
        &["decide", "--on", "request"],
        &["explain", "dec_019aa0f5-2a00-7707-8707-070707070707"],
        &["rules", "export"],
        &["keys", "list"],
    ];
    for command in commands {
        folder.run(&[command, &["--config", "nowhere.yaml"]].concat()).failed(2, "nowhere.yaml");
        folder.run(&[command, &["--config", "latin1.yaml"]].concat()).failed(2, "not UTF-8 at byte 10");
    }
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    let folder = Folder::with_store();
    for arguments in [&["check", "--schema"][..], &["check", "--json"], &["rules", "export"]] {
        let mut command = folder.command(arguments);
        // A pipe whose reading end is closed before the run begins.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {output:?}");
        assert!(output.stderr.is_empty(), "{arguments:?} {output:?}");
    }
}
