//! Rule files and folders to rules, with everything that is wrong on the way.

use std::path::PathBuf;

use weir_core::Timestamp;
use weir_rules::{LoadOptions, RuleSet, Severity, SourceFile};

use crate::diagnostics::Problem;
use crate::exit::Failure;
use crate::files::{self, Absent, Unreadable};

/// The texts of rule files, and what is wrong or doubtful about the list that named them.
#[derive(Debug, Default)]
pub struct Texts {
    /// Those that could be read, in the order of the list.
    pub files: Vec<SourceFile>,
    /// Folders that are not there, which is a warning; files that are not there or cannot be read, which is an error
    /// in the configuration's own set of errors.
    pub problems: Vec<Problem>,
}

/// Reads the files and folders that a configuration lists.
pub fn of_config(paths: &[PathBuf]) -> Texts {
    let (mut texts, unreadable) = read(paths, Absent::FolderIsEmpty);
    texts.problems.extend(unreadable.into_iter().map(|u| {
        let message = format!("rule file cannot be read: {}", u.error);
        Problem::of_file(Severity::Error, u.path.display().to_string(), message)
    }));
    texts
}

/// Reads the files and folders that a configuration lists, and compiles what can be read. Everything that is wrong or
/// doubtful is added to `problems`; `None` when some of it is an error.
pub fn load_of_config(
    paths: &[PathBuf],
    now: Timestamp,
    problems: &mut Vec<Problem>,
) -> Option<(Vec<SourceFile>, RuleSet)> {
    let texts = of_config(paths);
    let all_read = !texts.problems.iter().any(Problem::is_error);
    problems.extend(texts.problems);
    let rules = compile(&texts.files, now, problems).filter(|_| all_read)?;
    Some((texts.files, rules))
}

/// Reads the files and folders of a command line.
///
/// # Errors
/// Unreadable input, all of it named.
pub fn of_command_line(paths: &[PathBuf]) -> Result<Vec<SourceFile>, Failure> {
    let (texts, unreadable) = read(paths, Absent::IsError);
    if unreadable.is_empty() {
        return Ok(texts.files);
    }
    let said: Vec<String> = unreadable.iter().map(|u| format!("rules {u}")).collect();
    Err(Failure::Input(said.join("\nerror: ")))
}

/// What can be read, with warnings, and what cannot.
fn read(paths: &[PathBuf], absent: Absent) -> (Texts, Vec<Unreadable>) {
    let (listing, mut unreadable) = files::list(paths, absent);
    let mut texts = Texts::default();
    for path in listing.files {
        match files::read(&path) {
            Ok(text) => texts.files.push(SourceFile { name: path.display().to_string(), text }),
            Err(error) => unreadable.push(error),
        }
    }
    for folder in listing.absent_folders {
        let message = "this rules folder does not exist: it counts as empty";
        texts.problems.push(Problem::of_file(Severity::Warning, folder.display().to_string(), message));
    }
    (texts, unreadable)
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
