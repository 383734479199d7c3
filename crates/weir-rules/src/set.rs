//! A checked set of rules, ready to decide.

use jiff::Timestamp;
use weir_core::action::QuarantineDelays;
use weir_core::{Action, Boundary, Decision, DecisionId, Source};

use crate::facts::{Fact, Facts};
use crate::rule::Rule;

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

/// Checked rules, compiled and indexed. The default is the empty set.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

impl RuleSet {
    /// The rules in order: files as listed, then as written.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule with an id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|r| &*r.id == id)
    }

    /// Whether a rule that is not off reads the fact, so that a fact that is costly to find can be left out.
    #[must_use]
    pub fn reads(&self, _fact: Fact) -> bool {
        false
    }

    /// Whether the boundary has a rule that is not off.
    #[must_use]
    pub fn has_enabled(&self, _boundary: Boundary) -> bool {
        false
    }

    /// The rules as a file that loads to the same rules again.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        "rules: []\n".to_owned()
    }

    /// Which rules of a boundary match. Every decision goes through here.
    #[must_use]
    pub fn evaluate(
        &self,
        _boundary: Boundary,
        _facts: &Facts<'_>,
        _context: &EvaluateContext<'_>,
    ) -> Evaluation {
        Evaluation::default()
    }

    /// Whether the condition of one rule holds, whatever its mode, rollout and expiry: what examples test.
    ///
    /// # Errors
    /// The condition could not be evaluated.
    pub fn matches(&self, _rule: usize, _facts: &Facts<'_>, _at: Timestamp) -> Result<bool, EvaluationError> {
        Ok(false)
    }

    /// Decides on a request (design, section 1, Combining).
    #[must_use]
    pub fn decide_request(&self, facts: &Facts<'_>, context: &DecideContext<'_>) -> Decision {
        let _ = facts;
        let mut decision =
            Decision::unasked(context.id, context.subject.to_owned(), context.epoch, context.at);
        decision.outcome = Action::Nothing.into();
        decision.source = Source::Fresh;
        decision
    }
}
