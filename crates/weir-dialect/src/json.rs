//! Small readers over JSON text that keep the place of what they find.
//!
//! They validate all of the text, skip without recursion (depth costs no stack), and hand out the raw text of values,
//! so that a caller can splice. Which of several members with one name counts is the caller's decision.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One member of an object, as written.
pub(crate) struct Member<'a> {
    /// The name, unescaped.
    pub key: Cow<'a, str>,
    /// The name as written, quotes included.
    pub key_raw: &'a str,
    /// The value as written.
    pub value: &'a str,
}

/// Calls `visit` for each member of the object `text`, in order.
pub(crate) fn members<'a>(text: &'a str, visit: impl FnMut(Member<'a>)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(EachMember(visit))?;
    deserializer.end()
}

/// Calls `visit` with the text of each element of the array `text`, in order.
pub(crate) fn elements<'a>(text: &'a str, visit: impl FnMut(&'a str)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(EachElement(visit))?;
    deserializer.end()
}

/// The values of the named members of the object `text`; of several with one name the last, as most parsers have it.
/// All are `None` when `text` is no object.
pub(crate) fn pick<'a, const N: usize>(text: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    pick_of_object(text, names).unwrap_or([None; N])
}

/// The same, but `None` when `text` is no object, or goes on behind one. What is not looked for is skipped, not kept:
/// this is half of what reading an answer costs.
pub(crate) fn pick_of_object<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Picked(names)).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

struct Picked<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Picked<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let name = name_of(key.get());
            let slot = self.0.iter().position(|wanted| *wanted == name).and_then(|at| found.get_mut(at));
            match slot {
                Some(slot) => *slot = Some(map.next_value::<&'de RawValue>()?.get()),
                None => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// A member's name, unescaped.
fn name_of(raw: &str) -> Cow<'_, str> {
    plain(raw).map_or_else(|| string(raw), |name| Some(Cow::Borrowed(name))).unwrap_or_default()
}

/// The text of a JSON string, or `None` for any other value. Lone surrogates become U+FFFD: text that a provider
/// may accept must not vanish from the sight of rules.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.starts_with('"') {
        return None;
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

struct EachMember<F>(F);

impl<'de, F: FnMut(Member<'de>)> Visitor<'de> for EachMember<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let value = map.next_value::<&'de RawValue>()?.get();
            let key_raw = key.get();
            (self.0)(Member { key: name_of(key_raw), key_raw, value });
        }
        Ok(())
    }
}

/// The inside of a quoted name that has no escapes.
fn plain(raw: &str) -> Option<&str> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    (!inside.contains('\\')).then_some(inside)
}

struct EachElement<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for EachElement<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            (self.0)(value.get());
        }
        Ok(())
    }
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
    serde::de::IgnoredAny::deserialize(&mut deserializer)?;
    deserializer.end()
}
