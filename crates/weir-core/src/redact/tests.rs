use super::formats::{LABELS, PREFIXES, QUERY, QUERY_MARKS, SCHEMES, Set};
use super::*;

/// What a reader must see, for what was said.
const SAID: &[(&str, &str)] = &[
    ("bad key sk-abc123DEF.x:y failed", "bad key [REDACTED] failed"),
    ("prefix sk- alone", "prefix sk- alone"),
    ("disk-full on node", "disk-full on node"),
    ("task-force", "task-force"),
    ("Authorization: Bearer eyJhbGciOi", "Authorization: [REDACTED]"),
    ("the key sk-abc123.", "the key [REDACTED]."),
    ("(sk-abc123), then", "([REDACTED]), then"),
    (r#"{"error":"bad\nsk-abc123"}"#, r#"{"error":"bad\n[REDACTED]"}"#),
    ("q=%22sk-abc123%22", "q=%22[REDACTED]%22"),
    ("Incorrect API key provided: sk-proj-ab***************xY9z.", "Incorrect API key provided: [REDACTED]."),
    ("Incorrect API key provided: 1f0c4a9e77.", "Incorrect API key provided: [REDACTED]."),
    ("https://h/v1?key=AIzaX&alt=sse", "https://h/v1?key=[REDACTED]&alt=sse"),
    ("GET /a?b=c&token=t#top", "GET /a?b=c&token=[REDACTED]#top"),
    ("https://user:pw@host/x", "https://[REDACTED]@host/x"),
    (
        "https://0123456789abcdef0123456789abcdef@o1.ingest.example/42",
        "https://[REDACTED]@o1.ingest.example/42",
    ),
    ("postgres://weir@127.0.0.1:5432/weir", "postgres://weir@127.0.0.1:5432/weir"),
    ("see https://host/@scope/pkg:8080", "see https://host/@scope/pkg:8080"),
    (r#"{"api_key": "12ab34cd56ef", "n": 1}"#, r#"{"api_key": "[REDACTED]", "n": 1}"#),
    ("{'api-key': '12ab34cd56ef'}", "{'api-key': '[REDACTED]'}"),
    (r#"{\"password\":\"hunter22x\"}"#, r#"{\"password\":\"[REDACTED]\"}"#),
    (r#"{"password": 12345678901}"#, r#"{"password": 12345678901}"#),
    ("OPENAI_API_KEY=abcd efgh", "OPENAI_API_KEY=[REDACTED] efgh"),
    ("api_key=None", "api_key=None"),
    ("api_key: missing", "api_key: missing"),
    ("password: required", "password: required"),
    ("Bearer token missing", "Bearer token missing"),
    ("Bearer authentication is required", "Bearer authentication is required"),
    ("authorization: basic dTpw", "authorization: [REDACTED]"),
    ("Basic auth is off", "Basic auth is off"),
    ("max_tokens=4096 is too many tokens", "max_tokens=4096 is too many tokens"),
    ("task-550e8400-e29b-41d4-a716-446655440000", "task-550e8400-e29b-41d4-a716-446655440000"),
    (
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    ),
    ("a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b", "a [REDACTED] b"),
    (r#"{"pem":"-----BEGIN PRIVATE KEY-----\nMIIE","b":1}"#, r#"{"pem":"[REDACTED]","b":1}"#),
    ("key\u{1b}[2m=\u{1b}[0msk-abc123 \u{1b}[0m", "key\u{1b}[2m=\u{1b}[0m[REDACTED] \u{1b}[0m"),
    (
        "\u{1b}[3mapi_key\u{1b}[0m\u{1b}[2m=\u{1b}[0m\"abcdef\" x",
        "\u{1b}[3mapi_key\u{1b}[0m\u{1b}[2m=\u{1b}[0m\"[REDACTED]\" x",
    ),
    ("", ""),
];

#[test]
fn what_a_reader_sees() {
    for (said, seen) in SAID {
        assert_eq!(redact(said), *seen, "{said}");
        assert_eq!(redact(seen), *seen, "redacted twice: {said}");
    }
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(n).unwrap()).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// What a machine makes: letters and digits, and the set's own signs within.
    fn made(&mut self, of: Set, length_min: usize, more_max: usize) -> String {
        let length = length_min + self.below(more_max);
        let all: Vec<char> = (33..127u8)
            .filter(|b| of.holds(*b) && (b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')))
            .map(char::from)
            .collect();
        let mut made: String = (0..length).map(|_| all[self.below(all.len())]).collect();
        made.replace_range(..2, "a1");
        made
    }
}

/// One text with a secret of each format, and the part that must not survive.
fn secrets(random: &mut Random) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for prefix in PREFIXES {
        let rest = random.made(prefix.of, prefix.bytes_min.max(16), 60);
        all.push((format!("{}{rest}", prefix.text), rest));
    }
    for label in LABELS {
        let value = random.made(Set::Token, 9, 40);
        let sign = random.pick(&["=", ": ", "\": \"", "' => '", "\\\":\\\""]);
        all.push((format!("{label}{sign}{value}"), value));
    }
    for scheme in SCHEMES {
        let value = random.made(Set::Credential, 9, 40);
        all.push((format!("{scheme} {value}"), value));
    }
    for name in QUERY {
        let value = random.made(Set::Token, 4, 40);
        all.push((format!("{}{name}={value}", random.pick(QUERY_MARKS)), value));
    }
    let segment = |random: &mut Random, min| random.made(Set::Plain, min, 9);
    let (head, body, mac) = (segment(random, 12), segment(random, 40), segment(random, 30));
    all.push((format!("eyJ{head}.eyJ{body}.{mac}"), body));
    let password = segment(random, 12);
    all.push((format!("redis://:{password}@10.0.0.1:6379"), password));
    let key = random.made(Set::Plain, 300, 9);
    all.push((format!("-----BEGIN EC PRIVATE KEY-----\\n{key}\\n-----END EC PRIVATE KEY-----"), key));
    all
}

#[test]
fn no_key_of_any_format_survives_wherever_it_stands() {
    let before = [
        "",
        " ",
        "error: ",
        "\"",
        "{\"m\":\"",
        "key=",
        "(",
        "\\n",
        "\\u0022",
        "%20",
        "日本語",
        "a/",
        ",",
        "_",
    ];
    let after = ["", " ", ". And more", "\"}", "\\n", ")", ",x", "\n", "'", "日本語", "<br>"];
    let mut random = Random(7);
    for _ in 0..60 {
        for (text, secret) in secrets(&mut random) {
            let filler = "word ".repeat(random.below(50));
            let text = format!("{filler}{}{text}{}{filler}", random.pick(&before), random.pick(&after));
            let seen = redact(&text);
            assert!(!seen.contains(&secret), "{secret} survives in {seen}");
            assert!(!excerpt(&text, 200).contains(&secret), "{secret} survives in an excerpt");
            assert_eq!(redact(&seen), seen, "a second time changes it");
        }
    }
}

#[test]
fn json_stays_json() {
    let mut random = Random(11);
    for _ in 0..60 {
        for (text, secret) in secrets(&mut random) {
            let line = serde_json::json!({"before": 1, "text": text, "nested": {"api_key": text, "n": 1}});
            let once = line.to_string();
            let twice = serde_json::json!({"body": once}).to_string();
            for json in [once, twice] {
                let seen = redact(&json).into_owned();
                assert!(serde_json::from_str::<serde_json::Value>(&seen).is_ok(), "{json}\n{seen}");
                assert!(!seen.contains(&secret), "{secret} survives in {seen}");
            }
        }
    }
}

#[test]
fn ordinary_texts_are_untouched() {
    // The labelled failures and the cases are what providers say; those few that hold something like a key are told apart.
    let ordinary = [
        "Rate limit reached for gpt-4o in organization org-a1B2c3D4e5F6g7H8i9J0 on tokens per min (TPM): Limit 30000",
        "This model's maximum context length is 128000 tokens. Please try again in 2m30s.",
        "request id: req_011CQ4Zk7sXyA9bC, trace 4bf92f3577b34da6a3ce929d0e0e4736",
        "The model `llama-3.3-70b-versatile` has been decommissioned, see https://console.example/docs/deprecations#v2",
        "error sending request for url (https://api.example/v1/chat/completions): connection refused",
        "at /usr/lib/python3.11/site-packages/sk_learn/base.py:42 in self.hf_hub_download",
        "invalid_request_error: messages.0.content.1.image.source.base64: image exceeds 5 MB maximum",
        "Authorization header is missing; expected `Authorization: Bearer <token>`",
        "your API key: check it at https://platform.example/account/api-keys",
        "asiatische Küche, dapimp, npm_config_registry, SG. B, r8_c, whsec",
        "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
        "resolve host api.openai.com:443 failed; AKIA, AIza and ghp_ are prefixes, eyJ too",
    ];
    for text in ordinary {
        assert!(matches!(redact(text), Cow::Borrowed(_)), "{}", redact(text));
    }
}

#[test]
fn an_excerpt_is_cut_after_it_was_redacted() {
    assert_eq!(excerpt("short", 5), "short");
    assert_eq!(excerpt("äöü and more", 3), "äöü...");
    assert_eq!(excerpt("one   two", 5), "one...");
    assert_eq!(excerpt("key sk-abc123DEF456 and more", 14), "key [REDACTED]...");
    // A key across the place where reading ends, and a block that shrinks to nothing before it.
    for pad in 0..400 {
        let far = AHEAD_BYTES + 4 * 60 - 300 + pad;
        let block = format!("-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----", "A".repeat(far));
        let seen = excerpt(&format!("{block} AKIAABCDEFGHIJKLMNOP {}", "tail ".repeat(9000)), 60);
        assert!(!seen.contains("AKIA"), "{pad}: {seen}");
    }
}

#[test]
fn hostile_texts_take_linear_time() {
    let hostile = [
        "sk-",
        "eyJ-",
        "-eyJ",
        "api_key:",
        "api_key=",
        "authorization: ",
        "bearer ",
        "ask-",
        "AKIA",
        "://",
        "://a@",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "?key=",
        "\"",
        "\\",
        "hf_-",
        "password\\\\\\\\",
        "xoxe",
    ];
    for unit in hostile {
        let [short, long] = [100_000, 400_000].map(|bytes| unit.repeat(bytes / unit.len()));
        let [short, long] = [short, long].map(|text| steps(&text));
        assert!(long <= short * 5 + 1000, "{unit:?}: {short} and {long} steps");
    }
}

/// How often a byte is looked at.
fn steps(text: &str) -> usize {
    let mut secrets = scan::Secrets::of(text.as_bytes());
    while secrets.next().is_some() {}
    secrets.steps
}

#[test]
fn the_automaton_is_there_and_small() {
    let bytes = scan::automaton_bytes();
    assert!((1..1 << 20).contains(&bytes), "{bytes}");
}
