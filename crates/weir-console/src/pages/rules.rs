//! The rules: all of them with their hits, one of them with an editor, and the sets that were in force before.

mod backtest;
pub(crate) mod draft;
mod editor;
mod history;
mod list;
mod one;

pub(super) use backtest::{show as backtest, stop as stop_backtest};
pub(super) use editor::{create, save};
pub(super) use history::{rollback, set, sets};
pub(super) use list::show as list;
pub(super) use one::{delete, new, resume, show, switch};

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use weir_core::Mode;

use super::failures::samples;
use super::parts::{Tone, badge};
use crate::console::Console;
use crate::problem::Problem;
use crate::rule_stats::{RuleStats, stats};
use crate::rulebook::Master;

/// Over how long hits are counted on these pages.
const COUNTED: SignedDuration = SignedDuration::from_hours(24);

/// What the rules have done of late: all of them, or one.
async fn hits(console: &Console, now: Timestamp, rule: Option<&str>) -> Result<Vec<RuleStats>, Problem> {
    let since = now.saturating_sub(COUNTED).unwrap_or(now);
    Ok(stats(console, since, now, rule).await?.items)
}

/// How a rule is in force.
fn mode(mode: Mode) -> Markup {
    match mode {
        Mode::Enforce => badge(Tone::Good, "enforced"),
        Mode::Shadow => badge(Tone::Info, "shadow"),
        Mode::Off => badge(Tone::Quiet, "off"),
    }
}

/// The mode that a rule is in, and what else decides whether it is asked.
fn state(now: Timestamp, rule: &weir_rules::Rule, stats: Option<&RuleStats>) -> Markup {
    let stopped = stats.is_some_and(|stats| stats.in_force != stats.mode);
    let expired = rule.expires.is_some_and(|at| at <= now);
    html! {
        @if stopped { (badge(Tone::Bad, "stopped")) div .quiet { "in shadow by the stop-loss" } }
        @else { (mode(rule.mode)) }
        @if expired { " " (badge(Tone::Quiet, "expired")) }
        @if rule.rollout < 100 { div .quiet { "for " (rule.rollout) " % of identities" } }
        @if let Some(at) = rule.expires.filter(|_| !expired) { div .quiet { "ends " (super::parts::time(at, now)) } }
    }
}

/// What is said where rules are written in files.
fn files_note(master: &Master) -> Markup {
    let Master::Files(files) = master else { return html! {} };
    html! {
        div .flash role="note" {
            p { strong { "These rules are written in files. " }
                "Change them there; they come into force when they are saved. Here they can be checked and backtested." }
            ul { @for file in files { li { code { (file.display()) } } } }
        }
    }
}
