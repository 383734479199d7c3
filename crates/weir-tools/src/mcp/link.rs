//! The way to a tool server: a program over its pipes, or streamable HTTP. A link starts the server on first use,
//! starts it again with growing pauses when it dies, and says at once what cannot be answered any more.

mod backoff;
mod child;
mod events;
pub(crate) mod http;
mod pending;
mod process;

use std::time::Duration;

use ::http::HeaderMap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::mcp::frame::{Frame, IdKey};
use crate::mcp::timed::{Side, Timed};

pub(crate) use child::{ChildLink, Sharing};
pub(crate) use events::Events;
pub(crate) use http::{HttpClient, HttpLink, http_client};
pub(crate) use pending::Pending;
pub use process::{ChildCommand, Stderr};

/// Where a server's messages go that are no answers. It holds few: a client that does not read stops its server.
pub(crate) type Outlet = mpsc::Sender<Frame>;

/// How many messages wait for a client that reads slowly.
pub(crate) const OUTLET_FRAMES_MAX: usize = 32;

/// How long a server may take to take a message.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a server that was started again may take to shake hands.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(20);

/// Why there is no answer. The words are for the one who asked, and name no more of the server than its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It could not be started or reached.
    #[error("the tool server could not be reached: {0}")]
    Unreachable(String),
    /// It has died and is not started again yet.
    #[error("the tool server has died; it is started again in {} s at the earliest", .0.as_secs().max(1))]
    Down(Duration),
    /// It died, or cut the connection, before it answered.
    #[error("the tool server ended before it answered; whether the request took effect is not known")]
    Ended,
    /// Its answer is over the limit.
    #[error("the tool server's answer is longer than {} MiB", super::frame::FRAME_BYTES_MAX / (1024 * 1024))]
    TooLong,
    /// Its answer cannot be read.
    #[error("the tool server's answer is no message of the protocol: {0}")]
    Malformed(String),
    /// It does not take messages.
    #[error("the tool server does not take messages")]
    Stuck,
    /// It refused the request as HTTP.
    #[error("the tool server answered with HTTP status {0}")]
    Status(u16),
    /// The id is that of a request which is still open.
    #[error("the id is that of another request which is not answered yet")]
    IdTaken,
    /// Too many requests are open.
    #[error("too many requests to the tool server are not answered yet")]
    Busy,
    /// The client took its request back.
    #[error("the request was cancelled")]
    Cancelled,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The response.
    pub(crate) frame: Frame,
    /// The status it came with, where that was HTTP and says more than the body.
    pub(crate) status: Option<u16>,
}

impl From<Frame> for Answer {
    fn from(frame: Frame) -> Self {
        Self { frame, status: None }
    }
}

/// An answer that is to come. Dropping it takes the request back.
pub(crate) type Waiting = BoxFuture<'static, Result<Answer, Trouble>>;

/// A request on its way to a server.
#[derive(Clone)]
pub(crate) struct Outgoing {
    /// The request.
    pub(crate) frame: Frame,
    /// Where go what the server says about it before it answers.
    pub(crate) outlet: Outlet,
    /// The headers of the protocol that came with it, for a server that speaks HTTP.
    pub(crate) headers: HeaderMap,
}

/// One connection to a server.
pub(crate) enum Link {
    /// A program.
    Child(ChildLink),
    /// Streamable HTTP.
    Http(HttpLink),
}

impl Link {
    /// Sends a request. When this returns it has been sent to a program, so that the order of requests is kept.
    pub(crate) async fn begin(&self, request: Outgoing) -> Result<Waiting, Trouble> {
        let timed = Timed::begin(Side::Client, &request.frame);
        let waiting = match self {
            Self::Child(link) => link.begin(request).await,
            Self::Http(link) => Ok(link.begin(request)),
        };
        match waiting {
            Ok(waiting) => Ok(async move {
                let answer = waiting.await;
                timed.ended(answer.as_ref());
                answer
            }
            .boxed()),
            Err(trouble) => {
                timed.ended(Err(&trouble));
                Err(trouble)
            }
        }
    }

    /// Sends what wants no answer.
    pub(crate) async fn notify(&self, frame: &Frame, headers: &HeaderMap) -> Result<(), Trouble> {
        match self {
            Self::Child(link) => link.notify(frame).await,
            Self::Http(link) => link.notify(frame, headers).await,
        }
    }

    /// Forgets a request whose client has taken it back by itself.
    pub(crate) async fn forget(&self, id: &IdKey) {
        match self {
            Self::Child(link) => link.forget(id).await,
            Self::Http(link) => link.forget(id),
        }
    }

    /// Ends the connection in order.
    pub(crate) async fn close(&self) {
        match self {
            Self::Child(link) => link.close().await,
            Self::Http(link) => link.close().await,
        }
    }
}

/// What was said at the beginning of a session, to be said again to a server that was started again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshake {
    /// The `initialize` request that was answered.
    pub(crate) initialize: Option<Frame>,
    /// The notification that the client is ready.
    pub(crate) initialized: Option<Frame>,
    /// The last `logging/setLevel`.
    pub(crate) log_level: Option<Frame>,
}

impl Handshake {
    /// Takes note of what belongs to it.
    pub(crate) fn note(&mut self, frame: &Frame) {
        match frame.method() {
            Some("initialize") => self.initialize = Some(frame.clone()),
            Some("notifications/initialized") => self.initialized = Some(frame.clone()),
            Some("logging/setLevel") => self.log_level = Some(frame.clone()),
            _ => {}
        }
    }
}
