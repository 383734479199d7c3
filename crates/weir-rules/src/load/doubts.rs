//! Rules that never do anything, and pairs of rules of which one takes the other's effect away.
//!
//! Only what can be proven from the typed form is said, so that every warning is true: that a condition never holds,
//! that two are the same, that one holds whenever another does because it asks for a part of what that one asks for.

mod proof;

use std::collections::HashMap;

use weir_core::{Action, Boundary, Mode, Timestamp};

use crate::diagnostic::{Diagnostic, Severity};
use crate::expr::Expr;
use crate::rule::{Rule, Then, ToolThen};
use crate::yaml::{Document, Span};
use proof::Proof;

/// Rules of one boundary that are compared pair by pair. Of more, only those with the same condition are.
const PAIRED_MAX: usize = 1_000;

/// Warnings about pairs at most: who has more has one problem, not many.
const PAIRS_TOLD_MAX: usize = 100;

/// Where the condition of a rule stands.
pub(super) struct Place<'d> {
    pub(super) document: &'d Document<'d>,
    pub(super) span: Span,
    pub(super) path: String,
}

/// Everything that is doubtful about the rules together.
pub(super) fn find(
    rules: &[Rule],
    conditions: &[Expr],
    places: &[Place<'_>],
    now: Timestamp,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let proofs: Vec<Proof> = conditions.iter().map(Proof::of).collect();
    let mut told = Told { rules, places, diagnostics, pairs: 0 };
    for (at, rule) in rules.iter().enumerate() {
        if rule.mode != Mode::Off {
            told.alone(at, rule, proofs.get(at).is_some_and(Proof::never));
        }
    }
    for boundary in Boundary::ALL {
        let asked: Vec<usize> = (0..rules.len())
            .filter(|at| {
                rules.get(*at).is_some_and(|rule| rule.on == boundary && is_enforced(rule, now))
                    && proofs.get(*at).is_some_and(|proof| !proof.never())
            })
            .collect();
        if asked.len() <= PAIRED_MAX {
            all_pairs(&asked, &proofs, &mut told);
        } else {
            same_conditions(&asked, &proofs, &mut told);
        }
    }
}

/// A rule that has expired is warned of already, and takes nothing from others.
fn is_enforced(rule: &Rule, now: Timestamp) -> bool {
    rule.mode == Mode::Enforce && rule.rollout > 0 && rule.expires.is_none_or(|expires| now < expires)
}

fn all_pairs(asked: &[usize], proofs: &[Proof], told: &mut Told<'_, '_>) {
    for narrow in asked {
        for wide in asked {
            if narrow != wide
                && let (Some(a), Some(b)) = (proofs.get(*narrow), proofs.get(*wide))
                && a.implies(b)
                && told.pair(*narrow, *wide, a.implies(b) && b.implies(a))
            {
                // One reason is enough for a rule.
                break;
            }
        }
    }
}

fn same_conditions(asked: &[usize], proofs: &[Proof], told: &mut Told<'_, '_>) {
    let mut first: HashMap<&[u64], usize> = HashMap::new();
    for at in asked {
        let Some(proof) = proofs.get(*at) else { continue };
        match first.get(proof.parts()) {
            Some(known) => {
                let _ = told.pair(*at, *known, true) || told.pair(*known, *at, true);
            }
            None => {
                first.insert(proof.parts(), *at);
            }
        }
    }
}

struct Told<'t, 'd> {
    rules: &'t [Rule],
    places: &'t [Place<'d>],
    diagnostics: &'t mut Vec<Diagnostic>,
    pairs: usize,
}

impl Told<'_, '_> {
    fn alone(&mut self, at: usize, rule: &Rule, never: bool) {
        if never {
            let help = "remove the rule, or mend its condition";
            self.warn(at, "the condition never holds".to_owned(), help);
        } else if rule.rollout == 0 {
            let help = "give `rollout` from 1 to 100, or say `mode: off` to keep the rule for later";
            self.warn(at, "`rollout: 0` leaves the rule out for every identity".to_owned(), help);
        }
    }

    /// Warns of `narrow`, which matches only where `wide` does, if that takes its effect away; whether it does.
    fn pair(&mut self, narrow: usize, wide: usize, same: bool) -> bool {
        let (Some(a), Some(b)) = (self.rules.get(narrow), self.rules.get(wide)) else { return false };
        // The wide one must be asked whenever the narrow one is.
        let lasts = b.expires.is_none() || (a.expires.is_some() && a.expires <= b.expires);
        if b.rollout < 100 || !lasts || self.pairs >= PAIRS_TOLD_MAX {
            return false;
        }
        let Some(effect) = effect(a, b, narrow, wide) else { return false };
        self.pairs += 1;
        let relation = if same { "has the same condition" } else { "matches whenever this one does" };
        let message = format!("the rule {}: `{}` {relation}, {}", effect.lost, b.id, effect.why);
        self.warn(narrow, message, effect.help);
        true
    }

    fn warn(&mut self, at: usize, message: String, help: &str) {
        let (Some(rule), Some(place)) = (self.rules.get(at), self.places.get(at)) else { return };
        let path = format!("{}.when", place.path);
        let mut diagnostic = place.document.diagnostic(Severity::Warning, place.span, path, message);
        diagnostic.rule = Some(rule.id.to_string());
        diagnostic.help = Some(help.to_owned());
        self.diagnostics.push(diagnostic);
    }
}

/// What a rule loses to another, and why.
struct Lost {
    lost: &'static str,
    why: String,
    help: &'static str,
}

/// What `a` loses because `b` matches whenever it does; nothing when it keeps some effect.
fn effect(a: &Rule, b: &Rule, a_at: usize, b_at: usize) -> Option<Lost> {
    let earlier = b_at < a_at;
    match a.on {
        Boundary::Failure => earlier.then(|| Lost {
            lost: "is never reached",
            why: "stands before it, and the first match decides".to_owned(),
            help: "put the narrower rule first, or remove it",
        }),
        Boundary::Request => request_effect(a, b, earlier),
        Boundary::Tool => tool_effect(a, b, earlier),
    }
}

/// A score that a rule adds is an effect that nothing takes away.
fn request_effect(a: &Rule, b: &Rule, earlier: bool) -> Option<Lost> {
    if a.score != 0 {
        return None;
    }
    match (&a.then, &b.then) {
        (Then::Skip, Then::Skip) => earlier.then(|| Lost {
            lost: "adds nothing",
            why: "and is a `skip` too".to_owned(),
            help: "remove one of the two",
        }),
        (Then::Action(_) | Then::Limit(_), Then::Skip) => Some(Lost {
            lost: "has no effect",
            why: "and a `skip` lifts what other rules ask for".to_owned(),
            help: "make the condition of the `skip` narrower, or remove this rule",
        }),
        (Then::Limit(_), Then::Action(Action::Block)) => Some(Lost {
            lost: "has no effect",
            why: "and what is blocked is not counted".to_owned(),
            help: "make the condition of the other rule narrower, or remove this one",
        }),
        (Then::Action(mine), Then::Action(other)) if other > mine || (other == mine && earlier) => {
            Some(Lost {
                lost: "never decides",
                why: if other == mine {
                    format!("with the same action `{}`, and stands before it", other.as_str())
                } else {
                    format!("with the more severe `{}`", other.as_str())
                },
                help: "make the condition of the other rule narrower, or remove this one",
            })
        }
        _ => None,
    }
}

/// A denial that hides differs from one that does not.
fn tool_effect(a: &Rule, b: &Rule, earlier: bool) -> Option<Lost> {
    let (Then::Tool(mine), Then::Tool(other)) = (&a.then, &b.then) else { return None };
    if a.conceal != b.conceal || a.score != 0 {
        return None;
    }
    let help = "make the condition of the other rule narrower, or remove this one";
    match (mine, other) {
        (ToolThen::Allow | ToolThen::RequireApproval, ToolThen::Deny) => {
            Some(Lost { lost: "has no effect", why: "and denies; nothing lifts a denial".to_owned(), help })
        }
        (ToolThen::Deny, ToolThen::Deny) if earlier => {
            Some(Lost { lost: "never decides", why: "denies too, and stands before it".to_owned(), help })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
