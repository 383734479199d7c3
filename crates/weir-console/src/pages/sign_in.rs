//! Signing in with an admin token, and out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use maud::{Markup, html};
use serde_json::json;
use weir_core::address::client_address;
use weir_core::words::counted;

use super::form::{FORM_BYTES_MAX, Flash, Form, encode};
use super::guard::see_other;
use super::{Visit, frame, origin, resume};
use crate::auth::Principal;
use crate::console::{Console, Shared};
use crate::problem::Problem;
use crate::serve::Peer;
use crate::{extract, query, session};

/// How long a path may be that one comes back to.
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// A path of this server; anything else leads to the first page. A browser reads `//host` and `/\host` as another host.
pub(super) fn local(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.contains(|c: char| c.is_control() || !c.is_ascii())
        && path.len() <= TARGET_BYTES_MAX;
    // What one came from was the sign-in itself.
    if is_local && path != "/sign-in" && !path.starts_with("/sign-in?") { path } else { "/" }
}

/// Leads a browser to the sign-in, and back afterwards.
pub(super) fn redirect(target: &str) -> Response {
    let target = local(target);
    if target == "/" {
        return see_other("/sign-in", None);
    }
    see_other(&format!("/sign-in?{}", encode([("then", target)])), None)
}

/// What is kept while somebody signs in: where they were going, and the form that they sent.
#[derive(Default)]
struct Kept {
    then: String,
    /// The form's body, when there was one.
    body: Option<String>,
}

pub(super) async fn show(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let pairs = query::pairs(query.as_deref().unwrap_or_default());
    let then = pairs.into_iter().find(|(name, _)| name == "then").map(|(_, then)| then).unwrap_or_default();
    let then = local(&then).to_owned();
    let in_force = Arc::clone(&console.parts.live.load());
    let found = session::find(&console, &in_force.authenticator, &headers, true).await;
    if let Ok(Some(_)) = found {
        return see_other(&then, None);
    }
    let flash = Flash::of(&headers).map(|flash| flash.text);
    page(StatusCode::OK, &Kept { then, body: None }, flash.as_deref())
}

/// The answer to a form whose session has ended: the sign-in page, which keeps what was typed.
pub(super) fn expired(target: &str, body: &[u8]) -> Response {
    let kept =
        Kept { then: local(target).to_owned(), body: Some(String::from_utf8_lossy(body).into_owned()) };
    let words = "Your session has ended. Sign in again; what you typed is kept, and is shown again before it is sent.";
    page(StatusCode::UNAUTHORIZED, &kept, Some(words))
}

pub(super) async fn sign_in(State(console): State<Console>, request: Request) -> Response {
    match try_sign_in(&console, request).await {
        Ok(response) => response,
        Err(problem) => frame::problem_page(None, &problem),
    }
}

async fn try_sign_in(console: &Console, request: Request) -> Result<Response, Problem> {
    if !origin::is_own(&request) {
        // Else another site could sign a browser in as somebody else.
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the sign-in page of this console must be used to sign in",
        ));
    }
    let address = address(console, &request);
    let headers = request.headers().clone();
    let form = Form::parse(&extract::read(request, FORM_BYTES_MAX).await?);
    let body = Some(form.typed("kept")).filter(|kept| !kept.is_empty()).map(str::to_owned);
    let kept = Kept { then: local(form.typed("then")).to_owned(), body };
    let now = console.now();
    if let Some(wait) = console.sign_ins.wait(address, now) {
        let wait = wait.as_secs().max(1);
        let words = format!(
            "There were too many attempts from your address. Try again in {}.",
            counted(wait, "second")
        );
        let mut response = page(StatusCode::TOO_MANY_REQUESTS, &kept, Some(&words));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        return Ok(response);
    }
    let found = console.parts.live.load().authenticator.sign_in(form.typed("token").trim());
    let Some((principal, token)) = found else {
        console.sign_ins.failed(address, now);
        tracing::warn!(%address, "a sign-in to the console was refused: no such token");
        let words = "This is no admin token that is valid now.";
        return Ok(page(StatusCode::FORBIDDEN, &kept, Some(words)));
    };
    let (session, cookie) = session::open(console, &principal, &token, origin::is_secure(&headers)).await?;
    console.audit(&principal.name, "session.open", "", json!({ "address": address })).await;
    let mut response = match &kept.body {
        None => see_other(&kept.then, None),
        Some(body) => {
            let visit = Visit::after_sign_in(console, &session, &headers);
            resume::offer(StatusCode::OK, &visit, &kept.then, body.as_bytes())
        }
    };
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

pub(super) async fn sign_out(
    State(console): State<Console>,
    axum::Extension(who): axum::Extension<Principal>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookies = session::end(&console, &headers).await?;
    console.audit(&who.name, "session.end", "", json!({})).await;
    let mut response = see_other("/sign-in", Some(&Flash::done("You are signed out.")));
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The address of the browser; in a test without a listener there is none.
fn address(console: &Shared, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let forwarded: Vec<&str> =
        request.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    client_address(peer, forwarded.into_iter(), &console.parts.live.load().config.trusted_proxies)
}

fn page(status: StatusCode, kept: &Kept, words: Option<&str>) -> Response {
    frame::plain(status, None, "Sign in", &fields(kept, words)).into_response()
}

fn fields(kept: &Kept, words: Option<&str>) -> Markup {
    let wrong = words.map(|_| "token-words");
    html! {
        form .sign-in method="post" action="/sign-in" {
            @if let Some(words) = words { p #token-words .flash role="alert" { (words) } }
            input type="hidden" name="then" value=(kept.then);
            @if let Some(body) = &kept.body { input type="hidden" name="kept" value=(body); }
            div .field {
                label for="token" { "Admin token" }
                input #token name="token" type="password" autocomplete="current-password" required autofocus
                    spellcheck="false" aria-describedby=[wrong];
                p .help {
                    "It is in the file " code { "admin-token" } " in the data directory, unless the configuration "
                    "sets " code { "admin.token" } " or gives you one of " code { "admin.tokens" } "."
                }
            }
            p .buttons { button .main { "Sign in" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_paths_of_this_server_only() {
        let table = [
            ("/decisions?outcome=block", "/decisions?outcome=block"),
            ("/", "/"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nset-cookie: x=y", "/"),
            ("/sign-in", "/"),
            ("/sign-in?then=%2F", "/"),
            ("/é", "/"),
        ];
        for (path, expected) in table {
            assert_eq!(local(path), expected, "{path}");
        }
        assert_eq!(local(&format!("/{}", "a".repeat(TARGET_BYTES_MAX))), "/");
    }
}
