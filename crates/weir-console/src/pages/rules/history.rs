//! The sets that were in force: who changed what and when, what differs from now, and the way back.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use weir_config::config::Role;
use weir_rules::{Change, ChangeKind, RuleSet, SourceFile};

use super::files_note;
use crate::console::Console;
use crate::pages::parts::{Tone, badge, empty, panel, table, time};
use crate::pages::{Form, Page, Section, Visit, form};
use crate::problem::Problem;
use crate::query::Parameters;
use crate::rulebook::{Master, STORED_NAME};

/// Sets that are listed.
const SETS_MAX: u32 = 200;

pub(in crate::pages) async fn sets(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let parameters = Parameters::read(query.as_deref(), &["rule"]);
    let rule = parameters.take("rule");
    parameters.finish()?;
    let book = &console.parts.rulebook;
    let in_force = book.current().await?.epoch;
    let mut sets = book.history(SETS_MAX).await?;
    if let Some(rule) = &rule {
        sets.retain(|set| names(&set.summary, rule));
    }
    let rows = sets.iter().map(|set| {
        vec![
            html! { a href={ "/rules/history/" (set.epoch) } { "Set " (set.epoch) } },
            time(set.at, visit.now),
            html! { (set.author) },
            html! { (set.summary) },
            html! { @if set.epoch == in_force { (badge(Tone::Good, "in force")) } },
        ]
    });
    let content = html! {
        p { a href="/rules" { "All rules" } @if rule.is_some() { " · " a href="/rules/history" { "The whole history" } } }
        (files_note(book.master()))
        @if sets.is_empty() {
            (empty("Nothing has been changed yet.", &html! { p { "Every change of the rules makes an entry here, and each can be taken back." } }))
        } @else {
            (table("Sets of rules", &["Set", "When", "Who", "What changed", ""], rows))
        }
    };
    let title = rule.map_or_else(|| "History of the rules".to_owned(), |rule| format!("History of {rule}"));
    Ok(Page::new(&visit, Section::Rules, &title, &content))
}

/// Whether a summary names a rule: as a word of its own.
fn names(summary: &str, rule: &str) -> bool {
    summary.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == rule)
}

pub(in crate::pages) async fn set(
    State(console): State<Console>,
    visit: Visit,
    Path(epoch): Path<String>,
) -> Result<Page, Problem> {
    let book = &console.parts.rulebook;
    let version = book.version(number(&epoch)?).await?;
    let text = version.text.clone().unwrap_or_default();
    let active = book.current().await?;
    let then = load(&console, &text);
    let content = html! {
        p { a href="/rules/history" { "History of the rules" } }
        p .lead { (version.summary) }
        p .quiet { (time(version.at, visit.now)) " by " (version.author) }
        @if version.epoch == active.epoch {
            p { (badge(Tone::Good, "in force")) }
        } @else {
            @match &then {
                Some(then) => (panel("Going back to this set would change", &differences(&active.rules, then))),
                None => p .fault { "This version of weir cannot load that set." },
            }
            @if then.is_some() && visit.may(Role::Operator) && *book.master() == Master::Store {
                div .buttons .apart {
                    (form::action(&visit, &format!("/rules/history/{}", version.epoch), "Roll back to this set", "main", None))
                }
            }
        }
        (panel("The text of this set", &html! { pre { (text) } }))
    };
    Ok(Page::new(&visit, Section::Rules, &format!("Set {}", version.epoch), &content))
}

fn number(epoch: &str) -> Result<u64, Problem> {
    epoch.parse().map_err(|_| Problem::not_found(format!("the history has no rules of epoch {epoch}")))
}

fn load(console: &Console, text: &str) -> Option<RuleSet> {
    if text.is_empty() {
        return Some(RuleSet::default());
    }
    let file = SourceFile { name: STORED_NAME.to_owned(), text: text.to_owned() };
    let options = weir_rules::LoadOptions { now: console.now() };
    weir_rules::load(&[file], &options).ok().map(|loaded| loaded.rules)
}

/// What differs, rule by rule and key by key.
fn differences(old: &RuleSet, new: &RuleSet) -> Markup {
    let changes = weir_rules::diff(old, new);
    if changes.is_empty() {
        return html! { p { "Nothing: the rules are the same, only the text differs." } };
    }
    html! {
        ul .changes { @for change in &changes { li { (one(change, old, new)) } } }
    }
}

fn one(change: &Change, old: &RuleSet, new: &RuleSet) -> Markup {
    let (tone, word) = match change.kind {
        ChangeKind::Added => (Tone::Good, "added"),
        ChangeKind::Removed => (Tone::Bad, "removed"),
        ChangeKind::Changed => (Tone::Info, "changed"),
        ChangeKind::Reordered => (Tone::Quiet, "moved"),
    };
    let value = |set: &RuleSet, key: &str| {
        let rule = set.get(&change.rule)?.to_json().ok()?;
        rule.get(key).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    let absent = || html! { span .quiet { "not given" } };
    html! {
        p { (badge(tone, word)) " " strong { (change.rule) } }
        @if !change.fields.is_empty() {
            dl .facts .keys {
                @for key in &change.fields {
                    div { dt { (key) } dd {
                        del { @match value(old, key) { Some(text) => code { (text) }, None => (absent()) } }
                        " → "
                        ins { @match value(new, key) { Some(text) => code { (text) }, None => (absent()) } }
                    } }
                }
            }
        }
    }
}

pub(in crate::pages) async fn rollback(
    State(console): State<Console>,
    visit: Visit,
    Path(epoch): Path<String>,
    _: Form,
) -> Response {
    let done = match number(&epoch) {
        Ok(number) => {
            console.parts.rulebook.rollback(number, &visit.principal.name, None).await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match done {
        Ok(applied) => form::done(
            "/rules",
            format!("the rules of set {epoch} are in force again, as set {}", applied.epoch),
        ),
        Err(problem) => form::failed(&format!("/rules/history/{}", form::segment(&epoch)), &problem),
    }
}
