//! The context of a trace as W3C Trace Context passes it on: `traceparent`.

use crate::span::SpanId;

/// Where a span stands: its trace, itself, and whether the trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: SpanId,
    /// Whether who began the trace keeps it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads `traceparent`. What cannot be read is none: a trace begins anew then.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = hex::<1>(version)?;
        // Later versions may say more; this one says no more than four things.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace_id, span_id, [flags]) = (hex::<16>(trace_id)?, hex::<8>(span_id)?, hex::<1>(flags)?);
        let zero = trace_id == [0; 16] || span_id == [0; 8];
        (!zero).then(|| Self {
            trace_id,
            span_id: SpanId(u64::from_be_bytes(span_id)),
            sampled: flags & 1 == 1,
        })
    }

    /// The value of `traceparent` that passes this context on.
    #[must_use]
    pub fn header(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let (_, rest) = text.split_at_mut(3);
        let (trace, rest) = rest.split_at_mut(32);
        let (_, rest) = rest.split_at_mut(1);
        let (span, flags) = rest.split_at_mut(16);
        digits(trace, &self.trace_id);
        digits(span, &self.span_id.0.to_be_bytes());
        if let Some(flag) = flags.last_mut().filter(|_| self.sampled) {
            *flag = b'1';
        }
        text
    }

    /// The trace in hexadecimal digits.
    #[must_use]
    pub fn trace_text(&self) -> [u8; 32] {
        let mut text = [0; 32];
        digits(&mut text, &self.trace_id);
        text
    }
}

/// Bytes as lower-case hexadecimal digits. By hand: a context is written for each call, and `format!` takes longer than a
/// span.
#[inline]
fn digits(text: &mut [u8], bytes: &[u8]) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    for (place, byte) in text.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = place {
            (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
        }
    }
}

/// Lower-case hexadecimal digits of exactly this many bytes.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().try_fold(0_u8, |sum, digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(sum << 4 | value)
        })?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_as_it_came() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert!(context.sampled && context.span_id == SpanId(0x00f0_67aa_0ba9_02b7));
        assert_eq!(context.header(), GOOD.as_bytes());
        assert_eq!(context.trace_text(), &GOOD.as_bytes()[3..35]);
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(TraceContext::parse(&unsampled).unwrap().header(), unsampled.as_bytes());
    }

    #[test]
    fn what_is_no_context_is_none_and_later_versions_are_read() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let table = [
            (GOOD.to_owned(), true),
            (format!("cc-{trace}-00f067aa0ba902b7-03-what-comes"), true),
            (format!("00-{trace}-00f067aa0ba902b7-01-more"), false),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{trace}-0000000000000000-01"), false),
            (format!("00-{trace}-00f067aa0ba902b7"), false),
            (format!("00-{trace}-00f067aa0ba902b7-1"), false),
            ("é".repeat(28), false),
            ("-".repeat(10_000), false),
            (String::new(), false),
        ];
        for (text, good) in table {
            assert_eq!(TraceContext::parse(&text).is_some(), good, "{text:.60}");
        }
    }
}
