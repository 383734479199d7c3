//! The frame around every page: head, navigation, who is signed in, messages, and the page of an error.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::parts::exact;
use super::visit::{Theme, Visit};
use super::{form, headers};
use crate::assets;
use crate::problem::{Details, Problem};

/// The parts of the console, in the order of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Now,
    Decisions,
    Rules,
    Failures,
    Identities,
    Approvals,
    Keys,
    Tools,
    Audit,
}

impl Section {
    const ALL: [Self; 9] = [
        Self::Now,
        Self::Decisions,
        Self::Rules,
        Self::Failures,
        Self::Identities,
        Self::Approvals,
        Self::Keys,
        Self::Tools,
        Self::Audit,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Now => "Now",
            Self::Decisions => "Decisions",
            Self::Rules => "Rules",
            Self::Failures => "Failures",
            Self::Identities => "Identities",
            Self::Approvals => "Approvals",
            Self::Keys => "Keys",
            Self::Tools => "Tools",
            Self::Audit => "Audit",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Now => "/",
            Self::Decisions => "/decisions",
            Self::Rules => "/rules",
            Self::Failures => "/failures",
            Self::Identities => "/identities",
            Self::Approvals => "/approvals",
            Self::Keys => "/keys",
            Self::Tools => "/tools",
            Self::Audit => "/audit",
        }
    }
}

/// A whole page, with the status that it is answered with.
pub(crate) struct Page {
    status: StatusCode,
    markup: Markup,
}

impl Page {
    /// A page of a section; `content` follows its heading.
    pub(crate) fn new(visit: &Visit, section: Section, title: &str, content: &Markup) -> Self {
        Self { status: StatusCode::OK, markup: frame(Some(visit), Some(section), title, content) }
    }

    /// The same with another status: 400 for a form that is shown again with its faults.
    pub(crate) const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        respond(self.status, self.markup)
    }
}

/// A page outside of the sections, such as the one for signing in.
pub(super) fn plain(status: StatusCode, visit: Option<&Visit>, title: &str, content: &Markup) -> Response {
    respond(status, frame(visit, None, title, content))
}

fn respond(status: StatusCode, markup: Markup) -> Response {
    let mut response = (status, markup.into_string()).into_response();
    headers::add(&mut response);
    response
}

/// A page that asks for itself again: a strict cookie is not sent when a link on another site led here, but is then.
pub(super) fn bounce(target: &str) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta http-equiv="refresh" content={ "0;url=" (target) }; title { "weir" } }
            body { p { a href=(target) { "Continue to weir" } } }
        }
    };
    respond(StatusCode::OK, markup)
}

/// What went wrong, as a page.
pub(super) fn problem_page(visit: Option<&Visit>, problem: &Problem) -> Response {
    let headers = problem.clone().into_response().headers().clone();
    details_page(visit, problem.details(), &headers)
}

/// The same, with the headers that a program would have got.
pub(super) fn details_page(visit: Option<&Visit>, details: &Details, headers: &HeaderMap) -> Response {
    let status = StatusCode::from_u16(details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, visit, &details.title, &explained(details));
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn explained(details: &Details) -> Markup {
    html! {
        p .lead { (details.detail) }
        @if !details.errors.is_empty() {
            ul .faults {
                @for fault in &details.errors {
                    li {
                        @if let Some(path) = &fault.path { code { (path) } ": " }
                        (fault.message)
                        @if let Some(help) = &fault.help { "; " (help) }
                    }
                }
            }
        }
        @if !details.files.is_empty() {
            p { "The rules are in these files:" }
            ul { @for file in &details.files { li { code { (file) } } } }
        }
        p { a href="/" { "Go to the first page" } @if details.status == 503 { ", or load this page again" } "." }
        p .quiet { "HTTP status " (details.status) }
    }
}

fn frame(visit: Option<&Visit>, section: Option<Section>, title: &str, content: &Markup) -> Markup {
    let theme = visit.map_or(Theme::Auto, |visit| visit.theme);
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme.as_str()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(visit) = visit {
                    meta name="csrf" content=(visit.csrf);
                    meta name="now" content=(visit.now.as_millisecond());
                }
                title { (title) " · weir" }
                link rel="icon" href=(assets::path("icon.svg"));
                link rel="stylesheet" href=(assets::path("console.css"));
                script src=(assets::path("console.js")) defer {}
            }
            body .signed-in[visit.is_some()] {
                a .skip href="#main" { "Skip to the content" }
                @if let Some(visit) = visit { (top(visit, section)) } @else { header { (brand()) } }
                main #main tabindex="-1" {
                    @if let Some(flash) = visit.and_then(|visit| visit.flash.as_ref()) {
                        div .flash .good[flash.is_good] .bad[!flash.is_good] role="status" {
                            p { strong { @if flash.is_good { "Done: " } @else { "Not done: " } } (flash.text) }
                        }
                    }
                    h1 { (title) }
                    (content)
                }
            }
        }
    }
}

fn brand() -> Markup {
    html! { a .brand href="/" { (PreEscaped(assets::LOGO)) "weir" } }
}

fn top(visit: &Visit, section: Option<Section>) -> Markup {
    html! {
        header .top {
            (brand())
            nav aria-label="Pages" {
                ul {
                    @for item in Section::ALL {
                        li { a href=(item.path()) aria-current=[(section == Some(item)).then_some("page")] { (item.name()) } }
                    }
                }
            }
            div .who {
                p {
                    span .name { (visit.principal.name) } " " span .quiet { (visit.principal.role.as_str()) }
                    @if let Some(at) = visit.ends_at {
                        span .quiet title={ "The session ends at " (exact(at)) } { ", until " (at.strftime("%H:%M").to_string()) " UTC" }
                    }
                }
                @if !visit.csrf.is_empty() {
                    (theme_form(visit))
                    (form::action(visit, "/sign-out", "Sign out", "plain", None))
                }
            }
        }
    }
}

/// The next look in turn: as the browser prefers, light, dark.
fn theme_form(visit: &Visit) -> Markup {
    let (next, words) = match visit.theme {
        Theme::Auto => (Theme::Light, "Look: auto"),
        Theme::Light => (Theme::Dark, "Look: light"),
        Theme::Dark => (Theme::Auto, "Look: dark"),
    };
    let label = format!("{words}; change to {}", next.as_str());
    form::form(
        visit,
        "/theme",
        &html! {
            input type="hidden" name="theme" value=(next.as_str());
            input type="hidden" name="then" value=(visit.target);
            button .plain title=(label) { (words) }
        },
    )
}
