//! What weir tells of itself while it works: traces and metrics over OTLP, the access log, and the list of all metrics.
//!
//! Spans are built from the times that an exchange keeps anyway, once it is over, and written at once in the form in which
//! they are sent. So a request pays for one pass over a few hundred bytes, and nothing at all when nobody wants traces.
//! Nothing here waits for a collector: what it does not take in time is dropped and counted.
//!
//! There is no attribute for a prompt, an answer, an argument, a header or an identity; content capture does not exist.

pub mod access;
pub mod catalogue;
mod context;
mod export;
pub mod exposition;
mod handles;
mod metrics_data;
pub mod names;
mod sampler;
mod settings;
mod shards;
mod span;
mod tracer;
mod wire;

pub use context::TraceContext;
pub use export::{Deliveries, Delivery, Exporter, RenderMetrics};
pub use handles::Telemetry;
pub use sampler::Sampler;
pub use settings::{Settings, SettingsError};
pub use span::{Attributes, Kind, Span, SpanId, Spans};
pub use tracer::{Trace, Tracer};
