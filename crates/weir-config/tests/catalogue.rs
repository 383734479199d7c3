//! Which model a name means.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod common;

use common::load_text;
use weir_config::ModelCatalogue;
use weir_core::ApiKind;

fn catalogue() -> ModelCatalogue {
    let text = "
providers:
  - {name: up, base_url: 'https://up.test/v1', apis: [chat_completions, embeddings], auth: none}
  - {name: talk, base_url: 'https://talk.test', apis: [messages], auth: none}
  - {name: Sim, simulated: true, apis: [chat_completions]}
models:
  - {id: Exact/Model, provider: up, upstream_model: other}
  - {id: plain, provider: up, free: true}
  - {id: gone, provider: up, free: true, discontinued: true}
  - {id: 'open/*', provider: up, upstream_model: '*', free: true}
  - {id: 'open/gpt-*', provider: up}
  - {id: 'mock*', provider: up}
  - {id: 'fixed*', provider: up, upstream_model: one}
  - {id: a-free, provider: talk, free: true}
  - {id: sim/echo, provider: up, upstream_model: not-simulated}
";
    load_text(text).unwrap_or_else(|errors| panic!("{errors:#?}")).config.models
}

#[test]
fn exact_ids_win_then_what_is_simulated_then_the_longest_prefix() {
    let models = catalogue();
    // What is asked for, the id of the entry, what goes upstream.
    let table = [
        ("exact/model", Some(("Exact/Model", "other"))),
        ("EXACT/MODEL", Some(("Exact/Model", "other"))),
        ("PLAIN", Some(("plain", "plain"))),
        ("gone", Some(("gone", "gone"))),
        ("open/Llama-3", Some(("open/*", "Llama-3"))),
        ("OPEN/Llama-3", Some(("open/*", "Llama-3"))),
        ("open/GPT-5", Some(("open/gpt-*", "open/GPT-5"))),
        ("open/", None),
        ("mock", Some(("mock*", "mock"))),
        ("Mock-é", Some(("mock*", "Mock-é"))),
        ("fixed-2", Some(("fixed*", "one"))),
        ("sim/echo", Some(("sim/echo", "not-simulated"))),
        ("sim/slow", Some(("Sim/slow", "slow"))),
        ("SIM/ERROR-429", Some(("Sim/error-429", "error-429"))),
        ("sim/error-399", None),
        ("sim/error-600", None),
        ("sim/", None),
        ("é", None),
        ("", None),
        ("other", None),
    ];
    for (name, expected) in table {
        let found = models.find(name);
        let shown = found.as_ref().map(|found| (found.model.id.as_str(), found.upstream_name.as_str()));
        assert_eq!(shown, expected, "{name}");
        if let Some(found) = found {
            assert_eq!(found.id, name.to_ascii_lowercase());
        }
    }
}

#[test]
fn wildcards_and_what_is_gone_are_neither_listed_nor_candidates() {
    let models = catalogue();
    assert_eq!(
        models.listed(),
        [
            "Exact/Model",
            "Sim/cut",
            "Sim/free",
            "Sim/garbage",
            "Sim/hang",
            "Sim/slow",
            "Sim/tool",
            "a-free",
            "plain",
            "sim/echo"
        ]
    );
    let table: [(ApiKind, &[&str]); 5] = [
        (ApiKind::ChatCompletions, &["Sim/free", "plain"]),
        (ApiKind::Embeddings, &["plain"]),
        (ApiKind::Messages, &["a-free"]),
        (ApiKind::CountTokens, &["a-free"]),
        (ApiKind::Responses, &[]),
    ];
    for (api, expected) in table {
        assert_eq!(models.free_candidates(api), expected, "{api}");
    }
}

#[test]
fn a_name_is_free_when_its_model_is() {
    let models = catalogue();
    for (name, free) in
        [("plain", true), ("open/x", true), ("open/gpt-1", false), ("sim/FREE", true), ("nope", false)]
    {
        assert_eq!(models.is_free(name), free, "{name}");
    }
}
