//! Limits and telemetry.

use std::time::Duration;

use super::Check;
use crate::config::{Limits, LogFormat, Rate, Telemetry, UpstreamTimeouts};
use crate::path::Path;
use crate::raw::{RawFreeModels, RawLimits, RawLogFormat, RawTelemetry, RawUnauthenticated, RawUpstream};

impl Check<'_, '_> {
    pub(super) fn limits(&mut self, raw: Option<&RawLimits>, path: &Path) -> Limits {
        let none = RawLimits::default();
        let raw = raw.unwrap_or(&none);
        Limits {
            body_bytes_max: size(raw.body_bytes_max, 33_554_432),
            connections_max: size(raw.connections_max, 18_000),
            drain: self.duration(raw.drain.as_ref(), &path.key("drain"), Duration::from_secs(30)),
            cache_timeout: self.positive(
                raw.cache_timeout.as_ref(),
                &path.key("cache_timeout"),
                Duration::from_millis(50),
            ),
            unauthenticated: self.unauthenticated(raw.unauthenticated.as_ref(), &path.key("unauthenticated")),
            upstream: self.upstream(raw.upstream.as_ref(), &path.key("upstream")),
        }
    }

    fn unauthenticated(&mut self, raw: Option<&RawUnauthenticated>, path: &Path) -> Rate {
        let per = raw.and_then(|raw| raw.per.as_ref());
        Rate {
            requests: raw.and_then(|raw| raw.requests).unwrap_or(600),
            per: self.positive(per, &path.key("per"), Duration::from_secs(60)),
        }
    }

    pub(super) fn free_models(&mut self, raw: Option<&RawFreeModels>, path: &Path) -> Rate {
        let per = raw.and_then(|raw| raw.per.as_ref());
        Rate {
            requests: raw.and_then(|raw| raw.requests).unwrap_or(200),
            per: self.positive(per, &path.key("per"), Duration::from_secs(3600)),
        }
    }

    fn upstream(&mut self, raw: Option<&RawUpstream>, path: &Path) -> UpstreamTimeouts {
        let none = RawUpstream::default();
        let raw = raw.unwrap_or(&none);
        let wait = Duration::from_secs(120);
        UpstreamTimeouts {
            connect: self.positive(raw.connect.as_ref(), &path.key("connect"), Duration::from_secs(5)),
            first_byte: self.positive(raw.first_byte.as_ref(), &path.key("first_byte"), wait),
            idle: self.positive(raw.idle.as_ref(), &path.key("idle"), wait),
        }
    }

    pub(super) fn telemetry(&mut self, raw: Option<&RawTelemetry>, path: &Path) -> Telemetry {
        let endpoint = raw.and_then(|raw| raw.otlp_endpoint.as_ref());
        Telemetry {
            log: self.log_filter(raw.and_then(|raw| raw.log.as_deref()), &path.key("log")),
            log_format: match raw.and_then(|raw| raw.log_format) {
                None | Some(RawLogFormat::Auto) => LogFormat::Auto,
                Some(RawLogFormat::Json) => LogFormat::Json,
                Some(RawLogFormat::Pretty) => LogFormat::Pretty,
            },
            otlp_endpoint: self.optional_url(endpoint, &path.key("otlp_endpoint")),
        }
    }

    fn log_filter(&mut self, raw: Option<&str>, path: &Path) -> String {
        let Some(filter) = raw else { return "info".to_owned() };
        if let Err(why) = self.sources.check_log_filter(filter) {
            let message = format!("{} is no filter of the log: {why}", self.shown(path));
            self.error(path, message)
                .help("write a level, or levels by part: `info`, `info,weir_gateway=debug`");
        }
        filter.to_owned()
    }
}

/// A size; one that this machine could not count is as good as the largest it can.
pub(super) fn size(raw: Option<u64>, default: usize) -> usize {
    raw.map_or(default, |raw| usize::try_from(raw).unwrap_or(usize::MAX))
}
