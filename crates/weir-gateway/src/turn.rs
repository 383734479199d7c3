//! Writing little often: the parts of a message as one, and at the end of a turn of the event loop.
//!
//! What is written wakes whoever reads it, and to wake a processor that sleeps costs more than most of what a request is
//! judged by. So what has something to write first lets all that is ready run, and what they have all come to is written
//! one after the other: the first of it wakes the reader, which is awake for the rest. Where nothing else is ready the
//! turn ends at once.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};

/// Up to so many bytes the parts of an answer are put together before they are written: for the kernel one part is less
/// work than two are, by more than copying so little costs.
const GATHERED_BYTES_MAX: usize = 4096;

thread_local! {
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED_BYTES_MAX));
}

/// A connection whose small parts are written as one.
pub(crate) struct Gathered<T> {
    io: T,
    /// Whether it waits for the end of a turn.
    waits: bool,
    /// Whether it need not any more until all is written.
    waited: bool,
}

impl<T> Gathered<T> {
    /// One that is written to at once.
    pub(crate) const fn new(io: T) -> Self {
        Self { io, waits: false, waited: true }
    }

    /// One that is written to at the end of a turn.
    pub(crate) const fn at_turn_end(io: T) -> Self {
        Self { io, waits: true, waited: false }
    }
}

impl<T: Read + Unpin> Read for Gathered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, into)
    }
}

impl<T: Write + Unpin> Write for Gathered<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        ready!(poll_turn(&mut this.waited, cx));
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        ready!(poll_turn(&mut this.waited, cx));
        let io = Pin::new(&mut this.io);
        if parts.iter().map(|part| part.len()).sum::<usize>() > GATHERED_BYTES_MAX {
            return io.poll_write_vectored(cx, parts);
        }
        GATHERED.with_borrow_mut(|gathered| {
            gathered.clear();
            parts.iter().for_each(|part| gathered.extend_from_slice(part));
            io.poll_write(cx, gathered)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        this.waited = !this.waits;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Waits until what is ready now has run.
pub(crate) async fn all_others() {
    let mut waited = false;
    poll_fn(|cx| poll_turn(&mut waited, cx)).await;
}

/// Ready once what was ready before has run.
fn poll_turn(waited: &mut bool, cx: &Context<'_>) -> Poll<()> {
    if std::mem::replace(waited, true) {
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    type Log = Rc<RefCell<Vec<String>>>;

    /// Notes what is written to it, and takes so many bytes at once.
    struct Noted {
        log: Log,
        name: &'static str,
        takes: usize,
    }

    impl Write for Noted {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            let taken = &bytes[..bytes.len().min(self.takes)];
            self.log.borrow_mut().push(format!("{} sends {}", self.name, String::from_utf8_lossy(taken)));
            Poll::Ready(Ok(taken.len()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<Result<usize>> {
            self.log.borrow_mut().push(format!("{} sends {} parts", self.name, parts.len()));
            Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn connection(log: &Log, name: &'static str, takes: usize) -> Gathered<Noted> {
        Gathered::at_turn_end(Noted { log: Rc::clone(log), name, takes })
    }

    async fn answer(io: &mut Gathered<Noted>, parts: [&str; 2]) -> usize {
        io.io.log.borrow_mut().push(format!("{} works", io.io.name));
        let parts = parts.map(|part| IoSlice::new(part.as_bytes()));
        let written = poll_fn(|cx| Pin::new(&mut *io).poll_write_vectored(cx, &parts)).await.unwrap();
        poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)).await.unwrap();
        written
    }

    #[tokio::test]
    async fn all_that_is_ready_works_before_anything_is_sent() {
        let log = Log::default();
        let (mut first, mut second) = (connection(&log, "a", 99), connection(&log, "b", 99));
        // On the same connections again: each answer waits for the end of its own turn.
        for body in ["body", "another"] {
            tokio::join!(answer(&mut first, ["head ", body]), answer(&mut second, ["head ", body]));
            let mut done = std::mem::take(&mut *log.borrow_mut());
            done[..2].sort();
            done[2..].sort();
            let expected = format!("a works, b works, a sends head {body}, b sends head {body}");
            assert_eq!(done.join(", "), expected);
        }
    }

    #[tokio::test]
    async fn what_was_taken_in_part_is_told_and_goes_on_at_once() {
        let log = Log::default();
        let mut io = connection(&log, "a", 3);
        let parts = [IoSlice::new(b"he"), IoSlice::new(b"ad")];
        let written = poll_fn(|cx| Pin::new(&mut io).poll_write_vectored(cx, &parts)).await.unwrap();
        assert_eq!(written, 3);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(
            Pin::new(&mut io).poll_write(&mut cx, b"d").is_ready(),
            "it is this connection's turn already"
        );
        assert_eq!(log.borrow().join(", "), "a sends hea, a sends d");
    }

    #[tokio::test]
    async fn what_is_large_is_not_copied() {
        let log = Log::default();
        let mut io = connection(&log, "a", 99);
        let large = "x".repeat(GATHERED_BYTES_MAX);
        assert_eq!(answer(&mut io, [&large, "y"]).await, GATHERED_BYTES_MAX + 1);
        assert_eq!(log.borrow().join(", "), "a works, a sends 2 parts");
    }
}
