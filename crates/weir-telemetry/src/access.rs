//! The access log: one JSON line for each request, with ids, known words and numbers alone.

mod line;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metrics::counter;

pub use line::Line;

use crate::shards::Shards;

/// The target by which the log's filter names these lines: `telemetry.log: info,weir::access=off`.
pub const TARGET: &str = "weir::access";

/// How much one thread's lines may take before they are written, in bytes; sixteen threads have such a buffer.
const BYTES_MAX: usize = 1024 * 1024;

/// How long a line waits for company.
const WAIT: Duration = Duration::from_millis(100);

/// Writes the lines. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    shared: Arc<Shared>,
}

struct Shared {
    lines: Shards,
    wanted: AtomicBool,
    ending: AtomicBool,
}

/// The thread that writes; it writes the last lines when this is dropped.
pub struct Writing {
    log: AccessLog,
    thread: Option<thread::JoinHandle<()>>,
}

impl AccessLog {
    /// Begins to write to `output`, on a thread of its own: a log that is read slowly holds no request up.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(output: impl Write + Send + 'static) -> std::io::Result<Writing> {
        let lines = Shards::new(BYTES_MAX, usize::MAX);
        let (wanted, ending) = (AtomicBool::new(false), AtomicBool::new(false));
        let log = Self { shared: Arc::new(Shared { lines, wanted, ending }) };
        log.ask();
        let writer = log.clone();
        let thread = thread::Builder::new().name("weir-access-log".to_owned());
        let thread = thread.spawn(move || writer.write_all(output))?;
        Ok(Writing { log, thread: Some(thread) })
    }

    /// Whether the log's filter lets lines through.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::Relaxed)
    }

    /// Takes a line. When there is no room it is dropped, and counted.
    pub fn write(&self, line: &Line<'_>) {
        self.shared.lines.write(1, |out| {
            line.write(out);
            1
        });
    }

    /// Asks the log's filter, which may be changed while weir runs. That takes longer than half a line does.
    fn ask(&self) {
        self.shared.wanted.store(tracing::enabled!(target: TARGET, tracing::Level::INFO), Ordering::Relaxed);
    }

    fn write_all(&self, mut output: impl Write) {
        let mut spare = Vec::new();
        loop {
            let ending = self.shared.ending.load(Ordering::Acquire);
            self.ask();
            let mut at = 0;
            while let Some(shard) = self.shared.lines.take_next(&mut at, &mut spare) {
                if shard.dropped > 0 {
                    counter!("weir_access_log_dropped_total").increment(shard.dropped);
                }
                // Nobody can be told that the log cannot be written.
                let _ = output.write_all(&shard.bytes);
                spare = shard.bytes;
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
