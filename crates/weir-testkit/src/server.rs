//! What the scripted servers share: accepting, counting connections, closing when dropped.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// The body of a scripted answer; an error in it cuts the connection.
pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// The scripted server cuts the connection here.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut by the script")
    }
}

impl std::error::Error for Cut {}

/// A server on a free port of the loopback that answers with `service` until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    open: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<()>,
}

impl Server {
    pub(crate) async fn start<S, F>(changed: Arc<Notify>, service: S) -> Self
    where
        S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<Body>, Cut>> + Send + 'static,
    {
        Self::start_with(None, changed, service).await
    }

    /// With TLS, if there is a certificate.
    pub(crate) async fn start_with<S, F>(tls: Option<TlsAcceptor>, changed: Arc<Notify>, service: S) -> Self
    where
        S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<Body>, Cut>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let open = Arc::new(AtomicUsize::new(0));
        let accepting = accept(listener, tls, Arc::clone(&open), changed, service);
        Self { address, open, _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)) }
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn accept<S, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    open: Arc<AtomicUsize>,
    changed: Arc<Notify>,
    service: S,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Cut>> + Send + 'static,
{
    // Dropped with this task, which closes every connection.
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let counted = Counted::new(Arc::clone(&open), Arc::clone(&changed));
        let (service, tls) = (service.clone(), tls.clone());
        connections.spawn(async move {
            let _counted = counted;
            let _ = tcp.set_nodelay(true);
            match tls {
                None => serve(tcp, service).await,
                // A client that does not trust the certificate hangs up.
                Some(tls) => {
                    if let Ok(secured) = tls.accept(tcp).await {
                        serve(secured, service).await;
                    }
                }
            }
        });
    }
}

async fn serve<I, S, F>(stream: I, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Body>, Cut>>,
{
    // An error here is a cut or a client that went away: the tests see it from the other side.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(service))
        .await;
}

/// Counts an open connection while it lives, and tells when it ends.
struct Counted(Arc<AtomicUsize>, Arc<Notify>);

impl Counted {
    fn new(open: Arc<AtomicUsize>, changed: Arc<Notify>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        changed.notify_waiters();
        Self(open, changed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.notify_waiters();
    }
}

/// A body that is there at once.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// The URL of a port of the loopback on which nothing listens: connections to it are refused.
#[must_use]
pub fn refused_url() -> String {
    // Bound and never listened on, until the process ends: nobody else can listen there.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = socket.local_addr().expect("a bound socket has an address");
    std::mem::forget(socket);
    format!("http://{address}")
}

/// Ports that the system gives to nobody by itself (on Linux it gives those from 32,768 on): a server that is killed and
/// started again on one of these does not find there a connection of somebody, not even one that was looking for it. A
/// Redis of a cluster uses the port 10,000 above its own as well, which is none of these and none of the system's.
const PORTS: std::ops::Range<u16> = 10_500..20_500;

/// A port of the loopback that was free a moment ago, for what cannot choose one by itself.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_port() -> u16 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Several processes that test at once begin at different places.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let first = random % u64::try_from(PORTS.len()).expect("a number of ports");
    let first = PORTS.start + u16::try_from(first).expect("less than there are ports");
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..PORTS.end).chain(PORTS.start..first).find(is_free).expect("a free port")
}
