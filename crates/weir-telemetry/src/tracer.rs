//! Traces: where one begins, and where its spans go.

use std::sync::Arc;

use rand::Rng as _;

use crate::context::TraceContext;
use crate::sampler::Sampler;
use crate::shards::Shards;
use crate::span::{SpanId, Spans};

/// How much one thread's spans may take before they are sent, in bytes; sixteen threads have such a buffer.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// How much is sent at once, in bytes, unless the time comes first.
const WAKE_AT: usize = 256 * 1024;

/// Makes traces and takes their spans. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    sampler: Sampler,
    pub(crate) spans: Shards,
}

/// One request's place in a trace.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    context: TraceContext,
    parent: Option<SpanId>,
    remote: bool,
}

impl Tracer {
    /// A tracer whose spans wait to be taken.
    #[must_use]
    pub fn new(sampler: Sampler) -> Self {
        Self { shared: Arc::new(Shared { sampler, spans: Shards::new(BYTES_MAX, WAKE_AT) }) }
    }

    pub(crate) fn shards(&self) -> &Shards {
        &self.shared.spans
    }

    /// Continues the trace that a caller's `traceparent` names, else begins one.
    #[must_use]
    pub fn begin(&self, traceparent: Option<&str>) -> Trace {
        let parent = traceparent.and_then(TraceContext::parse);
        let mut random = rand::rng();
        let trace_id = match &parent {
            Some(parent) => parent.trace_id,
            // The one id in 2^128 that means none is never drawn.
            None => ((u128::from(random.next_u64()) << 64) | u128::from(random.next_u64() | 1)).to_be_bytes(),
        };
        let sampled = self.shared.sampler.keeps(trace_id, parent.as_ref());
        let context = TraceContext { trace_id, span_id: SpanId(random.next_u64().max(1)), sampled };
        Trace { context, parent: parent.map(|parent| parent.span_id), remote: parent.is_some() }
    }

    /// A place for one more thing within, whose number nobody else has.
    #[must_use]
    pub fn begin_within(&self, trace: &Trace) -> Trace {
        trace.within(rand::rng().next_u32())
    }

    /// Takes the spans of a trace, if it is kept. `expected` is how many are lost when there is no room for them.
    pub fn record(&self, trace: &Trace, expected: u64, write: impl FnOnce(&mut Spans<'_>)) {
        if !trace.context.sampled {
            return;
        }
        self.shared.spans.write(expected, |out| {
            let mut spans = Spans::new(out, trace.context.trace_id);
            write(&mut spans);
            spans.count()
        });
    }
}

impl Trace {
    /// The place of something that happens within this, in the same process.
    #[must_use]
    pub fn within(&self, number: u32) -> Self {
        let id = self.child(number);
        Self {
            context: TraceContext { span_id: id, ..self.context },
            parent: Some(self.context.span_id),
            remote: false,
        }
    }

    /// The id of its own span.
    #[must_use]
    pub const fn id(&self) -> SpanId {
        self.context.span_id
    }

    /// The id of the trace in hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 32] {
        self.context.trace_text()
    }

    /// The span that it belongs to.
    #[must_use]
    pub const fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    /// Whether that span is of another process.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        self.remote
    }

    /// Whether its spans are kept.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.context.sampled
    }

    /// The id of a span within: always the same for the same number, so that it need not be remembered.
    #[must_use]
    pub const fn child(&self, number: u32) -> SpanId {
        let id = mixed(self.context.span_id.0.wrapping_add(number as u64 + 1));
        SpanId(if id == 0 { 1 } else { id })
    }

    /// The context of a span within, for whom it calls: the value of `traceparent`.
    #[must_use]
    pub fn header_of(&self, number: u32) -> [u8; 55] {
        TraceContext { span_id: self.child(number), ..self.context }.header()
    }
}

/// Scatters a number over all 64 bits (splitmix64), so that ids of neighbours share nothing.
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
