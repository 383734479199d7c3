//! Logs: one line an event, on stderr, JSON or for people.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};
use weir_config::config::{LogFormat, Telemetry};

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
        fmt::layer().with_writer(io::stderr).json().flatten_event(true).boxed()
    } else {
        fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
    };
    tracing_subscriber::registry().with(filter).with(layer).try_init().map_err(|e| e.to_string())?;
    Ok(Log(handle))
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

    #[test]
    fn a_filter_names_levels_and_parts() {
        for (text, good) in [("info", true), ("info,weir_gateway=debug", true), ("weir=loud", false)] {
            assert_eq!(filter(text).is_ok(), good, "{text}");
        }
    }
}
