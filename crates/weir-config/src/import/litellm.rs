//! A LiteLLM proxy's configuration: `model_list` with its deployments, `router_settings`, `litellm_settings`,
//! `general_settings`, `mcp_servers`. What weir has no word for is told, with its line.

mod deployments;
mod models;
mod output;
mod providers;
mod redis;
mod secrets;
mod settings;

use crate::document::{Entry, Node, Value};

use super::{Imported, Note};
use models::Models;
use secrets::Variables;
use settings::Settings;

/// The member that names other files.
const INCLUDE: &str = "include";

/// How many things are told; of more it is said how many.
const NOTES_MAX: usize = 1_000;

/// Where something stands.
#[derive(Clone, Debug)]
pub(super) struct At {
    file: String,
    path: String,
}

impl At {
    fn key(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { file: self.file.clone(), path }
    }

    /// Another key of the same mapping.
    fn beside(&self, key: &str) -> Self {
        let path = self.path.rsplit_once('.').map_or(String::new(), |(mapping, _)| mapping.to_owned());
        Self { file: self.file.clone(), path }.key(key)
    }

    fn index(&self, index: usize) -> Self {
        Self { file: self.file.clone(), path: format!("{}[{index}]", self.path) }
    }
}

/// What is told.
#[derive(Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, at: &At, line: usize, why: impl Into<String>) {
        let note = Note { file: at.file.clone(), line, path: at.path.clone(), why: why.into() };
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// In the order of the files and their lines.
    fn finish(mut self, files: &[&str]) -> Vec<Note> {
        let place = |note: &Note| files.iter().position(|file| *file == note.file);
        self.0.sort_by_key(|note| (place(note), note.line));
        let more = self.0.len().saturating_sub(NOTES_MAX);
        if more > 0 {
            self.0.truncate(NOTES_MAX);
            if let Some(last) = self.0.last_mut() {
                last.why = format!("{} (and {more} more)", last.why);
            }
        }
        self.0
    }
}

/// The parts of the conversion.
#[derive(Default)]
pub(super) struct Import {
    notes: Notes,
    variables: Variables,
    models: Models,
    settings: Settings,
}

pub(super) fn convert(documents: &[(&str, Node)]) -> Imported {
    // Which variables are read by their own names is known at the end only: a literal that came before would take one of
    // them, and one provider be sent another's key.
    let read = Import::of(documents, Variables::default());
    let import = Import::of(documents, Variables::reserving(read.variables.own().clone()));
    let files: Vec<&str> = documents.iter().map(|(file, _)| *file).collect();
    import.finish(&files)
}

/// The names under `include`, each once.
pub(super) fn includes(node: &Node) -> Vec<String> {
    let mut names = Vec::new();
    for name in get(node, INCLUDE).into_iter().flat_map(|entry| items(&entry.node)).filter_map(text) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl Import {
    fn of(documents: &[(&str, Node)], variables: Variables) -> Self {
        let mut import = Self { variables, ..Self::default() };
        for (index, (file, node)) in documents.iter().enumerate() {
            let root = At { file: (*file).to_owned(), path: String::new() };
            for entry in entries(node) {
                let at = root.key(&entry.key);
                if entry.key == INCLUDE {
                    import.include(entry, &at, index == 0);
                } else {
                    import.section(entry, &at);
                }
            }
        }
        import
    }

    /// The files are read by whoever gave them; tells of what names none.
    fn include(&mut self, entry: &Entry, at: &At, is_of_first: bool) {
        let line = entry.key_place.line;
        let is_list = matches!(entry.node.value, Value::List(_));
        if !is_list {
            return self.not_a(&entry.node, "list of files, so none is read", at);
        }
        if !is_of_first {
            return self.notes.add(at, line, "not read: only the files that the first one includes are");
        }
        let mut seen = Vec::new();
        for (index, item) in items(&entry.node).iter().enumerate() {
            let why = match text(item) {
                None => "not read: it is no name of a file",
                Some(name) if seen.contains(&name) => "named twice: it is read once",
                Some(name) => {
                    seen.push(name);
                    continue;
                }
            };
            self.notes.add(&at.index(index), item.place.line, why);
        }
    }

    fn section(&mut self, entry: &Entry, at: &At) {
        let line = entry.key_place.line;
        if let Some(form) = other_form(entry) {
            return self.notes.add(at, line, format!("not carried over: it is no {form}"));
        }
        match entry.key.as_str() {
            "model_list" => self.model_list(&entry.node, at),
            "router_settings" => self.router_settings(&entry.node, at),
            "litellm_settings" => self.litellm_settings(&entry.node, at),
            "general_settings" => self.general_settings(&entry.node, at),
            "mcp_servers" => self.mcp_servers(&entry.node, at),
            "environment_variables" => self.notes.add(
                at,
                line,
                "not carried over: weir reads the environment that it is started with; set them there",
            ),
            "guardrails" => self.notes.add(
                at,
                line,
                "not carried over: weir's rules see the request and enforce in process; write them as rules (docs/rules.md)",
            ),
            "callback_settings" | "credential_list" | "vector_store_registry" | "search_tools" | "prompts"
            | "policies" | "policy_attachments" | "files_settings" | "finetune_settings" | "assistant_settings" => {
                self.notes.add(at, line, "not carried over: weir has nothing of this kind");
            }
            _ => self.notes.add(at, line, "not carried over: this section is not known to the import"),
        }
    }

    /// Tells of what has another form than it should; nothing is read of it.
    fn must_be(&mut self, node: &Node, fits: bool, form: &str, at: &At) {
        if !fits {
            self.not_a(node, form, at);
        }
    }

    /// Tells that something has another form than it should, unless nothing stands there.
    fn not_a(&mut self, node: &Node, form: &str, at: &At) {
        if !matches!(node.value, Value::Null) {
            self.notes.add(at, node.place.line, format!("not carried over: it is no {form}"));
        }
    }

    fn text_of(&mut self, entry: &Entry, at: &At) -> Option<String> {
        let found = text(&entry.node);
        if found.is_none() {
            self.not_a(&entry.node, "text", at);
        }
        found
    }

    fn number_of(&mut self, entry: &Entry, at: &At) -> Option<f64> {
        let found = number(&entry.node);
        match found {
            Some(below) if below < 0.0 => {
                self.notes.add(at, entry.node.place.line, "not carried over: it is below zero");
            }
            Some(_) => {}
            None => self.not_a(&entry.node, "number", at),
        }
        found.filter(|number| *number >= 0.0)
    }

    fn truth_of(&mut self, entry: &Entry, at: &At) -> Option<bool> {
        let found = truth(&entry.node);
        if found.is_none() {
            self.not_a(&entry.node, "truth value", at);
        }
        found
    }

    fn finish(mut self, files: &[&str]) -> Imported {
        self.resolve_aliases();
        self.resolve_fallbacks();
        self.share_fallbacks();
        let variables = self.variables.names();
        let notes = self.notes.finish(files);
        let text = output::write(&self.models, &self.settings, &notes, &variables);
        Imported { text, notes, variables }
    }
}

/// What a section should be and is not; one without a value is none.
fn other_form(entry: &Entry) -> Option<&'static str> {
    let value = &entry.node.value;
    let (form, fits) = match entry.key.as_str() {
        "model_list" => ("list of models", matches!(value, Value::List(_))),
        "router_settings" | "litellm_settings" | "general_settings" | "mcp_servers" => {
            ("mapping", matches!(value, Value::Map(_)))
        }
        _ => return None,
    };
    (!fits && !matches!(value, Value::Null)).then_some(form)
}

/// The entries of a mapping; none of anything else.
fn entries(node: &Node) -> &[Entry] {
    if let Value::Map(entries) = &node.value { entries } else { &[] }
}

/// The items of a list; none of anything else.
fn items(node: &Node) -> &[Node] {
    if let Value::List(items) = &node.value { items } else { &[] }
}

fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    entries(node).iter().find(|entry| entry.key == key)
}

/// A text, or a number as one.
fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "prices and durations are far below 2^52")]
fn number(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// A truth value; YAML 1.1, which LiteLLM reads, has more words for it.
fn truth(node: &Node) -> Option<bool> {
    match &node.value {
        Value::Bool(value) => Some(*value),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
