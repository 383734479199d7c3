use std::fs;

use url::Url;
use weir_core::address::TrustedProxies;

use super::*;

fn folder() -> (tempfile::TempDir, Roots) {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("a.txt"), "one\ntwo\nthree\n").unwrap();
    fs::write(root.join("sub/b.txt"), "two again\n").unwrap();
    fs::write(root.join("binary"), [0xff, 0xfe, 0]).unwrap();
    fs::write(outer.path().join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink(outer.path().join("secret"), root.join("link")).unwrap();
    std::os::unix::fs::symlink(outer.path(), root.join("up")).unwrap();
    let roots = Roots::new(&[root]);
    (outer, roots)
}

async fn files(roots: &Roots, tool: &str, args: Json) -> Outcome {
    files::run(roots.clone(), tool.to_owned(), args).await
}

#[tokio::test]
async fn files_are_listed_read_searched_written_and_edited() {
    let (_outer, roots) = folder();
    let table = [
        ("list_files", json!({}), "a.txt\nbinary\nlink@\nsub/\nup@\n"),
        ("list_files", json!({"depth": 2, "path": "sub"}), "b.txt\n"),
        ("read_file", json!({"path": "a.txt"}), "one\ntwo\nthree\n"),
        ("read_file", json!({"path": "a.txt", "from_line": 2, "lines": 1}), "two\n"),
        ("search_files", json!({"text": "two"}), "a.txt:2: two\nsub/b.txt:1: two again\n"),
        ("search_files", json!({"text": "two", "path": "a.txt"}), "a.txt:2: two\n"),
        ("search_files", json!({"text": "four"}), "Nothing was found.\n"),
        ("write_file", json!({"path": "new/c.txt", "content": "x y x"}), "Wrote 5 bytes to 'new/c.txt'."),
        (
            "edit_file",
            json!({"path": "new/c.txt", "old": "y", "new": "z"}),
            "Replaced one passage of 'new/c.txt'.",
        ),
        ("read_file", json!({"path": "new/c.txt"}), "x z x"),
    ];
    for (tool, args, expected) in table {
        assert_eq!(files(&roots, tool, args.clone()).await.unwrap(), expected, "{tool} {args}");
    }
}

#[tokio::test]
async fn what_leads_out_of_the_roots_or_is_no_text_is_refused() {
    let (outer, roots) = folder();
    let table = [
        ("read_file", json!({"path": "link"}), "outside the allowed roots"),
        ("read_file", json!({"path": "up/secret"}), "outside the allowed roots"),
        ("read_file", json!({"path": "../secret"}), "outside the allowed roots"),
        ("read_file", json!({"path": "/etc/hostname"}), "outside the allowed roots"),
        ("write_file", json!({"path": "link", "content": "x"}), "outside the allowed roots"),
        ("write_file", json!({"path": "up/new", "content": "x"}), "outside the allowed roots"),
        ("list_files", json!({"path": "up"}), "outside the allowed roots"),
        ("read_file", json!({"path": "sub"}), "no plain file"),
        ("read_file", json!({"path": "binary"}), "no text in UTF-8"),
        ("read_file", json!({"path": "none"}), "No such file"),
        ("read_file", json!({}), "missing field `path`"),
        ("read_file", json!({"path": "a.txt", "all": true}), "unknown field `all`"),
        ("edit_file", json!({"path": "a.txt", "old": "o", "new": ""}), "2 times"),
        ("edit_file", json!({"path": "a.txt", "old": "", "new": ""}), "must not be empty"),
        ("edit_file", json!({"path": "a.txt", "old": "four", "new": ""}), "does not contain"),
        ("write_file", json!({"path": "sub", "content": ""}), "no plain file"),
        ("search_files", json!({"text": ""}), "must not be empty"),
    ];
    for (tool, args, said) in table {
        let error = files(&roots, tool, args.clone()).await.unwrap_err();
        assert!(error.contains(said), "{tool} {args}: {error}");
    }
    assert_eq!(fs::read_to_string(outer.path().join("secret")).unwrap(), "outside");
    assert!(!outer.path().join("new").exists());
    let none = files(&Roots::default(), "read_file", json!({"path": "a.txt"})).await.unwrap_err();
    assert!(none.contains("tools.allowed_roots"), "{none}");
}

#[tokio::test]
async fn a_command_runs_in_the_first_root_without_weirs_keys_and_says_how_it_ended() {
    let (_outer, roots) = folder();
    let ran = run::command(&roots, json!({"command": "cat a.txt; env | grep -c CARGO; exit 3"})).await;
    assert!(ran.value.starts_with("one\ntwo\nthree\n0\n"), "{}", ran.value);
    assert!(ran.error.unwrap().contains('3'));
    // A child in the background does not keep the call open.
    let ran = run::command(&roots, json!({"command": "sleep 600 & echo done"})).await;
    assert_eq!((ran.value.as_str(), ran.error), ("done\n", None));
    // A program that prints without end is read to its end, and its beginning kept.
    let ran = run::command(&roots, json!({"command": "head -c 1000000 /dev/zero | tr '\\0' x"})).await;
    assert!(ran.error.is_none() && ran.value.len() < 70_000, "{}", ran.value.len());
    assert!(ran.value.ends_with("bytes more are left out]"));
}

#[tokio::test]
async fn a_script_lies_within_the_roots() {
    use std::os::unix::fs::PermissionsExt as _;
    let (outer, roots) = folder();
    let script = outer.path().join("root/hello.sh");
    fs::write(&script, "#!/bin/sh\necho \"hello $1\"\n").unwrap();
    let refused = run::script(&roots, json!({"path": "hello.sh"})).await;
    assert!(refused.error.unwrap().contains("could not be run"), "it is not executable yet");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run::script(&roots, json!({"path": "hello.sh", "arguments": ["you; id"]})).await;
    assert_eq!((ran.value.as_str(), ran.error), ("hello you; id\n", None));
    let outside = run::script(&roots, json!({"path": "/bin/sh"})).await;
    assert!(outside.error.unwrap().contains("outside the allowed roots"));
}

#[tokio::test]
async fn a_url_must_be_one_and_be_there() {
    let web = Web::new(loopback());
    for (url, said) in [
        ("nowhere", "no URL"),
        ("file:///etc/hostname", "neither http"),
        ("http://127.0.0.1:1/", "cannot be reached"),
    ] {
        let error = web.fetch(json!({"url": url})).await.unwrap_err();
        assert!(error.contains(said), "{url}: {error}");
    }
}

struct Nothing;

impl weir_config::Sources for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read_file(&self, _: &std::path::Path) -> Result<String, String> {
        Err("there are no files".to_owned())
    }
}

fn loopback() -> TrustedProxies {
    TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()])
}

#[tokio::test]
async fn what_only_this_machine_can_reach_is_not_fetched_however_it_is_written() {
    use weir_testkit::{Script, ScriptedUpstream};
    let upstream = ScriptedUpstream::start().await;
    upstream.respond_once(Script::body(200, "text/plain", "secret"));
    let port = Url::parse(&upstream.base_url()).unwrap().port().unwrap();
    let web = Web::new(TrustedProxies::default());
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        let error = web.fetch(json!({"url": format!("http://{host}:{port}/")})).await.unwrap_err();
        assert!(
            error.contains("no public address") && error.contains("tools.fetch_private"),
            "{host}: {error}"
        );
    }
    assert!(upstream.requests().is_empty(), "nobody was asked");
    let opened = Web::new(loopback());
    assert_eq!(opened.fetch(json!({"url": format!("http://localhost:{port}/")})).await.unwrap(), "secret");
}

#[tokio::test]
async fn weirs_own_files_are_closed_and_what_lies_beside_them_is_open() {
    let (outer, _) = folder();
    let root = outer.path().join("root");
    for (name, content) in [
        ("weir.db", "rules"),
        ("weir.db-wal", "rules"),
        ("admin-token", "token-x"),
        ("weir.yaml", "tools: {}"),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    fs::create_dir(root.join("sessions")).unwrap();
    fs::write(root.join("sessions/s.json"), "token-x").unwrap();
    std::os::unix::fs::symlink(root.join("admin-token"), root.join("innocent")).unwrap();
    let loaded = weir_config::load(None, &root, &Nothing).unwrap().config;
    let mut tools = weir_config::config::Tools { allowed_roots: vec![root.clone()], ..loaded.tools };
    tools.own_files = ["weir.db", "weir.db-wal", "admin-token", "weir.yaml", "sessions"]
        .map(|name| root.join(name))
        .to_vec();
    let roots = Roots::of(&tools);
    for path in [
        "weir.db",
        "weir.db-wal",
        "admin-token",
        "./sub/../admin-token",
        "innocent",
        "weir.yaml",
        "sessions/s.json",
        "sessions/new.json",
    ] {
        for (tool, args) in [
            ("read_file", json!({"path": path})),
            ("write_file", json!({"path": path, "content": "x"})),
            ("edit_file", json!({"path": path, "old": "token", "new": "x"})),
            ("search_files", json!({"path": path, "text": "t"})),
        ] {
            let error = files(&roots, tool, args).await.unwrap_err();
            assert!(error.contains("weir's own"), "{tool} {path}: {error}");
        }
    }
    assert_eq!(
        files(&roots, "search_files", json!({"text": "token-x"})).await.unwrap(),
        "Nothing was found.\n"
    );
    assert_eq!(fs::read_to_string(root.join("admin-token")).unwrap(), "token-x");
    assert!(files(&roots, "read_file", json!({"path": "a.txt"})).await.is_ok());
}

#[tokio::test]
async fn a_page_comes_as_its_text_and_everything_else_says_what_it_is() {
    use weir_testkit::{Script, ScriptedUpstream};
    let upstream = ScriptedUpstream::start().await;
    let web = Web::new(loopback());
    let table = [
        (Script::body(200, "text/plain", "page"), Ok("page")),
        (
            Script::body(302, "text/plain", "").header("location", "http://127.0.0.1/else"),
            Ok("moved to http://127.0.0.1/else"),
        ),
        (Script::body(404, "text/plain", "not here"), Err("404 Not Found: not here")),
        (Script::body(200, "image/png", vec![0xff, 0xd8]), Err("no text in UTF-8 but 'image/png'")),
        (Script::body(200, "text/plain", vec![b'x'; 2 * 1024 * 1024]), Err("longer than 1024 KiB")),
        (Script::cut_mid_body(100, 10), Err("broke off")),
    ];
    for (script, expected) in table {
        upstream.respond_once(script);
        let fetched = web.fetch(json!({"url": upstream.base_url()})).await;
        match (fetched, expected) {
            (Ok(text), Ok(part)) => assert!(text.contains(part), "{part}: {text}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{part}: {error}"),
            (fetched, expected) => panic!("{fetched:?} is not {expected:?}"),
        }
    }
    assert_eq!(upstream.last().method, "GET");
}

#[test]
fn every_tool_has_a_schema_that_names_what_it_requires() {
    for (tool, _) in definitions() {
        for name in tool.schema["required"].as_array().unwrap() {
            assert!(tool.schema["properties"][name.as_str().unwrap()].is_object(), "{}: {name}", tool.name);
        }
    }
}
