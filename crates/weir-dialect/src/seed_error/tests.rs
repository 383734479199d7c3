use bytes::Bytes;
use serde_json::Value;

use super::rewrite;

fn rewritten(status: u16, content_type: &str, body: &str, byok: bool) -> (String, Option<&'static str>) {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let (same, found, error_type) = rewrite(status, content_type, &body, byok);
    assert_eq!(same, status);
    if error_type.is_none() {
        assert_eq!(found.as_ptr(), body.as_ptr(), "what does not change is not copied");
    }
    (String::from_utf8(found.to_vec()).unwrap(), error_type)
}

#[test]
fn a_callers_own_key_gets_readable_words() {
    for status in [401, 402, 403, 429] {
        let (body, error_type) =
            rewritten(status, "application/json", r#"{"error":{"message":"provider's"}}"#, true);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(error_type, Some("byok_error"));
        assert!(body["message"].as_str().unwrap().starts_with("[BYOK] "), "{body}");
        assert_eq!((&body["error_type"], &body["error"]), (&"byok_error".into(), &body["message"]));
        assert_eq!(rewritten(status, "application/json", "{}", false), ("{}".to_owned(), None));
    }
    for status in [400, 404, 500, 503] {
        assert_eq!(rewritten(status, "application/json", "{}", true), ("{}".to_owned(), None));
    }
}

#[test]
fn an_overflow_of_the_context_is_named() {
    const TEXT: &str = "This model's MAXIMUM Context length is 8192 tokens. Use fewer.";
    let wrapped =
        format!(r#"{{"error":"{TEXT}","error_type":"context_length_exceeded","message":"{TEXT}"}}"#);
    let known = [
        (
            format!(r#" {{ "error": {{"message": "{TEXT}", "n":1.0}} }}"#),
            format!(
                r#" {{"error_type":"context_length_exceeded", "error": {{"message": "{TEXT}", "n":1.0}} }}"#
            ),
        ),
        (
            format!(r#"{{"error":"{TEXT}"}}"#),
            format!(r#"{{"error_type":"context_length_exceeded","error":"{TEXT}"}}"#),
        ),
        (
            format!(r#"{{"message":"{TEXT}","error_type":"x"}}"#),
            format!(r#"{{"message":"{TEXT}","error_type":"context_length_exceeded"}}"#),
        ),
    ];
    for (body, expected) in known {
        assert_eq!(
            rewritten(400, "application/json", &body, false),
            (expected, Some("context_length_exceeded"))
        );
    }
    assert_eq!(
        rewritten(413, "text/plain; charset=utf-8", TEXT, true),
        (wrapped, Some("context_length_exceeded"))
    );
}

#[test]
fn what_is_not_understood_passes() {
    let table = [
        (400, "application/json", r#"[{"x":"maximum context length is 8192 tokens"}]"#),
        (400, "application/json", r#"{"detail":"maximum context length is 8192 tokens"}"#),
        (400, "application/json", r#"{"error":"maximum context length is 8192 tokens"#),
        (400, "application/json", r#"{"error":"maximum context length is  tokens"}"#),
        (400, "application/json", r#"{"error":"maximum context length is many tokens"}"#),
        (400, "text/html", "<p>maximum context length is 8192 tokens</p>"),
        (200, "text/plain", "maximum context length is 8192 tokens"),
        (500, "text/plain", ""),
    ];
    for (status, content_type, body) in table {
        assert_eq!(rewritten(status, content_type, body, false), (body.to_owned(), None), "{body}");
    }
}
