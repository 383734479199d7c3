//! The bodies of answers: one message, or a stream of events that ends with the answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame as BodyFrame, SizeHint};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use crate::mcp::frame::Frame;
use crate::mcp::hub::Listening;
use crate::mcp::link::Answer;

/// How often a silent stream says that it lives: what lies between closes connections that seem dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a client is sent.
pub enum McpBody {
    /// A whole body.
    Whole(Option<Bytes>),
    /// A stream of events.
    Events(Box<Events>),
}

/// A stream of messages.
pub struct Events {
    /// What was read before it was known to be a stream.
    first: Option<Frame>,
    frames: mpsc::Receiver<Frame>,
    /// The answer that ends it; without one it ends with the messages.
    answer: Option<oneshot::Receiver<Option<Answer>>>,
    last: Option<Frame>,
    ended: bool,
    alive: Interval,
    /// What goes on as long as somebody reads.
    _work: Option<(AbortOnDropHandle<()>, Listening)>,
}

impl McpBody {
    /// A whole body.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// A stream that ends with an answer.
    pub(crate) fn until(
        first: Option<Frame>,
        frames: mpsc::Receiver<Frame>,
        answer: oneshot::Receiver<Option<Answer>>,
        work: (AbortOnDropHandle<()>, Listening),
    ) -> Self {
        Self::Events(Box::new(Events { answer: Some(answer), ..Events::new(first, frames, Some(work)) }))
    }

    /// A stream for what belongs to no request.
    pub(crate) fn listening(frames: mpsc::Receiver<Frame>) -> Self {
        Self::Events(Box::new(Events::new(None, frames, None)))
    }
}

impl Events {
    fn new(
        first: Option<Frame>,
        frames: mpsc::Receiver<Frame>,
        work: Option<(AbortOnDropHandle<()>, Listening)>,
    ) -> Self {
        let mut alive = tokio::time::interval(KEEP_ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        alive.reset();
        Self { first, frames, answer: None, last: None, ended: false, alive, _work: work }
    }

    /// Messages come before the answer, which was sent after them.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(frame) = self.first.take() {
            return Poll::Ready(Some(event(&frame)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(answer) = &mut self.answer
            && let Poll::Ready(answered) = Pin::new(answer).poll(cx)
        {
            self.answer = None;
            self.last = answered.ok().flatten().map(|answer| answer.frame);
            // What was taken back has no answer.
            self.frames.close();
        }
        match self.frames.poll_recv(cx) {
            Poll::Ready(Some(frame)) => return Poll::Ready(Some(event(&frame))),
            Poll::Ready(None) => {
                self.ended = true;
                return Poll::Ready(self.last.take().map(|frame| event(&frame)));
            }
            Poll::Pending => {}
        }
        ready!(self.alive.poll_tick(cx));
        Poll::Ready(Some(Bytes::from_static(b": alive\n\n")))
    }
}

/// One message as an event. Line breaks between its parts are spaces as well.
fn event(frame: &Frame) -> Bytes {
    let breaks = |b: &u8| matches!(b, b'\n' | b'\r');
    let mut text = BytesMut::with_capacity(frame.bytes().len() + 24);
    text.extend_from_slice(b"event: message\ndata: ");
    let start = text.len();
    text.extend_from_slice(frame.bytes());
    text.iter_mut().skip(start).filter(|b| breaks(b)).for_each(|b| *b = b' ');
    text.extend_from_slice(b"\n\n");
    text.freeze()
}

impl Body for McpBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(BodyFrame::data(bytes)))),
            Self::Events(events) => {
                events.poll_event(cx).map(|event| event.map(|event| Ok(BodyFrame::data(event))))
            }
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
            Self::Events(_) => SizeHint::default(),
        }
    }
}
