//! The configuration that `--config` names, read from the disk and the environment.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use weir_config::{Config, Diagnostic, SourceText, Sources, Unusable};
use weir_core::Timestamp;

use crate::diagnostics::Problem;
use crate::files;
use crate::rule_files;
use crate::serve::logging;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "weir.yaml";

/// A configuration that may be put in force, and what it was made of.
#[derive(Debug)]
pub struct Settings {
    /// The checked configuration.
    pub config: Config,
    /// What its operator should know about it.
    pub warnings: Vec<Diagnostic>,
    /// The files it was made of: its own, and the secrets that it reads (`file:PATH`).
    pub read: Vec<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Unloaded {
    /// The file cannot be read.
    Unreadable(String),
    /// The file is wrong; warnings are among the errors.
    Wrong {
        /// What is wrong.
        problems: Vec<Problem>,
        /// The rule files and folders that it lists, as far as they could be read.
        rules: Vec<PathBuf>,
    },
}

impl Unloaded {
    /// Adds what is wrong with the rules that the configuration lists, so that one run shows all there is to mend.
    #[must_use]
    pub fn with_rules(self, now: Timestamp) -> Self {
        match self {
            Self::Wrong { mut problems, rules } => {
                rule_files::load_of_config(&rules, now, &mut problems);
                Self::Wrong { problems, rules: Vec::new() }
            }
            unreadable @ Self::Unreadable(_) => unreadable,
        }
    }
}

impl From<Unusable> for Unloaded {
    fn from(unusable: Unusable) -> Self {
        let problems = unusable.diagnostics.into_iter().map(Problem::from).collect();
        Self::Wrong { problems, rules: unusable.rules }
    }
}

/// The file that is meant: the one that was named, else `./weir.yaml` if it is there.
pub fn chosen(named: Option<&Path>) -> Option<PathBuf> {
    let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists());
    named.map(Path::to_owned).or_else(default)
}

/// The file to watch: the one that was named, else the one that would be read if it came to be.
pub fn watched(named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned)
}

/// Loads the configuration; without a file it is the default one, below the current folder.
///
/// # Errors
/// The file cannot be read, or is wrong.
pub fn load(file: Option<&Path>) -> Result<Settings, Unloaded> {
    let source = file.map(source_text).transpose()?;
    let base = file.and_then(Path::parent).filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = Disk::default();
    let mut loaded = weir_config::load(source.as_ref(), base, &disk)?;
    let read: Vec<PathBuf> = file.map(Path::to_owned).into_iter().chain(disk.read.into_inner()).collect();
    // Whoever writes the configuration gives rights; whoever reads it may find secrets.
    loaded.config.tools.own_files.extend(read.iter().cloned());
    Ok(Settings { config: loaded.config, warnings: loaded.warnings, read })
}

fn source_text(file: &Path) -> Result<SourceText, Unloaded> {
    let text = files::read(file).map_err(|e| Unloaded::Unreadable(format!("configuration {e}")))?;
    Ok(SourceText { name: file.display().to_string(), text })
}

/// The process's environment and file system. Remembers which files were read, so that they can be watched.
#[derive(Debug, Default)]
struct Disk {
    read: RefCell<Vec<PathBuf>>,
}

/// A variable of the environment.
pub fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}

impl Sources for Disk {
    fn variable(&self, name: &str) -> Option<String> {
        variable(name)
    }

    fn read_file(&self, path: &Path) -> Result<String, String> {
        self.read.borrow_mut().push(path.to_owned());
        files::read(path).map_err(|unreadable| unreadable.error.to_string())
    }

    fn check_log_filter(&self, filter: &str) -> Result<(), String> {
        logging::filter(filter).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_the_defaults_lie_below_the_current_folder() {
        let settings = load(None).unwrap();
        assert_eq!(settings.config.data_dir, Path::new("weir-data"));
        assert!(settings.read.is_empty());
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.yaml");
        std::fs::write(&file, "data_dir: ./data\n").unwrap();
        let settings = load(Some(&file)).unwrap();
        assert_eq!(settings.config.data_dir.canonicalize().ok(), None, "it is not made by reading");
        assert!(settings.config.data_dir.starts_with(folder.path()));
        assert_eq!(settings.read, [file]);
    }

    #[test]
    fn a_named_file_that_is_not_there_is_unreadable() {
        let error = load(Some(Path::new("no/such/weir.yaml"))).unwrap_err();
        assert!(matches!(error, Unloaded::Unreadable(said) if said.contains("no/such/weir.yaml")));
    }
}
