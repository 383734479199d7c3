//! All rules in force, in their order.

use axum::extract::State;
use maud::{Markup, html};
use weir_config::config::Role;
use weir_core::words::grouped;
use weir_rules::{Rule, RuleSet};

use super::{files_note, hits, state};
use crate::console::Console;
use crate::pages::parts::{Tone, badge, empty, live, outcome, table, time};
use crate::pages::{Page, Section, Visit};
use crate::problem::Problem;
use crate::rule_stats::RuleStats;
use crate::rulebook::Master;

pub(in crate::pages) async fn show(State(console): State<Console>, visit: Visit) -> Result<Page, Problem> {
    let book = &console.parts.rulebook;
    let active = book.current().await?;
    let hits = hits(&console, visit.now, None).await?;
    let may_write = visit.may(Role::Operator) && *book.master() == Master::Store;
    let content = html! {
        (files_note(book.master()))
        div .bar {
            @if may_write { a .button .main href="/rules/new" { "New rule" } }
            @else if visit.may(Role::Operator) { a .button href="/rules/new" { "Try a rule" } }
            a .button href="/rules/history" { "History" }
            span .grow {}
            span .quiet { "Set " (active.epoch) " is in force. Hits are those of the last 24 hours." }
            span #live-state .quiet role="status" {}
        }
        (live("rules", 5, &rows(&visit, &active.rules, &hits, may_write)))
    };
    Ok(Page::new(&visit, Section::Rules, "Rules", &content))
}

fn rows(visit: &Visit, rules: &RuleSet, stats: &[RuleStats], may_write: bool) -> Markup {
    if rules.rules().is_empty() {
        return empty(
            "There is no rule yet: everything passes.",
            &html! { p {
                @if may_write { a href="/rules/new" { "Write one" } " and save it as shadow: it counts what it would do and does nothing." }
                @else { "An operator writes rules; " code { "weir rules apply" } " does so from the command line." }
            } },
        );
    }
    let row = |rule: &Rule| {
        let stats = stats.iter().find(|stats| stats.id == *rule.id);
        let count = |of: fn(&RuleStats) -> u64| stats.map_or(0, of);
        vec![
            html! {
                a href={ "/rules/" (rule.id) } { (rule.id) }
                @if let Some(because) = &rule.because { div .quiet { (because) } }
            },
            html! { (rule.on.as_str()) },
            outcome(rule.then.word()),
            state(visit.now, rule, stats),
            html! { span .num { (grouped(count(|stats| stats.enforced.count))) } },
            html! { span .num { (grouped(count(|stats| stats.shadow.count))) } },
            html! { @match stats.and_then(|stats| stats.last_hit) { Some(at) => (time(at, visit.now)), None => span .quiet { "none" } } },
            html! { @if count(|stats| stats.errors) > 0 { (badge(Tone::Bad, &grouped(count(|stats| stats.errors)))) } },
        ]
    };
    table(
        "Rules in their order",
        &["Rule", "On", "Then", "Mode", "Hits", "Shadow hits", "Last hit", "Errors"],
        rules.rules().iter().map(row),
    )
}
