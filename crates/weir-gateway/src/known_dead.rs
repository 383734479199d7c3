//! Keys of the platform's that are known to be dead or throttled: used up until a reset, refused or slowed a moment ago.
//!
//! A key whose reset time the provider has named is not tried before it. One that was refused without a time is passed
//! over while another key of its pool lives, and tried again when none does: only the provider knows whether it has come
//! back. A throttled one is no dead one: it is passed over as long as the provider asks for, and whoever looks it up
//! says whether that is so short that it may be tried all the same. The memory belongs to one configuration; a new one
//! begins without any.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;
use weir_core::Timestamp;
use weir_core::failure::{Class, CredentialOwner};
use weir_rules::failure::UpstreamFailure;

/// How many dead keys are remembered, counted by model: beyond it the one that comes back first is forgotten.
const DEAD_MAX: usize = 1024;

/// How long a key that was refused without a reset time is passed over, in seconds.
const REFUSED_S: f64 = 60.0;

/// How long a key that was throttled without a hint is passed over, in seconds.
const THROTTLED_S: f64 = 5.0;

/// How far in the future a reset may lie, in seconds: an account can be topped up before it.
const RESET_S_MAX: f64 = 24.0 * 60.0 * 60.0;

/// A key of a provider's pool, for all models or for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scope {
    provider: Arc<str>,
    key: usize,
    /// The model's name at the provider: quotas and permissions are often of one model. A wrong key is wrong for all.
    model: Option<String>,
}

#[derive(Clone)]
struct Dead {
    until: Timestamp,
    /// Whether the provider itself named the time.
    named: bool,
    /// Whether it only asks for patience.
    throttled: bool,
    failure: Arc<UpstreamFailure>,
}

/// The keys that are known to be dead.
#[derive(Default)]
pub(crate) struct KnownDead {
    /// How many, so that a success has nothing to look up.
    len: AtomicUsize,
    dead: Mutex<HashMap<Scope, Dead>>,
}

/// What is known of a key.
#[derive(Clone)]
pub(crate) enum Life {
    /// Nothing against it.
    Lives,
    /// It was refused a moment ago, and counts as dead until then.
    Refused(Timestamp),
    /// The provider has said when it comes back.
    DeadUntil(Timestamp, Arc<UpstreamFailure>),
    /// It is throttled until then.
    Throttled(Timestamp, Arc<UpstreamFailure>),
}

impl Life {
    pub(crate) const fn lives(&self) -> bool {
        matches!(self, Self::Lives)
    }
}

impl KnownDead {
    /// Whether nothing is known of any key.
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }

    /// What is known of a key for a model.
    pub(crate) fn life(&self, provider: &Arc<str>, key: usize, model: &str, now: Timestamp) -> Life {
        if self.is_empty() {
            return Life::Lives;
        }
        let dead = self.lock();
        let scope = |model: Option<&str>| Scope {
            provider: Arc::clone(provider),
            key,
            model: model.map(str::to_owned),
        };
        let found = [scope(None), scope(Some(model))]
            .iter()
            .filter_map(|scope| dead.get(scope))
            .filter(|dead| dead.until > now)
            .max_by_key(|dead| (!dead.throttled, dead.named, dead.until));
        match found {
            None => Life::Lives,
            Some(dead) if dead.throttled => Life::Throttled(dead.until, Arc::clone(&dead.failure)),
            Some(dead) if dead.named => Life::DeadUntil(dead.until, Arc::clone(&dead.failure)),
            Some(dead) => Life::Refused(dead.until),
        }
    }

    /// Remembers a key if this failure says that it is dead.
    pub(crate) fn learn(
        &self,
        provider: &Arc<str>,
        key: usize,
        model: &str,
        failure: &UpstreamFailure,
        now: Timestamp,
    ) {
        let Some(model) = dies_for(failure, model) else { return };
        let throttled = failure.class() == Class::RateLimited;
        let named = failure.classification().retry_after_s;
        let unnamed = if throttled { THROTTLED_S } else { REFUSED_S };
        let seconds = named.unwrap_or(unnamed).clamp(0.0, RESET_S_MAX);
        let Ok(after) = SignedDuration::try_from_secs_f64(seconds) else { return };
        let Ok(until) = now.checked_add(after) else { return };
        let scope = Scope { provider: Arc::clone(provider), key, model };
        let entry = Dead { until, named: named.is_some(), throttled, failure: Arc::new(failure.clone()) };
        let mut dead = self.lock();
        if dead.len() >= DEAD_MAX && !dead.contains_key(&scope) {
            make_room(&mut dead, now);
        }
        dead.insert(scope, entry);
        self.len.store(dead.len(), Ordering::Relaxed);
    }

    /// Forgets what is known of a key that has served a model.
    pub(crate) fn served(&self, provider: &Arc<str>, key: usize, model: &str) {
        if self.is_empty() {
            return;
        }
        let mut dead = self.lock();
        for model in [None, Some(model.to_owned())] {
            dead.remove(&Scope { provider: Arc::clone(provider), key, model });
        }
        self.len.store(dead.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Dead>> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For which model a key is dead or throttled after this failure: `Some(None)` for all, none when it is neither.
fn dies_for(failure: &UpstreamFailure, model: &str) -> Option<Option<String>> {
    let circumstances = failure.circumstances();
    // The session of the house is not a key; a caller's own key is the caller's business.
    if circumstances.house || circumstances.credential == CredentialOwner::User {
        return None;
    }
    match failure.class() {
        Class::AuthInvalid => Some(None),
        Class::QuotaExhausted | Class::PermissionDenied | Class::RateLimited => Some(Some(model.to_owned())),
        _ => None,
    }
}

fn make_room(dead: &mut HashMap<Scope, Dead>, now: Timestamp) {
    dead.retain(|_, entry| entry.until > now);
    if dead.len() < DEAD_MAX {
        return;
    }
    let first = dead.iter().min_by_key(|(_, entry)| entry.until).map(|(scope, _)| scope.clone());
    if let Some(first) = first {
        dead.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use weir_core::record::RecordedFacts;
    use weir_dialect::failure::{Evidence, FailureInput};
    use weir_rules::failure::{About, Circumstances};
    use weir_rules::{EvaluateContext, RuleSet};

    use super::*;

    fn failure(status: u16, headers: &[(&str, &str)], credential: CredentialOwner) -> UpstreamFailure {
        let evidence =
            Evidence::read(&FailureInput { status: Some(status), headers, ..FailureInput::default() });
        let circumstances = Circumstances { credential, ..Circumstances::default() };
        let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
        let recorded = RecordedFacts::default();
        let about = About { recorded: &recorded, headers: None, prompts: ["", ""], context: &context };
        UpstreamFailure::classify(&RuleSet::default(), evidence, circumstances, &about)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_key_is_dead_until_its_reset_and_not_longer() {
        let known = KnownDead::default();
        let provider: Arc<str> = "p".into();
        let spent = failure(402, &[("retry-after", "3600")], CredentialOwner::Platform);
        known.learn(&provider, 0, "m", &spent, at(0));
        assert!(
            matches!(known.life(&provider, 0, "m", at(3599)), Life::DeadUntil(until, _) if until == at(3600))
        );
        assert!(known.life(&provider, 0, "m", at(3600)).lives());
        assert!(known.life(&provider, 0, "other", at(1)).lives(), "a quota is of one model");
        assert!(known.life(&provider, 1, "m", at(1)).lives());
        let wrong = failure(401, &[], CredentialOwner::Pooled);
        known.learn(&provider, 1, "m", &wrong, at(0));
        assert!(
            matches!(known.life(&provider, 1, "other", at(59)), Life::Refused(_)),
            "a key is wrong for all"
        );
        assert!(known.life(&provider, 1, "m", at(60)).lives());
        known.served(&provider, 0, "m");
        assert!(known.life(&provider, 0, "m", at(1)).lives());
    }

    #[test]
    fn only_what_kills_a_key_of_the_platforms_is_learned() {
        for (status, credential, dies) in [
            (401, CredentialOwner::Platform, true),
            (402, CredentialOwner::Pooled, true),
            (403, CredentialOwner::Platform, true),
            (401, CredentialOwner::User, false),
            (429, CredentialOwner::Platform, true),
            (429, CredentialOwner::User, false),
            (500, CredentialOwner::Platform, false),
            (400, CredentialOwner::Platform, false),
        ] {
            let known = KnownDead::default();
            let provider: Arc<str> = "p".into();
            known.learn(&provider, 0, "m", &failure(status, &[], credential), at(0));
            assert_eq!(!known.life(&provider, 0, "m", at(1)).lives(), dies, "{status} {credential:?}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_a_day_is_the_longest() {
        let known = KnownDead::default();
        let provider: Arc<str> = "p".into();
        let spent = failure(402, &[("retry-after", "172800")], CredentialOwner::Platform);
        for model in 0..(DEAD_MAX + 10) {
            known.learn(&provider, 0, &model.to_string(), &spent, at(i64::try_from(model).unwrap()));
        }
        assert_eq!(known.lock().len(), DEAD_MAX);
        assert!(known.life(&provider, 0, "0", at(1)).lives(), "the one that comes back first was forgotten");
        let last = (DEAD_MAX + 9).to_string();
        assert!(known.life(&provider, 0, &last, at(24 * 60 * 60 + 2000)).lives());
    }
}
