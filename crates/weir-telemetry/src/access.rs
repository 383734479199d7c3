//! The access log: one JSON line for each request, with ids, known words and numbers alone.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metrics::counter;
use serde::Serialize;
use weir_core::redact::redact;

use crate::shards::Shards;

/// The target by which the log's filter names these lines: `telemetry.log: info,weir::access=off`.
pub const TARGET: &str = "weir::access";

/// How much one thread's lines may take before they are written, in bytes; sixteen threads have such a buffer.
const BYTES_MAX: usize = 1024 * 1024;

/// How long a line waits for company.
const WAIT: Duration = Duration::from_millis(100);

/// What a line says of a request. There is no member for a prompt, a key, a header, an address or a user.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line<'a> {
    /// When the request came, in RFC 3339.
    pub timestamp: &'a str,
    /// Always `INFO`.
    pub level: &'static str,
    /// Always [`TARGET`].
    pub target: &'static str,
    /// `request` or `tool_call`.
    pub message: &'static str,
    /// The request's id; what looks like a secret in it is taken out.
    pub request_id: Cow<'a, str>,
    /// The decision.
    pub decision: &'a str,
    /// The trace, when there is one, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The operation: `chat_completions`, `models`, `mcp`; `none` for a path that leads nowhere.
    pub operation: &'a str,
    /// The model as it is configured; none where none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    /// The status that the client was given; 0 when it left before.
    pub status: u16,
    /// The refusal's or failure's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'a str>,
    /// The class of the failure that the request ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<&'a str>,
    /// The stage that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<&'a str>,
    /// What was decided.
    pub outcome: &'a str,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// Whether the client left before the answer was complete.
    pub client_gone: bool,
}

/// Writes the lines. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    shared: Arc<Shared>,
}

struct Shared {
    lines: Shards,
    ending: AtomicBool,
}

/// The thread that writes; it writes the last lines when this is dropped.
pub struct Writing {
    log: AccessLog,
    thread: Option<thread::JoinHandle<()>>,
}

impl Line<'_> {
    /// A line at the level and with the target of all.
    #[must_use]
    pub fn of_info() -> Self {
        Self { level: "INFO", target: TARGET, ..Self::default() }
    }
}

impl AccessLog {
    /// Begins to write to `output`, on a thread of its own: a log that is read slowly holds no request up.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(output: impl Write + Send + 'static) -> std::io::Result<Writing> {
        let shared =
            Arc::new(Shared { lines: Shards::new(BYTES_MAX, usize::MAX), ending: AtomicBool::new(false) });
        let log = Self { shared };
        let writer = log.clone();
        let thread = thread::Builder::new().name("weir-access-log".to_owned());
        let thread = thread.spawn(move || writer.write_all(output))?;
        Ok(Writing { log, thread: Some(thread) })
    }

    /// Whether the log's filter lets lines through.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        tracing::enabled!(target: "weir::access", tracing::Level::INFO)
    }

    /// Takes a line. When there is no room it is dropped, and counted.
    pub fn write(&self, mut line: Line<'_>) {
        if let Cow::Borrowed(given) = line.request_id {
            line.request_id = redact(given);
        }
        self.shared.lines.write(1, |out| {
            let before = out.len();
            if serde_json::to_writer(&mut *out, &line).is_err() {
                out.truncate(before);
                return 0;
            }
            out.push(b'\n');
            1
        });
    }

    fn write_all(&self, mut output: impl Write) {
        loop {
            let ending = self.shared.ending.load(Ordering::Acquire);
            for shard in self.shared.lines.take() {
                if shard.dropped > 0 {
                    counter!("weir_access_log_dropped_total").increment(shard.dropped);
                }
                // Nobody can be told that the log cannot be written.
                let _ = output.write_all(&shard.bytes);
            }
            let _ = output.flush();
            if ending {
                return;
            }
            thread::park_timeout(WAIT);
        }
    }
}

impl Writing {
    /// Where lines are given.
    #[must_use]
    pub fn log(&self) -> AccessLog {
        self.log.clone()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.log.shared.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
