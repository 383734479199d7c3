//! Errors of the admin plane as RFC 9457 problem details.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, for the caller: never a secret, never a prompt, never a store's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    details: Box<Details>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do about it.
    pub detail: String,
    /// Each fault with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// The epoch that is current, when the one in `If-Match` is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The files that are the master of the rules, when the API may not write them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// One fault of what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The rule that it lies in.
    pub rule: Option<String>,
    /// The file or the member that it lies in.
    pub path: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Fault {
    /// A fault of one member or parameter.
    #[must_use]
    pub fn member(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: Some(path.into()), message: message.into(), ..Self::default() }
    }
}

impl Problem {
    /// A problem of a status, with its words for the caller.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let details = Details {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            epoch: None,
            files: Vec::new(),
        };
        Self { details: Box::new(details), headers: Vec::new() }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.details.status
    }

    /// Each fault with its place.
    #[must_use]
    pub fn errors(&self) -> &[Fault] {
        &self.details.errors
    }

    /// All that is told of it.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// The same with faults.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Fault>) -> Self {
        self.details.errors = errors;
        self
    }

    /// The same with the epoch in force.
    #[must_use]
    pub fn with_epoch(mut self, epoch: u64) -> Self {
        self.details.epoch = Some(epoch);
        self
    }

    /// The same with the files that are the master of the rules.
    #[must_use]
    pub fn with_files(mut self, files: Vec<String>) -> Self {
        self.details.files = files;
        self
    }

    /// 400 with one fault for each parameter or member that is wrong.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>, errors: Vec<Fault>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail).with_errors(errors)
    }

    /// 401, and how to sign in.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "a valid admin token is needed: `Authorization: Bearer TOKEN` (a made one lies in `admin-token` in the \
             data directory)",
        )
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 404 for a thing that is not there.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 503: a store that cannot be used now. The cause goes to the log, not to the caller.
    #[must_use]
    pub fn store_unavailable(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "the admin API could not use the store");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be used now; try again")
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.details).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        // For the console, which shows it as a page.
        response.extensions_mut().insert(*self.details);
        response
    }
}
