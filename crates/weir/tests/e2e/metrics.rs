//! The metrics of the real program against their list, their page and their dashboard, and their bounds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use weir_telemetry::catalogue::{METRICS, Metric};
use weir_telemetry::exposition::families;
use weir_testkit::deadline::PATIENCE;
use weir_testkit::{Script, ScriptedUpstream, WeirCommand, WeirProcess, http, repository};

use crate::support::{ADMIN_TOKEN, admin, binary, chat, eventually, make_key, post, rule_for, write};

const PAGE: &str = "docs/metrics.md";
const DASHBOARD: &str = "dashboards/weir.json";

/// The rows of the page's table, as the list would make them.
fn rows_of_the_page() -> Vec<String> {
    let page = repository::read(PAGE);
    let table = page.split("\n## ").next().unwrap_or_default();
    table.lines().filter(|line| line.starts_with("| `")).map(ToOwned::to_owned).collect()
}

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = if labels.is_empty() { "—".to_owned() } else { labels.join(", ") };
    let (kind, unit) = (metric.kind.as_str(), metric.unit.as_str());
    format!("| `{}` | {kind} | {labels} | {unit} | {} |", metric.name, metric.help)
}

#[test]
fn the_page_has_exactly_the_metrics_of_the_list() {
    let expected: Vec<String> = METRICS.iter().map(row).collect();
    let found = rows_of_the_page();
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
    let more: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
    assert!(missing.is_empty() && more.is_empty(), "{PAGE} lacks\n{missing:#?}\nand has\n{more:#?}");
    assert_eq!(found, expected, "the order is that of the alphabet");
}

/// The names that the programs count by, with the files in which they do.
fn counted_in_the_code() -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for file in repository::files() {
        let is_code = file.starts_with("crates/") && file.contains("/src/") && file.ends_with(".rs");
        // The list itself counts nothing.
        let left_out = ["crates/weir-testkit/", "crates/weir-telemetry/src/catalogue.rs"];
        if !is_code || left_out.iter().any(|out| file.starts_with(out)) {
            continue;
        }
        let text = repository::read(&file);
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for (at, _) in text.match_indices(kind) {
                if !text[..at].ends_with("describe_") {
                    names.insert(name_after(&text, at + kind.len(), &file), file.clone());
                }
            }
        }
    }
    names
}

/// The first argument: a text, or a constant of the same file that is one.
fn name_after(text: &str, at: usize, file: &str) -> String {
    let argument = text[at..].trim_start();
    let argument = match argument.strip_prefix('"') {
        Some(quoted) => quoted,
        None => {
            let constant: String =
                argument.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let definition = format!("const {constant}: &str = \"");
            let found = text.split_once(&definition);
            found.unwrap_or_else(|| panic!("{file}: `{constant}` names no metric that can be read here")).1
        }
    };
    argument.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn the_code_counts_what_is_in_the_list_and_nothing_else() {
    let counted = counted_in_the_code();
    assert!(counted.len() > 30, "{counted:?}");
    let listed: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let unlisted: Vec<_> = counted.iter().filter(|(name, _)| !listed.contains(name.as_str())).collect();
    assert!(unlisted.is_empty(), "not in crates/weir-telemetry/src/catalogue/list.rs: {unlisted:?}");
    let uncounted: Vec<_> = listed.iter().filter(|name| !counted.contains_key(**name)).collect();
    assert!(uncounted.is_empty(), "in the list, and never counted: {uncounted:?}");
}

/// A weir whose every part has something to count.
async fn busy() -> (WeirProcess, ScriptedUpstream, Vec<String>) {
    let upstream = ScriptedUpstream::start().await;
    let server = json!(weir_testkit::mcp::command("telemetry::scripted_server"));
    let config = format!(
        "admin: {{token: {ADMIN_TOKEN}}}\n\
         providers:\n\
         - {{name: vendor, base_url: \"{}\", apis: [chat_completions, responses, messages, embeddings], api_key: k}}\n\
         models:\n\
         - {{id: m/one, provider: vendor, upstream_model: one, fallbacks: [m/two]}}\n\
         - {{id: m/two, provider: vendor, upstream_model: two}}\n\
         - {{id: 'wild/*', provider: vendor}}\n\
         failures: {{retries: {{attempts: 1, base: 50ms}}}}\n\
         limits: {{unauthenticated: {{requests: 1000000, per: 1m}}}}\n\
         abuse: {{quarantine: {{first: 50ms}}}}\n\
         tools: {{channel_permissions: {{mcp: read_only}}, levels: {{echo: read_only, fail: read_only}}, \
         mcp_servers: [{{name: kit, command: {server}}}]}}\n\
         telemetry: {{log_format: json, log: \"info,weir::access=off\", otlp_endpoint: \"http://127.0.0.1:9\"}}\n",
        upstream.base_url(),
    );
    let weir = WeirCommand::new(binary(), &config).env("OTEL_BSP_SCHEDULE_DELAY", "20").start().await;
    let mut keys = Vec::new();
    for user in ["plain", "blocked", "slow", "watched"] {
        keys.push(make_key(&weir, user).await);
    }
    let mut shadow = rule_for("watched", &json!("block"));
    shadow["mode"] = json!("shadow");
    let asked = json!({"id": "ask", "on": "tool", "when": "tool.name == \"fail\"", "then": "require-approval", "because": "A test says so."});
    write(&weir, "POST", "/api/rules", &asked, 201).await;
    let mut broken = rule_for("watched", &json!("log"));
    broken["id"] = json!("broken");
    broken["when"] = json!("10 / request.max_tokens > 1 && identity.user_id == \"watched\"");
    for rule in
        [rule_for("blocked", &json!("block")), rule_for("slow", &json!("quarantine-1")), shadow, broken]
    {
        write(&weir, "POST", "/api/rules", &rule, 201).await;
    }
    (weir, upstream, keys)
}

async fn send(weir: &WeirProcess, key: &str, path: &str, body: &Value) -> u16 {
    post(weir, path, &[("authorization", &format!("Bearer {key}"))], body).await.status
}

/// Requests of every kind: good, streamed, slowed, blocked, in shadow, failed, unknown; calls of tools.
async fn vary(weir: &WeirProcess, upstream: &ScriptedUpstream, keys: &[String]) {
    for key in keys {
        eventually("the key to be known", async || {
            (send(weir, key, "/v1/models", &Value::Null).await != 401).then_some(())
        })
        .await;
        send(weir, key, "/v1/chat/completions", &chat("m/two")).await;
    }
    let mut streamed = chat("wild/anything");
    streamed["stream"] = json!(true);
    assert_eq!(send(weir, &keys[0], "/v1/chat/completions", &streamed).await, 200);
    let embeddings = json!({"model": "m/two", "input": "x"});
    assert_eq!(send(weir, &keys[0], "/v1/embeddings", &embeddings).await, 200);
    upstream.respond_with(Script::error(500, "server_error", "it broke"));
    assert!(send(weir, &keys[0], "/v1/chat/completions", &chat("m/one")).await >= 500);
    upstream.respond_by_default();
    assert_eq!(send(weir, &keys[0], "/v1/chat/completions", &chat("none/such")).await, 404);
    tools(weir, &keys[0]).await;
    let classify = json!({"kilo_user_id": "ada"});
    assert!(admin(weir, "POST", "/api/classify", &classify).await.status < 500);
}

async fn tools(weir: &WeirProcess, key: &str) {
    let authorization = format!("Bearer {key}");
    let url = format!("{}/mcp/kit", weir.data());
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ];
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let begin = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
    let session =
        http::request("POST", &url, &headers, begin).await.header("mcp-session-id").unwrap().to_owned();
    headers.push(("mcp-session-id", &session));
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    http::request("POST", &url, &headers, ready).await;
    for (number, name) in (1..).zip(["echo", "fail", "die", "made-up"]) {
        let call = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": {}}});
        assert!(http::request("POST", &url, &headers, call.to_string()).await.status < 500, "{name}");
    }
}

async fn shown(weir: &WeirProcess) -> String {
    let answer = admin(weir, "GET", "/metrics", &Value::Null).await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

#[tokio::test]
async fn what_is_shown_is_in_the_list_and_what_the_dashboard_reads_is_shown() {
    let (weir, upstream, keys) = busy().await;
    vary(&weir, &upstream, &keys).await;
    let read = read_by_the_dashboard();
    assert!(read.len() >= 25, "{read:?}");
    let text = eventually("every metric of the dashboard", async || {
        let text = shown(&weir).await;
        let names: BTreeSet<&str> = families(&text).iter().map(|family| family.name).collect();
        read.iter().all(|name| names.contains(name.as_str())).then_some(text)
    });
    let text = match tokio::time::timeout(PATIENCE / 2, text).await {
        Ok(text) => text,
        Err(_) => {
            let text = shown(&weir).await;
            let names: BTreeSet<&str> = families(&text).iter().map(|family| family.name).collect();
            let missing: Vec<_> = read.iter().filter(|name| !names.contains(name.as_str())).collect();
            panic!("the dashboard reads what is not there: {missing:?}");
        }
    };
    for family in families(&text) {
        let metric = METRICS.iter().find(|metric| metric.name == family.name);
        let metric = metric.unwrap_or_else(|| panic!("`{}` is not in the list", family.name));
        let kind = format!("# TYPE {} {}\n", metric.name, metric.kind.as_str());
        assert!(
            text.contains(&kind) && text.contains(&format!("# HELP {} ", metric.name)),
            "{}",
            metric.name
        );
        for (label, _) in family.series.iter().flat_map(|series| &series.labels) {
            assert!(metric.labels.contains(label), "`{}` has the label `{label}`", family.name);
        }
    }
    let decided =
        "weir_decisions_total{boundary=\"request\",action=\"block\",mode=\"shadow\",rule=\"of-watched\"} 1";
    assert!(text.contains(decided), "{text}");
    for boundary in ["request", "failure", "tool"] {
        assert!(
            text.contains(&format!("weir_decisions_total{{boundary=\"{boundary}\"")),
            "{boundary}: {text}"
        );
    }
    assert!(text.contains(
        "weir_upstream_errors_total{provider=\"vendor\",class=\"upstream_5xx\",owner=\"provider\",reported="
    ));
}

/// The names of metrics in the expressions of the dashboard's panels.
fn read_by_the_dashboard() -> BTreeSet<String> {
    let dashboard: Value = serde_json::from_str(&repository::read(DASHBOARD)).unwrap();
    let mut names = BTreeSet::new();
    for target in
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array()).flatten()
    {
        let expression = target["expr"].as_str().unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let found: Vec<_> =
            words.filter(|word| word.starts_with("weir_") || word.starts_with("gen_ai_client_")).collect();
        assert!(!found.is_empty(), "no metric in `{expression}`");
        names.extend(found.iter().map(|name| base_name(name)));
    }
    names
}

/// The metric whose series it is: a histogram has three names.
fn base_name(name: &str) -> String {
    let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
    parts.filter(|base| METRICS.iter().any(|metric| metric.name == *base)).unwrap_or(name).to_owned()
}

#[test]
fn the_dashboard_has_a_row_for_each_boundary_and_units_on_every_panel() {
    let dashboard: Value = serde_json::from_str(&repository::read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .filter_map(|panel| panel["title"].as_str())
        .collect();
    assert_eq!(rows, ["Requests", "Failures of providers", "Tools", "weir itself"]);
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        if panel["type"] != "row" {
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{panel}");
        }
    }
}

#[tokio::test]
async fn ten_thousand_made_up_names_make_no_series() {
    let (weir, upstream, keys) = busy().await;
    vary(&weir, &upstream, &keys).await;
    let series = async || shown(&weir).await.lines().filter(|line| !line.starts_with('#')).count();
    let authorization = format!("Bearer {}", keys[0]);
    let made_up = async |number: usize| {
        let headers = [
            ("authorization", authorization.as_str()),
            ("x-weir-feature", &format!("feature-{number}")),
            ("x-weir-editor", &format!("editor-{number}")),
            ("x-weir-project", &format!("project-{number}")),
            ("user-agent", &format!("agent/{number}")),
        ];
        // A star lets any name through to the provider; another is unknown; the third is no path.
        let (path, model) = match number % 3 {
            0 => ("/v1/chat/completions".to_owned(), format!("wild/{number}")),
            1 => ("/v1/chat/completions".to_owned(), format!("made-up/{number}")),
            _ => (format!("/v1/made-up/{number}"), "m/two".to_owned()),
        };
        post(&weir, &path, &headers, &chat(&model)).await
    };
    for number in 0..3 {
        made_up(number).await;
    }
    let before = series().await;
    for chunk in (3..10_003).collect::<Vec<_>>().chunks(50) {
        let sent = chunk.iter().map(|number| made_up(*number));
        futures_util::future::join_all(sent).await;
    }
    let text = shown(&weir).await;
    for name in ["wild/3\"", "made-up", "feature-", "editor-", "project-", "agent/"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    assert!(text.contains("gen_ai_request_model=\"wild/*\""), "{text}");
    // What it takes longer to count, such as records that are written now, may have come since.
    let after = series().await;
    assert!(after <= before + 40, "{before} series, then {after}");
}
