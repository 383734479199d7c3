//! Who may see a page and send a form: by the session of a browser. What is refused is said in the way of whoever asks:
//! a person gets a page, a program a problem.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::form::{self, CSRF_FIELD, FORM_BYTES_MAX, Flash, Form, KEPT_BYTES_MAX, forget_flash};
use super::{Visit, frame, origin, resume, sign_in};
use crate::console::Console;
use crate::problem::{Details, Problem};
use crate::{auth, extract, query, session};

/// The header with which scripts send what forms send in a field.
const CSRF_HEADER: &str = "x-weir-csrf";
/// Sent by a page that brings itself up to date: nobody need be sitting before it.
const LIVE_HEADER: &str = "x-weir-live";

/// Whether a person asks for a page: a browser wants HTML, and the path is none of those for programs.
pub(crate) fn is_page(request: &Request) -> bool {
    const PROGRAMS: [&str; 6] = ["/api/", "/access/", "/assets/", "/metrics", "/healthz", "/readyz"];
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    accept.is_some_and(|accept| accept.contains("text/html"))
        && !is_live(request.headers())
        && !PROGRAMS.iter().any(|under| path.starts_with(under))
}

fn is_live(headers: &HeaderMap) -> bool {
    headers.contains_key(LIVE_HEADER)
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Lets a request of a browser pass whose session may do what it asks.
pub(crate) async fn guard(console: Console, request: Request, next: Next) -> Response {
    let is_page = is_page(&request);
    let shows_flash = is_page && !changes(request.method());
    match admit(&console, request).await {
        Err(Refused::Answer(response)) => response,
        Err(Refused::Problem(problem, visit)) if is_page => frame::problem_page(visit.as_deref(), &problem),
        Err(Refused::Problem(problem, _)) => problem.into_response(),
        Ok((request, visit)) => {
            let mut response = next.run(request).await;
            if is_page && let Some(details) = response.extensions_mut().remove::<Details>() {
                response = frame::details_page(Some(&visit), &details, response.headers());
            }
            if shows_flash && visit.flash.is_some() && response.status() != StatusCode::SEE_OTHER {
                response.headers_mut().append(header::SET_COOKIE, forget_flash());
            }
            response
        }
    }
}

/// Why a request goes no further.
enum Refused {
    Answer(Response),
    Problem(Problem, Option<Box<Visit>>),
}

async fn admit(console: &Console, request: Request) -> Result<(Request, Visit), Refused> {
    let in_force = std::sync::Arc::clone(&console.parts.live.load());
    let found =
        session::find(console, &in_force.authenticator, request.headers(), is_live(request.headers()));
    let found = found.await.map_err(|error| Refused::Problem(Problem::store_unavailable(&error), None))?;
    let Some(session) = found else { return Err(unknown(request).await) };
    let visit = Visit::of_session(console, &session, &request);
    let refused = |problem| Refused::Problem(problem, Some(Box::new(visit.clone())));
    auth::permit(&session.principal, request.method(), request.uri().path()).map_err(refused)?;
    let mut request = request;
    if changes(request.method()) {
        request = checked(request, &visit).await?;
    }
    request.extensions_mut().insert(session.principal);
    request.extensions_mut().insert(visit.clone());
    Ok((request, visit))
}

/// Nobody is signed in, or no longer.
async fn unknown(request: Request) -> Refused {
    if !is_page(&request) {
        return Refused::Problem(Problem::unauthenticated(), None);
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    if changes(request.method()) {
        // What was typed is not lost: it comes back after the sign-in. But only what our own pages have sent.
        if !origin::is_own(&request) {
            return Refused::Problem(forged(), None);
        }
        return match form_body(request, FORM_BYTES_MAX).await {
            Ok((_, body)) => Refused::Answer(sign_in::expired(&target, &body)),
            Err(problem) => Refused::Problem(problem, None),
        };
    }
    if origin::is_from_elsewhere(&request) {
        return Refused::Answer(frame::bounce(&target));
    }
    Refused::Answer(sign_in::redirect(&target))
}

/// A change must come from one of our own pages and carry the session's token: in a header, or in a field of a form.
async fn checked(request: Request, visit: &Visit) -> Result<Request, Refused> {
    let refused = |problem| Refused::Problem(problem, Some(Box::new(visit.clone())));
    if !origin::is_own(&request) {
        return Err(refused(forged()));
    }
    if let Some(sent) = request.headers().get(CSRF_HEADER) {
        let is_right = is_same(sent.as_bytes(), visit.csrf.as_bytes());
        return if is_right { Ok(request) } else { Err(refused(stale())) };
    }
    let is_page = is_page(&request);
    let (request, body) = form_body(request, KEPT_BYTES_MAX).await.map_err(refused)?;
    let sent = query::each(&String::from_utf8_lossy(&body)).find(|(name, _)| name == CSRF_FIELD);
    if sent.as_ref().is_some_and(|(_, sent)| is_same(sent.as_bytes(), visit.csrf.as_bytes())) {
        return match Form::refused(&body) {
            None => Ok(request),
            // What was typed is shown again, to be mended.
            Some(problem) if is_page => Err(Refused::Answer(resume::mend(visit, &problem, &body))),
            Some(problem) => Err(refused(problem)),
        };
    }
    if is_page && sent.is_some() {
        // A form of an earlier session, in a tab that was left open.
        return Err(Refused::Answer(resume::offer(StatusCode::FORBIDDEN, visit, &visit.target, &body)));
    }
    Err(refused(stale()))
}

fn is_same(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    !b.is_empty() && bool::from(a.ct_eq(b))
}

fn forged() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "this did not come from a page of this console (its origin is another, or is not told); a program sends \
         `Authorization: Bearer TOKEN` and no cookie",
    )
}

fn stale() -> Problem {
    let detail =
        format!("`{CSRF_HEADER}`, or the field `{CSRF_FIELD}` of a form, is not that of this session");
    Problem::new(StatusCode::FORBIDDEN, format!("{detail}; load the page again"))
}

/// Reads the body of a form, and gives the request back with it.
async fn form_body(request: Request, bytes_max: usize) -> Result<(Request, Bytes), Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return Ok((request, Bytes::new()));
    }
    let (head, body) = request.into_parts();
    let read = extract::read(Request::from_parts(head.clone(), body), bytes_max).await;
    let is_too_large = |problem: &Problem| problem.status() == StatusCode::PAYLOAD_TOO_LARGE.as_u16();
    let read = read.map_err(|problem| if is_too_large(&problem) { form::too_large() } else { problem })?;
    Ok((Request::from_parts(head, Body::from(read.clone())), read))
}

/// A redirect that is followed with GET, with a message for the page it leads to.
pub(super) fn see_other(to: &str, flash: Option<&Flash>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to.to_owned())]).into_response();
    if let Some(flash) = flash {
        response.headers_mut().append(header::SET_COOKIE, flash.cookie());
    }
    response
}
