//! Tool calls that wait for a person: what is asked, by whom, by which rule; yes or no, and for how long a yes holds.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use maud::{Markup, html};
use weir_config::config::Role;
use weir_store::database::{Approval, ApprovalScope, ApprovalState};

use super::form::{Field, Form, Kind, action, done, encode, failed, form, segment};
use super::parts::{Tone, badge, empty, facts, identity, live, table, time};
use super::{Page, Section, Visit};
use crate::approvals::{self, AnswerRequest, Scope, Word};
use crate::auth::Principal;
use crate::console::Console;
use crate::extract::Segment;
use crate::problem::{Fault, Problem};

/// Approvals of one part of the page.
const SHOWN: u32 = 50;

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let limit = format!("limit={SHOWN}");
    let pending = approvals::page(&console, Some(&format!("state=pending&{limit}"))).await?;
    let approved = approvals::page(&console, Some(&format!("state=approved&{limit}"))).await?;
    let all =
        approvals::page(&console, Some(query.as_deref().filter(|q| !q.is_empty()).unwrap_or(&limit))).await?;
    let grants: Vec<&Approval> =
        approved.items.iter().filter(|approval| approval.is_grant(visit.now)).collect();
    let past: Vec<&Approval> = all.items.iter().filter(|a| a.state != ApprovalState::Pending).collect();
    let content = html! {
        p #live-state .quiet role="status" {}
        h2 { "Waiting" }
        (live("waiting", 3, &html! {
            @if pending.items.is_empty() {
                (empty("No tool call waits for an answer.", &html! {
                    p { "A rule with " code { "then: require-approval" } " holds calls until somebody answers here, or with "
                        code { "weir approvals" } "." }
                }))
            }
            @for approval in &pending.items { (card(&visit, approval)) }
        }))
        @if !grants.is_empty() {
            h2 { "In force" }
            (live("grants", 5, &grants_table(&visit, &grants)))
        }
        h2 { "Answered" }
        (live("past", 10, &html! {
            @if past.is_empty() { p .quiet { "Nothing was answered yet." } } @else { (past_table(&visit, &past)) }
        }))
        @if let Some(next) = &all.next {
            p { a href={ "/approvals?" (encode([("cursor", next.as_str())])) } rel="next" { "Older ones" } }
        }
    };
    Ok(Page::new(&visit, Section::Approvals, "Approvals", &content))
}

/// What waits, in short, for the first page.
pub(super) fn waiting(visit: &Visit, approvals: &[Approval]) -> Markup {
    if approvals.is_empty() {
        return html! { p .quiet { "No tool call waits for an answer." } };
    }
    html! {
        (table("Approvals waiting", &["Tool", "Caller", "Asked", "Until"], approvals.iter().map(|approval| vec![
            html! { a href={ "/approvals#" (approval.id) } { (approval.question.tool) } },
            identity(&approval.caller),
            time(approval.created_at, visit.now),
            time(approval.expires_at, visit.now),
        ])))
        p { a href="/approvals" { "Answer them" } }
    }
}

fn asked_by(approval: &Approval) -> Markup {
    let question = &approval.question;
    html! {
        @if let Some(rule) = &question.rule { "rule " a href={ "/rules/" (segment(rule)) } { (rule) } }
        @else if let Some(policy) = &question.policy { "policy " (policy) }
        @else { "the caller's own origin" }
    }
}

fn text(text: &str) -> Option<Markup> {
    (!text.is_empty()).then(|| html! { (text) })
}

fn card(visit: &Visit, approval: &Approval) -> Markup {
    let question = &approval.question;
    html! {
        article .panel id=(approval.id) {
            h3 { (badge(Tone::Warn, "waiting")) " " (question.tool) @if !question.server.is_empty() { " on " (question.server) } }
            @if !question.reason.is_empty() { p { (question.reason) } }
            (facts([
                ("Caller", Some(identity(&approval.caller))),
                ("Asked by", Some(asked_by(approval))),
                ("Level", question.level.map(|level| html! { (level.token()) })),
                ("Arguments", text(&question.args.join(", "))),
                ("Channel", text(&question.channel)),
                ("Agent", text(&question.agent)),
                ("Session", text(&question.session)),
                ("Asked", Some(time(approval.created_at, visit.now))),
                ("Answer until", Some(time(approval.expires_at, visit.now))),
                ("Decision", (!question.decision.is_empty()).then(|| html! {
                    a href={ "/decisions/" (segment(&question.decision)) } { "why it is asked" }
                })),
            ]))
            @if visit.may(Role::Approver) { (answer_form(visit, approval)) }
            @else { p .quiet { "Your role may look, not answer." } }
        }
    }
}

fn answer_form(visit: &Visit, approval: &Approval) -> Markup {
    const SCOPES: [(&str, &str); 3] = [
        ("once", "this one call"),
        ("session", "the same call in this session"),
        ("until", "the same call, until a time"),
    ];
    let path = format!("/approvals/{}/answer", segment(&approval.id));
    form(
        visit,
        &path,
        &html! {
            div .filters {
                (Field::new("scope", "A yes holds for").kind(Kind::Choice(&SCOPES)).value("once").render_in(&approval.id))
                div data-when="scope=until" {
                    (Field::new("until", "Until (UTC)").kind(Kind::Line("datetime-local"))
                        .help("Needed for the last choice only.").render_in(&approval.id))
                }
            }
            p .buttons {
                button .main name="answer" value="approve" { "Approve" }
                button .danger name="answer" value="deny" { "Deny" }
            }
        },
    )
}

fn grants_table(visit: &Visit, grants: &[&Approval]) -> Markup {
    table("In force", &["Tool", "Caller", "Approved", "Holds for", "Until", ""], grants.iter().map(|approval| {
        let path = format!("/approvals/{}/withdraw", segment(&approval.id));
        let words = format!("Withdraw the yes to {} of {}?", approval.question.tool, approval.caller);
        vec![
            html! { (approval.question.tool) },
            identity(&approval.caller),
            answered(visit, approval),
            html! { (scope_words(approval.scope)) },
            html! { @if let Some(until) = approval.grant_until { (time(until, visit.now)) } },
            html! { @if visit.may(Role::Approver) { (action(visit, &path, "Withdraw", "danger", Some(&words))) } },
        ]
    }))
}

fn past_table(visit: &Visit, past: &[&Approval]) -> Markup {
    table(
        "Answered",
        &["State", "Tool", "Caller", "Asked by", "Answered", "Holds for"],
        past.iter().map(|approval| {
            vec![
                state(approval),
                html! { (approval.question.tool) },
                identity(&approval.caller),
                asked_by(approval),
                answered(visit, approval),
                html! { (scope_words(approval.scope)) },
            ]
        }),
    )
}

fn state(approval: &Approval) -> Markup {
    let (tone, words) = match approval.state {
        _ if approval.withdrawn_at.is_some() => (Tone::Quiet, "withdrawn"),
        ApprovalState::Approved if approval.used_at.is_some() => (Tone::Good, "approved, used"),
        ApprovalState::Approved => (Tone::Good, "approved"),
        ApprovalState::Denied => (Tone::Bad, "denied"),
        ApprovalState::Expired => (Tone::Quiet, "expired"),
        ApprovalState::Pending => (Tone::Warn, "waiting"),
    };
    badge(tone, words)
}

fn answered(visit: &Visit, approval: &Approval) -> Markup {
    html! {
        @if let Some(at) = approval.answered_at { (time(at, visit.now)) }
        @if let Some(by) = &approval.answered_by { " by " (by) }
    }
}

const fn scope_words(scope: Option<ApprovalScope>) -> &'static str {
    match scope {
        None => "",
        Some(ApprovalScope::Once) => "one call",
        Some(ApprovalScope::Session) => "its session",
        Some(ApprovalScope::Until) => "the same call",
    }
}

pub(super) async fn answer(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
    form: Form,
) -> Response {
    let given = match read(&form) {
        Ok(request) => approvals::give(&console, &who, &id, &request).await,
        Err(problem) => Err(problem),
    };
    match given {
        Ok(approval) => done(
            "/approvals",
            format!("{} of {} is {}.", approval.question.tool, approval.caller, approval.state.as_str()),
        ),
        Err(problem) => failed("/approvals", &problem),
    }
}

pub(super) async fn withdraw(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
) -> Response {
    match approvals::withdraw(State(console), Extension(who), Segment(id)).await {
        Ok(_) => done("/approvals", "It lets no call through any more."),
        Err(problem) => failed("/approvals", &problem),
    }
}

fn read(form: &Form) -> Result<AnswerRequest, Problem> {
    let mut faults = Vec::new();
    let answer = match form.typed("answer") {
        "approve" => Word::Approve,
        "deny" => Word::Deny,
        _ => {
            faults.push(Fault::member("answer", "it must be approve or deny"));
            Word::Deny
        }
    };
    let scope = match form.typed("scope") {
        "session" => Scope::Session,
        "until" => Scope::Until,
        _ => Scope::Once,
    };
    // A time that was typed and does not count, because the choice is another, is left aside.
    let until = form.get("until").filter(|_| matches!(scope, Scope::Until)).and_then(|text| {
        super::form::utc(&text).map_err(|why| faults.push(Fault::member("until", why))).ok()
    });
    if faults.is_empty() {
        return Ok(AnswerRequest { answer, scope: Some(scope), until, by: None });
    }
    Err(Problem::bad_request("a field is not as it should be", faults))
}
