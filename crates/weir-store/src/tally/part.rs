//! Which counts are read for a range: days where all their hours are asked for, hours at its ends.

use super::{Resolution, TallyQuery};
use crate::clock::to_ms;

const HOUR_MS: i64 = Resolution::Hour.seconds() * 1000;
const DAY_MS: i64 = Resolution::Day.seconds() * 1000;

/// The first days of which there are counts may not be whole: a version that counts no days wrote their hours, on this node
/// before it was replaced, or on another that was replaced somewhat later. From so many milliseconds after the begin of the
/// first of them on, days are read.
pub(crate) const DAYS_TRUSTED_AFTER_MS: i64 = 2 * DAY_MS;

/// A part of a range that is read in one resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) resolution: Resolution,
    pub(crate) begin_ms: i64,
    /// Before this time.
    pub(crate) until_ms: i64,
}

impl Part {
    /// All that a query asks for, as if there were no days.
    pub(crate) fn whole(query: &TallyQuery) -> Self {
        let (begin_ms, until_ms) = (query.begin_ms(), to_ms(query.until));
        Self { resolution: query.resolution(), begin_ms, until_ms }
    }

    /// The days among it; none where it is not counted in hours, or `step_ms` parts a day.
    pub(crate) fn days(self, step_ms: Option<i64>) -> Option<Self> {
        let is_fit = self.resolution == Resolution::Hour && step_ms.is_none_or(|step| step % DAY_MS == 0);
        // An hour belongs to it when it begins in it.
        let begin_ms = ceiling(self.begin_ms, DAY_MS);
        let until_ms = Resolution::Day.begin_ms(ceiling(self.until_ms, HOUR_MS));
        (is_fit && begin_ms < until_ms).then_some(Self { resolution: Resolution::Day, begin_ms, until_ms })
    }

    /// It with these days among it, in order: hours, days, hours.
    pub(crate) fn around(self, days: Self) -> Vec<Self> {
        let before = Self { until_ms: days.begin_ms, ..self };
        let after = Self { begin_ms: days.until_ms, ..self };
        let parts = [before, days, after];
        parts.into_iter().filter(|part| part.begin_ms < part.until_ms).collect()
    }

    /// It from a time on; none when nothing is left.
    pub(crate) fn from(self, begin_ms: i64) -> Option<Self> {
        let begin_ms = self.begin_ms.max(begin_ms);
        (begin_ms < self.until_ms).then_some(Self { begin_ms, ..self })
    }
}

/// The first multiple of a length that is not before a time.
const fn ceiling(at_ms: i64, length_ms: i64) -> i64 {
    at_ms.saturating_add(length_ms - 1).div_euclid(length_ms) * length_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hours that parts read.
    fn hours(parts: &[Part]) -> Vec<i64> {
        let steps = |part: &Part| {
            let length = part.resolution.seconds() * 1000;
            (part.begin_ms..part.until_ms)
                .step_by(usize::try_from(length).unwrap())
                .flat_map(move |at| (at..at + length).step_by(usize::try_from(HOUR_MS).unwrap()))
        };
        parts.iter().flat_map(steps).collect()
    }

    #[test]
    fn hours_and_days_are_the_same_hours() {
        let ends = [0, 1, HOUR_MS / 2, HOUR_MS - 1];
        let ranges = (-30..30).flat_map(|begin| (0..80).map(move |length| (begin, begin + length)));
        for (begin, until) in ranges {
            for end in ends {
                let (begin_ms, until_ms) = (begin * HOUR_MS, until * HOUR_MS + end);
                let whole = Part { resolution: Resolution::Hour, begin_ms, until_ms };
                let Some(days) = whole.days(None) else {
                    assert!(until_ms - begin_ms < 2 * DAY_MS, "{whole:?}");
                    continue;
                };
                assert_eq!((days.begin_ms % DAY_MS, days.until_ms % DAY_MS), (0, 0));
                for trusted in [i64::MIN, 0, DAY_MS] {
                    let parts = days.from(trusted).map_or_else(|| vec![whole], |days| whole.around(days));
                    assert_eq!(hours(&parts), hours(&[whole]), "{parts:?}");
                }
            }
        }
    }

    #[test]
    fn minutes_and_steps_that_part_a_day_read_no_days() {
        let whole = Part { resolution: Resolution::Hour, begin_ms: 0, until_ms: 3 * DAY_MS };
        assert!(whole.days(Some(2 * DAY_MS)).is_some());
        assert_eq!(whole.days(Some(DAY_MS / 2)), None);
        assert_eq!(Part { resolution: Resolution::Minute, ..whole }.days(None), None);
    }
}
