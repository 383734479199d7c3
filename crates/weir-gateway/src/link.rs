//! One connection to a provider, which has no task of its own: the request that it carries drives it.
//!
//! A task for each connection would hand every piece of an answer over to the task of the client's connection, and each
//! would be woken for it. So what has come is read, passed on and written by one task, in one turn.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::turn::Gathered;

/// The stream of a connection, with TLS or without.
pub(crate) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

type Wire = Connection<Gathered<Stream>, Full<Bytes>>;

/// How often a connection that rings again and again is driven before others get their turn.
const ROUNDS_MAX: usize = 4;

/// A connection: one end takes requests, the other moves bytes.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// None once the connection has ended.
    wire: Option<Wire>,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// Rings when a connection has something to do, and wakes the task that waits for it. So a task that was woken for
/// something else leaves the connection alone, and a connection that rings while it is driven does not wake its own task.
#[derive(Default)]
struct Bell {
    rang: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Link {
    /// Begins to speak HTTP over a stream.
    ///
    /// # Errors
    /// Hyper's, which has none here yet.
    pub(crate) async fn open(stream: Stream) -> hyper::Result<Box<Self>> {
        let (sender, wire) = Builder::new().handshake(Gathered::new(stream)).await?;
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut link = Box::new(Self { sender, wire: Some(wire), bell, waker });
        // It takes requests once it has been driven.
        link.drive();
        Ok(link)
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// The connection broke; the error has the request if none of it was taken.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        self.bell.rang.store(true, Ordering::Release);
        poll_fn(|cx| self.poll(cx, |own| answer.as_mut().poll(own))).await
    }

    /// Drives the connection whenever it rang, until `step` is ready, which is polled after that and only then: what it
    /// waits for comes over this connection.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        for _ in 0..ROUNDS_MAX {
            if !self.bell.rang.swap(false, Ordering::AcqRel) {
                self.bell.task.register(cx.waker());
                if !self.bell.rang.load(Ordering::Acquire) {
                    return Poll::Pending;
                }
                continue;
            }
            self.drive();
            if let Poll::Ready(done) = step(&mut Context::from_waker(&self.waker)) {
                // What comes next is looked for without waiting for the bell.
                self.bell.rang.store(true, Ordering::Release);
                return Poll::Ready(done);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends its service of a request; says whether it can take another.
    pub(crate) fn rest(&mut self) -> bool {
        // An idle connection keeps nothing of the task that used it.
        self.bell.task.take();
        self.wire.is_some() && self.sender.is_ready()
    }

    /// Whether it can take a request: it is open as far as is known, and done with the one before.
    pub(crate) fn is_free(&mut self) -> bool {
        if self.bell.rang.swap(false, Ordering::AcqRel) {
            self.drive();
        }
        self.wire.is_some() && self.sender.is_ready()
    }

    /// Reads and writes what can be read and written now.
    fn drive(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        if let Poll::Ready(ended) = Pin::new(wire).poll(&mut Context::from_waker(&self.waker)) {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to a provider ended with an error");
            }
            self.wire = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Box<Link>, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (ours, theirs) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let link = Link::open(MaybeHttpsStream::Http(TokioIo::new(ours.unwrap()))).await.unwrap();
        (link, theirs.unwrap().0)
    }

    fn request() -> Request<Full<Bytes>> {
        Request::post("/").header("host", "h").body(Full::new(Bytes::from_static(b"question"))).unwrap()
    }

    /// Answers a request with these pieces, each of which is sent after the one before was asked for.
    async fn answer(provider: &mut TcpStream, pieces: &[&str]) {
        let mut read = Vec::new();
        while !read.ends_with(b"question") {
            provider.read_buf(&mut read).await.unwrap();
        }
        for piece in pieces {
            provider.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    async fn body_of(link: &mut Link, answer: Response<Incoming>) -> String {
        let mut body = answer.into_body();
        let mut read = Vec::new();
        while let Some(frame) = {
            let mut next = pin!(body.frame());
            poll_fn(|cx| link.poll(cx, |own| next.as_mut().poll(own))).await
        } {
            read.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        String::from_utf8(read).unwrap()
    }

    #[tokio::test]
    async fn one_connection_carries_one_request_after_the_other() {
        let (mut link, mut provider) = pair().await;
        let chunked = [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: ch",
            "unked\r\n\r\n3\r\none",
            "\r\n3\r\ntwo\r\n0\r\n\r\n",
        ];
        let whole = ["HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none", "two"];
        for pieces in [&chunked[..], &whole[..]] {
            assert!(link.is_free());
            let (answered, ()) = tokio::join!(
                async {
                    let answer = link.send(request()).await.unwrap();
                    body_of(&mut link, answer).await
                },
                answer(&mut provider, pieces)
            );
            assert_eq!(answered, "onetwo");
            assert!(link.rest(), "it can be used again");
        }
    }

    #[tokio::test]
    async fn one_that_the_provider_has_closed_takes_no_request() {
        let (mut link, provider) = pair().await;
        assert!(link.is_free());
        drop(provider);
        poll_fn(|cx| {
            link.bell.task.register(cx.waker());
            if link.bell.rang.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(!link.is_free());
        let unsent = link.send(request()).await.unwrap_err();
        assert!(unsent.message().is_some(), "it can go over another connection");
    }

    /// Counts how often it wakes.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn what_rings_without_end_lets_others_run() {
        let (mut link, _provider) = pair().await;
        let woken = Arc::new(Woken::default());
        let task = Waker::from(Arc::clone(&woken));
        let mut steps = 0;
        link.waker.wake_by_ref();
        let polled = link.poll(&mut Context::from_waker(&task), |own| {
            steps += 1;
            own.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((steps, woken.0.load(Ordering::Relaxed)), (ROUNDS_MAX, 1));
        let polled = link.poll(&mut Context::from_waker(&task), |_| Poll::<()>::Pending);
        assert!(polled.is_pending(), "nothing rings any more");
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "what rings while it is driven wakes nobody");
        link.waker.wake_by_ref();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }
}
