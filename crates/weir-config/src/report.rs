//! Gathers what is wrong, and turns it into diagnostics once it is known which parts of the text are secret.

use crate::diagnostic::{Diagnostic, Severity};
use crate::document::{Node, Place, Value};
use crate::mask::{Masks, without_passwords};
use crate::path::Path;

/// What was found in one file so far.
#[derive(Debug)]
pub struct Report<'a> {
    file: &'a str,
    text: &'a str,
    masks: Masks,
    findings: Vec<Finding>,
    /// How many of the findings are about the shape.
    about_shape: usize,
}

/// One thing that was found.
#[derive(Debug)]
pub struct Finding {
    severity: Severity,
    place: Place,
    path: Path,
    message: String,
    help: Option<String>,
}

impl Finding {
    /// Says what to do about it.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

impl<'a> Report<'a> {
    /// An empty report about a text.
    #[must_use]
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, masks: Masks::default(), findings: Vec::new(), about_shape: 0 }
    }

    /// Adds an error.
    pub fn error(&mut self, place: Place, path: &Path, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, place, path, message.into())
    }

    /// Adds a warning.
    pub fn warning(&mut self, place: Place, path: &Path, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, place, path, message.into())
    }

    fn add(&mut self, severity: Severity, place: Place, path: &Path, message: String) -> &mut Finding {
        let at = self.findings.len();
        self.findings.push(Finding { severity, place, path: path.clone(), message, help: None });
        #[expect(clippy::indexing_slicing, reason = "pushed one line above")]
        &mut self.findings[at]
    }

    /// Covers the text at a place in every line that is printed.
    pub fn cover(&mut self, place: Place) {
        self.masks.cover(self.text, place);
    }

    /// Covers whatever looks like a secret by the words around it: for a text whose structure is not known.
    pub fn cover_by_words(&mut self) {
        self.masks.cover_by_words(self.text);
    }

    /// Whether an error was found at or below a place in the structure.
    #[must_use]
    pub fn has_error_within(&self, path: &Path) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error && f.path.is_within(path))
    }

    /// From here on findings are about what values mean: everything up to now kept parts of the file from being read.
    pub fn shape_is_known(&mut self) {
        self.about_shape = self.findings.len();
    }

    /// Whether something at or below a place could not be read.
    #[must_use]
    pub fn is_unread_within(&self, path: &Path) -> bool {
        self.findings.iter().take(self.about_shape).any(|f| f.path.is_within(path))
    }

    /// Whether any error was found.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.has_error_within(&Path::root())
    }

    /// A value for a message, as written. Not for secrets.
    #[must_use]
    pub fn shown(&self, node: &Node) -> String {
        let text = match (&node.written, &node.value) {
            (Some(text), _) | (None, Value::Text(text)) => text,
            (None, _) => self.written(node.place),
        };
        format!("`{}`", without_passwords(text))
    }

    /// The text at a place, as written.
    #[must_use]
    pub fn written(&self, place: Place) -> &'a str {
        self.text.get(place.start..place.start + place.len).unwrap_or_default()
    }

    /// The place of `needle` within the text at `place`, or `place` itself where it is not literally there.
    #[must_use]
    pub fn within(&self, place: Place, needle: &str) -> Place {
        let Some(found) = self.written(place).find(needle) else { return place };
        let start = place.start + found;
        let line_start = self.line_start(start);
        let before = self.text.get(..start).unwrap_or_default();
        Place {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            start,
            len: needle.len(),
        }
    }

    fn line_start(&self, offset: usize) -> usize {
        self.text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    /// All diagnostics, in the order of the file.
    #[must_use]
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        let mut findings = std::mem::take(&mut self.findings);
        findings.sort_by_key(|f| (f.place.line, f.place.column, f.severity));
        let lines = self.masks.covered_lines(self.text);
        findings
            .into_iter()
            .map(|finding| {
                let source_line =
                    lines.get(finding.place.line.saturating_sub(1)).cloned().unwrap_or_default();
                Diagnostic {
                    severity: finding.severity,
                    file: self.file.to_owned(),
                    line: finding.place.line,
                    column: finding.place.column,
                    path: finding.path.to_string(),
                    message: finding.message,
                    help: finding.help,
                    span_len: span_len(self.text, finding.place, &source_line),
                    source_line,
                }
            })
            .collect()
    }
}

/// The length of a place in characters, up to the end of its first line.
fn span_len(text: &str, place: Place, line: &str) -> usize {
    let spanned = text.get(place.start..place.start + place.len).unwrap_or_default();
    let first = spanned.lines().next().unwrap_or_default().trim_end().chars().count();
    let room = line.chars().count().saturating_sub(place.column.saturating_sub(1));
    first.min(room).max(1)
}
