//! One connection to a provider, which has no task of its own: the request that it carries drives it.
//!
//! A task for each connection would hand every piece of an answer over to the task of the client's connection, and each
//! would be woken for it. So what has come is read, passed on and written by one task, in one turn.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::bell::Bell;
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
    /// Rings when it has something to do. So a task that was woken for something else leaves the connection alone, and a
    /// connection that rings while it is driven does not wake its own task.
    bell: Bell,
    /// Whether what is waited for may have come with what came last.
    more: bool,
}

impl Link {
    /// Begins to speak HTTP over a stream.
    ///
    /// # Errors
    /// Hyper's, which has none here yet.
    pub(crate) async fn open(stream: Stream) -> hyper::Result<Box<Self>> {
        let (sender, wire) = Builder::new().handshake(Gathered::new(stream)).await?;
        let mut link = Box::new(Self { sender, wire: Some(wire), bell: Bell::default(), more: false });
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
        self.bell.waker().wake_by_ref();
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
            if std::mem::take(&mut self.more)
                && let Poll::Ready(done) = step(&mut Context::from_waker(self.bell.waker()))
            {
                self.more = true;
                return Poll::Ready(done);
            }
            if !self.bell.has_rung_or_wakes(cx) {
                return Poll::Pending;
            }
            self.drive();
            self.more = true;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends its service of a request; says whether it can take another.
    pub(crate) fn rest(&mut self) -> bool {
        // An idle connection keeps nothing of the task that used it.
        self.bell.forget_task();
        self.more = false;
        self.wire.is_some() && self.sender.is_ready()
    }

    /// Whether it can take a request: it is open as far as is known, and done with the one before.
    pub(crate) fn is_free(&mut self) -> bool {
        if self.bell.has_rung() {
            self.drive();
        }
        self.wire.is_some() && self.sender.is_ready()
    }

    /// Reads and writes what can be read and written now.
    fn drive(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        if let Poll::Ready(ended) = Pin::new(wire).poll(&mut Context::from_waker(self.bell.waker())) {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to a provider ended with an error");
            }
            self.wire = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::coop::{poll_proceed, unconstrained};

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

    /// Reads a request to its end.
    async fn asked(provider: &mut TcpStream) {
        let mut read = Vec::new();
        while !read.ends_with(b"question") {
            assert_ne!(provider.read_buf(&mut read).await.unwrap(), 0, "the request is whole");
        }
    }

    /// Answers a request with these pieces, each of which is sent after the one before was asked for.
    async fn answer(provider: &mut TcpStream, pieces: impl IntoIterator<Item = &[u8]>) {
        provider.set_nodelay(true).unwrap();
        asked(provider).await;
        for piece in pieces {
            // Whoever has heard enough has closed it.
            let _ = provider.write_all(piece).await;
            tokio::task::yield_now().await;
        }
    }

    async fn body_of(link: &mut Link, answer: Response<Incoming>) -> hyper::Result<String> {
        let mut body = answer.into_body();
        let mut read = Vec::new();
        while let Some(frame) = {
            let mut next = pin!(body.frame());
            poll_fn(|cx| link.poll(cx, |own| next.as_mut().poll(own))).await
        } {
            read.extend_from_slice(&frame?.into_data().unwrap_or_default());
        }
        Ok(String::from_utf8(read).unwrap())
    }

    /// Sends a request and reads the answer; none when there was none, or not all of it.
    async fn ask(link: &mut Link) -> Option<String> {
        match link.send(request()).await {
            Ok(answer) => body_of(link, answer).await.ok(),
            Err(unsent) => {
                assert!(unsent.message().is_none(), "it may have been taken, and is not to be sent again");
                None
            }
        }
    }

    /// Until something has come over a connection that nobody uses.
    async fn rung(link: &Link) {
        poll_fn(|cx| if link.bell.has_rung_or_wakes(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        // It is heard here; whoever uses the connection is to hear it, too.
        link.bell.waker().wake_by_ref();
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
            let pieces = pieces.iter().map(|piece| piece.as_bytes());
            let (answered, ()) = tokio::join!(ask(&mut link), answer(&mut provider, pieces));
            assert_eq!(answered.as_deref(), Some("onetwo"));
            assert!(link.rest(), "it can be used again");
        }
    }

    #[tokio::test]
    async fn one_that_the_provider_has_closed_takes_no_request() {
        let (mut link, provider) = pair().await;
        assert!(link.is_free());
        drop(provider);
        rung(&link).await;
        assert!(!link.is_free());
        let unsent = link.send(request()).await.unwrap_err();
        assert!(unsent.message().is_some(), "it can go over another connection");
    }

    /// Answers, what is read of each, and whether the connection is used again. `|` is where the provider closes it.
    const ANSWERS: [(&str, Option<&str>, bool); 20] = [
        ("|", None, false),
        ("HTTP/1.1 200 O|", None, false),
        ("SSH-2.0-OpenSSH\r\n\r\n", None, false),
        ("HTTP/1.1 100 Continue\r\n\r\n|", None, false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none|", None, false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none|", None, false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\nx\r\n", None, false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none", Some("one"), true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\nx-a: b\r\n\r\n",
            Some("one"),
            true,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", Some(""), true),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none",
            Some("one"),
            true,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Some(""), true),
        ("HTTP/1.1 204 No Content\r\n\r\n", Some(""), true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none|", Some("one"), false),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\none", Some("one"), false),
        ("HTTP/1.1 200 OK\r\n\r\none|", Some("one"), false),
        ("HTTP/1.0 200 OK\r\n\r\none|", Some("one"), false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\none", Some("one"), false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nonetwo", Some("one"), false),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\noneHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo",
            Some("one"),
            false,
        ),
    ];

    #[tokio::test]
    async fn whatever_a_provider_sends_ends_the_request_and_a_broken_connection_takes_no_other() {
        for (sent, expected, again) in ANSWERS {
            for length in [usize::MAX, 1, 7] {
                let case = format!("{sent:?} in pieces of {length} bytes");
                let (mut link, mut provider) = pair().await;
                let bytes = sent.trim_end_matches('|').as_bytes();
                let (answered, provider) = tokio::join!(ask(&mut link), async {
                    answer(&mut provider, bytes.chunks(length.min(bytes.len()).max(1))).await;
                    (!sent.ends_with('|')).then_some(provider)
                });
                assert_eq!(answered.as_deref(), expected, "{case}");
                let mut is_free = link.rest() && link.is_free();
                while is_free && !again {
                    rung(&link).await;
                    is_free = link.is_free();
                }
                assert_eq!(is_free, again, "{case}");
                drop(provider);
            }
        }
    }

    #[tokio::test]
    async fn a_provider_that_answers_before_it_has_read_the_request_is_heard() {
        // So much fits into no buffer on the way.
        let large = Bytes::from(vec![b'x'; 32 << 20]);
        let (mut link, mut provider) = pair().await;
        let request = Request::post("/").header("host", "h").body(Full::new(large)).unwrap();
        let (answered, ()) = tokio::join!(
            async {
                let answer = link.send(request).await.unwrap();
                body_of(&mut link, answer).await.unwrap()
            },
            async {
                provider.readable().await.unwrap();
                provider.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 3\r\n\r\ntoo").await.unwrap();
            }
        );
        assert_eq!(answered, "too");
        assert!(!link.rest(), "the rest of that request is not written before another");
    }

    /// Uses up what a task may do in one turn.
    fn spend_turn(cx: &mut Context<'_>) {
        while let Poll::Ready(step) = poll_proceed(cx) {
            step.made_progress();
        }
    }

    #[tokio::test]
    async fn a_task_whose_turn_is_used_up_misses_nothing() {
        let (mut link, mut provider) = pair().await;
        let pieces = ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r", "\none\r\n", "0\r\n\r\n"];
        for _ in 0..3 {
            let mut spent = false;
            let (answered, ()) = tokio::join!(
                async {
                    let mut asked = pin!(ask(&mut link));
                    poll_fn(|cx| {
                        // Every other time it can do nothing at all, and is woken for that alone.
                        spent = !spent;
                        if spent {
                            spend_turn(cx);
                        }
                        asked.as_mut().poll(cx)
                    })
                    .await
                },
                unconstrained(answer(&mut provider, pieces.iter().map(|piece| piece.as_bytes())))
            );
            assert_eq!(answered.as_deref(), Some("one"));
            assert!(link.rest() && link.is_free());
        }
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
        link.bell.waker().wake_by_ref();
        let polled = link.poll(&mut Context::from_waker(&task), |own| {
            steps += 1;
            own.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((steps, woken.0.load(Ordering::Relaxed)), (ROUNDS_MAX - 1, 1));
        let polled = link.poll(&mut Context::from_waker(&task), |_| Poll::<()>::Pending);
        assert!(polled.is_pending(), "nothing rings any more");
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "what rings while it is driven wakes nobody");
        link.bell.waker().wake_by_ref();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_idle_connection_keeps_nothing_of_the_task_that_used_it() {
        let (mut link, mut provider) = pair().await;
        let woken = Arc::new(Woken::default());
        let task = Waker::from(Arc::clone(&woken));
        {
            let mut asked = pin!(ask(&mut link));
            let mut answered = pin!(answer(&mut provider, [ANSWERS[7].0.as_bytes()]));
            poll_fn(|cx| {
                let _ = answered.as_mut().poll(cx);
                cx.waker().wake_by_ref();
                asked
                    .as_mut()
                    .poll(&mut Context::from_waker(&task))
                    .map(|answered| assert!(answered.is_some()))
            })
            .await;
        }
        assert!(Arc::strong_count(&woken) >= 2);
        assert!(link.rest());
        assert_eq!(Arc::strong_count(&woken), 2, "the test's own");
    }

    /// What comes from another thread, at any time, wakes the task that waits for it.
    #[tokio::test]
    async fn no_ring_is_lost_between_threads() {
        let (mut link, provider) = pair().await;
        let provider = provider.into_std().unwrap();
        let answers = 100;
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                let mut provider = TcpStream::from_std(provider).unwrap();
                for _ in 0..answers {
                    answer(&mut provider, ANSWERS[8].0.as_bytes().chunks(5)).await;
                }
                assert!(provider.read_u8().await.is_err(), "it stays open until the other side closes it");
            });
        });
        for _ in 0..answers {
            assert_eq!(ask(&mut link).await.as_deref(), Some("one"));
            assert!(link.rest() && link.is_free());
        }
        drop(link);
        other.join().unwrap();
    }
}
