//! From configuration text to a checked configuration (design, section 7).
//!
//! The way is: text -> a tree whose every node knows its place (`document`) -> variables put in (`substitute`) ->
//! held against the shape of the raw types (`shape`) -> the raw types as written (`raw`) -> meaningful types
//! (`check`), with all errors of the file reported at once. The crate is pure: environment variables and secret
//! files come through [`Sources`].

pub mod catalogue;
mod check;
pub mod config;
pub mod diagnostic;
mod document;
pub mod import;
mod mask;
mod path;
mod raw;
mod report;
mod shape;
mod substitute;

use std::path::{Path, PathBuf};

use report::Report;

pub use catalogue::{Model, ModelCatalogue, Price, Resolved, UpstreamModel};
pub use config::Config;
pub use diagnostic::{Diagnostic, Severity};

/// The text of a configuration file and the name that diagnostics give it.
#[derive(Clone, Debug)]
pub struct SourceText {
    /// The file's name as the operator gave it.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// What a configuration may read beside its own text. The binary gives the environment and the file system, a
/// test gives a map.
pub trait Sources {
    /// The value of an environment variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file that holds a secret (`file:PATH`).
    ///
    /// # Errors
    /// Why it cannot be read, in words for the operator.
    fn read_file(&self, path: &Path) -> Result<String, String>;

    /// Whether a filter of the log can be read. Whoever writes the log knows its language; without one all can.
    ///
    /// # Errors
    /// Why it cannot be read, in words for the operator.
    fn check_log_filter(&self, _filter: &str) -> Result<(), String> {
        Ok(())
    }
}

/// A configuration that may be put in force, and what its operator should know about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// A configuration that may not be put in force.
#[derive(Clone, Debug)]
pub struct Unusable {
    /// Everything that is wrong, in the order of the file, with the warnings in their places.
    pub diagnostics: Vec<Diagnostic>,
    /// The rule files and folders that it lists, as far as they could be read, so that what is wrong with them can be
    /// told in the same run.
    pub rules: Vec<PathBuf>,
}

/// Loads a configuration; `None` is the default one. Relative paths start at `base`, the folder of the file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(file: Option<&SourceText>, base: &Path, sources: &dyn Sources) -> Result<Loaded, Unusable> {
    let (name, text) = file.map_or(("", ""), |file| (&file.name, &file.text));
    let mut report = Report::new(name, text);
    let config = read(text, base, sources, &mut report);
    let failed = report.has_errors();
    match (config, report.into_diagnostics()) {
        (Some(config), warnings) if !failed => Ok(Loaded { config, warnings }),
        (config, diagnostics) => {
            let rules = config.and_then(|config| config.rules).unwrap_or_default();
            Err(Unusable { diagnostics, rules })
        }
    }
}

/// The configuration, as far as it can be read; what is wrong goes into the report.
fn read(text: &str, base: &Path, sources: &dyn Sources, report: &mut Report<'_>) -> Option<Config> {
    let root = path::Path::root();
    let mut document = match document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            report.cover_by_words();
            report.error(error.place, &root, error.message);
            return None;
        }
    };
    substitute::substitute(&mut document, sources, report);
    let shaped = shape::shaped(&document, &schema(), report);
    report.shape_is_known();
    match serde_json::from_value::<raw::RawConfig>(shaped) {
        Ok(raw) => Some(check::checked(&raw, &document, base, sources, report)),
        // The shape was held against the schema of these very types.
        Err(error) => {
            report.error(document.place, &root, format!("the configuration cannot be read: {error}"));
            None
        }
    }
}

/// The JSON Schema (draft 2020-12) of the configuration as it is written.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(raw::RawConfig).to_value();
    name_for_readers(&mut schema);
    schema
}

/// Definitions are called after the raw types; to a reader of the schema they are the only ones.
fn name_for_readers(schema: &mut serde_json::Value) {
    use serde_json::Value;
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                *reference = reference.replacen("#/$defs/Raw", "#/$defs/", 1);
            }
            if let Some(Value::Object(definitions)) = members.get_mut("$defs") {
                let named = std::mem::take(definitions).into_iter();
                *definitions =
                    named.map(|(name, d)| (name.trim_start_matches("Raw").to_owned(), d)).collect();
            }
            members.values_mut().for_each(name_for_readers);
        }
        Value::Array(items) => items.iter_mut().for_each(name_for_readers),
        _ => {}
    }
}
