//! What was typed into a form that was not taken: it is shown again, and sent with one click.
//!
//! Its session had ended, or it cannot be taken as it is.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::form::{Form, faults, form};
use super::{Visit, frame};
use crate::problem::Problem;

/// Offers to send a form again, to `target`, by this session.
pub(super) fn offer(status: StatusCode, visit: &Visit, target: &str, body: &[u8]) -> Response {
    let kept = Form::parse(body);
    let content = html! {
        p .lead { "Your session had ended before this was sent, so it was not done. Nothing that you typed is lost." }
        (form(visit, target, &html! {
            @for (name, value) in kept.pairs() { (shown(name, value, false)) }
            p .buttons { button .main { "Send it now" } " " a href="/" { "Leave it" } }
        }))
        p .quiet { "It is sent to " code { (target) } "." }
    };
    frame::plain(status, Some(visit), "Send this again?", &content)
}

/// Shows a form that is not taken as it was sent, to be mended and sent again.
pub(super) fn mend(visit: &Visit, problem: &Problem, body: &[u8]) -> Response {
    let kept = Form::parse(body);
    let again = |at: usize, name: &str| kept.pairs().iter().take(at).any(|(earlier, _)| earlier == name);
    let content = html! {
        (faults(Some(problem), &[]))
        p .lead { "Nothing that you typed is lost. Mend it here, and send it again." }
        (form(visit, &visit.target, &html! {
            @for (at, (name, value)) in kept.pairs().iter().enumerate() {
                @if !again(at, name) { (shown(name, value, true)) }
                @else if !name.starts_with("secret") { p .quiet { code { (name) } " was given again, with:" } pre { (value) } }
            }
            p .buttons { button .main { "Send it again" } " " a href="/" { "Leave it" } }
        }))
        p .quiet { "It is sent to " code { (visit.target) } "." }
    };
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::BAD_REQUEST);
    frame::plain(status, Some(visit), "This was not taken", &content)
}

/// One field. What is secret by its name is sent along but not shown.
fn shown(name: &str, value: &str, can_be_changed: bool) -> Markup {
    let id = format!("kept-{name}");
    html! {
        @if name.starts_with("secret") || value.is_empty() {
            input type="hidden" name=(name) value=(value);
        } @else {
            div .field {
                label for=(id) { (name) }
                @if value.contains('\n') {
                    textarea id=(id) name=(name) rows="12" readonly[!can_be_changed] { "\n" (value) }
                } @else {
                    input id=(id) name=(name) value=(value) readonly[!can_be_changed];
                }
            }
        }
    }
}
