//! The editor: a field for the text, what is wrong with it at its place, its examples with their results, and the buttons.
//! It works without scripts; `editor.js` checks while one types, completes words and shows a backtest beside it.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};
use weir_config::config::Role;
use weir_core::Mode;
use weir_rules::Diagnostic;

use super::backtest::{self, NotStarted};
use super::one;
use crate::assets;
use crate::console::Console;
use crate::pages::guard::see_other;
use crate::pages::parts::{Tone, badge};
use crate::pages::{Form, Page, Section, Visit, form};
use crate::problem::{Fault, Problem};
use crate::rulebook::{ApplyError, Draft, Example, Master, RuleText, Saved};

/// Diagnostics that are listed; a text with more has them behind these.
const LISTED_MAX: usize = 50;

/// What the buttons ask for.
const DOES: [&str; 4] = ["shadow", "enforce", "check", "backtest"];

/// How far a backtest looks back.
const SINCES: [(&str, &str); 4] = [("1h", "hour"), ("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days")];

/// What an editor shows.
pub(super) struct Editor<'a> {
    /// The id and the version of the rule that is edited; nothing for a new one.
    pub(super) rule: Option<(&'a str, &'a str)>,
    pub(super) text: &'a str,
    pub(super) draft: &'a Draft,
    /// Whether somebody has asked for a check.
    pub(super) asked: bool,
    /// What somebody else has saved meanwhile.
    pub(super) overtaken: Option<&'a Overtaken>,
    /// Why it was not saved, where that is not in the text.
    pub(super) refused: Option<&'a Problem>,
}

/// What stands now where a rule was to be saved.
pub(super) struct Overtaken(pub(super) Option<RuleText>);

/// The word for a mode in a form.
pub(super) fn mode_of(word: &str) -> Option<Mode> {
    [Mode::Enforce, Mode::Shadow, Mode::Off].into_iter().find(|mode| mode.as_str() == word)
}

/// What was done, for people.
pub(super) fn said(id: &str, mode: Mode) -> String {
    match mode {
        Mode::Enforce => format!("{id} is enforced now"),
        Mode::Shadow => format!("{id} is in shadow: it counts what it would do"),
        Mode::Off => format!("{id} is off"),
    }
}

impl Editor<'_> {
    pub(super) fn render(&self, visit: &Visit, master: &Master) -> Markup {
        let may_save = visit.may(Role::Operator) && *master == Master::Store;
        let action = self
            .rule
            .map_or_else(|| "/rules/new".to_owned(), |(id, _)| format!("/rules/{}", form::segment(id)));
        let version = match self.overtaken {
            Some(Overtaken(now)) => now.as_ref().map_or("", |now| now.version.as_str()),
            None => self.rule.map_or("", |(_, version)| version),
        };
        html! {
            @if let Some(problem) = self.refused { (form::faults(Some(problem), &[])) }
            @if let Some(overtaken) = self.overtaken { (self.conflict(overtaken)) }
            div .editing {
                form #editor .text method="post" action=(action) data-most=(form::FORM_BYTES_MAX) data-rule=[self.rule.map(|(id, _)| id)] {
                    input type="hidden" name=(form::CSRF_FIELD) value=(visit.csrf);
                    input type="hidden" name="version" value=(version);
                    label .label for="text" { "The rule" }
                    div .field-with-marks {
                        pre #marks aria-hidden="true" {}
                        textarea #text name="text" rows="18" spellcheck="false" autocomplete="off" autocapitalize="off"
                            wrap="off" aria-describedby="text-help diagnostics"
                            aria-invalid=[(self.asked && !self.draft.is_good()).then_some("true")]
                            readonly[!visit.may(Role::Operator)] { "\n" (self.text) }
                        ul #words .words role="listbox" aria-label="Facts and functions" hidden {}
                    }
                    p #text-help .help { "YAML, as in a rule file. With scripts, Ctrl+Space offers facts and functions, the arrow keys
                        choose, Enter takes one and Escape leaves." }
                    p #editor-state .hidden role="status" {}
                    @if visit.may(Role::Operator) { (buttons(may_save)) }
                }
                div .beside {
                    section #diagnostics .panel aria-live="polite" { h2 { "Check" } (self.diagnostics()) }
                    section #examples .panel { h2 { "Examples" } (examples(&self.draft.examples)) }
                    section #backtest .panel aria-live="polite" hidden { h2 { "Backtest" } div #backtest-body {} }
                }
            }
            script src=(assets::path("editor.js")) defer {}
        }
    }

    fn diagnostics(&self) -> Markup {
        if self.draft.diagnostics.is_empty() {
            return html! { p { (badge(Tone::Good, "no mistakes found")) } };
        }
        html! {
            ol .diagnostics {
                @for diagnostic in self.draft.diagnostics.iter().take(LISTED_MAX) { (one_diagnostic(diagnostic)) }
            }
        }
    }

    fn conflict(&self, Overtaken(now): &Overtaken) -> Markup {
        html! {
            div .flash .bad role="alert" {
                p { strong { "Not saved: " }
                    @match (self.rule, now) {
                        (Some(_), Some(_)) => "somebody else has saved this rule since you opened it. Your text is below, theirs is here. Saving again puts yours in its place.",
                        (Some(_), None) => "somebody else has deleted this rule since you opened it. Your text is below. Saving again puts it in force as a new rule.",
                        (None, _) => "there is a rule with this id already. Give yours another id, or edit that one.",
                    }
                }
                @if let Some(now) = now {
                    details open { summary { "What is in force now" } pre { (now.text) } }
                    @if self.rule.is_none() { p { a href={ "/rules/" (form::segment(&now.id)) } { "Edit " (now.id) } } }
                }
            }
        }
    }
}

fn buttons(may_save: bool) -> Markup {
    html! {
        p .buttons {
            @if may_save {
                button .main name="do" value="shadow" { "Save as shadow" }
                button name="do" value="enforce" { "Save and enforce" }
            }
            button name="do" value="check" { "Check" }
        }
        // Without scripts it opens beside this page, which keeps what was typed.
        p .buttons {
            label for="since" { "Backtest on the decisions of the last" }
            select #since .short name="since" {
                @for (word, called) in SINCES { option value=(word) selected[word == "24h"] { (called) } }
            }
            button name="do" value="backtest" formtarget="_blank" { "Backtest" }
        }
    }
}

/// One mistake: its place, the line with a mark below it, and the way out.
fn one_diagnostic(diagnostic: &Diagnostic) -> Markup {
    let tone = if diagnostic.is_error() { Tone::Bad } else { Tone::Warn };
    html! {
        li {
            p { (badge(tone, diagnostic.severity.as_str())) " "
                @if diagnostic.line > 0 { span .place { "line " (diagnostic.line) ", column " (diagnostic.column) } ": " }
                (diagnostic.message)
            }
            @if let Some(line) = &diagnostic.source_line {
                @let (before, meant, after) = cut(line, diagnostic.column, diagnostic.span_len);
                pre { (before) mark { (meant) } (after) }
            }
            @if let Some(help) = &diagnostic.help { p .help { (help) } }
        }
    }
}

/// A line in three: before the characters that are meant, those, and after them.
fn cut(line: &str, column: usize, length: usize) -> (String, String, String) {
    let start = column.saturating_sub(1);
    let take = |skip: usize, n: usize| line.chars().skip(skip).take(n).collect::<String>();
    let meant = take(start, length.max(1));
    (
        take(0, start),
        if meant.is_empty() { " ".to_owned() } else { meant },
        take(start.saturating_add(length.max(1)), usize::MAX),
    )
}

fn examples(examples: &[Example]) -> Markup {
    if examples.is_empty() {
        return html! { p .quiet { "This rule has none. Give facts under " code { "match" } " that must match and under " code { "no_match" }
        " that must not: they are tried whenever the rule is loaded." } };
    }
    html! {
        ul .examples {
            @for example in examples {
                li {
                    @match example.holds {
                        Some(true) => (badge(Tone::Good, "holds")),
                        Some(false) => (badge(Tone::Bad, "fails")),
                        None => (badge(Tone::Quiet, "not tried")),
                    }
                    " " code { (example.kind) " " (example.number) } " " code .quiet { (example.facts) }
                    @if let Some(message) = &example.message { div .fault { (message) } }
                }
            }
        }
    }
}

pub(in crate::pages) async fn create(
    State(console): State<Console>,
    visit: Visit,
    form: Form,
) -> Result<Response, Problem> {
    sent(&console, &visit, None, &form).await
}

pub(in crate::pages) async fn save(
    State(console): State<Console>,
    visit: Visit,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Problem> {
    sent(&console, &visit, Some(&id), &form).await
}

/// What a form of the editor asks for. Whatever comes of it, what was typed is shown again unless it was saved.
async fn sent(console: &Console, visit: &Visit, id: Option<&str>, form: &Form) -> Result<Response, Problem> {
    let book = &console.parts.rulebook;
    // Browsers send line breaks of two characters.
    let text = form.typed("text").replace("\r\n", "\n");
    let version = form.typed("version");
    let rule = id.map(|id| (id, version));
    let draft = book.draft(&text, id).await;
    let shown =
        |overtaken, refused| Editor { rule, text: &text, draft: &draft, asked: true, overtaken, refused };
    let asked = form.typed("do");
    if !DOES.contains(&asked) {
        return refused(console, visit, id, &unknown_button(asked), shown(None, None)).await;
    }
    if asked == "backtest" {
        let started = backtest::start(console, visit, &text, id, form.typed("since")).await;
        return match started {
            Ok(job) => Ok(see_other(&format!("/rules/backtests/{}", form::segment(&job.id)), None)),
            Err(NotStarted::Rule(_)) if !draft.is_good() => {
                refused(console, visit, id, &mistaken("the backtest was not started"), shown(None, None))
                    .await
            }
            Err(NotStarted::Rule(error)) => {
                refused(console, visit, id, &error.into(), shown(None, None)).await
            }
            Err(NotStarted::Other(problem)) => refused(console, visit, id, &problem, shown(None, None)).await,
        };
    }
    let Some(mode) = mode_of(asked) else {
        return answer(console, visit, id, StatusCode::OK, &shown(None, None)).await;
    };
    match book.save(&text, Some(mode), rule, &visit.principal.name).await {
        Ok(Saved::Done(_)) => {
            let id = id.map(str::to_owned).or_else(|| draft.id.clone()).unwrap_or_default();
            Ok(form::done(&format!("/rules/{}", form::segment(&id)), said(&id, mode)))
        }
        Ok(Saved::Overtaken(now)) => {
            let overtaken = Overtaken(now);
            answer(console, visit, id, StatusCode::CONFLICT, &shown(Some(&overtaken), None)).await
        }
        Err(ApplyError::Diagnostics(found)) if draft.is_good() => {
            let draft = Draft { diagnostics: found, rule: None, ..draft.clone() };
            let editor = Editor { draft: &draft, ..shown(None, None) };
            refused(console, visit, id, &mistaken("the rule was not saved"), editor).await
        }
        Err(ApplyError::Diagnostics(_)) => {
            refused(console, visit, id, &mistaken("the rule was not saved"), shown(None, None)).await
        }
        Err(error) => refused(console, visit, id, &error.into(), shown(None, None)).await,
    }
}

/// A form that names none of the editor's buttons asks for nothing.
fn unknown_button(asked: &str) -> Problem {
    let message = if asked.is_empty() {
        "it is missing".to_owned()
    } else {
        format!("`{asked}` is none of the buttons")
    };
    let help = Some(format!("it must be one of: {}; or use the buttons below", DOES.join(", ")));
    Problem::bad_request(
        "the form does not say which button was pressed, so nothing was done",
        vec![Fault { help, ..Fault::member("do", message) }],
    )
}

/// What a rule with mistakes leaves undone.
fn mistaken(undone: &str) -> Problem {
    let detail = format!("{undone}, because of the mistakes that `Check` names.");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// The editor as it was sent, with why nothing was done.
async fn refused(
    console: &Console,
    visit: &Visit,
    id: Option<&str>,
    problem: &Problem,
    editor: Editor<'_>,
) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::BAD_REQUEST);
    answer(console, visit, id, status, &Editor { refused: Some(problem), ..editor }).await
}

async fn answer(
    console: &Console,
    visit: &Visit,
    id: Option<&str>,
    status: StatusCode,
    editor: &Editor<'_>,
) -> Result<Response, Problem> {
    let page = match id {
        Some(id) => one::page(console, visit, id, editor).await?,
        None => Page::new(
            visit,
            Section::Rules,
            "New rule",
            &editor.render(visit, console.parts.rulebook.master()),
        ),
    };
    Ok(page.status(status).into_response())
}
