//! JSON whose objects have each member once.
//!
//! Of two equal members the parser would keep the last, and another reader of the same line perhaps the first: a
//! decision must not depend on that.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// Why a text was not taken.
#[derive(Debug)]
pub enum Unread {
    /// It is no JSON.
    NoJson(serde_json::Error),
    /// A member stands twice; this is its path.
    Twice(String),
}

/// Reads one JSON value.
///
/// # Errors
/// See [`Unread`].
pub fn parse(text: &str) -> Result<Json, Unread> {
    let mut place = Place::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = Strict(&mut place).deserialize(&mut deserializer);
    match parsed.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => Err(place.twice.map_or(Unread::NoJson(error), Unread::Twice)),
    }
}

/// Where the reader is, and the member that it met a second time.
#[derive(Default)]
struct Place {
    path: String,
    twice: Option<String>,
}

impl Place {
    /// Goes to a member, and gives what to cut the path to afterwards.
    fn enter(&mut self, member: &str) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(member);
        before
    }
}

struct Strict<'p>(&'p mut Place);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        let before = self.0.path.len();
        loop {
            self.0.path.push_str(&format!("[{}]", out.len()));
            let item = items.next_element_seed(Strict(&mut *self.0))?;
            self.0.path.truncate(before);
            match item {
                Some(item) => out.push(item),
                None => return Ok(Json::Array(out)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let before = self.0.enter(&name);
            if members.contains_key(&name) {
                self.0.twice = Some(self.0.path.clone());
                return Err(A::Error::custom("a member stands twice"));
            }
            let value = entries.next_value_seed(Strict(&mut *self.0))?;
            self.0.path.truncate(before);
            members.insert(name, value);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_once_is_read_as_the_parser_reads_it() {
        for text in [
            "{}",
            r#"{"a": [1, -2, 2.5, 1e3, 18446744073709551615, "x\n", true, null, [], {}], "b": {"a": {"a": 0}}}"#,
            "7",
            r#""a""#,
            r#"[{"a": 1}, {"a": 2}]"#,
        ] {
            assert_eq!(parse(text).unwrap(), serde_json::from_str::<Json>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_stands_twice_is_named_with_its_path() {
        let table = [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": 1, "\u0061": 2}"#, "a"),
            (r#"{"x": {"y": 1, "z": 2, "y": 3}}"#, "x.y"),
            (r#"{"x": [0, [1], {"y": 1, "y": 2}]}"#, "x[2].y"),
            (r#"{"x": [{"k": []}], "y": {"z": 1, "z": 2}}"#, "y.z"),
            (r#"[{"a": 1}, {"a": 1, "a": 2}]"#, "[1].a"),
        ];
        for (text, expected) in table {
            assert!(
                matches!(parse(text), Err(Unread::Twice(path)) if path == expected),
                "{text}: {:?}",
                parse(text)
            );
        }
    }

    #[test]
    fn what_is_no_json_is_refused_as_such() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in ["", "{", "{} x", "{\"a\": 1,}", "nul", &deep] {
            assert!(matches!(parse(text), Err(Unread::NoJson(_))), "{text}");
        }
    }
}
