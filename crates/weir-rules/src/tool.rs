//! Deciding on tool calls: levels, ceilings, rules, approvals, in one order (spec C4), and the permit that follows.
//!
//! [`RuleSet::decide_tool`] is asked by the gate, `weir decide`, the AuthZEN endpoints and the hooks. A
//! [`ToolDecision`] can only be narrowed afterwards, by pluggable policies; only a person's approval that is bound to
//! this very call turns its `require-approval` into `allow`. [`ToolDecision::permit`] is the only way to a
//! [`Permitted`] call, which executors take.

mod advice;
mod approval;
mod decide;
mod judge;
mod past;
mod permit;

pub use approval::{Binding, Grant, Standing};
pub use decide::{ToolDecision, Verdict};
pub use permit::Permitted;

use serde_json::Value as Json;
use weir_core::tool::PermissionLevel;

use crate::set::RuleSet;

/// A tool besides the one that is called: what a denial may suggest instead.
#[derive(Clone, Copy, Debug)]
pub struct OtherTool<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its server.
    pub server: &'a str,
    /// Its own level.
    pub level: PermissionLevel,
    /// Its annotations.
    pub annotations: &'a Json,
}

/// A path of a call that no tool may follow as the allowed roots are: what its denial tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Outside<'a> {
    /// The path, as the call gives it.
    pub path: &'a str,
    /// The level of the call's arguments if the folder that holds the path were an allowed root; `None`: it cannot be, since
    /// the path is weir's own or leads nowhere.
    pub opened: Option<PermissionLevel>,
    /// Whether the tool refuses the path whatever the ceiling is.
    pub closed: bool,
}

/// What a decision on a call depends on besides the facts that rules read.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Whether there is such a tool.
    pub known: bool,
    /// Whether the session's set of tools has it; a session without such a set sees all.
    pub visible: bool,
    /// The other tools of the session, to suggest.
    pub others: &'a [OtherTool<'a>],
    /// Whether an operator has set the channel's ceiling above the configuration, which then says nothing of it.
    pub ceiling_is_set: bool,
    /// Whether the tool is another than the one that was accepted under its name.
    pub changed: bool,
    /// A path of the call outside the allowed roots.
    pub outside: Option<Outside<'a>>,
}

impl Default for Scene<'_> {
    /// A tool that is known and visible, and no others.
    fn default() -> Self {
        Self { known: true, visible: true, others: &[], ceiling_is_set: false, changed: false, outside: None }
    }
}

/// The ceiling of a channel (spec C2): an empty map is unrestricted; a channel that is missing, or whose token is none,
/// may only read.
///
/// ```
/// use weir_core::tool::PermissionLevel;
/// use weir_rules::tool::ceiling;
///
/// assert_eq!(ceiling([("web", "exec")], "web"), PermissionLevel::Execute);
/// assert_eq!(ceiling([("web", "exec")], "cli"), PermissionLevel::ReadOnly);
/// assert_eq!(ceiling([("web", "supervised")], "web"), PermissionLevel::ReadOnly);
/// assert_eq!(ceiling([], "web"), PermissionLevel::Dangerous);
/// ```
#[must_use]
pub fn ceiling<'m>(
    permissions: impl IntoIterator<Item = (&'m str, &'m str)>,
    channel: &str,
) -> PermissionLevel {
    let mut restricted = false;
    for (name, token) in permissions {
        restricted = true;
        if name == channel {
            return PermissionLevel::parse(token).unwrap_or(PermissionLevel::ReadOnly);
        }
    }
    if restricted { PermissionLevel::ReadOnly } else { PermissionLevel::Dangerous }
}

impl RuleSet {
    /// Whether a tool is hidden from a caller by a rule with `conceal`: the facts are those of the caller and the tool,
    /// without a call. A concealing rule that cannot be evaluated hides.
    #[must_use]
    pub fn conceals(&self, facts: &mut crate::Facts<'_>, context: &crate::EvaluateContext<'_>) -> bool {
        judge::conceals(self, facts, context)
    }
}
