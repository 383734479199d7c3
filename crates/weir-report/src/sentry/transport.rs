//! The SDK's transport over the HTTP client that weir has anyway: a bounded queue, one task, a deadline for each try.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use metrics::counter;
use sentry::client_report::{Reason, Recorder};
use sentry::{Envelope, Transport, TransportFactory, TransportOptions};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use weir_core::clock::SharedClock;

use super::limits::Limits;

/// How many envelopes wait to be sent; with one event for each fingerprint and window, few do.
const QUEUE_ENVELOPES: usize = 128;

/// How long one try takes at most.
const TRY_MAX: Duration = Duration::from_secs(10);

/// How often a page is tried that could not be sent, and how long after: losing it would be silence.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// How much of an answer is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

enum Task {
    Send(Box<Envelope>),
    Flush(oneshot::Sender<()>),
}

/// Makes the transport, when the SDK's client asks for it.
pub(super) struct Http {
    clock: SharedClock,
    queue: mpsc::Sender<Task>,
    /// Taken by the first transport that is made; a client makes one.
    tasks: Mutex<Option<mpsc::Receiver<Task>>>,
    worker: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
}

/// The sending, from outside of the SDK.
pub(super) struct Sending {
    queue: mpsc::Sender<Task>,
    _worker: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
}

impl Http {
    pub(super) fn new(clock: SharedClock) -> (Self, Sending) {
        let (queue, tasks) = mpsc::channel(QUEUE_ENVELOPES);
        let worker = Arc::new(Mutex::new(None));
        let sending = Sending { queue: queue.clone(), _worker: worker.clone() };
        (Self { clock, queue, tasks: Mutex::new(Some(tasks)), worker }, sending)
    }
}

impl Sending {
    /// Waits until everything that was queued before was sent or given up, but no longer than that.
    pub(super) async fn flush(&self, deadline: Duration) -> bool {
        let (done, finished) = oneshot::channel();
        let flushed = async { self.queue.send(Task::Flush(done)).await.is_ok() && finished.await.is_ok() };
        tokio::time::timeout(deadline, flushed).await.unwrap_or(false)
    }
}

impl TransportFactory for Http {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let recorder = options.client_report_recorder.clone();
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tasks) = tasks {
            let worker = Worker::new(options, self.clock.clone());
            let handle = AbortOnDropHandle::new(tokio::spawn(worker.run(tasks)));
            *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        }
        Arc::new(Queue { queue: self.queue.clone(), recorder })
    }
}

/// What the SDK's client sends by.
struct Queue {
    queue: mpsc::Sender<Task>,
    recorder: Recorder,
}

impl Transport for Queue {
    fn send_envelope(&self, envelope: Envelope) {
        if envelope.items().next().is_none() {
            return;
        }
        let Err(refused) = self.queue.try_send(Task::Send(Box::new(envelope))) else { return };
        let (task, reason) = match refused {
            mpsc::error::TrySendError::Full(task) => (task, Reason::QueueOverflow),
            mpsc::error::TrySendError::Closed(task) => (task, Reason::InternalError),
        };
        if let Task::Send(envelope) = task {
            self.recorder.record_lost_data(&*envelope, reason);
            ended("dropped");
            tracing::warn!("an event for Sentry was dropped: its queue is full");
        }
    }
}

/// Sends what is in the queue, one after the other.
struct Worker {
    client: HttpClient,
    uri: Option<Uri>,
    auth: String,
    user_agent: String,
    recorder: Recorder,
    clock: SharedClock,
    limits: Limits,
}

/// What came of one try.
enum Tried {
    Sent,
    /// Sentry does not take it, and will not.
    Refused(StatusCode),
    /// Sentry wants to be left alone; it counts this loss itself.
    Limited,
    /// Sentry is not well, or not reached.
    Failed(String),
}

impl Worker {
    fn new(options: TransportOptions, clock: SharedClock) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Self {
            client,
            uri: options.dsn.envelope_api_url().as_str().parse().ok(),
            auth: options.dsn.to_auth(Some(&options.user_agent)).to_string(),
            user_agent: options.user_agent.into_owned(),
            recorder: options.client_report_recorder,
            clock,
            limits: Limits::default(),
        }
    }

    async fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        while let Some(task) = tasks.recv().await {
            match task {
                Task::Send(envelope) => self.send(*envelope).await,
                Task::Flush(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    async fn send(&mut self, envelope: Envelope) {
        if self.limits.hold(self.clock.now()) {
            self.recorder.record_lost_data(&envelope, Reason::RatelimitBackoff);
            return ended("limited");
        }
        let mut body = Vec::new();
        if envelope.to_writer(&mut body).is_err() {
            self.recorder.record_lost_data(&envelope, Reason::InternalError);
            return ended("failed");
        }
        let body = Bytes::from(body);
        for tried in 1..=TRIES {
            match self.try_once(body.clone()).await {
                Tried::Sent => return ended("sent"),
                Tried::Limited => return ended("limited"),
                Tried::Refused(status) => {
                    tracing::warn!(status = status.as_u16(), "Sentry does not take an event");
                    self.recorder.record_lost_data(&envelope, Reason::SendError);
                    return ended("refused");
                }
                Tried::Failed(error) if tried == TRIES => {
                    tracing::warn!(error, tries = TRIES, "an event could not be sent to Sentry");
                    self.recorder.record_lost_data(&envelope, Reason::NetworkError);
                    return ended("failed");
                }
                Tried::Failed(_) => self.clock.sleep(PAUSE * tried).await,
            }
        }
    }

    async fn try_once(&mut self, body: Bytes) -> Tried {
        let answer = async {
            let request = self.request(body).ok_or_else(|| "the DSN makes no URL".to_owned())?;
            let answer = self.client.request(request).await.map_err(|error| chain(&error))?;
            let (head, body) = answer.into_parts();
            // Read to its end, so that the connection can be used again.
            let _ = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok::<_, String>(head)
        };
        let head = match tokio::time::timeout(TRY_MAX, answer).await {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => return Tried::Failed(error),
            Err(_) => return Tried::Failed(format!("no answer within {TRY_MAX:?}")),
        };
        self.limits.learn(head.status, &head.headers, self.clock.now());
        match head.status {
            status if status.is_success() => Tried::Sent,
            StatusCode::TOO_MANY_REQUESTS => Tried::Limited,
            status if status.is_server_error() => Tried::Failed(format!("Sentry answered {status}")),
            status => Tried::Refused(status),
        }
    }

    fn request(&self, body: Bytes) -> Option<Request<Full<Bytes>>> {
        Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone()?)
            .header("x-sentry-auth", &self.auth)
            .header("user-agent", &self.user_agent)
            .header("content-type", "application/x-sentry-envelope")
            .body(Full::new(body))
            .ok()
    }
}

fn ended(result: &'static str) {
    counter!("weir_sentry_envelopes_total", "result" => result).increment(1);
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(" | ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
