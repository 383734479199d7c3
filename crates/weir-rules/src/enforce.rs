//! From a decision to the permission to go on.
//!
//! A [`Permit`] can be made here only, and the clients that reach a provider ask for one: what was refused cannot be
//! sent by mistake, whichever way through the code a request takes.

use std::time::Duration;

use weir_core::Action;
use weir_core::action::QuarantineDelays;
use weir_core::decision::{Decision, Obligation, Source, obligations_of};

/// The proof that a request may go to a provider, and what must be done along with it.
#[derive(Debug)]
pub struct Permit {
    delay: Duration,
    downgrade: bool,
}

impl Permit {
    /// How long to wait before the upstream call, and before any answer that is given instead of it.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Whether a free model is to be sent instead.
    #[must_use]
    pub fn downgrade(&self) -> bool {
        self.downgrade
    }
}

/// What a decision means for the request.
#[derive(Debug)]
pub enum Enforcement {
    /// 403, at once.
    Block,
    /// 429, at once.
    RateLimit,
    /// The request may go on.
    Proceed(Permit),
}

/// Turns a decision into its enforcement (spec A2). Limits are counted by the caller before this.
#[must_use]
pub fn enforce(decision: &Decision) -> Enforcement {
    match decision.action() {
        Action::Block => Enforcement::Block,
        Action::RateLimit => Enforcement::RateLimit,
        Action::Nothing | Action::Log | Action::Quarantine1 | Action::Quarantine2 | Action::Quarantine3 => {
            let mut permit = Permit { delay: Duration::ZERO, downgrade: false };
            for obligation in &decision.obligations {
                match obligation {
                    Obligation::DelayMs(ms) => permit.delay = Duration::from_millis(*ms),
                    Obligation::Downgrade(asked) => permit.downgrade = *asked,
                    Obligation::RateLimit(_) => {}
                }
            }
            Enforcement::Proceed(permit)
        }
    }
}

/// What the classifier said by the time a decision was due, in `abuse.mode: cached`.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once for a request and consumed at once; none is ever kept"
)]
pub enum Classification {
    /// It was not waited for.
    NotAwaited,
    /// It was waited for and gave no answer: gone, slow, unreadable.
    Missing,
    /// It answered. An action that is unknown counts as none.
    Given(Decision),
}

/// The decision of the seed (spec A6): a cached action that does not enforce lets the request pass whatever the
/// classifier says; one that does is replaced by a fresh answer, also by "no action", and holds without one.
///
/// `unasked` is the decision of a request about which nothing is known; limits of a fresh answer count on either
/// path, since they are never cached.
#[must_use]
pub fn decide_cached(
    unasked: Decision,
    cached: Option<Action>,
    classification: Classification,
    delays: QuarantineDelays,
) -> Decision {
    match (cached.filter(|action| action.enforces()), classification) {
        (Some(_), Classification::Given(fresh)) => Decision { source: Source::Fresh, ..fresh },
        (Some(action), Classification::NotAwaited | Classification::Missing) => Decision {
            outcome: action.into(),
            obligations: obligations_of(action, delays),
            source: Source::Cache,
            ..unasked
        },
        (None, Classification::Given(fresh)) => Decision {
            outcome: Action::Nothing.into(),
            rule: None,
            because: None,
            instead: None,
            obligations: fresh
                .obligations
                .into_iter()
                .filter(|obligation| matches!(obligation, Obligation::RateLimit(_)))
                .collect(),
            source: Source::Cache,
            ..fresh
        },
        (None, Classification::NotAwaited | Classification::Missing) => {
            Decision { source: if cached.is_some() { Source::Cache } else { Source::Static }, ..unasked }
        }
    }
}

/// The reason of a decision that an exemption made.
const EXEMPTED: &str = "an operator has exempted this identity";

/// Whether a recorded decision is one of [`exempted`].
pub(crate) fn is_exempted(outcome: &str, rule: Option<&str>, because: Option<&str>) -> bool {
    outcome == Action::Nothing.as_str() && rule.is_none() && because == Some(EXEMPTED)
}

/// The decision about an identity that an operator has exempted: what the rules said stays listed, nothing of it is
/// enforced.
#[must_use]
pub fn exempted(decision: Decision) -> Decision {
    Decision {
        outcome: Action::Nothing.into(),
        rule: None,
        because: Some(EXEMPTED.to_owned()),
        instead: None,
        obligations: Vec::new(),
        ..decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use weir_core::DecisionId;

    fn decision(action: Action) -> Decision {
        let id = DecisionId::new(Timestamp::UNIX_EPOCH, [0; 10]);
        let unasked = Decision::unasked(id, "user:a".into(), 1, Timestamp::UNIX_EPOCH);
        Decision {
            outcome: action.into(),
            obligations: obligations_of(action, QuarantineDelays::default()),
            ..unasked
        }
    }

    #[test]
    fn only_what_may_go_on_gets_a_permit() {
        for action in Action::ALL {
            match enforce(&decision(action)) {
                Enforcement::Block => assert_eq!(action, Action::Block),
                Enforcement::RateLimit => assert_eq!(action, Action::RateLimit),
                Enforcement::Proceed(permit) => {
                    assert_eq!(permit.delay(), action.delay(QuarantineDelays::default()));
                    assert_eq!(permit.downgrade(), action == Action::Quarantine3);
                }
            }
        }
    }

    #[test]
    fn a_fresh_answer_wins_both_ways_but_only_over_a_cached_action_that_enforces() {
        let delays = QuarantineDelays::default();
        let decide = |cached, classification| {
            let made = decide_cached(decision(Action::Nothing), cached, classification, delays);
            (made.action(), made.source)
        };
        for cached in Action::ALL {
            for fresh in Action::ALL {
                let (action, source) = decide(Some(cached), Classification::Given(decision(fresh)));
                if cached.enforces() {
                    assert_eq!((action, source), (fresh, Source::Fresh), "{cached} then {fresh}");
                } else {
                    assert_eq!((action, source), (Action::Nothing, Source::Cache), "{cached} then {fresh}");
                }
            }
            let (held, _) = decide(Some(cached), Classification::Missing);
            assert_eq!(held, if cached.enforces() { cached } else { Action::Nothing });
        }
        assert_eq!(decide(None, Classification::Given(decision(Action::Block))).0, Action::Nothing);
        assert_eq!(decide(None, Classification::NotAwaited), (Action::Nothing, Source::Static));
    }
}
