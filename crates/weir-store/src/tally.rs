//! Counts over time: one mechanism for everything that is shown as a number (docs/stores.md, "Tallies").
//!
//! [`crate::Recorder`] counts a record when it files it, whatever becomes of the record; its background task writes the
//! counts each second, one row for each node, minute, hour or day, and key. [`crate::Database::tallies`] sums them up.
//!
//! Keys are bounded: they are made of weir's own words and of names that the operator chose (rules, providers), never of
//! a model, an identity or anything else that callers send, and beyond [`KEYS_MAX`] of a kind all are `other`. How many
//! different identities there were is an estimate: exact up to 64, beyond with a standard error of 3.3 %.

mod counter;
mod key;
mod ledger;
mod part;
mod sketch;

use std::time::Duration;

use serde::Serialize;
use weir_core::{DecisionId, Timestamp};

pub use key::{TallyKey, TallyKind};
pub use sketch::{FEW_MAX, Sketch};

pub(crate) use counter::{Cell, Counter};
pub(crate) use key::SEPARATOR;
pub(crate) use ledger::{Ledger, Row};
pub(crate) use part::{DAYS_TRUSTED_AFTER_MS, Part};

/// Keys of one kind that one node tells apart in one step; what comes beyond them is counted as `other`.
pub const KEYS_MAX: usize = 2_000;

/// How many of the newest decisions are kept as samples of a key.
pub const SAMPLES_MAX: usize = 5;

/// How long the counts of minutes are kept.
pub const MINUTES_KEPT: Duration = Duration::from_secs(48 * 3600);

/// How long the counts of hours and of days are kept.
pub const HOURS_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Longer ranges are summed up from hours.
const MINUTES_SUMMED_MAX: Duration = Duration::from_secs(3 * 3600);

/// The lengths that are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Kept for [`MINUTES_KEPT`].
    Minute,
    /// Kept for [`HOURS_KEPT`].
    Hour,
    /// A day in UTC; kept for [`HOURS_KEPT`].
    Day,
}

impl Resolution {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 24 * 3600,
        }
    }

    /// How long its counts are kept.
    #[must_use]
    pub const fn kept(self) -> Duration {
        match self {
            Self::Minute => MINUTES_KEPT,
            Self::Hour | Self::Day => HOURS_KEPT,
        }
    }

    /// The begin of the step that a time lies in, in milliseconds since 1970.
    pub(crate) const fn begin_ms(self, at_ms: i64) -> i64 {
        let length = self.seconds() * 1000;
        at_ms.div_euclid(length) * length
    }
}

/// Which counts to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TallyQuery {
    /// From this time on; rounded down to the begin of the minute or, where hours are summed up, of the hour.
    pub since: Timestamp,
    /// Before this time.
    pub until: Timestamp,
    /// Of this kind only.
    pub kind: Option<TallyKind>,
    /// Of this rule only: its hits and its errors.
    pub rule: Option<String>,
    /// One count for each step of this length, without identities and samples; none: one for the whole range.
    /// Rounded up to whole minutes, from an hour on to whole hours.
    pub step: Option<Duration>,
}

impl TallyQuery {
    /// Everything of a range, summed up.
    #[must_use]
    pub const fn totals(since: Timestamp, until: Timestamp) -> Self {
        Self { since, until, kind: None, rule: None, step: None }
    }

    /// The same of one kind.
    #[must_use]
    pub fn of(self, kind: TallyKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// The same of one rule.
    #[must_use]
    pub fn of_rule(self, rule: impl Into<String>) -> Self {
        Self { rule: Some(rule.into()), ..self }
    }

    /// The same in steps.
    #[must_use]
    pub fn in_steps(self, step: Duration) -> Self {
        Self { step: Some(step), ..self }
    }

    /// How exact its answer is: to the minute or to the hour. Days are read where all their hours are asked for.
    #[must_use]
    pub fn resolution(&self) -> Resolution {
        let range = Duration::try_from(self.until.duration_since(self.since)).unwrap_or_default();
        let hour = Duration::from_secs(3600);
        let hours = match self.step {
            Some(step) => step >= hour,
            None => range > MINUTES_SUMMED_MAX,
        };
        if hours { Resolution::Hour } else { Resolution::Minute }
    }

    /// Where the first step begins.
    #[must_use]
    pub fn begin(&self) -> Timestamp {
        crate::clock::from_ms(self.begin_ms())
    }

    pub(crate) fn begin_ms(&self) -> i64 {
        let since = self.resolution().begin_ms(self.since.as_millisecond());
        self.step_ms().map_or(since, |step| since.div_euclid(step) * step)
    }

    /// The length of a step in seconds, in whole minutes or hours; none for totals.
    #[must_use]
    pub fn step_seconds(&self) -> Option<u64> {
        self.step_ms().and_then(|ms| u64::try_from(ms / 1000).ok())
    }

    /// The length of a step in milliseconds, in whole minutes or hours.
    pub(crate) fn step_ms(&self) -> Option<i64> {
        let unit = self.resolution().seconds();
        let seconds = i64::try_from(self.step?.as_secs()).unwrap_or(i64::MAX / 2000);
        let units = seconds.saturating_add(unit - 1).div_euclid(unit).max(1);
        Some(units.saturating_mul(unit).saturating_mul(1000))
    }
}

/// What was counted of one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tally {
    /// The begin of the step; of totals, of the range.
    pub at: Timestamp,
    /// What was counted.
    #[serde(flatten)]
    pub key: TallyKey,
    /// How often.
    pub count: u64,
    /// The time of the first decision that was counted.
    pub first_seen: Timestamp,
    /// The time of the last one.
    pub last_seen: Timestamp,
    /// What was summed up beside; divided by `count` it is the mean.
    pub sums: Sums,
    /// How many different identities, estimated; none in a count of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identities: Option<u64>,
    /// The newest decisions, newest first; empty in a count of steps.
    pub samples: Vec<DecisionId>,
    /// Which they were, to be united with others; none in a count of steps.
    #[serde(skip)]
    pub who: Option<Sketch>,
}

/// What is summed up over requests (`request` and `tool` only; else zero).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// weir's own share of the time, in microseconds.
    pub overhead_us: u64,
    /// Artificial delay, in microseconds.
    pub delay_us: u64,
    /// From the upstream call to the head of its answer, in microseconds.
    pub upstream_us: u64,
    /// From the head of the request to the end of the answer, in microseconds; of a tool, how long it ran.
    pub total_us: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_microusd: u64,
}

impl Sums {
    /// The names of the columns, in the order of [`Self::values`].
    pub(crate) const COLUMNS: [&'static str; 7] = [
        "overhead_us",
        "delay_us",
        "upstream_us",
        "total_us",
        "input_tokens",
        "output_tokens",
        "cost_microusd",
    ];

    pub(crate) const fn values(&self) -> [u64; 7] {
        let Self { overhead_us, delay_us, upstream_us, total_us, input_tokens, output_tokens, cost_microusd } =
            *self;
        [overhead_us, delay_us, upstream_us, total_us, input_tokens, output_tokens, cost_microusd]
    }

    pub(crate) const fn from_values(values: [u64; 7]) -> Self {
        let [overhead_us, delay_us, upstream_us, total_us, input_tokens, output_tokens, cost_microusd] =
            values;
        Self { overhead_us, delay_us, upstream_us, total_us, input_tokens, output_tokens, cost_microusd }
    }

    /// Adds others; a sum that would not fit stays at its end.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut sum = self.values();
        for (mine, others) in sum.iter_mut().zip(other.values()) {
            *mine = mine.saturating_add(others);
        }
        *self = Self::from_values(sum);
    }
}
