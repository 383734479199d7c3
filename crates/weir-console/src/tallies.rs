//! Counts over time: what is drawn as a line and shown as a number.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use weir_store::{Tally, TallyKind, TallyQuery};

use crate::console::{Console, Shared};
use crate::problem::Problem;
use crate::query::{Parameters, since, time};

/// How far back is looked unless told otherwise.
pub(crate) const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// Steps of one answer at most.
const STEPS_MAX: i64 = 2_000;

/// Counts of a range.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tallies {
    /// The begin of the first step, or of the range.
    pub(crate) since: Timestamp,
    /// The end.
    pub(crate) until: Timestamp,
    /// The length of a step in seconds; null for totals.
    pub(crate) step_s: Option<u64>,
    /// One for each key, or for each step and key.
    pub(crate) items: Vec<Tally>,
}

/// Reads counts.
pub(crate) async fn read(console: &Shared, query: &TallyQuery) -> Result<Tallies, Problem> {
    // "Until now" has the step that begins at this very moment, too.
    let moment = SignedDuration::from_millis(1);
    let until = query.until.saturating_add(moment).unwrap_or(query.until);
    let wide = TallyQuery { until, ..query.clone() };
    let items =
        console.parts.database.tallies(if query.until >= console.now() { &wide } else { query }).await;
    let items = items.map_err(|error| Problem::store_unavailable(&error))?;
    Ok(Tallies { since: query.begin(), until: query.until, step_s: query.step_seconds(), items })
}

/// The last 24 hours, or what `since` and `until` say.
pub(crate) fn range(parameters: &mut Parameters, now: Timestamp) -> (Timestamp, Timestamp) {
    let until = time(parameters, "until", now).unwrap_or(now);
    let begin = since(parameters, now).unwrap_or_else(|| until.saturating_sub(LOOK_BACK).unwrap_or(until));
    (begin, until)
}

/// Counts over time, of all nodes together.
#[utoipa::path(get, path = "/api/tallies", operation_id = "listTallies", tag = "service",
    params(
        ("since" = Option<String>, Query, description = "A time, or a duration before now such as 24h, which is the default"),
        ("until" = Option<String>, Query, description = "The same; the default is now"),
        ("kind" = Option<String>, Query, description = "request, tool, refusal, failure, rule or rule_error"),
        ("rule" = Option<String>, Query, description = "The hits and errors of this rule alone"),
        ("step" = Option<String>, Query, description = "The length of a step such as 1m or 1h: minutes are kept for 48 hours, hours for 90 days; left out: totals, with identities and samples"),
    ),
    responses(
        (status = 200, description = "`{since, until, step_s, items}`: what was counted on all nodes together", body = Object),
        (status = 400, description = "A parameter is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn list(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Tallies>, Problem> {
    let query = parse(query.as_deref(), console.now())?;
    Ok(Json(read(&console, &query).await?))
}

fn parse(query: Option<&str>, now: Timestamp) -> Result<TallyQuery, Problem> {
    let mut parameters = Parameters::read(query, &["since", "until", "kind", "rule", "step"]);
    let (since, until) = range(&mut parameters, now);
    let kind = parameters.take_with("kind", |word| {
        let words: Vec<&str> = TallyKind::ALL.into_iter().map(TallyKind::as_str).collect();
        TallyKind::of_word(word).ok_or_else(|| format!("it must be one of {}", words.join(", ")))
    });
    let step = parameters.take_with("step", |text| step(text, since, until));
    let rule = parameters.take("rule");
    parameters.finish()?;
    Ok(TallyQuery { since, until, kind, rule, step })
}

fn step(text: &str, since: Timestamp, until: Timestamp) -> Result<Duration, String> {
    let step = text.parse::<SignedDuration>().ok().filter(|step| step.as_secs() > 0);
    let step = step.ok_or_else(|| "it must be a duration such as 1m or 1h".to_owned())?;
    let range = until.duration_since(since).as_secs();
    if range / step.as_secs().max(60) > STEPS_MAX {
        return Err(format!("these are more than {STEPS_MAX} steps; take a longer one"));
    }
    Ok(step.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_or_its_faults_are_named() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let faults = |query: &str| match parse(Some(query), now) {
            Ok(_) => Vec::new(),
            Err(problem) => {
                problem.errors().iter().filter_map(|fault| fault.path.clone()).collect::<Vec<_>>()
            }
        };
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("since=1h&step=1m&kind=rule", &[]),
            ("since=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00Z&step=1h&rule=a", &[]),
            ("since=2160h&step=1m", &["step"]),
            ("step=0s", &["step"]),
            ("step=soon&kind=rules&until=later", &["until", "kind", "step"]),
            ("limit=1", &["limit"]),
        ];
        for (query, expected) in table {
            assert_eq!(faults(query), *expected, "{query}");
        }
        let day = parse(None, now).unwrap();
        assert_eq!((day.since.to_string().as_str(), day.until), ("2026-11-19T10:00:00Z", now));
    }
}
