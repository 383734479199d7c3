//! One JSON-RPC message as it came: its bytes, and where in them lies what the proxy must know.
//!
//! Nothing is written anew: what is passed on are the bytes that came, so that members which no library knows yet
//! survive. Where a member must be another one, it is cut out and the new text put in its place.
//!
//! What two readers could understand in two ways is refused: a member that stands twice, and a member whose name
//! differs from one of the protocol's only in upper and lower case, which some libraries take for it. Otherwise a
//! call could be judged as one thing and run as another.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;

use crate::mcp::members::Members;

/// How long a message may be, in bytes; what is longer is refused, never gathered.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long an id may be, in bytes.
const ID_BYTES_MAX: usize = 1024;

/// How long the name of a method may be, in bytes.
const METHOD_BYTES_MAX: usize = 256;

/// The members of a message that have a meaning.
const KNOWN: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// An id as it is compared: two texts of one JSON value are one id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdKey(String);

impl IdKey {
    /// The id that a text of JSON stands for.
    ///
    /// A whole number is one id however it is written: a server that reads `1.0` may answer `1`.
    #[must_use]
    pub fn of(raw: &str) -> Self {
        let value: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "the bounds are looked at first")]
        let text = match value.as_f64() {
            Some(n) if value.is_f64() && n.fract() == 0.0 && n.abs() < 9e15 => (n as i64).to_string(),
            _ => value.to_string(),
        };
        Self(text)
    }
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It wants an answer.
    Request {
        /// The method.
        method: String,
    },
    /// It wants none.
    Notification {
        /// The method.
        method: String,
    },
    /// It is one.
    Response {
        /// Whether it has `error` and no `result`.
        error: bool,
    },
}

/// A message that no reader can take for another one.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Bytes,
    kind: Kind,
    id: Option<Range<usize>>,
    params: Option<Range<usize>>,
    result: Option<Range<usize>>,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No JSON, or cut off.
    #[error("the message is no JSON")]
    NotJson,
    /// An array of messages, which the protocol has not had since 2025-06-18.
    #[error("batches of messages are not taken: send each message by itself")]
    Batch,
    /// JSON, but no message of JSON-RPC 2.0.
    #[error("{0}")]
    NotRpc(String),
}

impl Malformed {
    /// The code of JSON-RPC.
    #[must_use]
    pub fn code(&self) -> i64 {
        match self {
            Self::NotJson => -32700,
            Self::Batch | Self::NotRpc(_) => -32600,
        }
    }
}

impl Frame {
    /// Reads one message.
    ///
    /// # Errors
    /// It is none, or could be read in two ways.
    pub fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(&bytes).map_err(|_| Malformed::NotJson)?;
        if text.trim_start().starts_with('[') {
            let whole = serde_json::from_str::<&RawValue>(text).is_ok();
            return Err(if whole { Malformed::Batch } else { Malformed::NotJson });
        }
        if serde_json::from_str::<&RawValue>(text).is_err() {
            return Err(Malformed::NotJson);
        }
        let members = Members::read(text).map_err(Malformed::NotRpc)?;
        members.unmistakable(&KNOWN).map_err(Malformed::NotRpc)?;
        if members.string("jsonrpc").as_deref() != Some("2.0") {
            return Err(Malformed::NotRpc("`jsonrpc` must be \"2.0\"".to_owned()));
        }
        let kind = kind(&members)?;
        let place = |name| members.get(name).and_then(|raw| place_in(text, raw));
        let (id, params, result) = (place("id"), place("params"), place("result"));
        Ok(Self { kind, id, params, result, bytes })
    }

    /// An answer of weir's own: `member` is `result` or `error`, and `value` its text.
    #[must_use]
    pub(crate) fn answer(id: &str, member: &str, value: &str) -> Self {
        let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{member}\":");
        let id_end = head.len() - member.len() - 4;
        let id_place = id_end - id.len()..id_end;
        let value_place = head.len()..head.len() + value.len();
        let error = member == "error";
        Self {
            kind: Kind::Response { error },
            id: Some(id_place),
            params: None,
            result: (!error).then_some(value_place),
            bytes: Bytes::from(head + value + "}"),
        }
    }

    /// A request of weir's own.
    #[must_use]
    pub(crate) fn request(id: &str, method: &str, params: &str) -> Self {
        let head = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"id\":");
        let id_place = head.len()..head.len() + id.len();
        let head = head + id + ",\"params\":";
        let params_place = head.len()..head.len() + params.len();
        Self {
            kind: Kind::Request { method: method.to_owned() },
            id: Some(id_place),
            params: Some(params_place),
            result: None,
            bytes: Bytes::from(head + params + "}"),
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The method of a request or a notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.kind {
            Kind::Request { method } | Kind::Notification { method } => Some(method),
            Kind::Response { .. } => None,
        }
    }

    /// The bytes that came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The id as it was written.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.text(self.id.as_ref())
    }

    /// The id as it is compared.
    #[must_use]
    pub fn id_key(&self) -> Option<IdKey> {
        self.id().map(IdKey::of)
    }

    /// The text of `params`.
    #[must_use]
    pub fn params(&self) -> Option<&str> {
        self.text(self.params.as_ref())
    }

    /// The text of `result`.
    #[must_use]
    pub fn result(&self) -> Option<&str> {
        self.text(self.result.as_ref())
    }

    /// The same message with another id.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Self {
        match &self.id {
            Some(place) if self.text(Some(place)) != Some(id) => self.spliced(place, id),
            _ => self.clone(),
        }
    }

    /// The same message with another result.
    #[must_use]
    pub fn with_result(&self, result: &str) -> Self {
        self.result.as_ref().map_or_else(|| self.clone(), |place| self.spliced(place, result))
    }

    /// The same message with other parameters.
    #[must_use]
    pub fn with_params(&self, params: &str) -> Self {
        self.params.as_ref().map_or_else(|| self.clone(), |place| self.spliced(place, params))
    }

    fn text(&self, place: Option<&Range<usize>>) -> Option<&str> {
        // It was read as UTF-8, and the places are those of whole values.
        place
            .and_then(|place| self.bytes.get(place.clone()))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    fn spliced(&self, place: &Range<usize>, text: &str) -> Self {
        let bytes = splice(&self.bytes, place, text.as_bytes());
        let moved = |other: &Option<Range<usize>>| {
            other.as_ref().map(|other| {
                if other == place {
                    place.start..place.start + text.len()
                } else if other.start >= place.end {
                    other.start - place.len() + text.len()..other.end - place.len() + text.len()
                } else {
                    other.clone()
                }
            })
        };
        Self {
            kind: self.kind.clone(),
            id: moved(&self.id),
            params: moved(&self.params),
            result: moved(&self.result),
            bytes,
        }
    }
}

/// `bytes` with what lies at `place` replaced.
#[must_use]
pub(crate) fn splice(bytes: &[u8], place: &Range<usize>, with: &[u8]) -> Bytes {
    let (head, tail) =
        (bytes.get(..place.start).unwrap_or_default(), bytes.get(place.end..).unwrap_or_default());
    let mut spliced = BytesMut::with_capacity(head.len() + with.len() + tail.len());
    spliced.extend_from_slice(head);
    spliced.extend_from_slice(with);
    spliced.extend_from_slice(tail);
    spliced.freeze()
}

/// Where `part`, which is a part of `whole`, lies in it.
pub(crate) fn place_in(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

fn kind(members: &Members<'_>) -> Result<Kind, Malformed> {
    let wrong = |said: &str| Err(Malformed::NotRpc(said.to_owned()));
    if members.get("id").is_some_and(|id| id.len() > ID_BYTES_MAX) {
        return wrong("`id` is too long");
    }
    let Some(method) = members.get("method") else { return response(members) };
    let Some(method) = members.string("method").filter(|m| m.len() <= METHOD_BYTES_MAX) else {
        return wrong(if method.starts_with('"') {
            "`method` is too long"
        } else {
            "`method` must be a string"
        });
    };
    if members.get("result").is_some() || members.get("error").is_some() {
        return wrong("a message has either `method` or `result` or `error`");
    }
    if members.get("params").is_some_and(|params| !params.starts_with('{')) {
        return wrong("`params` must be an object");
    }
    match members.get("id") {
        Some("null") => wrong("`id` must not be null: leave it out for a notification"),
        Some(_) => Ok(Kind::Request { method }),
        None => Ok(Kind::Notification { method }),
    }
}

fn response(members: &Members<'_>) -> Result<Kind, Malformed> {
    match (members.get("result"), members.get("error")) {
        (Some(_), None) => Ok(Kind::Response { error: false }),
        (None, Some(_)) => Ok(Kind::Response { error: true }),
        _ => Err(Malformed::NotRpc("a message has either `method` or `result` or `error`".to_owned())),
    }
}

#[cfg(test)]
mod tests;
