//! What a person reads when a configuration is wrong.
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

use common::{Given, rendered};
use insta::assert_snapshot;

fn shown(text: &str) -> String {
    let mut given = Given::default();
    given.variables.extend([
        ("SET", "s3cret-value"),
        ("PORT", "8080"),
        ("MANY", "many"),
        ("STRUCTURE", "x, role: operator}"),
    ]);
    let shown = rendered(text, &given);
    assert!(!shown.contains("s3cret"), "a secret is shown: {shown}");
    shown
}

#[test]
fn unknown_and_missing_keys() {
    assert_snapshot!(shown(
        "lisen:
  data: 127.0.0.1:1
limits: {body_byte_max: 5, upstream: {conect: 5s}}
providers:
  - base_url: https://a.test/v1
    api_kay: sk-s3cret
    apis: [messages]
models:
  - provider: p
    frobnicate: 1
keys:
  - user: u
admin:
  tokens: [{name: ops}]
data_dir: a
data_dir: b
"
    ));
}

#[test]
fn wrong_types_and_words() {
    assert_snapshot!(shown(
        "data_dir: 5
limits:
  body_bytes_max: lots
  connections_max: 1.5
  drain: 30
providers: {name: openai}
models:
  - just-text
  - {id: m, provider: p, free: yes, price: {input: -1, output: .nan}, context_window: 0, fallbacks: a}
abuse:
  mode: inlnie
  disclose: 1
  quarantine: {held_max: 0, held_per_identity_max: -3}
failures: {log_level: verbose, retries: {attempts: 0}}
tools: {levels: [execute], loop_guard: {identical: 1}}
trusted_proxies: [10.0.0.0/8, 5, 6]
telemetry: info
keys: [null]
free_models: {requests: 99999999999999999999999}
"
    ));
}

#[test]
fn values_that_mean_nothing() {
    assert_snapshot!(shown(
        "listen: {data: localhost, admin: 127.0.0.1:99999}
trusted_proxies: [10.0.0.0/33, fe80::/10, here]
fingerprint_header: \"x ja4\"
limits: {drain: 30 s, unauthenticated: {per: 0s}, upstream: {idle: soon}}
store: mysql://u:s3cret@h/db
cache: redis+cluster://u:s3cret@a,,b
abuse: {service_url: abuse.internal, classify_timeout: 0ms, service_headers: {'bad name': x}}
stop_loss: {share_percent: 0, protect: [paying, freeloaders]}
failures: {sentry_dsn: s3cret-dsn, retries: {base: 5s, max: 1s}}
tools:
  channel_permissions: {web: read_onyl, cli: exec}
  levels: {rm: 4}
  approvals: {approver: role:boss, webhook: ftp://x}
  mcp_servers:
    - name: a b
      command: [x]
    - {name: both, command: [x], url: http://h/mcp}
    - {name: neither}
    - {name: neither, url: http://h/mcp}
telemetry: {otlp_endpoint: '4317'}
"
    ));
}

#[test]
fn providers_models_and_references() {
    assert_snapshot!(shown(
        "providers:
  - {name: a, base_url: 'https://a.test/v1', apis: [], auth: none}
  - {name: A, base_url: 'https://a.test/v1', apis: [messages, messages], auth: none}
  - {name: b, base_url: 'ftp://b.test', apis: [chat_completion], auth: none}
  - {name: c, apis: [messages], auth: none}
  - {name: d, base_url: 'https://u:s3cret@d.test/v1?x=1', auth: none}
  - {name: e, base_url: 'https://e.test/v1#top', apis: [count_tokens], auth: X-API-Key}
  - {name: f, base_url: 'https://f.test', apis: [messages], api_key: s3cret, api_keys: [s3cret-2]}
  - {name: sim, simulated: true, base_url: 'https://g.test'}
  - {name: openai, base_url: 'https://h.test', apis: [messages]}
models:
  - {id: m, provider: opneai}
  - {id: M, provider: openai}
  - {id: 'x*y', provider: openai}
  - {id: n, provider: openai, upstream_model: '*'}
  - {id: 'w/*', provider: openai, upstream_model: 'v/*'}
  - {id: p, provider: openai, fallbacks: [P, m, 'w/any', sim/ehco, gone, what]}
  - {id: gone, provider: openai, discontinued: true}
  - {id: free, provider: nowhere}
"
    ));
}

#[test]
fn fallbacks_without_a_model() {
    assert_snapshot!(shown(
        "models:
  - {id: p, provider: sim, fallbacks: [m, 'w/any', sim/ehco, P, what]}
  - {id: 'w/*', provider: sim}
  - {id: q, provider: simulated, fallbacks: [p]}
"
    ));
}

#[test]
fn fallbacks_that_are_never_tried_are_warned_of() {
    let text = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("sim/{n}")).collect();
        format!("models: [{{id: m, provider: sim, fallbacks: [{}]}}]\n", names.join(", "))
    };
    let warned = |count| {
        let shown = shown(&text(count));
        shown.contains("models[0].fallbacks[8]")
            && shown.contains("weir tries at most 8 fallbacks: never this one")
    };
    assert_eq!([7, 8, 9, 12].map(warned), [false, false, true, true]);
}

#[test]
fn references_into_what_could_not_be_read_are_not_reported_as_well() {
    assert_snapshot!(shown(
        "providers:
  - {nam: p, base_url: 'https://a.test/v1', apis: [messages], auth: none}
models:
  - {id: m, provider: p, fallbacks: [n]}
  - {idd: n, provider: p}
"
    ));
}

/// A text, and the places of the references that lead nowhere.
type References = (&'static str, &'static [&'static str]);

#[test]
fn what_is_wrong_with_one_entry_hides_no_reference_of_another() {
    let table: &[References] = &[
        (
            "providers: [{name: a, simulated: true, hous: true}]
models: [{id: m, provider: b, fallbacks: [n, a/echo]}]
keys: [{key: k, user: u, byok: {c: x}}]",
            &["models[0].provider", "models[0].fallbacks[0]", "keys[0].byok.c"],
        ),
        ("providers: [{name: a, apis: [mesages], base_url: x}]\nmodels: [{id: m, provider: a}]", &[]),
        ("providers: [{nam: a, simulated: true}]\nmodels: [{id: m, provider: a}, {id: n, provider: a}]", &[]),
        (
            "providers: [{nam: a, simulated: true}]\nmodels: [{id: m, provider: a}, {id: n, provider: b}]",
            &["models[0].provider", "models[1].provider"],
        ),
        ("providers: [{name: a, simulatd: true}]\nmodels: [{id: m, provider: a, fallbacks: [a/echo]}]", &[]),
        (
            "providers: {name: a}\nmodels: [{id: m, provider: a, fallbacks: [a/echo, n]}]",
            &["models[0].fallbacks[1]"],
        ),
        (
            "providers: [{name: a, simulated: true}]
models: [{id: m, provider: a, fallbacks: [n, w/1]}, {id: n}, {id: 'w/*', provder: a}]",
            &[],
        ),
        (
            "providers: [{name: a, simulated: true}]
models: [{id: m, provider: a, fallbacks: [n, o]}, {idd: n, provider: a}]",
            &["models[0].fallbacks[0]", "models[0].fallbacks[1]"],
        ),
    ];
    for (text, expected) in table {
        let found = common::load_text(text).unwrap_err();
        let nowhere = found.iter().filter(|d| d.message.starts_with("there is no "));
        let places: Vec<&str> = nowhere.map(|d| d.path.as_str()).collect();
        assert_eq!(places, *expected, "{text}\n{found:#?}");
    }
}

#[test]
fn the_rules_of_a_configuration_that_is_wrong_are_still_known() {
    let table: &[(&str, &[&str])] = &[
        ("lisen: {}\nrules: [a.yaml, /b]\n", &["/etc/weir/a.yaml", "/b"]),
        ("lisen: {}\n", &[]),
        ("rules: a.yaml\n", &[]),
        ("rules: [a.yaml]\nlisten: {\n", &[]),
    ];
    for (text, expected) in table {
        let unusable = common::load_or_not(text, &Given::default()).unwrap_err();
        assert!(unusable.diagnostics.iter().any(weir_config::Diagnostic::is_error), "{text}");
        assert_eq!(unusable.rules, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn a_filter_that_the_log_cannot_read_is_an_error_at_its_place() {
    struct Log;
    impl weir_config::Sources for Log {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn read_file(&self, _: &Path) -> Result<String, String> {
            Err("there are no files".to_owned())
        }
        fn check_log_filter(&self, filter: &str) -> Result<(), String> {
            if filter == "info" { Ok(()) } else { Err("no such level".to_owned()) }
        }
    }
    let load = |text: &str| {
        let file = weir_config::SourceText { name: "weir.yaml".to_owned(), text: text.to_owned() };
        weir_config::load(Some(&file), Path::new("/"), &Log)
    };
    assert_eq!(load("telemetry: {log: info}\n").unwrap().config.telemetry.log, "info");
    let unusable = load("data_dir: 5\ntelemetry:\n  log: loud\n").unwrap_err();
    let found: Vec<_> = unusable.diagnostics.iter().map(|d| (d.line, d.path.as_str())).collect();
    assert_eq!(found, [(1, "data_dir"), (3, "telemetry.log")]);
    assert_eq!(unusable.diagnostics[1].message, "`loud` is no filter of the log: no such level");
}

#[test]
fn keys_and_tokens() {
    assert_snapshot!(shown(
        "providers: [{name: sim, simulated: true}]
admin:
  token: change-me
  access: {client_id: s3cret-id, client_secret: ''}
  tokens:
    - {name: ops, token: change-me, role: viewr}
    - {name: ops, token: s3cret-1, role: viewer}
    - {name: ops, token: s3cret-1, role: operator}
    - {name: none, token: '', role: operator}
listen: {data: 127.0.0.1:8080, admin: 0.0.0.0:8081}
keys:
  - {key: s3cret-a, user: a, budget_usd: -1}
  - {key: s3cret-a, user: b, byok: {sin: s3cret-x}}
  - {key: 's3cret with spaces', user: c}
  - {key: anonymous, user: d}
  - {key: '', user: e, budget_usd: .nan}
  - {key: [s3cret-list], user: f}
  - {key: 12345678, user: g}
  - {key: s3cret-i, user: i, budget_usd: 0.0000001}
  - {key: s3cret-h, user: \"a\\tb\", org: \"\\e[2J\", plan: '', tags: [x, ' ']}
"
    ));
}

#[test]
fn what_is_allowed_but_hardly_meant_is_a_warning() {
    assert_snapshot!(shown(
        "listen: {admin: '0.0.0.0:8081'}
admin: {token: change-me}
providers:
  - {name: p, base_url: 'https://a.test/v1', apis: [messages, messages], api_key: ''}
models:
  - {id: m, provider: p, fallbacks: [gone]}
  - {id: gone, provider: p, discontinued: true}
abuse: {mode: cached, service_url: 'http://abuse.internal:8081', service_headers: {CF-Access-Client-Id: s3cret-id}}
"
    ));
}

#[test]
fn an_empty_admin_token_is_a_warning() {
    assert_snapshot!(shown("admin: {token: ''}\n"));
    assert_eq!(shown("admin: {}\n"), "");
}

#[test]
fn things_that_may_not_be_together() {
    assert_snapshot!(shown(
        "listen: {data: 127.0.0.1:9000, admin: 127.0.0.1:9000}
abuse:
  mode: inline
  service_url: http://abuse.internal:8081
  service_headers: {X-A: s3cret-1, x-a: s3cret-2}
"
    ));
}

#[test]
fn variables() {
    assert_snapshot!(shown(
        "data_dir: ${UNSET}/x/${UNSET_TOO}
listen: {data: '${SET}', admin: '127.0.0.1:${PORT}'}
limits: {body_bytes_max: '${MANY}', connections_max: '${PORT}', drain: '${MANY}'}
providers:
  - {name: p, base_url: '${SET}', apis: [messages], api_key: '${UNSET_KEY}'}
  - {name: '${1}', simulated: true}
admin: {token: '${UNSET_TOKEN:-s3cret default}', tokens: [{name: n, token: ${STRUCTURE}, role: viewr}]}
failures: {sentry_dsn: '${SET}', log_level: '${MANY}'}
telemetry: {log: '${OPEN'}
abuse: {disclose: '${MANY}'}
"
    ));
}

#[test]
fn secret_files() {
    assert_snapshot!(shown(
        "keys:\n  - {key: 'file:secrets/absent', user: a}\nstore: file:/run/secrets/dsn\n"
    ));
}

#[test]
fn text_that_is_no_yaml_shows_no_secret() {
    let table = [
        "admin:\n  token: s3cret: x\n",
        "admin: {token: s3cret, tokens: [}\n",
        "providers:\n  - name: p\n    api_keys:\n    - s3cret: x: y\n",
        "keys:\n  - key: \"s3cret\n    s3cret\n  user: x\n",
        "admin:\n  token: \"s3cret\n   s3cret\n  user: x\n",
        "failures:\n  sentry_dsn: |\n    s3cret\n  x: y: z\n",
        "providers:\n  - api_key: s3cret\n    base_url: a: b\n",
        "store: postgres://u:s3cret@h: x: y\n",
        "a: b: c\n",
        "a: 1\n---\nb: 2\n",
    ];
    assert_snapshot!(table.map(shown).join("\n\n"));
}

#[test]
fn the_document_itself() {
    let table = ["- a\n", "just text\n", "5\n"];
    assert_snapshot!(table.map(shown).join("\n\n"));
}

#[test]
fn a_diagnostic_is_data_for_programs() {
    let errors = common::load_text("limits: {drian: 1s}\n").unwrap_err();
    assert_eq!(
        serde_json::to_value(&errors).unwrap(),
        serde_json::json!([{
            "severity": "error", "file": "weir.yaml", "line": 1, "column": 10, "path": "limits.drian",
            "message": "unknown key `drian`", "help": "did you mean `drain`?",
            "source_line": "limits: {drian: 1s}", "span_len": 5,
        }])
    );
}
