//! A backtest in the console: how far it is, and what it found. The editor shows the same beside the text.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use weir_config::config::Role;
use weir_core::DecisionId;
use weir_core::words::{counted, grouped, noun};
use weir_rules::replay::{BoundaryReport, Change, Effect, Report, Share};

use super::samples;
use crate::backtests::http::{NewBacktest, begin, find};
use crate::backtests::{Job, JobState};
use crate::console::Console;
use crate::pages::parts::{Tone, badge, facts, live, table, time};
use crate::pages::{Page, Section, Visit, form};
use crate::problem::Problem;
use crate::rulebook::ApplyError;

/// Lines of a list within a report.
const LINES_MAX: usize = 10;

/// Starts a backtest of the set in force with a draft in it, as if the draft were enforced.
pub(super) async fn start(
    console: &Console,
    visit: &Visit,
    text: &str,
    replaces: Option<&str>,
    since: &str,
) -> Result<Arc<Job>, NotStarted> {
    let book = &console.parts.rulebook;
    let set = book.rehearsed(text, replaces).await.map_err(NotStarted::Rule)?;
    let rules = set.into_iter().next().map(|file| file.text);
    let since = (!since.is_empty()).then(|| since.to_owned());
    let new = NewBacktest { rules, since, ..NewBacktest::default() };
    begin(console, new, &visit.principal).await.map_err(NotStarted::Other)
}

/// Why a backtest was not started.
pub(super) enum NotStarted {
    /// The rule, or the set with it.
    Rule(ApplyError),
    /// Something else.
    Other(Problem),
}

pub(in crate::pages) async fn show(
    State(console): State<Console>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Page, Problem> {
    let job = find(&console, &id)?;
    let content = html! {
        p { a href="/rules" { "All rules" } }
        p .quiet { "Started " (time(job.started_at, visit.now)) " by " (job.by) ". The rules were those in force with the rule that was being
            written among them, as if it were enforced; decisions since " (time(job.since, visit.now)) "." }
        span #live-state .quiet role="status" {}
        (live("backtest-report", 1, &report_of(&visit, &job)))
    };
    Ok(Page::new(&visit, Section::Rules, "Backtest", &content))
}

pub(in crate::pages) async fn stop(State(console): State<Console>, Path(id): Path<String>) -> Response {
    let here = format!("/rules/backtests/{}", form::segment(&id));
    match find(&console, &id) {
        Ok(job) => {
            job.progress.stop();
            form::done(&here, "the backtest ends after the records that it is at")
        }
        Err(problem) => form::failed("/rules", &problem),
    }
}

fn report_of(visit: &Visit, job: &Job) -> Markup {
    let state = job.state();
    let (tone, word) = match state {
        JobState::Running => (Tone::Info, "running"),
        JobState::Done => (Tone::Good, "done"),
        JobState::Stopped => (Tone::Warn, "stopped"),
        JobState::Failed => (Tone::Bad, "failed"),
    };
    let (done, total) = (job.progress.done(), job.progress.total());
    let outcome = job.outcome();
    html! {
        div data-state=(word) {
            p .bar {
                (badge(tone, word))
                span { (grouped(done)) @if total > 0 { " of " (counted(total.max(done), "record")) } @else { " " (noun(done, "record")) } }
                @if state == JobState::Running {
                    progress max=(total.max(1)) value=(done) aria-label="Records replayed" {}
                    @if visit.may(Role::Operator) {
                        (form::action(visit, &format!("/rules/backtests/{}/stop", form::segment(&job.id)), "Stop", "", None))
                    }
                }
            }
            @if let Some(outcome) = outcome {
                @if let Some(error) = &outcome.error { p .fault { (error) } }
                @if let Some(report) = &outcome.report { (report_body(report)) }
            }
        }
    }
}

fn report_body(report: &Report) -> Markup {
    let concerned = report.concerned();
    if concerned.iter().all(|of| of.decisions == 0) {
        return html! { p { "There are no decisions to replay in that time." } };
    }
    html! {
        @for of in concerned { @if of.decisions > 0 { (boundary(of, report.identities_exact)) } }
        (rules(report))
    }
}

fn boundary(of: &BoundaryReport, exact: bool) -> Markup {
    let changes: Vec<&Change> = of.changes.iter().filter(|change| change.decisions > 0).collect();
    html! {
        h3 { "On " (of.boundary.as_str()) }
        p { strong { (grouped(of.replayed)) } " of " (counted(of.decisions, "decision")) " were replayed ("
            (percent(of.share)) "); " (grouped(of.unchanged)) " stay as they were." }
        @for not in &of.not_replayed {
            p .quiet { (grouped(not.decisions)) @if not.decisions == 1 { " was" } @else { " were" } " not: " (not.reason) "." }
        }
        @if changes.is_empty() {
            p { (badge(Tone::Good, "nothing would change")) }
        } @else {
            ul .changes { @for change in changes { li { (one_change(of, change, exact)) } } }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn one_change(of: &BoundaryReport, change: &Change, exact: bool) -> Markup {
    let tone = if change.effect == Effect::Freed { Tone::Good } else { Tone::Warn };
    let found: Vec<DecisionId> = of
        .transitions
        .iter()
        .filter(|transition| transition.effect == Some(change.effect))
        .flat_map(|transition| transition.samples.iter().rev().copied())
        .take(LINES_MAX)
        .collect();
    html! {
        p { (badge(tone, change.effect.in_words())) " " strong { (grouped(change.decisions)) } " " (noun(change.decisions, "decision")) " of "
            @if !exact { "at least " } (counted(change.identities, "identity")) }
        (facts([
            ("Paying", Some(html! { (counted(change.paying_decisions, "decision")) " of " (counted(change.paying_identities, "identity")) })),
            ("Own key", (change.own_key_decisions > 0).then(|| html! { (counted(change.own_key_decisions, "decision")) })),
            ("By plan", shares(&change.by_plan)),
            ("By key", shares(&change.by_key)),
            ("By identity", identities(&change.by_identity)),
            ("Samples", (!found.is_empty()).then(|| samples(&found))),
        ]))
    }
}

fn shares(shares: &[Share]) -> Option<Markup> {
    (!shares.is_empty()).then(|| {
        html! {
            @for share in shares.iter().take(LINES_MAX) {
                div { @if share.name.is_empty() { span .quiet { "none" } } @else { (share.name) } ": " (grouped(share.decisions)) }
            }
        }
    })
}

fn identities(shares: &[Share]) -> Option<Markup> {
    (!shares.is_empty()).then(|| {
        html! {
            @for share in shares.iter().take(LINES_MAX) {
                div { a href={ "/identities/" (form::segment(&share.name)) } { (share.name) } ": " (grouped(share.decisions)) }
            }
        }
    })
}

/// What each rule would do; those that never matched are named apart.
fn rules(report: &Report) -> Markup {
    let (silent, heard): (Vec<_>, Vec<_>) = report.rules.iter().partition(|rule| rule.never_matched());
    let rows = heard.iter().map(|rule| {
        vec![
            html! { (rule.rule) @if !rule.not_recorded.is_empty() { div .quiet { "reads what is not recorded: " (rule.not_recorded.join(", ")) } } },
            html! { (grouped(rule.hits)) },
            html! { (grouped(rule.identities)) },
            html! { (grouped(rule.decided)) },
            html! { @if rule.undecided > 0 { (grouped(rule.undecided)) " unknown" } },
        ]
    });
    html! {
        @if !heard.is_empty() { (table("Rules in the backtest", &["Rule", "Matches", "Identities", "Decides", "Not known"], rows)) }
        @if !silent.is_empty() {
            p .quiet { "Never matched: "
                @for (at, rule) in silent.iter().enumerate() { @if at > 0 { ", " } code { (rule.rule) } } "." }
        }
    }
}
