//! Bodies: what comes from a provider, and what goes to the client.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use weir_dialect::simulate::{End, Part};

use crate::client::PooledBody;
use crate::encoded::EncodedBody;
use crate::guest::GuestBody;
use crate::pass::PassBody;

/// An answer's body as a provider sends it, or as the simulated one plays it.
pub(crate) enum UpstreamBody {
    /// From a connection.
    Incoming(PooledBody),
    /// From a connection, compressed.
    Encoded(Box<EncodedBody>),
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
            Self::Encoded(body) => body.poll_opened(cx),
            Self::Simulated(body) => body.poll_part(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) => body.is_end_stream(),
            Self::Encoded(_) | Self::Simulated(_) => false,
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
    /// What serves paths that are not the gateway's own.
    Guest(Box<GuestBody>),
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
            Self::Guest(body) => Pin::new(body.as_mut()).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pass(_) => false,
            Self::Guest(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX)))
            }
            Self::Pass(_) => SizeHint::default(),
            Self::Guest(body) => body.size_hint(),
        }
    }
}
