//! Recorded failures: classified as those that have just happened are.

use weir_core::{Boundary, Mode};

use super::{Classification, classify, responsible};
use crate::facts::{Fact, Facts};
use crate::rule::Then;
use crate::set::{EvaluateContext, RuleSet};

/// A classification of a record.
pub(crate) struct SeenFailure {
    /// What it is if no blind rule matches.
    pub(crate) found: Classification,
    /// The rules before the one that decided of which is not known whether they match.
    pub(crate) blind: Vec<String>,
    /// Whether that is what it is whichever of them match.
    pub(crate) settled: bool,
}

/// Classifies a recorded failure as [`classify`] does: the first match wins, so that all is known when every blind rule
/// before it says the same.
pub(crate) fn classify_past(
    sets: &[&RuleSet],
    facts: &Facts<'_>,
    context: &EvaluateContext<'_>,
) -> SeenFailure {
    let mut found = classify(sets, facts, context);
    let credential = facts.str(Fact::CredentialOwner);
    let (mut blind, mut settled) = (Vec::new(), true);
    found.errored.retain(|errored| {
        let rule = sets.iter().find_map(|set| {
            let at = set.position(&errored.rule).filter(|at| set.is_blind(*at))?;
            set.rules().get(at).filter(|rule| rule.on == Boundary::Failure)
        });
        let Some(rule) = rule else { return true };
        blind.push(errored.rule.clone());
        if let Then::Class(then) = &rule.then
            && rule.mode == Mode::Enforce
        {
            let (owner, report) = responsible(then, credential);
            let retry = then.retry.unwrap_or(then.class.retry());
            settled &=
                (then.class, owner, retry, report) == (found.class, found.owner, found.retry, found.report);
        }
        false
    });
    SeenFailure { found, blind, settled }
}
