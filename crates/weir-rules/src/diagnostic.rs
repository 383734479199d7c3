//! What is wrong with rules, for people and for programs: file, line, column, the source line and a way out.

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The rules cannot be used.
    Error,
    /// The rules can be used, but probably do not say what was meant.
    Warning,
}

impl Severity {
    /// The word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong, and where.
///
/// `Display` renders it as compilers do, without a final line break; `Serialize` gives
/// `{severity, file, rule, path, line, column, message, help}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The name of the file.
    pub file: String,
    /// The line, from 1; 0 when the place is the file as a whole.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The id of the rule it concerns, where there is one.
    pub rule: Option<String>,
    /// The place in the document, such as `rules[2].when`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The way out, where there is one.
    pub help: Option<String>,
    /// The text of the line.
    pub source_line: Option<String>,
    /// How many characters of the line are meant, at least 1.
    pub span_len: usize,
}

impl Diagnostic {
    /// Whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Tabs would move the caret away from what it points at.
fn without_tabs(line: &str) -> String {
    line.replace('\t', " ")
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.as_str(), self.message)?;
        let number = format!("{:>2}", self.line);
        let gutter = " ".repeat(number.len());
        if self.line == 0 {
            write!(f, "\n{gutter}--> {}", self.file)?;
        } else {
            write!(f, "\n{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        }
        if let Some(source) = &self.source_line {
            let indent = " ".repeat(self.column.saturating_sub(1));
            let carets = "^".repeat(self.span_len.max(1));
            write!(f, "\n{gutter} |\n{number} | {}", without_tabs(source))?;
            write!(f, "\n{gutter} | {indent}{carets}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'d> {
            severity: Severity,
            file: &'d str,
            rule: Option<&'d str>,
            path: &'d str,
            line: usize,
            column: usize,
            message: &'d str,
            help: Option<&'d str>,
        }
        Wire {
            severity: self.severity,
            file: &self.file,
            rule: self.rule.as_deref(),
            path: &self.path,
            line: self.line,
            column: self.column,
            message: &self.message,
            help: self.help.as_deref(),
        }
        .serialize(serializer)
    }
}
