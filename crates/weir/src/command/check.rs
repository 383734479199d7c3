//! `weir check`: whether a configuration and its rules, or rules alone, would load.

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use weir_core::clock::Clock as _;
use weir_core::words::counted;
use weir_rules::{RuleSet, SourceFile};
use weir_store::clock::SystemClock;

use crate::cli::CheckArgs;
use crate::diagnostics::{self, Problem, count};
use crate::exit::{Failure, Verdict};
use crate::rule_files;
use crate::settings::{self, Unloaded};

/// What was checked and found.
#[derive(Debug, Default)]
struct Checked {
    /// The rules, when they can be used; none were looked at when there are none to look at.
    rules: Option<RuleSet>,
    /// The configuration, by the name of its file.
    config: Option<String>,
    problems: Vec<Problem>,
}

/// The result for programs.
#[derive(Serialize)]
struct Report<'c> {
    ok: bool,
    config: Option<&'c str>,
    rules: usize,
    examples: usize,
    errors: usize,
    warnings: usize,
    diagnostics: &'c [Problem],
}

/// Runs the command.
///
/// # Errors
/// Unreadable input.
pub fn run(args: &CheckArgs) -> Result<Verdict, Failure> {
    if args.schema {
        let schema = weir_config::schema();
        writeln!(io::stdout().lock(), "{schema:#}")?;
        return Ok(Verdict::Good);
    }
    let checked = if args.files.is_empty() {
        check_config(settings::chosen(args.config.config.as_deref()).as_deref())?
    } else {
        let mut checked = Checked::default();
        checked.compile(&rule_files::of_command_line(&args.files)?);
        checked
    };
    checked.tell(args.json.json)
}

/// Checks what `weir serve` would load.
fn check_config(file: Option<&Path>) -> Result<Checked, Failure> {
    let config = file.map_or_else(|| "the default configuration".to_owned(), |f| f.display().to_string());
    let mut checked = Checked { config: Some(config), ..Checked::default() };
    let now = SystemClock.now();
    match settings::load(file).map_err(|unloaded| unloaded.with_rules(now)) {
        Ok(settings) => {
            checked.problems.extend(settings.warnings.into_iter().map(Problem::from));
            let listed = settings.config.rules.unwrap_or_default();
            let loaded = rule_files::load_of_config(&listed, now, &mut checked.problems);
            checked.rules = loaded.map(|(_, rules)| rules);
        }
        Err(Unloaded::Wrong { problems, .. }) => checked.problems = problems,
        Err(Unloaded::Unreadable(said)) => return Err(Failure::Input(said)),
    }
    Ok(checked)
}

impl Checked {
    fn compile(&mut self, files: &[SourceFile]) {
        self.rules = rule_files::compile(files, SystemClock.now(), &mut self.problems);
    }

    fn examples(&self) -> usize {
        let of_rule =
            |r: &weir_rules::Rule| r.examples_match.iter().count() + r.examples_no_match.iter().count();
        self.rules.as_ref().map_or(0, |rules| rules.rules().iter().map(of_rule).sum())
    }

    fn tell(&self, json: bool) -> Result<Verdict, Failure> {
        let (errors, warnings) = count(&self.problems);
        let rules = self.rules.as_ref().map_or(0, |rules| rules.rules().len());
        let mut out = io::stdout().lock();
        if json {
            let report = Report {
                ok: errors == 0,
                config: self.config.as_deref(),
                rules,
                examples: self.examples(),
                errors,
                warnings,
                diagnostics: &self.problems,
            };
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            diagnostics::print(&self.problems);
            writeln!(out, "{}", self.summary(errors, warnings, rules))?;
        }
        Ok(if errors == 0 { Verdict::Good } else { Verdict::No })
    }

    fn summary(&self, errors: usize, warnings: usize, rules: usize) -> String {
        let of = self.config.as_ref().map(|config| format!("{config}: ")).unwrap_or_default();
        let warned = counted(warnings, "warning");
        if errors > 0 {
            return format!("{of}{}, {warned}", counted(errors, "error"));
        }
        let (rules, examples) = (counted(rules, "rule"), counted(self.examples(), "example"));
        format!("{of}{rules}, {examples} passed, {warned}")
    }
}
