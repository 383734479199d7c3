//! `weir rules`: the rule store. It goes through the same book as the admin API; running nodes follow within a second.

use serde::Serialize;
use weir_config::Config;
use weir_console::rulebook::{Applied, ApplyError, Master, Rulebook};
use weir_core::words::counted;
use weir_rules::replay::Report;
use weir_rules::{Change, ChangeKind, SourceFile};
use weir_store::Database;
use weir_store::clock::SystemClock;
use weir_store::database::RulesVersion;

use super::{author, backtest, load_settings, refuse};
use crate::cli::{RulesArgs, RulesCommand};
use crate::diagnostics::{self, Problem};
use crate::exit::{Failure, Verdict, say};
use crate::{output, rule_files, store};

/// How many versions `weir rules history` lists.
const HISTORY_MAX: u32 = 500;

/// Runs the command.
///
/// # Errors
/// The rules are wrong or written in files, the epoch is another one, the store fails.
pub fn run(args: &RulesArgs) -> Result<Verdict, Failure> {
    let files = match &args.command {
        RulesCommand::Apply { files, .. } | RulesCommand::Diff { files, .. } => {
            rule_files::of_command_line(files)?
        }
        RulesCommand::Export | RulesCommand::History | RulesCommand::Rollback { .. } => Vec::new(),
    };
    let settings = load_settings(args.config.config.as_deref())?;
    store::run(async {
        let config = &settings.config;
        let database = match &args.command {
            RulesCommand::Apply { .. } => store::database(config).await?,
            _ => store::existing(config).await?,
        };
        let book = Rulebook::new(database.clone(), None, master(config), SystemClock::shared());
        let json = args.json.json;
        match &args.command {
            RulesCommand::Apply { expect_epoch, .. } => apply(&book, &files, *expect_epoch, json).await,
            RulesCommand::Diff { since, .. } => diff(&book, &database, &files, since, json).await,
            RulesCommand::Export => export(&book, json).await,
            RulesCommand::History => history(&book, json).await,
            RulesCommand::Rollback { epoch } => rollback(&book, *epoch, json).await,
        }
    })
}

/// Where a configuration keeps its rules.
pub fn master(config: &Config) -> Master {
    config.rules.clone().map_or(Master::Store, Master::Files)
}

pub fn failed(error: ApplyError) -> Failure {
    match error {
        ApplyError::Diagnostics(found) => refuse(&found.into_iter().map(Problem::from).collect::<Vec<_>>()),
        ApplyError::Store(error) => Failure::dependency("the store", error),
        ApplyError::FilesAreMaster(_)
        | ApplyError::Conflict { .. }
        | ApplyError::UnknownRule(_)
        | ApplyError::RuleExists(_)
        | ApplyError::NotStopped(_)
        | ApplyError::UnknownEpoch(_) => Failure::No(error.to_string()),
    }
}

async fn apply(
    book: &Rulebook,
    files: &[SourceFile],
    expected: Option<u64>,
    json: bool,
) -> Result<Verdict, Failure> {
    if files.is_empty() {
        // A mistyped folder must not take all rules away.
        let said =
            "the folder has no rule file (*.yaml, *.yml); to have no rules apply a file with `rules: []`";
        return Err(Failure::Input(said.to_owned()));
    }
    let applied = book.apply(files, &author(), expected).await.map_err(failed)?;
    store::followed().await;
    told(&applied, json)
}

async fn rollback(book: &Rulebook, epoch: u64, json: bool) -> Result<Verdict, Failure> {
    let applied = book.rollback(epoch, &author(), None).await.map_err(failed)?;
    store::followed().await;
    told(&applied, json)
}

fn told(applied: &Applied, json: bool) -> Result<Verdict, Failure> {
    if json {
        output::json(applied)?;
    } else {
        diagnostics::print(&applied.warnings.iter().cloned().map(Problem::from).collect::<Vec<_>>());
        let mut text = lines(&applied.changes);
        text.push_str(&format!("{}; the rules are at epoch {}\n", summary(&applied.changes), applied.epoch));
        output::text(&text)?;
    }
    Ok(Verdict::Good)
}

/// What `diff` answers to programs.
#[derive(Serialize)]
struct Difference<'c> {
    changes: &'c [Change],
    /// What would change of recorded decisions; none when no rule differs.
    backtest: Option<&'c Report>,
}

async fn diff(
    book: &Rulebook,
    database: &Database,
    files: &[SourceFile],
    since: &str,
    json: bool,
) -> Result<Verdict, Failure> {
    let changes = book.compare(files).await.map_err(failed)?;
    let mut report = None;
    if !changes.is_empty() {
        report = Some(rehearsed(database, files, since).await?);
    }
    if json {
        output::json(&Difference { changes: &changes, backtest: report.as_ref() })?;
    } else {
        let said = report.as_ref().map(backtest::changed_text).unwrap_or_default();
        output::text(&format!("{}{}\n{said}", lines(&changes), summary(&changes)))?;
    }
    Ok(if report.is_none_or(|report| report.complete) { Verdict::Good } else { Verdict::No })
}

/// What the rules would have decided on what is recorded.
async fn rehearsed(database: &Database, files: &[SourceFile], since: &str) -> Result<Report, Failure> {
    let report = backtest::replay(database, backtest::asked(files, (since, None), None)?).await?;
    if report.records == 0 {
        say(format_args!("no decision is recorded since {since}: what would change of them is not known"));
    }
    Ok(report)
}

/// A line for each rule that differs: `+` new, `-` gone, `~` other keys, `^` another place.
fn lines(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let fields = change.fields.join(", ");
        match change.kind {
            ChangeKind::Added => format!("+ {}\n", change.rule),
            ChangeKind::Removed => format!("- {}\n", change.rule),
            ChangeKind::Changed => format!("~ {} ({fields})\n", change.rule),
            ChangeKind::Reordered => format!("^ {}\n", change.rule),
        }
    };
    changes.iter().map(line).collect()
}

fn summary(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no rule differs".to_owned();
    }
    let of = |kind| changes.iter().filter(|change| change.kind == kind).count();
    let kinds = [
        (of(ChangeKind::Added), "added"),
        (of(ChangeKind::Removed), "removed"),
        (of(ChangeKind::Changed), "changed"),
        (of(ChangeKind::Reordered), "moved"),
    ];
    let said: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("{}: {}", counted(changes.len(), "rule"), said.join(", "))
}

/// What `export` answers to programs.
#[derive(Serialize)]
struct Exported {
    epoch: u64,
    text: String,
}

async fn export(book: &Rulebook, json: bool) -> Result<Verdict, Failure> {
    let (epoch, text) = book.export().await.map_err(failed)?;
    if json {
        output::json(&Exported { epoch, text })?;
    } else {
        output::text(&text)?;
    }
    Ok(Verdict::Good)
}

async fn history(book: &Rulebook, json: bool) -> Result<Verdict, Failure> {
    let versions = book.history(HISTORY_MAX).await.map_err(failed)?;
    if json {
        output::json(&versions)?;
    } else if versions.is_empty() {
        say("no rules have been stored yet");
    } else {
        let rows: Vec<_> = versions.iter().map(row).collect();
        output::text(&output::table(["EPOCH", "AT (UTC)", "BY", "WHAT"], &rows))?;
    }
    Ok(Verdict::Good)
}

fn row(version: &RulesVersion) -> [String; 4] {
    [
        version.epoch.to_string(),
        version.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        version.author.clone(),
        version.summary.clone(),
    ]
}
