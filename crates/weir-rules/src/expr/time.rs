//! Durations as CEL writes them, time zones, and the parts of a time.

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// A part of a time, or of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimePart {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl TimePart {
    pub(crate) const ALL: [Self; 10] = [
        Self::FullYear,
        Self::Month,
        Self::Date,
        Self::DayOfMonth,
        Self::DayOfWeek,
        Self::DayOfYear,
        Self::Hours,
        Self::Minutes,
        Self::Seconds,
        Self::Milliseconds,
    ];

    /// The function that reads it.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::FullYear => "getFullYear",
            Self::Month => "getMonth",
            Self::Date => "getDate",
            Self::DayOfMonth => "getDayOfMonth",
            Self::DayOfWeek => "getDayOfWeek",
            Self::DayOfYear => "getDayOfYear",
            Self::Hours => "getHours",
            Self::Minutes => "getMinutes",
            Self::Seconds => "getSeconds",
            Self::Milliseconds => "getMilliseconds",
        }
    }

    /// Whether durations have it: how many whole ones they last.
    pub(crate) const fn of_durations(self) -> bool {
        matches!(self, Self::Hours | Self::Minutes | Self::Seconds | Self::Milliseconds)
    }

    /// The part of a time, in UTC without a zone. Months, days of the month and of the year count from 0, dates from 1,
    /// and weeks begin on Sunday, all as CEL has it.
    pub(crate) fn of_time(self, time: Timestamp, zone: Option<&TimeZone>) -> i64 {
        let civil = match zone {
            Some(zone) => zone.to_datetime(time),
            None => Offset::UTC.to_datetime(time),
        };
        match self {
            Self::FullYear => i64::from(civil.year()),
            Self::Month => i64::from(civil.month()) - 1,
            Self::Date => i64::from(civil.day()),
            Self::DayOfMonth => i64::from(civil.day()) - 1,
            Self::DayOfWeek => i64::from(civil.date().weekday().to_sunday_zero_offset()),
            Self::DayOfYear => i64::from(civil.date().day_of_year()) - 1,
            Self::Hours => i64::from(civil.hour()),
            Self::Minutes => i64::from(civil.minute()),
            Self::Seconds => i64::from(civil.second()),
            Self::Milliseconds => i64::from(civil.millisecond()),
        }
    }

    /// How many whole hours, minutes, seconds a duration lasts; its milliseconds beyond whole seconds.
    pub(crate) fn of_duration(self, duration: SignedDuration) -> i64 {
        match self {
            Self::Hours => duration.as_secs() / 3600,
            Self::Minutes => duration.as_secs() / 60,
            Self::Seconds => duration.as_secs(),
            Self::Milliseconds => i64::from(duration.subsec_millis()),
            _ => 0,
        }
    }
}

/// Reads a zone: a name such as `Europe/Berlin` from the table that is built in, `UTC`, or an offset such as `+02:00`.
pub(crate) fn parse_zone(text: &str) -> Option<TimeZone> {
    if let Some(offset) = parse_offset(text) {
        return Some(TimeZone::fixed(offset));
    }
    if text == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(text).ok()
}

fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let two = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i32>().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (minutes < 60).then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok())?
}

/// Reads a duration as CEL writes it: `1h30m`, `1.5s`, `-250ms`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanos: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_end)?;
        nanos = nanos.checked_add(scaled(number, unit_nanos(unit)?)?)?;
        rest = next;
    }
    let nanos = if negative { -nanos } else { nanos };
    let seconds = i64::try_from(nanos / 1_000_000_000).ok()?;
    let below = i32::try_from(nanos % 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, below))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" => 1_000,
        "ns" => 1,
        _ => return None,
    })
}

/// A decimal number of units, to the nanosecond.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos.checked_add(i128::from(digit - b'0') * place)?;
    }
    Some(nanos)
}
