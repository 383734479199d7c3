//! The commands. Each turns what was written on the command line into a verdict, a failure or a running server.

mod agent;
mod approvals;
mod backtest;
mod check;
mod decide;
mod explain;
mod hook;
mod import;
mod keys;
mod mcp;
pub mod rules;

use std::path::Path;

use weir_core::words::counted;

use crate::cli::Command;
use crate::diagnostics::{self, Problem, count};
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
        Command::Import(args) => import::run(&args),
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

/// The login name at this machine: what the environment says, else the name of the account that runs this, else its number.
/// A service has no such environment, and is somebody all the same.
fn account() -> Option<String> {
    let variable = |name| {
        let value = std::env::var_os(name)?.into_string().ok()?;
        Some(value).filter(|value| !value.trim().is_empty())
    };
    let named = || {
        let uid = rustix::process::getuid().as_raw().to_string();
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(name_of(&uid, &accounts).unwrap_or_else(|| format!("uid-{uid}")))
    };
    variable("USER").or_else(|| variable("LOGNAME")).or_else(named)
}

/// The name of an account in a list as `/etc/passwd` is one.
fn name_of(uid: &str, accounts: &str) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_an_environment_has_a_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\n\n:x:5::\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        for (uid, name) in [("0", Some("root")), ("1000", Some("ada")), ("5", None), ("7", None)] {
            assert_eq!(name_of(uid, accounts).as_deref(), name, "{uid}");
        }
    }
}
