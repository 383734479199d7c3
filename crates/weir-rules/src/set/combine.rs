//! From the rules that matched to one decision.

use weir_core::decision::obligations_of;
use weir_core::{Action, Boundary, Decision, Errored, Limit, Matched, Mode, Obligation, Source};

use super::{DecideContext, Evaluation};
use crate::live::Positions;
use crate::rule::{Rule, Then};

/// Combines the matching request rules: `skip` lifts enforcement, otherwise the most severe action wins. Limits are
/// obligations beside the action.
pub(super) fn request(
    rules: &[Rule],
    stopped: &Positions,
    evaluation: Evaluation,
    context: &DecideContext<'_>,
) -> Decision {
    let hit = |at: &usize| {
        let rule = rules.get(*at)?;
        let mode = if rule.mode == Mode::Enforce && stopped.holds(*at) { Mode::Shadow } else { rule.mode };
        Some(Hit { rule, mode })
    };
    let matched: Vec<Hit<'_>> = evaluation.matched.iter().filter_map(hit).collect();
    let verdict = Verdict::of(&matched);
    let obligations = verdict.obligations(&matched, context);
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    Decision {
        id: context.id,
        boundary: Boundary::Request,
        subject: context.subject.to_owned(),
        outcome: verdict.action.into(),
        rule: verdict.rule.map(|rule| rule.id.to_string()),
        because: verdict.rule.and_then(|rule| text(&rule.because)),
        instead: verdict.rule.and_then(|rule| text(&rule.instead)),
        sus_score: enforced(&matched).fold(0, |sum, rule| sum.saturating_add(rule.score)),
        matched: matched.iter().map(listed).collect(),
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

/// A rule that matched, and the mode that it is in: a stopped one is in shadow.
struct Hit<'r> {
    rule: &'r Rule,
    mode: Mode,
}

fn enforced<'r>(matched: &[Hit<'r>]) -> impl Iterator<Item = &'r Rule> {
    matched.iter().filter(|hit| hit.mode == Mode::Enforce).map(|hit| hit.rule)
}

fn listed(hit: &Hit<'_>) -> Matched {
    let Hit { rule, mode } = *hit;
    Matched {
        rule: rule.id.to_string(),
        version: rule.version.to_string(),
        action: rule.then.word().to_owned(),
        mode,
    }
}

/// What the enforced rules come to, and the first in order of those that decided it.
struct Verdict<'r> {
    action: Action,
    rule: Option<&'r Rule>,
    skipped: bool,
}

impl<'r> Verdict<'r> {
    fn of(matched: &[Hit<'r>]) -> Self {
        if let Some(skip) = enforced(matched).find(|rule| rule.then == Then::Skip) {
            return Self { action: Action::Nothing, rule: Some(skip), skipped: true };
        }
        let mut verdict = Self { action: Action::Nothing, rule: None, skipped: false };
        for rule in enforced(matched) {
            if let Then::Action(action) = rule.then
                && (verdict.rule.is_none() || action > verdict.action)
            {
                verdict.action = action;
                verdict.rule = Some(rule);
            }
        }
        verdict
    }

    fn obligations(&self, matched: &[Hit<'_>], context: &DecideContext<'_>) -> Vec<Obligation> {
        if self.skipped {
            return Vec::new();
        }
        let mut obligations = obligations_of(self.action, context.delays);
        if self.action != Action::Block {
            obligations.extend(enforced(matched).filter_map(limit));
        }
        obligations
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
