//! Pauses between attempts to start a server that dies.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// A server that has lived this long is thought to be well.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// When a server may be started again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    deaths: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// How long a start must wait yet.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before.map(|at| at.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// The server has died, having lived for `lived`. The first death of one that was well costs no pause.
    pub(crate) fn died(&mut self, lived: Duration, now: Instant) {
        self.deaths = if lived >= WELL_AFTER { 0 } else { self.deaths.saturating_add(1) };
        let doubled = FIRST.saturating_mul(1 << self.deaths.saturating_sub(1).min(16));
        self.not_before = (self.deaths > 0).then(|| now + doubled.min(LONGEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_end_with_a_long_life() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait(now), None);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            backoff.died(Duration::from_secs(1), now);
            pauses.push(backoff.wait(now).unwrap().as_millis());
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff.wait(now + LONGEST), None);
        backoff.died(WELL_AFTER, now);
        assert_eq!(backoff.wait(now), None);
    }
}
