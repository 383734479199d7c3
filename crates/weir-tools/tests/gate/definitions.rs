//! Tools whose servers describe them otherwise than before.

use serde_json::json;
use weir_core::tool::{DenialKind, PermissionLevel};
use weir_tools::{DefinitionState, Policies, ToolDefinition};

use crate::support::{Bench, configured, definition};

fn of_server(name: &str, description: &str) -> ToolDefinition {
    ToolDefinition { server: "files".into(), description: description.into(), ..definition(name) }
}

async fn kind(bench: &Bench) -> Option<DenialKind> {
    let mut call = Bench::call_as(Bench::caller("web"), "fetch", json!({}));
    call.server = "files".into();
    bench.run(call).await.denial_kind()
}

#[tokio::test]
async fn a_changed_tool_is_dangerous_until_it_is_accepted() {
    use PermissionLevel::{ReadOnly, Write};
    let config = || configured(&[("web", Write)], &[("fetch", ReadOnly)]);
    let bench = Bench::new(config(), "", Policies::new()).await;
    let report = |bench: &Bench, text: &str| {
        let gate = bench.gate.clone();
        let definitions = vec![of_server("fetch", text)];
        async move { gate.report_definitions("files", definitions).await }
    };
    assert_eq!(report(&bench, "fetches").await, [("fetch".to_owned(), DefinitionState::New)]);
    assert_eq!(kind(&bench).await, None);
    assert_eq!(report(&bench, "fetches").await, [("fetch".to_owned(), DefinitionState::Same)]);
    assert_eq!(report(&bench, "fetches, and more").await, [("fetch".to_owned(), DefinitionState::Changed)]);
    assert_eq!(kind(&bench).await, Some(DenialKind::SessionForbidden));
    // Another process on the same store knows it too, and a change back is no drift.
    let other = Bench::over(bench.database.clone(), config(), "", Policies::new()).await;
    assert_eq!(report(&other, "fetches, and more").await, [("fetch".to_owned(), DefinitionState::Changed)]);
    assert_eq!(report(&other, "fetches").await, [("fetch".to_owned(), DefinitionState::Same)]);
    // What was seen last is what is accepted; the gate that has that one lets it through at once.
    assert_eq!(report(&bench, "fetches, and more").await, [("fetch".to_owned(), DefinitionState::Changed)]);
    assert!(bench.database.definition_accept("files", "fetch", "bob", bench.clock.now()).await.unwrap());
    assert_eq!(kind(&bench).await, None);
    assert!(!bench.database.definition_accept("files", "absent", "bob", bench.clock.now()).await.unwrap());
}

#[tokio::test]
async fn annotations_raise_a_level_and_never_lower_it() {
    use PermissionLevel::{Execute, ReadOnly, Write};
    let table = [
        (json!(null), Some(Write), Write),
        (json!({"readOnlyHint": true}), Some(Write), Write),
        (json!({"readOnlyHint": true}), None, PermissionLevel::Dangerous),
        (json!({"readOnlyHint": false}), Some(ReadOnly), Write),
        (json!({"openWorldHint": true}), Some(ReadOnly), Execute),
        (json!({"destructiveHint": true, "readOnlyHint": true}), Some(ReadOnly), PermissionLevel::Dangerous),
        (json!({"readOnlyHint": "yes"}), Some(ReadOnly), ReadOnly),
    ];
    for (annotations, level, expected) in table {
        let levels: Vec<_> = level.map(|level| ("fetch", level)).into_iter().collect();
        let tools = configured(&[], &levels);
        assert_eq!(weir_tools::gate::tool_level(&tools, "fetch", &annotations), expected, "{annotations}");
    }
}
