//! From the rules that matched to one decision.

use weir_core::decision::obligations_of;
use weir_core::{Action, Boundary, Decision, Errored, Limit, Matched, Mode, Obligation, Source};

use super::{DecideContext, Evaluation};
use crate::live::Positions;
use crate::rule::{Rule, Then};

/// What the rules that matched a request come to, by positions: a decision without its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) action: Action,
    /// The first in order of the rules that decided it.
    pub(crate) decider: Option<usize>,
    /// The rules whose limits are put on the identity.
    pub(crate) limits: Vec<usize>,
}

/// Combines the matching request rules: `skip` lifts enforcement, otherwise the most severe action wins. Limits are
/// obligations beside the action.
pub(super) fn ruling(rules: &[Rule], stopped: &Positions, matched: &[usize]) -> Ruling {
    let mut ruling = Ruling { action: Action::Nothing, decider: None, limits: Vec::new() };
    let mut more_severe = |at: usize, action: Action| {
        if ruling.decider.is_none() || action > ruling.action {
            (ruling.action, ruling.decider) = (action, Some(at));
        }
    };
    for (at, rule) in enforced(rules, stopped, matched) {
        match rule.then {
            Then::Skip => return Ruling { action: Action::Nothing, decider: Some(at), limits: Vec::new() },
            Then::Action(action) => more_severe(at, action),
            _ => {}
        }
    }
    if ruling.action != Action::Block {
        let limits =
            enforced(rules, stopped, matched).filter(|(_, rule)| matches!(rule.then, Then::Limit(_)));
        ruling.limits.extend(limits.map(|(at, _)| at));
    }
    ruling
}

/// The rules that matched and count: one that is stopped is in shadow.
fn enforced<'r>(
    rules: &'r [Rule],
    stopped: &Positions,
    matched: &[usize],
) -> impl Iterator<Item = (usize, &'r Rule)> {
    let rule = |at: &usize| Some((*at, rules.get(*at)?));
    matched.iter().filter_map(rule).filter(|(at, rule)| rule.mode == Mode::Enforce && !stopped.holds(*at))
}

/// The decision on a request.
pub(super) fn request(
    rules: &[Rule],
    stopped: &Positions,
    evaluation: Evaluation,
    context: &DecideContext<'_>,
) -> Decision {
    let matched = evaluation.matched.as_slice();
    let ruling = ruling(rules, stopped, matched);
    let decider = ruling.decider.and_then(|at| rules.get(at));
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let mut obligations = obligations_of(ruling.action, context.delays);
    obligations.extend(ruling.limits.iter().filter_map(|at| limit(rules.get(*at)?)));
    let listed = |at: &usize| {
        let rule = rules.get(*at)?;
        let mode = if rule.mode == Mode::Enforce && stopped.holds(*at) { Mode::Shadow } else { rule.mode };
        Some(listed(rule, mode))
    };
    let scores = enforced(rules, stopped, matched).map(|(_, rule)| rule.score);
    Decision {
        id: context.id,
        boundary: Boundary::Request,
        subject: context.subject.to_owned(),
        outcome: ruling.action.into(),
        rule: decider.map(|rule| rule.id.to_string()),
        because: decider.and_then(|rule| text(&rule.because)),
        instead: decider.and_then(|rule| text(&rule.instead)),
        sus_score: scores.fold(0, |sum, score| sum.saturating_add(score)),
        matched: matched.iter().filter_map(listed).collect(),
        errored: evaluation
            .errored
            .into_iter()
            .filter_map(|(at, error)| Some(Errored { rule: rules.get(at)?.id.to_string(), error: error.0 }))
            .collect(),
        obligations,
        source: Source::Fresh,
        epoch: context.epoch,
        at: context.at,
    }
}

fn listed(rule: &Rule, mode: Mode) -> Matched {
    Matched {
        rule: rule.id.to_string(),
        version: rule.version.to_string(),
        action: rule.then.word().to_owned(),
        mode,
    }
}

fn limit(rule: &Rule) -> Option<Obligation> {
    match &rule.then {
        Then::Limit(limit) => Some(Obligation::RateLimit(Limit {
            rule: rule.id.to_string(),
            requests: limit.requests,
            per_s: limit.per_s,
        })),
        _ => None,
    }
}
