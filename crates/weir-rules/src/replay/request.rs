//! Recorded requests.

use weir_core::action::QuarantineDelays;
use weir_core::record::{Past, PastFacts, rule_of_limit};
use weir_core::{Action, Boundary, Source};

use super::report::{Effect, Why};
use super::sets::Sets;
use super::tally::Whom;
use super::{Compared, Rehearsal};
use crate::enforce::is_exempted;
use crate::facts::{FactSet, Facts};
use crate::set::{DecideContext, EvaluateContext, Ruling, Seen};

/// The outcome of a request that exceeds a limit of a rule.
const LIMITED: &str = "limited";

/// Stages of a request that come before the rules are asked.
const BEFORE: [&str; 7] = ["route", "admit", "read", "identify", "resolve", "precheck", "models"];

/// The stage of a request that was only asked about: its limits are counted by whoever asks.
const CLASSIFY: &str = "classify";

/// The facts that the record of a request or of a tool call does not tell.
pub(super) fn unknown(facts: &PastFacts<'_>) -> FactSet {
    FactSet::unrecorded(facts.stats_known, facts.redacted)
}

/// What a decision on a record depends on besides its facts.
pub(super) fn context<'p>(past: &Past<'p>) -> DecideContext<'p> {
    DecideContext {
        id: past.id,
        subject: past.subject,
        epoch: 0,
        at: past.at,
        delays: QuarantineDelays::default(),
    }
}

impl Rehearsal {
    pub(super) fn see_request(&mut self, past: &Past<'_>, whom: &Whom<'_>) {
        if past.ended_at.is_some_and(|stage| BEFORE.contains(&stage)) {
            self.counts.ended_before(Boundary::Request);
            return;
        }
        let seen = decide(&mut self.sets, past);
        let (hits, room, samples) = (&mut self.counts.hits, &mut self.counts.room, self.options.samples);
        seen.matched.iter().for_each(|rule| hits.matched(*rule, whom, samples, room));
        seen.blind.iter().for_each(|rule| hits.undecided(*rule));
        if let Some(why) = not_by_rules(past).or((!seen.settled).then_some(Why::NotRecorded)) {
            self.counts.not_replayed(Boundary::Request, why);
            return;
        }
        let Ruling { action, decider, limits } = &seen.ruling;
        if let Some(decider) = decider {
            self.counts.hits.decided(*decider);
        }
        let rules = self.sets.whole().rules();
        let counts = past.ended_at != Some(CLASSIFY);
        let limit = counts.then(|| self.windows.count(rules, limits, whom.hash, past.at)).flatten();
        let from = decided(past);
        let to = if limit.is_some() { LIMITED } else { action.as_str() };
        let effect = effect(from, to);
        let new_rule = limit.or(*decider).and_then(|at| rules.get(at)).map(|rule| &*rule.id);
        let rule = if effect == Some(Effect::Freed) { decider_of(past) } else { new_rule };
        let compared = Compared { from, to, effect, rule };
        self.counts.replayed(Boundary::Request, whom, &compared, samples);
    }

    /// Opens the windows that a request before the time of interest would have opened.
    pub(super) fn warm(&mut self, past: &Past<'_>) {
        if past.ended_at.is_some_and(|stage| BEFORE.contains(&stage) || stage == CLASSIFY)
            || not_by_rules(past).is_some()
        {
            return;
        }
        let seen = decide(&mut self.sets, past);
        if seen.settled {
            let hash = self.counts.identities.hash(past.subject);
            self.windows.count(self.sets.whole().rules(), &seen.ruling.limits, hash, past.at);
        }
    }
}

/// What the rules come to on a recorded request.
fn decide(sets: &mut Sets, past: &Past<'_>) -> Seen {
    let unknown = unknown(&past.facts).shared(sets.whole().all_read_on(Boundary::Request));
    let facts = Facts::of_past(Boundary::Request, past.facts);
    let context = EvaluateContext { subject: past.subject, at: past.at };
    let mut seen = sets.rules.without(unknown).decide_past_request(&facts, &context);
    if is_exempted(past.outcome, past.rule, past.because) {
        seen.ruling = Ruling { action: Action::Nothing, decider: None, limits: Vec::new() };
        seen.settled = true;
    }
    seen
}

/// Why what was decided was not decided by weir's own rules, if so.
fn not_by_rules(past: &Past<'_>) -> Option<Why> {
    match past.source {
        Source::Cache => Some(Why::ActionCache),
        Source::Static => Some(Why::NotAsked),
        Source::Fresh if past.foreign => Some(Why::RemoteClassifier),
        Source::Fresh => None,
    }
}

/// What came of the request in the words that it is compared by.
fn decided<'p>(past: &Past<'p>) -> &'p str {
    if limit_rule(past).is_some() { LIMITED } else { past.outcome }
}

fn limit_rule<'p>(past: &Past<'p>) -> Option<&'p str> {
    rule_of_limit(past.limit?)
}

fn decider_of<'p>(past: &Past<'p>) -> Option<&'p str> {
    limit_rule(past).or(past.rule)
}

/// What an outcome means for who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Felt {
    Passed,
    Slowed,
    Limited,
    Blocked,
}

impl Felt {
    fn of(outcome: &str) -> Self {
        if outcome == LIMITED {
            return Self::Limited;
        }
        match outcome.parse().unwrap_or(Action::Nothing) {
            Action::Nothing | Action::Log => Self::Passed,
            Action::RateLimit => Self::Limited,
            Action::Quarantine1 | Action::Quarantine2 | Action::Quarantine3 => Self::Slowed,
            Action::Block => Self::Blocked,
        }
    }
}

/// What is new, if something is.
fn effect(from: &str, to: &str) -> Option<Effect> {
    if from == to {
        return None;
    }
    let felt = Felt::of(to);
    if felt == Felt::of(from) {
        return Some(Effect::Other);
    }
    Some(match felt {
        Felt::Passed => Effect::Freed,
        Felt::Slowed => Effect::NewlySlowed,
        Felt::Limited => Effect::NewlyLimited,
        Felt::Blocked => Effect::NewlyBlocked,
    })
}
