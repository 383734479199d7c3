//! Made-up rules of the shapes that operators write, few of which match the one request.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

/// Which shapes a set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// All shapes that lookups decide.
    Indexable,
    /// The same without regular expressions.
    NoRegex,
    /// One in ten that lookups do not decide.
    TenthNot,
    /// One in ten that has nothing but tests of numbers.
    TenthNumeric,
    /// Only rules that lookups do not decide.
    NoneIndexable,
    /// Literals in prompts.
    Prompts,
}

const WORDS: [&str; 16] = [
    "harvest", "mirror", "lantern", "orchid", "granite", "falcon", "copper", "meadow", "tunnel", "velvet",
    "anchor", "summit", "pepper", "quartz", "ribbon", "walnut",
];

fn word(n: usize) -> String {
    format!("{}-{}-{n}", WORDS[n % 16], WORDS[n / 16 % 16])
}

/// A rule that a lookup decides: equality, prefix, suffix, contains, regular expression, sets, networks, numbers,
/// `exists`, and, or, not.
fn indexable(n: usize, regex: bool) -> String {
    let w = word(n);
    match n % 10 {
        0 => format!("request.model == \"{w}/model\" && request.stream"),
        1 => format!("request.user_agent.startsWith(\"{w}/\") && identity.kind == \"anonymous\""),
        2 => format!("request.path.endsWith(\"/{w}\") || request.feature == \"{w}\""),
        3 => format!("request.user_agent.contains(\"{w}\") && stats.requests_per_second > {}.5", n % 50 + 3),
        4 if regex => format!("request.user_agent.matches(\"^{w}/[0-9]+\\\\.[0-9]+\")"),
        4 => format!("request.editor == \"{w}\" || request.editor == \"{w}-beta\""),
        5 => format!(
            "request.country in [\"X{}\", \"Y{}\"] && request.user_agent.contains(\"{w}\")",
            n % 90,
            n % 80
        ),
        6 => format!("request.ip.startsWith(\"172.{}.{}.\") && !request.byok", n % 250, n / 250 % 250),
        7 => format!("stats.requests_1h > {} && request.model != \"m{n}\"", 5_000 + n),
        8 => format!("identity.tags.exists(t, t == \"{w}\")"),
        _ => format!("identity.org_id == \"{w}\" && !(request.free || request.max_tokens < {})", n % 4_000),
    }
}

/// A rule that must be evaluated.
fn not_indexable(n: usize) -> String {
    match n % 4 {
        0 => format!("size(request.model) + {n} == 3"),
        1 => format!("request.model != \"openai/gpt-4o\" && request.country != \"X{n}\""),
        2 => format!("request.max_tokens * {} == 7 || request.body_bytes != 2300", n + 2),
        _ => format!("!request.user_agent.contains(\"Mozilla\") && !request.model.startsWith(\"m{n}\")"),
    }
}

fn condition(mix: Mix, n: usize) -> String {
    match mix {
        Mix::Indexable => indexable(n, true),
        Mix::NoRegex => indexable(n, false),
        Mix::TenthNot if n % 10 == 3 => not_indexable(n / 10),
        Mix::TenthNumeric if n % 10 == 3 => {
            format!("stats.requests_per_second > {}.5 && request.max_tokens >= {}", n % 90 + 1, n % 4_000)
        }
        Mix::TenthNot | Mix::TenthNumeric => indexable(n, true),
        Mix::NoneIndexable => not_indexable(n),
        Mix::Prompts => format!("request.user_prompt.contains(\"{}\")", word(n)),
    }
}

/// The conditions alone. The first rule of a set matches.
pub fn conditions(mix: Mix, count: usize) -> Vec<String> {
    let matching = "request.model == \"openai/gpt-4o\" && identity.kind == \"user\"".to_owned();
    std::iter::once(matching).chain((1..count).map(|n| condition(mix, n))).collect()
}

/// A rule file as people write it.
pub fn text(mix: Mix, count: usize) -> String {
    let mut text = "rules:\n".to_owned();
    for (n, when) in conditions(mix, count).iter().enumerate() {
        let action = ["log", "quarantine-1", "rate-limit", "block"][n % 4];
        write!(
            text,
            "  - id: rule-{n}\n    on: request\n    when: '{when}'\n    then: {action}\n    \
             because: Seen in the abuse report of week {}.\n    score: {}\n",
            n % 53,
            n % 40
        )
        .unwrap();
    }
    text
}

/// The request of every measurement.
pub fn request() -> Json {
    json!({
        "request": {
            "api": "chat_completions", "path": "/v1/chat/completions", "model": "openai/gpt-4o", "provider": "openai",
            "free": false, "stream": true, "max_tokens": 4096, "has_tools": false, "byok": false,
            "feature": "chat", "editor": "vscode",
            "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "ip": "203.0.113.77", "ja4": "t13d1516h2_8daaf6152771_02713d6af862", "country": "DE", "city": "Berlin",
            "headers": {"accept": "*/*", "content-type": "application/json", "x-a": "1", "x-b": "2", "x-c": "3"},
            "body_bytes": 2300, "user_prompt": prompt(2_000), "system_prompt": "You are a helpful assistant.",
        },
        "identity": {
            "key": "user:bench", "kind": "user", "user_id": "bench", "org_id": "acme", "project_id": "demo", "plan": "pro",
            "verified": true, "blocked": false, "age_days": 300, "tags": ["internal", "eu"],
        },
        "stats": {
            "requests_per_second": 0.4, "requests_1h": 120, "tokens_1h": 50_000, "spend_1h_usd": 1.25, "denied_1h": 0,
            "ips_1h": 2, "first_seen_s": 1_700_000,
        },
    })
}

/// Text of so many bytes that no rule of these sets matches, from the words that they are made of.
pub fn prompt(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 20);
    let mut n = 1_usize;
    while text.len() < bytes {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[n >> 60]);
        text.push_str(if n & 1024 == 0 { " " } else { ", and the " });
    }
    text.truncate(bytes);
    text
}
