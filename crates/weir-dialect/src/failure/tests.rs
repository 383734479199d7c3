use super::*;

fn read(status: u16, body: &str) -> Evidence {
    Evidence::read(&FailureInput { status: Some(status), body: body.as_bytes(), ..FailureInput::default() })
}

#[test]
fn a_page_is_told_by_its_headlines() {
    let evidence = read(200, "<!doctype html><html><head><title>Hello</title></head></html>");
    assert_eq!((evidence.text.as_str(), evidence.message.as_str()), ("<html>\nhello", "Hello"));
}

#[test]
fn layers_are_taken_off() {
    // Body, innermost status, code, type, message.
    let table: &[(&str, u16, &str, &str, &str)] = &[
        ("", 500, "", "", ""),
        ("plain words", 500, "", "", "plain words"),
        (r#"{"error": {"message": "m", "type": "t", "code": "c"}}"#, 500, "c", "t", "m"),
        (r#"{"error": "m"}"#, 500, "", "", "m"),
        (r#"[{"error": {"code": 429, "message": "m", "status": "S"}}]"#, 429, "S", "", "m"),
        (
            r#"{"error": {"message": "{\"error\": {\"code\": 503, \"message\": \"m\"}}", "code": 500}}"#,
            503,
            "503",
            "",
            "m",
        ),
        (
            r#"{"error": {"message": "outer", "metadata": {"raw": "{\"error\": {\"code\": \"c\"}}"}}}"#,
            500,
            "c",
            "",
            "outer",
        ),
        (
            r#"X API error (403 Forbidden): {"error": {"type": "t"}}"#,
            403,
            "",
            "t",
            "X API error (403 Forbidden):",
        ),
        (
            "a.BadThingError: Error code: 422 - {'error': {'message': \"it's m\", 'code': None}}",
            422,
            "",
            "BadThingError",
            "it's m",
        ),
        ("{ status: undefined, error: { type: 't', message: 'm' } }", 500, "", "t", "m"),
        (
            "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"t\",\n  \"message\": \"m\"}}\n\n",
            500,
            "",
            "t",
            "m",
        ),
        ("<html><head><title>502 Bad Gateway</title></head>", 502, "", "", "502 Bad Gateway"),
        (r#""{\"error\": {\"message\": \"m\", \"code\": \"c\"}}""#, 500, "c", "", "m"),
        (r#"{"error": {"message": "cut sho"#, 500, "", "", "cut sho"),
        (
            "An error occurred (ThrottlingException) when calling the Converse operation: m",
            500,
            "ThrottlingException",
            "",
            "An error occurred (ThrottlingException) when calling the Converse operation: m",
        ),
        ("参数错误：状态码: 400", 400, "", "", "参数错误：状态码: 400"),
    ];
    for (body, status, code, kind, message) in table {
        let evidence = read(500, body);
        let found =
            (evidence.status, evidence.code.as_str(), evidence.kind.as_str(), evidence.message.as_str());
        // The name of an exception counts where nothing else has a type.
        let kind = if kind.is_empty() { found.2 } else { kind };
        assert_eq!(found, (*status, *code, kind, *message), "{body}");
    }
}

#[test]
fn only_fields_that_tell_of_an_error_are_evidence() {
    let body = r#"{"error": {"message": "m", "param": "p"}, "input": "SECRET", "messages": ["SECRET"], "request_id": "SECRET",
        "url": "SECRET", "stack": "SECRET", "choices": [{"message": {"content": "SECRET"}}], "requestBodyValues": {"a": "SECRET"}}"#;
    assert_eq!(read(500, body).text, "m\np");
}

#[test]
fn a_target_of_ones_own_network_is_evidence() {
    let read = |target| {
        Evidence::read(&FailureInput {
            target,
            transport_kind: TransportFault::Connect,
            ..FailureInput::default()
        })
    };
    assert_eq!(read("http://10.0.0.7:8000/v1").text, "<private-url>");
    assert_eq!(read("https://api.example.com/v1").text, "");
    assert_eq!(read("").transport.as_str(), "connect");
}
