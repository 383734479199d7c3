//! What to do about a failed attempt: pure, so that a table can test it.

use std::time::Duration;

use weir_config::config::Retries;
use weir_core::failure::{Class, Retry};
use weir_rules::failure::of_credential;

/// How many calls one request may cost at most, over all keys and models.
pub(crate) const CALLS_MAX: u32 = 20;

/// How long one request may spend in pauses between its attempts, in all.
pub(crate) const PAUSES_MAX: Duration = Duration::from_secs(60);

/// The shortest pause (spec B11), however short the configured one is.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// Where a request stands when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// What the failure is.
    pub(crate) class: Class,
    /// Whether another try can help.
    pub(crate) retry: Retry,
    /// How long the provider asks to wait, in seconds.
    pub(crate) hint_s: Option<f64>,
    /// Whether the pool has a key that this request has not tried, and against which nothing is known.
    pub(crate) other_key: bool,
    /// Whether there is a fallback model that was not looked at.
    pub(crate) other_model: bool,
    /// How often this model was tried, with one key or with several in a row.
    pub(crate) tries: u32,
    /// How many calls the request has cost.
    pub(crate) calls: u32,
    /// How long it has paused.
    pub(crate) paused: Duration,
    /// Between 0 and 1.
    pub(crate) random: f64,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Tell the caller.
    End,
    /// The same model after a pause.
    Again(Duration),
    /// The same model with the next key of the pool, at once.
    NextKey,
    /// The next fallback model, if there is one.
    Fallback,
}

/// The plan.
pub(crate) fn plan(standing: &Standing, retries: &Retries) -> Plan {
    if standing.calls >= CALLS_MAX {
        return Plan::End;
    }
    match standing.retry {
        Retry::Never => Plan::End,
        Retry::Failover if standing.other_key && of_credential(standing.class) => Plan::NextKey,
        Retry::Failover => Plan::Fallback,
        // Another key has an allowance of its own.
        Retry::Same if standing.other_key && standing.class == Class::RateLimited => Plan::NextKey,
        // It will not be back before the longest wait is over: another model may serve at once.
        Retry::Same if standing.other_model && is_far(standing.hint_s, retries) => Plan::Fallback,
        Retry::Same if standing.tries < retries.attempts => {
            let pause = pause(standing.tries, standing.hint_s, standing.random, retries);
            if standing.paused.saturating_add(pause) > PAUSES_MAX {
                Plan::Fallback
            } else {
                Plan::Again(pause)
            }
        }
        Retry::Same => Plan::Fallback,
    }
}

/// Whether a provider asks for more patience than one request has.
pub(crate) fn is_far(hint_s: Option<f64>, retries: &Retries) -> bool {
    hint_s.is_some_and(|seconds| seconds > retries.retry_after_max.as_secs_f64())
}

/// How long to wait after the try number `tries`: what the provider asks for within bounds, else twice as long each
/// time, and up to half as much more, so that callers who failed together do not come back together.
pub(crate) fn pause(tries: u32, hint_s: Option<f64>, random: f64, retries: &Retries) -> Duration {
    let base = retries.base.max(PAUSE_MIN);
    if let Some(hint) = hint_s.filter(|seconds| *seconds >= 0.0) {
        let hint = hint.min(retries.retry_after_max.as_secs_f64());
        return Duration::try_from_secs_f64(hint).unwrap_or(base).max(base);
    }
    let doubled = base.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    let longest = retries.max.max(base);
    let jittered = doubled.min(longest).mul_f64(1.0 + random.clamp(0.0, 1.0) / 2.0).min(longest);
    // Whole milliseconds, as they are recorded.
    Duration::from_millis(u64::try_from(jittered.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries = Retries {
        attempts: 3,
        base: Duration::from_millis(500),
        max: Duration::from_secs(10),
        retry_after_max: Duration::from_secs(30),
    };

    fn standing(class: Class) -> Standing {
        Standing {
            class,
            retry: class.retry(),
            hint_s: None,
            other_key: false,
            other_model: false,
            tries: 1,
            calls: 1,
            paused: Duration::ZERO,
            random: 0.0,
        }
    }

    #[test]
    fn each_class_is_followed_by_what_can_help() {
        for class in Class::ALL {
            let alone = plan(&standing(class), &RETRIES);
            let expected = match class.retry() {
                Retry::Same => Plan::Again(Duration::from_millis(500)),
                Retry::Failover => Plan::Fallback,
                Retry::Never => Plan::End,
            };
            assert_eq!(alone, expected, "{class}");
            let pooled = plan(&Standing { other_key: true, ..standing(class) }, &RETRIES);
            let moves = of_credential(class) || class == Class::RateLimited;
            assert_eq!(pooled, if moves { Plan::NextKey } else { expected }, "{class} of a pool");
            let spent = plan(&Standing { calls: CALLS_MAX, ..standing(class) }, &RETRIES);
            assert_eq!(spent, Plan::End, "{class} after many calls");
        }
    }

    #[test]
    fn tries_and_pauses_are_bounded() {
        let of = |tries, paused| {
            plan(
                &Standing { tries, paused: Duration::from_secs(paused), ..standing(Class::Timeout) },
                &RETRIES,
            )
        };
        assert_eq!(of(2, 0), Plan::Again(Duration::from_secs(1)));
        assert_eq!(of(3, 0), Plan::Fallback, "three tries in all");
        assert_eq!(of(2, 59), Plan::Again(Duration::from_secs(1)));
        assert_eq!(of(2, 60), Plan::Fallback, "no more waiting");
    }

    /// What asks for more patience than a request has goes to another model; where there is none the wait is capped.
    #[test]
    fn a_far_hint_makes_way_for_another_model() {
        let of = |hint_s, other_model| {
            plan(&Standing { hint_s, other_model, ..standing(Class::RateLimited) }, &RETRIES)
        };
        assert_eq!(of(Some(7_200.0), true), Plan::Fallback);
        assert_eq!(of(Some(7_200.0), false), Plan::Again(Duration::from_secs(30)));
        assert_eq!(of(Some(30.0), true), Plan::Again(Duration::from_secs(30)));
        assert_eq!(of(None, true), Plan::Again(Duration::from_millis(500)));
    }

    #[test]
    fn a_pause_doubles_with_jitter_and_follows_the_provider_within_bounds() {
        let table = [
            (1, None, 0.0, 500),
            (2, None, 0.0, 1_000),
            (3, None, 0.0, 2_000),
            (1, None, 1.0, 750),
            (40, None, 1.0, 10_000),
            (1, Some(2.5), 0.9, 2_500),
            (1, Some(0.001), 0.0, 500),
            (1, Some(120.0), 0.0, 30_000),
            (1, Some(f64::NAN), 0.0, 500),
            (1, Some(f64::INFINITY), 0.0, 30_000),
        ];
        for (tries, hint, random, ms) in table {
            assert_eq!(pause(tries, hint, random, &RETRIES), Duration::from_millis(ms), "{tries} {hint:?}");
        }
        let short = Retries { base: Duration::ZERO, max: Duration::ZERO, ..RETRIES };
        assert_eq!(pause(1, None, 0.0, &short), PAUSE_MIN);
    }
}
