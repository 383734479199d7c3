//! The commands. Each turns what was written on the command line into a verdict, a failure or a running server.

mod agent;
mod approvals;
mod backtest;
mod check;
mod decide;
mod explain;
mod hook;
mod keys;
mod mcp;
pub mod rules;

use std::path::Path;

use crate::cli::Command;
use crate::diagnostics::{self, Problem, count, counted};
use crate::exit::{Failure, Verdict};
use crate::serve;
use crate::settings::{self, Settings, Unloaded};

/// Runs a command to its end.
///
/// # Errors
/// It could not do what it was asked.
pub fn run(command: Command) -> Result<Verdict, Failure> {
    match command {
        Command::Agent(args) => agent::run(&args),
        Command::Approvals(args) => approvals::run(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Hook(args) => hook::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Mcp(args) => mcp::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Serve(args) => serve::run(&args),
    }
}

/// Loads the configuration for a command that needs it. Warnings are for `weir check` and `weir serve` to tell.
pub fn load_settings(named: Option<&Path>) -> Result<Settings, Failure> {
    settings::load(settings::chosen(named).as_deref()).map_err(refuse_unloaded)
}

/// Prints what is wrong with a configuration.
pub fn refuse_unloaded(unloaded: Unloaded) -> Failure {
    match unloaded {
        Unloaded::Unreadable(said) => Failure::Input(said),
        Unloaded::Wrong { problems, .. } => refuse(&problems),
    }
}

/// Prints what is wrong and says how much it was.
pub fn refuse(problems: &[Problem]) -> Failure {
    diagnostics::print(problems);
    Failure::No(format!("{} found", counted(count(problems).0, "error")))
}

/// Who writes, for the history: the account at this machine, which is a claim and no proof.
fn author() -> String {
    account().map_or_else(|| "cli".to_owned(), |name| format!("cli:{name}"))
}

/// The login name at this machine.
fn account() -> Option<String> {
    let account = std::env::var_os("USER").or_else(|| std::env::var_os("LOGNAME"));
    account.and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty())
}
