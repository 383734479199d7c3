//! What is going on: traffic, actions and failures over time, who waits, how the node is doing, what changed.

mod traffic;

use axum::extract::{RawQuery, State};
use maud::{Markup, html};

use super::parts::{Tone, badge, empty, live, panel, table, time};
use super::{Page, Section, Visit, approvals, audit};
use crate::console::{Console, Shared};
use crate::health::{self, Readiness};
use crate::problem::Problem;
use crate::query::Parameters;
use traffic::Range;

/// How many changes are shown.
const CHANGES: &str = "limit=6";
/// How many approvals are shown.
const WAITING: &str = "state=pending&limit=5";

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &["range"]);
    let range = parameters.take_with("range", Range::read).unwrap_or_default();
    parameters.finish()?;
    let (changes, _) = crate::audit::page(&console, Some(CHANGES)).await?;
    let waiting = crate::approvals::page(&console, Some(WAITING)).await?;
    let traffic = traffic::show(&console, range, visit.now).await?;
    let content = html! {
        div .bar {
            (ranges(range))
            span .grow {}
            span #live-state .quiet role="status" {}
            button data-pause hidden aria-pressed="false" { "Pause" }
        }
        (live("traffic", 5, &traffic))
        div .columns {
            (live("waiting", 5, &panel("Approvals waiting", &approvals::waiting(&visit, &waiting.items))))
            (live("health", 5, &panel("Health of this node", &health(&console, &visit))))
        }
        (live("changes", 10, &panel("Changed lately", &html! {
            @if changes.is_empty() {
                (empty("Nothing has been changed yet.", &html! {
                    p { a href="/rules/new" { "Write a rule" } " or " a href="/keys" { "make a key" } "." }
                }))
            } @else {
                (audit::rows(&visit, &changes))
                p { a href="/audit" { "All changes" } }
            }
        })))
    };
    Ok(Page::new(&visit, Section::Now, "Now", &content))
}

fn ranges(chosen: Range) -> Markup {
    html! {
        nav .ranges aria-label="Range of time" {
            @for range in Range::ALL {
                a .button href={ "/?range=" (range.as_str()) } aria-current=[(range == chosen).then_some("true")] {
                    (range.as_str())
                }
            }
        }
    }
}

fn health(console: &Shared, visit: &Visit) -> Markup {
    let report = health::report(console);
    let (tone, words) = match report.status {
        Readiness::Ready => (Tone::Good, "ready"),
        Readiness::Degraded => (Tone::Warn, "degraded"),
        Readiness::NotReady => (Tone::Bad, "not ready"),
    };
    let columns = ["Dependency", "State", "Since", "Last failure"];
    html! {
        p { (badge(tone, words)) " started " (time(console.started, visit.now)) }
        (table("Dependencies", &columns, report.dependencies.iter().map(|(name, dependency)| vec![
            html! { (name.replace('_', " ")) },
            badge(tone_of(dependency.state), dependency.state),
            time(dependency.since, visit.now),
            html! { (dependency.error.as_deref().unwrap_or("none")) },
        ])))
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
