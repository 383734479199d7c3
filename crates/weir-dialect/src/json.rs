//! Small readers over JSON text that keep the place of what they find.
//!
//! They validate all of the text, skip without recursion (depth costs no stack), and hand out the raw text of values,
//! so that a caller can splice. Which of several members with one name counts is the caller's decision.

mod scan;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, Visitor};

use scan::{Extra, Quoted, Scanner, blobs};

/// One member of an object, as written.
pub(crate) struct Member<'a> {
    /// The name, unescaped.
    pub key: Cow<'a, str>,
    /// The name as written, quotes included.
    pub key_raw: &'a str,
    /// The value as written.
    pub value: &'a str,
    extra: Extra,
}

impl Member<'_> {
    /// How many bytes of the value are text: without escapes, images and the like. Where there may be any of these, the
    /// value is read once more.
    pub(crate) fn text_bytes(&self) -> usize {
        let blobs = if self.extra.blobs { blobs::surplus(self.value) } else { 0 };
        self.value.len().saturating_sub(self.extra.escapes).saturating_sub(blobs)
    }
}

/// Calls `visit` for each member of the object `text`, in order.
pub(crate) fn members<'a>(text: &'a str, mut visit: impl FnMut(Member<'a>)) -> Result<(), serde_json::Error> {
    let mut scanner = Scanner::new(text);
    let read = scanner.object(|key, value, extra| {
        visit(Member { key: name(key), key_raw: key.raw, value, extra });
    });
    read.and_then(|()| scanner.end()).ok_or_else(|| what_is_wrong::<BTreeMap<String, IgnoredAny>>(text))
}

/// Calls `visit` with the text of each element of the array `text`, in order.
pub(crate) fn elements<'a>(text: &'a str, visit: impl FnMut(&'a str)) -> Result<(), serde_json::Error> {
    let mut scanner = Scanner::new(text);
    scanner.array(visit).and_then(|()| scanner.end()).ok_or_else(|| what_is_wrong::<Vec<IgnoredAny>>(text))
}

/// Why a text could not be read as a `T`, in the library's words: where it is no JSON, or just that it is something else,
/// since the words for a value of a wrong type would repeat the value.
fn what_is_wrong<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Error {
    let error = serde_json::from_str::<T>(text).err().filter(|error| !error.is_data());
    error.or_else(|| validate(text).err()).unwrap_or_else(|| Error::custom("this is a value of another type"))
}

/// The values of the named members of the object `text`; of several with one name the last, as most parsers have it.
/// All are `None` when `text` is no object.
pub(crate) fn pick<'a, const N: usize>(text: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    pick_of_object(text, names).unwrap_or([None; N])
}

/// The same, but `None` when `text` is no object, or goes on behind one.
pub(crate) fn pick_of_object<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut found = [None; N];
    let mut scanner = Scanner::new(text);
    scanner.object(|key, value, _| {
        let key = name(key);
        if let Some(slot) = names.iter().position(|wanted| *wanted == key).and_then(|at| found.get_mut(at)) {
            *slot = Some(value);
        }
    })?;
    scanner.end()?;
    Some(found)
}

/// A member's name, unescaped.
fn name(quoted: Quoted<'_>) -> Cow<'_, str> {
    quoted.plain.map_or_else(|| string(quoted.raw).unwrap_or_default(), Cow::Borrowed)
}

/// The text of a JSON string, or `None` for any other value. Lone surrogates become U+FFFD: text that a provider
/// may accept must not vanish from the sight of rules.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?;
    if let Some(plain) = inside.strip_suffix('"').filter(|plain| !plain.contains('\\')) {
        return Some(Cow::Borrowed(plain));
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    deserializer.deserialize_bytes(Text).ok()
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether a value counts as true in the seed's own language: all but `null`, `false`, zero and the empty string.
pub(crate) fn truthy(raw: &str) -> bool {
    match raw {
        "null" | "false" | "\"\"" => false,
        other => number(other).is_none_or(|n| n != 0.0),
    }
}

/// A number of any size; what is beyond a double is infinite.
pub(crate) fn number(raw: &str) -> Option<f64> {
    if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) { raw.parse().ok() } else { None }
}

/// A count: a number that is at least zero, its fraction cut off.
pub(crate) fn count(raw: &str) -> Option<u64> {
    raw.parse().ok().or_else(|| {
        let number = number(raw)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and negatives are out"
        )]
        (number >= 0.0).then_some(number as u64)
    })
}

/// Where `inner`, a part of `outer`, lies in it.
pub(crate) fn span(outer: &str, inner: &str) -> Range<usize> {
    let start = inner.as_ptr().addr().wrapping_sub(outer.as_ptr().addr());
    start..start.wrapping_add(inner.len())
}

/// A string read as bytes: serde_json then keeps lone surrogates instead of failing.
struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(String::from_utf8_lossy(bytes))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// Whether `text` is one JSON value, without keeping any of it.
pub(crate) fn validate(text: &str) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    IgnoredAny::deserialize(&mut deserializer)?;
    deserializer.end()
}
