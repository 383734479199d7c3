//! The headers of the protocol: what of them is passed on, and whether they say what the body says.

use ::http::{HeaderMap, HeaderName, HeaderValue};

/// Names the method, since 2026-07-28.
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// Names what the method is about, since 2026-07-28.
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What the names of headers begin with that repeat arguments, since 2026-07-28.
pub(crate) const PARAMETER_PREFIX: &str = "mcp-param-";

/// The headers of a list that is asked for in the course of a call.
pub(crate) fn of_list(call: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in call {
        if name != NAME && !name.as_str().starts_with(PARAMETER_PREFIX) {
            headers.append(name, value.clone());
        }
    }
    if headers.contains_key(METHOD) {
        headers.insert(METHOD, HeaderValue::from_static("tools/list"));
    }
    headers
}
