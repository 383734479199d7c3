//! What values become.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{BASE, Given, load_text, load_with};
use weir_config::Config;
use weir_config::config::{
    AbuseMode, Approver, Auth, DatabaseUrl, LogFormat, LogLevel, McpTransport, Protected, Role,
};
use weir_core::ApiKind;
use weir_core::secret::expose;
use weir_core::tool::PermissionLevel;

fn config(text: &str) -> Config {
    load_text(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}")).config
}

fn config_with(
    text: &str,
    variables: &[(&'static str, &'static str)],
    files: &[(&'static str, &'static str)],
) -> Config {
    let mut given = Given::default();
    given.variables.extend(variables.iter().copied());
    given.files.extend(files.iter().copied());
    load_with(text, &given).unwrap_or_else(|errors| panic!("{text}: {errors:#?}")).config
}

#[test]
fn variables_stand_in_any_scalar_and_bring_no_structure() {
    let text = "
data_dir: /var/${NAME}/$${NAME}
limits: {body_bytes_max: ${SIZE}, connections_max: '${SIZE}', drain: ${N}s, cache_timeout: ${N}ms}
abuse: {disclose: ${YES}}
models: [{id: m, provider: sim, price: {input: ${PRICE}, output: 1}, free: ${NO:-false}}]
telemetry: {log: '${LIST}'}
keys:
  - {key: ${NUMBER}, user: '${NULL}', budget_usd: ${PRICE}}
";
    let variables = [
        ("NAME", "weir"),
        ("SIZE", "4096"),
        ("N", "7"),
        ("YES", "true"),
        ("PRICE", "2.5"),
        ("LIST", "[a, b]: ${NAME}"),
        ("NUMBER", "12345"),
        ("NULL", "null"),
    ];
    let config = config_with(text, &variables, &[]);
    assert_eq!(config.data_dir.to_str(), Some("/var/weir/${NAME}"));
    assert_eq!((config.limits.body_bytes_max, config.limits.connections_max), (4096, 4096));
    assert_eq!(config.limits.drain, Duration::from_secs(7));
    assert_eq!(config.limits.cache_timeout, Duration::from_millis(7));
    assert!(config.abuse.disclose);
    assert_eq!(config.models.find("m").unwrap().model.price.unwrap().input, 2.5);
    assert_eq!(config.telemetry.log, "[a, b]: ${NAME}", "what is put in is not looked at again");
    assert_eq!((expose(&config.keys[0].key), config.keys[0].user.as_str()), ("12345", "null"));
    assert_eq!(config.keys[0].budget_usd, Some(2.5));
}

#[test]
fn secrets_come_from_files_where_the_configuration_says_so() {
    let text = "
admin: {token: 'file:secrets/admin', access: {client_id: id, client_secret: file:/abs/pair}}
store: file:dsn
keys: [{key: '${KEY}', user: u}, {key: 'file:${DIR}/key', user: v}]
";
    let files = [
        ("/etc/weir/secrets/admin", "from-file\r\n"),
        ("/abs/pair", "pair"),
        ("/etc/weir/dsn", "postgres://u:p@h/d\n"),
        ("/run/key", "from-run"),
        ("/etc/weir/other", "must not be read"),
    ];
    let config = config_with(text, &[("KEY", "file:other"), ("DIR", "/run")], &files);
    assert_eq!(expose(config.admin.token.as_ref().unwrap()), "from-file");
    let pair = config.admin.access.as_ref().unwrap();
    assert_eq!((pair.client_id.as_str(), expose(&pair.client_secret)), ("id", "pair"));
    assert!(matches!(&config.store, DatabaseUrl::Postgres(url) if expose(url) == "postgres://u:p@h/d"));
    let keys: Vec<_> = config.keys.iter().map(|key| expose(&key.key)).collect();
    assert_eq!(keys, ["file:other", "from-run"], "a variable brings the secret itself");
}

#[test]
fn providers_are_as_they_are_written() {
    let config = config(
        "
providers:
  - {name: a, base_url: 'https://a.test/v1///', apis: [messages], auth: x-api-key, api_keys: ['', k1, k2], house: true}
  - {name: b, base_url: 'http://b.test:8000', apis: [embeddings, chat_completions], api_key: k}
  - {name: S, simulated: true, apis: [responses]}
",
    );
    let a = config.provider("a").unwrap();
    assert_eq!(a.base_url.as_ref().unwrap().as_str(), "https://a.test/v1");
    assert_eq!(a.endpoint(ApiKind::CountTokens).unwrap(), "https://a.test/v1/messages/count_tokens");
    assert!(a.serves(ApiKind::CountTokens) && !a.serves(ApiKind::ChatCompletions));
    assert_eq!((a.auth, a.house, a.api_keys.len()), (Auth::XApiKey, true, 2));
    let b = config.provider("b").unwrap();
    assert_eq!(b.endpoint(ApiKind::Embeddings).unwrap(), "http://b.test:8000/embeddings");
    assert_eq!((b.auth, b.api_keys.len()), (Auth::Bearer, 1));
    let s = config.provider("S").unwrap();
    assert_eq!(
        (s.endpoint(ApiKind::Responses), s.apis.as_slice(), s.auth),
        (None, &[ApiKind::Responses][..], Auth::None)
    );
    assert!(config.provider("nobody").is_none());
}

#[test]
fn the_mode_follows_the_service_unless_it_is_written() {
    let service = "service_url: 'http://abuse.test'";
    let table = [
        ("{}".to_owned(), AbuseMode::Inline),
        ("{mode: inline}".to_owned(), AbuseMode::Inline),
        ("{mode: cached}".to_owned(), AbuseMode::Cached),
        ("{mode: off}".to_owned(), AbuseMode::Off),
        ("{service_url: ''}".to_owned(), AbuseMode::Inline),
        ("{mode: inline, service_url: ''}".to_owned(), AbuseMode::Inline),
        (format!("{{{service}}}"), AbuseMode::Cached),
        (format!("{{mode: cached, {service}}}"), AbuseMode::Cached),
        (format!("{{mode: off, {service}}}"), AbuseMode::Off),
    ];
    for (abuse, mode) in table {
        assert_eq!(config(&format!("abuse: {abuse}\n")).abuse.mode, mode, "{abuse}");
    }
}

#[test]
fn service_headers_are_sent_when_they_have_a_value() {
    type Sent = &'static [(&'static str, &'static str)];
    let table: [(&str, Sent, usize); 5] = [
        ("{X-One: a b, X-Two: ''}", &[("x-one", "a b")], 0),
        (
            "{CF-Access-Client-Id: i, CF-Access-Client-Secret: s}",
            &[("cf-access-client-id", "i"), ("cf-access-client-secret", "s")],
            0,
        ),
        ("{CF-Access-Client-Id: i, X: y}", &[("x", "y")], 1),
        ("{CF-Access-Client-Id: '', cf-access-client-secret: s}", &[], 1),
        ("{CF-Access-Client-Id: '', CF-Access-Client-Secret: ''}", &[], 0),
    ];
    for (headers, sent, warnings) in table {
        let loaded = load_text(&format!("abuse: {{service_headers: {headers}}}\n")).unwrap();
        let found: Vec<_> =
            loaded.config.abuse.service_headers.iter().map(|(n, v)| (n.as_str(), expose(v))).collect();
        assert_eq!((found.as_slice(), loaded.warnings.len()), (sent, warnings), "{headers}");
    }
}

#[test]
fn everything_else_is_as_it_is_written() {
    let config = config(
        "
listen: {data: '[::1]:0', admin: 0.0.0.0:0}
admin: {tokens: [{name: a, token: t1, role: viewer}, {name: b, token: t2, role: approver}, {name: c, token: t3, role: operator}]}
trusted_proxies: [10.0.0.0/8, 192.0.2.1, 'fd00::/8']
fingerprint_header: X-JA4
free_models: {requests: 1, per: 1d}
abuse: {quarantine: {first: 0s, second: 100ms, held_max: 1, held_per_identity_max: 2}}
stop_loss: {share_percent: 2.5, protect: [byok]}
failures: {log_level: warn, retries: {attempts: 3, base: 60ms}, sentry_dsn: 'https://k@sentry.test/1', sentry_environment: staging}
tools:
  channel_permissions: {web: ReadOnly, cli: DANGER}
  levels: {'a.b c': none}
  allowed_roots: [x, /y]
  approvals: {approver: role:operator, webhook: 'https://hook.test/x'}
  mcp_servers: [{name: a, command: [run, -x]}, {name: b, url: 'http://h/mcp'}]
telemetry: {log: debug, log_format: json, otlp_endpoint: 'http://otel.test:4318'}
keys: [{key: k, user: ' u ', org: o, project: '', plan: p, tags: [t], byok: {sim: own}, channel: web}]
rules: []
",
    );
    assert_eq!(
        (config.listen.data.to_string(), config.listen.admin.to_string()),
        ("[::1]:0".into(), "0.0.0.0:0".into())
    );
    let roles: Vec<Role> = config.admin.tokens.iter().map(|token| token.role).collect();
    assert_eq!(roles, Role::ALL);
    for (address, trusted) in [
        ("10.1.2.3", true),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("127.0.0.1", false),
        ("fd00::1", true),
    ] {
        assert_eq!(config.trusted_proxies.trusts(address.parse::<IpAddr>().unwrap()), trusted, "{address}");
    }
    assert_eq!(config.fingerprint_header, "x-ja4");
    assert_eq!((config.free_models.requests, config.free_models.per), (1, Duration::from_secs(86_400)));
    assert_eq!(config.abuse.quarantine.delays.first, Duration::ZERO);
    assert_eq!(config.abuse.quarantine.delays.second, Duration::from_millis(100));
    let stop_loss = config.stop_loss.unwrap();
    assert_eq!(
        (stop_loss.share_percent, stop_loss.identities_min, stop_loss.protect),
        (2.5, 100, vec![Protected::Byok])
    );
    assert_eq!((config.failures.log_level, config.failures.retries.attempts), (LogLevel::Warn, 3));
    assert_eq!(config.failures.sentry_environment.as_deref(), Some("staging"));
    assert_eq!(expose(config.failures.sentry_dsn.as_ref().unwrap()), "https://k@sentry.test/1");
    assert_eq!(config.tools.channel_permissions["web"], PermissionLevel::ReadOnly);
    assert_eq!(config.tools.channel_permissions["cli"], PermissionLevel::Dangerous);
    assert_eq!(config.tools.levels["a.b c"], PermissionLevel::None);
    assert_eq!(config.tools.allowed_roots, [std::path::Path::new("/etc/weir/x"), std::path::Path::new("/y")]);
    assert_eq!(config.tools.approvals.approver, Approver::Role(Role::Operator));
    assert_eq!(config.tools.mcp_servers[0].transport, McpTransport::Command(vec!["run".into(), "-x".into()]));
    assert!(
        matches!(&config.tools.mcp_servers[1].transport, McpTransport::Url(url) if url.as_str() == "http://h/mcp")
    );
    assert_eq!((config.telemetry.log.as_str(), config.telemetry.log_format), ("debug", LogFormat::Json));
    let key = &config.keys[0];
    assert_eq!((key.user.as_str(), key.org.as_deref(), key.project.as_deref()), ("u", Some("o"), None));
    assert_eq!((expose(&key.byok["sim"]), key.channel.as_str()), ("own", "web"));
    assert_eq!(config.rules, Some(Vec::new()), "an empty list is not the same as none");
}

#[test]
fn words_of_closed_sets_are_all_known() {
    for (level, expected) in
        [("trace", LogLevel::Trace), ("debug", LogLevel::Debug), ("error", LogLevel::Error)]
    {
        assert_eq!(config(&format!("failures: {{log_level: {level}}}")).failures.log_level, expected);
    }
    for (approver, expected) in [
        ("self", Approver::Requester),
        ("other", Approver::Other),
        ("role:approver", Approver::Role(Role::Approver)),
    ] {
        assert_eq!(
            config(&format!("tools: {{approvals: {{approver: '{approver}'}}}}")).tools.approvals.approver,
            expected
        );
    }
    assert_eq!(config("telemetry: {log_format: pretty}").telemetry.log_format, LogFormat::Pretty);
    assert!(load_text("tools: {approvals: {approver: 'role:viewer'}}").is_err(), "a viewer only looks");
}

#[test]
fn anchors_and_merges_are_yaml_like_any_other() {
    let config = config(
        "
providers:
  - &base {name: a, base_url: 'https://a.test', apis: [messages], auth: none}
  - {<<: *base, name: b}
",
    );
    assert_eq!(config.provider("b").unwrap().base_url, config.provider("a").unwrap().base_url);
}

#[test]
fn hostile_texts_end_in_an_error_and_not_in_a_crash() {
    let deep = "[".repeat(100_000);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    for text in
        [&deep, bomb, "\u{0}", "a: \u{1}", "\u{feff}listen: 5", "é: ${", "a: |\n  ${A}\n  b: ${\n", "- - - -"]
    {
        let errors = load_text(text).unwrap_err();
        assert!(errors.iter().any(weir_config::Diagnostic::is_error), "{text:.20}");
    }
}

#[test]
fn a_long_line_is_cut_around_what_is_wrong() {
    let text = format!(
        "{{\"trusted_proxies\": [{}\"here\"{}]}}",
        "\"10.0.0.1\", ".repeat(500),
        ", \"10.0.0.1\"".repeat(500)
    );
    let errors = load_text(&text).unwrap_err();
    let shown = errors[0].to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 260), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines[4].find('^').unwrap();
    assert_eq!(lines[3].chars().skip(caret).take(6).collect::<String>(), "\"here\"");
}

#[test]
fn weirs_own_files_are_closed_to_tools_and_roots_around_them_are_warned_of() {
    let warned = |text: &str| -> Vec<String> {
        load_text(text).unwrap().warnings.iter().map(|warning| warning.path.to_string()).collect()
    };
    let loaded = load_text("data_dir: ./d\nstore: sqlite:./s/weir.db\nrules: [./r]\n").unwrap();
    let own: Vec<String> = loaded
        .config
        .tools
        .own_files
        .iter()
        .map(|path| path.strip_prefix(BASE).unwrap().display().to_string())
        .collect();
    assert_eq!(
        own,
        [
            "d/admin-token",
            "d/sessions",
            "s/weir.db",
            "s/weir.db-wal",
            "s/weir.db-shm",
            "s/weir.db-journal",
            "s/weir.db.lock",
            "s/weir.db.secret",
            "r"
        ]
    );
    for (roots, warns) in [(".", true), ("./d", true), ("./d/x", true), ("./work", false), ("./d2", false)] {
        let text = format!("data_dir: ./d\ntools: {{allowed_roots: [\"{roots}\"]}}\n");
        assert_eq!(warned(&text).iter().any(|path| path == "tools.allowed_roots[0]"), warns, "{roots}");
    }
}

#[test]
fn channels_that_nobody_can_be_on_are_warned_of() {
    let table = [
        ("{cli: execute, web: read_only, slack: write}", 0),
        ("{clii: execute}", 1),
        ("{Web: read_only}", 1),
        ("{\" \": read_only}", 1),
        ("{\"a\\tb\": read_only}", 1),
        ("{clii: execute, cli: execute}", 0),
        ("{}", 0),
    ];
    for (channels, expected) in table {
        let loaded = load_text(&format!("tools: {{channel_permissions: {channels}}}\n")).unwrap();
        let count =
            loaded.warnings.iter().filter(|warning| warning.path.contains("channel_permissions")).count();
        assert_eq!(count, expected, "{channels}: {:?}", loaded.warnings);
    }
    let text = "keys: [{key: k, user: u, channel: slak}]\ntools: {channel_permissions: {slack: write}}\n";
    let warnings = load_text(text).unwrap().warnings;
    assert!(
        warnings.iter().any(|warning| warning.to_string().contains("did you mean `slack`")),
        "{warnings:?}"
    );
}

/// Settings of retries that do nothing, or not what they look like, are told of.
#[test]
fn retries_that_are_hardly_meant_are_warned_of() {
    let table = [
        ("{base: 1ms}", "failures.retries.base"),
        ("{base: 0ms}", "failures.retries.base"),
        ("{retry_after_max: 0s}", "failures.retries.retry_after_max"),
        ("{max: 2m}", "failures.retries.max"),
        ("{base: 90s, max: 90s}", "failures.retries.base"),
        ("{retry_after_max: 5m}", "failures.retries.retry_after_max"),
        ("{attempts: 50}", "failures.retries.attempts"),
    ];
    let load_from = |text: &str| -> Vec<String> {
        load_text(text).unwrap().warnings.iter().map(|warning| warning.path.clone()).collect()
    };
    for (retries, path) in table {
        let loaded = load_from(&format!("failures: {{retries: {retries}}}\n"));
        assert!(loaded.iter().any(|warned| warned.contains(path)), "{retries}: {loaded:?}");
    }
    for retries in ["{}", "{attempts: 4, base: 100ms, max: 5s, retry_after_max: 60s}"] {
        let loaded = load_from(&format!("failures: {{retries: {retries}}}\n"));
        assert!(!loaded.iter().any(|warned| warned.contains("retries")), "{retries}: {loaded:?}");
    }
}
