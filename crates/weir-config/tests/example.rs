//! The example of the repository, and the default configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod common;

use std::path::{Path, PathBuf};

use common::{BASE, Given, load_text, load_with};
use weir_config::config::{AbuseMode, Auth, CacheUrl, DatabaseUrl};
use weir_config::load;
use weir_core::ApiKind;
use weir_core::secret::expose;
use weir_core::tool::PermissionLevel;

const EXAMPLE: &str = include_str!("../../../weir.example.yaml");

#[test]
fn the_example_loads_as_it_stands() {
    let loaded = load_text(EXAMPLE).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let config = loaded.config;
    assert_eq!(config.providers.len(), 4);
    assert_eq!(config.provider("anthropic").unwrap().auth, Auth::XApiKey);
    assert_eq!(expose(config.admin.token.as_ref().unwrap()), "change-me");
    assert!(config.admin.access.is_none());
    assert!(
        matches!(&config.store, DatabaseUrl::Sqlite(path) if path == Path::new("/etc/weir/weir-data/weir.db"))
    );
    assert_eq!(config.rules, Some(vec![PathBuf::from("/etc/weir/rules")]));
    assert_eq!(expose(&config.keys[0].key), "weir-demo-key");
    assert_eq!(config.keys[0].budget_usd, Some(25.0));
    assert_eq!(config.tools.levels["run_script"], PermissionLevel::Execute);
    assert!(config.failures.sentry_dsn.is_none() && config.telemetry.otlp_endpoint.is_none());

    let found = config.models.find("Anthropic/Claude-X").unwrap();
    assert_eq!((found.id.as_str(), found.upstream_name.as_str()), ("anthropic/claude-x", "Claude-X"));
    assert!(config.models.find("old/free-model").unwrap().model.discontinued);
    assert_eq!(config.models.free_candidates(ApiKind::Messages), ["sim/free"]);

    let warned: Vec<&str> = loaded.warnings.iter().map(|w| w.path.as_str()).collect();
    assert_eq!(
        warned,
        ["providers[0].name", "providers[1].name", "providers[2].name", "tools.allowed_roots[0]"],
        "no key of the platform, and tools where weir's own files are"
    );
}

#[test]
fn variables_and_secret_files_reach_the_example() {
    let mut given = Given::default();
    given.variables.extend([
        ("OPENAI_API_KEY", "sk-open"),
        ("KIMI_API_KEY_2", "k2"),
        ("WEIR_ADMIN_TOKEN", ""),
    ]);
    let config = load_with(EXAMPLE, &given).unwrap().config;
    let keys = |name: &str| config.provider(name).unwrap().api_keys.iter().map(expose).collect::<Vec<_>>();
    assert_eq!((keys("openai"), keys("kimi")), (vec!["sk-open"], vec!["k2"]));
    assert_eq!(
        expose(config.admin.token.as_ref().unwrap()),
        "change-me",
        "`:-` stands in for an empty value too"
    );
}

#[test]
fn without_a_file_the_simulated_provider_is_served() {
    let nothing = load(None, Path::new(BASE), &Given::default()).unwrap();
    assert!(nothing.warnings.is_empty());
    let config = nothing.config;
    assert!(
        matches!(&config.store, DatabaseUrl::Sqlite(path) if path == Path::new("/etc/weir/weir-data/weir.db"))
    );
    assert!(matches!(config.cache, CacheUrl::Memory));
    assert_eq!(config.rules, None);
    assert_eq!(config.abuse.mode, AbuseMode::Inline);
    assert!(config.admin.token.is_none() && config.keys.is_empty());
    let found = config.models.find("sim/echo").unwrap();
    assert_eq!(found.upstream_name, "echo");
    assert!(config.provider("sim").unwrap().simulated);
    for empty in ["", "# nothing\n", "{}", "providers:\nmodels: null\n", "---\n"] {
        let same = load_text(empty).unwrap_or_else(|errors| panic!("{empty:?}: {errors:#?}")).config;
        assert_eq!(format!("{same:?}"), format!("{config:?}"), "{empty:?}");
    }
}

#[test]
fn the_store_follows_the_data_folder_unless_it_is_given() {
    let config = load_text("data_dir: /var/lib/weir\n").unwrap().config;
    assert!(matches!(&config.store, DatabaseUrl::Sqlite(path) if path == Path::new("/var/lib/weir/weir.db")));
    for (store, path) in [
        ("sqlite:x/../y.db", "/etc/weir/x/../y.db"),
        ("sqlite:/abs.db", "/abs.db"),
        ("sqlite:///abs.db", "/abs.db"),
        ("sqlite://rel.db", "/etc/weir/rel.db"),
    ] {
        let config = load_text(&format!("store: {store}\n")).unwrap().config;
        assert!(matches!(&config.store, DatabaseUrl::Sqlite(found) if found == Path::new(path)), "{store}");
    }
}

#[test]
fn a_configuration_printed_for_debugging_holds_no_secret() {
    let text = "admin: {token: s3cret-a}\nstore: postgres://u:s3cret-b@h/d\ncache: redis://:s3cret-c@h\n\
                providers: [{name: p, base_url: 'https://h/v1', apis: [messages], api_key: s3cret-d}]\n\
                keys: [{key: s3cret-e, user: u, byok: {p: s3cret-f}}]\n\
                abuse: {service_headers: {x: s3cret-g}}\nfailures: {sentry_dsn: 'https://s3cret-h@h/1'}\n";
    let loaded = load_text(text).unwrap();
    assert!(!format!("{loaded:?}").contains("s3cret"));
    assert_eq!(loaded.warnings.len(), 0);
}
