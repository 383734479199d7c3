//! What went wrong at a provider, read from whatever it sent: the evidence that failure rules are asked about.
//!
//! Errors come wrapped: as JSON in a string in JSON, as the representation of a Python dictionary behind an exception's
//! name, as an SSE frame, as a page of a proxy, cut short by a log. [`Evidence::read`] takes the layers off and keeps
//! what the innermost of them say. Only fields that tell of an error are read; echoed requests, addresses, identifiers,
//! file paths and stack frames are not evidence. Reading decides nothing: every class comes from a rule.
//!
//! Any bytes are read in bounded time and memory: the constants stand beside what they bound.

mod decode;
mod fields;
mod frames;
mod hints;
mod html;
mod lenient;
mod prose;
mod status;
mod unwrap;

use std::collections::BTreeMap;

use jiff::Timestamp;

/// How the text of a failure reached us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// The body of an answer.
    #[default]
    Http,
    /// Inside of a stream of events.
    Sse,
    /// As another program rendered it.
    Wrapped,
    /// There was no answer; the text is a transport's complaint.
    Transport,
}

impl Via {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http, Self::Sse, Self::Wrapped, Self::Transport];

    /// The word on a line of `weir decide`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Wrapped => "wrapped",
            Self::Transport => "transport",
        }
    }
}

/// What the transport itself says failed, where it was typed at the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransportFault {
    /// Nothing, or nobody knows.
    #[default]
    None,
    /// No connection could be made.
    Connect,
    /// The name could not be resolved.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Reset,
}

impl TransportFault {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::None, Self::Connect, Self::Dns, Self::Tls, Self::Timeout, Self::Reset];

    /// The word of the fact `failure.transport`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
        }
    }
}

/// How far the call had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing was answered.
    Connect,
    /// The answer's head.
    #[default]
    Head,
    /// The answer's body.
    Body,
    /// The events of an answer that had begun.
    Stream,
}

impl Phase {
    /// The word of the fact `failure.phase`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Head => "head",
            Self::Body => "body",
            Self::Stream => "stream",
        }
    }

    /// The phase that follows from the way the text came, where nobody knows better.
    #[must_use]
    pub const fn of(via: Via, has_body: bool) -> Self {
        match via {
            Via::Sse => Self::Stream,
            Via::Transport => Self::Connect,
            Via::Http | Via::Wrapped if has_body => Self::Body,
            Via::Http | Via::Wrapped => Self::Head,
        }
    }
}

/// A failure as it arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailureInput<'a> {
    /// The provider's name, as configured.
    pub provider: &'a str,
    /// What was asked of it, such as `chat_completions`.
    pub operation: &'a str,
    /// The model's name at the provider.
    pub model: &'a str,
    /// The status of the answer's head, if there was an answer. Zero stands for none.
    pub status: Option<u16>,
    /// The answer's headers; names in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The answer's body or the text of the failure, in any encoding.
    pub body: &'a [u8],
    /// How the text came.
    pub transport: Via,
    /// What the transport says failed.
    pub transport_kind: TransportFault,
    /// How far the call had come.
    pub phase: Phase,
    /// The base URL that was called, if known: an address of one's own network is evidence.
    pub target: &'a str,
    /// The time, for hints that name a point in time. Without it those are not understood.
    pub now: Option<Timestamp>,
}

/// What a failure says, unwrapped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The provider's name.
    pub provider: String,
    /// What was asked of it.
    pub operation: String,
    /// The model's name at the provider.
    pub model: String,
    /// The innermost status that the evidence shows, else the head's, else 0.
    pub status: u16,
    /// The head's status, else 0.
    pub http_status: u16,
    /// How far the call had come.
    pub phase: Phase,
    /// What the transport says failed.
    pub transport: TransportFault,
    /// The innermost code; a numeric one as text.
    pub code: String,
    /// The innermost type; where no layer has one, the name of the exception that wraps the rest.
    pub kind: String,
    /// The innermost message, without addresses and identifiers.
    pub message: String,
    /// All error fields after unwrapping, joined by newlines, in lower case; the whole body where nothing could be
    /// unwrapped. An address is `<url>`, one of a private network `<private-url>`, a file `<path>`, an identifier `<id>`.
    pub text: String,
    /// The answer's headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// How long the provider asks to wait, in seconds.
    pub retry_after_s: Option<f64>,
    /// The provider that a wrapped text names in front of `API error`.
    pub named_provider: Option<String>,
}

/// How many headers are kept.
const HEADERS_MAX: usize = 128;

/// How long a header's value may be, in bytes; a longer one is cut.
const HEADER_BYTES_MAX: usize = 4 * 1024;

impl Evidence {
    /// Reads a failure. Any bytes are good.
    ///
    /// ```
    /// use weir_dialect::failure::{Evidence, FailureInput};
    ///
    /// let body = br#"Error code: 429 - {'error': {'message': 'Out of credit', 'code': 'insufficient_quota', 'param': None}}"#;
    /// let evidence = Evidence::read(&FailureInput { status: Some(500), body, ..FailureInput::default() });
    /// assert_eq!((evidence.status, evidence.http_status), (429, 500));
    /// assert_eq!((evidence.code.as_str(), evidence.message.as_str()), ("insufficient_quota", "Out of credit"));
    /// ```
    #[must_use]
    pub fn read(input: &FailureInput<'_>) -> Self {
        let headers = headers(input.headers);
        let body = decode::text(input.body, headers.get("content-encoding").map(String::as_str));
        let mut reading = unwrap::Reading::new(input.now);
        reading.body(&body);
        if prose::is_private_url(input.target) {
            reading.line(prose::PRIVATE_URL);
        }
        if reading.code().is_empty()
            && let Some(name) = headers.get("x-amzn-errortype")
        {
            reading.outer_code(name.split([':', ',']).next().unwrap_or_default());
        }
        let http_status = input.status.unwrap_or(0);
        let retry_after_s = hints::of_headers(&headers, input.now).or(reading.hint());
        let found = reading.finish();
        Self {
            provider: input.provider.to_owned(),
            operation: input.operation.to_owned(),
            model: input.model.to_owned(),
            status: found.status.unwrap_or(http_status),
            http_status,
            phase: input.phase,
            transport: input.transport_kind,
            code: found.code,
            kind: found.kind,
            message: found.message,
            text: found.text,
            headers,
            retry_after_s,
            named_provider: found.named_provider,
        }
    }
}

fn headers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let cut =
        |value: &str| value.get(..value.floor_char_boundary(HEADER_BYTES_MAX)).unwrap_or_default().to_owned();
    pairs.iter().take(HEADERS_MAX).map(|(name, value)| (name.to_ascii_lowercase(), cut(value))).collect()
}

#[cfg(test)]
mod tests;
