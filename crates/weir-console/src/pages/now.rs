//! What is going on.

use axum::extract::{RawQuery, State};
use maud::{Markup, html};

use super::parts::{Tone, badge, empty, live, panel, table, time};
use super::{Page, Section, Visit, audit};
use crate::console::{Console, Shared};
use crate::health::{self, Readiness};
use crate::problem::Problem;

/// How many changes are shown.
const CHANGES: &str = "limit=8";

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(_): RawQuery,
) -> Result<Page, Problem> {
    let (entries, _) = crate::audit::page(&console, Some(CHANGES)).await?;
    let changes = html! {
        @if entries.is_empty() {
            (empty("Nothing has been changed yet.", &html! {
                p { a href="/rules/new" { "Write a rule" } " or " a href="/keys" { "make a key" } "." }
            }))
        } @else {
            (audit::rows(&visit, &entries))
            p { a href="/audit" { "All changes" } }
        }
    };
    let content = html! {
        p #live-state .quiet role="status" {}
        div .columns {
            (live("health", 5, &panel("Health of this node", &health(&console, &visit))))
        }
        (live("changes", 10, &panel("Changed lately", &changes)))
    };
    Ok(Page::new(&visit, Section::Now, "Now", &content))
}

fn health(console: &Shared, visit: &Visit) -> Markup {
    let report = health::report(console);
    let (tone, words) = match report.status {
        Readiness::Ready => (Tone::Good, "ready"),
        Readiness::Degraded => (Tone::Warn, "degraded"),
        Readiness::NotReady => (Tone::Bad, "not ready"),
    };
    html! {
        p { (badge(tone, words)) }
        (table("Dependencies", &["Dependency", "State", "Since", "Last failure"], report.dependencies.iter().map(
            |(name, dependency)| vec![
                html! { (name.replace('_', " ")) },
                badge(tone_of(dependency.state), dependency.state),
                time(dependency.since, visit.now),
                html! { (dependency.error.as_deref().unwrap_or("none")) },
            ],
        )))
    }
}

fn tone_of(state: &str) -> Tone {
    match state {
        "up" => Tone::Good,
        "degraded" => Tone::Warn,
        "down" => Tone::Bad,
        _ => Tone::Quiet,
    }
}
