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
    ];
    for (kind, part) in &texts {
        let tokens = estimate(*kind, part);
        assert!(tokens >= (1 << 20) / 4, "{tokens}: {}", &part[..60]);
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
