//! Rule files and folders to rules, with everything that is wrong on the way.

use std::path::PathBuf;

use weir_core::Timestamp;
use weir_rules::{LoadOptions, RuleSet, Severity, SourceFile};

use crate::diagnostics::Problem;
use crate::exit::Failure;
use crate::files::{self, Absent, Unreadable};

/// The texts of rule files, and what is worth a warning about the list that named them.
#[derive(Debug, Default)]
pub struct Texts {
    /// In the order of the list.
    pub files: Vec<SourceFile>,
    /// Warnings only.
    pub warnings: Vec<Problem>,
}

/// Reads the files and folders that a configuration lists.
///
/// # Errors
/// A listed file that is not there, or one that cannot be read: an error in the configuration's own set of errors.
pub fn of_config(paths: &[PathBuf]) -> Result<Texts, Vec<Problem>> {
    read(paths, Absent::FolderIsEmpty).map_err(|unreadable| {
        let problem = |u: Unreadable| {
            let message = format!("rule file cannot be read: {}", u.error);
            Problem::of_file(Severity::Error, u.path.display().to_string(), message)
        };
        unreadable.into_iter().map(problem).collect()
    })
}

/// Reads the files and folders of a command line.
///
/// # Errors
/// Unreadable input, all of it named.
pub fn of_command_line(paths: &[PathBuf]) -> Result<Vec<SourceFile>, Failure> {
    read(paths, Absent::IsError).map(|texts| texts.files).map_err(|unreadable| {
        let said: Vec<String> = unreadable.iter().map(|u| format!("rules {u}")).collect();
        Failure::Input(said.join("\nerror: "))
    })
}

fn read(paths: &[PathBuf], absent: Absent) -> Result<Texts, Vec<Unreadable>> {
    let listing = files::list(paths, absent)?;
    let mut texts = Texts::default();
    let mut unreadable = Vec::new();
    for path in listing.files {
        match files::read(&path) {
            Ok(text) => texts.files.push(SourceFile { name: path.display().to_string(), text }),
            Err(error) => unreadable.push(error),
        }
    }
    for folder in listing.absent_folders {
        let message = "this rules folder does not exist: it counts as empty";
        texts.warnings.push(Problem::of_file(Severity::Warning, folder.display().to_string(), message));
    }
    if unreadable.is_empty() { Ok(texts) } else { Err(unreadable) }
}

/// Compiles rules and runs their examples. What is wrong or doubtful is added to `problems`; `None` when some of it
/// is an error.
pub fn compile(files: &[SourceFile], now: Timestamp, problems: &mut Vec<Problem>) -> Option<RuleSet> {
    match weir_rules::load(files, &LoadOptions { now }) {
        Ok(loaded) => {
            problems.extend(loaded.warnings.into_iter().map(Problem::from));
            Some(loaded.rules)
        }
        Err(failure) => {
            problems.extend(failure.diagnostics.into_iter().map(Problem::from));
            None
        }
    }
}
