//! An OpenTelemetry collector, played on a free port: it takes OTLP over HTTP, reads it by the official definitions, and
//! keeps the spans and metrics.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::authority;
use crate::deadline::until;
use crate::server::{Body, Cut, Server, full};

/// Attributes by their names.
pub type Attributes = BTreeMap<String, Value>;

/// One span as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    /// The trace in hexadecimal digits.
    pub trace: String,
    /// The span.
    pub id: String,
    /// Its parent; empty for none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Whether its status is an error.
    pub failed: bool,
    /// Its attributes.
    pub attributes: Attributes,
    /// Those of the process.
    pub resource: Attributes,
}

/// One point of a metric as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedPoint {
    /// The metric.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Its dimensions.
    pub attributes: Attributes,
    /// The value; of a histogram the sum.
    pub value: f64,
    /// Of a histogram: the counts of its buckets.
    pub buckets: Vec<u64>,
    /// Of a histogram: their bounds.
    pub bounds: Vec<f64>,
}

enum Answer {
    Head(u16),
    Reject(i64),
    Hang,
}

/// A collector that keeps what it is sent. What is not OTLP is answered with 400 and kept in [`FakeCollector::faults`].
pub struct FakeCollector {
    server: Server,
    tls: bool,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    spans: Mutex<Vec<ReceivedSpan>>,
    points: Mutex<Vec<ReceivedPoint>>,
    bytes: Mutex<Vec<u8>>,
    headers: Mutex<Vec<HeaderMap>>,
    faults: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<Answer>>,
    changed: Arc<Notify>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while the lock is held")
}

impl FakeCollector {
    /// The authority that a client of a collector with TLS must trust, in PEM.
    pub const AUTHORITY: &str = authority::AUTHORITY;

    /// Starts it.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts it with TLS, by a certificate of an authority that nobody knows: [`FakeCollector::AUTHORITY`].
    pub async fn start_tls() -> Self {
        Self::start_with(Some(authority::acceptor())).await
    }

    async fn start_with(acceptor: Option<TlsAcceptor>) -> Self {
        let state = Arc::new(State::default());
        let service = {
            let state = Arc::clone(&state);
            move |request| serve(Arc::clone(&state), request)
        };
        let tls = acceptor.is_some();
        let server = Server::start_with(acceptor, Arc::clone(&state.changed), service).await;
        Self { server, state, tls }
    }

    /// The endpoint to configure.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// Answers the next `times` requests with this status, and does not keep them.
    pub fn refuse(&self, status: u16, times: usize) {
        lock(&self.state.answers).extend(std::iter::repeat_with(|| Answer::Head(status)).take(times));
    }

    /// Takes the next spans, but says that so many were rejected. What comes of metrics meanwhile is taken.
    pub fn reject_once(&self, spans: i64) {
        lock(&self.state.answers).push_back(Answer::Reject(spans));
    }

    /// Answers well again, whatever was asked for before.
    pub fn recover(&self) {
        lock(&self.state.answers).clear();
    }

    /// Never answers the next `times` requests.
    pub fn hang(&self, times: usize) {
        lock(&self.state.answers).extend(std::iter::repeat_with(|| Answer::Hang).take(times));
    }

    /// The spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        lock(&self.state.spans).clone()
    }

    /// The points of metrics so far.
    #[must_use]
    pub fn points(&self) -> Vec<ReceivedPoint> {
        lock(&self.state.points).clone()
    }

    /// The headers of the requests so far.
    #[must_use]
    pub fn headers(&self) -> Vec<HeaderMap> {
        lock(&self.state.headers).clone()
    }

    /// What was sent that is no OTLP.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        lock(&self.state.faults).clone()
    }

    /// Everything that was sent, as bytes: to look for what must never be.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.state.bytes).clone()
    }

    /// Waits until there are spans that `look` is content with, and gives what it gives.
    pub async fn wait_for<T>(&self, what: &str, look: impl Fn(&[ReceivedSpan]) -> Option<T>) -> T {
        until(&self.state.changed, what, || look(&lock(&self.state.spans))).await
    }

    /// Waits until there are points of a metric.
    pub async fn wait_for_metric(&self, name: &str) {
        let what = format!("the metric {name} at the collector");
        until(&self.state.changed, &what, || {
            lock(&self.state.points).iter().any(|point| point.metric == name).then_some(())
        })
        .await;
    }

    /// Waits until all scripted answers were used.
    pub async fn wait_for_answers(&self) {
        until(&self.state.changed, "the collector's answers", || {
            lock(&self.state.answers).is_empty().then_some(())
        })
        .await;
    }
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let is_spans = head.uri.path().ends_with("/traces");
    let scripted = lock(&state.answers).pop_front_if(|next| is_spans || !matches!(next, Answer::Reject(_)));
    lock(&state.headers).push(head.headers.clone());
    let answer = match scripted {
        Some(Answer::Head(status)) => respond(status, Vec::new()),
        Some(Answer::Hang) => {
            state.changed.notify_waiters();
            std::future::pending().await
        }
        Some(Answer::Reject(rejected_spans)) => {
            let success = ExportTracePartialSuccess { rejected_spans, error_message: String::new() };
            respond(200, ExportTraceServiceResponse { partial_success: Some(success) }.encode_to_vec())
        }
        None => {
            lock(&state.bytes).extend_from_slice(&body);
            match state.keep(&head, &body) {
                Ok(()) => respond(200, Vec::new()),
                Err(fault) => {
                    lock(&state.faults).push(fault);
                    respond(400, Vec::new())
                }
            }
        }
    };
    state.changed.notify_waiters();
    Ok(answer)
}

fn respond(status: u16, body: Vec<u8>) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/x-protobuf");
    response.body(full(body)).expect("a well-formed answer")
}

impl State {
    fn keep(&self, head: &hyper::http::request::Parts, body: &[u8]) -> Result<(), String> {
        if head.method != "POST"
            || head.headers.get("content-type").is_none_or(|t| t != "application/x-protobuf")
        {
            return Err(format!("{} {} is no OTLP: {:?}", head.method, head.uri, head.headers));
        }
        match head.uri.path() {
            "/v1/traces" => {
                let request = ExportTraceServiceRequest::decode(body).map_err(|error| error.to_string())?;
                for resource in request.resource_spans {
                    let of = attributes(&resource.resource.unwrap_or_default().attributes);
                    let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                    lock(&self.spans).extend(spans.map(|span| received(span, &of)));
                }
            }
            "/v1/metrics" => {
                let request = ExportMetricsServiceRequest::decode(body).map_err(|error| error.to_string())?;
                let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
                for metric in scopes.flat_map(|scope| scope.metrics) {
                    lock(&self.points).extend(points(&metric));
                }
            }
            other => return Err(format!("{other} is where nothing goes")),
        }
        Ok(())
    }
}

fn received(span: Span, resource: &Attributes) -> ReceivedSpan {
    ReceivedSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
        failed: span.status.is_some_and(|status| status.code == 2),
        attributes: attributes(&span.attributes),
        resource: resource.clone(),
    }
}

fn points(metric: &Metric) -> Vec<ReceivedPoint> {
    let point = |attributes: &[KeyValue], value| ReceivedPoint {
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        attributes: self::attributes(attributes),
        value,
        buckets: Vec::new(),
        bounds: Vec::new(),
    };
    let number = |value: Option<number_data_point::Value>| match value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        other => panic!("{}: {other:?}", metric.name),
    };
    match &metric.data {
        Some(metric::Data::Sum(sum)) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{}", metric.name);
            sum.data_points.iter().map(|p| point(&p.attributes, number(p.value))).collect()
        }
        Some(metric::Data::Gauge(gauge)) => {
            gauge.data_points.iter().map(|p| point(&p.attributes, number(p.value))).collect()
        }
        Some(metric::Data::Histogram(histogram)) => {
            let of = |p: &opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint| {
                assert_eq!(p.bucket_counts.iter().sum::<u64>(), p.count, "{}", metric.name);
                assert_eq!(p.bucket_counts.len(), p.explicit_bounds.len() + 1, "{}", metric.name);
                ReceivedPoint {
                    buckets: p.bucket_counts.clone(),
                    bounds: p.explicit_bounds.clone(),
                    ..point(&p.attributes, p.sum.unwrap_or_default())
                }
            };
            histogram.data_points.iter().map(of).collect()
        }
        other => panic!("{}: {other:?}", metric.name),
    }
}

fn attributes(list: &[KeyValue]) -> Attributes {
    let known = list.iter().map(|entry| (entry.key.clone(), value(entry.value.as_ref())));
    let known: Attributes = known.collect();
    assert_eq!(known.len(), list.len(), "an attribute stands twice: {list:?}");
    known
}

fn value(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::BoolValue(yes)) => json!(yes),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::ArrayValue(array)) => {
            array.values.iter().map(|v| self::value(Some(v))).collect()
        }
        other => panic!("no attribute of weir's is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
