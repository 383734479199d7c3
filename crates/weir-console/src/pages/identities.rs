//! Identities: found by their key or user, and those that were active lately.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use weir_core::record::Record;
use weir_core::words::grouped;
use weir_store::database::DecisionFilter;

use super::form::{Field, faults, segment};
use super::guard::see_other;
use super::parts::{empty, outcome, panel, table, time, who};
use super::{Page, Section, Visit};
use crate::console::{Console, Shared};
use crate::identities::identity_key;
use crate::problem::{Fault, Problem};
use crate::query::Parameters;

/// Decisions that are looked at for who was active lately.
const LOOKED_AT: u32 = 500;

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query.as_deref(), &["q"]);
    let typed = parameters.take("q").unwrap_or_default();
    parameters.finish()?;
    let wanted = typed.trim();
    let problem = match (wanted.is_empty(), key_of(wanted)) {
        (true, _) => None,
        (false, Ok(key)) => return Ok(see_other(&format!("/identities/{}", segment(&key)), None)),
        (false, Err(problem)) => Some(problem),
    };
    let active = active(&console).await?;
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let content = html! {
        (search_form(&typed, problem.as_ref()))
        (panel("Active lately", &html! {
            @if active.is_empty() {
                (empty("No identity was active yet.", &html! {
                    p { "Whoever sends a request is listed here: by the user of their key, or by the fingerprint of an anonymous client." }
                }))
            } @else {
                p .quiet { "Of the newest " (grouped(u64::from(LOOKED_AT))) " decisions." }
                (table("Active lately", &["Identity", "Known as", "Decisions", "Last", "Outcomes"], active.iter().enumerate().map(|(at, (key, active))| vec![
                    html! { (who(&active.latest)) @if key.starts_with("fingerprint:") { " " (copy_key(at, key)) } },
                    known_as(&active.telling),
                    html! { (grouped(active.count)) },
                    time(active.last, visit.now),
                    html! { @for (word, count) in &active.outcomes { (outcome(word)) " " (grouped(*count)) " " } },
                ])))
            }
        }))
    };
    Ok(Page::new(&visit, Section::Identities, "Identities", &content).status(status).into_response())
}

/// A key as it is, or the key of a user with this name.
fn key_of(typed: &str) -> Result<String, Problem> {
    let key = if typed.contains(':') { typed.to_owned() } else { format!("user:{typed}") };
    identity_key(key).map(|key| key.as_str().to_owned()).map_err(|problem| {
        let faults =
            problem.errors().iter().map(|fault| Fault { path: Some("q".to_owned()), ..fault.clone() });
        Problem::bad_request(problem.details().detail.clone(), faults.collect())
    })
}

fn search_form(typed: &str, problem: Option<&Problem>) -> Markup {
    let wrong = problem.map(Problem::errors).unwrap_or_default();
    html! {
        form .panel method="get" action="/identities" role="search" {
            (faults(problem, &["q"]))
            (Field::new("q", "User, or key of an identity").value(typed).faults(wrong)
                .help("ada, user:ada, or fingerprint: and 64 hexadecimal digits.").render())
            p .buttons { button .main { "Show" } }
        }
    }
}

/// Copies a whole key of which the begin is shown.
fn copy_key(at: usize, key: &str) -> Markup {
    let id = format!("key-{at}");
    html! {
        span #(id) hidden { (key) }
        button .small data-copy=(id) hidden type="button" aria-label={ "Copy the key " (key) } { "Copy" }
    }
}

/// What is known of a caller beside the key: whose API key was used, or what the anonymous client is told apart by.
pub(super) fn known_as(latest: &Record) -> Markup {
    let (request, facts) = (&latest.facts.request, &latest.facts.identity);
    let key = latest.call.as_ref().and_then(|call| call.key_id.as_deref());
    let named = [("key ", key.unwrap_or_default()), ("plan ", &facts.plan), ("organisation ", &facts.org_id)];
    let client = [("", request.user_agent.as_str()), ("", &request.country), ("TLS ", &request.ja4)];
    let (parts, none) = match latest.decision.subject.starts_with("fingerprint:") {
        true if request.ip.is_empty() => (client, "only the fingerprint is recorded"),
        true => (client, "no more than the address is recorded"),
        false => (named, "no more than the user is recorded"),
    };
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}{value}"))
        .collect();
    html! { @if parts.is_empty() { span .quiet { (none) } } @else { (parts.join(", ")) } }
}

struct Active {
    /// The newest of its records.
    latest: Record,
    /// The newest that tells the key that was used, or the newest of all.
    telling: Record,
    count: u64,
    last: Timestamp,
    outcomes: BTreeMap<String, u64>,
}

/// Who was active, the last one first.
async fn active(console: &Shared) -> Result<Vec<(String, Active)>, Problem> {
    let filter = DecisionFilter { limit: LOOKED_AT, ..DecisionFilter::default() };
    let page = console.parts.database.decisions(&filter).await;
    let page = page.map_err(|error| Problem::store_unavailable(&error))?;
    let mut found: BTreeMap<String, Active> = BTreeMap::new();
    for record in page.items.iter().filter(|record| !record.decision.subject.is_empty()) {
        let decision = &record.decision;
        let active = found.entry(decision.subject.clone()).or_insert_with(|| Active {
            latest: record.clone(),
            telling: record.clone(),
            count: 0,
            last: decision.at,
            outcomes: BTreeMap::new(),
        });
        if active.telling.call.is_none() && record.call.is_some() {
            active.telling = record.clone();
        }
        active.count += 1;
        active.last = active.last.max(decision.at);
        *active.outcomes.entry(record.came_to().to_owned()).or_default() += 1;
    }
    let mut found: Vec<(String, Active)> = found.into_iter().collect();
    found.sort_by_key(|(_, active)| std::cmp::Reverse(active.last));
    Ok(found)
}
