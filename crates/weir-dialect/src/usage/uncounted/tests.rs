use weir_core::ApiKind;
use weir_core::record::Usage;

use super::super::{Observed, UsageReader};
use super::Uncounted;

const CHAT: ApiKind = ApiKind::ChatCompletions;
const RESPONSES: ApiKind = ApiKind::Responses;
const MESSAGES: ApiKind = ApiKind::Messages;

/// What stands for the tokens that a provider has read.
const READ: u64 = 1_000;

/// Tokens read and written, and whether they are estimated.
type Told = Option<(u64, u64, bool)>;

fn told(usage: Option<Usage>) -> Told {
    usage.map(|usage| (usage.input_tokens, usage.output_tokens, usage.estimated))
}

fn streamed(kind: ApiKind, text: &str, size: usize) -> Observed {
    let mut reader = UsageReader::new(kind, true);
    for chunk in text.as_bytes().chunks(size) {
        reader.push(chunk);
    }
    reader.observed()
}

fn chat(delta: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"model\":\"a model\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":{{\"content\":[{{\"token\":\"x\"}}]}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
    )
}

fn named(name: &str, members: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{members}}}\n\n")
}

/// A delta of messages; without a name where `name` is empty, as some senders have it.
fn delta(members: &str) -> String {
    named("content_block_delta", &format!("\"index\":0,\"delta\":{{{members}}}"))
}

/// The same stream without the names of its events.
fn nameless(stream: &str) -> String {
    stream.lines().filter(|line| !line.starts_with("event:")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_was_not_counted_of_a_stream_is_estimated() {
    let said = "12345678";
    let start = named(
        "message_start",
        "\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}",
    );
    let start_of_zeros =
        named("message_start", "\"message\":{\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}");
    let cached =
        named("message_start", "\"message\":{\"usage\":{\"input_tokens\":0,\"cache_read_input_tokens\":9}}");
    let text = delta(&format!("\"type\":\"text_delta\",\"text\":\"{said}\""));
    let output = named(
        "response.output_text.delta",
        &format!("\"item_id\":\"msg_1\",\"delta\":\"{said}\",\"logprobs\":[]"),
    );
    let created = named(
        "response.created",
        "\"response\":{\"id\":\"r\",\"instructions\":\"never counted\",\"usage\":null}",
    );
    let usage =
        "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";
    let content = format!("{{\"content\":\"{said}\"}}");
    let running = chat(&content).replace("null}\n\n", "{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n");
    let failed = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    let table: Vec<(&str, ApiKind, String, Told)> = vec![
        ("nothing has come", CHAT, String::new(), None),
        ("a sign of life", CHAT, ": PROCESSING\n\n".to_owned(), None),
        ("no whole event", CHAT, chat(&content).trim_end().to_owned(), None),
        ("who will speak", CHAT, chat("{\"role\":\"assistant\",\"content\":\"\"}"), Some((READ, 0, true))),
        ("three chunks", CHAT, chat(&content).repeat(3), Some((READ, 6, true))),
        ("rounded up", CHAT, chat("{\"content\":\"123456789\"}"), Some((READ, 3, true))),
        ("counted", CHAT, format!("{}{usage}data: [DONE]\n\n", chat(&content)), Some((7, 3, false))),
        ("counted as it goes", CHAT, running.repeat(2), Some((7, 3, false))),
        ("counted once, and more after it", CHAT, format!("{running}{}", chat(&content)), Some((7, 5, true))),
        (
            "counted, but for zeros",
            CHAT,
            format!("{}{}", chat(&content), usage.replace(['7', '3'], "0")),
            Some((READ, 2, true)),
        ),
        ("never counted", CHAT, format!("{}data: [DONE]\n\n", chat(&content)), Some((READ, 2, true))),
        (
            "two choices",
            CHAT,
            "data: {\"choices\":[{\"delta\":{\"content\":\"1234\"}},{\"delta\":{\"content\":\"5678\"}}]}\n\n"
                .to_owned(),
            Some((READ, 2, true)),
        ),
        (
            "thoughts by two names",
            CHAT,
            chat(&format!("{{\"reasoning\":\"{said}\",\"reasoning_content\":\"{said}\"}}")),
            Some((READ, 2, true)),
        ),
        (
            "thoughts and text",
            CHAT,
            chat(&format!("{{\"content\":\"{said}\",\"reasoning_content\":\"{said}\"}}")),
            Some((READ, 4, true)),
        ),
        (
            "a refusal",
            CHAT,
            chat(&format!("{{\"content\":null,\"refusal\":\"{said}\"}}")),
            Some((READ, 2, true)),
        ),
        (
            "a call",
            CHAT,
            chat(
                "{\"tool_calls\":[{\"index\":0,\"id\":\"call_123456\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"{\\\"a\\\"\"}}]}",
            ),
            Some((READ, 2, true)),
        ),
        ("escapes", CHAT, chat("{\"content\":\"\\n\\\"\\\\x\\u00e9\\u4e2d12\"}"), Some((READ, 3, true))),
        (
            "a sound",
            CHAT,
            chat("{\"audio\":{\"id\":\"a\",\"data\":\"AAAAAAAAAAAA\",\"transcript\":\"1234\"}}"),
            Some((READ, 1, true)),
        ),
        ("an error alone", CHAT, failed.to_owned(), None),
        (
            "an error after who will speak",
            CHAT,
            format!("{}{failed}", chat("{\"role\":\"assistant\"}")),
            None,
        ),
        ("an error after text", CHAT, format!("{}{failed}", chat(&content)), Some((READ, 2, true))),
        ("begun", MESSAGES, start.clone(), Some((25, 1, false))),
        ("begun, with zeros", MESSAGES, start_of_zeros, Some((READ, 0, true))),
        ("begun, from the cache alone", MESSAGES, cached, Some((9, 0, false))),
        ("left", MESSAGES, format!("{start}{}", text.repeat(3)), Some((25, 7, true))),
        ("left without its start", MESSAGES, text.repeat(3), Some((READ, 6, true))),
        (
            "thoughts",
            MESSAGES,
            format!(
                "{start}{}{}",
                delta(&format!("\"type\":\"thinking_delta\",\"thinking\":\"{said}\"")),
                delta("\"type\":\"signature_delta\",\"signature\":\"AAAAAAAA\"")
            ),
            Some((25, 3, true)),
        ),
        (
            "arguments",
            MESSAGES,
            format!("{start}{}", delta("\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"")),
            Some((25, 2, true)),
        ),
        (
            "told at the end",
            MESSAGES,
            format!(
                "{start}{text}{}",
                named(
                    "message_delta",
                    "\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}"
                )
            ),
            Some((25, 3, false)),
        ),
        ("created", RESPONSES, created.clone(), Some((READ, 0, true))),
        ("left", RESPONSES, format!("{created}{}", output.repeat(3)), Some((READ, 6, true))),
        (
            "arguments",
            RESPONSES,
            format!(
                "{created}{}",
                named("response.function_call_arguments.delta", &format!("\"delta\":\"{said}\""))
            ),
            Some((READ, 2, true)),
        ),
        (
            "a sound and what it says",
            RESPONSES,
            format!(
                "{created}{}{}",
                named("response.audio.delta", "\"delta\":\"AAAAAAAA\""),
                named("response.audio.transcript.delta", "\"delta\":\"1234\"")
            ),
            Some((READ, 1, true)),
        ),
        (
            "said again when done",
            RESPONSES,
            format!(
                "{created}{output}{}",
                named("response.output_text.done", &format!("\"text\":\"{said}\""))
            ),
            Some((READ, 2, true)),
        ),
        (
            "completed",
            RESPONSES,
            format!(
                "{created}{output}{}",
                named(
                    "response.completed",
                    "\"response\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":3}}"
                )
            ),
            Some((7, 3, false)),
        ),
        (
            "completed without",
            RESPONSES,
            format!(
                "{created}{output}{}",
                named(
                    "response.completed",
                    "\"response\":{\"output\":[{\"text\":\"12345678\"}],\"usage\":null}"
                )
            ),
            Some((READ, 2, true)),
        ),
    ];
    for (what, kind, stream, expected) in table {
        let names = (kind != CHAT).then(|| nameless(&stream));
        for stream in [Some(stream), names].into_iter().flatten() {
            for size in [1, 3, 7, 4_096] {
                let usage = streamed(kind, &stream, size).usage_or_estimate(READ, false);
                assert_eq!(told(usage), expected, "{kind}, {what}, by {size}: {stream}");
            }
        }
    }
}

#[test]
fn a_stream_that_fails_before_any_text_costs_nothing() {
    let begun = chat("{\"role\":\"assistant\",\"content\":\"\"}");
    let text = chat("{\"content\":\"1234\"}");
    let start = named("message_start", "\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}");
    let table = [
        (CHAT, begun.clone(), None),
        (CHAT, format!("{begun}{text}"), Some((READ, 1, true))),
        (MESSAGES, start, Some((25, 1, false))),
    ];
    for (kind, stream, expected) in table {
        let usage = streamed(kind, &stream, 4_096).usage_or_estimate(READ, true);
        assert_eq!(told(usage), expected, "{stream}");
    }
}

#[test]
fn what_was_not_counted_of_a_body_is_estimated() {
    let chat = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"12345678","reasoning":"1234","tool_calls":[{"id":"call_1","function":{"name":"look","arguments":"{\"a\":1}"}}]},"finish_reason":"stop"}]"#;
    let message = r#"{"id":"m","content":[{"type":"thinking","thinking":"1234","signature":"AAAAAAAA"},{"type":"text","text":"1234"},{"type":"tool_use","id":"toolu_1","name":"look","input":{"path":["ab",1,{"c":"d"}]}},{"type":"text","text":"1234"}]"#;
    let response = r#"{"id":"r","instructions":"never counted","output":[{"type":"reasoning","encrypted_content":"AAAA","summary":[{"text":"1234"}]},{"type":"message","id":"msg","content":[{"type":"output_text","text":"12345678"}]},{"type":"image_generation_call","result":"AAAAAAAA"}],"tools":[{"name":"no"}]"#;
    let table: Vec<(&str, ApiKind, String, Told)> = vec![
        ("chat", CHAT, format!("{chat}}}"), Some((READ, (8 + 4 + 4 + 7_u64).div_ceil(4), true))),
        ("chat", CHAT, format!("{chat},\"usage\":null}}"), Some((READ, 6, true))),
        (
            "chat, counted",
            CHAT,
            format!("{chat},\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":3}}}}"),
            Some((7, 3, false)),
        ),
        (
            "chat, half counted",
            CHAT,
            format!("{chat},\"usage\":{{\"prompt_tokens\":7}}}}"),
            Some((7, 6, true)),
        ),
        (
            "messages",
            MESSAGES,
            format!("{message}}}"),
            Some((READ, (4 + 4 + 4 + 8 + 4_u64).div_ceil(4), true)),
        ),
        (
            "messages, counted",
            MESSAGES,
            format!("{message},\"usage\":{{\"input_tokens\":7,\"output_tokens\":3}}}}"),
            Some((7, 3, false)),
        ),
        (
            "messages, counted first",
            MESSAGES,
            message.replacen("\"id\":\"m\"", "\"usage\":{\"input_tokens\":7,\"output_tokens\":3}", 1) + "}",
            Some((7, 3, false)),
        ),
        ("responses", RESPONSES, format!("{response}}}"), Some((READ, 3, true))),
        (
            "embeddings",
            ApiKind::Embeddings,
            r#"{"data":[{"embedding":[0.1,0.2],"text":"12345678"}]}"#.to_owned(),
            Some((READ, 0, true)),
        ),
        (
            "embeddings, counted",
            ApiKind::Embeddings,
            r#"{"data":[],"usage":{"prompt_tokens":7}}"#.to_owned(),
            Some((7, 0, false)),
        ),
        ("the count of tokens", ApiKind::CountTokens, r#"{"input_tokens":7}"#.to_owned(), None),
        ("an error", CHAT, r#"{"error":{"message":"no","code":429}}"#.to_owned(), None),
        ("something else", CHAT, r#"{"hello":"world"}"#.to_owned(), None),
        ("an answer that is cut off", CHAT, chat[..chat.len() - 40].to_owned(), Some((READ, 4, true))),
    ];
    for (what, kind, body, expected) in table {
        for size in (1..=40).chain([body.len()]) {
            let mut reader = UsageReader::new(kind, false);
            for chunk in body.as_bytes().chunks(size) {
                reader.push(chunk);
            }
            let usage = reader.finish().usage_or_estimate(READ, false);
            assert_eq!(told(usage), expected, "{what}, by {size}: {body}");
        }
    }
}

#[test]
fn an_answer_that_cannot_be_read_counts_by_its_bytes() {
    let table = [
        (CHAT, 0, None),
        (CHAT, 9, Some((READ, 3, true))),
        (ApiKind::Embeddings, 9, Some((READ, 0, true))),
        (ApiKind::CountTokens, 9, None),
    ];
    for (kind, bytes, expected) in table {
        let mut reader = UsageReader::unreadable(kind);
        for _ in 0..bytes {
            reader.push(&[0xff]);
        }
        reader.end();
        assert!(!reader.has_error() && !reader.is_finished() && !reader.mid_event(), "{kind}");
        assert_eq!(told(reader.finish().usage_or_estimate(READ, false)), expected, "{kind}");
    }
}

#[test]
fn what_is_no_json_is_measured_without_harm() {
    for text in [
        "",
        "\"",
        "\\",
        "{\"content\":\"\\u",
        "}}}}]]]",
        "\"content\":\"\\",
        ":::,,,{{{",
        "\"content\"\"content\":\"a",
    ] {
        for kind in [CHAT, RESPONSES, MESSAGES] {
            let mut reader = UsageReader::new(kind, true);
            reader.push(format!("data: {{\"choices\"{text}\"delta\"{text}\n\n").as_bytes());
            let Uncounted { text_bytes, .. } = reader.finish().uncounted;
            assert!(text_bytes <= 2 * text.len() as u64 + 16, "{kind}: {text}");
        }
    }
}
