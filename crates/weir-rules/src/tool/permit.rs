//! The proof that a call may run.

use weir_core::Outcome;
use weir_core::tool::Arguments;

use super::ToolDecision;

/// A call that may run: the tool and the arguments that were decided on. It cannot be copied, and only
/// [`ToolDecision::permit`] makes one.
pub struct Permitted {
    tool: String,
    args: Arguments,
}

impl Permitted {
    /// The tool.
    #[must_use]
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The arguments, for who runs the call.
    #[must_use]
    pub fn into_args(self) -> Arguments {
        self.args
    }
}

impl ToolDecision {
    /// The permit for the call that was decided on, if it is allowed.
    ///
    /// # Errors
    /// The decision itself: it is not allowed.
    #[expect(
        clippy::result_large_err,
        reason = "the decision is handed back whole; it is made once for a call"
    )]
    pub fn permit(self, args: Arguments) -> Result<Permitted, Self> {
        if self.denial.is_some() || self.decision.outcome != Outcome::new("allow") {
            return Err(self);
        }
        Ok(Permitted { tool: self.tool, args })
    }
}
