use super::*;

fn error_of(text: &str) -> (String, usize, usize) {
    let error = parse(text).unwrap_err();
    (error.message, error.place.line, error.place.column)
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    let table = [
        ("a: 1\n---\nb: 2\n", "more than one document: a configuration is one", 3, 1),
        ("a: [1\n", "unclosed bracket '['", 1, 4),
        ("a: b: c\n", "mapping values are not allowed in this context", 1, 5),
        ("x: *nope\n", "alias references unknown anchor", 1, 4),
        ("? [a]\n: b\n", "expected string scalar", 1, 3),
    ];
    for (text, message, line, column) in table {
        assert_eq!(error_of(text), (message.to_owned(), line, column), "{text}");
    }
}

#[test]
fn scalars_follow_yaml_1_2() {
    let Value::Map(entries) =
        parse("a: true\nb: yes\nc: on\nd: NO\ne: 12\nf: 1.5\ng: \"5\"\nh: ~\ni:\nj: .inf\non: 0x10\nk: -3\n")
            .unwrap()
            .value
    else {
        panic!("no mapping");
    };
    let text = |t: &str| Value::Text(t.to_owned());
    let expected = [
        ("a", Value::Bool(true)),
        ("b", text("yes")),
        ("c", text("on")),
        ("d", text("NO")),
        ("e", Value::Integer(12)),
        ("f", Value::Float(1.5)),
        ("g", text("5")),
        ("h", Value::Null),
        ("i", Value::Null),
        ("j", Value::Float(f64::INFINITY)),
        ("on", Value::Integer(16)),
        ("k", Value::Integer(-3)),
    ];
    assert_eq!(entries.len(), expected.len());
    for (entry, (key, value)) in entries.iter().zip(expected) {
        assert_eq!((entry.key.as_str(), &entry.node.value), (key, &value));
    }
}

#[test]
fn nodes_know_their_places_and_paths_lead_to_them() {
    let document = parse("a: 1\nb:\n  - c: \"é x\"\n    d: [y, z]\na: 2\n").unwrap();
    let item = Path::root().key("b").index(0);
    let place = |path: &Path| document.at(path).map(|n| (n.place.line, n.place.column, n.place.len));
    assert_eq!(place(&item.key("c")), Some((3, 8, 6)), "the quotes and two bytes for the accent");
    assert_eq!(place(&item.key("d").index(1)), Some((4, 12, 1)));
    assert_eq!(place(&Path::root().key("a")), Some((1, 4, 1)), "the first of two");
    assert_eq!(place(&item.key("nope")), None);
    assert_eq!(place(&Path::root().index(0)), None);
    let key = |path: &Path| document.key_place(path).map(|place| (place.line, place.column));
    assert_eq!(key(&item.key("d")), Some((4, 5)));
    assert_eq!(key(&item), None);
    assert_eq!(key(&Path::root()), None);
    let Value::Map(entries) = &document.value else { panic!("no mapping") };
    assert_eq!(entries.len(), 3, "a key that is there twice is seen twice");
}
