//! Who looks at a page, and what the page needs to know of that.

use axum::extract::{FromRequestParts, Request};
use http::HeaderMap;
use http::request::Parts;
use jiff::Timestamp;
use weir_config::config::Role;

use super::form::Flash;
use crate::auth::Principal;
use crate::console::Shared;
use crate::problem::Problem;
use crate::session::{Session, cookie_of};

/// How a page looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the browser prefers.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(super) const COOKIE: &str = "weir-theme";

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn parse(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }

    pub(super) fn of(headers: &HeaderMap) -> Self {
        cookie_of(headers, Self::COOKIE).map_or_else(Self::default, Self::parse)
    }
}

/// One request for a page, by somebody who may.
#[derive(Clone)]
pub(crate) struct Visit {
    /// Who it is.
    pub(crate) principal: Principal,
    /// What every form sends along; empty for a program, which needs none.
    pub(crate) csrf: String,
    /// The path and the query that were asked for.
    pub(crate) target: String,
    /// The time of the request.
    pub(crate) now: Timestamp,
    /// When the session ends; a program has none.
    pub(crate) ends_at: Option<Timestamp>,
    pub(crate) theme: Theme,
    /// What the request before has to say.
    pub(super) flash: Option<Flash>,
}

impl Visit {
    pub(super) fn of_session(console: &Shared, session: &Session, request: &Request) -> Self {
        Self {
            csrf: session.csrf.clone(),
            ends_at: Some(session.ends_at),
            ..Self::of_program(console, &session.principal, request)
        }
    }

    /// A program with a bearer token may read pages, too.
    pub(crate) fn of_program(console: &Shared, principal: &Principal, request: &Request) -> Self {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        Self {
            principal: principal.clone(),
            csrf: String::new(),
            target: target.to_owned(),
            now: console.now(),
            ends_at: None,
            theme: Theme::of(request.headers()),
            flash: Flash::of(request.headers()),
        }
    }

    /// Somebody who has just signed in.
    pub(super) fn after_sign_in(console: &Shared, session: &Session, headers: &HeaderMap) -> Self {
        Self {
            principal: session.principal.clone(),
            csrf: session.csrf.clone(),
            target: "/".to_owned(),
            now: console.now(),
            ends_at: Some(session.ends_at),
            theme: Theme::of(headers),
            flash: None,
        }
    }

    /// Whether a button that needs this role is shown. The server refuses what is not shown all the same.
    pub(crate) fn may(&self, role: Role) -> bool {
        self.principal.role >= role
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::unauthenticated)
    }
}
