//! HTTP/1.1 connections to providers, kept open between requests.
//!
//! One connection carries one request at a time, so that no stream waits behind another. It has no task of its own: the
//! request that it carries drives it, so that what has come is read, passed on and written in one turn of one task. A
//! connection is used by the thread that opened it: each thread of the data plane has idle connections of its own.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::Instant;
use tower_service::Service as _;

use crate::link::Link;
use crate::resolver::Resolver;
use crate::turn;

/// How long an idle connection is kept: below what providers and their load balancers allow, so that a request seldom
/// meets a connection that has just been closed.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Idle connections that a thread keeps to one provider.
const IDLE_CONNECTIONS_MAX: usize = 1024;

/// Threads that have idle connections of their own; further ones share.
const SHARDS: usize = 64;

/// How long a connection of the operating system may be silent before it is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A client over HTTP/1.1. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(crate) struct HttpClient {
    connector: HttpsConnector<HttpConnector<Resolver>>,
    idle: Arc<Idle>,
}

/// A request that got no answer. Its source says why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// There was no connection.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke, or what came was no HTTP.
    #[error("the request failed")]
    Send(#[source] hyper::Error),
}

impl ClientError {
    pub(crate) const fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_))
    }
}

/// Scheme, host and port: requests of the same origin share connections.
type Origin = Arc<str>;

/// Where requests go: a URL, taken apart once and not with each request.
pub(crate) struct Destination {
    origin: Origin,
    /// What to connect to.
    whole: Uri,
    /// What is asked for there.
    path: Uri,
    host: HeaderValue,
}

impl Destination {
    /// None when the text is no absolute URL.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let whole: Uri = url.parse().ok()?;
        let authority = whole.authority()?.as_str();
        let origin = format!("{}://{authority}", whole.scheme_str()?).to_ascii_lowercase().into();
        let host = HeaderValue::from_str(authority).ok()?;
        let path = whole.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Some(Self { origin, path: path.into(), host, whole })
    }
}

#[derive(Default)]
struct Idle {
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    connections: HashMap<Origin, Vec<(Box<Link>, Instant)>, foldhash::fast::RandomState>,
    sweeping: bool,
}

/// The shard of this thread.
fn shard_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        let known = number.get().unwrap_or_else(|| THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
        number.set(Some(known));
        known
    })
}

impl Idle {
    fn with<T>(&self, shard: usize, work: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        self.shards.get(shard).map(|shard| work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The connection that was used last, if it is still open.
    fn take(&self, origin: &Origin) -> Option<Box<Link>> {
        self.with(shard_number(), |shard| {
            let connections = shard.connections.get_mut(origin)?;
            std::iter::from_fn(|| connections.pop()).find_map(|(mut link, _)| link.is_free().then_some(link))
        })?
    }

    fn put(self: &Arc<Self>, shard: usize, origin: &Origin, link: Box<Link>) {
        let sweep = self.with(shard, |shard| {
            let entry = match shard.connections.get_mut(origin) {
                Some(connections) => connections,
                None => shard.connections.entry(origin.clone()).or_default(),
            };
            if entry.len() < IDLE_CONNECTIONS_MAX {
                entry.push((link, Instant::now()));
            }
            !std::mem::replace(&mut shard.sweeping, true)
        });
        if sweep == Some(true) {
            tokio::spawn(sweep_while_used(Arc::downgrade(self), shard));
        }
    }

    /// Closes what is idle for too long; says whether anything is left.
    fn sweep(&self, shard: usize) -> bool {
        let now = Instant::now();
        self.with(shard, |shard| {
            shard.connections.retain(|_, connections| {
                connections.retain_mut(|(link, since)| now < *since + IDLE_MAX && link.is_free());
                !connections.is_empty()
            });
            shard.sweeping = !shard.connections.is_empty();
            shard.sweeping
        })
        .unwrap_or(false)
    }
}

async fn sweep_while_used(idle: Weak<Idle>, shard: usize) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if !idle.upgrade().is_some_and(|idle| idle.sweep(shard)) {
            return;
        }
    }
}

impl HttpClient {
    /// A client that gives a connection so long to come about.
    pub(crate) fn new(connect: Duration) -> Self {
        let mut connector = HttpConnector::new_with_resolver(Resolver::new());
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect));
        connector.set_keepalive(Some(KEEPALIVE));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { connector, idle: Arc::new(Idle { shards }) }
    }

    /// Sends a request there and waits for the head of the answer.
    ///
    /// A connection that the other side closed before it took the request is replaced; a request that may have been
    /// taken is never sent twice.
    ///
    /// # Errors
    /// There was no connection, or it broke.
    pub(crate) async fn request(
        &self,
        to: &Destination,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, ClientError> {
        request.headers_mut().entry(HOST).or_insert_with(|| to.host.clone());
        *request.uri_mut() = to.path.clone();
        loop {
            let reused = self.idle.take(&to.origin);
            let is_reused = reused.is_some();
            let mut link = match reused {
                Some(link) => link,
                // Apart, because it is large and seldom: what every request waits in stays small.
                None => Box::pin(self.connect(&to.whole)).await?,
            };
            turn::all_others().await;
            match link.send(request).await {
                Ok(response) => {
                    let (origin, idle) = (Arc::clone(&to.origin), Arc::clone(&self.idle));
                    let lease = Lease { origin, shard: shard_number(), idle, link };
                    return Ok(response.map(|body| PooledBody::new(body, lease)));
                }
                Err(mut unsent) => match unsent.take_message() {
                    Some(message) if is_reused => request = message,
                    _ => return Err(ClientError::Send(unsent.into_error())),
                },
            }
        }
    }

    async fn connect(&self, target: &Uri) -> Result<Box<Link>, ClientError> {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await.map_err(ClientError::Connect)?;
        let stream = connector.call(target.clone()).await.map_err(ClientError::Connect)?;
        Link::open(stream).await.map_err(ClientError::Send)
    }
}

/// A connection that a body is read from.
struct Lease {
    origin: Origin,
    shard: usize,
    idle: Arc<Idle>,
    link: Box<Link>,
}

/// The body of an answer. Its connection is used again once it was read to its end, and closed when it is dropped before.
pub(crate) struct PooledBody {
    body: Incoming,
    lease: Option<Lease>,
}

impl PooledBody {
    fn new(body: Incoming, lease: Lease) -> Self {
        let mut pooled = Self { body, lease: Some(lease) };
        if pooled.body.is_end_stream() {
            pooled.give_back();
        }
        pooled
    }

    fn give_back(&mut self) {
        if let Some(Lease { origin, shard, idle, mut link }) = self.lease.take()
            && link.rest()
        {
            idle.put(shard, &origin, link);
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut body = Pin::new(&mut this.body);
        let frame = ready!(match &mut this.lease {
            Some(lease) => lease.link.poll(cx, |own| body.as_mut().poll_frame(own)),
            None => body.poll_frame(cx),
        });
        match &frame {
            None => this.give_back(),
            Some(Ok(_)) if this.body.is_end_stream() => this.give_back(),
            Some(Ok(_)) => {}
            Some(Err(_)) => this.lease = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    /// How long what should happen at once may take.
    const SOON: Duration = Duration::from_secs(10);

    /// A client, a provider and the way to it.
    async fn set_up() -> (HttpClient, TcpListener, Destination) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        (HttpClient::new(Duration::from_secs(5)), listener, Destination::parse(&url).unwrap())
    }

    async fn ask(client: &HttpClient, to: &Destination) -> Response<PooledBody> {
        let request = Request::post("/").body(Full::new(Bytes::from_static(b"question"))).unwrap();
        client.request(to, request).await.unwrap()
    }

    async fn answer(provider: &mut TcpStream) {
        let mut read = Vec::new();
        while !read.ends_with(b"question") {
            assert_ne!(provider.read_buf(&mut read).await.unwrap(), 0, "a whole request");
        }
        provider.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await.unwrap();
    }

    /// Whether there is an idle connection, which stays where it is.
    fn has_idle(client: &HttpClient, to: &Destination) -> bool {
        let taken = client.idle.take(&to.origin);
        let has = taken.is_some();
        if let Some(link) = taken {
            client.idle.put(shard_number(), &to.origin, link);
        }
        has
    }

    async fn closed(client: &HttpClient, to: &Destination) {
        let closed = async {
            while has_idle(client, to) {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, closed).await.expect("it is seen that it was closed");
    }

    /// Closed or reset, as it is where something was not read.
    async fn is_closed(provider: &mut TcpStream) {
        let rest = timeout(SOON, provider.read_to_end(&mut Vec::new())).await;
        rest.expect("the connection is closed").ok();
    }

    #[tokio::test]
    async fn an_idle_connection_is_used_again_until_its_provider_closes_it() {
        let (client, listener, to) = set_up().await;
        for _ in 0..2 {
            let mut provider = None;
            for _ in 0..3 {
                let (answered, provider) = tokio::join!(ask(&client, &to), async {
                    if provider.is_none() {
                        provider = Some(listener.accept().await.unwrap().0);
                    }
                    answer(provider.as_mut().unwrap()).await;
                    &mut provider
                });
                assert_eq!(answered.into_body().collect().await.unwrap().to_bytes(), "one");
                assert!(provider.is_some() && has_idle(&client, &to));
            }
            drop(provider);
            closed(&client, &to).await;
        }
    }

    #[tokio::test]
    async fn what_its_provider_has_closed_is_swept_away() {
        let (client, listener, to) = set_up().await;
        let (answered, mut provider) = tokio::join!(ask(&client, &to), async {
            let (mut provider, _) = listener.accept().await.unwrap();
            answer(&mut provider).await;
            provider
        });
        answered.into_body().collect().await.unwrap();
        assert!(client.idle.sweep(shard_number()), "it stays while it is open");
        provider.shutdown().await.unwrap();
        let swept = async {
            while client.idle.sweep(shard_number()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, swept).await.expect("nothing is left");
        is_closed(&mut provider).await;
    }

    #[tokio::test]
    async fn a_connection_whose_answer_nobody_reads_to_its_end_is_closed() {
        let (client, listener, to) = set_up().await;
        let (answered, mut provider) = tokio::join!(ask(&client, &to), async {
            let (mut provider, _) = listener.accept().await.unwrap();
            answer(&mut provider).await;
            provider
        });
        drop(answered);
        assert!(!has_idle(&client, &to));
        is_closed(&mut provider).await;
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_takes_its_connection_along() {
        let (client, listener, to) = set_up().await;
        let mut provider = tokio::select! {
            _ = ask(&client, &to) => panic!("nothing was answered"),
            provider = async {
                let (mut provider, _) = listener.accept().await.unwrap();
                assert_ne!(provider.read(&mut [0; 4096]).await.unwrap(), 0, "the request has come");
                provider
            } => provider,
        };
        assert!(!has_idle(&client, &to));
        is_closed(&mut provider).await;
    }
}
