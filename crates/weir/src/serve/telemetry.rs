//! Traces and metrics over OTLP and the access log, as the configuration and the environment want them.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use weir_config::config::Telemetry as Configured;
use weir_console::DependencyProbe;
use weir_core::clock::SharedClock;
use weir_store::{Dependency, DependencyState};
use weir_telemetry::access::{AccessLog, Writing};
use weir_telemetry::{Delivery, Exporter, RenderMetrics, Settings, Telemetry, Tracer};

use super::logging;
use crate::exit::Failure;
use crate::settings::variable;

/// How long the last spans and metrics may take to be sent.
const LAST_MAX: Duration = Duration::from_secs(3);

/// What is told while weir runs, until it ends.
#[derive(Default)]
pub struct Telling {
    telemetry: Telemetry,
    exporter: Option<Exporter>,
    access: Option<Writing>,
}

impl Telling {
    /// Begins to tell; `metrics` gives what `/metrics` shows.
    ///
    /// # Errors
    /// The endpoint is no URL that can be sent to, the system gives no thread.
    pub fn start(config: &Configured, metrics: RenderMetrics, clock: SharedClock) -> Result<Self, Failure> {
        let mut telling = Self::traced(config, metrics, clock)?;
        // For people a line for each request would bury all others.
        if logging::is_json(config.log_format, io::stderr().is_terminal()) {
            let writing =
                AccessLog::start(io::stderr()).map_err(|e| Failure::dependency("the access log", e))?;
            telling.telemetry.access = Some(writing.log());
            telling.access = Some(writing);
        }
        Ok(telling)
    }

    /// Begins to tell of what a command does that serves nobody: spans alone, since nothing is counted there.
    ///
    /// # Errors
    /// The endpoint is no URL that can be sent to.
    pub fn of_command(config: &Configured, clock: SharedClock) -> Result<Self, Failure> {
        Self::traced(config, Arc::new(String::new), clock)
    }

    fn traced(config: &Configured, metrics: RenderMetrics, clock: SharedClock) -> Result<Self, Failure> {
        let Some(settings) = settings(config)? else { return Ok(Self::default()) };
        let tracer = Tracer::new(settings.sampler);
        let exporter = Exporter::start(settings, &tracer, metrics, clock);
        let telemetry = Telemetry { tracer: Some(tracer), access: None };
        Ok(Self { telemetry, exporter: Some(exporter), access: None })
    }

    /// What the boundaries tell by.
    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
    }

    /// How the collector is doing, where there is one. It is asked on, however it is: what it misses is lost.
    pub fn collector(&self) -> Option<DependencyProbe> {
        let deliveries = self.exporter.as_ref()?.deliveries();
        Some(Arc::new(move || {
            let Delivery { since, error } = deliveries.worst();
            let state = if error.is_some() { DependencyState::Degraded } else { DependencyState::Up };
            Dependency { state, since, error }
        }))
    }

    /// Sends and writes what is left.
    pub async fn end(self) {
        if let Some(exporter) = self.exporter
            && !exporter.shutdown(LAST_MAX).await
        {
            tracing::warn!("the last spans and metrics could not be sent");
        }
        // Waits for its thread, which writes the last lines.
        drop(self.access);
    }
}

/// Where traces and metrics go; none when they go nowhere.
fn settings(config: &Configured) -> Result<Option<Settings>, Failure> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let instance = format!("{:032x}", rand::random::<u128>());
    let made = Settings::new(endpoint.as_str(), env!("CARGO_PKG_VERSION"), &instance, variable);
    let (settings, warnings) = made.map_err(|e| Failure::No(format!("telemetry.otlp_endpoint: {e}")))?;
    for warning in warnings {
        tracing::warn!("left aside: {warning}");
    }
    Ok(Some(settings))
}
