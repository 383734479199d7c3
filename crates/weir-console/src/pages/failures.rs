//! Failures of providers in groups: what, whose, how often, since when, whether they were reported and why, and samples.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use maud::{Markup, html};
use weir_core::failure::{Class, Report};
use weir_store::tally::{Tally, TallyKey, TallyKind, TallyQuery};

use super::parts::{Tone, badge, empty, live, number, table, time};
use super::{Page, Section, Visit};
use crate::console::Console;
use crate::problem::Problem;
use crate::query::Parameters;

/// The ranges to choose from: the word, its length, how it is called.
const RANGES: [(&str, u64, &str); 4] = [
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
    let groups = groups(&console, visit.now, Duration::from_secs(seconds)).await?;
    let content = html! {
        div .bar {
            nav aria-label="Range" { ul .choices {
                @for (other, _, called) in RANGES {
                    li { a href={ "/failures?since=" (other) } aria-current=[(other == word).then_some("true")] { (called) } }
                }
            } }
            span #live-state .quiet role="status" {}
        }
        (live("groups", 10, &list(&visit, &groups, called)))
    };
    Ok(Page::new(&visit, Section::Failures, "Failures", &content))
}

/// The groups of a range, the most frequent first.
async fn groups(console: &Console, now: Timestamp, range: Duration) -> Result<Vec<Tally>, Problem> {
    let since = now.checked_sub(range).unwrap_or(Timestamp::MIN);
    // What is still being counted belongs to it.
    let until = now.checked_add(Duration::from_secs(60)).unwrap_or(now);
    let query = TallyQuery::totals(since, until).of(TallyKind::Failure);
    let mut groups =
        console.parts.database.tallies(&query).await.map_err(|error| Problem::store_unavailable(&error))?;
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.last_seen.cmp(&a.last_seen)));
    Ok(groups)
}

fn list(visit: &Visit, groups: &[Tally], called: &str) -> Markup {
    if groups.is_empty() {
        return empty(
            &format!("No call of a provider failed in the {called}."),
            &html! { p { "Failures are classed by rules " code { "on: failure" } "; " a href="/rules" { "Rules" }
            " shows those of yours. Requests that weir itself refused are under " a href="/decisions" { "Decisions" } "." } },
        );
    }
    let rows = groups.iter().map(|group| row(visit, group));
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

fn row(visit: &Visit, group: &Tally) -> Vec<Markup> {
    let TallyKey::Failure { class, provider, owner, report, credential, rule } = &group.key else {
        return vec![
            html! { span .quiet { "all further groups" } },
            html! {},
            html! {},
            html! { (number(group.count)) },
            html! {},
            time(group.first_seen, visit.now),
            time(group.last_seen, visit.now),
            html! {},
            samples(group),
        ];
    };
    vec![
        html! { strong { (class) } @if !rule.is_empty() { div .quiet { "by rule " (rule) } } },
        html! { (provider) },
        html! { (owner) },
        html! { (number(group.count)) },
        html! { @if let Some(identities) = group.identities { (number(identities)) } },
        time(group.first_seen, visit.now),
        time(group.last_seen, visit.now),
        reported(class, owner, report, credential),
        samples(group),
    ]
}

/// Whether a group is reported, and why.
fn reported(class: &str, owner: &str, report: &str, credential: &str) -> Markup {
    let tone = match report {
        "page" => Tone::Bad,
        "log" => Tone::Info,
        _ => Tone::Quiet,
    };
    let word = match report {
        "page" => "Sentry, at once",
        "log" => "log",
        _ => "not reported",
    };
    html! { (badge(tone, word)) div .quiet { (why(class, owner, report, credential)) } }
}

fn why(class: &str, owner: &str, report: &str, credential: &str) -> String {
    let of_class = Class::ALL.into_iter().find(|known| known.as_str() == class);
    match (report, owner) {
        _ if credential == "user" && report != Report::Page.as_str() => {
            "the caller's own key: it is the caller's to mend".to_owned()
        }
        (_, "caller") => "the caller's request is at fault, and the answer says so".to_owned(),
        (_, "user") => "the user's own account is at fault, and the answer says so".to_owned(),
        ("page", "operator") => "you must act: nobody else can mend it".to_owned(),
        ("page", owner) => format!("{owner} must act, and this class is always told"),
        ("log", "provider") => "the provider's: another try or provider may help".to_owned(),
        _ if of_class.is_none() => "a rule says so".to_owned(),
        (_, owner) => format!("{owner} must act"),
    }
}

fn samples(group: &Tally) -> Markup {
    html! {
        @for (at, id) in group.samples.iter().enumerate() {
            @if at > 0 { ", " }
            a .id href={ "/decisions/" (id) } title=(id) { (short(&id.to_string())) }
        }
    }
}

/// The end of an id, which differs most.
pub(super) fn short(id: &str) -> String {
    let end: Vec<char> = id.chars().rev().take(6).collect();
    format!("…{}", end.into_iter().rev().collect::<String>())
}
