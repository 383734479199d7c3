//! What a denial says of paths outside the allowed roots and of changed definitions is true.

use serde_json::{Value as Json, json};
use weir_config::config::Tools;
use weir_core::tool::PermissionLevel::{self, Dangerous, ReadOnly, Write};
use weir_tools::{Policies, ToolCall};

use crate::support::{Bench, configured, definition};

const OUTSIDE: &str = "lies outside the allowed roots, which `tools.allowed_roots` sets";
const ADD: &str = "add the folder that holds the path to `tools.allowed_roots`";
const RAISE: &str = "set `tools.channel_permissions.web` to `dangerous`";

/// A tool, its arguments, the path that is named, what is said, and what is not.
type Row<'r> = (&'r str, Json, &'r str, &'r [&'r str], &'r [&'r str]);

async fn bench(folder: &std::path::Path, ceiling: PermissionLevel) -> Bench {
    let root = folder.join("root");
    std::fs::create_dir_all(&root).unwrap();
    let tools = Tools {
        allowed_roots: vec![root],
        own_files: vec![folder.join("weir.yaml")],
        ..configured(&[("web", ceiling)], &[("read_file", ReadOnly), ("write_file", Write)])
    };
    let bench = Bench::new(tools, "", Policies::new()).await;
    let names = [("read_file", ReadOnly), ("write_file", Write), ("run_command", ReadOnly)];
    let built_in = names.map(|(name, level)| (definition(name), level));
    bench.gate.report_built_in(built_in.to_vec());
    bench
}

fn called(tool: &str, args: Json) -> ToolCall {
    Bench::call_as(Bench::caller("web"), tool, args)
}

#[tokio::test]
async fn a_path_outside_the_roots_is_named_and_what_is_advised_would_help() {
    let folder = tempfile::tempdir().unwrap();
    let table: &[Row<'_>] = &[
        (
            "read_file",
            json!({"path": "../x/secret"}),
            "'../x/secret'",
            &[ADD, "name a path within"],
            &[RAISE],
        ),
        ("read_file", json!({"path": "../weir.yaml"}), "'../weir.yaml'", &["weir's own"], &[ADD, RAISE]),
        ("write_file", json!({"path": "/nowhere/x"}), "'/nowhere/x'", &[ADD, "to `write`"], &[RAISE]),
        ("run_command", json!({"command": "cat ../x/secret"}), "'../x/secret'", &[ADD, RAISE], &[]),
        (
            "run_command",
            json!({"command": "cat ../weir.yaml"}),
            "'../weir.yaml'",
            &["weir's own", RAISE],
            &[ADD],
        ),
        ("run_command", json!({"command": "rm ../x/secret"}), "", &[RAISE], &[ADD, OUTSIDE]),
    ];
    let bench = bench(folder.path(), ReadOnly).await;
    for (tool, args, path, says, omits) in table {
        let outcome = bench.run(called(tool, args.clone())).await;
        let denied = outcome.denied().unwrap();
        let said = &denied.message;
        assert!(path.is_empty() || said.contains(&format!("path {path} {OUTSIDE}")), "{tool} {args}: {said}");
        says.iter().for_each(|part| assert!(said.contains(part), "{tool} {args} lacks {part}: {said}"));
        omits.iter().for_each(|part| assert!(!said.contains(part), "{tool} {args} has {part}: {said}"));
    }
    // A hook asks about the tools of another agent, which have no roots of their own.
    let hook = bench.gate.evaluate(called("Read", json!({"file_path": "/nowhere/x"})), Some(ReadOnly)).await;
    let said = &hook.denied().unwrap().message;
    assert!(said.contains(OUTSIDE) && said.contains(ADD) && said.contains(RAISE), "{said}");
    for record in bench.records().await {
        let kept = record.denial.unwrap();
        assert!(!kept.reason.contains("secret") && !kept.reason.contains("/nowhere"), "{}", kept.reason);
    }
    let open = self::bench(folder.path(), Dangerous).await;
    let outcome = open.run(called("read_file", json!({"path": "../x/secret"}))).await;
    assert!(
        outcome.denied().is_none(),
        "the gate of an unrestricted channel is open, the tool looks for itself"
    );
}

#[tokio::test]
async fn a_changed_definition_is_told_and_accepting_it_advised() {
    let bench = Bench::new(configured(&[("web", Write)], &[("fetch", ReadOnly)]), "", Policies::new()).await;
    for text in ["fetches", "fetches, and more"] {
        let mut tool = definition("fetch");
        (tool.server, tool.description) = ("files".into(), text.into());
        bench.gate.report_definitions("files", vec![tool]).await;
    }
    let call = ToolCall { server: "files".into(), ..called("fetch", json!({})) };
    let outcome = bench.run(call).await;
    let said = &outcome.denied().unwrap().message;
    for part in ["its definition has changed since it was accepted", "page Tools", "POST /api/tools/accept"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("channel_permissions"), "{said}");
}
