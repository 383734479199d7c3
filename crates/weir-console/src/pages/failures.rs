//! Failures of providers in groups: what, whose, how often, since when, whether they were reported and why, and samples.

use axum::extract::{RawQuery, State};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use weir_core::DecisionId;
use weir_core::words::grouped;

use super::parts::{Tone, about, badge, empty, live, table, time};
use super::{Page, Section, Visit};
use crate::console::Console;
use crate::failures::{Group, Groups, groups};
use crate::problem::Problem;
use crate::query::Parameters;

/// The ranges to choose from: the word, its length, how it is called.
const RANGES: [(&str, i64, &str); 4] = [
    ("1h", 3_600, "last hour"),
    ("24h", 86_400, "last 24 hours"),
    ("7d", 7 * 86_400, "last 7 days"),
    ("90d", 90 * 86_400, "last 90 days"),
];

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &["since"]);
    let range = parameters.take_with("since", |word| {
        RANGES
            .into_iter()
            .find(|(known, ..)| *known == word)
            .ok_or_else(|| "it must be 1h, 24h, 7d or 90d".to_owned())
    });
    parameters.finish()?;
    let (word, seconds, called) = range.unwrap_or(RANGES[1]);
    let since = visit.now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(visit.now);
    let groups = groups(&console, since, visit.now).await?;
    let content = html! {
        div .bar {
            nav aria-label="Range" { ul .choices {
                @for (other, _, called) in RANGES {
                    li { a href={ "/failures?since=" (other) } aria-current=[(other == word).then_some("true")] { (called) } }
                }
            } }
            span #live-state .quiet role="status" {}
        }
        (live("groups", 10, &list(&visit, &groups, called, console.started)))
    };
    Ok(Page::new(&visit, Section::Failures, "Failures", &content))
}

fn list(visit: &Visit, groups: &Groups, called: &str, started: Timestamp) -> Markup {
    if groups.items.is_empty() {
        return empty(
            &format!("No call of a provider failed in the {called}."),
            &html! { p { "Failures are classed by rules " code { "on: failure" } "; " a href="/rules" { "Rules" }
            " shows those of yours. Requests that weir itself refused are under " a href="/decisions" { "Decisions" } "." } },
        );
    }
    let has_place = groups.reports_to.is_some();
    let rows = groups.items.iter().map(|group| {
        vec![
            html! { strong { (group.class) } @for rule in &group.rules { div .quiet { "by rule " (rule) } } },
            html! { (group.provider) },
            html! { (group.owner) },
            html! { (grouped(group.count)) },
            html! { (about(group.identities)) },
            time(group.first_seen, visit.now),
            time(group.last_seen, visit.now),
            reported(visit, group, has_place, started),
            samples(&group.samples),
        ]
    });
    table(
        "Failures",
        &[
            "Class",
            "Provider",
            "Who must act",
            "Count",
            "Identities",
            "First seen",
            "Last seen",
            "Reported",
            "Samples",
        ],
        rows,
    )
}

/// Whether a group was reported, and why it is to be, or is not.
fn reported(visit: &Visit, group: &Group, has_place: bool, started: Timestamp) -> Markup {
    let (tone, words) = match (group.report.as_str(), group.reported_at) {
        (_, Some(_)) => (Tone::Bad, "reported"),
        ("page", None) if has_place => (Tone::Warn, "to be reported"),
        ("page", None) => (Tone::Warn, "would be reported"),
        ("log", None) => (Tone::Info, "logged"),
        _ => (Tone::Quiet, "not reported"),
    };
    html! {
        (badge(tone, words)) " "
        @match (group.report.as_str(), group.reported_at) {
            (_, Some(at)) => (time(at, visit.now)),
            ("page", None) if has_place => { "by this node not yet, which started " (time(started, visit.now)) },
            ("page", None) => { "no DSN is configured: set " code { "failures.sentry_dsn" } " (" code { "docs/reports.md" } ")" },
            _ => {},
        }
        div .quiet { (group.why) }
    }
}

/// Links to decisions.
pub(super) fn samples(ids: &[DecisionId]) -> Markup {
    html! {
        @for (at, id) in ids.iter().enumerate() {
            @if at > 0 { ", " }
            a .id href={ "/decisions/" (id) } title=(id) { (short(&id.to_string())) }
        }
    }
}

/// The end of an id, which differs most.
fn short(id: &str) -> String {
    let end: Vec<char> = id.chars().rev().take(6).collect();
    format!("…{}", end.into_iter().rev().collect::<String>())
}
