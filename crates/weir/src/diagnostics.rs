//! What is wrong with a configuration and its rules, told together and in one form.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::exit::say;

/// One diagnostic, of whichever file.
#[derive(Clone, Debug)]
pub enum Problem {
    /// Of the configuration.
    Config(weir_config::Diagnostic),
    /// Of the rules.
    Rules(weir_rules::Diagnostic),
}

impl From<weir_config::Diagnostic> for Problem {
    fn from(diagnostic: weir_config::Diagnostic) -> Self {
        Self::Config(diagnostic)
    }
}

impl From<weir_rules::Diagnostic> for Problem {
    fn from(diagnostic: weir_rules::Diagnostic) -> Self {
        Self::Rules(diagnostic)
    }
}

impl Problem {
    /// Whether what it is about cannot be used.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Config(diagnostic) => diagnostic.is_error(),
            Self::Rules(diagnostic) => diagnostic.is_error(),
        }
    }

    /// A diagnostic of a file as a whole.
    pub fn of_file(
        severity: weir_rules::Severity,
        file: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::Rules(weir_rules::Diagnostic {
            severity,
            file: file.into(),
            line: 0,
            column: 0,
            rule: None,
            path: String::new(),
            message: message.into(),
            help: None,
            source_line: None,
            span_len: 1,
        })
    }

    /// One line, for the log.
    pub fn in_one_line(&self) -> String {
        match self {
            Self::Config(d) => format!("{}:{}:{}: {}", d.file, d.line, d.column, d.message),
            Self::Rules(d) if d.line == 0 => format!("{}: {}", d.file, d.message),
            Self::Rules(d) => format!("{}:{}:{}: {}", d.file, d.line, d.column, d.message),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(diagnostic) => diagnostic.fmt(f),
            Self::Rules(diagnostic) => diagnostic.fmt(f),
        }
    }
}

/// One form for both: that of the admin API's errors, with the file and the severity.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'d> {
            severity: weir_config::Severity,
            file: &'d str,
            rule: Option<&'d str>,
            path: &'d str,
            line: usize,
            column: usize,
            message: &'d str,
            help: Option<&'d str>,
        }
        match self {
            Self::Rules(diagnostic) => diagnostic.serialize(serializer),
            Self::Config(d) => Wire {
                severity: d.severity,
                file: &d.file,
                rule: None,
                path: &d.path,
                line: d.line,
                column: d.column,
                message: &d.message,
                help: d.help.as_deref(),
            }
            .serialize(serializer),
        }
    }
}

/// How many of the problems are errors, and how many are warnings.
pub fn count(problems: &[Problem]) -> (usize, usize) {
    let errors = problems.iter().filter(|p| p.is_error()).count();
    (errors, problems.len() - errors)
}

/// Prints all of them on stderr, a blank line after each.
pub fn print(problems: &[Problem]) {
    for problem in problems {
        say(format_args!("{problem}\n"));
    }
}
