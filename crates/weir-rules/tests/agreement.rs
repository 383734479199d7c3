//! The indexed decision against a slow and obvious one, on random rules and facts; and garbage against the loader.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod slow;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use weir_core::action::QuarantineDelays;
use weir_core::{Boundary, DecisionId, Timestamp};
use weir_rules::{DecideContext, EvaluateContext, LoadOptions, OwnedFacts, RuleSet, SourceFile, load};

const AT: &str = "2026-11-20T10:00:00Z";

fn at() -> Timestamp {
    AT.parse().unwrap()
}

fn load_rules(rules: &[Json]) -> RuleSet {
    let text = json!({"rules": rules}).to_string();
    let files = [SourceFile { name: "random.json".to_owned(), text }];
    match load(&files, &LoadOptions { now: at() }) {
        Ok(loaded) => loaded.rules,
        Err(failure) => panic!("{}", failure.diagnostics.iter().map(ToString::to_string).collect::<String>()),
    }
}

/// Few words, so that rules and facts meet.
const WORDS: [&str; 9] = ["", "a", "ab", "abc", "Abc", "bc", "curl/8", "x-Ab", "éa"];
const ADDRESSES: [&str; 6] = ["", "10.0.0.1", "10.1.2.3", "2001:db8::1", "192.0.2.7", "garbage"];
const NETWORKS: [&str; 6] =
    ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.0.2.7/32"];
const PATTERNS: [&str; 9] =
    ["^a", "bc$", "^abc$", "a.c", "(?i)ABC", "abc|curl/[0-9]", "(?i)^x-ab", "[a-c]{2}", ""];
const NUMBERS: [&str; 7] = ["-1", "0", "1", "2", "1.5", "0.0", "7"];

fn text() -> impl Strategy<Value = String> {
    let fact = select(&["request.model", "request.user_agent", "request.user_prompt", "request.country"][..]);
    let header = select(&["request.headers['x-a']", "request.headers['X-B']", "request.headers.absent"][..]);
    let plain = prop_oneof![3 => fact, 1 => header].prop_map(str::to_owned);
    prop_oneof![4 => plain.clone(), 1 => plain.prop_map(|text| format!("{text}.lowerAscii()"))]
}

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(|word| format!("'{word}'"))
}

fn number() -> impl Strategy<Value = &'static str> {
    select(
        &["request.max_tokens", "stats.requests_per_second", "stats.requests_1h", "request.body_bytes"][..],
    )
}

/// A condition without `&&`, `||` and `!`.
fn leaf() -> impl Strategy<Value = String> {
    let op = || select(&["==", "!=", "<", "<=", ">", ">="][..]);
    prop_oneof![
        (text(), op(), word()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (word(), op(), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), select(&["contains", "startsWith", "endsWith"][..]), word())
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        (text(), select(&["contains", "startsWith"][..]), text())
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        (text(), vec(word(), 0..4)).prop_map(|(a, of)| format!("{a} in [{}]", of.join(", "))),
        (text(), select(&PATTERNS[..])).prop_map(|(a, p)| format!("{a}.matches('{p}')")),
        (number(), op(), select(&NUMBERS[..])).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (select(&NUMBERS[..]), op(), number()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (number(), vec(select(&NUMBERS[..]), 1..4)).prop_map(|(a, of)| format!("{a} in [{}]", of.join(", "))),
        (select(&["+", "-", "*", "/", "%"][..]), op())
            .prop_map(|(f, op)| format!("request.max_tokens {f} stats.requests_1h {op} 1")),
        select(
            &[
                "request.free",
                "request.stream",
                "request.free == true",
                "request.stream != true",
                "true",
                "false"
            ][..]
        )
        .prop_map(str::to_owned),
        word().prop_map(|word| format!("{word} in identity.tags")),
        word().prop_map(|word| format!("identity.tags.exists(t, t == {word})")),
        (select(&["exists", "all"][..]), word())
            .prop_map(|(f, word)| format!("identity.tags.{f}(t, t.contains({word}))")),
        (word(), word()).prop_map(|(a, b)| format!("[{a}, {b}].exists(w, request.user_agent.endsWith(w))")),
        (word(), word()).prop_map(|(a, b)| format!("[{a}, {b}].all(w, request.model != w)")),
        select(&["'x-a'", "'X-B'", "'absent'"][..]).prop_map(|name| format!("{name} in request.headers")),
        word().prop_map(|word| format!("request.headers.exists(h, request.headers[h] == {word})")),
        select(&NETWORKS[..]).prop_map(|network| format!("cidr('{network}').containsIP(request.ip)")),
        (text(), op()).prop_map(|(a, op)| format!("size({a}) {op} 2")),
        (text(), op(), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        word().prop_map(|word| format!("identity.tags[0] == {word}")),
        (0..24).prop_map(|hour| format!("now.getHours() > {hour}")),
        (number(), number()).prop_map(|(a, b)| format!("(request.free ? {a} > 1 : {b} < 1)")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let all = leaf().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|inner| format!("!({inner})")),
        ]
    });
    all.prop_filter("short enough", |when| {
        when.len() < 1000 && when.matches(['<', '=', '!', '>', '?']).count() < 40
    })
}

fn rule() -> impl Strategy<Value = Json> {
    let actions =
        ["nothing", "log", "rate-limit", "quarantine-1", "quarantine-2", "quarantine-3", "block", "skip"];
    let then = prop_oneof![
        8 => select(actions.to_vec()).prop_map(|action| json!(action)),
        1 => Just(json!({"rate-limit": {"requests": 5, "per": "1m"}})),
    ];
    let mode = prop_oneof![6 => Just("enforce"), 1 => Just("shadow"), 1 => Just("off")];
    let rollout = prop_oneof![4 => Just(100), 1 => 0..=100];
    let expires =
        prop_oneof![5 => Just("2027-01-01T00:00:00Z"), 1 => Just("2026-01-01T00:00:00Z"), 1 => Just(AT)];
    (condition(), then, mode, rollout, expires, -5..50_i64).prop_map(|(when, then, mode, rollout, expires, score)| {
        json!({"on": "request", "when": when, "then": then, "mode": mode, "rollout": rollout, "expires": expires, "score": score})
    })
}

fn facts() -> impl Strategy<Value = Json> {
    let prompt = prop_oneof![
        4 => select(&WORDS[..]).prop_map(str::to_owned),
        1 => (select(&WORDS[..]), select(&WORDS[..]), select(&WORDS[..]))
            .prop_map(|(a, b, c)| format!("{a}{}{b}{}{c}", "-".repeat(20_000), "-".repeat(20_000))),
    ];
    let texts = (select(&WORDS[..]), select(&WORDS[..]), select(&WORDS[..]), prompt);
    let numbers = (-1..8_i64, 0..3_i64, select(&[0.0, 0.5, 1.5, 2.0][..]), any::<bool>(), any::<bool>());
    let headers = vec((select(&["x-a", "X-B", "x-c"][..]), select(&WORDS[..])), 0..3);
    let rest = (select(&ADDRESSES[..]), vec(select(&WORDS[..]), 0..3), headers);
    (texts, numbers, rest).prop_map(|((model, agent, country, prompt), (tokens, hour, rate, free, stream), (ip, tags, headers))| {
        let headers: serde_json::Map<String, Json> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        json!({
            "request": {"model": model, "user_agent": agent, "country": country, "user_prompt": prompt, "ip": ip,
                "max_tokens": tokens, "body_bytes": tokens, "free": free, "stream": stream, "headers": headers},
            "identity": {"tags": tags},
            "stats": {"requests_1h": hour, "requests_per_second": rate},
        })
    })
}

fn with_ids(rules: Vec<Json>) -> Vec<Json> {
    let number = |(at, mut rule): (usize, Json)| {
        rule["id"] = json!(format!("r{at}"));
        rule
    };
    rules.into_iter().enumerate().map(number).collect()
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_index_decides_as_the_obvious_way_does(rules in vec(rule(), 1..40), facts in vec(facts(), 1..6)) {
        let set = load_rules(&with_ids(rules));
        let programs = slow::parse(set.rules());
        for facts in facts {
            let owned = OwnedFacts::from_json(Boundary::Request, &facts).unwrap();
            let context = DecideContext {
                id: DecisionId::new(at(), [0; 10]),
                subject: "user:someone",
                epoch: 1,
                at: at(),
                delays: QuarantineDelays::default(),
            };
            let decision = set.decide_request(&owned.as_facts(), &context);
            let decided = slow::Expected {
                outcome: decision.outcome.as_str().to_owned(),
                rule: decision.rule.clone(),
                matched: decision.matched.iter().map(|m| m.rule.clone()).collect(),
                errored: decision.errored.iter().map(|e| e.rule.clone()).collect(),
                sus_score: decision.sus_score,
                limits: decision.limits().map(|limit| limit.rule.clone()).collect(),
            };
            let expected = slow::decide(set.rules(), &programs, &facts, "user:someone", at());
            prop_assert_eq!(decided, expected, "{}", facts);
        }
    }

    /// Random bytes, and random pieces of the language: nothing may panic, end the process or go on without an end.
    #[test]
    fn garbage_is_refused_or_loaded_but_never_panics(
        raw in "\\PC{0,300}",
        pieces in vec(select(PIECES.to_vec()), 0..200),
        boundary in select(Boundary::ALL.to_vec()),
    ) {
        let mut joined = pieces.concat();
        joined.truncate(joined.floor_char_boundary(1024));
        for when in [raw, joined] {
            let then = match boundary {
                Boundary::Request => json!("log"),
                Boundary::Failure => json!({"class": "unknown"}),
                Boundary::Tool => json!("deny"),
            };
            let rule = json!({"rules": [{"id": "a", "on": boundary.as_str(), "when": when, "then": then}]});
            let files = [SourceFile { name: "g".to_owned(), text: rule.to_string() }];
            match load(&files, &LoadOptions { now: at() }) {
                Ok(loaded) => {
                    let owned = OwnedFacts::from_json(boundary, &json!({})).unwrap();
                    let context = EvaluateContext { subject: "user:a", at: at() };
                    let _ = loaded.rules.evaluate(boundary, &owned.as_facts(), &context);
                }
                Err(failure) => {
                    let rendered: String = failure.diagnostics.iter().map(ToString::to_string).collect();
                    prop_assert!(rendered.starts_with("error") || rendered.starts_with("warning"));
                }
            }
        }
    }

    #[test]
    fn garbage_as_a_file_never_panics(text in "\\PC{0,200}", lines in vec(select(LINES.to_vec()), 0..20)) {
        for text in [text, lines.concat()] {
            let files = [SourceFile { name: "g".to_owned(), text }];
            let _ = load(&files, &LoadOptions { now: at() });
        }
    }
}

const PIECES: [&str; 47] = [
    "request",
    "request.model",
    "request.headers",
    "identity.tags",
    "call.args",
    "failure.text",
    "now",
    ".",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    " in ",
    "has(",
    ".exists(a, ",
    ".all(b, ",
    ".map(c, ",
    ".contains('a')",
    ".matches('(')",
    "cidr('10.0.0.0/8')",
    ".containsIP(",
    "'a'",
    "\"",
    "'''",
    "1",
    "1.5e9",
    "0x7fffffffffffffff",
    "u",
    "\\",
    "é",
];

const LINES: [&str; 20] = [
    "rules:\n",
    "  - id: a\n",
    "  - id: b\n",
    "    on: request\n",
    "    when: |\n",
    "      true\n",
    "    when: 'tru\n",
    "    then: {rate-limit: {requests: 1\n",
    "    then: log\n",
    "    match:\n",
    "      - {request: {model: x}}\n",
    "---\n",
    "\t\n",
    "&a ",
    "*a\n",
    "!!str ",
    "? x\n",
    "- - -\n",
    "\u{feff}",
    "\"\\u00",
];
