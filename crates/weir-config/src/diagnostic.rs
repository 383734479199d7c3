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

/// How much of a long line is shown.
const EXCERPT_CHARS: usize = 200;

impl Diagnostic {
    /// The part of the line around the column, and the white space that leads to the column below it.
    fn excerpt(&self) -> (String, String) {
        let before = self.column.saturating_sub(1);
        let is_long = self.source_line.chars().count() > EXCERPT_CHARS;
        let skipped = if is_long { before.saturating_sub(EXCERPT_CHARS / 2) } else { 0 };
        let shown = self.source_line.chars().skip(skipped);
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let margin: String = shown.clone().take(before - skipped).map(blank).collect();
        if is_long {
            (format!("…{}…", shown.take(EXCERPT_CHARS).collect::<String>()), format!(" {margin}"))
        } else {
            (shown.collect(), margin)
        }
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
        let (line, margin) = self.excerpt();
        write!(f, "\n{gutter} |\n{} | {line}\n", self.line)?;
        write!(f, "{gutter} | {margin}{}", "^".repeat(self.span_len.clamp(1, EXCERPT_CHARS / 2)))?;
        match &self.help {
            Some(help) => write!(f, "\n{gutter} = help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}
