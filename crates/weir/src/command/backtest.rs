//! `weir backtest`: what candidate rules would have decided on the recorded decisions.

mod text;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use weir_console::backtests::{Asked, Progress, parse_time, run as run_backtest};
use weir_core::clock::Clock as _;
use weir_core::words::grouped;
use weir_core::{Boundary, Timestamp};
use weir_rules::SourceFile;
use weir_rules::replay::Report;
use weir_store::Database;
use weir_store::clock::SystemClock;

use super::{load_settings, refuse};
use crate::cli::{BacktestArgs, On};
use crate::diagnostics::{self, Problem};
use crate::exit::{Failure, Verdict, say};
use crate::{output, rule_files, store};

pub use text::changed_text;

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_millis(250);

/// Runs the command.
///
/// # Errors
/// The rules are wrong or cannot be read, a time is none, the store fails.
pub fn run(args: &BacktestArgs) -> Result<Verdict, Failure> {
    let files = rule_files::of_command_line(&args.files)?;
    if files.is_empty() {
        let said = "the folder has no rule file (*.yaml, *.yml); to try having no rules give a file with `rules: []`";
        return Err(Failure::Input(said.to_owned()));
    }
    let asked = asked(&files, (&args.since, args.until.as_deref()), args.boundary)?;
    let settings = load_settings(args.config.config.as_deref())?;
    store::run(async {
        let database = store::existing(&settings.config).await?;
        let report = replay(&database, asked).await?;
        if args.json.json {
            output::json(&report)?;
        } else {
            output::text(&text::of(&report))?;
        }
        // What was stopped is no whole answer.
        Ok(if report.complete { Verdict::Good } else { Verdict::No })
    })
}

/// Loads the candidate, telling its warnings, and reads the times.
///
/// # Errors
/// The rules have errors, or a time is none.
pub fn asked(
    files: &[SourceFile],
    (since, until): (&str, Option<&str>),
    boundary: Option<On>,
) -> Result<Asked, Failure> {
    let now = SystemClock.now();
    let time = |option: &str, text: &str| {
        parse_time(text, now).map_err(|error| Failure::Input(format!("{option}: {error}")))
    };
    let since = time("--since", since)?;
    let until = until.map(|until| time("--until", until)).transpose()?;
    if until.is_some_and(|until| until <= since) {
        return Err(Failure::Input("--until: it must be later than --since".to_owned()));
    }
    let rules = candidate(files, now)?;
    let boundary = boundary.map(|on| match on {
        On::Request => Boundary::Request,
        On::Failure => Boundary::Failure,
        On::Tool => Boundary::Tool,
    });
    Ok(Asked { rules, since, until, boundary })
}

fn candidate(files: &[SourceFile], now: Timestamp) -> Result<Arc<weir_rules::RuleSet>, Failure> {
    let mut problems: Vec<Problem> = Vec::new();
    match rule_files::compile(files, now, &mut problems) {
        Some(rules) => {
            diagnostics::print(&problems);
            Ok(Arc::new(rules))
        }
        None => Err(refuse(&problems)),
    }
}

/// Replays, telling its progress at a terminal. Ctrl-C stops it; what was seen until then is reported.
///
/// # Errors
/// The store fails.
pub async fn replay(database: &Database, asked: Asked) -> Result<Report, Failure> {
    let progress = Progress::default();
    let tells = io::stderr().is_terminal();
    let mut work = std::pin::pin!(run_backtest(database, asked, &progress));
    let done = loop {
        tokio::select! {
            biased;
            done = &mut work => break done,
            pressed = tokio::signal::ctrl_c(), if !progress.is_stopped() => {
                if pressed.is_ok() {
                    progress.stop();
                }
            }
            () = SystemClock.sleep(TOLD_EVERY), if tells => tell(&progress),
        }
    };
    if tells {
        // The line of the progress is wiped.
        let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
    }
    let report = done.map_err(|error| Failure::dependency("the store", error))?;
    if !report.complete {
        say("stopped: the result covers what was replayed until then");
    }
    Ok(report)
}

fn tell(progress: &Progress) {
    let (done, total) = (progress.done(), progress.total());
    let share = done.saturating_mul(100).checked_div(total).unwrap_or(0).min(100);
    let mut stderr = io::stderr().lock();
    let _ = write!(
        stderr,
        "\r\u{1b}[Kreplaying: {} of {} records ({share} %); Ctrl-C stops",
        grouped(done),
        grouped(total)
    );
    let _ = stderr.flush();
}
