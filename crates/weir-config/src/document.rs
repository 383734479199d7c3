//! YAML text as a tree whose every node knows its place.
//!
//! Only the text's structure is read here: what a key means and what type a value should have is the business of
//! `shape`. The rules of YAML 1.2 hold: only `true` and `false` are booleans.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::path::{Path, Segment};

mod shield;

/// Where something stands in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The offset of the first byte.
    pub start: usize,
    /// How many bytes.
    pub len: usize,
}

impl From<Location> for Place {
    /// `start` and `len` still count characters: [`parse`] turns them into bytes.
    fn from(location: Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            line: number(location.line()).max(1),
            column: number(location.column()).max(1),
            start: number(location.span().offset()),
            len: number(location.span().len()),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
    /// The text as written, when a variable was put into it.
    pub written: Option<String>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the text; a key may be there twice.
    Map(Vec<Entry>),
    /// A text whose variable has no value; it was reported.
    Broken,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The node at a path below this one.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Self> {
        path.segments().iter().try_fold(self, |node, segment| node.child(segment))
    }

    fn child(&self, segment: &Segment) -> Option<&Self> {
        match (&self.value, segment) {
            (Value::Map(entries), Segment::Key(key)) => entry(entries, key).map(|e| &e.node),
            (Value::List(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    /// The place of the key that holds the node at `path`, if a key does.
    #[must_use]
    pub fn key_place(&self, path: &Path) -> Option<Place> {
        let (last, parents) = path.segments().split_last()?;
        let parent = parents.iter().try_fold(self, |node, segment| node.child(segment))?;
        match (&parent.value, last) {
            (Value::Map(entries), Segment::Key(key)) => entry(entries, key).map(|e| e.key_place),
            _ => None,
        }
    }
}

/// The entry of a key; where it is there twice, the first.
#[must_use]
pub fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|e| e.key == key)
}

/// How much aliases may add up to, so that a small text cannot become a large tree.
const ALIASED_NODES_MAX: usize = 100_000;

/// Why a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Where the parser gave up.
    pub place: Place,
}

/// Reads one YAML document; an empty text is an empty mapping.
///
/// # Errors
/// The text is no YAML, or more than one document.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_NODES_MAX },
    };
    let document: Spanned<Value> = serde_saphyr::from_str_with_options(&shield::shielded(text), options)
        .map_err(|error| syntax_error(&error))?;
    let mut document = node(document);
    Restore::of(text).node(&mut document);
    Ok(document)
}

/// Gives what the parser saw back its own text: braces of variables, and places in bytes.
struct Restore {
    /// The offset of each character, and of the end.
    offsets: Vec<usize>,
}

impl Restore {
    fn of(text: &str) -> Self {
        Self { offsets: text.char_indices().map(|(at, _)| at).chain([text.len()]).collect() }
    }

    fn node(&self, node: &mut Node) {
        self.place(&mut node.place);
        match &mut node.value {
            Value::Text(text) => *text = shield::unshielded(text),
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key = shield::unshielded(&entry.key);
                    self.place(&mut entry.key_place);
                    self.node(&mut entry.node);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Broken => {}
        }
    }

    fn place(&self, place: &mut Place) {
        let byte = |character: usize| {
            self.offsets.get(character).or_else(|| self.offsets.last()).copied().unwrap_or_default()
        };
        let (start, end) = (byte(place.start), byte(place.start.saturating_add(place.len)));
        *place = Place { start, len: end - start, ..*place };
    }
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let place = Place::from(location);
    if let serde_saphyr::Error::MultipleDocuments { .. } = error.without_snippet() {
        return SyntaxError { message: "more than one document: a configuration is one".to_owned(), place };
    }
    let message = error.without_snippet().to_string();
    // The parser says the place in its text too; the diagnostic has it already.
    let suffix = format!(" at line {}, column {}", location.line(), location.column());
    let first_line = message.lines().next().unwrap_or_default();
    SyntaxError { message: first_line.replace(&suffix, "").trim_end_matches(['.', ':']).to_owned(), place }
}

fn node(spanned: Spanned<Value>) -> Node {
    Node { value: spanned.value, place: spanned.defined.into(), written: None }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            items.push(node(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Value>>()? {
            entries.push(Entry { key: key.value, key_place: key.defined.into(), node: node(value) });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests;
