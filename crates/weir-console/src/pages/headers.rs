//! What every page is sent with.

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

/// A page loads and runs what this server serves as a file, and nothing else; forms go nowhere else either. With
/// `no-referrer` browsers would send `Origin: null` with forms, so that it could not be checked.
const HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
];

/// Adds them.
pub(super) fn add(response: &mut Response) {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}
