//! The list of decisions: live, filtered by any field, linked to by its address.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};
use weir_core::Boundary;
use weir_core::record::{Record, Usage};
use weir_core::words::counted;
use weir_rules::did_you_mean;
use weir_store::database::{DecisionFilter, Page as Found};

use super::form::{Field, Kind, encode, faults_as, segment};
use super::parts::{empty, live, milliseconds, outcome, table, time, who};
use super::{Page, Section, Visit};
use crate::console::{Console, Shared};
use crate::decisions::{FILTERS, filter, outcomes};
use crate::problem::{Fault, Problem};
use crate::query::{self, Paging, Parameters};
use crate::search;

const BOUNDARIES: [(&str, &str); 3] = [("", "everything"), ("request", "requests"), ("tool", "tool calls")];
/// The fields of the form.
const FIELDS: [&str; 6] = ["boundary", "outcome", "subject", "rule", "since", "where"];
/// Decisions of a page unless the address says otherwise.
const SHOWN: u32 = 50;
/// Seconds between two looks at the newest decisions.
const LIVE_S: u32 = 3;

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let typed = query::pairs(query.as_deref().unwrap_or_default());
    let mut parameters =
        Parameters::read(query.as_deref(), &[&FILTERS[..], &Paging::NAMES, &["where"]].concat());
    let filter = filter(&mut parameters, visit.now);
    let filter = DecisionFilter {
        limit: if parameters.take("limit").is_some() { filter.limit } else { SHOWN },
        ..filter
    };
    let terms = parameters.take_with("where", search::parse).unwrap_or_default();
    if let Err(problem) = parameters.finish() {
        let page = page(&visit, &typed, Some(&problem), &html! {});
        return Ok(page.status(StatusCode::BAD_REQUEST).into_response());
    }
    let found = match search::find(&console, &filter, &terms).await {
        // A cursor that is none: what was typed stays.
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST.as_u16() => {
            let page = page(&visit, &typed, Some(&problem), &html! {});
            return Ok(page.status(StatusCode::BAD_REQUEST).into_response());
        }
        found => found?,
    };
    let unknown_rule = unknown_rule(&console, filter.rule.as_deref());
    let newest = filter.cursor.is_none();
    let content = html! {
        @if newest { (live("decisions", LIVE_S, &rows_or_none(&visit, &found, typed.is_empty(), unknown_rule.as_deref()))) }
        @else { (rows_or_none(&visit, &found, false, unknown_rule.as_deref())) }
        (further(&visit, &typed, &found))
    };
    Ok(page(&visit, &typed, None, &content).into_response())
}

fn page(visit: &Visit, typed: &[(String, String)], problem: Option<&Problem>, content: &Markup) -> Page {
    let content = html! {
        (filters(typed, problem))
        div .bar {
            span #live-state .quiet role="status" {}
            span .grow {}
            @if problem.is_none() { button type="button" data-pause hidden aria-pressed="false" { "Pause" } }
        }
        (content)
    };
    Page::new(visit, Section::Decisions, "Decisions", &content)
}

fn filters(typed: &[(String, String)], problem: Option<&Problem>) -> Markup {
    let wrong: &[Fault] = problem.map(Problem::errors).unwrap_or_default();
    let value = |name: &str| typed.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
    let field = |name, label, help| Field::new(name, label).help(help).value(value(name)).faults(wrong);
    html! {
        form .panel method="get" action="/decisions" {
            (faults_as("Nothing can be shown: ", problem, &FIELDS))
            div .filters {
                (field("boundary", "What", "").kind(Kind::Choice(&BOUNDARIES)).render())
                (field("outcome", "Outcome", "What weir refused by itself is “nothing” here.").kind(Kind::Word(&outcomes(None))).render())
                (field("subject", "Identity", "user:… or fingerprint:…").render())
                (field("rule", "Rule", "That decided, or whose limit refused. With shadow: matched=… below.").render())
                (field("since", "Since", "1h, 24h or a time.").render())
                div .wide {
                    (field("where", "Where", "Any other field: model=sim/free status>=400 user_agent~python. \
                        Signs: = != ~ (contains) > >= < <=.").render())
                }
            }
            p .buttons {
                button .main { "Show" }
                a .button href="/decisions" { "Show all" }
                details { summary { "All fields" } p .quiet { (search::names().collect::<Vec<_>>().join(", ")) } }
            }
        }
    }
}

/// That a rule is not in force, and which may have been meant. One that was deleted has its decisions all the same.
fn unknown_rule(console: &Shared, rule: Option<&str>) -> Option<String> {
    let (wanted, active) = (rule?, console.parts.rules.load());
    let ids = || active.rules.rules().iter().map(|rule| &*rule.id);
    if ids().any(|id| id == wanted) {
        return None;
    }
    let meant = did_you_mean(wanted, ids()).map(|id| format!("; did you mean {id}?")).unwrap_or_default();
    Some(format!("No rule {wanted} is in force{meant}"))
}

fn rows_or_none(
    visit: &Visit,
    found: &Found<Record>,
    is_unfiltered: bool,
    unknown_rule: Option<&str>,
) -> Markup {
    if !found.items.is_empty() {
        return rows(visit, &found.items);
    }
    if found.searched_to.is_some() {
        return empty(
            "No decision is like this so far.",
            &html! { p { "Older ones were not looked at yet." } },
        );
    }
    if is_unfiltered {
        return empty(
            "Nothing was decided yet.",
            &html! {
                p { "Every request to the data plane and every tool call is listed here. "
                    a href="/" { "The first page" } " shows how to send one." }
            },
        );
    }
    empty(
        "No decision is like this.",
        &html! {
            @if let Some(unknown_rule) = unknown_rule { p { (unknown_rule) } }
            p { "Take a condition away, or look further back in time. " a href="/decisions" { "Show all" } "." }
        },
    )
}

/// Decisions as a table, also for the page of an identity.
pub(super) fn rows(visit: &Visit, records: &[Record]) -> Markup {
    let columns = ["When", "Outcome", "Who", "What", "Rule", "Answer", "Took"];
    table("Decisions", &columns, records.iter().map(|record| row(visit, record)))
}

fn row(visit: &Visit, record: &Record) -> Vec<Markup> {
    let decision = &record.decision;
    // A rule that only watched has not refused it.
    let (_, rule) = record.enforced();
    let rule = rule.filter(|_| !record.is_refused_without_rule());
    let took = record.result.tool.as_ref().map_or(record.result.timings.total_ms, |tool| tool.duration_ms);
    vec![
        html! { a href={ "/decisions/" (decision.id) } { (time(decision.at, visit.now)) } },
        outcome(record.came_to()),
        who(record),
        what(record),
        html! { @if let Some(rule) = rule { a href={ "/rules/" (segment(rule)) } { (rule) } } },
        answer(record),
        html! { @if took > 0.0 { span .nowrap { (milliseconds(took)) } } },
    ]
}

/// What was asked for: a model, or a tool.
pub(super) fn what(record: &Record) -> Markup {
    match &record.result.tool {
        Some(tool) => {
            html! { "tool " code { (tool.name) } @if !tool.server.is_empty() { " on " (tool.server) } }
        }
        None => html! { code { (record.facts.request.model) } },
    }
}

/// How it ended.
pub(super) fn answer(record: &Record) -> Markup {
    let result = &record.result;
    match &result.tool {
        Some(tool) => html! { (tool.ended.replace('_', " ")) },
        None => html! {
            @if result.client_gone { "the client left " }
            @if result.status > 0 { (result.status) }
            @if let Some(kind) = &result.error_type { " " code { (kind) } }
            @if let Some(usage) = &result.usage {
                span .quiet {
                    " " (counted(usage.input_tokens.saturating_add(usage.output_tokens), "token")) (estimated(usage))
                }
            }
        },
    }
}

/// What is said beside figures that weir has estimated.
pub(super) const fn estimated(usage: &Usage) -> &'static str {
    if usage.estimated { ", estimated" } else { "" }
}

/// The link to what is older, and how far a search has looked.
fn further(visit: &Visit, typed: &[(String, String)], found: &Found<Record>) -> Markup {
    let Some(next) = &found.next else { return html! {} };
    let kept = typed.iter().filter(|(name, value)| name != "cursor" && !value.is_empty());
    let pairs = kept.map(|(name, value)| (name.as_str(), value.as_str())).chain([("cursor", next.as_str())]);
    html! {
        @if let Some(searched_to) = found.searched_to {
            p .quiet { "Everything back to " (time(searched_to, visit.now)) " was looked at." }
        }
        p { a href={ "/decisions?" (encode(pairs)) } rel="next" {
            @if found.searched_to.is_some() { "Look further back" } @else { "Older decisions" }
        } }
    }
}

/// The word of a boundary, for people.
pub(super) const fn boundary(boundary: Boundary) -> &'static str {
    match boundary {
        Boundary::Request => "a request",
        Boundary::Failure => "a failure",
        Boundary::Tool => "a tool call",
    }
}
