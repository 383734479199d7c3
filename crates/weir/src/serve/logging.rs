//! Logs: one line an event, on stderr, JSON or for people.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};
use weir_config::config::{LogFormat, Telemetry};
use weir_core::redact::redact;

/// The running log, whose filter can be changed.
#[derive(Clone, Debug)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

/// Begins to log.
///
/// # Errors
/// The filter cannot be read, or something logs already.
pub fn start(telemetry: &Telemetry) -> Result<Log, String> {
    let (filter, handle) = reload::Layer::new(filter(&telemetry.log)?);
    let layer = if is_json(telemetry.log_format, io::stderr().is_terminal()) {
        fmt::layer().with_writer(redacted).json().flatten_event(true).boxed()
    } else {
        fmt::layer().with_writer(redacted).with_ansi(io::stderr().is_terminal()).boxed()
    };
    tracing_subscriber::registry().with(filter).with(layer).try_init().map_err(|e| e.to_string())?;
    Ok(Log(handle))
}

/// Where all lines go: what looks like a secret in them does not, whatever module has logged it.
fn redacted() -> Redacting<io::Stderr> {
    Redacting(io::stderr())
}

/// Takes secrets out of what is written. The subscriber writes one whole line at a time, so none is cut in two.
struct Redacting<W>(W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(redact(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Log {
    /// Logs by another filter from now on.
    ///
    /// # Errors
    /// The filter cannot be read; the old one holds.
    pub fn change(&self, text: &str) -> Result<(), String> {
        self.0.reload(filter(text)?).map_err(|e| e.to_string())
    }
}

/// Reads a filter of the log: `info`, or `info,weir_gateway=debug`.
///
/// # Errors
/// It cannot be read.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(text).map_err(|e| e.to_string())
}

/// Whether a line of the log is JSON.
pub fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_for_people_on_a_terminal_only() {
        let table = [
            (LogFormat::Auto, true, false),
            (LogFormat::Auto, false, true),
            (LogFormat::Json, true, true),
            (LogFormat::Pretty, false, false),
        ];
        for (format, terminal, expected) in table {
            assert_eq!(is_json(format, terminal), expected, "{format:?} {terminal}");
        }
    }

    /// A writer that the test reads.
    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_line_holds_a_secret_in_any_format() {
        let secret = "sk-abc123DEF456ghi";
        for (json, ansi) in [(true, false), (false, false), (false, true)] {
            let lines = Lines::default();
            let written = lines.clone();
            let layer = fmt::layer().with_writer(move || Redacting(written.clone())).with_ansi(ansi);
            let layer = if json { layer.json().flatten_event(true).boxed() } else { layer.boxed() };
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                let url = format!("https://me:{secret}@host/");
                tracing::warn!(api_key = "abcdef123456", %url, key = secret, "with {secret}");
                tracing::warn!(nested = ?Some(format!("\n{secret}")), "Authorization: Bearer {secret}");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains(secret) && !text.contains("abcdef123456"), "{text}");
            assert_eq!((text.lines().count(), text.matches("[REDACTED]").count()), (2, 6), "{text}");
            assert!(
                !json || text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
            );
        }
    }

    #[test]
    fn a_filter_names_levels_and_parts() {
        for (text, good) in [("info", true), ("info,weir_gateway=debug", true), ("weir=loud", false)] {
            assert_eq!(filter(text).is_ok(), good, "{text}");
        }
    }
}
