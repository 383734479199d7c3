//! What operators set above the configuration, and how tools and channels stand with it.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;
use weir_core::tool::{Layer, PermissionLevel};
use weir_store::database::{Override, OverrideKind, Overrides};
use weir_store::{Directory, DirectoryOptions};
use weir_tools::{Policies, ToolDefinition};

use crate::support::{Bench, configured, definition};

fn set(level: PermissionLevel) -> Override {
    Override { level, at: "2026-11-20T10:00:00Z".parse().unwrap(), by: "ada".into() }
}

async fn bench(
    ceilings: &[(&str, PermissionLevel)],
    overrides: Overrides,
) -> (Bench, watch::Sender<Arc<Overrides>>) {
    use PermissionLevel::ReadOnly;
    let bench =
        Bench::new(configured(ceilings, &[("read", ReadOnly), ("wipe", ReadOnly)]), "", Policies::new())
            .await;
    let wipe = ToolDefinition { annotations: json!({"destructiveHint": true}), ..definition("wipe") };
    bench.gate.report_definitions("", vec![definition("read"), wipe, definition("t")]).await;
    let (sender, receiver) = watch::channel(Arc::new(overrides));
    bench.gate.follow_overrides(receiver);
    (bench, sender)
}

#[tokio::test]
async fn an_override_counts_above_the_configuration_and_annotations_still_raise() {
    use PermissionLevel::{Dangerous, ReadOnly, Write};
    let table = [
        // Tool, what an operator set, its level, the layer that decides.
        ("read", None, ReadOnly, Layer::Configuration),
        ("read", Some(Write), Write, Layer::Override),
        ("read", Some(PermissionLevel::None), PermissionLevel::None, Layer::Override),
        ("t", None, Dangerous, Layer::Default),
        ("t", Some(ReadOnly), ReadOnly, Layer::Override),
        ("wipe", None, Dangerous, Layer::Annotation),
        ("wipe", Some(ReadOnly), Dangerous, Layer::Annotation),
        ("wipe", Some(Dangerous), Dangerous, Layer::Override),
        ("never-seen", Some(Write), Write, Layer::Override),
    ];
    for (tool, level, expected, layer) in table {
        let mut overrides = Overrides::default();
        overrides.levels.extend(level.map(|level| (tool.to_owned(), set(level))));
        let (bench, _sender) = bench(&[], overrides).await;
        let standings = bench.gate.standings(&[]);
        let standing = standings.iter().find(|standing| standing.name == tool).unwrap();
        assert_eq!((standing.level, standing.layer), (expected, layer), "{tool} {level:?}");
        assert_eq!(standing.overridden, level);
    }
}

#[tokio::test]
async fn a_ceiling_is_its_channel_s_alone() {
    use PermissionLevel::{Dangerous, Execute, ReadOnly, Write};
    let overrides =
        || Overrides { ceilings: [("web".to_owned(), set(Write))].into(), ..Overrides::default() };
    // Without ceilings in the configuration the other channels stay unrestricted.
    let (open, _sender) = bench(&[], overrides()).await;
    assert_eq!(["web", "cli", ""].map(|channel| open.gate.ceiling(channel)), [Write, Dangerous, Dangerous]);
    let (closed, _sender) = bench(&[("web", Execute), ("cli", Execute)], overrides()).await;
    assert_eq!(["web", "cli", "x"].map(|channel| closed.gate.ceiling(channel)), [Write, Execute, ReadOnly]);
    let stand: Vec<_> = closed.gate.ceilings().into_iter().map(|c| (c.channel, c.ceiling, c.layer)).collect();
    let expected = [
        (Some("cli".to_owned()), Execute, Layer::Configuration),
        (Some("web".to_owned()), Write, Layer::Override),
        (None, ReadOnly, Layer::Default),
    ];
    assert_eq!(stand, expected);
}

#[tokio::test]
async fn calls_are_decided_by_what_an_operator_set_until_it_is_taken_back() {
    use PermissionLevel::{Execute, ReadOnly};
    let (bench, _sender) = bench(&[], Overrides::default()).await;
    let bench = Bench::over(
        bench.database.clone(),
        configured(&[("web", ReadOnly)], &[("read", ReadOnly)]),
        "",
        Policies::new(),
    )
    .await;
    let (database, clock) = (&bench.database, &bench.clock);
    let directory = Directory::start(database.clone(), DirectoryOptions::default()).await.unwrap();
    bench.gate.follow_overrides(directory.overrides());
    let runs = async |tool: &str| {
        let call = Bench::call_as(Bench::caller("web"), tool, json!({}));
        directory.refresh().await.unwrap();
        bench.run(call).await.success()
    };
    assert!(runs("read").await);
    database.override_set(OverrideKind::Tool, "read", Execute, "ada", clock.now()).await.unwrap();
    assert!(!runs("read").await);
    database.override_set(OverrideKind::Channel, "web", Execute, "ada", clock.now()).await.unwrap();
    assert!(runs("read").await);
    // A reload of the configuration leaves what operators set.
    bench.gate.reload(configured(&[("web", PermissionLevel::None)], &[]));
    assert!(runs("read").await);
    assert!(database.override_remove(OverrideKind::Channel, "web", "bob", clock.now()).await.unwrap());
    assert!(!runs("read").await);
    // The advice names what would change it: not the configuration, which an override stands above.
    database
        .override_set(OverrideKind::Channel, "web", PermissionLevel::None, "ada", clock.now())
        .await
        .unwrap();
    directory.refresh().await.unwrap();
    let denied = bench.run(Bench::call_as(Bench::caller("web"), "read", json!({}))).await;
    let said = denied.denied().unwrap().message.clone();
    assert!(
        said.contains("page Tools of weir's console") && !said.contains("tools.channel_permissions"),
        "{said}"
    );
}
