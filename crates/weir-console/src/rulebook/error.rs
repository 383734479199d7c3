//! Why a write was refused.

use std::path::PathBuf;

use weir_rules::Diagnostic;
use weir_store::StoreError;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The rules have errors; all of them, and the warnings.
    #[error("the rules have errors")]
    Diagnostics(Vec<Diagnostic>),
    /// The set that was changed from is not the one in force.
    #[error("the rules in force are those of epoch {current}{}", based(*.expected))]
    Conflict {
        /// The epoch in force.
        current: u64,
        /// The epoch that the change was based on.
        expected: Option<u64>,
    },
    /// The rules are written in files.
    #[error("the rules are written in files: {}", list(.0))]
    FilesAreMaster(Vec<PathBuf>),
    /// There is no rule with this id.
    #[error("there is no rule `{0}`")]
    UnknownRule(String),
    /// The rule is not stopped, in the version that is in force.
    #[error("the rule `{0}` is not stopped")]
    NotStopped(String),
    /// There is a rule with this id already.
    #[error("there is a rule `{0}` already")]
    RuleExists(String),
    /// The history has no set of this epoch.
    #[error("the history has no rules of epoch {0}")]
    UnknownEpoch(u64),
    /// The store could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn based(expected: Option<u64>) -> String {
    expected.map(|epoch| format!(", and this was based on epoch {epoch}")).unwrap_or_default()
}

fn list(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(", ")
}
