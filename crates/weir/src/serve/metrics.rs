//! The metrics of this process, for `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use weir_rules::LiveRules;
use weir_telemetry::RenderMetrics;
use weir_telemetry::catalogue::METRICS;

/// How often histograms are folded, so that they stay small when nobody reads them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Begins to collect, and keeps the collection small for as long as the runtime lives.
///
/// # Errors
/// Something collects already.
pub fn start() -> Result<PrometheusHandle, String> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Some(bounds) = metric.bounds() {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, bounds).map_err(|e| e.to_string())?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|e| e.to_string())?;
    for metric in METRICS {
        metric.describe();
    }
    metrics::gauge!("weir_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    tokio::spawn(upkeep(handle.clone()));
    Ok(handle)
}

/// Renders the metrics as Prometheus text. What is a state and no event is read when somebody looks.
pub fn render(handle: PrometheusHandle, rules: Arc<LiveRules>) -> RenderMetrics {
    Arc::new(move || {
        #[expect(clippy::cast_precision_loss, reason = "an epoch is far below 2^52")]
        metrics::gauge!("weir_policy_epoch").set(rules.peek().epoch as f64);
        handle.render()
    })
}

async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
