//! The rule language: facts and their types, CEL lowered to a bounded form, index, combining, examples. Pure.
//!
//! [`load`] turns rule files into a [`RuleSet`] or into [`Diagnostic`]s, all at once. A [`RuleSet`] decides on
//! [`Facts`]: [`RuleSet::decide_request`] for what comes in, [`RuleSet::decide_tool`] for an agent's call;
//! [`RuleSet::evaluate`] says for any boundary which rules match, and is what every decision, example and test goes
//! through. [`LiveRules`] holds the set in force.
//!
//! Deciding does no I/O, reads no clock, logs nothing and does not panic. Its cost is bounded when the rules are
//! loaded: what cannot be lowered to weir's own typed form is refused with a reason.

mod compile;
pub mod diagnostic;
mod diff;
pub mod enforce;
pub mod explain;
mod expr;
pub mod facts;
pub mod failure;
mod index;
mod live;
mod load;
pub mod replay;
pub mod rule;
mod set;
mod suggest;
pub mod tool;
mod yaml;

pub mod vocabulary;

pub use diagnostic::{Diagnostic, Severity};
pub use diff::{Change, ChangeKind, RuleChange, ValueChange, diff, diff_values};
pub use facts::{Fact, FactError, FactType, Facts, OwnedFacts, StringMap, World, prompt_window};
pub use failure::{Circumstances, Classification, CredentialOwner};
pub use live::{ActiveRules, LiveRules, Positions, Stopped};
pub use load::{LoadFailure, LoadOptions, Loaded, SourceFile, load};
pub use rule::{LevelThen, LimitThen, Report, Rule, Then, ToolThen};
pub use set::{DecideContext, EvaluateContext, Evaluation, EvaluationError, RuleSet};
pub use suggest::did_you_mean;
