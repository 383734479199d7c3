//! One input: a few bytes that say how the rest came, and the rest, which is the body.

use weir_core::Timestamp;
use weir_core::redact::{excerpt, redact};
use weir_dialect::failure::{Evidence, FailureInput, TransportFault, Via};
use weir_rules::failure::{Circumstances, CredentialOwner, facts};
use weir_rules::{EvaluateContext, RuleSet};

/// How many bytes say how the body came.
pub const HEAD_BYTES: usize = 4;

const STATUSES: &[Option<u16>] = &[
    None,
    Some(0),
    Some(200),
    Some(400),
    Some(401),
    Some(403),
    Some(404),
    Some(413),
    Some(422),
    Some(429),
    Some(500),
    Some(502),
    Some(503),
    Some(529),
    Some(999),
    Some(65_535),
];

const HEADERS: &[&[(&str, &str)]] = &[
    &[],
    &[("content-encoding", "gzip")],
    &[("content-encoding", "deflate")],
    &[("content-encoding", "br")],
    &[("content-encoding", "gzip, gzip"), ("retry-after", "120")],
    &[("retry-after", "Wed, 21 Oct 2099 07:28:00 GMT"), ("x-ratelimit-reset-requests", "9e999s")],
    &[("retry-after-ms", "-1"), ("x-ratelimit-reset", "99999999999999999999"), ("x-amzn-errortype", ":,;")],
];

/// A failure as it may arrive.
pub struct Input<'a> {
    status: Option<u16>,
    via: Via,
    transport: TransportFault,
    headers: &'static [(&'static str, &'static str)],
    credential: CredentialOwner,
    body: &'a [u8],
}

impl<'a> Input<'a> {
    /// Any bytes are an input.
    pub fn of(bytes: &'a [u8]) -> Self {
        let at = |n: usize| usize::from(bytes.get(n).copied().unwrap_or(0));
        Self {
            status: STATUSES[at(0) % STATUSES.len()],
            via: Via::ALL[at(1) % Via::ALL.len()],
            transport: TransportFault::ALL[at(1) / Via::ALL.len() % TransportFault::ALL.len()],
            headers: HEADERS[at(2) % HEADERS.len()],
            credential: CredentialOwner::ALL[at(3) % CredentialOwner::ALL.len()],
            body: bytes.get(HEAD_BYTES..).unwrap_or_default(),
        }
    }

    /// Reads and classifies it, and checks what holds for every failure.
    pub fn check(&self) -> Result<(), String> {
        let evidence = self.read();
        let lengths = [evidence.text.len(), evidence.message.len(), evidence.code.len(), evidence.kind.len()];
        let [text, message, code, kind] = lengths;
        if text > 64 * 1024 || message > 4 * 1024 || code > 256 || kind > 256 {
            return Err(format!("the evidence is not bounded: {lengths:?}"));
        }
        if evidence.retry_after_s.is_some_and(|seconds| !seconds.is_finite() || seconds < 0.0) {
            return Err(format!("no time to wait: {:?}", evidence.retry_after_s));
        }
        let circumstances = Circumstances {
            credential: self.credential,
            attempt: 1,
            attempts: 2,
            ..Circumstances::default()
        };
        let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
        let found = RuleSet::default().decide_failure(&facts(&evidence, &circumstances), &context);
        if !found.errored.is_empty() {
            return Err(format!("rules could not be evaluated: {:?}", found.errored));
        }
        let told = excerpt(&evidence.message, 200);
        if redact(&told) != told || told.chars().count() > 203 {
            return Err(format!("what is told of it is not clean: {told}"));
        }
        Ok(())
    }

    fn read(&self) -> Evidence {
        Evidence::read(&FailureInput {
            provider: "p",
            operation: "chat_completions",
            model: "m",
            status: self.status,
            headers: self.headers,
            body: self.body,
            transport: self.via,
            transport_kind: self.transport,
            now: Some(Timestamp::UNIX_EPOCH),
            ..FailureInput::default()
        })
    }
}
