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
use axum::handler::Handler;
use axum::routing::{get, post};

use crate::console::Console;

pub(crate) use form::Form;
pub(crate) use frame::{Page, Section};
pub(crate) use guard::{guard, is_page};
pub(crate) use visit::Visit;

/// Routes of pages, with a list of those that may change something.
#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) router: Router<Console>,
    /// The paths that take a POST, as they are written below.
    pub(crate) changing: Vec<&'static str>,
}

impl Pages {
    /// Something to look at.
    fn page<H, T>(mut self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Console>,
        T: 'static,
    {
        self.router = self.router.route(path, get(handler));
        self
    }

    /// What a form is sent to.
    fn form<H, T>(mut self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Console>,
        T: 'static,
    {
        self.changing.push(path);
        self.router = self.router.route(path, post(handler));
        self
    }
}

/// The pages that one must be signed in for.
pub(crate) fn guarded() -> Pages {
    Pages::default()
        .page("/", now::show)
        .page("/decisions", decisions::show)
        .page("/decisions/{id}", decision::show)
        .page("/identities", identities::show)
        .page("/identities/{key}", identity::show)
        .form("/identities/{key}/clear", identity::clear)
        .form("/identities/{key}/exempt", identity::exempt)
        .form("/identities/{key}/unexempt", identity::unexempt)
        .form("/identities/{key}/tags", identity::tags)
        .page("/approvals", approvals::show)
        .form("/approvals/{id}/answer", approvals::answer)
        .form("/approvals/{id}/withdraw", approvals::withdraw)
        .page("/keys", keys::show)
        .form("/keys", keys::create)
        .page("/keys/{id}/made", keys::made)
        .form("/keys/{id}/revoke", keys::revoke)
        .page("/audit", audit::show)
        .page("/rules", rules::list)
        .page("/rules/new", rules::new)
        .form("/rules/new", rules::create)
        .page("/rules/history", rules::sets)
        .page("/rules/history/{epoch}", rules::set)
        .form("/rules/history/{epoch}", rules::rollback)
        .page("/rules/backtests/{id}", rules::backtest)
        .form("/rules/backtests/{id}/stop", rules::stop_backtest)
        .page("/rules/{id}", rules::show)
        .form("/rules/{id}", rules::save)
        .form("/rules/{id}/mode", rules::switch)
        .form("/rules/{id}/delete", rules::delete)
        .form("/rules/{id}/resume", rules::resume)
        .page("/failures", failures::show)
        .page("/tools", tools::show)
        .form("/tools/levels", tools::set_level)
        .form("/tools/ceilings", tools::set_ceiling)
        .form("/tools/accept", tools::accept)
        .form("/sign-out", sign_in::sign_out)
        .form("/theme", settings::theme)
}

/// What a browser may fetch before anybody has signed in.
pub(crate) fn open() -> Router<Console> {
    Router::new()
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/assets/{name}", get(crate::assets::serve))
}
