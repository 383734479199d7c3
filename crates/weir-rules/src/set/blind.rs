//! Rule sets for records that lack facts.
//!
//! A rule that cannot be evaluated without such a fact is *blind* for that record: whether it matches is not known. What
//! was decided is known all the same where none of these rules could have changed it.

use weir_core::{Boundary, Mode};

use super::combine::{self, Ruling};
use super::{EvaluateContext, Evaluation, RuleSet};
use crate::expr::Expr;
use crate::facts::{FactSet, Facts};
use crate::live::Positions;
use crate::rule::{Rule, Then};

/// A decision on a record.
pub(crate) struct Seen {
    /// What is decided if no blind rule matches.
    pub(crate) ruling: Ruling,
    /// Positions of the rules that matched.
    pub(crate) matched: Vec<usize>,
    /// Positions of the blind rules.
    pub(crate) blind: Vec<usize>,
    /// Whether that is what is decided whichever of them match.
    pub(crate) settled: bool,
}

impl RuleSet {
    /// The same rules where `unknown` cannot be read.
    pub(crate) fn without(&self, unknown: FactSet) -> Self {
        let conditions: Vec<Expr> =
            self.conditions.iter().map(|condition| condition.without(unknown)).collect();
        let blind = conditions.iter().map(Expr::is_blind).collect();
        Self { blind, ..Self::new(self.rules.clone(), conditions) }
    }

    /// The facts that rules of a boundary read.
    pub(crate) fn all_read_on(&self, boundary: Boundary) -> FactSet {
        self.side(boundary).reads
    }

    /// The facts that one rule reads.
    pub(crate) fn read_by(&self, rule: usize) -> FactSet {
        let mut reads = FactSet::default();
        if let Some(condition) = self.conditions.get(rule) {
            condition.facts(&mut |fact| reads.add(fact));
        }
        reads
    }

    /// Whether a rule reads a fact that cannot be read.
    pub(crate) fn is_blind(&self, rule: usize) -> bool {
        self.blind.get(rule).copied().unwrap_or(false)
    }

    /// Takes the blind rules out of those that could not be evaluated.
    pub(crate) fn take_blind(&self, evaluation: &mut Evaluation) -> Vec<usize> {
        if self.blind.is_empty() || evaluation.errored.is_empty() {
            return Vec::new();
        }
        let blind = evaluation.errored.iter().map(|(at, _)| *at).filter(|at| self.is_blind(*at)).collect();
        evaluation.errored.retain(|(at, _)| !self.is_blind(*at));
        blind
    }

    /// Decides on a recorded request as [`Self::decide_request`] does, without the words.
    ///
    /// More matches never make an action milder unless one of them is a `skip`. So what holds for no blind rule, for all
    /// of them but the skips, and for all of them holds for any choice of them.
    pub(crate) fn decide_past_request(&self, facts: &Facts<'_>, context: &EvaluateContext<'_>) -> Seen {
        let mut evaluation = self.evaluate(Boundary::Request, facts, context);
        let blind = self.take_blind(&mut evaluation);
        let matched = evaluation.matched;
        let ruling_of = |matched: &[usize]| combine::ruling(&self.rules, &Positions::default(), matched);
        let ruling = ruling_of(&matched);
        let settled = blind.is_empty() || {
            let with = |choose: &dyn Fn(&Rule) -> bool| {
                let more = blind.iter().copied().filter(|at| self.rules.get(*at).is_some_and(choose));
                let mut matched: Vec<usize> = matched.iter().copied().chain(more).collect();
                matched.sort_unstable();
                ruling_of(&matched)
            };
            let same = |other: &Ruling| other.action == ruling.action && other.limits == ruling.limits;
            let enforced = |rule: &Rule| rule.mode == Mode::Enforce;
            same(&with(&|rule| enforced(rule) && rule.then != Then::Skip)) && same(&with(&enforced))
        };
        Seen { ruling, matched, blind, settled }
    }
}
