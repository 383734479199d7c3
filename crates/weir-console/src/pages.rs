//! The console: pages for people, served by the same binary as the API and made of the same functions.
//!
//! A page works without JavaScript: every form is a POST that is answered with a redirect and a message. What comes from
//! outside reaches a page as text only; maud escapes it, and the policy of [`headers`] lets no script of a page run.

mod approvals;
mod audit;
mod chart;
mod decision;
mod decisions;
mod failures;
pub(crate) mod form;
pub(crate) mod frame;
mod guard;
mod headers;
mod identities;
mod identity;
mod keys;
mod now;
mod origin;
pub(crate) mod parts;
mod resume;
pub(crate) mod rules;
mod settings;
mod sign_in;
mod tools;
mod visit;

use axum::Router;
use axum::routing::{get, post};

use crate::console::Console;

pub(crate) use form::Form;
pub(crate) use frame::{Page, Section};
pub(crate) use guard::{guard, is_page};
pub(crate) use visit::Visit;

/// The pages that one must be signed in for.
pub(crate) fn guarded() -> Router<Console> {
    Router::new()
        .route("/", get(now::show))
        .route("/decisions", get(decisions::show))
        .route("/decisions/{id}", get(decision::show))
        .route("/identities", get(identities::show))
        .route("/identities/{key}", get(identity::show))
        .route("/identities/{key}/clear", post(identity::clear))
        .route("/identities/{key}/exempt", post(identity::exempt))
        .route("/identities/{key}/unexempt", post(identity::unexempt))
        .route("/identities/{key}/tags", post(identity::tags))
        .route("/approvals", get(approvals::show))
        .route("/approvals/{id}/answer", post(approvals::answer))
        .route("/approvals/{id}/withdraw", post(approvals::withdraw))
        .route("/keys", get(keys::show).post(keys::create))
        .route("/keys/{id}/revoke", post(keys::revoke))
        .route("/audit", get(audit::show))
        .route("/rules", get(rules::list))
        .route("/rules/new", get(rules::new).post(rules::create))
        .route("/rules/history", get(rules::sets))
        .route("/rules/history/{epoch}", get(rules::set).post(rules::rollback))
        .route("/rules/backtests/{id}", get(rules::backtest))
        .route("/rules/backtests/{id}/stop", post(rules::stop_backtest))
        .route("/rules/{id}", get(rules::show).post(rules::save))
        .route("/rules/{id}/mode", post(rules::switch))
        .route("/rules/{id}/delete", post(rules::delete))
        .route("/rules/{id}/resume", post(rules::resume))
        .route("/failures", get(failures::show))
        .route("/tools", get(tools::show))
        .route("/tools/levels", post(tools::set_level))
        .route("/tools/ceilings", post(tools::set_ceiling))
        .route("/tools/accept", post(tools::accept))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/theme", post(settings::theme))
}

/// What a browser may fetch before anybody has signed in.
pub(crate) fn open() -> Router<Console> {
    Router::new()
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/assets/{name}", get(crate::assets::serve))
}
