//! The weir binary: reads the command line and the configuration, builds the parts, wires them.

mod cli;
mod command;
mod diagnostics;
mod exit;
mod files;
mod output;
mod rule_files;
mod serve;
mod settings;
mod store;
mod tool_gate;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::Cli;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything can speak TLS: two providers may be compiled in, and rustls does not choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no errors; clap knows where to print what.
        Err(message) => {
            let _ = message.print();
            return if message.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let Some(command) = cli.command else {
        let _ = Cli::command().print_help();
        return ExitCode::SUCCESS;
    };
    match command::run(command) {
        Ok(verdict) => verdict.into(),
        Err(failure) => failure.report(),
    }
}
