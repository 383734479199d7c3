//! Bodies: what comes from a provider, and what goes to the client.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use weir_core::ApiKind;
use weir_core::failure::Class;
use weir_dialect::refusal::stream_error;
use weir_dialect::rename::{JsonRenamer, StreamRenamer};
use weir_dialect::simulate::{End, Part};
use weir_dialect::{Observed, Refusal, UsageReader};

use crate::exchange::Exchange;

/// An answer's body as a provider sends it, or as the simulated one plays it.
pub(crate) enum UpstreamBody {
    /// From a connection.
    Incoming(Incoming),
    /// From the simulated provider.
    Simulated(SimulatedBody),
}

/// The provider's body broke off.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub(crate) struct BrokenOff;

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(|_| BrokenOff),
            Self::Simulated(body) => body.poll_part(cx),
        }
    }
}

/// Plays the parts of a simulated answer at their times.
pub(crate) struct SimulatedBody {
    parts: VecDeque<Part>,
    end: End,
    wait: Option<Pin<Box<Sleep>>>,
}

impl SimulatedBody {
    pub(crate) fn new(parts: Vec<Part>, end: End) -> Self {
        Self { parts: parts.into(), end, wait: None }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(part) = self.parts.front() else {
            return match self.end {
                End::Complete => Poll::Ready(None),
                End::Cut => Poll::Ready(Some(Err(BrokenOff))),
                End::Hang => Poll::Pending,
            };
        };
        if part.after > Duration::ZERO {
            let after = part.after;
            let wait = self.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        Poll::Ready(self.parts.pop_front().map(|part| Ok(Frame::data(part.bytes))))
    }
}

/// What the client is sent.
pub(crate) enum ResponseBody {
    /// A whole body.
    Whole(Option<Bytes>),
    /// A provider's answer on its way.
    Pass(Box<PassBody>),
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|b| !b.is_empty()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pass(body) => body.poll_pass(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX)))
            }
            Self::Pass(_) => SizeHint::default(),
        }
    }
}

/// A provider's answer, passed on chunk by chunk and read on the way.
///
/// Whatever ends it, the client is told in its own protocol, and the exchange is completed with what was seen.
pub(crate) struct PassBody {
    body: UpstreamBody,
    /// What was read of the body before it was decided to pass it on.
    begun: Option<Bytes>,
    reading: Reading,
    exchange: Option<Exchange>,
    idle: Duration,
    last_at: Instant,
    alarm: Pin<Box<Sleep>>,
    ended: bool,
}

/// What is read of an answer on its way.
pub(crate) struct Reading {
    pub(crate) kind: ApiKind,
    pub(crate) usage: UsageReader,
    pub(crate) renamer: Renamer,
    pub(crate) asked_model: Arc<str>,
    /// Whether the answer is a stream of events, which can be ended in words.
    pub(crate) events: bool,
}

/// Puts the asked name in the place of the real one, in a downgraded answer.
pub(crate) enum Renamer {
    Nothing,
    Events(StreamRenamer),
    Json(JsonRenamer),
}

impl Renamer {
    fn push(&mut self, data: Bytes) -> Bytes {
        match self {
            Self::Nothing => data,
            Self::Events(renamer) => renamer.push(&data),
            Self::Json(renamer) => renamer.push(&data),
        }
    }
}

impl Reading {
    /// Reads a piece of the answer and gives what the client is to be sent for it.
    pub(crate) fn read(&mut self, data: Bytes) -> Bytes {
        self.usage.push(&data);
        self.renamer.push(data)
    }
}

impl PassBody {
    /// Passes on what comes after `begun`, which has been read already.
    pub(crate) fn new(
        body: UpstreamBody,
        begun: Option<Bytes>,
        reading: Reading,
        exchange: Exchange,
        idle: Duration,
    ) -> Self {
        Self {
            body,
            begun,
            reading,
            exchange: Some(exchange),
            idle,
            last_at: Instant::now(),
            alarm: Box::pin(tokio::time::sleep(idle)),
            ended: false,
        }
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(begun) = self.begun.take() {
            return Poll::Ready(Some(Ok(Frame::data(begun))));
        }
        while !self.ended {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.last_at = Instant::now();
                    // Trailers are of the connection to the provider and end here.
                    let Ok(data) = frame.into_data() else { continue };
                    let data = self.reading.read(data);
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Poll::Ready(Some(Err(BrokenOff))) => return self.broke(Class::StreamErrorOther),
                Poll::Ready(None) => return self.end(),
                Poll::Pending => {
                    if self.poll_idle(cx).is_ready() {
                        return self.broke(Class::Timeout);
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(None)
    }

    /// The alarm is not moved with each chunk; when it rings too early it is set anew.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let due = self.last_at + self.idle;
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(due);
        }
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.ended = true;
        let mid_event = self.reading.usage.observed().mid_event;
        self.reading.usage.end();
        let seen = self.reading.usage.observed();
        // A provider's own error event has told the client already.
        let told = seen.error.is_some();
        if self.reading.events && !seen.finished && !told {
            return self.broke_after(Class::StreamErrorOther, &Observed { mid_event, ..seen });
        }
        self.complete(told.then_some(Class::StreamErrorOther));
        Poll::Ready(None)
    }

    fn broke(&mut self, class: Class) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let seen = self.reading.usage.observed();
        self.broke_after(class, &seen)
    }

    /// Ends a stream that broke with the protocol's own terminal event; a body that is no stream is cut off, which
    /// its declared length tells the client.
    fn broke_after(
        &mut self,
        class: Class,
        seen: &Observed,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.ended = true;
        let event = self.exchange.as_ref().filter(|_| self.reading.events).map(|exchange| {
            let refusal = Refusal::failed(class, exchange.provider_name(), 0);
            let request_id = &exchange.draft.result.request_id;
            let reading = &self.reading;
            stream_error(reading.kind, &refusal, &exchange.id, request_id, &reading.asked_model, seen)
        });
        self.complete(Some(class));
        Poll::Ready(Some(event.map(Frame::data).ok_or(BrokenOff)))
    }

    fn complete(&mut self, failure: Option<Class>) {
        let Some(mut exchange) = self.exchange.take() else { return };
        if let Some(class) = failure {
            tracing::warn!(
                class = class.as_str(),
                provider = %exchange.provider_name(),
                decision = %exchange.id,
                "a provider's answer broke off after it had begun"
            );
            exchange.draft.result.failure_class = Some(class.as_str().to_owned());
        }
        exchange.observed(&self.reading.usage.observed());
        exchange.draft.complete = true;
    }
}

impl Drop for PassBody {
    fn drop(&mut self) {
        // The client went away: what was seen until now is still recorded.
        if let Some(exchange) = &mut self.exchange {
            exchange.observed(&self.reading.usage.observed());
        }
    }
}
