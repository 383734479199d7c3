//! Reading requests: bodies within their limit and deadline, and parameters, with faults that name their place.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use weir_core::words::size;

use crate::problem::{Fault, Problem};

pub(crate) mod wording;

/// How large a body of the admin API may be, rule sets and classifications apart.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// How large a rule set may be: 100,000 rules of some 600 octets.
pub(crate) const RULES_BYTES_MAX: usize = 64 << 20;
/// How large a question to the classifier may be: two prompts, each of the data plane's usual limit, escaped.
pub(crate) const CLASSIFY_BYTES_MAX: usize = 128 << 20;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Reads a whole body.
pub(crate) async fn read(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let reading = axum::body::to_bytes(request.into_body(), bytes_max);
    match tokio::time::timeout(BODY_DEADLINE, reading).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large(bytes_max)),
        Ok(Err(_)) => Err(Problem::bad_request("the body ended early", Vec::new())),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn too_large(bytes_max: usize) -> Problem {
    let detail =
        format!("the body is larger than {}, the most that is read here: send less at once", size(bytes_max));
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Parses JSON. The fault names the member, the line and the column.
pub(crate) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        json_problem(Some(path).filter(|path| path != "."), error.inner())
    })?;
    deserializer.end().map_err(|error| json_problem(None, &error))?;
    Ok(parsed)
}

fn json_problem(path: Option<String>, error: &serde_json::Error) -> Problem {
    let detail =
        if error.is_data() { "a member of the body is not as it should be" } else { "the body is no JSON" };
    let position = |n: usize| u32::try_from(n).ok().filter(|n| *n > 0);
    let (line, column) = (position(error.line()), position(error.column()));
    Problem::bad_request(detail, vec![Fault { line, column, ..wording::fault(path, error) }])
}

/// A JSON body of the usual size.
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(parse_json(&read(request, BODY_BYTES_MAX).await?)?))
    }
}

/// A question to the classifier, which may hold whole prompts.
pub(crate) struct Large<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Large<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(parse_json(&read(request, CLASSIFY_BYTES_MAX).await?)?))
    }
}

/// One percent-decoded segment of the path, such as the key of an identity.
pub(crate) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(segment)| Self(segment))
            .map_err(|_| {
                Problem::bad_request("the path holds what is no UTF-8 after percent-decoding", Vec::new())
            })
    }
}

/// The epoch in `If-Match`, bare or quoted; `*` and an absent header name none.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    bare.parse().map(Some).map_err(|_| {
        Problem::bad_request(
            "`If-Match` must be the epoch that `ETag` gave",
            vec![Fault::member("If-Match", format!("`{text}` is no epoch"))],
        )
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Probe {
        #[serde(rename = "n")]
        _n: Vec<u8>,
    }

    #[test]
    fn faults_of_json_name_their_place() {
        let table: &[(&str, Option<&str>, Option<u32>)] = &[
            ("{\"n\": [1,\n 300]}", Some("n[1]"), Some(2)),
            ("{\"n\": \"x\"}", Some("n"), Some(1)),
            ("{}", Some("n"), Some(1)),
            ("{\"n\": [1", Some("n"), Some(1)),
            ("{\"n\": [1]} x", None, Some(1)),
            ("", None, Some(1)),
        ];
        for (text, path, line) in table {
            let problem = parse_json::<Probe>(text.as_bytes()).unwrap_err();
            assert_eq!(problem.status(), 400);
            let fault = &problem.errors()[0];
            assert!(!fault.message.contains(" at line "), "{}", fault.message);
            if path.is_some() {
                assert_eq!(fault.path.as_deref(), *path, "{text}");
            }
            assert_eq!(fault.line, *line, "{text}");
        }
        assert!(parse_json::<Probe>(b"{\"n\": [1]}").is_ok());
    }

    #[test]
    fn values_of_a_wrong_type_are_not_repeated() {
        let problem = parse_json::<Probe>(b"{\"n\": \"my secret, expected nothing\"}").unwrap_err();
        let fault = &problem.errors()[0];
        assert!(!fault.message.contains("secret"), "{}", fault.message);
    }

    #[test]
    fn if_match_takes_an_epoch() {
        let read =
            |value: &str| if_match(&[(header::IF_MATCH, value.parse().unwrap())].into_iter().collect());
        assert_eq!(read("7"), Ok(Some(7)));
        assert_eq!(read("\"7\""), Ok(Some(7)));
        assert_eq!(read("*"), Ok(None));
        assert_eq!(read("W/x").unwrap_err().status(), 400);
        assert_eq!(if_match(&HeaderMap::new()), Ok(None));
    }
}
