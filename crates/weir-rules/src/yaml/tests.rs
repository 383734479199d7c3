use serde_json::json;

use super::*;

fn json_of(text: &str) -> Json {
    parse(text).unwrap().0.to_json()
}

#[test]
fn only_true_and_false_are_booleans_and_words_stay_words() {
    let text = "{on: on, no: NO, yes: yes, y: n, off: Off, t: true, f: false, T: True, nul: null, til: ~, e: , N: Null}";
    let expected = json!({
        "on": "on", "no": "NO", "yes": "yes", "y": "n", "off": "Off", "t": true, "f": false, "T": "True",
        "nul": null, "til": null, "e": null, "N": "Null",
    });
    assert_eq!(json_of(text), expected);
}

#[test]
fn numbers_are_those_of_the_core_schema() {
    let table = [
        ("1", json!(1)),
        ("-7", json!(-7)),
        ("+3", json!(3)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("017", json!(17)),
        ("1.5", json!(1.5)),
        ("-.5", json!(-0.5)),
        ("1e3", json!(1000.0)),
        ("9223372036854775808", json!(9_223_372_036_854_775_808.0)),
        ("1_000", json!("1_000")),
        ("1.2.3", json!("1.2.3")),
        ("10.0.0.0/8", json!("10.0.0.0/8")),
        ("2026-11-20T10:00:00Z", json!("2026-11-20T10:00:00Z")),
        (".inf", json!(".inf")),
        (".nan", json!(".nan")),
        ("-", json!([null])),
        ("'1'", json!("1")),
        ("!!str 1", json!("1")),
        ("!!int 1", json!(1)),
        ("0xZZ", json!("0xZZ")),
        ("0x-1F", json!("0x-1F")),
        ("0o+7", json!("0o+7")),
        ("!!null ~", json!(null)),
        ("!!bool true", json!(true)),
        ("!!float 1.5", json!(1.5)),
    ];
    for (text, expected) in table {
        assert_eq!(json_of(text), expected, "{text}");
    }
}

#[test]
fn keys_are_the_words_that_are_written() {
    let table = [
        (
            "{1.0: a, 1: b, 0x10: c, 1e3: d, 12345678901234567890: e}",
            ["1.0", "1", "0x10", "1e3", "12345678901234567890"],
        ),
        ("{true: a, null: b, ~: c, 'q': d, -1: e}", ["true", "null", "~", "q", "-1"]),
        ("{a: &x 1, *x : b, !!str 7: c, !!int 08: d, !!bool true: e}", ["a", "1", "7", "8", "true"]),
    ];
    for (text, keys) in table {
        let (node, duplicates) = parse(text).unwrap();
        assert_eq!(duplicates.len(), 0, "{text}");
        for key in keys {
            assert!(node.get(key).is_some(), "{text}: {key}");
        }
    }
}

#[test]
fn what_is_not_accepted_is_said_with_its_place() {
    let deep = "[".repeat(60);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    let mixed = format!("{}x", "- ".repeat(60));
    let many: String = (0..1001).map(|n| format!("k{n}: 1\n")).collect();
    let table = [
        ("a: [1", ""),
        ("a: b: c", ""),
        (deep.as_str(), ""),
        (mixed.as_str(), ""),
        (bomb, "aliases stand for more than 10000 nodes"),
        ("a: &a [*a]", "this alias stands inside what it stands for"),
        ("a: *b", ""),
        ("[a]: b", "a key must be a word"),
        ("a: !thing b", "this tag is not supported here"),
        ("a: !thing [b]", "tags are not supported here"),
        ("a: !!int b", "this tag is not supported here"),
        (many.as_str(), "more than 1000 keys in one mapping"),
        ("a: 1\n---\nb: 2", "a rule file is one document: a second one begins here"),
    ];
    for (text, message) in table {
        let error = parse(text).unwrap_err();
        assert!(!error.message.is_empty() && error.message.contains(message), "{text}: {}", error.message);
        assert!(error.span.start <= text.len());
    }
}

#[test]
fn keys_given_twice_are_reported_and_aliases_stand_for_their_nodes() {
    let (node, duplicates) = parse("a: 1\nb: {c: 1, c: 2}\na: 3\n").unwrap();
    let found: Vec<_> = duplicates.iter().map(|d| (d.message.as_str(), d.span.start)).collect();
    assert_eq!(found, [("the key `c` is given twice", 15), ("the key `a` is given twice", 21)]);
    assert_eq!(node.get("a").map(Node::to_json), Some(json!(1)));
    assert_eq!(json_of("a: &x {k: [1]}\nb: *x\n"), json!({"a": {"k": [1]}, "b": {"k": [1]}}));
}

#[test]
fn json_text_is_yaml_and_nothing_is_null() {
    assert_eq!(
        json_of("{\"rules\": [{\"id\": \"a\\u0062\", \"n\": 1.0}]}"),
        json!({"rules": [{"id": "ab", "n": 1.0}]})
    );
    assert_eq!(json_of(""), Json::Null);
    assert_eq!(json_of("# only a comment\n"), Json::Null);
}

/// Every scalar below has the value `a.b == "x" && bad.name` up to white space; `bad` must be found in the text.
#[test]
fn a_place_in_a_value_is_found_in_every_style() {
    let table = [
        "k: a.b == \"x\" && bad.name\n",
        "k: 'a.b == \"x\" && bad.name'\n",
        "k: \"a.b == \\\"x\\\" && bad.name\"\n",
        "k: \"a.b \\u003d= \\x22x\\\" && \\\n  bad.name\"\n",
        "k: |\n  a.b == \"x\"\n  && bad.name\n",
        "k: >-\n  a.b == \"x\" &&\n\n  bad.name\n",
        "k: |2\n    a.b == \"x\"\n  && bad.name\n",
        "k:\n  a.b == \"x\"\n  && bad.name\n",
        "{\"k\": \"a.b == \\\"x\\\" && bad.name\"}",
    ];
    for text in table {
        let (node, _) = parse(text).unwrap();
        let scalar = node.get("k").unwrap();
        let Value::Str(value) = &scalar.value else { panic!("{text}") };
        let at = value.find("bad").unwrap();
        let document = Document::new("f", text);
        let found = document.locate(scalar.span, value, Span { start: at, end: at + 3 });
        assert_eq!(&text[found.start..found.end], "bad", "{text}");
        let end = document.locate(scalar.span, value, Span { start: value.len(), end: value.len() });
        assert!(end.start > found.end && end.start <= text.len(), "{text}");
    }
}

#[test]
fn doubled_single_quotes_and_wide_characters_count_once() {
    let text = "k: 'a == ''é'' && bad'\n";
    let (node, _) = parse(text).unwrap();
    let scalar = node.get("k").unwrap();
    let Value::Str(value) = &scalar.value else { panic!() };
    assert_eq!(value, "a == 'é' && bad");
    let document = Document::new("f", text);
    let at = value.find("bad").unwrap();
    let found = document.locate(scalar.span, value, Span { start: at, end: at + 3 });
    let diagnostic = document.diagnostic(Severity::Error, found, "k".into(), "m".into());
    assert_eq!((diagnostic.line, diagnostic.column, diagnostic.span_len), (1, 19, 3));
}

use crate::diagnostic::Severity;
