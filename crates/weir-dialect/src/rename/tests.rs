use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_core::ApiKind;

use super::{JsonRenamer, StreamRenamer, rename_json};

const CHAT: ApiKind = ApiKind::ChatCompletions;
const RESPONSES: ApiKind = ApiKind::Responses;
const MESSAGES: ApiKind = ApiKind::Messages;

fn chunks(text: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    text.chunks(size).map(Bytes::copy_from_slice)
}

fn renamed(kind: ApiKind, text: &str, size: usize) -> String {
    let mut renamer = StreamRenamer::new(kind, "new\"name");
    let out: Vec<u8> = chunks(text.as_bytes(), size).flat_map(|chunk| renamer.push(&chunk)).collect();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_name_is_replaced_where_the_api_has_it() {
    let table: &[(ApiKind, &str, &str)] = &[
        (
            CHAT,
            r#"{ "id":1.0, "model" : "old" ,"x":{"model":"old"}}"#,
            r#"{ "id":1.0, "model" : "new\"name" ,"x":{"model":"old"}}"#,
        ),
        (CHAT, r#"{"model":null}"#, r#"{"model":null}"#),
        (
            CHAT,
            r#"{"a":"\"model\":\"old\"","model":"o\"ld"}"#,
            r#"{"a":"\"model\":\"old\"","model":"new\"name"}"#,
        ),
        (CHAT, r#"{"response":{"model":"old"}}"#, r#"{"response":{"model":"old"}}"#),
        (
            RESPONSES,
            r#"{"type":"t","response":{"id":"r","model":"old","tools":[{"model":"old"}]}}"#,
            r#"{"type":"t","response":{"id":"r","model":"new\"name","tools":[{"model":"old"}]}}"#,
        ),
        (RESPONSES, r#"{"model":"old"}"#, r#"{"model":"new\"name"}"#),
        (
            MESSAGES,
            r#"{"message":{"model":"old"},"model":"old"}"#,
            r#"{"message":{"model":"new\"name"},"model":"new\"name"}"#,
        ),
        (ApiKind::Embeddings, r#"{"model":"old"}"#, r#"{"model":"new\"name"}"#),
        (ApiKind::CountTokens, r#"{"input_tokens":1}"#, r#"{"input_tokens":1}"#),
        (MESSAGES, "<html>", "<html>"),
        (MESSAGES, "", ""),
    ];
    for (kind, body, expected) in table {
        assert_eq!(rename_json(body.as_bytes(), *kind, "new\"name"), expected.as_bytes());
        for size in 1..=body.len() {
            let mut renamer = JsonRenamer::new(*kind, "new\"name");
            let out: Vec<u8> = chunks(body.as_bytes(), size).flat_map(|chunk| renamer.push(&chunk)).collect();
            assert_eq!(std::str::from_utf8(&out).unwrap(), *expected, "{body} by {size}");
            let (stream, expected) = (format!("data: {body}\r\n\r\n"), format!("data: {expected}\r\n\r\n"));
            assert_eq!(renamed(*kind, &stream, size), expected);
        }
    }
}

#[test]
fn all_of_a_stream_but_the_name_stays() {
    let table = [
        (
            ": \"model\":\"old\"\ndata:{\"model\":\"old\"}\n\ndata: [DONE]\n\n",
            ": \"model\":\"old\"\ndata:{\"model\":\"new\\\"name\"}\n\ndata: [DONE]\n\n",
        ),
        (
            "data: {\"a\":1,\ndata: \"model\":\rdata: \"old\"}\n\n",
            "data: {\"a\":1,\ndata: \"model\":\rdata: \"new\\\"name\"}\n\n",
        ),
        (
            "data: {\"a\": {\n\ndata: {\"model\":\"old\"}\n\n",
            "data: {\"a\": {\n\ndata: {\"model\":\"new\\\"name\"}\n\n",
        ),
        (
            "data: {\"model\":\"ol\n\ndata: {\"model\":\"old\"}\n\n",
            "data: {\"model\":\"new\\\"name\"\n\ndata: {\"model\":\"new\\\"name\"}\n\n",
        ),
        ("\u{feff}data: {\"model\":\"old\"}\n\n", "\u{feff}data: {\"model\":\"new\\\"name\"}\n\n"),
        (
            "dat: {\"model\":\"old\"}\ndataa: {\"model\":\"old\"}\n\n",
            "dat: {\"model\":\"old\"}\ndataa: {\"model\":\"old\"}\n\n",
        ),
        (
            "data: {\"a\": {\r\ndata: \"model\":\"inner\"},\r\ndata: \"model\":\"old\"}\r\n\r\n",
            "data: {\"a\": {\r\ndata: \"model\":\"inner\"},\r\ndata: \"model\":\"new\\\"name\"}\r\n\r\n",
        ),
        (
            "event: x\r\ndata: {\"model\":\"old\"}\r\n\r\n",
            "event: x\r\ndata: {\"model\":\"new\\\"name\"}\r\n\r\n",
        ),
    ];
    for (stream, expected) in table {
        for size in 1..=stream.len() {
            assert_eq!(renamed(CHAT, stream, size), expected, "{stream:?} by {size}");
        }
    }
}

#[test]
fn a_chunk_without_the_name_is_not_copied() {
    let mut renamer = StreamRenamer::new(CHAT, "new");
    for chunk in ["data: {\"choices\":[]}\n\n", "data: [DO", "NE]\n\n", "data: {\"mod"] {
        let chunk = Bytes::copy_from_slice(chunk.as_bytes());
        assert_eq!(renamer.push(&chunk).as_ptr(), chunk.as_ptr());
    }
    assert_eq!(renamer.push(&Bytes::from_static(b"el\":\"old\"}\n")), "el\":\"new\"}\n");
}

#[test]
fn a_name_of_any_length_is_swallowed_without_memory() {
    let mut renamer = StreamRenamer::new(CHAT, "new");
    assert_eq!(renamer.push(&Bytes::from_static(b"data: {\"model\":\"")), "data: {\"model\":\"new\"");
    let long = Bytes::from(vec![b'x'; 1 << 16]);
    for _ in 0..1000 {
        assert!(renamer.push(&long).is_empty());
    }
    assert_eq!(renamer.push(&Bytes::from_static(b"\"}\n\n")), "}\n\n");
}

fn event() -> impl Strategy<Value = Value> {
    let text = "[a-z\"\\\\{}\\[\\]:, \u{e4}\n]{0,10}";
    let leaf = prop_oneof![text.prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("(model|response|message|[a-c])", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("(model|response|message|[a-c])", value, 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn set_model(object: &mut Value) {
    if object.get("model").is_some_and(Value::is_string) {
        object["model"] = json!("new\"name");
    }
}

proptest! {
    #[test]
    fn any_stream_is_renamed_as_the_slow_way_does(
        events in prop::collection::vec(event(), 1..4),
        size in 1_usize..40,
        kind in prop::sample::select(vec![CHAT, RESPONSES, MESSAGES]),
    ) {
        let mut expected = String::new();
        let mut stream = String::new();
        for mut event in events {
            stream.push_str(&format!("data: {event}\n\n"));
            set_model(&mut event);
            let wrapper = match kind { RESPONSES => "response", MESSAGES => "message", _ => "none" };
            if let Some(inner) = event.get_mut(wrapper) {
                set_model(inner);
            }
            expected.push_str(&format!("data: {event}\n\n"));
        }
        prop_assert_eq!(renamed(kind, &stream, size), expected);
    }

    #[test]
    fn any_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..100), size in 1_usize..20) {
        let mut renamer = StreamRenamer::new(MESSAGES, "new");
        for chunk in chunks(&bytes, size) {
            let _ = renamer.push(&chunk);
        }
    }
}
