//! Enforcement on tool calls: one gate for every way in.
//!
//! An entry point (the MCP proxy, the turn loop, a hook, a program that embeds weir) tells the [`Gate`] which tools there
//! are ([`Gate::report_definitions`]), lists those that a caller may see ([`Gate::list`]), and runs calls through
//! [`Gate::call`]. What a caller asks for is decided by `weir_rules`; an executor is given a
//! [`Permitted`] call, which nothing else can make.

pub mod agent;
pub mod approval;
pub mod call;
pub mod gate;
pub mod level;
pub mod loop_guard;
pub mod markers;
pub mod mcp;
pub mod observe;
pub mod outcome;
pub mod policy;
mod telemetry;

pub use call::{Caller, ToolCall, ToolDefinition};
pub use gate::{DefinitionState, Gate, Parts};
pub use outcome::{Denied, Ended, Executed, PendingApproval, ToolOutcome};
pub use policy::{Policies, ToolPolicy};
pub use weir_rules::tool::{Permitted, Verdict};
