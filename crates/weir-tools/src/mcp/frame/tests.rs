use super::*;

fn read(text: &str) -> Result<Frame, Malformed> {
    Frame::read(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn messages_are_told_apart() {
    let request = |m: &str| Kind::Request { method: m.to_owned() };
    let table = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, request("ping")),
        (r#" {"id":"a","method":"tools/call","params":{},"jsonrpc":"2.0","x":[1]} "#, request("tools/call")),
        (r#"{"jsonrpc":"2.0","method":"n"}"#, Kind::Notification { method: "n".to_owned() }),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Kind::Response { error: false }),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#, Kind::Response { error: true }),
        (r#"{"jsonrpc":"2.0","error":{"code":1}}"#, Kind::Response { error: true }),
    ];
    for (text, kind) in table {
        let frame = read(text).unwrap();
        assert_eq!((frame.kind(), frame.bytes().as_ref()), (&kind, text.as_bytes()), "{text}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let table = [
        ("", -32700),
        ("{", -32700),
        ("nonsense", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"} x", -32700),
        ("[", -32700),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call"}]"#, -32600),
        ("1", -32600),
        ("null", -32600),
        (r#"{"id":1,"method":"a"}"#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","result":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, -32600),
    ];
    for (text, code) in table {
        assert_eq!(read(text).map(|f| f.kind().clone()).unwrap_err().code(), code, "{text}");
    }
    assert!(read(&format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"a"}}"#, "x".repeat(2000))).is_err());
}

#[test]
fn depth_costs_no_stack() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let frame = read(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{deep}}}}}"#));
    assert!(frame.is_ok());
    assert!(super::super::members::strict_value(&deep).is_err());
}

#[test]
fn ids_of_every_form_are_kept_and_compared_by_value() {
    for id in ["1", "1.0", "-7", "\"a\"", "\"\\u0061\"", "9007199254740993", "true", "[1]"] {
        let frame = read(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#)).unwrap();
        assert_eq!(frame.id(), Some(id));
    }
    for (a, b, same) in [
        ("1", "1.0", true),
        ("\"a\"", "\"\\u0061\"", true),
        ("1", "\"1\"", false),
        ("9007199254740993", "9007199254740992", false),
    ] {
        assert_eq!(IdKey::of(a) == IdKey::of(b), same, "{a} {b}");
    }
}

#[test]
fn splicing_leaves_the_rest_as_it_was() {
    let frame = read(r#"{"jsonrpc":"2.0", "id" : 12,"extra":1e400,"result":{"a":1} ,"z":"\u00e9"}"#);
    // A number beyond a double is JSON all the same.
    let frame = frame.unwrap().with_id("\"long id\"").with_result("[]");
    let text = std::str::from_utf8(frame.bytes()).unwrap();
    assert_eq!(text, r#"{"jsonrpc":"2.0", "id" : "long id","extra":1e400,"result":[] ,"z":"\u00e9"}"#);
    assert_eq!((frame.id(), frame.result()), (Some("\"long id\""), Some("[]")));
}

#[test]
fn doubled_members_are_seen_however_deep() {
    let strict = super::super::members::strict_value;
    assert_eq!(strict(r#"{"a":[{"b":1,"c":{"d":null}}]}"#).unwrap()["a"][0]["b"], 1);
    for text in [r#"{"a":1,"a":2}"#, r#"[{"a":{"b":1,"\u0062":2}}]"#] {
        assert_eq!(strict(text).unwrap_err(), "a member stands twice");
    }
}

#[test]
fn an_answer_of_our_own_is_what_reading_it_gives() {
    for (id, member, value) in [("1", "result", "{}"), ("\"a\"", "error", "{\"code\":1}")] {
        let made = Frame::answer(id, member, value);
        let read = Frame::read(made.bytes().clone()).unwrap();
        assert_eq!((made.kind(), made.id(), made.result()), (read.kind(), read.id(), read.result()));
    }
}
