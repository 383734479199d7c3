//! The rules, as they are for a record that lacks some facts: made once for each combination that occurs.

use std::sync::Arc;

use crate::facts::FactSet;
use crate::set::RuleSet;

/// Combinations of missing facts that are told apart. Records lack few and mostly the same; beyond, a record counts as
/// lacking all that any lacked, which only makes fewer of them replayable.
const COMBINATIONS_MAX: usize = 32;

/// One set and its variants.
pub(super) struct Variants {
    whole: Arc<RuleSet>,
    made: Vec<(FactSet, Arc<RuleSet>)>,
}

impl Variants {
    pub(super) fn new(whole: Arc<RuleSet>) -> Self {
        Self { whole, made: Vec::new() }
    }

    /// The rules where `unknown`, of the facts that they read, cannot be read.
    pub(super) fn without(&mut self, unknown: FactSet) -> &RuleSet {
        if unknown.is_empty() {
            return &self.whole;
        }
        let at = match self.made.iter().position(|(known, _)| *known == unknown) {
            Some(at) => at,
            None => self.make(unknown),
        };
        self.made.get(at).map_or(&self.whole, |(_, set)| set)
    }

    fn make(&mut self, unknown: FactSet) -> usize {
        let full = self.made.len() >= COMBINATIONS_MAX;
        let all = self.made.iter().fold(unknown, |all, (known, _)| all.with(*known));
        let unknown = if full { all } else { unknown };
        if full {
            // The widest takes the place of the last.
            self.made.pop();
        }
        self.made.push((unknown, Arc::new(self.whole.without(unknown))));
        self.made.len() - 1
    }
}

/// The candidate and the built-in pack of failures.
pub(super) struct Sets {
    pub(super) rules: Variants,
    /// Made when the first failure comes.
    pub(super) pack: Option<Variants>,
}

impl Sets {
    pub(super) fn new(rules: Arc<RuleSet>) -> Self {
        Self { rules: Variants::new(rules), pack: None }
    }

    pub(super) fn whole(&self) -> &RuleSet {
        &self.rules.whole
    }
}
