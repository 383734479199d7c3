use serde_json::json;

use super::*;

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

type Tags = &'static [(&'static str, &'static str)];

/// What the tags and the text say, and whether it is dropped; spec B9 and its regression list B10.
const TABLE: &[(Tags, &str, bool)] = &[
    (&[("domain", "llm_provider"), ("failure", "non_2xx"), ("status", "429")], "", true),
    (&[("domain", "llm_provider"), ("failure", "non_2xx"), ("status", "520")], "", true),
    (&[("domain", "llm_provider"), ("failure", "non_2xx"), ("status", "500")], "", false),
    (&[("domain", "llm_provider"), ("failure", "non_2xx")], "503", false),
    (&[("domain", "llm_provider"), ("failure", "all_exhausted"), ("status", "503")], "", false),
    (&[("domain", "llm_provider"), ("failure", "transport")], "invalid certificate", false),
    (&[("domain", "tool"), ("failure", "non_2xx"), ("status", "503")], "", false),
    (&[("failure", "non_2xx"), ("status", "402")], "add credits", false),
    (&[("failure", "non_2xx"), ("status", "400")], "please ADD credits", true),
    (&[("failure", "non_2xx"), ("status", "400")], "unknown field", false),
    (&[("domain", "rpc")], "Session expired", true),
    (&[("domain", "backend_api"), ("status", "401")], "session jwt required", true),
    (&[("domain", "backend_api"), ("status", "401")], "session_expired", false),
    (&[("domain", "tool"), ("status", "401")], "session expired", false),
    // Classed events are judged by their class: an account without money also answers 429.
    (
        &[
            ("domain", "llm_provider"),
            ("failure", "non_2xx"),
            ("status", "429"),
            (OWNER, "operator"),
            (CLASS, "quota_exhausted"),
            (CREDENTIAL, "platform"),
        ],
        "insufficient balance",
        false,
    ),
    (&[(OWNER, "operator"), (CLASS, "auth_invalid"), (CREDENTIAL, "user")], "", true),
    (&[(OWNER, "operator"), (CLASS, "unknown"), (CREDENTIAL, "user")], "", false),
];

#[test]
fn what_nobody_can_act_on_is_dropped_and_nothing_else() {
    for (pairs, text, dropped) in TABLE {
        assert_eq!(drops(&tags(pairs), text), *dropped, "{pairs:?} {text}");
    }
}

#[test]
fn an_event_loses_its_secrets_wherever_they_are() {
    let secret = "sk-abc123DEF456ghi";
    let event: Event<'static> = serde_json::from_value(json!({
        "message": format!("with {secret}"),
        "tags": {"model": secret},
        "extra": {"nested": [{"deep": format!("Bearer {secret}")}]},
        "exception": {"values": [{"type": "E", "value": format!("x {secret}")}]},
        "breadcrumbs": {"values": [{"message": secret}]},
        "fingerprint": ["weir", "openai"],
        "user": {"id": format!("https://u:{secret}@h/")},
    }))
    .unwrap();
    let id = event.event_id;
    let passed = pass(event).unwrap();
    let text = serde_json::to_string(&passed).unwrap();
    assert!(!text.contains(secret), "{text}");
    assert_eq!((passed.event_id, passed.message.as_deref()), (id, Some("with [REDACTED]")));
    assert_eq!(passed.fingerprint, vec!["weir", "openai"]);
}
