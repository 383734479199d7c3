use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_core::ApiKind;

use super::RequestBody;
use crate::{Dialect, Refusal};

mod estimate;

const CHAT: ApiKind = ApiKind::ChatCompletions;
const RESPONSES: ApiKind = ApiKind::Responses;
const MESSAGES: ApiKind = ApiKind::Messages;
const EMBEDDINGS: ApiKind = ApiKind::Embeddings;
const COUNT: ApiKind = ApiKind::CountTokens;

fn read(kind: ApiKind, body: &str) -> RequestBody {
    RequestBody::read(kind, Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn refused(kind: ApiKind, body: impl AsRef<[u8]>) -> Refusal {
    RequestBody::read(kind, Bytes::copy_from_slice(body.as_ref())).unwrap_err()
}

fn refused_words(kind: ApiKind, body: impl AsRef<[u8]>) -> (&'static str, String) {
    let refusal = refused(kind, body);
    (refusal.error_type(Dialect::OpenAi), refusal.operator_message())
}

#[test]
fn what_is_wrong_is_refused_with_the_member_and_the_fix() {
    let table: &[(ApiKind, &str, &str, &str)] = &[
        (CHAT, "", "invalid_request", "not valid JSON: EOF"),
        (CHAT, "{", "invalid_request", "EOF while parsing"),
        (CHAT, r#"{"model":"m","messages":[]"#, "invalid_request", "EOF while parsing"),
        (CHAT, r#"{"model":"m","messages":[]} x"#, "invalid_request", "trailing characters"),
        (CHAT, r#"{"model":"m","messages":[],}"#, "invalid_request", "trailing comma"),
        (CHAT, "[]", "invalid_request", "must be a JSON object"),
        (CHAT, "null", "invalid_request", "must be a JSON object"),
        (CHAT, r#""hello"#, "invalid_request", "not valid JSON: EOF"),
        (CHAT, r#""hello""#, "invalid_request", "must be a JSON object"),
        (CHAT, r#"{"messages":[]}"#, "model_not_found", "no model was named"),
        (CHAT, r#"{"model":null,"messages":[]}"#, "model_not_found", "no model was named"),
        (CHAT, r#"{"model":7,"messages":[]}"#, "model_not_found", "no model was named"),
        (CHAT, r#"{"model":" \t\n","messages":[]}"#, "model_not_found", "no model was named"),
        (CHAT, r#"{"model":"m"}"#, "invalid_request", "`messages` must be an array"),
        (CHAT, r#"{"model":"m","messages":null}"#, "invalid_request", "`messages` must be an array"),
        (CHAT, r#"{"model":"m","messages":"hi"}"#, "invalid_request", "`messages` must be an array"),
        (MESSAGES, r#"{"model":"m","messages":{}}"#, "invalid_request", "`messages` must be an array"),
        (COUNT, r#"{"model":"m"}"#, "invalid_request", "`messages` must be an array"),
        (
            RESPONSES,
            r#"{"model":"m","input":7}"#,
            "invalid_request",
            "`input` must be a string or an array of items",
        ),
        (RESPONSES, r#"{"model":"m","input":{}}"#, "invalid_request", "`input` must be"),
        (
            EMBEDDINGS,
            r#"{"model":"m"}"#,
            "invalid_request",
            "`input` must be a string or an array of strings",
        ),
        (EMBEDDINGS, r#"{"model":"m","input":null}"#, "invalid_request", "`input` must be"),
        (CHAT, r#"{"model":"m","messages":[],"model":"n"}"#, "invalid_request", "`model` stands twice"),
        (CHAT, r#"{"model":"m","messages":[],"mod\u0065l":"n"}"#, "invalid_request", "`model` stands twice"),
        (
            CHAT,
            r#"{"model":"m","messages":[],"stream":true,"stream":false}"#,
            "invalid_request",
            "`stream` stands twice",
        ),
    ];
    for (kind, body, error_type, words) in table {
        let (found, message) = refused_words(*kind, body);
        assert_eq!(found, *error_type, "{body}");
        assert!(message.contains(words), "{body}: {message}");
    }
}

#[test]
fn the_name_of_a_model_is_bounded() {
    let body = |length: usize| format!(r#"{{"model":"{}","messages":[]}}"#, "m".repeat(length));
    assert!(RequestBody::read(CHAT, body(512).into()).is_ok());
    let (error_type, message) = refused_words(CHAT, body(513));
    assert_eq!(error_type, "invalid_request");
    assert!(message.contains("513 bytes long") && message.len() < 200, "{message}");
}

#[test]
fn what_is_not_utf8_is_refused_with_its_place() {
    let (error_type, message) = refused_words(CHAT, b"{\"model\":\"m\xff\",\"messages\":[]}");
    assert_eq!(error_type, "invalid_request");
    assert!(message.contains("not UTF-8 from byte 11"), "{message}");
}

#[test]
fn the_words_about_malformed_json_never_repeat_the_body() {
    for body in [
        r#""secret prompt""#,
        r#"{"model":"m","messages":["secret prompt}"#,
        r#"{"secret prompt":tru}"#,
        r#"["secret prompt",]"#,
    ] {
        let refusal = refused(CHAT, body);
        let answer =
            refusal.answer(Dialect::Seed, &"dec_019aa0b5-6f80-7000-8000-000000000000".parse().unwrap(), "r");
        for words in [
            refusal.operator_message(),
            format!("{refusal:?}"),
            String::from_utf8_lossy(&answer.body).into_owned(),
        ] {
            assert!(!words.contains("secret"), "{words}");
        }
    }
}

#[test]
fn malformed_json_has_its_own_title_under_the_seeds_prefixes() {
    let decision = "dec_019aa0b5-6f80-7000-8000-000000000000".parse().unwrap();
    let body = refused(CHAT, "{oops").answer(Dialect::Seed, &decision, "r").body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"], "Malformed JSON");
    assert!(body["message"].as_str().unwrap().contains("line 1 column 2"), "{body}");
}

#[test]
fn depth_costs_no_stack() {
    let depth = 200_000;
    let deep = "[".repeat(depth) + &"]".repeat(depth);
    let objects = r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth);
    for deep in [deep, objects] {
        let body = format!(
            r#"{{"model":"m","x":{deep},"messages":[{deep},{{"role":"user","content":{deep}}}],"tools":[{deep}]}}"#
        );
        let body = read(CHAT, &body);
        assert!(body.prompts().user.is_none());
        assert!(body.has_tools());
    }
}

#[test]
fn facts_are_read() {
    let body = read(
        CHAT,
        r#" {"model": " gpt\u002d4 ", "messages": [], "stream": true, "tools": [ {} ], "transforms": ["x", "middle-out"]} "#,
    );
    assert_eq!((body.kind(), body.model()), (CHAT, " gpt-4 "));
    assert!(body.stream() && body.stream_is_true() && body.has_tools() && body.has_middle_out_transform());
    assert_eq!(body.body_len(), body.body().len());
    assert_eq!(
        format!("{body:?}"),
        r#"RequestBody { kind: ChatCompletions, model: " gpt-4 ", body_len: 111, .. }"#
    );

    let plain = read(CHAT, r#"{"model":"m","messages":[],"tools":[ ],"transforms":["other"],"stream":null}"#);
    assert!(!plain.stream() && !plain.has_tools() && !plain.has_middle_out_transform());
    assert!(
        !read(CHAT, r#"{"model":"m","messages":[],"tools":{},"transforms":"middle-out"}"#)
            .has_middle_out_transform()
    );
}

#[test]
fn switches_are_read_as_javascript_reads_them() {
    let table = [
        ("true", true),
        ("1", true),
        (r#""no""#, true),
        ("[]", true),
        ("{}", true),
        ("-0.5", true),
        ("1e400", true),
        ("false", false),
        ("null", false),
        ("0", false),
        ("-0", false),
        ("0.0", false),
        ("0e9", false),
        (r#""""#, false),
    ];
    for (value, truthy) in table {
        let body = read(RESPONSES, &format!(r#"{{"model":"m","stream":{value}}}"#));
        assert_eq!((body.stream(), body.stream_is_true()), (truthy, value == "true"), "{value}");
        for member in ["store", "previous_response_id"] {
            let body = read(RESPONSES, &format!(r#"{{"model":"m","{member}":{value}}}"#));
            assert_eq!(body.unsupported_field().is_some(), truthy, "{member} {value}");
        }
    }
    let other_api = read(CHAT, r#"{"model":"m","messages":[],"store":true}"#);
    assert_eq!(other_api.unsupported_field(), None);
    let second = read(RESPONSES, r#"{"model":"m","previous_response_id":"resp_1"}"#);
    assert_eq!(second.unsupported_field(), Some(Refusal::UnsupportedField { field: "previous_response_id" }));
}

#[test]
fn maximum_tokens_are_read_of_the_apis_own_member() {
    let table: &[(ApiKind, &str, Option<f64>, i64)] = &[
        (CHAT, r#""max_tokens":5"#, Some(5.0), 5),
        (CHAT, r#""max_tokens":5,"max_completion_tokens":7"#, Some(7.0), 7),
        (CHAT, r#""max_tokens":5,"max_completion_tokens":null"#, Some(5.0), 5),
        (CHAT, r#""max_tokens":1.75"#, Some(1.75), 1),
        (CHAT, r#""max_tokens":-3"#, Some(-3.0), -3),
        (CHAT, r#""max_tokens":99999999999"#, Some(99_999_999_999.0), 99_999_999_999),
        (CHAT, r#""max_tokens":1e400"#, Some(f64::INFINITY), i64::MAX),
        (CHAT, r#""max_tokens":"5""#, None, 0),
        (CHAT, r#""max_output_tokens":5"#, None, 0),
        (RESPONSES, r#""max_output_tokens":5,"max_tokens":6"#, Some(5.0), 5),
        (MESSAGES, r#""max_tokens":6,"max_completion_tokens":9"#, Some(6.0), 6),
        (EMBEDDINGS, r#""max_tokens":6"#, None, 0),
    ];
    for (kind, member, expected, int) in table {
        let body = read(*kind, &format!(r#"{{"model":"m","messages":[],"input":"x",{member}}}"#));
        assert_eq!((body.max_tokens(), body.max_tokens_int()), (*expected, *int), "{kind} {member}");
    }
}

#[test]
fn too_many_maximum_tokens_are_refused_above_the_limit_only() {
    for (number, over) in [
        ("99999999999", false),
        ("99999999999.5", true),
        ("100000000000", true),
        ("1e999", true),
        ("-1e999", false),
    ] {
        let body = read(MESSAGES, &format!(r#"{{"model":"m","messages":[],"max_tokens":{number}}}"#));
        let refusal = body.too_many_max_tokens();
        assert_eq!(refusal.is_some(), over, "{number}");
        if let Some(refusal) = refusal {
            assert_eq!((refusal.status(Dialect::Anthropic), refusal.status(Dialect::Seed)), (400, 503));
        }
    }
}

/// User and system prompt, `-` for none.
fn prompts(kind: ApiKind, members: &str) -> (String, String) {
    let prompts = read(kind, &format!(r#"{{"model":"m",{members}}}"#)).prompts();
    let text =
        |prompt: Option<weir_core::secret::Prompt>| prompt.map_or("-".to_owned(), |p| p.expose().to_owned());
    (text(prompts.user), text(prompts.system))
}

#[test]
fn prompts_are_extracted_and_odd_content_is_none() {
    let table: &[(ApiKind, &str, &str, &str)] = &[
        // Case A075 of the behaviour specification.
        (CHAT, r#""messages":[{"role":"user","content":[null,{"type":"text","text":"hi"}]}]"#, "hi", "-"),
        (
            CHAT,
            r#""messages":[{"role":"system","content":"a"},{"role":"user","content":"u1"},{"role":"developer","content":[{"type":"text","text":"b"}]},{"role":"assistant","content":"no"},{"role":"user","content":"u2"},{"role":"tool","content":"t"}]"#,
            "u2",
            "a\nb",
        ),
        (
            CHAT,
            r#""messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"image_url","image_url":{}},{"type":"text","text":"two"}]}]"#,
            "one\ntwo",
            "-",
        ),
        (CHAT, r#""messages":[]"#, "-", "-"),
        (
            CHAT,
            r#""messages":[null,7,"x",[],{},{"role":7},{"role":"user"},{"role":"system","content":null}]"#,
            "-",
            "-",
        ),
        (CHAT, r#""messages":[{"role":"user","content":""},{"role":"system","content":""}]"#, "-", "-"),
        (CHAT, r#""messages":[{"role":"user","content":{"text":"x"}}]"#, "-", "-"),
        (CHAT, r#""messages":[{"role":"user","content":"first","content":"last"}]"#, "last", "-"),
        (CHAT, r#""messages":[{"role":"user","content":"a \ud83d b"}]"#, "a \u{fffd}\u{fffd}\u{fffd} b", "-"),
        (CHAT, r#""messages":[{"role":"user","content":"\u00fc\n\ud83d\ude00"}]"#, "ü\n😀", "-"),
        (RESPONSES, r#""input":"hi","instructions":"sys""#, "hi", "sys"),
        (RESPONSES, r#""instructions":null"#, "-", "-"),
        (RESPONSES, r#""input":[]"#, "-", "-"),
        (
            RESPONSES,
            r#""input":[{"role":"user","content":"a"},{"type":"message","role":"user","content":[{"type":"input_text","text":"b"}]},{"type":"function_call_output","output":"o"}]"#,
            "b",
            "-",
        ),
        (RESPONSES, r#""input":[null,{"content":null},{"type":"input_text","text":"bare"}]"#, "bare", "-"),
        (RESPONSES, r#""input":["plain"]"#, "plain", "-"),
        (
            MESSAGES,
            r#""messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","content":"r"}]}],"system":"s""#,
            "x",
            "s",
        ),
        (
            MESSAGES,
            r#""messages":[{"role":"user","content":"x"}],"system":[{"type":"text","text":"s1"},null,{"type":"text","text":"s2"}]"#,
            "x",
            "s1\ns2",
        ),
        (COUNT, r#""messages":[{"role":"user","content":"x"}],"system":7"#, "x", "-"),
        (EMBEDDINGS, r#""input":["a","b"]"#, "a\nb", "-"),
        (EMBEDDINGS, r#""input":[1,2,3]"#, "-", "-"),
    ];
    for (kind, members, user, system) in table {
        assert_eq!(prompts(*kind, members), ((*user).to_owned(), (*system).to_owned()), "{kind} {members}");
    }
}

#[test]
fn the_upstream_body_changes_what_it_must_and_nothing_else() {
    let table: &[(ApiKind, &str, Option<&str>, &str)] = &[
        (
            CHAT,
            r#"{ "n":1.0, "model" : "a" ,"messages":[] }"#,
            Some("b\"c"),
            r#"{ "n":1.0, "model" : "b\"c" ,"messages":[] }"#,
        ),
        (CHAT, r#"{"models":["x"],"model":"a","messages":[]}"#, None, r#"{"model":"a","messages":[]}"#),
        (CHAT, r#"{"model":"a","messages":[],"models":["x"]}"#, None, r#"{"model":"a","messages":[]}"#),
        (CHAT, r#"{"model":"a" , "models":1 , "messages":[]}"#, None, r#"{"model":"a" , "messages":[]}"#),
        (
            CHAT,
            r#"{ "models":1, "mod\u0065ls":2, "model":"a","models":3,"models":4,"messages":[],"models":5 }"#,
            None,
            r#"{ "model":"a","messages":[] }"#,
        ),
        (
            CHAT,
            r#"{"model":"a","messages":[],"x":{"models":1}}"#,
            None,
            r#"{"model":"a","messages":[],"x":{"models":1}}"#,
        ),
        (
            CHAT,
            r#"{"model":"a","messages":[],"stream":true}"#,
            None,
            r#"{"model":"a","stream_options":{"include_usage":true},"messages":[],"stream":true}"#,
        ),
        (
            CHAT,
            r#"{"models":[],"model":"a","messages":[],"stream":1}"#,
            Some("b"),
            r#"{"model":"b","stream_options":{"include_usage":true},"messages":[],"stream":1}"#,
        ),
        (
            CHAT,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":null}"#,
            None,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            CHAT,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{ }}"#,
            None,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            CHAT,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{ "x":1.0}}"#,
            None,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true, "x":1.0}}"#,
        ),
        (
            CHAT,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":false,"x":1}}"#,
            None,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
        ),
        (
            CHAT,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true,"include_usage":0}}"#,
            None,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true,"include_usage":true}}"#,
        ),
        (RESPONSES, r#"{"model":"a","stream":true,"models":[]}"#, None, r#"{"model":"a","stream":true}"#),
    ];
    for (kind, body, model, expected) in table {
        let found = read(*kind, body).upstream_body(*model);
        assert_eq!(std::str::from_utf8(&found).unwrap(), *expected, "{body}");
    }
}

#[test]
fn a_body_that_needs_no_change_is_not_copied() {
    for (kind, body, model) in [
        (CHAT, r#"{"model":"a","messages":[]}"#, None),
        (CHAT, r#"{"model":"a","messages":[],"stream":false,"stream_options":{}}"#, Some("a")),
        (
            CHAT,
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
            Some("a"),
        ),
        (MESSAGES, r#"{"model":"a","messages":[],"stream":true}"#, None),
    ] {
        let body = read(kind, body);
        assert_eq!(body.upstream_body(model).as_ptr(), body.body().as_ptr());
    }
}

/// JSON values that need no thought: what matters is the text around them.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~äß😀\"\\\\{}\\[\\],:]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{0,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn spaces() -> impl Strategy<Value = String> {
    "[ \t\n\r]{0,2}"
}

/// One member as text, with free space around it; names may repeat, and may be `models`.
fn member() -> impl Strategy<Value = (String, Value, String)> {
    let name =
        prop_oneof![3 => "[a-w]{1,5}x", 2 => Just("models".to_owned()), 1 => Just("mod\\u0065ls".to_owned())];
    (name, value(), [spaces(), spaces(), spaces(), spaces()]).prop_map(|(name, value, [a, b, c, d])| {
        let text = format!("{a}\"{name}\"{b}:{c}{value}{d}");
        (name, value, text)
    })
}

proptest! {
    #[test]
    fn all_other_bytes_survive(
        members in prop::collection::vec(member(), 0..6),
        at in any::<prop::sample::Index>(),
        asked in prop::option::of("[ -~]{1,8}"),
        stream in any::<bool>(),
        options in prop::option::of(value()),
    ) {
        let mut texts: Vec<String> = members.iter().map(|(_, _, text)| text.clone()).collect();
        let place = at.index(texts.len() + 1);
        texts.insert(place, r#""model":"asked" , "messages": [ {"role":"user"} ]"#.to_owned());
        texts.push(format!("\"stream\":{stream}"));
        if let Some(options) = &options {
            texts.push(format!("\"stream_options\": {options}"));
        }
        let body = format!("{{{}}}", texts.join(","));
        let found = read(CHAT, &body).upstream_body(asked.as_deref());
        let found = std::str::from_utf8(&found).unwrap();

        // The slow way: every member that stays, as its text was.
        let model = asked.as_deref().unwrap_or("asked");
        let mut expected = serde_json::from_str::<Value>(&body).unwrap();
        expected["model"] = json!(model);
        expected.as_object_mut().unwrap().remove("models");
        if stream {
            if !expected["stream_options"].is_object() {
                expected["stream_options"] = json!({});
            }
            expected["stream_options"]["include_usage"] = json!(true);
        }
        prop_assert_eq!(serde_json::from_str::<Value>(found).unwrap(), expected, "{}", body);
        for (_, _, text) in members.iter().filter(|(name, _, _)| name.ends_with('x')) {
            prop_assert!(found.contains(text.trim()), "{} lost of {}", text, body);
        }
        // Whatever changes, the rest is the same text in the same order.
        if !stream && model == "asked" && members.iter().all(|(name, _, _)| name.ends_with('x')) {
            prop_assert_eq!(found, body.as_str());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = RequestBody::read(CHAT, bytes.into());
    }

    #[test]
    fn any_messages_have_prompts_or_none(messages in value(), system in value()) {
        for kind in [CHAT, RESPONSES, MESSAGES, EMBEDDINGS, COUNT] {
            let body = format!(r#"{{"model":"m","messages":[{messages}],"input":[{messages}],"system":{system},"instructions":{system}}}"#);
            let _ = read(kind, &body).prompts();
        }
    }
}
