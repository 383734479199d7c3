//! What each rule would have done.

use weir_core::{Boundary, DecisionId};

use super::report::RuleReport;
use super::tally::{Distinct, Room, Samples, Whom};
use crate::facts::FactSet;
use crate::set::RuleSet;

/// Counts of all rules, by position.
#[derive(Default)]
pub(super) struct Hits(Vec<Hit>);

#[derive(Default)]
struct Hit {
    hits: u64,
    decided: u64,
    undecided: u64,
    identities: Distinct,
    samples: Samples,
    last: Option<DecisionId>,
}

impl Hits {
    pub(super) fn new(rules: usize) -> Self {
        Self(std::iter::repeat_with(Hit::default).take(rules).collect())
    }

    /// A rule matched a decision; a request whose second attempt fails too is one decision.
    pub(super) fn matched(&mut self, rule: usize, whom: &Whom<'_>, samples: usize, room: &mut Room) {
        let Some(hit) = self.0.get_mut(rule) else { return };
        hit.hits += 1;
        hit.identities.add(whom, room);
        if hit.last != Some(whom.id) {
            hit.samples.add(whom.id, samples);
            hit.last = Some(whom.id);
        }
    }

    pub(super) fn undecided(&mut self, rule: usize) {
        if let Some(hit) = self.0.get_mut(rule) {
            hit.undecided += 1;
        }
    }

    pub(super) fn decided(&mut self, rule: usize) {
        if let Some(hit) = self.0.get_mut(rule) {
            hit.decided += 1;
        }
    }

    pub(super) fn report(&self, set: &RuleSet, boundary: Option<Boundary>) -> Vec<RuleReport> {
        let never = FactSet::unrecorded(true, false);
        let rules = set.rules().iter().enumerate().zip(&self.0);
        rules
            .filter(|((_, rule), _)| boundary.is_none_or(|only| only == rule.on))
            .map(|((at, rule), hit)| RuleReport {
                rule: rule.id.to_string(),
                version: rule.version.to_string(),
                boundary: rule.on,
                mode: rule.mode,
                then: rule.then.word().to_owned(),
                hits: hit.hits,
                identities: hit.identities.count(),
                decided: hit.decided,
                undecided: hit.undecided,
                not_recorded: paths(set.read_by(at).shared(never)),
                samples: hit.samples.list(),
            })
            .collect()
    }
}

fn paths(facts: FactSet) -> Vec<String> {
    facts.iter().map(crate::facts::Fact::path).collect()
}
