//! Finds where the parts of a JSON text end, without building anything.
//!
//! It takes exactly the texts that `serde_json` takes; a property test holds the two against each other. Every request
//! and every answer is read by it, so it is fast: strings are passed with vector instructions, and nothing is unescaped.

pub(super) mod blobs;

use memchr::memchr2;
use smallvec::SmallVec;

/// So many times eight bytes of a string are looked through before a search begins, which is faster for long ones alone.
const SHORT_WORDS_MAX: usize = 4;

/// Values in values are seldom deeper, and then nothing is allocated for them.
const NEAR_MAX: usize = 24;

/// A place in a JSON text. Whatever it reads is `None` where the text is no JSON.
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// What is not yet read.
    rest: &'a [u8],
    /// The closing brackets that are due within a value, the innermost last: depth costs no stack.
    due: SmallVec<[u8; NEAR_MAX]>,
    /// Whether there is any control character: no string may hold one.
    controls: bool,
    /// How many bytes more it is written in than the text in it has, by the escapes that were read.
    surplus: usize,
    /// Whether a string was read that may be no text.
    blobs: bool,
}

/// What a value is beside text.
#[derive(Clone, Copy)]
pub(super) struct Extra {
    /// How many bytes are those of escapes.
    pub(super) escapes: usize,
    /// Whether some of it may be an image or the like.
    pub(super) blobs: bool,
}

/// A string as it is written.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a> {
    /// With its quotes.
    pub(super) raw: &'a str,
    /// What is between them, if nothing of it is escaped.
    pub(super) plain: Option<&'a str>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let controls = has_controls(text.as_bytes());
        Self { text, rest: text.as_bytes(), due: SmallVec::new(), controls, surplus: 0, blobs: false }
    }

    /// Reads an object, and calls `visit` for each of its members in order.
    pub(super) fn object(&mut self, mut visit: impl FnMut(Quoted<'a>, &'a str, Extra)) -> Option<()> {
        self.blank();
        self.take(b'{')?;
        self.blank();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.quoted()?;
            self.colon()?;
            let before = self.surplus;
            self.blobs = false;
            let value = self.value()?;
            let escapes = self.surplus.saturating_sub(before);
            visit(name, value, Extra { escapes, blobs: self.blobs });
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// Reads an array, and calls `visit` for each of its elements in order.
    pub(super) fn array(&mut self, mut visit: impl FnMut(&'a str)) -> Option<()> {
        self.blank();
        self.take(b'[')?;
        self.blank();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            visit(self.value()?);
            if !self.goes_on(b']')? {
                return Some(());
            }
        }
    }

    /// Whether nothing but blanks follows.
    pub(super) fn end(&mut self) -> Option<()> {
        self.blank();
        self.rest.is_empty().then_some(())
    }

    /// Reads the value that begins here.
    fn value(&mut self) -> Option<&'a str> {
        let from = self.rest;
        'values: loop {
            if self.enters()? {
                continue;
            }
            // A value has ended, and with it perhaps what it lies in.
            loop {
                let Some(close) = self.due.last().copied() else { return self.since(from) };
                if self.goes_on(close)? {
                    if close == b'}' {
                        self.string()?;
                        self.colon()?;
                    }
                    continue 'values;
                }
                self.due.pop();
            }
        }
    }

    /// Reads a value, or enters one that has others in it, up to the first of these.
    fn enters(&mut self) -> Option<bool> {
        let (first, rest) = self.rest.split_first()?;
        let close = match first {
            b'"' => return self.string().map(|_| false),
            b'{' => b'}',
            b'[' => b']',
            b't' => return self.word("true"),
            b'f' => return self.word("false"),
            b'n' => return self.word("null"),
            _ => return self.number(),
        };
        self.rest = rest;
        self.blank();
        if self.take(close).is_some() {
            return Some(false);
        }
        self.due.push(close);
        if close == b'}' {
            self.string()?;
            self.colon()?;
        }
        Some(true)
    }

    /// Whether behind a value another follows, which is then next, or the bracket that closes what they lie in.
    fn goes_on(&mut self, close: u8) -> Option<bool> {
        self.blank();
        if self.take(close).is_some() {
            return Some(false);
        }
        self.take(b',')?;
        self.blank();
        Some(true)
    }

    /// Passes what stands between a member's name and its value.
    fn colon(&mut self) -> Option<()> {
        self.blank();
        self.take(b':')?;
        self.blank();
        Some(())
    }

    /// Reads a member's name as it is written.
    fn quoted(&mut self) -> Option<Quoted<'a>> {
        let from = self.rest;
        let escaped = self.string()?;
        let raw = self.since(from)?;
        let plain = if escaped { None } else { raw.get(1..raw.len().saturating_sub(1)) };
        Some(Quoted { raw, plain })
    }

    /// Passes a string, and says whether anything of it is escaped.
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        // Most are names and short words, which end before a search has begun.
        let mut rest = self.rest;
        for _ in 0..SHORT_WORDS_MAX {
            let Some((word, after)) = rest.split_first_chunk() else { break };
            let Some(at) = first_stop(*word) else {
                rest = after;
                continue;
            };
            if let Some((b'"', after)) = rest.get(at..).and_then(<[u8]>::split_first) {
                self.rest = after;
                return Some(false);
            }
            break;
        }
        self.long_string()
    }

    #[inline(never)]
    fn long_string(&mut self) -> Option<bool> {
        let mut escaped = false;
        let from = self.rest;
        loop {
            let (part, rest) = self.rest.split_at_checked(memchr2(b'"', b'\\', self.rest)?)?;
            if self.controls && has_controls(part) {
                return None;
            }
            let (stop, rest) = rest.split_first()?;
            self.rest = rest;
            if *stop == b'"' {
                self.blobs = self.blobs || self.is_blob(from);
                return Some(escaped);
            }
            escaped = true;
            self.escape()?;
        }
    }

    /// Whether the string that began there, and ends here, may be no text.
    fn is_blob(&self, from: &[u8]) -> bool {
        let begin = self.text.len().saturating_sub(from.len()).saturating_sub(1);
        let length = from.len().saturating_sub(self.rest.len());
        self.text.get(..begin).is_some_and(|before| blobs::may_be(before, from, length))
    }

    /// Passes what follows a backslash.
    fn escape(&mut self) -> Option<()> {
        let (escape, rest) = self.rest.split_first()?;
        self.rest = rest;
        // Of the six bytes of `\u00e9` and its like, most texts that are escaped so have three.
        self.surplus = self.surplus.saturating_add(if *escape == b'u' { 3 } else { 1 });
        match escape {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let (digits, rest) = rest.split_first_chunk::<4>()?;
                self.rest = rest;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<bool> {
        self.rest = self.rest.strip_prefix(word.as_bytes())?;
        Some(false)
    }

    fn number(&mut self) -> Option<bool> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(false)
    }

    /// At least one digit.
    fn digits(&mut self) -> Option<()> {
        let [b'0'..=b'9', rest @ ..] = self.rest else { return None };
        self.rest = rest;
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        Some(())
    }

    fn blank(&mut self) {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| self.rest = rest)
    }

    /// The text from there to here.
    fn since(&self, from: &'a [u8]) -> Option<&'a str> {
        let begin = self.text.len().checked_sub(from.len())?;
        self.text.get(begin..self.text.len().checked_sub(self.rest.len())?)
    }
}

/// Where the first byte is that ends the plain part of a string: a quote, a backslash or a control character. All eight
/// are looked at at once, each in its part of the same number.
fn first_stop(bytes: [u8; 8]) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    /// The highest bit of the first byte that is zero, and perhaps of some behind it.
    const fn zeros(bytes: u64) -> u64 {
        bytes.wrapping_sub(EACH) & !bytes & (EACH << 7)
    }
    let bytes = u64::from_le_bytes(bytes);
    let quotes = zeros(bytes ^ (EACH * b'"' as u64));
    let backslashes = zeros(bytes ^ (EACH * b'\\' as u64));
    let controls = zeros(bytes & (EACH * 0xe0));
    let stops = quotes | backslashes | controls;
    (stops != 0).then(|| stops.trailing_zeros() as usize / 8)
}

/// Looks at all of it, without a branch for each byte, so that many are looked at at once.
fn has_controls(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | (*byte < b' '))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::super::{elements, members, validate};
    use super::first_stop;

    /// The values of an object's members.
    fn object(text: &str) -> Option<Vec<String>> {
        let mut values = Vec::new();
        members(text, |member| values.push(member.value.to_owned())).ok().map(|()| values)
    }

    fn array(text: &str) -> Option<Vec<String>> {
        let mut values = Vec::new();
        elements(text, |element| values.push(element.to_owned())).ok().map(|()| values)
    }

    /// Holds the scanner against `serde_json`.
    fn assert_as_the_library(text: &str) {
        let raw: Option<Vec<&RawValue>> = serde_json::from_str(text).ok();
        let expected = raw.map(|raw| raw.iter().map(|value| value.get().to_owned()).collect());
        assert_eq!(array(text), expected, "{text:?}");
        let values = object(text);
        let is_object = validate(text).is_ok() && text.trim_ascii_start().starts_with('{');
        assert_eq!(values.is_some(), is_object, "{text:?}");
        for value in values.unwrap_or_default() {
            assert!(validate(&value).is_ok() && value.trim_ascii() == value, "{value:?} in {text:?}");
        }
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        let values = [
            "",
            " ",
            "0",
            "-0",
            "01",
            "-",
            "-a",
            "1.",
            "1.5",
            ".5",
            "1e",
            "1e+",
            "1E-7",
            "1e400",
            "+1",
            "0x1",
            "1 2",
            "true",
            "tru",
            "truex",
            "null",
            "nul",
            "false",
            "falsy",
            "\"",
            "\"a",
            "\"a\"",
            "\"\\\"\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\u00e9\"",
            "\"a\nb\"",
            "\"a\tb\"",
            "\"\u{7f}\"",
            "\"é\"",
            "[",
            "]",
            "[]",
            "[ ]",
            "[,]",
            "[1,]",
            "[1 2]",
            "[1,2]",
            "[1]]",
            "{",
            "}",
            "{}",
            "{ }",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" : 1 , \"a\" : [ ] }",
            "{\"a\":1]",
            "[1}",
            "[[]",
            "{\"a\":{\"b\":[{}, [1, \"}\"]]}}",
            "\u{feff}{}",
            "{}\u{a0}",
            "[\"\\\\\", \"\\\\\\\"\"]",
            "{\"\\n\":1}",
        ];
        for value in values {
            assert_as_the_library(value);
            for around in
                ["[@]", "{\"k\":@}", " [ @ , @ ] ", "{\"k\":[@],\"l\":{\"m\":@}}", "[\"\n\",@]", "\n[@\n]"]
            {
                assert_as_the_library(&around.replace('@', value));
            }
        }
    }

    #[test]
    fn what_ends_a_string_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                for behind in [b'a', b'"', b'\\', 0, 0x1f, b'!', 0x80, 0xff] {
                    let mut bytes = [b'a'; 8];
                    bytes[at] = byte;
                    bytes[at + 1..].fill(behind);
                    let expected = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | ..b' '));
                    assert_eq!(first_stop(bytes), expected, "{bytes:?}");
                }
            }
        }
        for length in 0..70 {
            for odd in ["", "\\n", "\\", "\"", "\n", "é", "\u{7f}"] {
                for at in [0, length / 2, length] {
                    let text = ["[\"", &"a".repeat(at), odd, &"b".repeat(length - at), "\", 1]"].concat();
                    assert_as_the_library(&text);
                }
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = ["[".repeat(200_000), "]".repeat(200_000)].concat();
        let mut count = 0;
        elements(&deep, |_| count += 1).unwrap();
        assert_eq!(count, 1);
        assert!(elements(&deep[..deep.len() - 1], |_| ()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn takes_what_the_library_takes(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"k\":", "1", "-", ".", "e", "0", "true", "null", " ",
                "\n", "u00", "é", "\u{1}", "[1,2]", "{\"a\":1}",
            ]), 0..12),
        ) {
            let text = parts.concat();
            assert_as_the_library(&text);
            assert_as_the_library(&["[", &text, "]"].concat());
            assert_as_the_library(&["{\"k\":", &text, "}"].concat());
        }
    }
}
