//! `weir keys`.

use serde_json::json;

use crate::support::Folder;

#[test]
fn a_key_is_shown_once_listed_without_its_text_and_revoked() {
    let folder = Folder::new();
    let made = folder.run(&["keys", "create", "--user", "me"]);
    let key = made.good().trim().to_owned();
    assert!(key.starts_with("weir_sk_") && key.lines().count() == 1, "{made:#?}");
    assert!(made.stderr.contains("only time"), "{made:#?}");

    let listed = folder.run(&["keys", "list"]);
    assert!(listed.good().contains("me") && !listed.stdout.contains(&key), "{listed:#?}");
    let listed = folder.run(&["keys", "list", "--json"]).json();
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();

    assert_eq!(folder.run(&["keys", "revoke", &id]).good(), format!("revoked {id}\n"));
    folder.run(&["keys", "revoke", &id]).failed(1, &id);
    assert_eq!(folder.run(&["keys", "list", "--json"]).json(), json!({"items": [], "next": null}));
    let none = folder.run(&["keys", "list"]);
    assert!(none.good().is_empty() && none.stderr.contains("weir keys create"), "{none:#?}");
}

#[test]
fn everything_that_is_said_of_a_key_is_kept() {
    let folder = Folder::new();
    let arguments = "keys create --user me --org acme --project p --plan pro --tag a --tag b --budget-usd 2.5 --channel web --json";
    let made = folder.run(&arguments.split(' ').collect::<Vec<_>>()).json();
    assert!(made["key"].as_str().unwrap().starts_with("weir_sk_"));
    let listed = folder.run(&["keys", "--json", "list"]).json();
    let key = &listed["items"][0];
    assert_eq!(key["id"], made["id"]);
    let expected = json!({"user": "me", "org": "acme", "project": "p", "plan": "pro", "tags": ["a", "b"], "budget_usd": 2.5, "channel": "web", "spent_usd": 0.0});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(key[name], *value, "{name}");
    }
}

#[test]
fn a_key_for_nobody_or_with_a_strange_budget_is_refused() {
    let folder = Folder::new();
    let table: [(&[&str], &str); 13] = [
        (&["--user", " "], "--user: it must not be blank"),
        (&["--user", ""], "--user: it must not be blank"),
        (&["--user", "anon:1.2.3.4"], "--user: it must not begin with `anon:`"),
        (&["--user", "a\nb"], "--user: it must not hold the control character U+000A"),
        (&["--user", "me", "--org", "a\u{1b}[2J"], "--org: it must not hold the control character U+001B"),
        (&["--user", "me", "--project", ""], "--project: it must not be blank"),
        (&["--user", "me", "--plan", "\t"], "--plan: it must not be blank"),
        (
            &["--user", "me", "--tag", "a", "--tag", "b\u{7}"],
            "--tag: it must not hold the control character U+0007",
        ),
        (&["--user", "me", "--channel", "x\ty"], "--channel: it must not hold the control character U+0009"),
        (&["--user", "me", "--budget-usd=-1"], "--budget-usd: it must be an amount of money"),
        (&["--user", "me", "--budget-usd", "NaN"], "--budget-usd: it must be an amount of money"),
        (
            &["--user", "me", "--budget-usd", "0.0000001"],
            "--budget-usd: it must be 0, for nothing that costs, or at",
        ),
        (&["--user", "me", "--budget-usd", "much"], "invalid value"),
    ];
    for (arguments, said) in table {
        folder.run(&[&["keys", "create"], arguments].concat()).failed(2, said);
    }
    let all = folder.run(&["keys", "create", "--user", " ", "--org", "", "--budget-usd=-1"]);
    assert_eq!(all.stderr.lines().filter(|line| line.starts_with("error: --")).count(), 3, "{all:#?}");
    assert!(!folder.at("weir-data").exists(), "nothing was made");
}

#[test]
fn a_database_that_cannot_be_opened_exits_with_3() {
    let folder = Folder::with(&[("a-file", ""), ("weir.yaml", "store: sqlite:./a-file/weir.db\n")]);
    for command in [
        &["keys", "list"][..],
        &["rules", "history"],
        &["explain", "dec_019aa0f5-2a00-7707-8707-070707070707"],
    ] {
        folder.run(command).failed(3, "a-file/weir.db");
    }
    folder.write("weir.yaml", "store: postgres://weir:secret-word@127.0.0.1:1/weir\n");
    let run = folder.run(&["keys", "list"]);
    run.failed(3, "PostgreSQL");
    assert!(!run.stderr.contains("secret-word"), "{run:#?}");
}

#[test]
fn commands_that_only_read_make_no_store_and_say_that_there_is_none() {
    let folder = Folder::with(&[("a.yaml", "rules: []\n")]);
    for command in [
        &["keys", "list"][..],
        &["keys", "list", "--json"],
        &["keys", "revoke", "key_0"],
        &["rules", "export"],
        &["rules", "history"],
        &["rules", "diff", "a.yaml"],
        &["rules", "rollback", "1"],
        &["explain", "dec_019aa0f5-2a00-7707-8707-070707070707"],
    ] {
        let run = folder.run(command);
        run.failed(3, "no store at `weir-data/weir.db` yet");
        assert!(run.stderr.contains("weir serve") && run.stderr.contains("--config"), "{run:#?}");
        assert!(!folder.at("weir-data").exists(), "{command:?}");
    }
}

/// A database that no weir has served from stays as it is, however often one looks.
#[test]
fn commands_that_only_read_make_no_tables_in_postgresql() {
    let server = weir_testkit::PostgresServer::start();
    let url = server.create_database("nobody_wrote_here");
    let folder = Folder::with(&[("a.yaml", "rules: []\n"), ("weir.yaml", &format!("store: {url}\n"))]);
    for command in [
        &["keys", "list"][..],
        &["rules", "history"],
        &["rules", "export"],
        &["backtest", "a.yaml"],
        &["approvals", "list"],
        &["explain", "dec_019aa0f5-2a00-7707-8707-070707070707"],
    ] {
        let run = folder.run(command);
        run.failed(3, "no weir has written here yet");
        assert!(run.stderr.contains("weir serve"), "{run:#?}");
    }
    folder.run(&["keys", "create", "--user", "ada"]).good();
    folder.run(&["keys", "list"]).good();
}

#[test]
fn keys_of_the_configuration_are_listed_and_cannot_be_revoked() {
    let folder = Folder::with_store();
    folder.write("weir.yaml", "keys: [{key: a-configured-key, user: demo, budget_usd: 1}]\n");
    let listed = folder.run(&["keys", "list", "--json"]).json();
    assert_eq!(
        (&listed["items"][0]["user"], &listed["items"][0]["origin"]),
        (&json!("demo"), &json!("configured"))
    );
    assert!(!listed.to_string().contains("a-configured-key"));
    folder.run(&["keys", "revoke", listed["items"][0]["id"].as_str().unwrap()]).failed(1, "configuration");
}
