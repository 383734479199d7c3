//! Ids of decisions: `dec_` and a UUID of version 7, so that they sort by time.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of one decision, carried by every answer in `x-weir-decision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DecisionId(Uuid);

const PREFIX: &str = "dec_";

/// How long after its decision a request may still be under way: as streams go.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

impl DecisionId {
    /// The id made at `at` with 74 of the bits of `random` (the caller's: this crate has no randomness).
    #[must_use]
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The id as a number, for what needs something unique and has no randomness of its own.
    #[must_use]
    pub const fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }

    /// The id as 32 hexadecimal digits, for ids that are made of it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        let mut text = Uuid::encode_buffer();
        self.0.as_simple().encode_lower(&mut text).to_owned()
    }

    /// The id as it is told, in one piece: what is made of it for each request need not pass a formatter.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = Uuid::encode_buffer();
        [PREFIX, self.0.as_hyphenated().encode_lower(&mut text)].concat()
    }

    /// The id that this number is.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// The time that the id carries, to the millisecond.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        let millis = self.0.as_u128() >> 80;
        i64::try_from(millis).ok().and_then(|m| Timestamp::from_millisecond(m).ok()).unwrap_or_default()
    }
}

impl DecisionId {
    /// Whether its request may still be under way, so that nothing is recorded yet: it was made within an hour of
    /// `now`, before or, by another clock, after it.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now.duration_since(self.at()).abs() <= RECENT
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Uuid::encode_buffer();
        f.write_str(PREFIX)?;
        f.write_str(self.0.as_hyphenated().encode_lower(&mut text))
    }
}

/// The text is no id of a decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no decision id: expected `dec_` and a UUID")]
pub struct InvalidDecisionId(pub String);

impl FromStr for DecisionId {
    type Err = InvalidDecisionId;

    fn from_str(text: &str) -> Result<Self, InvalidDecisionId> {
        text.strip_prefix(PREFIX)
            .and_then(|rest| Uuid::try_parse(rest).ok())
            .map(Self)
            .ok_or_else(|| InvalidDecisionId(text.to_owned()))
    }
}

impl TryFrom<String> for DecisionId {
    type Error = InvalidDecisionId;

    fn try_from(text: String) -> Result<Self, InvalidDecisionId> {
        text.parse()
    }
}

impl From<DecisionId> for String {
    fn from(id: DecisionId) -> Self {
        id.to_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_time_and_sort_by_it() {
        let early: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-11-20T10:00:01Z".parse().unwrap();
        let a = DecisionId::new(early, [255; 10]);
        let b = DecisionId::new(late, [0; 10]);
        assert!(a < b && a.to_string() < b.to_string());
        assert_eq!(a.at(), early);
        assert_eq!(a.to_string().parse(), Ok(a));
        assert_eq!(a.to_text(), a.to_string());
        let hour = |minutes: i64| early + SignedDuration::from_mins(minutes);
        for (minutes, recent) in [(0, true), (60, true), (61, false), (-60, true), (-61, false)] {
            assert_eq!(a.is_recent(hour(minutes)), recent, "{minutes}");
        }
        assert!("dec_nothing".parse::<DecisionId>().is_err());
    }
}
