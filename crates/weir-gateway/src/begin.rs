//! The beginning of a provider's answer: whether it is one. Up to here an attempt can fail and be followed by another;
//! once something has reached the client none can.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::poll;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use weir_core::ApiKind;
use weir_dialect::Prompts;
use weir_dialect::failure::{Phase, TransportFault};
use weir_dialect::rename::{JsonRenamer, StreamRenamer};

use crate::alarm::Alarm;
use crate::body::{BrokenOff, UpstreamBody};
use crate::cut::only_announces;
use crate::encoded;
use crate::exchange::Exchange;
use crate::reading::{Piece, Reading, Renamer};
use crate::trouble::Trouble;

/// A JSON answer up to this size is read whole before its head is sent, so that one that breaks off is a clear 502
/// and not a broken 200. Larger ones are passed on as they come.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;

/// How much of a provider's error is read, in bytes.
const ERROR_BYTES_MAX: usize = 256 * 1024;

/// How long the whole of a provider's error may take to come.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(10);

/// How long the head of a stream waits for its first events, which may tell an error that another attempt can mend. It
/// ends with the first that is of an answer; what only announces one waits no longer than this.
const FIRST_EVENTS_WAIT: Duration = Duration::from_millis(10);

/// A provider's answer that is none of the errors that show at its beginning.
pub(crate) struct Answered {
    pub(crate) head: Parts,
    pub(crate) reading: Reading,
    pub(crate) begun: Begun,
    /// The request's prompts, where a rule on failures reads them.
    pub(crate) prompts: Prompts,
}

/// What of it has been read.
pub(crate) enum Begun {
    /// All.
    Whole(Bytes),
    /// The first piece, perhaps.
    Going(Option<Piece>, UpstreamBody),
}

/// Reads the beginning of an answer.
///
/// # Errors
/// It is an error, holds one, or is no answer of this API.
pub(crate) async fn begin(
    exchange: &Exchange,
    response: Response<UpstreamBody>,
    kind: ApiKind,
    asked_model: &Arc<str>,
    stream: bool,
) -> Result<Box<Answered>, Trouble> {
    let (head, body) = response.into_parts();
    let idle = exchange.settings.config.limits.upstream.idle;
    if !head.status.is_success() {
        let body = Box::pin(error_body(body, idle)).await;
        return Err(Trouble::refused(&head, body));
    }
    let events = is_event_stream(&head.headers, stream);
    let renamer = renamer(exchange, kind, events, asked_model);
    let closed = encoded::is_closed(&head.headers);
    if closed && !matches!(renamer, Renamer::Nothing) {
        // Unread it would name the model that served a downgraded request.
        let cause = "the provider's answer is compressed in a way that weir does not open";
        return Err(Trouble::within(&head, Bytes::from_static(cause.as_bytes()), Phase::Body, cause));
    }
    let mut reading = Reading::new(kind, events, Arc::clone(asked_model), renamer);
    let begun = if closed {
        reading.leave_closed();
        Begun::Going(None, body)
    } else if events {
        first_events(&head, body, &mut reading, idle).await?
    } else {
        whole(&head, body, &mut reading, idle, &exchange.alarm).await?
    };
    Ok(Box::new(Answered { head, reading, begun, prompts: Prompts::default() }))
}

/// Whether an answer is a stream of events: by its type, or because one was asked for and it does not say that it is
/// anything else.
fn is_event_stream(headers: &HeaderMap, asked: bool) -> bool {
    match headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase()) {
        None => asked,
        Some(kind) => kind.starts_with(b"text/event-stream") || (asked && kind.starts_with(b"text/plain")),
    }
}

fn renamer(exchange: &Exchange, kind: ApiKind, events: bool, asked_model: &str) -> Renamer {
    if exchange.draft.result.abuse_downgraded_from.is_none() || exchange.settings.disclose {
        Renamer::Nothing
    } else if events {
        Renamer::Events(StreamRenamer::new(kind, asked_model))
    } else {
        Renamer::Json(JsonRenamer::new(kind, asked_model))
    }
}

/// The beginning of a stream: what comes within a moment, until there is something of an answer. An error after nothing
/// but announcements can still be followed by another attempt.
async fn first_events(
    head: &Parts,
    mut body: UpstreamBody,
    reading: &mut Reading,
    idle: Duration,
) -> Result<Begun, Trouble> {
    let mut until = None;
    let mut announced = BytesMut::new();
    let mut first = true;
    loop {
        let Some(frame) = next_event(&mut body, &mut until).await else { break };
        let data = match frame {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            None if announced.is_empty() => {
                if let Some(said) = reading.end() {
                    let cause = "the provider told of an error instead of an answer";
                    return Err(Trouble::within(head, said, Phase::Stream, cause));
                }
                return Err(no_stream(head, "the provider's stream ended before it began"));
            }
            Some(Err(_)) if announced.is_empty() => {
                return Err(no_stream(head, "the provider's stream broke off before it began"));
            }
            // What ends or breaks off after its announcement is read as any other stream that does so too early.
            None | Some(Err(_)) => break,
        };
        // Events begin with the name of a field, so this is no stream of them: some send an error as they would without
        // one.
        if std::mem::take(&mut first) && data.trim_ascii_start().first() == Some(&b'{') {
            let rest = Box::pin(error_body(body, idle)).await;
            let cause = "the provider sent an object instead of a stream";
            return Err(Trouble::within(head, [data, rest].concat().into(), Phase::Stream, cause));
        }
        match reading.read(data) {
            Piece::Good(good) => {
                announced.extend_from_slice(&good);
                if !only_announces(reading.kind, &announced) || reading.within_event() {
                    break;
                }
            }
            Piece::Error { before, rest } => {
                announced.extend_from_slice(&before);
                if only_announces(reading.kind, &announced) {
                    let cause = "the provider told of an error instead of an answer";
                    return Err(Trouble::within(head, reading.said(rest), Phase::Stream, cause));
                }
                return Ok(Begun::Going(Some(Piece::Error { before: announced.freeze(), rest }), body));
            }
        }
    }
    let begun = (!announced.is_empty()).then(|| Piece::Good(announced.freeze()));
    Ok(Begun::Going(begun, body))
}

/// What comes of a stream before its head has waited for long enough. What came with the head takes no timer.
async fn next_event(
    body: &mut UpstreamBody,
    until: &mut Option<Instant>,
) -> Option<Option<Result<Frame<Bytes>, BrokenOff>>> {
    if let Poll::Ready(frame) = poll!(body.frame()) {
        return Some(frame);
    }
    let until = *until.get_or_insert_with(|| Instant::now() + FIRST_EVENTS_WAIT);
    tokio::time::timeout_at(until, body.frame()).await.ok()
}

fn no_stream(head: &Parts, cause: &'static str) -> Trouble {
    Trouble::broke(head, TransportFault::Reset, Phase::Stream, cause)
}

async fn whole(
    head: &Parts,
    mut body: UpstreamBody,
    reading: &mut Reading,
    idle: Duration,
    alarm: &Alarm,
) -> Result<Begun, Trouble> {
    let broke = |fault, cause| Trouble::broke(head, fault, Phase::Body, cause);
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    loop {
        let frame = match alarm.timeout(idle, pin!(body.frame())).await {
            None => {
                let cause = "the provider stopped in the middle of its answer";
                return Err(broke(TransportFault::Timeout, cause));
            }
            Some(Some(Err(_))) => {
                return Err(broke(TransportFault::Reset, "the provider's answer broke off"));
            }
            Some(None) => break,
            Some(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let (Piece::Good(data) | Piece::Error { rest: data, .. }) = reading.read(data);
        match &first {
            None => first = Some(data),
            Some(_) => more.extend_from_slice(&data),
        }
        let length = first.as_ref().map_or(0, Bytes::len) + more.len();
        if length > WHOLE_BYTES_MAX || body.is_end_stream() {
            break;
        }
    }
    let bytes = joined(first, &more);
    if reading.usage.has_error() {
        return Err(Trouble::within(
            head,
            reading.said(bytes),
            Phase::Body,
            "the provider's answer is an error",
        ));
    }
    if reading.usage.is_finished() {
        if reading.usage.is_answer() {
            return Ok(Begun::Whole(bytes));
        }
        let told = bytes.slice(..bytes.len().min(ERROR_BYTES_MAX));
        Err(Trouble::within(head, told, Phase::Body, "the provider's answer is none of this API"))
    } else if bytes.len() > WHOLE_BYTES_MAX {
        Ok(Begun::Going(Some(Piece::Good(bytes)), body))
    } else if matches!(bytes.trim_ascii_start().first(), None | Some(b'{' | b'[')) {
        Err(broke(TransportFault::Reset, "the provider's answer ended before it was complete"))
    } else {
        let told = bytes.slice(..bytes.len().min(ERROR_BYTES_MAX));
        Err(Trouble::within(head, told, Phase::Body, "the provider's answer is no JSON object"))
    }
}

fn joined(first: Option<Bytes>, more: &[u8]) -> Bytes {
    match first {
        Some(first) if more.is_empty() => first,
        Some(first) => [&first, more].concat().into(),
        None => Bytes::new(),
    }
}

async fn error_body(mut body: UpstreamBody, idle: Duration) -> Bytes {
    let mut read = BytesMut::new();
    let whole = async {
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                let room = ERROR_BYTES_MAX.saturating_sub(read.len());
                read.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
            }
            if read.len() >= ERROR_BYTES_MAX {
                break;
            }
        }
    };
    // What has come by then is classed: one that trickles must hold nobody up.
    let _ = tokio::time::timeout(idle.min(ERROR_BODY_WAIT), whole).await;
    read.freeze()
}
