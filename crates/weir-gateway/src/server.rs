//! Accepting connections: bounded in number, with a deadline for the head of each request, drained at the end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarm;
use crate::bell::Bell;
use crate::gateway::Inner;
use crate::identify::Peer;
use crate::pipeline;
use crate::turn::Gathered;

/// How long a connection may stay silent, or take to send the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// The read buffer of a connection, in bytes: bounds the head of a request, and the memory of an idle connection.
const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How long accepting pauses after an error such as "too many open files", so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A client's connection.
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    pub(crate) alarm: Alarm,
}

/// Serves until `stop`, then lets open requests finish for `limits.drain`.
pub(crate) async fn serve(inner: Arc<Inner>, listener: TcpListener, stop: CancellationToken) {
    let mut open = JoinSet::new();
    // HTTP/1.1 alone: every client library speaks it, and telling the versions apart would wait for the first bytes of
    // a silent connection without any deadline.
    let mut builder = http1::Builder::new();
    // Without `pipeline_flush`: it lifts the bound on what is buffered for a client that reads slowly.
    builder.header_read_timeout(HEAD_DEADLINE).max_buf_size(READ_BUFFER_BYTES_MAX);
    loop {
        let (stream, peer, slot) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            accepted = accept(&listener, &inner.connections) => match accepted {
                Some(accepted) => accepted,
                None => continue,
            },
        };
        open.spawn(connection(&inner, &builder, stop.clone(), (stream, peer, slot)));
    }
    drop(listener);
    let drain = inner.settings().drain;
    let ended = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!(
            drain_s = drain.as_secs_f64(),
            "open requests were cut off at the end of the drain time"
        );
    }
    // What is still open ends now and not with the process, so that each request files its record before the log is
    // flushed.
    open.shutdown().await;
}

/// Waits for room first, so that connections beyond the bound wait in the kernel's queue and cost no memory here.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Without it the first chunk of a stream can wait for the client's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn connection(
    inner: &Arc<Inner>,
    builder: &http1::Builder,
    stop: CancellationToken,
    (stream, peer, slot): (TcpStream, SocketAddr, OwnedSemaphorePermit),
) -> impl Future<Output = ()> + Send + 'static {
    let inner = Arc::clone(inner);
    let alarm = Alarm::default();
    let mut builder = builder.clone();
    builder.timer(alarm.clone());
    let from = Arc::new(Connection { peer: Peer::new(peer.ip()), alarm });
    let service = service_fn(move |request| {
        let (inner, from) = (Arc::clone(&inner), Arc::clone(&from));
        async move { Ok::<_, Infallible>(pipeline::handle(inner, request, &from).await) }
    });
    let connection = builder.serve_connection(Gathered::at_turn_end(TokioIo::new(stream)), service);
    async move {
        let (mut connection, mut stopped) = (pin!(connection), pin!(stop.cancelled()));
        let bell = Bell::default();
        bell.waker().wake_by_ref();
        let ended = poll_fn(|cx| {
            while bell.has_rung_or_wakes(cx) {
                if stopped.as_mut().poll(&mut Context::from_waker(bell.waker())).is_ready() {
                    connection.as_mut().graceful_shutdown();
                    break;
                }
            }
            connection.as_mut().poll(cx)
        });
        if let Err(error) = ended.await {
            tracing::debug!(%peer, %error, "a connection ended with an error");
        }
        drop(slot);
    }
}
