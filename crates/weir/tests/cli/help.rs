//! Help, version and usage errors.

use crate::support::Folder;

#[test]
fn help_lists_what_is_built() {
    let folder = Folder::new();
    let mut text = String::new();
    let commands: [&[&str]; 14] = [
        &[],
        &["serve", "--help"],
        &["check", "--help"],
        &["decide", "--help"],
        &["explain", "--help"],
        &["rules", "--help"],
        &["rules", "apply", "--help"],
        &["keys", "--help"],
        &["keys", "create", "--help"],
        &["approvals", "--help"],
        &["approvals", "approve", "--help"],
        &["hook", "--help"],
        &["agent", "--help"],
        &["import", "litellm", "--help"],
    ];
    for command in commands {
        let run = folder.run(command);
        text.push_str(&format!("$ weir {}\n{}\n", command.join(" "), run.good()));
    }
    insta::assert_snapshot!(text);
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
