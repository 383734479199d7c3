//! Holds a document against the JSON Schema of the raw types: unknown and missing keys, wrong types, unknown words,
//! numbers out of their range. What is wrong is reported and left out, so that the rest can be checked as well.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use crate::document::{Entry, Node, Value, entry};
use crate::mask::is_secret_name;
use crate::path::Path;
use crate::report::Report;

mod number;
mod schema;
mod suggest;

pub use suggest::nearest;

use schema::Schema;

/// The parts of a document that have the right shape, as JSON for the raw types.
pub fn shaped(document: &Node, schema: &Json, report: &mut Report<'_>) -> Json {
    let schema = Schema::root(schema);
    let walk = Walk { report };
    walk.root(document, schema)
}

struct Walk<'r, 'a> {
    report: &'r mut Report<'a>,
}

impl Walk<'_, '_> {
    fn root(mut self, document: &Node, schema: Schema<'_>) -> Json {
        match document.value {
            Value::Null => json!({}),
            _ => self.value(document, schema, &Path::root()).unwrap_or_else(|| json!({})),
        }
    }

    /// The node as JSON; `None` when it was left out or is wrong, which was reported then.
    fn value(&mut self, node: &Node, schema: Schema<'_>, path: &Path) -> Option<Json> {
        if schema.is_secret() {
            self.cover_all(node);
        }
        match (&node.value, schema.kind()) {
            (Value::Null | Value::Broken, _) => None,
            (Value::Map(entries), "object") => Some(self.object(node, entries, schema, path)),
            (Value::List(items), "array") => self.list(node, items, schema, path),
            (Value::Text(text), "string") => self.text(node, text, schema, path),
            (Value::Bool(value), "boolean") => Some(json!(value)),
            (Value::Integer(_) | Value::Float(_), "integer" | "number") => self.number(node, schema, path),
            (Value::Text(text), "integer" | "number" | "boolean") if node.written.is_some() => {
                self.variable_value(node, text, schema, path)
            }
            _ => {
                self.wrong_type(node, schema, path);
                None
            }
        }
    }

    fn object(&mut self, node: &Node, entries: &[Entry], schema: Schema<'_>, path: &Path) -> Json {
        let mut out = Map::new();
        let mut seen = HashSet::new();
        for entry in entries {
            let below = path.key(&entry.key);
            if !seen.insert(entry.key.as_str()) {
                self.cover_unless_harmless(entry, schema.member(&entry.key));
                self.report
                    .error(entry.key_place, &below, format!("the key `{}` is given twice", entry.key))
                    .help("remove one of them");
                continue;
            }
            match schema.member(&entry.key) {
                Some(member) => {
                    if let Some(value) = self.value(&entry.node, member, &below) {
                        out.insert(entry.key.clone(), value);
                    }
                }
                None => self.unknown_key(entry, schema, &below),
            }
        }
        self.missing_keys(node, entries, schema, path);
        Json::Object(out)
    }

    fn unknown_key(&mut self, entry: &Entry, schema: Schema<'_>, path: &Path) {
        let known: Vec<&str> = schema.members().collect();
        let meant = nearest(&entry.key, known.iter().copied());
        self.cover_unless_harmless(entry, meant.and_then(|meant| schema.member(meant)));
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known keys: {}", listed(&known)),
        };
        self.report.error(entry.key_place, path, format!("unknown key `{}`", entry.key)).help(help);
    }

    fn missing_keys(&mut self, node: &Node, entries: &[Entry], schema: Schema<'_>, path: &Path) {
        for key in schema.required() {
            let given = entry(entries, key).is_some_and(|entry| entry.node.value != Value::Null);
            if !given {
                let place = entries.first().map_or(node.place, |first| first.key_place);
                let finding = self.report.error(place, path, format!("the key `{key}` is missing"));
                if let Some(description) = schema.member(key).and_then(|member| member.description()) {
                    finding.help(format!("`{key}`: {}", first_sentence(description)));
                }
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: Schema<'_>, path: &Path) -> Option<Json> {
        if schema.at_least("minItems").is_some_and(|least| items.len() < least) {
            self.report.error(node.place, path, "the list is empty").help("give at least one item");
            return None;
        }
        let item_schema = schema.items()?;
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let below = path.index(i);
            if item.value == Value::Null {
                self.wrong_type(item, item_schema, &below);
            }
            match self.value(item, item_schema, &below) {
                Some(value) => out.push(value),
                // A wrong object keeps its place in the list, so that the paths of the others stay true.
                None if item_schema.kind() == "object" => out.push(json!({})),
                None => {
                    self.rest_of_list(items, i + 1, item_schema, path);
                    return None;
                }
            }
        }
        Some(Json::Array(out))
    }

    /// Reports what is wrong in the items after one that was wrong; the list is left out as a whole.
    fn rest_of_list(&mut self, items: &[Node], from: usize, schema: Schema<'_>, path: &Path) {
        for (i, item) in items.iter().enumerate().skip(from) {
            if item.value == Value::Null {
                self.wrong_type(item, schema, &path.index(i));
            }
            self.value(item, schema, &path.index(i));
        }
    }

    fn text(&mut self, node: &Node, text: &str, schema: Schema<'_>, path: &Path) -> Option<Json> {
        let words = schema.words();
        if !words.is_empty() && !words.contains(&text) {
            let shown = self.shown(node, schema);
            let help = match nearest(text, words.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`? Possible: {}", listed(&words)),
                None => format!("possible: {}", listed(&words)),
            };
            self.report.error(node.place, path, format!("unknown word {shown}")).help(help);
            return None;
        }
        if schema.at_least("minLength").is_some_and(|least| text.trim().chars().count() < least) {
            self.report.error(node.place, path, "the text is empty");
            return None;
        }
        Some(json!(text))
    }

    fn number(&mut self, node: &Node, schema: Schema<'_>, path: &Path) -> Option<Json> {
        let number = number::of(&node.value)?;
        match number::checked(number, schema) {
            Ok(json) => Some(json),
            Err(message) => {
                self.report.error(node.place, path, message);
                None
            }
        }
    }

    /// A variable's text where a number or a boolean belongs.
    fn variable_value(&mut self, node: &Node, text: &str, schema: Schema<'_>, path: &Path) -> Option<Json> {
        let value = match (schema.kind(), text.trim()) {
            ("boolean", "true") => Some(Ok(json!(true))),
            ("boolean", "false") => Some(Ok(json!(false))),
            ("boolean", _) => None,
            (_, text) => number::parsed(text).map(|number| number::checked(number, schema)),
        };
        match value {
            Some(Ok(json)) => return Some(json),
            Some(Err(message)) => {
                self.report.error(node.place, path, message).help("the value comes from a variable");
            }
            None => {
                let message = format!(
                    "expected {}, but {} stands for something else",
                    schema.name(),
                    self.shown(node, schema)
                );
                self.report.error(node.place, path, message).help("the value comes from a variable");
            }
        }
        None
    }

    fn wrong_type(&mut self, node: &Node, schema: Schema<'_>, path: &Path) {
        if schema.holds_secret() {
            self.cover_all(node);
        }
        let found = match &node.value {
            Value::Null | Value::Broken => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        let message = format!("expected {}, found {found}", schema.name());
        let finding = self.report.error(node.place, path, message);
        if let Some(help) = type_help(node, schema) {
            finding.help(help);
        }
    }

    /// A node's text for a message: as written, and never a secret.
    fn shown(&self, node: &Node, schema: Schema<'_>) -> String {
        if schema.is_secret() { "the secret".to_owned() } else { self.report.shown(node) }
    }

    /// Covers the value of a key that is not read. It may be a secret under a misspelt name, unless the key that was
    /// meant is known to hold none.
    fn cover_unless_harmless(&mut self, entry: &Entry, meant: Option<Schema<'_>>) {
        if is_secret_name(&entry.key) || meant.is_none_or(Schema::holds_secret) {
            self.cover_all(&entry.node);
        }
    }

    fn cover_all(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.cover_all(item)),
            Value::Map(entries) => entries.iter().for_each(|entry| self.cover_all(&entry.node)),
            Value::Null => {}
            _ => self.report.cover(node.place),
        }
    }
}

/// How a value of another type might be meant.
fn type_help(node: &Node, schema: Schema<'_>) -> Option<String> {
    let members: Vec<&str> = schema.members().collect();
    let examples = schema.examples();
    match (&node.value, schema.kind()) {
        (Value::Integer(number), "string") if schema.pattern().is_some() => {
            Some(format!("write the unit too: `{number}s`"))
        }
        (_, "string") if !examples.is_empty() => Some(format!("such as {}", listed(&examples))),
        (Value::Integer(_) | Value::Float(_) | Value::Bool(_), "string") => {
            Some("put it in quotes".to_owned())
        }
        (Value::Text(_), "integer" | "number") => Some("write digits only, without quotes".to_owned()),
        (Value::Text(_), "boolean") => Some("YAML 1.2 knows no other words".to_owned()),
        (Value::Text(_) | Value::Map(_), "array") => Some("write it as a list: `[…]`".to_owned()),
        (_, "object") if !members.is_empty() => Some(format!("known keys: {}", listed(&members))),
        _ => None,
    }
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn first_sentence(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or(text).trim().trim_end_matches('.')
}
