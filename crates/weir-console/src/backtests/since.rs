//! Times as people give them to a backtest: a point in time, or how long ago.

use jiff::{SignedDuration, Timestamp};

/// A text that names no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time: write one such as 2026-11-20T10:00:00Z, or how long ago, such as 90m, 24h or 7d")]
pub struct SinceError(String);

/// How much of a wrong text is repeated, in characters.
const SHOWN_CHARS_MAX: usize = 40;

/// Reads a time such as `2026-11-20T10:00:00Z`, or a duration before `now` such as `90m`, `24h` or `7d`.
///
/// # Errors
/// It is neither, or lies before the year 1.
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, SinceError> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let wrong = || SinceError(text.chars().take(SHOWN_CHARS_MAX).collect());
    let ago = match text.strip_suffix('d').and_then(|days| days.trim().parse::<i64>().ok()) {
        Some(days) => {
            days.checked_mul(24).and_then(|hours| hours.checked_mul(3600)).map(SignedDuration::from_secs)
        }
        None => text.parse::<SignedDuration>().ok(),
    };
    let ago = ago.filter(|ago| !ago.is_negative()).ok_or_else(wrong)?;
    now.checked_sub(ago).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_read_and_everything_else_is_refused() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let table = [
            ("24h", Some("2026-11-19T10:00:00Z")),
            ("7d", Some("2026-11-13T10:00:00Z")),
            ("90m", Some("2026-11-20T08:30:00Z")),
            (" 1h30m ", Some("2026-11-20T08:30:00Z")),
            ("2026-11-01T00:00:00+01:00", Some("2026-10-31T23:00:00Z")),
            ("0s", Some("2026-11-20T10:00:00Z")),
            ("-1h", None),
            ("-1d", None),
            ("yesterday", None),
            ("", None),
            ("9999999999999999999d", None),
            ("9000000000000d", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|at| at.parse::<Timestamp>().unwrap());
            assert_eq!(parse_time(text, now).ok(), expected, "{text}");
        }
        let said = parse_time(&"x".repeat(1000), now).unwrap_err().to_string();
        assert!(said.len() < 200, "{said}");
    }
}
