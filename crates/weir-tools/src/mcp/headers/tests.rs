use super::*;
use serde_json::json;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn call(version: Option<&str>) -> (Frame, Value) {
    let meta = version.map(|version| json!({"io.modelcontextprotocol/protocolVersion": version}));
    let params = json!({"name": "é", "_meta": meta.unwrap_or(json!({}))});
    (Frame::request("1", "tools/call", &params.to_string()), params)
}

#[test]
fn headers_that_contradict_the_body_are_refused() {
    let new = Some("2026-07-28");
    let name = ("mcp-name", "=?base64?w6k=?=");
    let version = ("mcp-protocol-version", "2026-07-28");
    let method = ("mcp-method", "tools/call");
    type Case<'a> = (&'a [(&'static str, &'a str)], Option<&'a str>, bool);
    let table: [Case<'_>; 9] = [
        (&[version, method, name], new, true),
        (&[method, name], new, false),
        (&[version, name], new, false),
        (&[version, method], new, false),
        (&[("mcp-protocol-version", "2025-11-25"), method, name], new, false),
        (&[version, method, ("mcp-name", "other")], new, false),
        (&[version, method, ("mcp-name", "=?base64?!?=")], new, false),
        (&[], None, true),
        (&[("mcp-method", "ping")], None, false),
    ];
    for (given, version, good) in table {
        let (frame, params) = call(version);
        assert_eq!(agree(&headers(given), &frame, &params).is_ok(), good, "{given:?} {version:?}");
    }
    let (frame, params) = call(None);
    let mut twice = headers(&[method]);
    twice.append(METHOD, HeaderValue::from_static("tools/call"));
    assert!(agree(&twice, &frame, &params).is_err());
}

#[test]
fn headers_that_repeat_arguments_must_agree() {
    let schema = json!({"properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"properties": {"n": {"x-mcp-header": "N"}}},
    }});
    let table = [
        (
            vec![("mcp-param-region", "eu"), ("mcp-param-n", "1")],
            json!({"region": "eu", "deep": {"n": 1}}),
            true,
        ),
        (vec![("mcp-param-region", "eu")], json!({"region": "us"}), false),
        (vec![("mcp-param-region", "eu")], json!({}), false),
        (vec![("mcp-param-n", "2")], json!({"deep": {"n": 1}}), false),
        (vec![], json!({"region": "us"}), true),
    ];
    for (given, arguments, good) in table {
        assert_eq!(
            parameters_agree(&headers(&given), &schema, &arguments).is_ok(),
            good,
            "{given:?} {arguments}"
        );
    }
}

#[test]
fn the_key_and_the_session_of_weir_go_no_further() {
    let given = headers(&[
        ("authorization", "Bearer k"),
        ("x-api-key", "k"),
        ("mcp-session-id", "s"),
        ("mcp-method", "m"),
        ("traceparent", "t"),
    ]);
    let passed = passed_on(&given);
    let names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["mcp-method", "traceparent"]);
}

#[test]
fn versions_are_dates() {
    for (text, good) in
        [("2025-11-25", true), ("2026-07-28", true), ("latest", false), ("2025-1-25", false), ("", false)]
    {
        assert_eq!(is_version(text), good, "{text}");
    }
}
