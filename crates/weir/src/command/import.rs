//! `weir import`: the configuration of another product as weir's. Nothing is put in force, and nothing is read but the
//! files that are named.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use weir_config::SourceText;
use weir_config::import::{Imported, litellm, litellm_includes};
use weir_core::words::counted;

use crate::cli::{ImportArgs, ImportCommand, ImportLitellmArgs};
use crate::diagnostics::{self, Problem};
use crate::exit::{Failure, Verdict, say};
use crate::{files, output};

/// Files that one configuration may include.
const INCLUDES_MAX: usize = 100;

/// Runs the command.
///
/// # Errors
/// A file cannot be read; the result cannot be written.
pub fn run(args: &ImportArgs) -> Result<Verdict, Failure> {
    match &args.command {
        ImportCommand::Litellm(args) => from_litellm(args),
    }
}

fn from_litellm(args: &ImportLitellmArgs) -> Result<Verdict, Failure> {
    let first = source(&args.file)?;
    let included = litellm_includes(&first);
    if included.len() > INCLUDES_MAX {
        return Err(Failure::Input(format!(
            "`{}` includes {} files: at most {INCLUDES_MAX} are read",
            args.file.display(),
            included.len()
        )));
    }
    let base = args.file.parent().unwrap_or(Path::new(""));
    let mut sources = vec![first];
    for name in included {
        let path = base.join(name);
        if is_same_file(&path, &args.file) {
            return Err(Failure::Input(format!(
                "`{}` includes itself: take its name out of `include`",
                args.file.display()
            )));
        }
        sources.push(source(&path)?);
    }
    let imported = litellm(&sources).map_err(|found| {
        diagnostics::print(&found.into_iter().map(Problem::from).collect::<Vec<_>>());
        Failure::Input(format!("`{}` cannot be read as a LiteLLM configuration", args.file.display()))
    })?;
    match &args.output {
        None => output::text(&imported.text)?,
        Some(path) => write(path, &imported.text)?,
    }
    tell(&imported, args);
    Ok(Verdict::Good)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn source(path: &Path) -> Result<SourceText, Failure> {
    let text = files::read(path).map_err(|unreadable| Failure::Input(unreadable.to_string()))?;
    Ok(SourceText { name: path.display().to_string(), text })
}

/// A file that is there already is somebody's.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::No(format!("`{}` is there already: choose another name, or remove it", path.display()))
        }
        _ => Failure::Input(format!("`{}` cannot be written: {error}", path.display())),
    })?;
    Ok(file.write_all(text.as_bytes())?)
}

/// On stderr, so that the result can be piped.
fn tell(imported: &Imported, args: &ImportLitellmArgs) {
    let mut said: Vec<String> = imported.notes.iter().map(ToString::to_string).collect();
    if !imported.variables.is_empty() {
        said.push(format!("set in the environment of weir: {}", imported.variables.join(", ")));
    }
    if let Some(path) = &args.output {
        said.push(format!("check it with: weir check --config {}", path.display()));
    }
    said.push(format!("{} not carried over, or not as it was", counted(imported.notes.len(), "setting")));
    for line in said {
        say(format_args!("{line}"));
    }
}
