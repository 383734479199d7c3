use proptest::prelude::*;

use super::{Event, Scanner};

/// All events of `text`, given in chunks that end at `cuts`.
fn scanned(text: &[u8], cuts: &[usize], limit: usize) -> (Vec<(String, Vec<u8>)>, Scanner) {
    let mut scanner = Scanner::new(limit);
    let mut events = Vec::new();
    let mut on_event = |event: Event<'_>| events.push((event.name.to_owned(), event.data.to_vec()));
    let mut from = 0;
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.push(text.len());
    cuts.sort_unstable();
    for cut in cuts {
        scanner.push(&text[from..cut], &mut on_event);
        from = cut;
    }
    (events, scanner)
}

fn named(events: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    events.iter().map(|(name, data)| ((*name).to_owned(), data.as_bytes().to_vec())).collect()
}

#[test]
fn the_rules_of_the_format_hold_at_every_cut() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("data: a\n\n", &[("", "a")]),
        ("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &[("", "a"), ("", "b"), ("", "c")]),
        ("data:a\ndata: b\ndata:  c\n\n", &[("", "a\nb\n c")]),
        ("event: x\ndata: 1\n\ndata: 2\n\n", &[("x", "1"), ("", "2")]),
        ("data: 1\nevent: late\nevent: later\n\n", &[("later", "1")]),
        (": ping\n\n: ping\ndata: 1\n: more\n\n", &[("", "1")]),
        ("\u{feff}data: 1\n\n\u{feff}data: 2\n\n", &[("", "1")]),
        ("event: x\n\ndata: 1\n\n", &[("", "1")]),
        ("data\ndata\n\n", &[("", "\n")]),
        ("data\n\n", &[("", "")]),
        ("id: 7\nretry: 9\ndatax: 1\n data: 1\n\n", &[]),
        ("data: unfinished", &[]),
        ("data: unfinished\n", &[]),
        ("\n\n\n\r\n", &[]),
    ];
    for (text, expected) in table {
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let (events, _) = scanned(text.as_bytes(), &[cut, second], 1000);
                assert_eq!(events, named(expected), "{text:?} cut at {cut} and {second}");
            }
        }
    }
}

#[test]
fn what_is_left_at_the_end_is_read_by_finish() {
    for text in ["data: x", "data: x\n", "data: x\r", "data: x\r\n", "data: x\n\n", "data: x\r\n\r"] {
        let (mut events, mut scanner) = scanned(text.as_bytes(), &[], 100);
        scanner.finish(&mut |event| events.push((event.name.to_owned(), event.data.to_vec())));
        assert_eq!(events, named(&[("", "x")]), "{text:?}");
    }
}

#[test]
fn it_knows_whether_an_event_is_open() {
    for (text, open) in [
        ("", false),
        ("data: x\n\n", false),
        ("data: x\n", true),
        ("da", true),
        ("event: x\n", true),
        (": c\n", false),
        ("data: x\r\n\r", false),
    ] {
        assert_eq!(scanned(text.as_bytes(), &[], 100).1.mid_event(), open, "{text:?}");
    }
}

#[test]
fn too_long_lines_and_events_are_skipped_and_the_next_are_read() {
    let long = "y".repeat(21);
    let table = [
        format!("data: {long}\n\ndata: ok\n\n"),
        format!("data: ok\n{long}\n\ndata: ok\n\n"),
        format!("data: {0}\ndata: {0}\n\ndata: ok\n\n", "z".repeat(11)),
        format!(": {long}\ndata: a\n\ndata: ok\n\n"),
        format!("event: e\ndata: {long}\n\ndata: ok\n\n"),
    ];
    for text in table {
        for cut in 0..text.len() {
            let (events, scanner) = scanned(text.as_bytes(), &[cut, cut / 2], 20);
            assert_eq!(events, named(&[("", "ok")]), "{text:?} cut at {cut}");
            let name = if text.starts_with("event") { "e" } else { "" };
            assert_eq!((scanner.skipped(), scanner.skipped_name()), (1, name), "{text:?} cut at {cut}");
        }
    }
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let mut scanner = Scanner::new(1 << 10);
    scanner.push(b"data: ", &mut |_| panic!("no event"));
    let chunk = [b'x'; 4096];
    for _ in 0..10_000 {
        scanner.push(&chunk, &mut |_| panic!("no event"));
        assert!(scanner.line.capacity() <= 2 << 10 && scanner.data.capacity() == 0);
    }
    let mut names = Vec::new();
    scanner.push(b"\n\nevent: after\ndata: x\n\n", &mut |event| names.push(event.name.to_owned()));
    assert_eq!((names, scanner.skipped()), (vec!["after".to_owned()], 1));
}

#[test]
fn a_name_that_is_not_utf8_is_none() {
    let (events, _) = scanned(b"event: \xff\ndata: \xfe\n\n", &[], 100);
    assert_eq!(events, [(String::new(), vec![0xfe])]);
}

/// The slow way: all of the text at once, line by line.
fn plainly(text: &str) -> Vec<(String, Vec<u8>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut name, mut data) = (String::new(), Vec::<String>::new());
    let Some((whole, _)) = text.rsplit_once('\n') else { return events };
    for line in whole.split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (line, field) {
            ("", _) => {
                if !data.is_empty() {
                    events.push((std::mem::take(&mut name), data.join("\n").into_bytes()));
                }
                name.clear();
                data.clear();
            }
            (_, "data") => data.push(value.to_owned()),
            (_, "event") => value.clone_into(&mut name),
            _ => {}
        }
    }
    events
}

fn stream() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "data: ?[a-z\"{}: ]{0,9}",
        2 => "event: ?[a-z.]{0,5}",
        1 => ":[a-z]{0,3}",
        1 => "[a-z: ]{0,5}",
        4 => Just(String::new()),
    ];
    let end = prop_oneof![3 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r")];
    let lines = prop::collection::vec((line, end).prop_map(|(line, end)| line + end), 0..12);
    (any::<bool>(), lines)
        .prop_map(|(bom, lines)| format!("{}{}", if bom { "\u{feff}" } else { "" }, lines.concat()))
}

proptest! {
    #[test]
    fn any_chunking_gives_the_events_of_the_slow_way(text in stream(), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        let (events, _) = scanned(text.as_bytes(), &cuts, 1000);
        prop_assert_eq!(events, plainly(&text), "{:?}", text);
    }
}
