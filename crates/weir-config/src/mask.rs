//! Which parts of a text must not be shown. A covered character becomes an asterisk, so that columns stay true;
//! variables, which are no secrets, stay as they are written.

use std::ops::Range;

use crate::document::Place;
use crate::substitute::{Piece, pieces};

/// Parts of a text that must not be shown, by their bytes.
#[derive(Debug, Default)]
pub struct Masks(Vec<Range<usize>>);

/// A key with one of these in its name holds something that is not for everybody's eyes.
const SECRET_WORDS: [&str; 10] =
    ["key", "token", "secret", "password", "passwd", "credential", "dsn", "byok", "headers", "authorization"];

/// Whether what stands under a key of this name should be covered.
#[must_use]
pub fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

impl Masks {
    /// Covers a scalar: all of it but its quotes and its variables. The place of a secret file is no secret.
    pub fn cover(&mut self, text: &str, place: Place) {
        let written = text.get(place.start..place.start + place.len).unwrap_or_default();
        let inner = written.trim_matches(['"', '\'']);
        let start = place.start + (written.len() - written.trim_start_matches(['"', '\'']).len());
        if inner.starts_with("file:") {
            return;
        }
        match pieces(inner) {
            Err(_) => self.0.push(start..start + inner.len()),
            Ok(pieces) => self.0.extend(pieces.into_iter().filter_map(|piece| match piece {
                Piece::Literal(range) | Piece::Variable { default: Some(range), .. } => {
                    Some(start + range.start..start + range.end)
                }
                Piece::Escape | Piece::Variable { default: None, .. } => None,
            })),
        }
    }

    /// Covers by words: the values of keys that sound like secrets, and whatever is indented below such a key.
    pub fn cover_by_words(&mut self, text: &str) {
        // The column of the secret key whose block we are in.
        let mut block: Option<usize> = None;
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let content = line.trim_end();
            let indent = content.len() - content.trim_start().len();
            let is_item = content.trim_start().starts_with('-');
            let continues = |key: usize| indent > key || (indent == key && is_item) || content.is_empty();
            block = block.filter(|key| continues(*key));
            if block.is_some() {
                self.0.push(offset + indent..offset + content.len());
            } else {
                block = self.cover_line(content, offset);
            }
            offset += line.len();
        }
    }

    /// Covers what follows the first secret key of a line, and tells that key's column.
    fn cover_line(&mut self, line: &str, offset: usize) -> Option<usize> {
        let colons = line.match_indices(':').map(|(at, _)| at);
        let (key, colon) = colons
            .filter_map(|colon| {
                let before = line.get(..colon)?;
                let key = before.rfind(['{', ',', ' ', ':']).map_or(0, |at| at + 1);
                is_secret_name(before.get(key..)?).then_some((key, colon))
            })
            .next()?;
        self.0.push(offset + colon + 1..offset + line.len());
        Some(key)
    }

    /// All lines of the text with the secret parts covered, and with passwords in URLs covered too.
    #[must_use]
    pub fn covered_lines(&self, text: &str) -> Vec<String> {
        let mut ranges = self.0.clone();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut ranges = ranges.into_iter().peekable();
        let mut covered_to = 0;
        let cover = |(at, c): (usize, char)| {
            while let Some(range) = ranges.next_if(|range| range.start <= at) {
                covered_to = covered_to.max(range.end);
            }
            if at < covered_to && !c.is_whitespace() { '*' } else { c }
        };
        let covered: String = text.char_indices().map(cover).collect();
        covered.split('\n').map(|line| without_passwords(line.trim_end_matches('\r'))).collect()
    }
}

/// Covers the password of each URL in a text: what stands between the user's name and the last `@` of its word.
#[must_use]
pub fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("://") {
        let (before, after) = rest.split_at(found + 3);
        out.push_str(before);
        let end = after.find([' ', '"', '\'', '`', '\t']).unwrap_or(after.len());
        let (word, tail) = after.split_at(end);
        out.push_str(&without_password(word));
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn without_password(word: &str) -> String {
    let Some((login, host)) = word.rsplit_once('@') else { return word.to_owned() };
    let Some((user, password)) = login.split_once(':') else { return word.to_owned() };
    if pieces(password)
        .is_ok_and(|p| p.iter().all(|piece| matches!(piece, Piece::Variable { default: None, .. })))
    {
        return word.to_owned();
    }
    format!("{user}:{}@{host}", "*".repeat(password.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_where_secrets_are_when_the_structure_is_unknown() {
        let table = [
            ("a: b\n", "a: b\n"),
            ("  token: abc\n  user: x", "  token: ***\n  user: x"),
            ("{name: n, token: abc, role: r}", "{name: n, token: **** ***** **"),
            ("- api_key: abc\n  name: n", "- api_key: ***\n  name: n"),
            ("api_keys:\n- abc\n- def\nname: n", "api_keys:\n* ***\n* ***\nname: n"),
            ("api_keys:\n  - abc\n\n  - def\nname: n", "api_keys:\n  * ***\n\n  * ***\nname: n"),
            ("token: |\n  abc\n  def\nname: n", "token: *\n  ***\n  ***\nname: n"),
            ("token: \"abc\n  def\nname: n", "token: ****\n  ***\nname: n"),
            ("byok: {p: abc}", "byok: *** ****"),
            ("x: y: token: abc", "x: y: token: ***"),
        ];
        for (text, expected) in table {
            let mut masks = Masks::default();
            masks.cover_by_words(text);
            assert_eq!(masks.covered_lines(text).join("\n"), expected, "{text}");
        }
    }

    #[test]
    fn scalars_keep_their_quotes_and_their_variables() {
        let table = [
            ("abc", "***"),
            ("'a b'", "'* *'"),
            ("\"${A}\"", "\"${A}\""),
            ("x${A:-abc}y", "*${A:-***}*"),
            ("file:/run/key", "file:/run/key"),
            ("${A", "***"),
            ("$${A}", "$${**"),
        ];
        for (text, expected) in table {
            let mut masks = Masks::default();
            masks.cover(text, Place { line: 1, column: 1, start: 0, len: text.len() });
            assert_eq!(masks.covered_lines(text), [expected], "{text}");
        }
    }

    #[test]
    fn passwords_in_urls_are_covered() {
        let table = [
            ("https://h/p", "https://h/p"),
            ("https://u@h", "https://u@h"),
            ("a://u:abc@h and b://:d@h,e:f@g", "a://u:***@h and b://:*******@g"),
            ("postgres://u:a/b@c@h/d", "postgres://u:*****@h/d"),
            ("postgres://u:${P}@h", "postgres://u:${P}@h"),
            ("postgres://u:${P:-abc}@h", "postgres://u:*********@h"),
        ];
        for (text, expected) in table {
            assert_eq!(without_passwords(text), expected, "{text}");
        }
    }
}
