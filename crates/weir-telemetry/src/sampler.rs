//! Which traces are kept: the samplers of OpenTelemetry, by their names there.

use crate::context::TraceContext;

/// Says whether a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whether who began the trace decides.
    parent_based: bool,
    /// The share of the traces that begin here, as a bound of half the trace id's low bits.
    bound: u64,
}

/// Everything.
const ALL: u64 = 1 << 63;

impl Default for Sampler {
    /// `parentbased_always_on`.
    fn default() -> Self {
        Self { parent_based: true, bound: ALL }
    }
}

impl Sampler {
    /// The sampler of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    ///
    /// # Errors
    /// There is none of this name, or the argument is no share between 0 and 1; in words.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let (parent_based, kind) = match name.strip_prefix("parentbased_") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let bound = match kind {
            "always_on" => ALL,
            "always_off" => 0,
            "traceidratio" => bound(argument.unwrap_or("1"))?,
            _ => {
                return Err(format!(
                    "OTEL_TRACES_SAMPLER: `{name}` is none of always_on, always_off, traceidratio, parentbased_always_on, \
                     parentbased_always_off, parentbased_traceidratio"
                ));
            }
        };
        Ok(Self { parent_based, bound })
    }

    /// Whether a trace is kept that was begun elsewhere, or begins here.
    #[must_use]
    pub fn keeps(&self, trace_id: [u8; 16], parent: Option<&TraceContext>) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.sampled,
            // The same bits that all SDKs look at, so that all nodes keep the same traces.
            _ => low_half(trace_id) >> 1 < self.bound,
        }
    }
}

fn low_half(trace_id: [u8; 16]) -> u64 {
    u64::try_from(u128::from_be_bytes(trace_id) & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

fn bound(argument: &str) -> Result<u64, String> {
    let share = argument.trim().parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let share =
        share.ok_or_else(|| format!("OTEL_TRACES_SAMPLER_ARG: `{argument}` is no share between 0 and 1"))?;
    #[expect(clippy::cast_precision_loss, reason = "2^63 is exact")]
    let bound = share * ALL as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^63")]
    let bound = bound as u64;
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::SpanId;

    fn id(low: u64) -> [u8; 16] {
        (u128::from(low) | 1 << 100).to_be_bytes()
    }

    #[test]
    fn each_sampler_keeps_what_its_name_says() {
        let parent = |sampled| TraceContext { trace_id: id(1), span_id: SpanId(2), sampled };
        let table = [
            // Name, argument; begun here with a low id, with a high one; begun elsewhere and kept, and not kept.
            ("always_on", None, [true, true, true, true]),
            ("always_off", None, [false, false, false, false]),
            ("traceidratio", Some("0.5"), [true, false, true, true]),
            ("traceidratio", Some("0"), [false, false, false, false]),
            ("traceidratio", None, [true, true, true, true]),
            ("parentbased_always_on", None, [true, true, true, false]),
            ("parentbased_always_off", None, [false, false, true, false]),
            ("parentbased_traceidratio", Some("0.5"), [true, false, true, false]),
        ];
        for (name, argument, expected) in table {
            let sampler = Sampler::parse(name, argument).unwrap();
            let low = id(u64::MAX / 4);
            let kept = [
                sampler.keeps(low, None),
                sampler.keeps(id(u64::MAX), None),
                sampler.keeps(low, Some(&parent(true))),
                sampler.keeps(low, Some(&parent(false))),
            ];
            assert_eq!(kept, expected, "{name} {argument:?}");
        }
        assert_eq!(Sampler::default(), Sampler::parse("parentbased_always_on", None).unwrap());
    }

    #[test]
    fn what_is_no_sampler_is_told() {
        for (name, argument) in [("xray", None), ("traceidratio", Some("2")), ("traceidratio", Some("NaN"))] {
            assert!(Sampler::parse(name, argument).unwrap_err().contains("OTEL_TRACES_SAMPLER"), "{name}");
        }
    }
}
