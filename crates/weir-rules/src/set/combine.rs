//! From the rules that matched to one decision.

use weir_core::decision::obligations_of;
use weir_core::{Action, Boundary, Decision, Errored, Limit, Matched, Mode, Obligation, Source};

use super::{DecideContext, Evaluation};
use crate::rule::{Rule, Then};

/// Combines the matching request rules: `skip` lifts enforcement, otherwise the most severe action wins. Limits are
/// obligations beside the action.
pub(super) fn request(rules: &[Rule], evaluation: Evaluation, context: &DecideContext<'_>) -> Decision {
    let matched: Vec<&Rule> = evaluation.matched.iter().filter_map(|at| rules.get(*at)).collect();
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
        matched: matched.iter().map(|rule| listed(rule)).collect(),
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

fn enforced<'r>(matched: &'r [&'r Rule]) -> impl Iterator<Item = &'r Rule> {
    matched.iter().copied().filter(|rule| rule.mode == Mode::Enforce)
}

fn listed(rule: &Rule) -> Matched {
    Matched {
        rule: rule.id.to_string(),
        version: rule.version.to_string(),
        action: rule.then.word().to_owned(),
        mode: rule.mode,
    }
}

/// What the enforced rules come to, and the first in order of those that decided it.
struct Verdict<'r> {
    action: Action,
    rule: Option<&'r Rule>,
    skipped: bool,
}

impl<'r> Verdict<'r> {
    fn of(matched: &'r [&'r Rule]) -> Self {
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

    fn obligations(&self, matched: &[&Rule], context: &DecideContext<'_>) -> Vec<Obligation> {
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
