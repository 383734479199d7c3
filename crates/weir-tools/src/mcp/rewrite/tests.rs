use super::*;

fn frame(text: &str) -> Frame {
    Frame::read(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

#[test]
fn a_shared_server_sees_numbers_and_its_clients_their_own_ids() {
    let request = frame(
        r#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1e400,"_meta":{"progressToken":"t","k":1}}}"#,
    );
    let numbers = Numbers::default();
    let sent = numbers.numbered(&request);
    let text = std::str::from_utf8(sent.bytes()).unwrap();
    assert_eq!(
        text,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":1e400,"_meta":{"progressToken":1,"k":1}}}"#
    );
    assert_eq!(numbers.own_id(), "\"weir-2\"");

    let pending = Pending::default();
    let (outlet, _frames) = tokio::sync::mpsc::channel(1);
    let _slot = pending.open(&IdKey::of("1"), Some(IdKey::of("1")), asked(&request), outlet).ok().unwrap();
    let table = [
        (
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":1}}"#,
            Some(
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":"t"}}"#,
            ),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
            Some(
                r#"{"jsonrpc":"2.0","method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"a"}}}"#,
            ),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":9}}"#,
            None,
        ),
        (r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#, None),
        (r#"{"jsonrpc":"2.0","method":"notifications/message"}"#, None),
    ];
    for (text, expected) in table {
        let restored = restored(&frame(text), &pending).map(|(_, frame)| frame.bytes().clone());
        assert_eq!(restored.as_deref(), expected.map(str::as_bytes), "{text}");
    }
}

#[test]
fn a_cancellation_names_the_request_as_it_was_sent() {
    let message: serde_json::Value = serde_json::from_slice(&cancelled("\"a\"")).unwrap();
    assert_eq!((&message["params"]["requestId"], &message["id"]), (&json!("a"), &serde_json::Value::Null));
}
