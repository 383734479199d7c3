use proptest::prelude::*;

use super::*;

const TEXTS: [&str; 12] = [
    "",
    "a",
    "usage",
    "error",
    "\\n",
    "\\\"error\\\":{}",
    "finish_reason\":\"stop",
    "delta",
    "ä",
    "[DONE]",
    "choices",
    "finish_reason",
];

fn event<'a>(name: &'a str, data: &'a str) -> Event<'a> {
    Event { name, data: data.as_bytes() }
}

/// An event that differs from the one before in its text alone is read as it would be without that one.
#[test]
fn what_only_adds_a_text_is_read_as_any_other() {
    let chat = |more: &str, text: &str, end: &str| {
        format!(
            r#"{{"id":"c","model":"m"{more},"choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{end}}}]}}"#
        )
    };
    let message = |text: &str| {
        format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
        )
    };
    let mut table = Vec::new();
    for text in TEXTS {
        for more in ["", r#","usage":null"#, r#","error":null"#, r#","error":{"message":"no"}"#] {
            table.push((ApiKind::ChatCompletions, "", chat(more, text, "null")));
        }
        table.push((ApiKind::ChatCompletions, "", chat("", text, r#""stop""#)));
        table.push((ApiKind::ChatCompletions, "x", chat("", text, "null")));
        table.push((ApiKind::Messages, "content_block_delta", message(text)));
        table.push((ApiKind::Messages, "", message(text)));
    }
    for (kind, name, data) in &table {
        // Those after which it is remembered what only adds a text, in turn with others.
        for (_, other_name, other) in table.iter().filter(|(other, ..)| other == kind) {
            let mut reader = EventReader::new(*kind);
            let mut forgetful = EventReader::new(*kind);
            for (name, data) in [(name, data), (other_name, other), (name, data), (other_name, other)] {
                reader.event(event(name, data));
                forgetful.event(event(name, data));
                forgetful.state.plain = None;
                assert_eq!(reader.observed(), forgetful.observed(), "{name} {data} and {other}");
            }
        }
    }
}

#[test]
fn what_repeats_but_for_its_text_is_not_read_again() {
    let mut reader = EventReader::new(ApiKind::Messages);
    let data = |text: &str| format!(r#"{{"delta":{{"type":"text_delta","text":"{text}"}}}}"#);
    reader.event(event("content_block_delta", &data("one")));
    let plain = reader.state.plain.take().expect("the event only adds a text");
    assert_eq!(plain.text_of(event("content_block_delta", &data("three"))), Some(5));
    assert_eq!(plain.text_of(event("content_block_delta", &data("a\\n"))), None);
    assert_eq!(plain.text_of(event("", &data("three"))), None);
    let long = format!("{:1100}", data("one"));
    reader.event(event("content_block_delta", &long));
    assert!(reader.state.plain.is_none(), "so much is not kept");
}

/// Parts of events: members and pieces of members, well-formed and not.
const PARTS: [&str; 26] = [
    "{",
    "}",
    "]",
    ",",
    " ",
    r#""id":"c","model":"m","#,
    r#""choices":["#,
    r#""choices" : [ "#,
    r#"{"index":0,"#,
    r#"{"index":1,"#,
    r#""delta":{"role":"assistant","#,
    r#""content":"b","#,
    r#""refusal":"c","#,
    r#""finish_reason":null"#,
    r#""finish_reason":"stop""#,
    r#""finish_reason" : "error""#,
    r#""usage":null"#,
    r#""usage": {"prompt_tokens":1,"completion_tokens":2}"#,
    r#""error":{"message":"no"}"#,
    r#""error":"no""#,
    r#""error":500"#,
    r#""type":"content_block_delta","#,
    r#""type":"error","#,
    r#""delta":{"#,
    r#"\"error\":{}"#,
    "[DONE]",
];

/// What stands before a text that is read, most often as providers write it, and what comes after it.
fn template() -> impl Strategy<Value = (&'static str, String, String)> {
    let parts = || prop::collection::vec(prop::sample::select(&PARTS), 0..3).prop_map(|parts| parts.concat());
    let name = prop::sample::select(&["", "", "content_block_delta", "content_block_delta", "message", "x"]);
    let begin = prop::sample::select(&[
        r#"{"choices":[{"index":0,"#,
        r#"{"usage":{"prompt_tokens":1,"completion_tokens":2},"choices":[{"#,
        r#"{"type":"content_block_delta","index":0,"#,
        r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"#,
        "{",
        "",
    ]);
    let text = prop::sample::select(&[
        r#""delta":{"content":""#,
        r#""delta":{"type":"text_delta","text":""#,
        r#""delta":{"content": ""#,
        r#""text":""#,
    ]);
    let end = prop::sample::select(&[
        r#""}"#,
        r#""},"finish_reason":null}]}"#,
        r#""},"finish_reason":"error"}]}"#,
        r#""}}],"usage":{"completion_tokens":2}}"#,
        r#""}}],"error":{"message":"no"}}"#,
        r#""}}"#,
        r#"","#,
    ]);
    (name, begin, parts(), text, end, parts()).prop_map(|(name, begin, more, text, end, rest)| {
        (name, [begin, &more, text].concat(), [end, &rest].concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn whatever_repeats_is_read_as_if_it_did_not(
        kind in prop::sample::select(&[ApiKind::ChatCompletions, ApiKind::Messages, ApiKind::Responses]),
        templates in prop::collection::vec(template(), 1..4),
        events in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&TEXTS)), 1..24),
    ) {
        let mut reader = EventReader::new(kind);
        let mut forgetful = EventReader::new(kind);
        for (template, text) in events {
            let (name, before, after) = template.get(&templates);
            let data = [before, text, after].concat();
            reader.event(event(name, &data));
            forgetful.state.plain = None;
            forgetful.event(event(name, &data));
            prop_assert_eq!(reader.observed(), forgetful.observed(), "{} {}", name, data);
            prop_assert_eq!(reader.state.over, forgetful.state.over);
            prop_assert_eq!(reader.state.prose, forgetful.state.prose);
        }
    }
}
