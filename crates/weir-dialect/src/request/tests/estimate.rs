//! The estimate of what a provider reads of a request.

use super::*;

/// Base64 of so many bytes.
fn base64(bytes: usize) -> String {
    "QUJD/+9x".repeat(bytes / 8)
}

#[test]
fn a_quarter_of_the_bytes_that_a_model_reads_is_estimated() {
    let table: &[(&str, ApiKind, &str, u64)] = &[
        ("messages", CHAT, r#""messages":[{"content":"abcdefgh"}]"#, 6),
        ("rounded up", CHAT, r#""messages":[{"content":"abcdefghi"}]"#, 7),
        ("still so", CHAT, r#""messages":[{"content":"abcdefghijkl"}]"#, 7),
        ("nothing", CHAT, r#""messages":[]"#, 1),
        ("tools too", CHAT, r#""messages":[],"tools":[{"name":"abcdefgh"}]"#, 6),
        ("functions", CHAT, r#""messages":[],"functions":[{"name":"abcdefgh"}]"#, 6),
        ("a schema", CHAT, r#""messages":[],"response_format":{"json_schema":{"type":"string"}}"#, 9),
        ("a prediction", CHAT, r#""messages":[],"prediction":{"content":"abcdefgh"}"#, 6),
        ("a schema of responses", RESPONSES, r#""input":"","text":{"format":{"schema":{}}}"#, 7),
        ("a prompt of responses", RESPONSES, r#""input":"","prompt":{"variables":{"a":"b"}}"#, 7),
        ("a schema of messages", MESSAGES, r#""messages":[],"output_config":{"format":{"schema":{}}}"#, 7),
        ("nothing else", CHAT, r#""messages":[],"metadata":{"a":"abcdefghijklmnop"},"user":"abcdefgh""#, 1),
        ("escapes", CHAT, r#""messages":["\n\"\\\/\u00e9\u4e2d"]"#, 4),
        ("beyond ASCII", CHAT, r#""messages":["中文"]"#, 3),
        ("the system prompt", MESSAGES, r#""messages":[],"system":"abcdefghijkl""#, 4),
        ("a text", RESPONSES, r#""input":"abcdefghij""#, 3),
        ("instructions", RESPONSES, r#""input":"","instructions":"abcd""#, 2),
        ("no input", RESPONSES, r#""model2":1"#, 0),
        ("texts", EMBEDDINGS, r#""input":["abcd","abcd"]"#, 4),
    ];
    for (what, kind, members, expected) in table {
        let body = format!(r#"{{"model":"m",{members}}}"#);
        assert_eq!(read(*kind, &body).tokens_read_estimate(), *expected, "{what}: {members}");
    }
}

/// What holds an image, a sound or a file counts as 1,600 tokens at most; a text, whatever it looks like, in full.
#[test]
fn base64_counts_little_where_it_is_no_text() {
    let megabyte = base64(1 << 20);
    let escaped = megabyte.replace('/', "\\/");
    let url_safe = megabyte.replace('/', "_").replace('+', "-");
    let small = base64(6_400);
    let png = format!("data:image/png;base64,{megabyte}");
    let blobs = [
        (CHAT, format!(r#"{{"type":"image_url","image_url":{{"url":"{png}"}}}}"#)),
        (CHAT, format!(r#"{{"type":"image_url","image_url":{{"url" : "{png}"}}}}"#)),
        (CHAT, format!(r#"{{"type":"image_url","image_url":{{"url":"{}"}}}}"#, png.replace('/', "\\/"))),
        (CHAT, format!(r#"{{"type":"input_audio","input_audio":{{"data":"{megabyte}","format":"wav"}}}}"#)),
        (
            CHAT,
            format!(r#"{{"type":"file","file":{{"file_data":"data:application/pdf;base64,{megabyte}"}}}}"#),
        ),
        (
            MESSAGES,
            format!(
                r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{megabyte}"}}}}"#
            ),
        ),
        (MESSAGES, format!(r#"{{"type":"image","source":{{"type":"base64","data":"{escaped}"}}}}"#)),
        (
            MESSAGES,
            format!(
                r#"{{"type":"document","source":{{"data":"{megabyte}","media_type":"application/pdf","type":"base64"}}}}"#
            ),
        ),
        (
            MESSAGES,
            format!(
                r#"{{"type":"tool_result","content":[{{"type":"image","source":{{"type":"base64","data":"{megabyte}"}}}}]}}"#
            ),
        ),
        (MESSAGES, format!(r#"{{"type":"redacted_thinking","data":"{megabyte}"}}"#)),
        (RESPONSES, format!(r#"{{"type":"input_file","filename":"a.pdf","file_data":"{megabyte}"}}"#)),
        (
            RESPONSES,
            format!(
                r#"{{"type":"computer_call_output","output":{{"type":"computer_screenshot","image_url":"{png}"}}}}"#
            ),
        ),
        (MESSAGES, format!(r#"{{"type":"thinking","thinking":"","signature":"{url_safe}"}}"#)),
        (RESPONSES, format!(r#"{{"type":"input_image","image_url":"{png}"}}"#)),
        (RESPONSES, format!(r#"{{"type":"image_generation_call","result":"{megabyte}"}}"#)),
        (RESPONSES, format!(r#"{{"type":"reasoning","encrypted_content":"{megabyte}"}}"#)),
        (CHAT, format!(r#"{{"type":"input_audio","input_audio":{{"data":"{small}"}}}}"#)),
    ];
    for (kind, part) in &blobs {
        let tokens = estimate(*kind, part);
        assert!((1_000..1_700).contains(&tokens), "{tokens}: {}", &part[..60]);
        // Each of several.
        let several = [part.as_str(); 3].join(",");
        let of_several = estimate(*kind, &several);
        assert!((tokens * 3 - 100..=tokens * 3 + 1).contains(&of_several), "{of_several}: {}", &part[..60]);
    }
    let prose = "It was a bright cold day in April. ".repeat(30_000);
    let texts = [
        (CHAT, format!(r#"{{"type":"text","text":"{megabyte}"}}"#)),
        (CHAT, format!(r#""{megabyte}""#)),
        (MESSAGES, format!(r#"{{"type":"document","source":{{"type":"text","data":"{prose}"}}}}"#)),
        (CHAT, format!(r#"{{"type":"image_url","image_url":{{"url":"data:text/plain,{prose}"}}}}"#)),
        (MESSAGES, format!(r#"{{"type":"tool_use","input":{{"my_data":"{megabyte}"}}}}"#)),
        (
            MESSAGES,
            format!(
                r#"{{"type":"document","source":{{"type":"text","media_type":"text/plain","data":"{megabyte}"}}}}"#
            ),
        ),
        (
            MESSAGES,
            format!(
                r#"{{"type":"document","source":{{"type":"base64","type":"text","data":"{megabyte}"}}}}"#
            ),
        ),
        (
            MESSAGES,
            format!(
                r#"{{"type":"document","source":{{"type":"base64","media_type":"text/plain","data":"{megabyte}"}}}}"#
            ),
        ),
        (
            MESSAGES,
            format!(r#"{{"type":"tool_use","input":{{"type":"redacted_thinking","data":"{megabyte}"}}}}"#),
        ),
        (MESSAGES, format!(r#"{{"type":"tool_use","input":{{"content":[{{"image_url":"{png}"}}]}}}}"#)),
        (MESSAGES, format!(r#"{{"type":"text","text":"a","signature":"{megabyte}"}}"#)),
        (RESPONSES, format!(r#"{{"type":"web_search_call","result":"{megabyte}"}}"#)),
        (CHAT, format!(r#"{{"type":"text","data":"{megabyte}"}}"#)),
        (CHAT, format!(r#"{{"type":"text","url":"{megabyte}"}}"#)),
        (CHAT, format!(r#"{{"type":"file","file":{{"file_data":"data:text/plain;base64,{megabyte}"}}}}"#)),
        (CHAT, format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png,{megabyte}"}}}}"#)),
    ];
    for (kind, part) in &texts {
        let tokens = estimate(*kind, part);
        assert!(tokens >= (1 << 20) / 4, "{tokens}: {}", &part[..60]);
    }
}

/// Tools and schemas hold no images, whatever the names in them are.
#[test]
fn text_that_looks_like_base64_counts_in_tools_and_schemas() {
    let text = base64(1 << 20);
    let schema = format!(
        r#"{{"type":"object","properties":{{"data":{{"const":{{"data":"{text}","url":"{text}"}}}}}}}}"#
    );
    for (kind, members) in [
        (CHAT, format!(r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]"#)),
        (CHAT, format!(r#""functions":[{{"name":"f","parameters":{schema}}}]"#)),
        (CHAT, format!(r#""response_format":{{"type":"json_schema","json_schema":{{"schema":{schema}}}}}"#)),
        (MESSAGES, format!(r#""tools":[{{"name":"f","input_schema":{schema}}}]"#)),
        (RESPONSES, format!(r#""text":{{"format":{{"type":"json_schema","schema":{schema}}}}}"#)),
    ] {
        let body = format!(r#"{{"model":"m","messages":[],"input":[],{members}}}"#);
        let tokens = read(kind, &body).tokens_read_estimate();
        assert!(tokens >= (2 << 20) / 4, "{tokens}: {}", &members[..60]);
    }
}

/// Depth costs no stack: what lies deeper than any protocol puts it counts in full.
#[test]
fn an_image_that_lies_deeper_than_it_can_counts_as_text() {
    let image = format!(r#"{{"image_url":"{}"}}"#, base64(1 << 20));
    for (deep, full) in [(5, false), (100, true), (100_000, true)] {
        let body = [&r#"{"content":["#.repeat(deep), image.as_str(), &"]}".repeat(deep)].concat();
        assert_eq!(estimate(MESSAGES, &body) >= (1 << 20) / 4, full, "{deep}");
    }
}

fn estimate(kind: ApiKind, part: &str) -> u64 {
    let member = if kind == RESPONSES { "input" } else { "messages" };
    let body = format!(r#"{{"model":"m","{member}":[{{"role":"user","content":[{part}]}}]}}"#);
    read(kind, &body).tokens_read_estimate()
}

proptest! {
    /// Whatever it holds, it never counts more than it has bytes, nor fails.
    #[test]
    fn no_request_counts_more_than_its_bytes(messages in value(), system in value()) {
        for kind in [CHAT, RESPONSES, MESSAGES, EMBEDDINGS] {
            let body = format!(r#"{{"model":"m","messages":[{messages}],"input":[{messages}],"system":{system}}}"#);
            let tokens = read(kind, &body).tokens_read_estimate();
            prop_assert!(tokens >= 1 && tokens <= body.len().div_ceil(4) as u64, "{}: {}", tokens, body);
        }
    }
}
