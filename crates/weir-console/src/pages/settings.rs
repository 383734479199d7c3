//! How the console looks, kept by the browser.

use axum::response::Response;
use http::{HeaderValue, header};

use super::Form;
use super::guard::see_other;
use super::sign_in::local;
use super::visit::Theme;

/// How long a browser keeps it: a year, in seconds.
const KEPT_S: u32 = 365 * 24 * 60 * 60;

pub(super) async fn theme(form: Form) -> Response {
    let theme = Theme::parse(form.typed("theme")).as_str();
    let mut response = see_other(local(form.typed("then")), None);
    let cookie = format!("{}={theme}; Path=/; HttpOnly; SameSite=Strict; Max-Age={KEPT_S}", Theme::COOKIE);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
