//! The console: pages for people, served by the same binary as the API and made of the same functions.
//!
//! A page works without JavaScript: every form is a POST that is answered with a redirect and a message. What comes from
//! outside reaches a page as text only; maud escapes it, and the policy of [`headers`] lets no script of a page run.

mod audit;
#[allow(dead_code, reason = "pages that use the rest are being made")]
pub(crate) mod form;
#[allow(dead_code, reason = "pages that use the rest are being made")]
pub(crate) mod frame;
mod guard;
mod headers;
mod now;
mod origin;
#[allow(dead_code, reason = "pages that use the rest are being made")]
pub(crate) mod parts;
mod resume;
mod settings;
mod sign_in;
#[allow(dead_code, reason = "pages that use the rest are being made")]
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
        .route("/audit", get(audit::show))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/theme", post(settings::theme))
}

/// What a browser may fetch before anybody has signed in.
pub(crate) fn open() -> Router<Console> {
    Router::new()
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/assets/{name}", get(crate::assets::serve))
}
