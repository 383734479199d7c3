use proptest::prelude::*;
use weir_core::ApiKind;
use weir_core::record::Usage;

use super::{Observed, ProviderError, UsageReader};
use crate::sse::Event;

const CHAT: ApiKind = ApiKind::ChatCompletions;
const RESPONSES: ApiKind = ApiKind::Responses;
const MESSAGES: ApiKind = ApiKind::Messages;
const EMBEDDINGS: ApiKind = ApiKind::Embeddings;

fn usage(input: u64, output: u64, read: u64, write: u64) -> Option<Usage> {
    Some(Usage {
        input_tokens: input,
        output_tokens: output,
        cache_read_tokens: read,
        cache_write_tokens: write,
        ..Usage::default()
    })
}

fn streamed(kind: ApiKind, text: &str, size: usize) -> Observed {
    let mut reader = UsageReader::new(kind, true);
    for chunk in text.as_bytes().chunks(size) {
        reader.push(chunk);
    }
    reader.finish()
}

struct Case {
    kind: ApiKind,
    text: &'static str,
    usage: Option<Usage>,
    id: Option<&'static str>,
    model: Option<&'static str>,
    finished: bool,
    error: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let case = |kind, text, usage, id, finished, error| Case {
        kind,
        text,
        usage,
        id,
        model: id.map(|_| "m"),
        finished,
        error,
    };
    vec![
        case(
            CHAT,
            "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[],\"usage\":null}\n\ndata: {\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\": {\\\"prompt_tokens\\\": 9}\"}}],\"usage\":null}\n\ndata: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[],\"usage\" : {\"prompt_tokens\":7,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":2,\"cache_write_tokens\":1}}}\n\ndata: [DONE]\n\n",
            usage(7, 3, 2, 1),
            Some("c1"),
            true,
            None,
        ),
        case(
            CHAT,
            "data: {\"id\":\"c1\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":7}}\n\ndata: {\"error\":{\"message\":\"broke\",\"code\":502}}\n\n",
            usage(7, 0, 0, 0),
            Some("c1"),
            false,
            Some("broke"),
        ),
        case(CHAT, "data: {\"error\":\"plain\"}\n\n", None, None, false, Some("plain")),
        case(CHAT, "data: {\"id\":\"c1\",\"model\":\"m\"}\n\ndata: [DONE]", None, Some("c1"), true, None),
        case(
            CHAT,
            "data: not json\n\n: comment\n\ndata: {\"id\":\"c1\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":\"x\",\"completion_tokens\":2.0,\"prompt_tokens_details\":null}}\n\n",
            usage(0, 2, 0, 0),
            Some("c1"),
            false,
            Some("not json"),
        ),
        case(
            RESPONSES,
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"model\":\"m\",\"usage\":null,\"error\":null}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\",\"usage\":{\"input_tokens\":99}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"model\":\"m\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"input_tokens_details\":{\"cached_tokens\":4}}}}\n\n",
            usage(5, 6, 4, 0),
            Some("r1"),
            true,
            None,
        ),
        case(
            RESPONSES,
            "data: {\"type\":\"response.in_progress\",\"response\":{\"id\":\"r1\",\"model\":\"m\"}}\n\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\\\"response\\\":{\"}\n\ndata: {\"type\":\"response.incomplete\",\"response\":{\"id\":\"r1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
            usage(1, 1, 0, 0),
            Some("r1"),
            true,
            None,
        ),
        case(
            RESPONSES,
            "event: response.failed\ndata: {\"response\":{\"id\":\"r1\",\"model\":\"m\",\"error\":{\"code\":\"server_error\",\"message\":\"broke\"}}}\n\n",
            None,
            Some("r1"),
            true,
            Some("broke"),
        ),
        case(
            RESPONSES,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"overloaded\",\"message\":\"broke\",\"param\":null}\n\n",
            None,
            None,
            false,
            Some("broke"),
        ),
        case(
            RESPONSES,
            "data: {\"type\":\"error\",\"error\":{\"type\":\"t\",\"message\":\"broke\"}}\n\n",
            None,
            None,
            false,
            Some("broke"),
        ),
        case(
            MESSAGES,
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"m\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":30,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"usage\":{\"output_tokens\":99}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":8}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            usage(60, 8, 30, 20),
            Some("m1"),
            true,
            None,
        ),
        case(
            MESSAGES,
            "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"m\",\"usage\":{\"input_tokens\":10}}}\n\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":11,\"output_tokens\":8}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
            usage(11, 8, 0, 0),
            Some("m1"),
            true,
            None,
        ),
        case(
            MESSAGES,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"broke\"}}\n\n",
            None,
            None,
            false,
            Some("broke"),
        ),
        case(MESSAGES, "event: message_start\ndata: \u{1}\n\ndata: {}\n\n", None, None, false, Some("\u{1}")),
        // A sign of life is no failure.
        case(CHAT, "data: {\"type\":\"ping\"}\n\ndata: [DONE]\n\n", None, None, true, None),
        case(MESSAGES, "data: {\"alive\":\"yes\"}\n\n", None, None, false, None),
        // What comes after the end makes no failure of an answer.
        case(CHAT, "data: [DONE]\n\ndata: {\"error\":\"late\"}\n\n", None, None, true, None),
        case(
            MESSAGES,
            "event: message_stop\ndata: {}\n\nevent: error\ndata: late\n\n",
            None,
            None,
            true,
            None,
        ),
        // What gateways of providers say in forms of their own.
        case(CHAT, "data: {\"code\":402,\"msg\":\"no money\"}\n\n", None, None, false, None),
        case(
            CHAT,
            "event: error\ndata: Insufficient balance\n\n",
            None,
            None,
            false,
            Some("Insufficient balance"),
        ),
        case(
            RESPONSES,
            "event: error\ndata: Insufficient balance\n\n",
            None,
            None,
            false,
            Some("Insufficient balance"),
        ),
        case(MESSAGES, "data: [ERROR] no\n\ndata: [DONE]\n\n", None, None, false, Some("[ERROR] no")),
    ]
}

#[test]
fn streams_are_read_at_any_chunking() {
    for case in cases() {
        for size in [1, 2, 3, 7, 40, 4096] {
            let seen = streamed(case.kind, case.text, size);
            let message = seen.error.clone().and_then(|error| error.message);
            assert_eq!(
                (
                    seen.usage,
                    seen.message_id.as_deref(),
                    seen.model.as_deref(),
                    seen.finished,
                    message.as_deref()
                ),
                (case.usage, case.id, case.model, case.finished, case.error),
                "{}",
                case.text
            );
        }
    }
}

#[test]
fn events_of_another_scanner_count_the_same() {
    let mut reader = UsageReader::new(CHAT, true);
    reader.push_event(Event { name: "", data: br#"{"id":"c","model":"m","usage":{"prompt_tokens":1}}"# });
    reader.push_event(Event { name: "", data: b"[DONE]" });
    let seen = reader.observed();
    assert_eq!((seen.usage, seen.finished, seen.events), (usage(1, 0, 0, 0), true, 2));
    let mut body = UsageReader::new(CHAT, false);
    body.push_event(Event { name: "", data: b"[DONE]" });
    assert_eq!(body.finish(), Observed::default());
}

#[test]
fn it_says_whether_an_event_is_open() {
    let mut reader = UsageReader::new(CHAT, true);
    reader.push(b"data: {\"id\"");
    assert!(reader.observed().mid_event);
    reader.push(b":\"c\"}\n\n");
    assert!(!reader.observed().mid_event);
}

#[test]
fn an_answer_whose_last_event_is_too_long_is_complete_all_the_same() {
    let mut reader = UsageReader::new(RESPONSES, true);
    reader.push(b"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"x\":\"");
    for _ in 0..=super::EVENT_BYTES_MAX / 65_536 {
        reader.push(&[b'x'; 65_536]);
    }
    reader.push(b"\"}}\n\n");
    let seen = reader.finish();
    assert_eq!((seen.finished, seen.usage, seen.events), (true, None, 1));
}

#[test]
fn names_are_not_sought_for_ever() {
    let mut reader = UsageReader::new(CHAT, true);
    for _ in 0..4 {
        reader.push(b"data: {}\n\n");
    }
    reader.push(b"data: {\"id\":\"late\"}\n\n");
    assert_eq!(reader.finish().message_id, None);
}

#[test]
fn bodies_are_read_at_any_chunking() {
    let error = |code: &str, kind: Option<&str>| {
        Some(ProviderError {
            code: Some(code.to_owned()),
            kind: kind.map(str::to_owned),
            message: Some("no".to_owned()),
        })
    };
    type Row = (ApiKind, &'static str, Option<Usage>, Option<&'static str>, bool, Option<ProviderError>);
    let table: &[Row] = &[
        (
            CHAT,
            r#"{"id":"c1","model":"m","choices":[{"usage":{"prompt_tokens":9}}],"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}"#,
            usage(7, 3, 2, 0),
            Some("c1"),
            true,
            None,
        ),
        (
            RESPONSES,
            r#"{"id":"r1","usage":{"input_tokens":7,"output_tokens":3},"error":null}"#,
            usage(7, 3, 0, 0),
            Some("r1"),
            true,
            None,
        ),
        (
            MESSAGES,
            r#"{"id":"m1","usage":{"input_tokens":7,"output_tokens":3,"cache_read_input_tokens":4,"cache_creation_input_tokens":1}}"#,
            usage(12, 3, 4, 1),
            Some("m1"),
            true,
            None,
        ),
        (
            EMBEDDINGS,
            r#"{"data":[[0.1,0.2]],"usage":{"prompt_tokens":7,"total_tokens":7}}"#,
            usage(7, 0, 0, 0),
            None,
            true,
            None,
        ),
        (ApiKind::CountTokens, r#"{"input_tokens":7}"#, None, None, true, None),
        (
            CHAT,
            r#"{"id":"c2","choices":[],"usage":{"prompt_tokens":1e30,"completion_tokens":18446744073709551615,"prompt_tokens_details":{"cached_tokens":99999999999}}}"#,
            usage(0, 0, 99_999_999_999, 0),
            Some("c2"),
            true,
            None,
        ),
        (
            CHAT,
            r#"{"error":{"message":"no","type":"t","code":"c"}}"#,
            None,
            None,
            true,
            error("c", Some("t")),
        ),
        (
            CHAT,
            r#"{"error":{"id":"x","message":"no","error":{"id":1},"code":"c"},"usage":{"model":"m","prompt_tokens":1}}"#,
            usage(1, 0, 0, 0),
            None,
            true,
            error("c", None),
        ),
        (CHAT, r#"{"error":{"message":"no","code":429}}"#, None, None, true, error("429", None)),
        (CHAT, r#"{"id":"c1","usage":{"prompt_tokens":7"#, None, Some("c1"), false, None),
        (CHAT, r#"{"id":7,"usage":[1],"error":[]}"#, None, None, true, None),
        (CHAT, "<html>", None, None, false, None),
        (CHAT, "", None, None, false, None),
    ];
    for (kind, text, usage, id, finished, error) in table {
        for size in 1..=text.len().max(1) {
            let mut reader = UsageReader::new(*kind, false);
            for chunk in text.as_bytes().chunks(size) {
                reader.push(chunk);
            }
            let seen = reader.finish();
            assert_eq!(
                (seen.usage, seen.message_id.as_deref(), seen.finished, &seen.error),
                (*usage, *id, *finished, error),
                "{text} by {size}"
            );
            assert_eq!(UsageReader::read_body(*kind, text.as_bytes()), seen);
        }
    }
}

#[test]
fn a_member_of_any_length_takes_no_memory() {
    let mut reader = UsageReader::new(CHAT, false);
    reader.push(b"{\"id\":\"");
    for _ in 0..1000 {
        reader.push(&[b'x'; 4096]);
    }
    reader.push(b"\xff\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":1}}");
    let seen = reader.finish();
    assert_eq!((seen.message_id, seen.model.as_deref(), seen.usage), (None, Some("m"), usage(1, 0, 0, 0)));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), stream in any::<bool>()) {
        for kind in [CHAT, RESPONSES, MESSAGES, EMBEDDINGS] {
            let mut reader = UsageReader::new(kind, stream);
            reader.push(b"data: ");
            reader.push(&bytes);
            let _ = reader.finish();
        }
    }
}

#[test]
fn an_answer_is_told_from_an_object_that_is_none() {
    let table: &[(ApiKind, &str, bool)] = &[
        (CHAT, r#"{"choices":[]}"#, true),
        (CHAT, r#"{"id":"x","choices":null}"#, false),
        (CHAT, r#"{"base_resp":{"status_code":1008,"choices":[]}}"#, false),
        (CHAT, r#"{"code":1113,"msg":"x"}"#, false),
        (CHAT, r#"[{"choices":[]}]"#, false),
        (RESPONSES, r#"{"output":[]}"#, true),
        (MESSAGES, r#"{"content":[{"type":"text"}]}"#, true),
        (MESSAGES, "{}", false),
        (ApiKind::Embeddings, r#"{"data":[]}"#, true),
        (ApiKind::CountTokens, r#"{"input_tokens":3}"#, true),
    ];
    for (kind, text, expected) in table {
        for size in 1..=text.len() {
            let mut reader = UsageReader::new(*kind, false);
            text.as_bytes().chunks(size).for_each(|chunk| reader.push(chunk));
            assert_eq!(reader.is_answer(), *expected, "{text} in pieces of {size}");
        }
    }
}

#[test]
fn why_a_model_stopped_is_read_of_every_answer() {
    let chat = |reasons: &[&str]| {
        let choices: Vec<_> = reasons
            .iter()
            .map(|reason| {
                format!(
                    r#"{{"message":{{"content":"\"finish_reason\":\"length\""}},"finish_reason" : {reason}}}"#
                )
            })
            .collect();
        format!(r#"{{"id":"1","choices":[{}],"model":"m"}}"#, choices.join(","))
    };
    let events = |texts: &[&str]| texts.iter().map(|text| format!("data: {text}\n\n")).collect::<String>();
    let table: Vec<(ApiKind, bool, String, &[&str])> = vec![
        (CHAT, false, chat(&[r#""stop""#]), &["stop"]),
        (CHAT, false, chat(&[r#""stop""#, "null", r#""tool_calls""#]), &["stop", "tool_calls"]),
        (CHAT, false, chat(&[r#""what the caller said""#]), &["_OTHER"]),
        (CHAT, false, chat(&[r#""stop""#; 100]), &["stop"; 8]),
        (CHAT, false, chat(&["null", "7"]), &[]),
        (CHAT, true, events(&[&chat(&["null"]), &chat(&[r#""content_filter""#]), "[DONE]"]), &["content_filter"]),
        (MESSAGES, false, r#"{"id":"1","content":[],"stop_reason":"end_turn"}"#.to_owned(), &["end_turn"]),
        (MESSAGES, false, r#"{"id":"1","content":[],"stop_reason":null}"#.to_owned(), &[]),
        (
            MESSAGES,
            true,
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"stop_reason\":null}}\n\n\
             event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"}}\n\n\
             event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
                .to_owned(),
            &["max_tokens"],
        ),
        (RESPONSES, false, r#"{"id":"1","status":"completed","output":[]}"#.to_owned(), &["completed"]),
        (
            RESPONSES,
            false,
            r#"{"incomplete_details":{"reason":"max_output_tokens"},"status":"incomplete","output":[]}"#.to_owned(),
            &["max_output_tokens"],
        ),
        (
            RESPONSES,
            true,
            events(&[
                r#"{"type":"response.created","response":{"id":"1","status":"in_progress"}}"#,
                r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}}"#,
            ]),
            &["content_filter"],
        ),
        (EMBEDDINGS, false, r#"{"":"stop","data":[],"status":"completed"}"#.to_owned(), &[]),
        (CHAT, false, r#"{"":"stop","choices":[]}"#.to_owned(), &[]),
    ];
    for (kind, stream, text, expected) in table {
        for size in [1, 7, text.len()] {
            let mut reader = UsageReader::new(kind, stream);
            text.as_bytes().chunks(size).for_each(|chunk| reader.push(chunk));
            let words: Vec<_> = reader.finish().finish_reasons.words().collect();
            assert_eq!(words, expected, "{kind:?} in pieces of {size}: {text:.300}");
        }
    }
}
