//! One line, written by hand: it has few members, which are always the same, and is written for each request.

use std::cell::Cell;

use weir_core::Timestamp;
use weir_core::redact::redact;

/// What a line says of a request. There is no member for a prompt, a key, a header, an address or a user.
#[derive(Clone, Debug, Default)]
pub struct Line<'a> {
    /// When the request came.
    pub at: Timestamp,
    /// The request's id; what looks like a secret in it is taken out.
    pub request_id: &'a str,
    /// The decision.
    pub decision: &'a str,
    /// The trace, when there is one, in hexadecimal digits.
    pub trace_id: Option<&'a str>,
    /// The operation: `chat_completions`, `models`, `mcp`; `none` for a path that leads nowhere.
    pub operation: &'a str,
    /// The model as it is configured; none where none was found.
    pub model: Option<&'a str>,
    /// The provider.
    pub upstream: Option<&'a str>,
    /// The status that the client was given; 0 when it left before.
    pub status: u16,
    /// The refusal's or failure's type.
    pub error_type: Option<&'a str>,
    /// The class of the failure that the request ended with.
    pub failure_class: Option<&'a str>,
    /// The stage that ended it.
    pub ended_at: Option<&'a str>,
    /// What was decided.
    pub outcome: &'a str,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// From the head of the request to the end of the answer, in milliseconds.
    pub duration_ms: f64,
    /// weir's own share of it, without the artificial delay.
    pub overhead_ms: f64,
    /// From the call to the head of the provider's answer.
    pub upstream_ms: f64,
    /// The artificial delay.
    pub delay_ms: u64,
    /// How many attempts were made.
    pub attempts: usize,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Whether some of these are an estimate.
    pub tokens_estimated: bool,
    /// Whether the client left before the answer was complete.
    pub client_gone: bool,
}

impl Line<'_> {
    /// Writes it as JSON, with its end.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, r#"{"timestamp":""#);
        timestamp(out, self.at);
        put(out, r#"","level":"INFO","target":"weir::access","message":"request","request_id":"#);
        if is_plain(self.request_id) {
            text(out, self.request_id)
        } else {
            text(out, &redact(self.request_id))
        }
        member(out, r#","decision":"#, Some(self.decision));
        member(out, r#","trace_id":"#, self.trace_id);
        member(out, r#","operation":"#, Some(self.operation));
        member(out, r#","model":"#, self.model);
        member(out, r#","upstream":"#, self.upstream);
        number(out, r#","status":"#, u64::from(self.status));
        member(out, r#","error_type":"#, self.error_type);
        member(out, r#","failure_class":"#, self.failure_class);
        member(out, r#","ended_at":"#, self.ended_at);
        member(out, r#","outcome":"#, Some(self.outcome));
        member(out, r#","rule":"#, self.rule);
        milliseconds(out, r#","duration_ms":"#, self.duration_ms);
        milliseconds(out, r#","overhead_ms":"#, self.overhead_ms);
        milliseconds(out, r#","upstream_ms":"#, self.upstream_ms);
        number(out, r#","delay_ms":"#, self.delay_ms);
        number(out, r#","attempts":"#, u64::try_from(self.attempts).unwrap_or(u64::MAX));
        number(out, r#","input_tokens":"#, self.input_tokens);
        number(out, r#","output_tokens":"#, self.output_tokens);
        if self.tokens_estimated {
            put(out, ",\"tokens_estimated\":true");
        }
        put(out, if self.client_gone { ",\"client_gone\":true}\n" } else { ",\"client_gone\":false}\n" });
    }
}

/// An id that weir has made itself, `req_` and 32 hexadecimal digits, is no secret, and looking for one takes as long as
/// the rest of a line.
fn is_plain(request_id: &str) -> bool {
    request_id.strip_prefix("req_").is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[inline]
fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[inline]
fn member(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        put(out, name);
        text(out, value);
    }
}

/// A text in quotes.
fn text(out: &mut Vec<u8>, value: &str) {
    let escaped = |bad, byte| bad | (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if value.bytes().fold(false, escaped) {
        // Into memory, of what is text: it cannot fail.
        let _ = serde_json::to_writer(out, value);
        return;
    }
    out.push(b'"');
    put(out, value);
    out.push(b'"');
}

#[inline]
fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    put(out, name);
    let (digits, from) = digits::<20>(value);
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

/// With three decimals.
#[inline]
fn milliseconds(out: &mut Vec<u8>, name: &str, value: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is no time is the nearest one"
    )]
    let micros = (value * 1e3).round() as u64;
    number(out, name, micros / 1_000);
    out.push(b'.');
    out.extend_from_slice(&digits::<3>(micros % 1_000).0);
}

/// The last decimal digits of a number with zeros before them, and where it begins.
fn digits<const N: usize>(mut value: u64) -> ([u8; N], usize) {
    let (mut digits, mut from) = ([b'0'; N], N);
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        from = at;
        if value == 0 {
            break;
        }
    }
    (digits, from)
}

/// A time in RFC 3339. All but the fraction is made once a second.
fn timestamp(out: &mut Vec<u8>, at: Timestamp) {
    thread_local! {
        static SECOND: Cell<(i64, [u8; 19])> = const { Cell::new((i64::MIN, [0; 19])) };
    }
    let (second, nanos) = (at.as_second(), u64::try_from(at.subsec_nanosecond()).unwrap_or(0));
    let (known, mut digits_of_second) = SECOND.get();
    if known != second {
        let whole = Timestamp::from_second(second).unwrap_or_default().to_string();
        let Some(first) = whole.as_bytes().first_chunk() else { return };
        digits_of_second = *first;
        SECOND.set((second, digits_of_second));
    }
    out.extend_from_slice(&digits_of_second);
    out.push(b'.');
    out.extend_from_slice(&digits::<9>(nanos).0);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(line: &Line<'_>) -> Value {
        let mut out = Vec::new();
        line.write(&mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_is_json_with_the_members_that_apply() {
        let mut line = Line {
            at: "2026-11-20T17:28:17.000589Z".parse().unwrap(),
            request_id: "req_1",
            decision: "dec_1",
            operation: "none",
            outcome: "nothing",
            duration_ms: 412.166_6,
            status: 404,
            ..Line::default()
        };
        let mut expected = json!({
            "timestamp": "2026-11-20T17:28:17.000589000Z", "level": "INFO", "target": crate::access::TARGET,
            "message": "request", "request_id": "req_1", "decision": "dec_1", "operation": "none", "status": 404,
            "outcome": "nothing", "duration_ms": 412.167, "overhead_ms": 0.0, "upstream_ms": 0.0, "delay_ms": 0,
            "attempts": 0, "input_tokens": 0, "output_tokens": 0, "client_gone": false,
        });
        assert_eq!(written(&line), expected);
        let texts = [
            ("trace_id", &mut line.trace_id),
            ("model", &mut line.model),
            ("upstream", &mut line.upstream),
            ("error_type", &mut line.error_type),
            ("failure_class", &mut line.failure_class),
            ("ended_at", &mut line.ended_at),
            ("rule", &mut line.rule),
        ];
        for (name, place) in texts {
            let odd = "a \"b\" \\ \n\u{1} ü";
            *place = Some(odd);
            expected[name] = json!(odd);
        }
        (line.overhead_ms, line.input_tokens, line.client_gone) = (0.061, u64::MAX, true);
        line.tokens_estimated = true;
        expected["overhead_ms"] = json!(0.061);
        expected["input_tokens"] = json!(u64::MAX);
        expected["client_gone"] = json!(true);
        expected["tokens_estimated"] = json!(true);
        assert_eq!(written(&line), expected);
    }

    #[test]
    fn every_second_is_written_anew_and_every_fraction_whole() {
        for at in [
            "1969-12-31T23:59:58Z",
            "2026-11-20T17:28:17.9Z",
            "2026-11-20T17:28:17.000000001Z",
            "2028-02-29T00:00:00Z",
            "2026-11-20T17:28:17.123456789Z",
        ] {
            let at: Timestamp = at.parse().unwrap();
            let line = written(&Line { at, ..Line::default() });
            let text = line["timestamp"].as_str().unwrap();
            assert_eq!((text.len(), text.parse::<Timestamp>().unwrap()), (30, at), "{text}");
        }
    }

    #[test]
    fn an_id_of_weirs_own_is_plain_and_no_secret_is_one() {
        let own = format!("req_{}", "0a".repeat(16));
        for (id, shown) in [
            (own.as_str(), own.as_str()),
            ("mine-1", "mine-1"),
            ("sk-abc123DEF456ghi", "[REDACTED]"),
            ("req_sk-abc123DEF456ghi", "req_sk-abc123DEF456ghi"),
        ] {
            let line = written(&Line { request_id: id, ..Line::default() });
            assert_eq!(line["request_id"], redact(shown).as_ref(), "{id}");
        }
        assert_eq!(redact(&own), own);
    }
}
