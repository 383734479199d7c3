//! What was typed into a form whose session had ended: it is shown again and sent with one click.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::form::{Form, form};
use super::{Visit, frame};

/// Offers to send a form again, to `target`, by this session.
pub(super) fn offer(status: StatusCode, visit: &Visit, target: &str, body: &[u8]) -> Response {
    let kept = Form::parse(body);
    let content = html! {
        p .lead { "Your session had ended before this was sent, so it was not done. Nothing that you typed is lost." }
        (form(visit, target, &html! {
            @for (name, value) in kept.pairs() { (shown(name, value)) }
            p .buttons { button .main { "Send it now" } " " a href="/" { "Leave it" } }
        }))
        p .quiet { "It is sent to " code { (target) } "." }
    };
    frame::plain(status, Some(visit), "Send this again?", &content)
}

/// One field, read-only. What is secret by its name is sent along but not shown.
fn shown(name: &str, value: &str) -> Markup {
    let id = format!("kept-{name}");
    html! {
        @if name.starts_with("secret") || value.is_empty() {
            input type="hidden" name=(name) value=(value);
        } @else {
            div .field {
                label for=(id) { (name) }
                @if value.contains('\n') {
                    textarea id=(id) name=(name) rows="12" readonly { "\n" (value) }
                } @else {
                    input id=(id) name=(name) value=(value) readonly;
                }
            }
        }
    }
}
