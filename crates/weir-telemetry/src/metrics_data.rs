//! Metrics as OTLP sends them, made of what `/metrics` shows.

use crate::catalogue;
use crate::exposition::{Family, Series, SeriesKind, families};
use crate::span::Attributes;
use crate::wire;

/// The fields of `opentelemetry.proto.metrics.v1`.
mod field {
    pub(super) const METRICS: u64 = 2;
    pub(super) const NAME: u64 = 1;
    pub(super) const DESCRIPTION: u64 = 2;
    pub(super) const UNIT: u64 = 3;
    pub(super) const GAUGE: u64 = 5;
    pub(super) const SUM: u64 = 7;
    pub(super) const HISTOGRAM: u64 = 9;
    pub(super) const POINTS: u64 = 1;
    pub(super) const TEMPORALITY: u64 = 2;
    pub(super) const MONOTONIC: u64 = 3;
    pub(super) const START: u64 = 2;
    pub(super) const TIME: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const NUMBER_ATTRIBUTES: u64 = 7;
    pub(super) const COUNT: u64 = 4;
    pub(super) const TOTAL: u64 = 5;
    pub(super) const BUCKETS: u64 = 6;
    pub(super) const BOUNDS: u64 = 7;
    pub(super) const HISTOGRAM_ATTRIBUTES: u64 = 9;
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// From when to when the values were counted, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start_ns: u64,
    pub(crate) now_ns: u64,
}

/// Writes the metrics of a text as members of `ScopeMetrics`; says how many there are.
pub(crate) fn write(out: &mut Vec<u8>, exposition: &str, span: Span) -> usize {
    let families = families(exposition);
    for family in &families {
        wire::message(out, field::METRICS, |out| metric(out, family, span));
    }
    families.len()
}

fn metric(out: &mut Vec<u8>, family: &Family<'_>, span: Span) {
    let known = catalogue::find(family.name);
    wire::text(out, field::NAME, known.map_or(family.name, |metric| metric.otlp_name()));
    if let Some(known) = known {
        wire::text(out, field::DESCRIPTION, known.help);
        wire::text(out, field::UNIT, known.unit.ucum());
    }
    let kind = match family.kind {
        SeriesKind::Counter => field::SUM,
        SeriesKind::Gauge => field::GAUGE,
        SeriesKind::Histogram => field::HISTOGRAM,
    };
    wire::message(out, kind, |out| {
        for series in &family.series {
            wire::message(out, field::POINTS, |out| match family.kind {
                SeriesKind::Histogram => histogram(out, series, span),
                SeriesKind::Counter | SeriesKind::Gauge => number(out, series, span),
            });
        }
        if family.kind != SeriesKind::Gauge {
            wire::uint(out, field::TEMPORALITY, CUMULATIVE);
        }
        if family.kind == SeriesKind::Counter {
            wire::uint(out, field::MONOTONIC, 1);
        }
    });
}

fn number(out: &mut Vec<u8>, series: &Series<'_>, span: Span) {
    wire::fixed64(out, field::START, span.start_ns);
    wire::fixed64(out, field::TIME, span.now_ns);
    wire::double(out, field::DOUBLE, series.value);
    labels(out, field::NUMBER_ATTRIBUTES, series);
}

fn histogram(out: &mut Vec<u8>, series: &Series<'_>, span: Span) {
    wire::fixed64(out, field::START, span.start_ns);
    wire::fixed64(out, field::TIME, span.now_ns);
    wire::fixed64(out, field::COUNT, series.count);
    wire::double(out, field::TOTAL, series.value);
    // Prometheus counts what is at most as large as a bound, OTLP what lies between two.
    let up_to = series.buckets.iter().map(|(_, count)| *count).chain([series.count]);
    let before = [0].into_iter().chain(series.buckets.iter().map(|(_, count)| *count));
    let between: Vec<u64> = up_to.zip(before).map(|(up_to, before)| up_to.saturating_sub(before)).collect();
    wire::packed64(out, field::BUCKETS, between.into_iter());
    wire::packed64(out, field::BOUNDS, series.buckets.iter().map(|(bound, _)| bound.to_bits()));
    labels(out, field::HISTOGRAM_ATTRIBUTES, series);
}

fn labels(out: &mut Vec<u8>, field: u64, series: &Series<'_>) {
    let mut attributes = Attributes::of(out, field);
    for (name, value) in &series.labels {
        attributes.text(catalogue::attribute_of(name), value);
    }
}
