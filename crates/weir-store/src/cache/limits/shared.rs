//! Limits of all nodes together: one script on Redis, and what is known of the error while it does not answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::LimitCharge;
use super::windows::share;
use crate::cache::names;
use crate::cache::redis::{CONSUME, Redis};
use crate::error::{ErrorKind, Result, StoreError};

impl Redis {
    /// Counts a request against limits of one subject; for each, what its window has counted and what is left of it.
    pub(in crate::cache) async fn consume(
        &self,
        charges: &[(usize, &LimitCharge)],
    ) -> Result<Vec<(u64, Duration)>> {
        let keys: Vec<String> = charges.iter().map(|(_, charge)| names::limit(charge)).collect();
        let lengths: Vec<String> = charges.iter().map(|(_, charge)| charge.per_ms().to_string()).collect();
        let numbers: Vec<u64> = self.script(&CONSUME, &keys, &lengths).await?;
        let (pairs, rest) = numbers.as_chunks::<2>();
        if pairs.len() != charges.len() || !rest.is_empty() {
            return Err(StoreError::new(
                ErrorKind::Corrupt,
                "a limit's script gave another number of answers",
            ));
        }
        Ok(pairs.iter().map(|[counted, left]| (*counted, Duration::from_millis(*left))).collect())
    }
}

/// How many requests more than a limit can pass in one window around an outage of Redis, all nodes together, for the
/// largest limit that was asked for since it began: `nodes * max(1, requests / nodes)`, see `docs/stores.md`. The
/// metric `weir_limit_overadmission_bound` shows it; it is 0 while Redis answers.
#[derive(Default)]
pub(in crate::cache) struct OveradmissionBound(AtomicU64);

impl OveradmissionBound {
    /// Redis has answered.
    pub(in crate::cache) fn answered(&self) {
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
            publish(0);
        }
    }

    /// This node has counted by itself.
    pub(in crate::cache) fn shared(&self, requests: u64, nodes: u64) {
        let bound = nodes.saturating_mul(share(requests, nodes));
        if self.0.fetch_max(bound, Ordering::Relaxed) < bound {
            publish(bound);
        }
    }
}

fn publish(bound: u64) {
    metrics::gauge!("weir_limit_overadmission_bound").set(bound as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_largest_limit_until_redis_answers() {
        let bound = OveradmissionBound::default();
        let value = || bound.0.load(Ordering::Relaxed);
        for (requests, nodes, expected) in [(100, 3, 99), (10, 3, 99), (2, 200, 200)] {
            bound.shared(requests, nodes);
            assert_eq!(value(), expected, "{requests} {nodes}");
        }
        bound.answered();
        assert_eq!(value(), 0);
    }
}
