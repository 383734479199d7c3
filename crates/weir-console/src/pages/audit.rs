//! The audit list: who changed what.

use axum::extract::{RawQuery, State};
use maud::{Markup, html};
use serde_json::Value;
use weir_store::database::AuditEntry;

use super::parts::{empty, identity, live, table, time};
use super::{Page, Section, Visit, form};
use crate::audit;
use crate::console::Console;
use crate::problem::Problem;

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let (entries, next) = audit::page(&console, query.as_deref()).await?;
    let content = html! {
        p .quiet { "Every change that was made through this console, the API and the command line, newest first." }
        (live("entries", 10, &list(&visit, &entries)))
        @if let Some(next) = next {
            p { a href={ "/audit?" (form::encode([("cursor", next.as_str())])) } rel="next" { "Older entries" } }
        }
    };
    Ok(Page::new(&visit, Section::Audit, "Audit", &content))
}

fn list(visit: &Visit, entries: &[AuditEntry]) -> Markup {
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
