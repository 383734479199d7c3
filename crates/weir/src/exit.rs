//! How a command ends: the four exit codes of the contract, and what is said on stderr with them.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// How a command ended that did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit 0.
    Good,
    /// Exit 1: the answer is no, and all that is to say has been said.
    No,
    /// Exit 2: some of the input could not be read, and its place in the output says so.
    BadInput,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Good => Self::SUCCESS,
            Verdict::No => Self::from(1),
            Verdict::BadInput => Self::from(2),
        }
    }
}

/// Why a command could not do what it was asked. The text is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit 1: it may not be, or is not there.
    #[error("{0}")]
    No(String),
    /// Exit 2: the command line, a file or stdin could not be read.
    #[error("{0}")]
    Input(String),
    /// Exit 3: something that weir depends on failed: the store, a port.
    #[error("{0}")]
    Dependency(String),
    /// Writing the result failed. A reader that has gone away is no failure.
    #[error("the result could not be written: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// A dependency failed while `doing`.
    pub fn dependency(doing: impl Display, error: impl Display) -> Self {
        Self::Dependency(format!("{doing}: {error}"))
    }

    fn code(&self) -> u8 {
        match self {
            Self::No(_) => 1,
            Self::Input(_) => 2,
            Self::Dependency(_) => 3,
            // `weir decide … | head -1` ends well: the reader has what it wanted.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 3,
        }
    }

    /// Says it on stderr and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let code = self.code();
        if code != 0 {
            say(format_args!("error: {self}"));
        }
        ExitCode::from(code)
    }
}

/// Writes a line to stderr. A stderr that is closed has nobody to tell it to.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_code_and_a_closed_pipe_is_none() {
        let table: [(Failure, u8); 5] = [
            (Failure::No("x".into()), 1),
            (Failure::Input("x".into()), 2),
            (Failure::dependency("opening the store", "locked"), 3),
            (Failure::Output(io::Error::from(io::ErrorKind::BrokenPipe)), 0),
            (Failure::Output(io::Error::from(io::ErrorKind::StorageFull)), 3),
        ];
        for (failure, code) in table {
            assert_eq!(failure.code(), code, "{failure}");
        }
    }
}
