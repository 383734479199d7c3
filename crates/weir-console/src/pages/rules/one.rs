//! One rule: how it is in force, what it hit, and its text in the editor.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use maud::{Markup, html};
use weir_config::config::Role;
use weir_core::Mode;
use weir_core::words::{counted, grouped, noun};
use weir_rules::Rule;

use super::editor::{self, Editor};
use super::{files_note, hits, samples, state};
use crate::console::Console;
use crate::pages::parts::{about, facts, live, outcome, panel, table, time};
use crate::pages::{Form, Page, Section, Visit, form};
use crate::problem::Problem;
use crate::query::Parameters;
use crate::rule_stats::{Hits, Stopped, VersionHits};
use crate::rulebook::{ApplyError, Master, Saved};

/// What a new rule begins as.
fn template(on: &str) -> &'static str {
    match on {
        "tool" => {
            "id: my-rule\non: tool\nwhen: tool.name == \"run_script\" && channel.name == \"web\"\nthen: require-approval\nbecause: Scripts from the web are looked at first.\n"
        }
        "failure" => {
            "id: my-rule\non: failure\nwhen: failure.status == 403 && failure.text.contains(\"not allowed\")\nthen: {class: access_policy_denied}\n"
        }
        _ => {
            "id: my-rule\non: request\nwhen: identity.kind == \"anonymous\" && request.user_agent.contains(\"python-requests/\")\nthen: log\nbecause: Say why, for the people who will read it.\nmatch:\n  - {request: {user_agent: \"python-requests/2.32\"}, identity: {kind: anonymous}}\nno_match:\n  - {request: {user_agent: \"python-requests/2.32\"}, identity: {kind: user}}\n"
        }
    }
}

pub(in crate::pages) async fn new(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let parameters = Parameters::read(query.as_deref(), &["on"]);
    let on = parameters.take("on").unwrap_or_default();
    parameters.finish()?;
    let book = &console.parts.rulebook;
    let text = template(&on);
    let draft = book.draft(text, None).await;
    let editor = Editor { rule: None, text, draft: &draft, asked: false, overtaken: None, refused: None };
    let content = html! {
        (files_note(book.master()))
        @if !visit.may(Role::Operator) {
            div .flash role="note" { p { strong { "You may look, not write. " } "Rules are written by operators." } }
        }
        (editor.render(&visit, book.master()))
    };
    Ok(Page::new(&visit, Section::Rules, "New rule", &content))
}

pub(in crate::pages) async fn show(
    State(console): State<Console>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Page, Problem> {
    let book = &console.parts.rulebook;
    let now = book.text_of(&id).await?;
    let draft = book.draft(&now.text, Some(&id)).await;
    let rule = Some((id.as_str(), now.version.as_str()));
    let editor =
        Editor { rule, text: &now.text, draft: &draft, asked: false, overtaken: None, refused: None };
    page(&console, &visit, &id, &editor).await
}

/// The page of a rule with its editor, whatever that shows.
pub(super) async fn page(
    console: &Console,
    visit: &Visit,
    id: &str,
    editor: &Editor<'_>,
) -> Result<Page, Problem> {
    let book = &console.parts.rulebook;
    let active = book.current().await?;
    let content = html! {
        p { a href="/rules" { "All rules" } }
        (files_note(book.master()))
        @if let Some(rule) = active.rules.get(id) {
            (live("standing", 3, &standing(console, visit, rule).await?))
            @if visit.may(Role::Operator) && *book.master() == Master::Store { (switches(visit, rule)) }
        }
        (editor.render(visit, book.master()))
    };
    Ok(Page::new(visit, Section::Rules, id, &content))
}

async fn standing(console: &Console, visit: &Visit, rule: &Rule) -> Result<Markup, Problem> {
    let found = hits(console, visit.now, Some(&rule.id)).await?;
    let Some(stats) = found.first() else { return Ok(html! {}) };
    let shown = |hits: &Hits| {
        html! {
            (grouped(hits.count)) span .quiet { " in 24 hours" @if hits.identities > 0 { ", of " (about(hits.identities)) " " (noun(hits.identities, "identity")) } }
            @if !hits.samples.is_empty() { div { (samples(&hits.samples)) } }
        }
    };
    let list = facts([
        ("In force", Some(state(visit.now, rule, Some(stats)))),
        ("Then", Some(outcome(rule.then.word()))),
        ("Hits", Some(shown(&stats.enforced))),
        ("Shadow hits", Some(shown(&stats.shadow))),
        (
            "Last hit",
            Some(
                html! { @match stats.last_hit { Some(at) => (time(at, visit.now)), None => span .quiet { "none in 24 hours" } } },
            ),
        ),
        ("Errors", (stats.errors > 0).then(|| html! { (grouped(stats.errors)) })),
        ("Version", Some(html! { code { (rule.version) } })),
    ]);
    Ok(panel(
        "Standing",
        &html! {
            @if let Some(stopped) = &stats.stopped { (stop_mark(visit, rule, stopped)) }
            (list)
            @if stats.versions.len() > 1 { (versions(visit, &stats.versions, &rule.version)) }
            p .help {
                a href={ "/decisions?where=matched%3D" (form::segment(&rule.id)) } { "Decisions that it matched" }
                " · " a href={ "/rules/history?rule=" (form::segment(&rule.id)) } { "Its history" }
            }
        },
    ))
}

/// Why the stop-loss took it back to shadow, and how it is lifted.
fn stop_mark(visit: &Visit, rule: &Rule, stopped: &Stopped) -> Markup {
    html! {
        div .flash .bad role="note" {
            p { strong { "Stopped " (time(stopped.at, visit.now)) ": " } (stopped.because) ". It hit " (grouped(stopped.identities)) " of "
                (counted(stopped.seen, "identity")) " (" (format!("{:.1}", stopped.share)) " %), last with "
                a href={ "/decisions/" (stopped.decision) } { "this decision" } ". It counts in shadow since then." }
            @if visit.may(Role::Operator) {
                (form::action(visit, &format!("/rules/{}/resume", form::segment(&rule.id)), "Enforce it all the same", "danger",
                    Some("Enforce this version again? It is not stopped a second time.")))
            }
        }
    }
}

fn versions(visit: &Visit, versions: &[VersionHits], in_force: &str) -> Markup {
    let rows = versions.iter().map(|version| {
        vec![
            html! { code { (version.version) } @if version.version == in_force { " " span .quiet { "now" } } },
            html! { (version.mode) },
            outcome(&version.action),
            html! { (grouped(version.count)) },
            html! { (about(version.identities)) },
            time(version.last_seen, visit.now),
            samples(&version.samples),
        ]
    });
    html! {
        h3 { "By version" }
        (table("Hits by version", &["Version", "Mode", "Then", "Hits", "Identities", "Last hit", "Samples"], rows))
    }
}

/// Buttons that act on the rule as it is stored.
fn switches(visit: &Visit, rule: &Rule) -> Markup {
    let path = format!("/rules/{}/mode", form::segment(&rule.id));
    let to = |mode: Mode, words: &str, class: &str| {
        html! { @if rule.mode != mode { button class=(class) name="mode" value=(mode.as_str()) { (words) } } }
    };
    html! {
        div .buttons .apart {
            (form::form(visit, &path, &html! {
                span .buttons {
                    (to(Mode::Enforce, "Enforce", "main"))
                    (to(Mode::Shadow, "Back to shadow", ""))
                    (to(Mode::Off, "Turn off", ""))
                }
            }))
            (form::action(visit, &format!("/rules/{}/delete", form::segment(&rule.id)), "Delete", "danger",
                Some("Delete this rule? The history keeps it.")))
        }
    }
}

/// Changes the mode of a rule as it is stored.
pub(in crate::pages) async fn switch(
    State(console): State<Console>,
    visit: Visit,
    Path(id): Path<String>,
    form: Form,
) -> Response {
    let here = format!("/rules/{}", form::segment(&id));
    let Some(mode) = editor::mode_of(form.typed("mode")) else {
        return form::failed(&here, &Problem::bad_request("a mode is enforce, shadow or off", Vec::new()));
    };
    let book = &console.parts.rulebook;
    let saved = async {
        let now = book.text_of(&id).await?;
        book.save(&now.text, Some(mode), Some((&id, &now.version)), &visit.principal.name).await
    };
    match saved.await.map_err(Problem::from) {
        Ok(Saved::Done(_)) => form::done(&here, editor::said(&id, mode)),
        Ok(Saved::Overtaken(_)) => form::failed(
            &here,
            &Problem::conflict("somebody else has just changed this rule; look at it again"),
        ),
        Err(problem) => form::failed(&here, &problem),
    }
}

/// Enforces a version again that the stop-loss has stopped.
pub(in crate::pages) async fn resume(
    State(console): State<Console>,
    visit: Visit,
    Path(id): Path<String>,
) -> Response {
    let here = format!("/rules/{}", form::segment(&id));
    match console.parts.rulebook.resume(&id, &visit.principal.name).await.map_err(Problem::from) {
        Ok(_) => form::done(&here, format!("{id} is enforced again")),
        Err(problem) => form::failed(&here, &problem),
    }
}

pub(in crate::pages) async fn delete(
    State(console): State<Console>,
    visit: Visit,
    Path(id): Path<String>,
) -> Response {
    match console.parts.rulebook.delete(&id, &visit.principal.name, None).await {
        Ok(_) => form::done("/rules", format!("{id} is deleted; the history keeps it")),
        Err(error @ ApplyError::UnknownRule(_)) => form::failed("/rules", &Problem::from(error)),
        Err(error) => form::failed(&format!("/rules/{}", form::segment(&id)), &Problem::from(error)),
    }
}
