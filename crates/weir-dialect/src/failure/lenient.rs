//! A reader of what is nearly JSON: JSON, Python's and JavaScript's representations of objects, and either of them cut
//! short or broken into lines by a terminal.
//!
//! It accepts everything that the notations have and closes what was left open; it is not a validator. Depth, number of
//! nodes and length of kept strings are bounded.

use memchr::memchr3;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// `null`, `None`, `undefined`, and what was not kept.
    Null,
    /// A number, as written.
    Number(String),
    /// A string, or a word without quotes.
    Text(String),
    /// A list or tuple.
    List(Vec<Node>),
    /// An object or dictionary.
    Map(Vec<(String, Node)>),
}

/// How deep containers may lie in each other; deeper ones end the reading.
const DEPTH_MAX: usize = 48;

/// How many values are kept in all.
const NODES_MAX: usize = 4_000;

/// How much of one string is kept, in bytes.
const TEXT_BYTES_MAX: usize = 32 * 1024;

/// How long a word without quotes may be, in bytes.
const WORD_BYTES_MAX: usize = 256;

/// The object that begins at byte `at`, and where it ends. Nothing if it has not one member.
pub(super) fn object_at(text: &str, at: usize, skip: fn(&str) -> bool) -> Option<(Node, usize)> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at, nodes: 0, members: 0, skip, broken: false };
    let map = reader.map(0, true);
    (reader.members > 0).then_some((map, reader.at))
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    nodes: usize,
    members: usize,
    skip: fn(&str) -> bool,
    /// Something did not fit: all containers end here.
    broken: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self, more: &[u8]) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace() || more.contains(&b)) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize, keep: bool) -> Node {
        self.blank(b"");
        self.nodes += 1;
        if depth >= DEPTH_MAX || self.nodes > NODES_MAX {
            self.broken = true;
            return Node::Null;
        }
        match self.peek() {
            Some(b'{') => self.map(depth, keep),
            Some(b'[' | b'(') => self.list(depth, keep),
            Some(quote @ (b'"' | b'\'' | b'`')) => self.string(quote, keep),
            Some(b'b' | b'u' | b'r' | b'f') if matches!(self.bytes.get(self.at + 1), Some(b'"' | b'\'')) => {
                self.at += 1;
                let quote = self.peek().unwrap_or(b'"');
                self.string(quote, keep)
            }
            _ => self.word(keep),
        }
    }

    fn map(&mut self, depth: usize, keep: bool) -> Node {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.blank(b",;");
            match self.peek() {
                None => break,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(_) => {}
            }
            let Some(name) = self.name() else {
                self.broken = true;
                break;
            };
            self.members += 1;
            let keep_value = keep && !(self.skip)(&name);
            let value = self.value(depth + 1, keep_value);
            if keep_value {
                members.push((name, value));
            }
            if self.broken {
                break;
            }
        }
        if keep { Node::Map(members) } else { Node::Null }
    }

    /// A member's name and the sign behind it.
    fn name(&mut self) -> Option<String> {
        let name = match self.peek()? {
            quote @ (b'"' | b'\'' | b'`') => match self.string(quote, true) {
                Node::Text(name) => name,
                _ => return None,
            },
            _ => {
                let start = self.at;
                let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_$-.@".contains(&b);
                while self.at - start < WORD_BYTES_MAX && self.peek().is_some_and(is_name) {
                    self.at += 1;
                }
                self.text.get(start..self.at).filter(|name| !name.is_empty())?.to_owned()
            }
        };
        self.blank(b"");
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(b'=') => {
                self.at += 1;
                if self.peek() == Some(b'>') {
                    self.at += 1;
                }
            }
            _ => return None,
        }
        Some(name)
    }

    fn list(&mut self, depth: usize, keep: bool) -> Node {
        self.at += 1;
        let mut items = Vec::new();
        while !self.broken {
            self.blank(b",");
            match self.peek() {
                None => break,
                Some(b']' | b')') => {
                    self.at += 1;
                    break;
                }
                Some(b'}') => {
                    self.broken = true;
                    break;
                }
                Some(_) => {}
            }
            let before = self.at;
            let item = self.value(depth + 1, keep);
            if keep {
                items.push(item);
            }
            if self.at == before {
                self.at += 1;
            }
        }
        if keep { Node::List(items) } else { Node::Null }
    }

    /// A word without quotes: a number, a constant, or what a program printed so.
    fn word(&mut self, keep: bool) -> Node {
        let start = self.at;
        let ends = |b: u8| b",}])\n\"'".contains(&b);
        while self.peek().is_some_and(|b| !ends(b)) {
            self.at += 1;
        }
        let end = self.at.min(start + WORD_BYTES_MAX);
        let word = self.text.get(start..self.text.floor_char_boundary(end)).unwrap_or_default().trim();
        if word.is_empty() && self.peek().is_none_or(|b| b"])".contains(&b)) {
            self.broken = self.peek().is_some();
        }
        match word {
            "" | "null" | "None" | "undefined" | "nil" | "true" | "True" | "false" | "False" => Node::Null,
            _ if !keep => Node::Null,
            number if number.parse::<f64>().is_ok() => Node::Number(number.to_owned()),
            other => Node::Text(other.to_owned()),
        }
    }

    /// A string. A quote ends it only where something can follow a string, so that apostrophes in a message do not.
    fn string(&mut self, quote: u8, keep: bool) -> Node {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(run) = memchr3(quote, b'\\', b'\\', rest) else {
                push(&mut text, self.text.get(self.at..).unwrap_or_default(), keep);
                self.at = self.bytes.len();
                break;
            };
            push(&mut text, self.text.get(self.at..self.at + run).unwrap_or_default(), keep);
            self.at += run;
            if self.peek() == Some(b'\\') {
                self.escape(&mut text, keep);
                continue;
            }
            self.at += 1;
            if self.string_may_end() {
                break;
            }
            push(&mut text, if quote == b'"' { "\"" } else { "'" }, keep);
        }
        if keep { Node::Text(text) } else { Node::Null }
    }

    /// Whether what follows a quote is what follows a string.
    fn string_may_end(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let next = rest.iter().take(64).find(|b| !b.is_ascii_whitespace());
        next.is_none_or(|b| b",:}])=;".contains(b))
    }

    fn escape(&mut self, text: &mut String, keep: bool) {
        self.at += 1;
        let (taken, read) = unescape(self.text.get(self.at..).unwrap_or_default());
        self.at += taken;
        if keep && text.len() < TEXT_BYTES_MAX {
            text.push(read);
        }
    }
}

fn push(text: &mut String, part: &str, keep: bool) {
    if keep {
        let room = TEXT_BYTES_MAX.saturating_sub(text.len());
        text.push_str(part.get(..part.floor_char_boundary(room)).unwrap_or_default());
    }
}

/// The character of an escape, whose backslash has been read, and how many bytes it took.
fn unescape(rest: &str) -> (usize, char) {
    let Some(first) = rest.chars().next() else { return (0, ' ') };
    let hex = |range| rest.get(range).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match first {
        'n' | 'r' => (1, '\n'),
        't' | 'b' | 'f' => (1, ' '),
        'x' => hex(1..3).and_then(char::from_u32).map_or((1, 'x'), |read| (3, read)),
        'u' => match hex(1..5) {
            Some(high @ 0xd800..0xdc00) if rest.get(5..7) == Some("\\u") => {
                let low = hex(7..11).filter(|low| (0xdc00..0xe000).contains(low));
                let read =
                    low.and_then(|low| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
                read.map_or((5, '\u{fffd}'), |read| (11, read))
            }
            Some(code) => (5, char::from_u32(code).unwrap_or('\u{fffd}')),
            None => (1, 'u'),
        },
        other => (other.len_utf8(), other),
    }
}

/// A text with one level of escapes taken off, up to the quote that is not escaped; and how many bytes were read.
pub(super) fn unescaped(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut at = 0;
    while out.len() < TEXT_BYTES_MAX {
        let rest = text.get(at..).unwrap_or_default();
        let Some(run) = memchr3(b'"', b'\\', b'\\', rest.as_bytes()) else {
            push(&mut out, rest, true);
            return (out, text.len());
        };
        push(&mut out, rest.get(..run).unwrap_or_default(), true);
        at += run;
        if text.as_bytes().get(at) == Some(&b'"') {
            break;
        }
        let (taken, read) = unescape(text.get(at + 1..).unwrap_or_default());
        out.push(read);
        at += 1 + taken;
    }
    (out, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match node {
            Node::Null => "~".into(),
            Node::Number(n) => n.clone(),
            Node::Text(t) => format!("<{t}>"),
            Node::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Node::Map(members) => {
                let members: Vec<_> = members.iter().map(|(k, v)| format!("{k}:{}", shown(v))).collect();
                format!("{{{}}}", members.join(" "))
            }
        }
    }

    #[test]
    fn nearly_json_is_read() {
        let table = [
            (r#"{"a": 1, "b": [true, "x\"y\u00e9"]}"#, r#"{a:1 b:[~ <x"yé>]}"#),
            (r#"{'a': None, 'b': "it's", 'c': 'model's window'}"#, "{a:~ b:<it's> c:<model's window>}"),
            (r#"{ a: undefined, type: 'x', code: ECONNREFUSED }"#, "{a:~ type:<x> code:<ECONNREFUSED>}"),
            (r#"{"a": {"b": "cut sho"#, "{a:{b:<cut sho>}}"),
            (r#"{"a": [1, {"b": "#, "{a:[1 {b:~}]}"),
            ("{\"a\": \"two\n  lines\", \"b\": 2,}", "{a:<two\n  lines> b:2}"),
            (r#"{"emoji": "\ud83d\ude00", "x": b'raw'}"#, "{emoji:<😀> x:<raw>}"),
            (r#"{"a" => 1, "b" = (2, 3)}"#, "{a:1 b:[2 3]}"),
            (r#"{"secret": {"deep": [1, "}"]}, "a": 2}"#, "{a:2}"),
        ];
        for (text, expected) in table {
            let (node, end) = object_at(text, 0, |name| name == "secret").unwrap();
            assert_eq!(shown(&node), expected, "{text}");
            assert_eq!(end, text.len(), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_not_read() {
        for text in ["{TRUNCATED}", "{}", "{ }", "{", "{{", "{:}", "{(", "{1, 2}"] {
            assert_eq!(object_at(text, 0, |_| false), None, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "{\"a\":".repeat(100_000);
        assert!(object_at(&deep, 0, |_| false).is_some());
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(object_at(&deep, 0, |_| false).is_some());
    }
}
