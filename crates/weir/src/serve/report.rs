//! Reports of provider failures, as the configuration wants them.

use weir_config::Config;
use weir_config::config::LogLevel;
use weir_report::{DemotionLevel, ReportOptions};

/// How the reporter reports by this configuration.
pub fn options(config: &Config) -> ReportOptions {
    ReportOptions {
        sentry_dsn: config.failures.sentry_dsn.clone(),
        release: concat!("weir@", env!("CARGO_PKG_VERSION")).to_owned(),
        environment: config.failures.sentry_environment.clone(),
        window: config.failures.report_window,
        level: level(config.failures.log_level),
    }
}

const fn level(level: LogLevel) -> DemotionLevel {
    match level {
        LogLevel::Trace => DemotionLevel::Trace,
        LogLevel::Debug => DemotionLevel::Debug,
        LogLevel::Info => DemotionLevel::Info,
        LogLevel::Warn => DemotionLevel::Warn,
        LogLevel::Error => DemotionLevel::Error,
    }
}
