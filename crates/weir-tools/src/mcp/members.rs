//! The members of a JSON object as they were written, read so strictly that no other reader sees another object.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// How many members an object may have whose members are looked at one by one.
const MEMBERS_MAX: usize = 256;

/// The members of one object, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members<'a>(Vec<(String, &'a str)>);

impl<'a> Members<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// It is none, has too many members, or has one twice.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        if !text.trim_start().starts_with('{') {
            return Err("the message must be an object".to_owned());
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader.deserialize_map(Collect).map_err(|e| without_place(&e))?;
        reader.end().map_err(|e| without_place(&e))?;
        Ok(Self(members))
    }

    /// The text of a member.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of a member that is a string.
    pub(crate) fn string(&self, name: &str) -> Option<String> {
        self.get(name).and_then(|raw| serde_json::from_str(raw).ok())
    }

    /// The members of a member that is an object.
    pub(crate) fn object(&self, name: &str) -> Option<Members<'a>> {
        self.get(name).and_then(|raw| Self::read(raw).ok())
    }

    /// The object with the named members taken out, and those of `with` put in.
    pub(crate) fn replaced(&self, names: &[&str], with: &Value) -> String {
        let kept = self.0.iter().filter(|(key, _)| !names.contains(&key.as_str()));
        let kept = kept.map(|(key, value)| format!("{}:{value}", Value::from(key.as_str())));
        let added = with.as_object().into_iter().flatten();
        let added = added.map(|(key, value)| format!("{}:{value}", Value::from(key.as_str())));
        format!("{{{}}}", kept.chain(added).collect::<Vec<_>>().join(","))
    }

    /// Refuses names that another reader might take for one of these: they differ in upper and lower case alone.
    ///
    /// # Errors
    /// There is such a name.
    pub(crate) fn unmistakable(&self, known: &[&str]) -> Result<(), String> {
        let alike = |key: &str| known.iter().find(|name| key != **name && key.eq_ignore_ascii_case(name));
        match self.0.iter().find_map(|(key, _)| alike(key)) {
            Some(name) => {
                Err(format!("a member is like `{name}` but for upper and lower case: write `{name}`"))
            }
            None => Ok(()),
        }
    }
}

/// Reads any value, refusing objects that have a member twice, however deep.
///
/// # Errors
/// There is such an object, the nesting is too deep, or it is no JSON.
pub(crate) fn strict_value(text: &str) -> Result<Value, String> {
    serde_json::from_str::<Strict>(text).map(|strict| strict.0).map_err(|e| without_place(&e))
}

/// The words alone: line and column within one line of a protocol help nobody.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Self::Value = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.len() >= MEMBERS_MAX {
                return Err(A::Error::custom(format!("an object has more than {MEMBERS_MAX} members")));
            }
            if members.iter().any(|(other, _)| *other == key) {
                return Err(A::Error::custom("a member stands twice"));
            }
            members.push((key, map.next_value::<&RawValue>()?.get()));
        }
        Ok(members)
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let Strict(value) = map.next_value()?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(object.into())
    }
}
