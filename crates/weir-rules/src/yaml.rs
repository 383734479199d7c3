//! YAML 1.2 as a tree whose nodes know their place.
//!
//! The parser is the one below serde-saphyr, used directly: all errors of a file are wanted at once, and a place inside
//! a scalar needs to know how the scalar was written. Only `true` and `false` are booleans and only `null`, `~` and
//! nothing are null, so that `on`, `no` and `NO` stay words. Depth and aliases are bounded.

mod place;

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::Value as Json;

pub(crate) use place::{Document, Span};

/// How deep collections may be nested.
const DEPTH_MAX: usize = 48;

/// How many nodes all aliases of a file may stand for.
const ALIASED_NODES_MAX: usize = 10_000;

/// How many keys a mapping may have: each is compared with those before it.
const KEYS_MAX: usize = 1_000;

/// A node and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node<'s> {
    pub(crate) span: Span,
    pub(crate) value: Value<'s>,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value<'s> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'s, str>),
    Seq(Vec<Node<'s>>),
    Map(Vec<(Key<'s>, Node<'s>)>),
}

/// A key of a mapping, as text.
#[derive(Clone, Debug)]
pub(crate) struct Key<'s> {
    pub(crate) text: Cow<'s, str>,
    pub(crate) span: Span,
}

/// The file is no YAML, or more of it than is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) span: Span,
    pub(crate) message: String,
}

impl Node<'_> {
    /// What the node is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Float(_) => "a double",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The value of a key, if the node is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// An element, if the node is a sequence that is long enough.
    pub(crate) fn item(&self, at: usize) -> Option<&Self> {
        match &self.value {
            Value::Seq(items) => items.get(at),
            _ => None,
        }
    }

    /// The node as JSON.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Str(value) => Json::String(value.to_string()),
            Value::Seq(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|(key, node)| (key.text.to_string(), node.to_json())).collect(),
            ),
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Seq(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| 1 + node.size()).sum(),
            _ => 0,
        }
    }
}

/// Reads the one document of a text. Keys that are given twice are reported beside the tree, in which the first counts.
pub(crate) fn parse(text: &str) -> Result<(Node<'_>, Vec<YamlError>), YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| scan_error(text, &error))?;
        builder.event(event, Span::of(&span))?;
    }
    let end = Span { start: text.len(), end: text.len() };
    Ok((builder.root.unwrap_or(Node { span: end, value: Value::Null }), builder.duplicates))
}

fn scan_error(text: &str, error: &ScanError) -> YamlError {
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    YamlError { span: Span { start: at, end: at }, message: error.info() }
}

/// A collection that is not complete yet.
enum Open<'s> {
    Seq(Vec<Node<'s>>),
    Map(Vec<(Key<'s>, Node<'s>)>, Option<Key<'s>>),
}

struct Frame<'s> {
    open: Open<'s>,
    span: Span,
    anchor: usize,
}

#[derive(Default)]
struct Builder<'s> {
    root: Option<Node<'s>>,
    stack: Vec<Frame<'s>>,
    anchors: HashMap<usize, Node<'s>>,
    aliased: usize,
    duplicates: Vec<YamlError>,
}

impl<'s> Builder<'s> {
    fn event(&mut self, event: Event<'s>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // Keys are words, whatever they look like: `1.0` is not `1`.
                let value = match tag.as_deref() {
                    None if self.awaits_key() => Value::Str(text),
                    tag => scalar(text, style, tag, span)?,
                };
                self.complete(Node { span, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                no_tag(tag.as_deref(), "seq", span)?;
                self.open(Open::Seq(Vec::new()), span, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                no_tag(tag.as_deref(), "map", span)?;
                self.open(Open::Map(Vec::new(), None), span, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(error(span, "a rule file is one document: a second one begins here"))
            }
            _ => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { open: Open::Map(_, None), .. }))
    }

    fn open(&mut self, open: Open<'s>, span: Span, anchor: usize) -> Result<(), YamlError> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(error(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.stack.push(Frame { open, span, anchor });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), YamlError> {
        let Some(Frame { open, span, anchor }) = self.stack.pop() else { return Ok(()) };
        let value = match open {
            Open::Seq(items) => Value::Seq(items),
            Open::Map(entries, _) => Value::Map(entries),
        };
        self.complete(Node { span: Span { start: span.start, end: end.end.max(span.start) }, value }, anchor)
    }

    fn complete(&mut self, node: Node<'s>, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), YamlError> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(error(span, "this alias stands inside what it stands for"));
        };
        self.aliased = self.aliased.saturating_add(node.size());
        if self.aliased > ALIASED_NODES_MAX {
            return Err(error(span, format!("aliases stand for more than {ALIASED_NODES_MAX} nodes")));
        }
        let value = node.value.clone();
        self.add(Node { span, value })
    }

    fn add(&mut self, node: Node<'s>) -> Result<(), YamlError> {
        match self.stack.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::Seq(items)) => items.push(node),
            Some(Open::Map(entries, key @ None)) => {
                let read = read_key(node)?;
                if entries.len() >= KEYS_MAX {
                    return Err(error(read.span, format!("more than {KEYS_MAX} keys in one mapping")));
                }
                if entries.iter().any(|(known, _)| known.text == read.text) {
                    let message = format!("the key `{}` is given twice", read.text);
                    self.duplicates.push(error(read.span, message));
                }
                *key = Some(read);
            }
            Some(Open::Map(entries, key)) => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                }
            }
        }
        Ok(())
    }
}

fn error(span: Span, message: impl Into<String>) -> YamlError {
    YamlError { span, message: message.into() }
}

/// A key that has a tag, or that an alias stands for, may be another scalar: its word is what it is.
fn read_key(node: Node<'_>) -> Result<Key<'_>, YamlError> {
    let text = match node.value {
        Value::Str(text) => text,
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(value) => Cow::Owned(value.to_string()),
        Value::Int(value) => Cow::Owned(value.to_string()),
        Value::Float(value) => Cow::Owned(value.to_string()),
        Value::Seq(_) | Value::Map(_) => return Err(error(node.span, "a key must be a word")),
    };
    Ok(Key { text, span: node.span })
}

fn no_tag(tag: Option<&Tag>, own: &str, span: Span) -> Result<(), YamlError> {
    match tag {
        Some(tag) if core_tag(tag) != Some(own) => Err(error(span, "tags are not supported here")),
        _ => Ok(()),
    }
}

fn core_tag(tag: &Tag) -> Option<&str> {
    (tag.handle() == "tag:yaml.org,2002:").then(|| tag.suffix())
}

fn scalar<'s>(
    text: Cow<'s, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Value<'s>, YamlError> {
    match tag {
        None if style == ScalarStyle::Plain => Ok(plain(text)),
        None => Ok(Value::Str(text)),
        Some(tag) if core_tag(tag) == Some("str") => Ok(Value::Str(text)),
        Some(tag) => {
            let resolved = plain(text);
            let same = matches!(
                (core_tag(tag), &resolved),
                (Some("null"), Value::Null)
                    | (Some("bool"), Value::Bool(_))
                    | (Some("int"), Value::Int(_))
                    | (Some("float"), Value::Float(_))
            );
            if same { Ok(resolved) } else { Err(error(span, "this tag is not supported here")) }
        }
    }
}

fn plain(text: Cow<'_, str>) -> Value<'_> {
    match &*text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        word => number(word).unwrap_or(Value::Str(text)),
    }
}

/// The numbers of YAML's core schema, those that JSON cannot hold excepted.
fn number<'s>(word: &str) -> Option<Value<'s>> {
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let first = unsigned.bytes().next()?;
    if !first.is_ascii_digit() && first != b'.' {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return match word.parse::<i64>() {
            Ok(value) => Some(Value::Int(value)),
            Err(_) => word.parse::<f64>().ok().map(Value::Float),
        };
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = word.strip_prefix(prefix) {
            // A sign stands before the prefix or nowhere.
            let signed = digits.starts_with(['-', '+']);
            return i64::from_str_radix(digits, radix).ok().filter(|_| !signed).map(Value::Int);
        }
    }
    let float_shaped =
        unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
    word.parse::<f64>().ok().filter(|value| float_shaped && value.is_finite()).map(Value::Float)
}

#[cfg(test)]
mod tests;
