//! What is wrong with a configuration, and where, for people and for programs.

use std::fmt;

use serde::Serialize;

/// Whether a configuration with this diagnostic may be put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It may not.
    Error,
    /// It may, but its operator should look at it.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong, with its place. It never holds a secret: a source line shows variables as they are
/// written, and a secret that is written out is covered with asterisks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file's name; empty for the default configuration.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The place in the structure: `providers[1].apis[0]`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line of the file, with secrets covered.
    pub source_line: String,
    /// How many characters of the line it is about, from `column`; at least 1.
    pub span_len: usize,
}

impl Diagnostic {
    /// Whether it keeps the configuration from being put in force.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity, self.message)?;
        let gutter = " ".repeat(self.line.to_string().len());
        write!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        let margin: String = self
            .source_line
            .chars()
            .take(self.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "\n{gutter} |\n{} | {}\n", self.line, self.source_line)?;
        write!(f, "{gutter} | {margin}{}", "^".repeat(self.span_len.max(1)))?;
        match &self.help {
            Some(help) => write!(f, "\n{gutter} = help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}
