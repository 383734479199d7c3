//! One decision explained. The page prints what `explanation` tells, as the API and the command line do.

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use weir_core::Mode;
use weir_core::record::Record;
use weir_core::words::{grouped, size};
use weir_rules::explain::{ExplainedRule, Part, PartKind, Seen, TextFrom, Truth};

use super::decisions::{answer, boundary, estimated, what};
use super::form::{encode, segment};
use super::parts::{
    Tone, badge, copied, exact, facts, milliseconds, outcome, panel, relative, table, ticked, usd, who,
};
use super::{Page, Section, Visit};
use crate::console::Console;
use crate::decisions::find_by_text;
use crate::explanation::{AttemptExplained, Explanation, Lift, StageTime, Until, explain};
use crate::extract::Segment;
use crate::problem::Problem;

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    Segment(id): Segment,
) -> Result<Page, Problem> {
    let record = find_by_text(&console, &id).await?;
    let told = explain(&record, &console.sources()).await;
    let content = html! {
        (summary(&visit, &record, &told))
        @if !told.enforced.is_empty() { (panel("What was done", &lines(&told.enforced))) }
        (rules("Rules that matched", &told.matched, "No rule matched."))
        @if !told.errored.is_empty() { (rules("Rules that could not be evaluated", &told.errored, "")) }
        @if !told.near_misses.is_empty() { (near(&told)) }
        @if !told.attempts.is_empty() { (attempts(&told.attempts)) }
        @if !told.until.is_empty() || !told.lifted_by.is_empty() { (in_force(&visit, &told)) }
        @if !told.stages.is_empty() { (panel("Time of each stage", &stages(&told.stages))) }
        (panel("What was recorded", &recorded(&record)))
        @if !told.notes.is_empty() { (panel("What cannot be told", &lines(&told.notes))) }
    };
    let title = format!("Why {}", told.id);
    Ok(Page::new(&visit, Section::Decisions, &title, &content))
}

fn rule_link(rule: &str) -> Markup {
    html! { a href={ "/rules/" (segment(rule)) } { (rule) } }
}

fn lines(lines: &[String]) -> Markup {
    html! { ul { @for line in lines { li { (ticked(line)) } } } }
}

/// The time with the exact one written out: one looks at this page long after.
fn when(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at) { (exact(at)) } span .quiet { " (" (relative(at, now)) ")" } }
}

fn summary(visit: &Visit, record: &Record, told: &Explanation) -> Markup {
    let asked = [("subject", told.subject.as_str())];
    let (_, rule) = record.enforced();
    let by_itself = record.is_refused_without_rule();
    let limited = record.result.limiting_rule().is_some();
    html! {
        div .panel {
            p .lead { (outcome(record.came_to())) " " (boundary(told.boundary)) " of "
                @if told.subject.is_empty() { "a caller who was not yet known" } @else { (who(record)) }
                @if by_itself { ", by weir itself: no rule refused it" }
                @else if let Some(rule) = rule { ", by the " @if limited { "limit of the " } "rule " (rule_link(rule)) } }
            @if told.subject.starts_with("fingerprint:") { p .quiet { (copied("whose", &told.subject)) } }
            @if let Some(because) = &told.because { p { strong { "Because: " } (because) } }
            @if let Some(instead) = &told.instead { p { strong { "Instead: " } (instead) } }
            (facts([
                ("When", Some(when(told.at, visit.now))),
                ("What", Some(what(record))),
                ("Answer", Some(answer(record))),
                ("Decided by", (!told.source_in_words.is_empty()).then(|| html! { (told.source_in_words) })),
                ("Rules of", Some(html! { "epoch " (grouped(told.epoch)) })),
                ("Score", (record.decision.sus_score != 0).then(|| html! { (record.decision.sus_score) })),
                ("Request", text(&record.result.request_id)),
                ("Ended at", record.result.ended_at.as_deref().and_then(text)),
                ("Delay", record.result.abuse_delay.map(|ms| html! { (grouped(ms)) " ms, artificial" })),
                ("Downgraded", record.result.abuse_downgraded_from.as_deref().map(|from| html! { "from " code { (from) } })),
            ]))
            @if !told.subject.is_empty() {
                p .buttons { a .button href={ "/decisions?" (encode(asked)) } { "All decisions of this identity" } }
            }
        }
    }
}

fn text(text: &str) -> Option<Markup> {
    (!text.is_empty()).then(|| html! { (text) })
}

fn rules(title: &str, rules: &[ExplainedRule], none: &str) -> Markup {
    panel(
        title,
        &html! {
            @if rules.is_empty() { p .quiet { (none) } }
            @for rule in rules { (explained(rule)) }
        },
    )
}

fn explained(rule: &ExplainedRule) -> Markup {
    html! {
        article .rule {
            h3 { (rule_link(&rule.rule)) " " (outcome(&rule.action)) " "
                @if rule.mode == Mode::Shadow { (badge(Tone::Info, "shadow: changes nothing")) } }
            @if let Some(because) = &rule.because { p { (because) } }
            @if let Some(error) = rule.error_beside_condition() { p .fault { (error) } }
            @match rule.text {
                TextFrom::AsDecided => {},
                TextFrom::NotKept => p .quiet { "The text that decided (version " code { (rule.version) } ") is no longer kept." },
            }
            @if let Some(condition) = &rule.condition { ul .parts { (part(condition)) } }
            @else if let Some(when) = &rule.when { pre { (when) } }
            @if let Some(expires) = &rule.expires { p .quiet { "It expires at " (expires) "." } }
        }
    }
}

/// A part of a condition, with the parts of it below.
fn part(part_of: &Part) -> Markup {
    let (tone, words) = match part_of.truth {
        Truth::True => (Tone::Good, "true"),
        Truth::False => (Tone::Quiet, "false"),
        Truth::Error => (Tone::Bad, "error"),
        Truth::NotRecorded => (Tone::Warn, "not recorded"),
    };
    let kind = match part_of.kind {
        PartKind::All => Some("all of"),
        PartKind::Any => Some("any of"),
        PartKind::Not => Some("not"),
        PartKind::Test => None,
    };
    html! {
        li .decisive[part_of.decisive] {
            (badge(tone, words)) " "
            @if let Some(kind) = kind { strong { (kind) } } @else { code { (part_of.text) } }
            @if part_of.inferred { em .quiet { " (what it read was not recorded; it follows from the outcome)" } }
            @for seen in &part_of.values { (value(seen)) }
            @if let Some(error) = part_of.error_of_its_own() { span .fault { " " (error) } }
            @if !part_of.parts.is_empty() { ul .parts { @for part_of in &part_of.parts { (part(part_of)) } } }
        }
    }
}

fn value(seen: &Seen) -> Markup {
    html! {
        div .seen {
            code { (seen.text) } " was "
            @if !seen.recorded { em { "not recorded" } }
            @else if let Some(error) = &seen.error { em { (error) } }
            @else { code { (seen.value.to_string()) } }
        }
    }
}

fn near(told: &Explanation) -> Markup {
    panel(
        "Nearly matched",
        &html! {
            p .quiet { "Enforced rules of which exactly one part was false." }
            @for rule in &told.near_misses { (explained(rule)) }
            @if told.near_misses_more > 0 { p .quiet { "And " (told.near_misses_more) " more." } }
        },
    )
}

fn attempts(attempts: &[AttemptExplained]) -> Markup {
    panel(
        "Attempts that failed",
        &html! {
            @for attempt in attempts {
                article .rule {
                    h3 { "Attempt " (attempt.number) ": " (badge(Tone::Bad, &attempt.class))
                        @if let Some(rule) = &attempt.rule { " by the rule " (rule) } }
                    @for rule in attempt.matched.iter().chain(&attempt.errored) { (explained(rule)) }
                }
            }
        },
    )
}

fn in_force(visit: &Visit, told: &Explanation) -> Markup {
    panel(
        "Until when, and who can lift it",
        &html! {
            @if !told.until.is_empty() { ul { @for until in &told.until { (ends(visit, until)) } } }
            @if !told.lifted_by.is_empty() {
                (table("Who can lift it", &["Who", "How", "Command"], told.lifted_by.iter().map(lift)))
            }
            p .buttons { a .button href={ "/identities/" (segment(&told.subject)) } { "To the buttons of this identity" } }
        },
    )
}

fn ends(visit: &Visit, until: &Until) -> Markup {
    html! { li { (until.what) @if let Some(at) = until.at { ": " (when(at, visit.now)) } } }
}

fn lift(lift: &Lift) -> Vec<Markup> {
    vec![
        html! { (lift.who) },
        html! { (ticked(&lift.what)) @if let Some(place) = &lift.place { br; code { (place) } } },
        html! { @if let Some(command) = &lift.command { code { (command) } }
        @else if let Some(endpoint) = &lift.endpoint { code { (endpoint) } } },
    ]
}

/// Stages as bars one after the other, and as a table.
fn stages(stages: &[StageTime]) -> Markup {
    const WIDTH: u64 = 720;
    let total: u64 = stages.iter().map(|stage| stage.us).sum();
    let ms = |us: u64| {
        #[expect(clippy::cast_precision_loss, reason = "it is shown with few digits")]
        let us = us as f64;
        milliseconds(us / 1_000.0)
    };
    let mut at = 0_u64;
    let mut bars = Vec::new();
    for (n, stage) in stages.iter().enumerate() {
        let from = at.saturating_mul(WIDTH) / total.max(1);
        at = at.saturating_add(stage.us);
        let to = at.saturating_mul(WIDTH) / total.max(1);
        bars.push((n % 8, from, to.saturating_sub(from).max(1), stage));
    }
    html! {
        svg .chart viewBox={ "0 0 " (WIDTH) " 26" } role="img" aria-label={ "Time of each stage, " (ms(total)) " together" } {
            @for (colour, from, width, stage) in &bars {
                rect class={ "s" (colour) } x=(from) y="2" width=(width) height="22" {
                    title { (stage.stage) ": " (ms(stage.us)) }
                }
            }
        }
        (table("Time of each stage", &["Stage", "Time", "What happens in it"], bars.iter().map(|(colour, _, _, stage)| vec![
            html! { span class={ "key s" (colour) } {} " " (stage.stage) },
            html! { (ms(stage.us)) },
            html! { (stage.about) },
        ])))
    }
}

fn recorded(record: &Record) -> Markup {
    let (request, identity, stats) = (&record.facts.request, &record.facts.identity, &record.facts.stats);
    let usage = record.result.usage.as_ref();
    html! {
        p .quiet { "Never recorded: prompts, completions, header values, arguments, keys." }
        (facts([
            ("API", text(&request.api)),
            ("Path", text(&request.path)),
            ("Model", text(&request.model)),
            ("Provider", text(&request.provider)),
            ("Body", (request.body_bytes > 0).then(|| html! { (size(request.body_bytes.unsigned_abs())) })),
            ("User agent", text(&request.user_agent)),
            ("Address", text(&request.ip)),
            ("JA4", text(&request.ja4)),
            ("Place", text(&[request.city.as_str(), request.country.as_str()].iter().filter(|p| !p.is_empty())
                .copied().collect::<Vec<_>>().join(", "))),
            ("Feature", text(&request.feature)),
            ("Editor", text(&request.editor)),
            ("User", text(&identity.user_id)),
            ("Organisation", text(&identity.org_id)),
            ("Project", text(&identity.project_id)),
            ("Plan", text(&identity.plan)),
            ("Tags", (!identity.tags.is_empty()).then(|| super::keys::tags(&identity.tags))),
            ("Requests, 1 h", (stats.requests_1h > 0).then(|| html! { (grouped(stats.requests_1h.unsigned_abs())) })),
            ("Tokens", usage.map(|usage| html! { (grouped(usage.input_tokens)) " read, " (grouped(usage.output_tokens)) " written" (estimated(usage)) })),
            ("Cost", usage.map(|usage| html! { (usd(dollars(usage.cost_microusd))) (estimated(usage)) })),
        ]))
    }
}

fn dollars(microusd: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "dollars are shown; 2^53 millionths are nine billion")]
    let microusd = microusd as f64;
    microusd / 1e6
}
