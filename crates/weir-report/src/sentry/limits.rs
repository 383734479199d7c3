//! How long Sentry asks to be left alone: `X-Sentry-Rate-Limits`, else `Retry-After` of a 429.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

/// How long a 429 without a hint holds.
const DEFAULT: Duration = Duration::from_secs(60);

/// How long any hint holds at most: a page must not be held back for days by one bad header.
const MAX: Duration = Duration::from_secs(3600);

/// When errors may be sent again.
#[derive(Debug, Default)]
pub(super) struct Limits {
    until: Option<Timestamp>,
}

impl Limits {
    /// Whether nothing may be sent now.
    pub(super) fn hold(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Reads an answer's head.
    pub(super) fn learn(&mut self, status: StatusCode, headers: &HeaderMap, now: Timestamp) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let asked = match text("x-sentry-rate-limits") {
            Some(limits) => limits.split(',').filter_map(group).max(),
            None if status == StatusCode::TOO_MANY_REQUESTS => {
                Some(text("retry-after").and_then(|text| seconds(text.trim())).unwrap_or(DEFAULT))
            }
            None => None,
        };
        if let Some(asked) = asked {
            self.until = now.saturating_add(asked.min(MAX)).ok();
        }
    }
}

/// `seconds:categories:scope:…`, of errors or of everything.
fn group(group: &str) -> Option<Duration> {
    let mut parts = group.trim().split(':');
    let asked = seconds(parts.next()?)?;
    let categories = parts.next().unwrap_or_default();
    (categories.is_empty() || categories.split(';').any(|c| c == "error" || c == "default")).then_some(asked)
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_kept_to_and_bounded() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: &[(u16, Headers, Option<u64>)] = &[
            (200, &[], None),
            (500, &[("retry-after", "7")], None),
            (429, &[], Some(60)),
            (429, &[("retry-after", "7")], Some(7)),
            (429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], Some(60)),
            (200, &[("x-sentry-rate-limits", "30:error;transaction:organization, 90::key")], Some(90)),
            (429, &[("x-sentry-rate-limits", "30:transaction:organization"), ("retry-after", "9")], None),
            (429, &[("x-sentry-rate-limits", "1e12:error:key")], Some(3600)),
            (429, &[("x-sentry-rate-limits", "soon")], None),
        ];
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for (status, headers, expected) in table {
            let mut map = HeaderMap::new();
            for (name, value) in *headers {
                map.insert(*name, value.parse().unwrap());
            }
            let mut limits = Limits::default();
            limits.learn(StatusCode::from_u16(*status).unwrap(), &map, now);
            let held = |seconds: u64| limits.hold(now + Duration::from_secs(seconds));
            match expected {
                None => assert!(!held(0), "{status} {headers:?}"),
                Some(until) => assert!(held(until - 1) && !held(*until), "{status} {headers:?}"),
            }
        }
    }
}
