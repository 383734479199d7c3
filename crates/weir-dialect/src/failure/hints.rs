//! How long a provider asks to wait, in whichever of the usual forms it says so.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::lenient::Node;

/// Longer waits are taken for something else.
const WAIT_SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// Numbers above are points in time: seconds, or milliseconds above the second.
const EPOCH_SECONDS_MIN: f64 = 1.0e9;
const EPOCH_MILLIS_MIN: f64 = 1.0e12;

fn sane(seconds: f64) -> Option<f64> {
    (seconds.is_finite() && (0.0..=WAIT_SECONDS_MAX).contains(&seconds)).then_some(seconds)
}

/// The hint of an answer's headers: `retry-after-ms`, `retry-after`, then the resets of limits that are used up.
pub(super) fn of_headers(headers: &BTreeMap<String, String>, now: Option<Timestamp>) -> Option<f64> {
    let get = |name: &str| headers.get(name).map(|value| value.trim());
    let millis =
        || get("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()).and_then(|ms| sane(ms / 1000.0));
    let after = || get("retry-after").and_then(|value| moment(value, now));
    millis().or_else(after).or_else(|| {
        let resets = headers.iter().filter(|(name, _)| is_used_up(name, headers));
        resets.filter_map(|(_, value)| moment(value.trim(), now)).reduce(f64::max)
    })
}

/// Whether a header is the reset of a limit of which nothing remains, or of which nobody says what remains while the
/// limit is the only one.
fn is_used_up(name: &str, headers: &BTreeMap<String, String>) -> bool {
    let remaining = match name {
        "x-ratelimit-reset" | "ratelimit-reset" => name.replace("reset", "remaining"),
        _ if name.starts_with("x-ratelimit-reset-") => name.replace("-reset-", "-remaining-"),
        _ if name.starts_with("anthropic-ratelimit-") && name.ends_with("-reset") => {
            name.replace("-reset", "-remaining")
        }
        _ => return false,
    };
    match headers.get(&remaining) {
        Some(left) => left.trim().parse::<f64>().is_ok_and(|left| left <= 0.0),
        None => !name.starts_with("anthropic-"),
    }
}

/// A wait written as a duration, a number of seconds, or a point in time.
fn moment(value: &str, now: Option<Timestamp>) -> Option<f64> {
    if let Ok(number) = value.parse::<f64>() {
        return of_number(number, now);
    }
    if let Some((seconds, "")) = duration(&value.to_ascii_lowercase()) {
        return sane(seconds);
    }
    let at = value.parse::<Timestamp>().ok().or_else(|| http_date(value))?;
    sane(at.duration_since(now?).as_secs_f64().max(0.0))
}

fn http_date(value: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_zoned(value).ok()?;
    Some(zoned.timestamp())
}

fn of_number(number: f64, now: Option<Timestamp>) -> Option<f64> {
    let until = |epoch: f64| now.map(|now| (epoch - now.as_duration().as_secs_f64()).max(0.0));
    sane(match number {
        n if n >= EPOCH_MILLIS_MIN => until(n / 1000.0)?,
        n if n >= EPOCH_SECONDS_MIN => until(n)?,
        n => n,
    })
}

/// The hint of a member of an error, by its normal name.
pub(super) fn of_member(name: &str, value: &Node, now: Option<Timestamp>) -> Option<f64> {
    let text = match value {
        Node::Number(text) | Node::Text(text) => text.trim(),
        _ => return None,
    };
    if name.ends_with("ms") {
        return text.parse::<f64>().ok().and_then(|ms| sane(ms / 1000.0));
    }
    moment(text, now)
}

const LEADS: &[&str] = &[
    "try again in",
    "retry in",
    "retry after",
    "retry_after",
    "retry-after",
    "retryafter",
    "retrydelay",
    "reset after",
    "resets in",
    "reset in",
    "available in",
    "replenished in",
    "try again after",
    "wait for",
    "wait",
    "back in",
    "retry your request after",
];

/// The hint of a text in lower case: a duration behind the usual words. The last one counts.
pub(super) fn of_text(lower: &str) -> Option<f64> {
    if !["again", "retry", "reset", "wait", "available in", "replenished"]
        .iter()
        .any(|word| lower.contains(word))
    {
        return None;
    }
    let mut found = None;
    for lead in LEADS {
        for (at, _) in lower.match_indices(lead).take(8) {
            let rest = lower.get(at + lead.len()..).unwrap_or_default();
            let rest = rest.trim_start_matches([' ', ':', '=', '"', '\'', '~']);
            let rest = ["about ", "approximately ", "at least ", "in ", "after "]
                .iter()
                .find_map(|w| rest.strip_prefix(w))
                .unwrap_or(rest);
            found = found.or(duration(rest).and_then(|(seconds, _)| sane(seconds)));
        }
    }
    found
}

/// A duration at the beginning of a text, such as `2m30s`, `1.5 seconds`, `174ms`, `1h 5m`; a number alone is seconds.
fn duration(text: &str) -> Option<(f64, &str)> {
    let (mut total, mut rest, mut any) = (0.0, text, false);
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = rest.get(..digits).map(|n| n.trim_end_matches('.')).and_then(|n| n.parse::<f64>().ok());
        let Some(number) = number else { break };
        let behind = rest.get(digits..).unwrap_or_default();
        let unit_at = behind.trim_start_matches(' ');
        let unit_len = unit_at.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit_at.len());
        let Some(factor) = unit_at.get(..unit_len).and_then(factor) else {
            if !any {
                (total, any, rest) = (number, true, behind);
            }
            break;
        };
        (total, any) = (total + number * factor.0 / factor.1, true);
        rest = unit_at.get(unit_len..).unwrap_or_default();
        let next = rest.trim_start_matches([' ', ',']);
        let next = next.strip_prefix("and ").unwrap_or(next);
        if !next.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
        rest = next;
    }
    any.then_some((total, rest))
}

/// A unit in seconds, as a fraction: so that 174 ms are 0.174 s and not nearly.
fn factor(unit: &str) -> Option<(f64, f64)> {
    Some(match unit {
        "ms" | "millisecond" | "milliseconds" | "msec" => (1.0, 1_000.0),
        "s" | "sec" | "secs" | "second" | "seconds" => (1.0, 1.0),
        "m" | "min" | "mins" | "minute" | "minutes" => (60.0, 1.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => (3_600.0, 1.0),
        "d" | "day" | "days" => (86_400.0, 1.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-20T10:00:00Z";

    fn now() -> Option<Timestamp> {
        NOW.parse().ok()
    }

    #[test]
    fn texts_say_how_long_to_wait() {
        let table: &[(&str, Option<f64>)] = &[
            ("please try again in 2m30s.", Some(150.0)),
            ("please try again in 174ms. visit", Some(0.174)),
            ("try again in 9.816s", Some(9.816)),
            ("please retry in 45.5s.", Some(45.5)),
            ("rate limited. retry_after: 2.5 seconds", Some(2.5)),
            ("429 retry-after: 120", Some(120.0)),
            ("(reset after 1m 36s)", Some(96.0)),
            ("try again in 1 hour and 5 minutes", Some(3900.0)),
            ("wait for 60 seconds", Some(60.0)),
            ("please try again later", None),
            ("in 5 seconds", None),
        ];
        for (text, expected) in table {
            assert_eq!(of_text(text), *expected, "{text}");
        }
    }

    #[test]
    fn headers_say_how_long_to_wait() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<f64>);
        let table: &[Row<'_>] = &[
            (&[("retry-after", "7")], Some(7.0)),
            (&[("retry-after", "7"), ("retry-after-ms", "1500")], Some(1.5)),
            (&[("retry-after", "Fri, 20 Nov 2026 10:01:00 GMT")], Some(60.0)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-3")], None),
            (&[("x-ratelimit-reset-requests", "6m0s"), ("x-ratelimit-remaining-requests", "0")], Some(360.0)),
            (&[("x-ratelimit-reset-requests", "6m0s"), ("x-ratelimit-remaining-requests", "9")], None),
            (&[("x-ratelimit-reset", "1795168860")], Some(60.0)),
            (&[("x-ratelimit-reset", "1795168860000")], Some(60.0)),
            (
                &[
                    ("anthropic-ratelimit-tokens-reset", "2026-11-20T10:00:30Z"),
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                ],
                Some(30.0),
            ),
            (&[("anthropic-ratelimit-tokens-reset", "2026-11-20T10:00:30Z")], None),
        ];
        for (headers, expected) in table {
            let map = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(of_headers(&map, now()), *expected, "{headers:?}");
        }
        let date = BTreeMap::from([("retry-after".to_owned(), "Fri, 20 Nov 2026 10:01:00 GMT".to_owned())]);
        assert_eq!(of_headers(&date, None), None, "a date needs the time");
    }
}
