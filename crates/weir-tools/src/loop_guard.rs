//! When a turn that goes nowhere is ended (spec C9). Failures are told apart by their kind, not by their words.

use weir_config::config::LoopGuard as Thresholds;
use weir_core::tool::{DenialKind, cleaned};

/// How much of the last error the guard repeats, in characters.
pub const ERROR_CHARS_MAX: usize = 600;

/// How often a call that is denied for good may be asked again.
const PERMANENT_MAX: u32 = 2;

/// How one call of a turn ended.
#[derive(Clone, Copy, Debug)]
pub enum CallEnd<'e> {
    /// The tool ran and succeeded.
    Success,
    /// It failed, or was denied.
    Failure {
        /// The tool.
        tool: &'e str,
        /// The digest of the arguments.
        digest: &'e str,
        /// The kind of the denial, if it was one.
        kind: Option<DenialKind>,
        /// What went wrong.
        error: &'e str,
    },
}

/// What the guard says after a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Go on.
    Continue,
    /// Tell the model to change its way: the next failure of this kind ends the turn.
    ChangeWay(String),
    /// End the turn, and say this.
    Halt(String),
}

/// Watches the calls of one turn.
#[derive(Clone, Debug)]
pub struct LoopGuard {
    thresholds: Thresholds,
    /// The last failure's tool, arguments, and kind or first line.
    last: Option<[String; 3]>,
    identical: u32,
    in_a_row: u32,
}

impl LoopGuard {
    /// A guard at the beginning of a turn.
    #[must_use]
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, last: None, identical: 0, in_a_row: 0 }
    }

    /// How often in a row the last failure has come, without a difference.
    #[must_use]
    pub const fn identical(&self) -> u32 {
        self.identical
    }

    /// Notes how a call ended. Any success begins anew. An unknown tool does not count as a failure in a row, but counts
    /// when it is the same again.
    pub fn note(&mut self, end: CallEnd<'_>) -> Advice {
        let CallEnd::Failure { tool, digest, kind, error } = end else {
            *self = Self::new(self.thresholds);
            return Advice::Continue;
        };
        let what = kind
            .map_or_else(|| error.lines().next().unwrap_or_default().to_owned(), |k| k.as_str().to_owned());
        let signature = [tool.to_owned(), digest.to_owned(), what];
        self.identical = if self.last.as_ref() == Some(&signature) { self.identical + 1 } else { 1 };
        self.last = Some(signature);
        if kind != Some(DenialKind::UnknownTool) {
            self.in_a_row += 1;
        }
        let permanent = kind.is_some_and(DenialKind::is_permanent) && kind != Some(DenialKind::UnknownTool);
        let identical_max =
            if permanent { PERMANENT_MAX.min(self.thresholds.identical) } else { self.thresholds.identical };
        let identical_max = identical_max.max(2);
        let error = cleaned(error, ERROR_CHARS_MAX);
        if self.identical >= identical_max {
            let times = self.identical;
            return Advice::Halt(format!(
                "Stopped: the same call of a tool failed {times} times. Last error: {error}. Report this to the user \
                 instead of trying again."
            ));
        }
        if self.in_a_row >= self.thresholds.failures {
            return Advice::Halt(format!(
                "Stopped: {} calls of tools failed in a row. Last error: {error}. Report this to the user instead of \
                 trying again.",
                self.in_a_row
            ));
        }
        if self.identical + 1 >= identical_max || self.in_a_row + 1 >= self.thresholds.failures {
            return Advice::ChangeWay(
                "This did not work, and once more will end the turn. Change your way: use another tool or other \
                 arguments, or tell the user what is in the way."
                    .to_owned(),
            );
        }
        Advice::Continue
    }
}
