//! The configuration of another product as weir's.

mod litellm;
mod write;

use std::fmt;

use crate::diagnostic::Diagnostic;
use crate::path::Path;
use crate::report::Report;
use crate::{SourceText, document};

/// What became of another product's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// weir's configuration, as YAML with comments. It holds no secret: keys are `${NAME}`.
    pub text: String,
    /// What was not carried over, or not as it was; in the order of the files.
    pub notes: Vec<Note>,
    /// The environment variables that the configuration reads, sorted.
    pub variables: Vec<String>,
}

/// One thing that was not carried over, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The key, such as `model_list[2].litellm_params.rpm`.
    pub path: String,
    /// What became of it, and why. Never a value of the file's.
    pub why: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.path, self.why)
    }
}

/// Turns the configuration of a LiteLLM proxy, and the files that it includes, into weir's.
///
/// # Errors
/// A file that is no YAML, or no mapping.
pub fn litellm(files: &[SourceText]) -> Result<Imported, Vec<Diagnostic>> {
    let mut documents = Vec::with_capacity(files.len());
    let mut diagnostics = Vec::new();
    for file in files {
        match parsed(file) {
            Ok(node) => documents.push((file.name.as_str(), node)),
            Err(found) => diagnostics.extend(found),
        }
    }
    if diagnostics.is_empty() { Ok(litellm::convert(&documents)) } else { Err(diagnostics) }
}

/// The files that a LiteLLM configuration includes, as it names them.
#[must_use]
pub fn litellm_includes(file: &SourceText) -> Vec<String> {
    parsed(file).map(|node| litellm::includes(&node)).unwrap_or_default()
}

/// The tree of a file, which is not weir's: what is wrong is told without a word of it.
fn parsed(file: &SourceText) -> Result<document::Node, Vec<Diagnostic>> {
    let mut report = Report::new(&file.name, &file.text);
    report.cover_by_words();
    match document::parse(&file.text) {
        Ok(node) if matches!(node.value, document::Value::Map(_) | document::Value::Null) => return Ok(node),
        Ok(node) => {
            let message = "the configuration of a LiteLLM proxy is a mapping with `model_list`";
            report.error(node.place, &Path::root(), message);
        }
        Err(error) => {
            report.error(error.place, &Path::root(), error.message);
        }
    }
    Err(report.into_diagnostics())
}

#[cfg(test)]
mod tests;
