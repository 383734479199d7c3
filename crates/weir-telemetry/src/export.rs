//! Sending over OTLP/HTTP: spans when there are enough or the time has come, metrics at their interval.
//!
//! A collector that is gone, slow or unwilling costs spans, which are counted, and one line in the log; never a request.

mod client;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_core::Timestamp;
use weir_core::clock::SharedClock;

use crate::metrics_data;
use crate::settings::Settings;
use crate::shards::Shard;
use crate::span::Attributes;
use crate::tracer::Tracer;
use crate::wire;
use client::{Client, Signal};

/// Renders what `/metrics` shows.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The fields of requests, resources and scopes.
mod field {
    pub(super) const RESOURCE_DATA: u64 = 1;
    pub(super) const RESOURCE: u64 = 1;
    pub(super) const RESOURCE_ATTRIBUTES: u64 = 1;
    pub(super) const SCOPE_DATA: u64 = 2;
    pub(super) const SCOPE: u64 = 1;
    pub(super) const SCOPE_NAME: u64 = 1;
    pub(super) const SCOPE_VERSION: u64 = 2;
}

/// Whether what is sent arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Since when it does, or does not.
    pub since: Timestamp,
    /// Why it does not; none while it does.
    pub error: Option<String>,
}

/// How both signals fare. Cheap to clone.
#[derive(Clone)]
pub struct Deliveries([Arc<Mutex<Delivery>>; 2]);

impl Deliveries {
    fn new(since: Timestamp) -> Self {
        Self([(); 2].map(|()| Arc::new(Mutex::new(Delivery { since, error: None }))))
    }

    /// The worse one, and of two alike the one that has changed last.
    #[must_use]
    pub fn worst(&self) -> Delivery {
        let [traces, metrics] =
            self.0.each_ref().map(|one| one.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let rank = |one: &Delivery| (one.error.is_some(), one.since);
        if rank(&traces) >= rank(&metrics) { traces } else { metrics }
    }
}

/// The tasks that send.
pub struct Exporter {
    deliveries: Deliveries,
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Exporter {
    /// Begins to send on the present runtime: the spans of `tracer`, and the metrics that `render` shows.
    #[must_use]
    pub fn start(settings: Settings, tracer: &Tracer, render: RenderMetrics, clock: SharedClock) -> Self {
        let stop = CancellationToken::new();
        let deliveries = Deliveries::new(clock.now());
        let [of_traces, of_metrics] = deliveries.0.clone();
        let client = |signal, delivery| Client::new(&settings, signal, clock.clone(), delivery);
        let spans = Sending::new(&settings, client(Signal::Traces, of_traces), clock.clone());
        let metrics = Sending::new(&settings, client(Signal::Metrics, of_metrics), clock.clone());
        let tasks = [
            tokio::spawn(spans.spans(tracer.clone(), settings.spans_every, stop.clone())),
            tokio::spawn(metrics.metrics(render, settings.metrics_every, stop.clone())),
        ];
        Self { deliveries, stop, tasks }
    }

    /// Whether what is sent arrives.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        self.deliveries.clone()
    }

    /// Sends what is there once more and ends, within this time; says whether it could.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        self.stop.cancel();
        let [spans, metrics] = self.tasks;
        let aborts = [spans.abort_handle(), metrics.abort_handle()];
        let both = async { spans.await.is_ok() && metrics.await.is_ok() };
        let ended = tokio::time::timeout(deadline, both).await.unwrap_or(false);
        for task in aborts {
            task.abort();
        }
        ended
    }
}

/// Sends one signal.
struct Sending {
    client: Client,
    /// The resource and the scope, as every request has them.
    resource: Vec<u8>,
    scope: Vec<u8>,
    clock: SharedClock,
}

impl Sending {
    fn new(settings: &Settings, client: Client, clock: SharedClock) -> Self {
        let mut resource = Vec::new();
        wire::message(&mut resource, field::RESOURCE, |out| {
            let mut attributes = Attributes::of(out, field::RESOURCE_ATTRIBUTES);
            for (name, value) in &settings.resource {
                attributes.text(name, value);
            }
        });
        let mut scope = Vec::new();
        wire::message(&mut scope, field::SCOPE, |out| {
            wire::text(out, field::SCOPE_NAME, "weir");
            wire::text(out, field::SCOPE_VERSION, env!("CARGO_PKG_VERSION"));
        });
        Self { client, resource, scope, clock }
    }

    /// What stands before a content of so many bytes: the resource and the scope whose content it is.
    fn before(&self, length: usize) -> Bytes {
        let mut inner = self.resource.clone();
        wire::head(&mut inner, field::SCOPE_DATA, self.scope.len() + length);
        inner.extend_from_slice(&self.scope);
        let mut out = Vec::with_capacity(inner.len() + 8);
        wire::head(&mut out, field::RESOURCE_DATA, inner.len() + length);
        out.extend_from_slice(&inner);
        out.into()
    }

    async fn send(&mut self, content: Bytes) -> Option<u64> {
        let before = self.before(content.len());
        self.client.send(before, content).await
    }

    async fn spans(mut self, tracer: Tracer, every: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut spare = Vec::new();
        loop {
            let ending = tokio::select! {
                () = stop.cancelled() => true,
                () = tracer.shards().filled() => false,
                _ = ticks.tick() => false,
            };
            let mut at = 0;
            while let Some(shard) = tracer.shards().take_next(&mut at, &mut spare) {
                spare = self.send_spans(shard).await;
            }
            if ending {
                return;
            }
        }
    }

    /// Sends spans, and gives back the buffer that they were in.
    async fn send_spans(&mut self, shard: Shard) -> Vec<u8> {
        counted("dropped", shard.dropped);
        if shard.count == 0 {
            return shard.bytes;
        }
        let content = Bytes::from(shard.bytes);
        match self.send(content.clone()).await {
            Some(rejected) => {
                let rejected = rejected.min(shard.count);
                counted("rejected", rejected);
                counted("sent", shard.count - rejected);
            }
            None => counted("failed", shard.count),
        }
        // A try that was given up may hold it still.
        if content.is_unique() { content.into() } else { Vec::new() }
    }

    async fn metrics(mut self, render: RenderMetrics, every: Duration, stop: CancellationToken) {
        let start_ns = self.now_ns();
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let ending = tokio::select! {
                () = stop.cancelled() => true,
                _ = ticks.tick() => false,
            };
            let mut content = Vec::new();
            let span = metrics_data::Span { start_ns, now_ns: self.now_ns() };
            if metrics_data::write(&mut content, &render(), span) > 0 {
                self.send(content.into()).await;
            }
            if ending {
                return;
            }
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0)
    }
}

fn counted(result: &'static str, spans: u64) {
    if spans > 0 {
        counter!("weir_telemetry_spans_total", "result" => result).increment(spans);
    }
}
