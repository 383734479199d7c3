//! The audit list: who changed what.

use axum::extract::{RawQuery, State};
use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;
use weir_store::database::AuditEntry;

use super::form::{Field, faults_as};
use super::parts::{empty, identity, live, table, time};
use super::{Page, Section, Visit, form};
use crate::audit;
use crate::console::Console;
use crate::problem::{Fault, Problem};
use crate::query;

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let typed = query::pairs(query.as_deref().unwrap_or_default());
    let (entries, next) = match audit::page(&console, query.as_deref()).await {
        Ok(found) => found,
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST.as_u16() => {
            let page = Page::new(&visit, Section::Audit, "Audit", &filters(&typed, Some(&problem)));
            return Ok(page.status(StatusCode::BAD_REQUEST));
        }
        Err(problem) => return Err(problem),
    };
    let is_filtered = typed.iter().any(|(name, value)| name != "cursor" && !value.is_empty());
    let content = html! {
        (filters(&typed, None))
        p .quiet { "Every change that was made through this console, the API and the command line, newest first." }
        (live("entries", 10, &list(&visit, &entries, is_filtered)))
        @if let Some(next) = next {
            @let kept = typed.iter().filter(|(name, value)| name != "cursor" && !value.is_empty());
            @let pairs = kept.map(|(name, value)| (name.as_str(), value.as_str())).chain([("cursor", next.as_str())]);
            p { a href={ "/audit?" (form::encode(pairs)) } rel="next" { "Older entries" } }
        }
    };
    Ok(Page::new(&visit, Section::Audit, "Audit", &content))
}

fn filters(typed: &[(String, String)], problem: Option<&Problem>) -> Markup {
    let wrong: &[Fault] = problem.map(Problem::errors).unwrap_or_default();
    let value = |name: &str| typed.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
    let field =
        |name, label, help| Field::new(name, label).help(help).value(value(name)).faults(wrong).render();
    html! {
        form .panel method="get" action="/audit" {
            (faults_as("Nothing can be shown: ", problem, &["actor", "action", "since"]))
            div .filters {
                (field("actor", "Who", "The name of a token."))
                (field("action", "What", "As in the list: rules.put, key.create …"))
                (field("since", "Since", "1h, 24h or a time."))
            }
            p .buttons { button .main { "Show" } a .button href="/audit" { "Show all" } }
        }
    }
}

fn list(visit: &Visit, entries: &[AuditEntry], is_filtered: bool) -> Markup {
    if entries.is_empty() && is_filtered {
        return empty("No change is like this.", &html! { p { a href="/audit" { "Show all" } "." } });
    }
    if entries.is_empty() {
        return empty(
            "Nothing has been changed yet.",
            &html! {
                p { "Make a key under " a href="/keys" { "Keys" } " or write a rule under " a href="/rules" { "Rules" }
                    ": it is noted here with your name." }
            },
        );
    }
    rows(visit, entries)
}

/// The entries as a table, also for the page that shows what changed lately.
pub(super) fn rows(visit: &Visit, entries: &[AuditEntry]) -> Markup {
    table(
        "Changes",
        &["When", "Who", "What", "On what", "Particulars"],
        entries.iter().map(|entry| {
            vec![
                time(entry.at, visit.now),
                html! { (entry.author) },
                html! { code { (entry.action) } },
                subject(entry),
                particulars(&entry.detail),
            ]
        }),
    )
}

/// What an entry is about, with a link to it where there is a page of it.
fn subject(entry: &AuditEntry) -> Markup {
    let subject = entry.subject.as_str();
    if subject.starts_with("user:") || subject.starts_with("fingerprint:") {
        return identity(subject);
    }
    // What changes the rules makes a new set, which is named by its number.
    if entry.action.starts_with("rules.")
        && !subject.is_empty()
        && subject.bytes().all(|b| b.is_ascii_digit())
    {
        return html! { a href={ "/rules/history/" (subject) } { "set " (subject) } };
    }
    let page = if subject.starts_with("key_") { Some("/keys".to_owned()) } else { None };
    html! { @if let Some(page) = page { a href=(page) { (subject) } } @else { (subject) } }
}

/// The members of the detail in a line each.
fn particulars(detail: &Value) -> Markup {
    let Value::Object(members) = detail else { return html! { (text(detail)) } };
    html! {
        @for (name, value) in members {
            @if !text(value).is_empty() { div { span .quiet { (name.replace('_', " ")) ": " } (text(value)) } }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(members) if members.is_empty() => String::new(),
        other => other.to_string(),
    }
}
