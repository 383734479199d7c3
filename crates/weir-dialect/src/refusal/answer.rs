//! From a refusal to the status, headers and body of its answer.

use bytes::Bytes;
use weir_core::ids::DecisionId;

use super::Refusal;
use super::body::{anthropic, openai, seed};
use crate::Dialect;

/// An answer, ready to be sent. Header names are lower-case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to this answer; those of every answer (ids, overhead) are the gateway's.
    pub headers: Vec<(&'static str, String)>,
    /// The body: always JSON.
    pub body: Bytes,
}

impl Refusal {
    /// The status in this dialect.
    #[must_use]
    pub fn status(&self, dialect: Dialect) -> u16 {
        self.row(dialect).status
    }

    /// The `error_type` in this dialect. Only too many maximum tokens differ: under the seed's prefixes they are
    /// `temporarily_unavailable`.
    #[must_use]
    pub fn error_type(&self, dialect: Dialect) -> &'static str {
        self.row(dialect).error_type
    }

    /// The value of `x-weir-limit`, for a 429 of weir's own.
    #[must_use]
    pub fn limit(&self) -> Option<String> {
        if let Self::RateLimitExceeded { limit, .. } = self { Some(limit.header()) } else { None }
    }

    /// The whole answer.
    #[must_use]
    pub fn answer(&self, dialect: Dialect, decision: &DecisionId, request_id: &str) -> Answer {
        let row = self.row(dialect);
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if let Some(seconds) = row.retry_after_s {
            headers.push(("retry-after", seconds.max(1).to_string()));
        }
        if let Some(limit) = &row.limit {
            headers.push(("x-weir-limit", limit.clone()));
        }
        if let Some(allow) = row.allow {
            headers.push(("allow", allow.to_owned()));
        }
        // The SDKs try 408, 409, 429 and all 5xx again unless told otherwise.
        if !matches!(row.status, 429 | 503) {
            headers.push(("x-should-retry", "false".to_owned()));
        }
        let body = match dialect {
            Dialect::OpenAi => openai(&row, decision),
            Dialect::Anthropic => anthropic(&row, decision, request_id),
            Dialect::Seed => seed(&row),
        };
        Answer { status: row.status, headers, body }
    }
}

impl Answer {
    /// The value of `retry-after`, where the answer has one.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        let (_, value) = self.headers.iter().find(|(name, _)| *name == "retry-after")?;
        value.parse().ok()
    }
}
