//! Whether a request was made by one of our own pages.

use axum::extract::Request;
use http::{HeaderMap, header};

/// Where the browser says that a request comes from; no script can set this header.
const FETCH_SITE: &str = "sec-fetch-site";

/// Browsers of today say so themselves. Others name the origin of the page, which must be the host that was asked for.
/// A request with neither was not made by a page.
pub(super) fn is_own(request: &Request) -> bool {
    match text(request.headers(), FETCH_SITE) {
        Some(site) => site == "same-origin",
        None => text(request.headers(), header::ORIGIN.as_str())
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(scheme, of)| host(request).is_some_and(|host| same_host(scheme, of, host))),
    }
}

/// Whether a link on another site led here. Browsers withhold a strict cookie then, so nothing is known of a session.
pub(super) fn is_from_elsewhere(request: &Request) -> bool {
    matches!(text(request.headers(), FETCH_SITE), Some("cross-site" | "same-site"))
}

fn host(request: &Request) -> Option<&str> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    text(request.headers(), header::HOST.as_str()).or(authority)
}

fn same_host(scheme: &str, origin: &str, host: &str) -> bool {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
    bare(origin) == bare(host)
}

/// Whether the browser speaks https, be it to a proxy before us.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    text(headers, header::ORIGIN.as_str()).is_some_and(|origin| origin.starts_with("https://"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_request_is_our_own_when_the_browser_says_so() {
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[], false),
            (&[("host", "weir.example")], false),
            (&[("host", "weir.example"), ("origin", "https://weir.example")], true),
            (&[("host", "Weir.example:443"), ("origin", "https://weir.example")], true),
            (&[("host", "weir.example:8081"), ("origin", "http://weir.example")], false),
            (&[("host", "weir.example"), ("origin", "http://weir.example.evil")], false),
            (&[("host", "weir.example"), ("origin", "null")], false),
            (
                &[("host", "inner"), ("origin", "https://weir.example"), ("sec-fetch-site", "same-origin")],
                true,
            ),
            (
                &[
                    ("host", "weir.example"),
                    ("origin", "https://weir.example"),
                    ("sec-fetch-site", "same-site"),
                ],
                false,
            ),
            (&[("host", "weir.example"), ("sec-fetch-site", "cross-site")], false),
        ];
        for (headers, expected) in table {
            let mut request = Request::builder().uri("/");
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            assert_eq!(is_own(&request.body(Body::empty()).unwrap()), *expected, "{headers:?}");
        }
    }
}
