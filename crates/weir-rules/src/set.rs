//! A checked set of rules, ready to decide.

mod blind;
mod combine;
mod export;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use weir_core::action::QuarantineDelays;
use weir_core::{Boundary, Decision, DecisionId, Mode};

use crate::expr::{Env, Expr, Scratch};
use crate::facts::{Fact, FactSet, Facts};
use crate::index::{Candidates, Index};
use crate::live::Positions;
use crate::rule::{Rule, Then};
pub(crate) use blind::Seen;
pub(crate) use combine::Ruling;

/// What a decision depends on besides the facts.
#[derive(Clone, Copy, Debug)]
pub struct DecideContext<'a> {
    /// The decision's id.
    pub id: DecisionId,
    /// The identity's key: whom the decision concerns, and what a rollout is computed from.
    pub subject: &'a str,
    /// The number of the rule set.
    pub epoch: u64,
    /// The time, for expiry and for `now` where the facts do not give it.
    pub at: Timestamp,
    /// How long the quarantines wait.
    pub delays: QuarantineDelays,
}

/// What the evaluation of rules depends on besides the facts.
#[derive(Clone, Copy, Debug)]
pub struct EvaluateContext<'a> {
    /// The identity's key, which a rollout is computed from.
    pub subject: &'a str,
    /// The time, for expiry and for `now` where the facts do not give it.
    pub at: Timestamp,
}

/// Why a condition could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvaluationError(pub String);

/// Which rules matched: positions in [`RuleSet::rules`], in order. Rules in shadow are among them; those that are off,
/// expired or out of their rollout are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// The rules whose condition holds.
    pub matched: Vec<usize>,
    /// The rules whose condition could not be evaluated, with the reason.
    pub errored: Vec<(usize, EvaluationError)>,
}

/// What is known of one boundary's rules.
#[derive(Debug, Default)]
struct Side {
    index: Index,
    enabled: bool,
    /// The facts that a rule reads.
    reads: FactSet,
}

impl Side {
    /// The rules that are not off and that `belongs` chooses.
    fn new(rules: &[Rule], conditions: &[Expr], belongs: impl Fn(&Rule) -> bool) -> Self {
        let enabled: Vec<(u32, &Expr)> = (0..)
            .zip(rules.iter().zip(conditions))
            .filter(|(_, (rule, _))| rule.mode != Mode::Off && belongs(rule))
            .map(|(at, (_, condition))| (at, condition))
            .collect();
        let mut reads = FactSet::default();
        for (_, condition) in &enabled {
            condition.facts(&mut |fact| reads.add(fact));
        }
        Self { enabled: !enabled.is_empty(), index: Index::new(enabled.iter().copied()), reads }
    }
}

/// Checked rules, compiled and indexed. The default is the empty set.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    conditions: Vec<Expr>,
    /// Positions of the rules by their ids' order.
    by_id: Vec<u32>,
    sides: [Side; 3],
    /// Of the rules on tools, those that set a level and those that answer: the second are asked when the level is known.
    levels: Side,
    answers: Side,
    /// Of a set for records that lack facts, the rules that read such: by position. Empty for any other set.
    blind: Box<[bool]>,
}

impl RuleSet {
    /// Indexes rules and their conditions, which are in the same order.
    pub(crate) fn new(rules: Vec<Rule>, conditions: Vec<Expr>) -> Self {
        let mut by_id: Vec<u32> = (0..).take(rules.len()).collect();
        let id = |at: &u32| usize::try_from(*at).ok().and_then(|at| rules.get(at)).map(|rule| &rule.id);
        by_id.sort_by(|a, b| id(a).cmp(&id(b)));
        let sides = Boundary::ALL.map(|boundary| Side::new(&rules, &conditions, |rule| rule.on == boundary));
        let is_level = |rule: &Rule| matches!(rule.then, Then::Level(_));
        let levels = Side::new(&rules, &conditions, |rule| rule.on == Boundary::Tool && is_level(rule));
        let answers = Side::new(&rules, &conditions, |rule| rule.on == Boundary::Tool && !is_level(rule));
        Self { rules, conditions, by_id, sides, levels, answers, blind: Box::default() }
    }

    /// The rules in order: files as listed, then as written.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules with their conditions, in order.
    pub(crate) fn with_conditions(&self) -> impl Iterator<Item = (&Rule, &Expr)> {
        self.rules.iter().zip(&self.conditions)
    }

    /// The rule with an id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.position(id).and_then(|at| self.rules.get(at))
    }

    /// Where the rule with an id stands in [`Self::rules`].
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        let rule = |at: &u32| usize::try_from(*at).ok().and_then(|at| self.rules.get(at));
        let at = self.by_id.binary_search_by(|at| rule(at).map_or("", |rule| &rule.id).cmp(id)).ok()?;
        self.by_id.get(at).and_then(|at| usize::try_from(*at).ok())
    }

    fn side(&self, boundary: Boundary) -> &Side {
        let [request, failure, tool] = &self.sides;
        match boundary {
            Boundary::Request => request,
            Boundary::Failure => failure,
            Boundary::Tool => tool,
        }
    }

    /// Whether a rule that is not off reads the fact, so that a fact that is costly to find can be left out.
    #[must_use]
    pub fn reads(&self, fact: Fact) -> bool {
        self.sides.iter().any(|side| side.reads.has(fact))
    }

    /// Whether a rule of this boundary that is not off reads the fact.
    #[must_use]
    pub fn reads_on(&self, boundary: Boundary, fact: Fact) -> bool {
        self.side(boundary).reads.has(fact)
    }

    /// Whether the boundary has a rule that is not off.
    #[must_use]
    pub fn has_enabled(&self, boundary: Boundary) -> bool {
        self.side(boundary).enabled
    }

    /// Which rules of a boundary match. Every decision goes through here.
    ///
    /// Nothing is allocated while no rule matches and the facts point to few.
    #[must_use]
    pub fn evaluate(
        &self,
        boundary: Boundary,
        facts: &Facts<'_>,
        context: &EvaluateContext<'_>,
    ) -> Evaluation {
        self.evaluate_side(self.side(boundary), facts, context)
    }

    /// Of the rules on tools, those that set a level.
    pub(crate) fn evaluate_levels(&self, facts: &Facts<'_>, context: &EvaluateContext<'_>) -> Evaluation {
        self.evaluate_side(&self.levels, facts, context)
    }

    /// Of the rules on tools, those that answer.
    pub(crate) fn evaluate_answers(&self, facts: &Facts<'_>, context: &EvaluateContext<'_>) -> Evaluation {
        self.evaluate_side(&self.answers, facts, context)
    }

    fn evaluate_side(&self, side: &Side, facts: &Facts<'_>, context: &EvaluateContext<'_>) -> Evaluation {
        self.ask(side, facts, context, |env, candidates, evaluation| {
            candidates.for_each(|at| self.evaluate_one(at, env, context, evaluation));
            if !side.index.always().is_empty() {
                side.index.always().iter().for_each(|at| self.evaluate_one(*at, env, context, evaluation));
                evaluation.matched.sort_unstable();
                evaluation.errored.sort_unstable_by_key(|(at, _)| *at);
            }
        })
    }

    /// Finds the rules to which the facts point, and lets `evaluate` ask them.
    fn ask(
        &self,
        side: &Side,
        facts: &Facts<'_>,
        context: &EvaluateContext<'_>,
        evaluate: impl FnOnce(&Env<'_>, Candidates, &mut Evaluation),
    ) -> Evaluation {
        let mut evaluation = Evaluation::default();
        if side.enabled {
            let scratch = Scratch::default();
            let env = Env::new(facts, context.at, &scratch);
            let mut candidates = Candidates::new(self.rules.len());
            side.index.find(&env, &mut candidates);
            evaluate(&env, candidates, &mut evaluation);
        }
        evaluation
    }

    /// As [`Self::evaluate`], where the first match decides: once an enforced rule has matched, the rules behind it are
    /// not asked. Rules in shadow before it are listed.
    #[must_use]
    pub fn evaluate_first(
        &self,
        boundary: Boundary,
        facts: &Facts<'_>,
        context: &EvaluateContext<'_>,
    ) -> Evaluation {
        let side = self.side(boundary);
        self.ask(side, facts, context, |env, mut candidates, evaluation| {
            side.index.always().iter().for_each(|at| candidates.add(*at));
            let mut decided = false;
            candidates.for_each(|at| {
                if !decided {
                    self.evaluate_one(at, env, context, evaluation);
                    let last = evaluation.matched.last().and_then(|at| self.rules.get(*at));
                    decided = last.is_some_and(|rule| rule.mode == Mode::Enforce);
                }
            });
        })
    }

    fn evaluate_one(
        &self,
        at: u32,
        env: &Env<'_>,
        context: &EvaluateContext<'_>,
        evaluation: &mut Evaluation,
    ) {
        let Ok(at) = usize::try_from(at) else { return };
        let (Some(condition), Some(rule)) = (self.conditions.get(at), self.rules.get(at)) else { return };
        match condition.holds(env) {
            Ok(false) => {}
            Ok(true) if applies(rule, context) => evaluation.matched.push(at),
            Err(fault) if applies(rule, context) => {
                // That of a blind rule is taken out again, unread.
                let error = if self.is_blind(at) { String::new() } else { fault.to_string() };
                evaluation.errored.push((at, EvaluationError(error)));
            }
            Ok(true) | Err(_) => {}
        }
    }

    /// Whether the condition of one rule holds, whatever its mode, rollout and expiry: what examples test. A position
    /// that there is not never matches.
    ///
    /// # Errors
    /// The condition could not be evaluated.
    pub fn matches(&self, rule: usize, facts: &Facts<'_>, at: Timestamp) -> Result<bool, EvaluationError> {
        let Some(condition) = self.conditions.get(rule) else { return Ok(false) };
        let scratch = Scratch::default();
        condition.holds(&Env::new(facts, at, &scratch)).map_err(|fault| EvaluationError(fault.to_string()))
    }

    /// Decides on a request (design, section 1, Combining).
    #[must_use]
    pub fn decide_request(&self, facts: &Facts<'_>, context: &DecideContext<'_>) -> Decision {
        self.decide_request_without(&Positions::default(), facts, context)
    }

    /// The same; rules at these positions count as in shadow.
    #[must_use]
    pub fn decide_request_without(
        &self,
        stopped: &Positions,
        facts: &Facts<'_>,
        context: &DecideContext<'_>,
    ) -> Decision {
        let evaluate = EvaluateContext { subject: context.subject, at: context.at };
        let evaluation = self.evaluate(Boundary::Request, facts, &evaluate);
        combine::request(&self.rules, stopped, evaluation, context)
    }
}

/// Whether a rule is asked at all: not expired, and for this identity.
pub(crate) fn applies(rule: &Rule, context: &EvaluateContext<'_>) -> bool {
    rule.expires.is_none_or(|expires| context.at < expires)
        && in_rollout(&rule.id, rule.rollout, context.subject)
}

/// Whether an identity is in a rule's share: the first 8 bytes of SHA-256(rule id + `|` + identity key), as a big-endian
/// number modulo 100, are below it. The same on every node, and other identities for other rules.
fn in_rollout(id: &str, rollout: u8, subject: &str) -> bool {
    if rollout >= 100 {
        return true;
    }
    let mut hasher = Sha256::new();
    hasher.update(id);
    hasher.update("|");
    hasher.update(subject);
    let digest = hasher.finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    number % 100 < u64::from(rollout)
}

#[cfg(test)]
mod tests;
