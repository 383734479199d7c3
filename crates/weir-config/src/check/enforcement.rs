//! Abuse rules, the stop-loss and failures.

use std::time::Duration;

use weir_core::action::QuarantineDelays;
use weir_core::secret::{Secret, expose};

use super::Check;
use super::limits::size;
use crate::config::{Abuse, AbuseMode, Failures, LogLevel, Protected, Quarantine, Retries, StopLoss};
use crate::path::Path;
use crate::raw::{
    RawAbuse, RawAbuseMode, RawFailures, RawLogLevel, RawMap, RawProtected, RawQuarantine, RawRetries,
    RawSecret, RawStopLoss,
};

/// What the gateway keeps to, whatever is configured: `weir-gateway/src/attempts/plan.rs`.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSES_MAX: Duration = Duration::from_secs(60);
const CALLS_MAX: u32 = 20;

const ACCESS_ID: &str = "cf-access-client-id";
const ACCESS_SECRET: &str = "cf-access-client-secret";

impl Check<'_, '_> {
    pub(super) fn abuse(&mut self, raw: Option<&RawAbuse>, path: &Path) -> Abuse {
        let none = RawAbuse::default();
        let raw = raw.unwrap_or(&none);
        let service_url = self.optional_url(raw.service_url.as_ref(), &path.key("service_url"));
        let mode = self.abuse_mode(raw.mode, service_url.is_some(), path);
        Abuse {
            mode,
            service_url,
            service_headers: self.service_headers(raw.service_headers.as_ref(), &path.key("service_headers")),
            classify_timeout: self.positive(
                raw.classify_timeout.as_ref(),
                &path.key("classify_timeout"),
                Duration::from_secs(2),
            ),
            disclose: raw.disclose.unwrap_or(false),
            quarantine: self.quarantine(raw.quarantine.as_ref(), &path.key("quarantine")),
        }
    }

    fn abuse_mode(&mut self, raw: Option<RawAbuseMode>, has_service: bool, path: &Path) -> AbuseMode {
        match raw {
            Some(RawAbuseMode::Cached) => AbuseMode::Cached,
            Some(RawAbuseMode::Off) => AbuseMode::Off,
            None if has_service => AbuseMode::Cached,
            Some(RawAbuseMode::Inline) if has_service => {
                self.error(&path.key("mode"), "`mode: inline` decides in process and asks no `service_url`")
                    .help("write `mode: cached`, or remove `service_url`");
                AbuseMode::Inline
            }
            None | Some(RawAbuseMode::Inline) => AbuseMode::Inline,
        }
    }

    /// Headers with a value. Half of the access pair is worse than none: it is left out, with a warning.
    fn service_headers(&mut self, raw: Option<&RawMap<RawSecret>>, path: &Path) -> Vec<(String, Secret)> {
        let mut headers: Vec<(String, Secret)> = Vec::new();
        for (name, value) in raw.into_iter().flatten() {
            let below = path.key(name);
            let lower = self.header_name(name, &below);
            let value = self.header_value(value, &below);
            if headers.iter().any(|(other, _)| *other == lower) {
                let place = self.key_place(&below);
                self.report.error(place, &below, format!("the header `{lower}` is given twice"));
            } else if let Some(value) = value {
                headers.push((lower, value));
            }
        }
        let has = |name: &str| headers.iter().any(|(other, _)| other == name);
        if has(ACCESS_ID) != has(ACCESS_SECRET) {
            let missing = if has(ACCESS_ID) { ACCESS_SECRET } else { ACCESS_ID };
            let place = self.key_place(path);
            self.report
                .warning(place, path, format!("`{missing}` has no value: neither of the pair is sent"))
                .help("give both, or neither");
            headers.retain(|(name, _)| name != ACCESS_ID && name != ACCESS_SECRET);
        }
        headers
    }

    fn header_value(&mut self, raw: &RawSecret, path: &Path) -> Option<Secret> {
        let value = self.secret(raw, path)?;
        if !expose(&value).chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            self.error(path, "this value cannot be sent in a header").help("only ASCII, and no line break");
            return None;
        }
        Some(value).filter(|value| !expose(value).trim().is_empty())
    }

    fn quarantine(&mut self, raw: Option<&RawQuarantine>, path: &Path) -> Quarantine {
        let none = RawQuarantine::default();
        let raw = raw.unwrap_or(&none);
        let delays = QuarantineDelays::default();
        Quarantine {
            delays: QuarantineDelays {
                first: self.duration(raw.first.as_ref(), &path.key("first"), delays.first),
                second: self.duration(raw.second.as_ref(), &path.key("second"), delays.second),
            },
            held_max: size(raw.held_max, 10_000),
            held_per_identity_max: size(raw.held_per_identity_max, 20),
        }
    }

    pub(super) fn stop_loss(&mut self, raw: &RawStopLoss, path: &Path) -> StopLoss {
        let share_percent = raw.share_percent.unwrap_or(10.0);
        if share_percent <= 0.0 {
            self.error(&path.key("share_percent"), "the share must be above zero")
                .help("leave `stop_loss` out to have none");
        }
        let protect = raw.protect.as_deref().unwrap_or(&[RawProtected::Paying, RawProtected::Byok]);
        StopLoss {
            share_percent,
            identities_min: raw.identities_min.unwrap_or(100),
            window: self.positive(raw.window.as_ref(), &path.key("window"), Duration::from_secs(300)),
            protect: protect.iter().map(|who| Protected::from(*who)).collect(),
        }
    }

    pub(super) fn failures(&mut self, raw: Option<&RawFailures>, path: &Path) -> Failures {
        let none = RawFailures::default();
        let raw = raw.unwrap_or(&none);
        let window = Duration::from_secs(60);
        Failures {
            retries: self.retries(raw.retries.as_ref(), &path.key("retries")),
            sentry_dsn: self.sentry_dsn(raw.sentry_dsn.as_ref(), &path.key("sentry_dsn")),
            sentry_environment: raw.sentry_environment.clone().filter(|name| !name.trim().is_empty()),
            log_level: raw.log_level.map_or(LogLevel::Info, LogLevel::from),
            report_window: self.positive(raw.report_window.as_ref(), &path.key("report_window"), window),
        }
    }

    fn retries(&mut self, raw: Option<&RawRetries>, path: &Path) -> Retries {
        let none = RawRetries::default();
        let raw = raw.unwrap_or(&none);
        let retries = Retries {
            attempts: raw.attempts.unwrap_or(2),
            base: self.duration(raw.base.as_ref(), &path.key("base"), Duration::from_millis(50)),
            max: self.duration(raw.max.as_ref(), &path.key("max"), Duration::from_secs(10)),
            retry_after_max: self.duration(
                raw.retry_after_max.as_ref(),
                &path.key("retry_after_max"),
                Duration::from_secs(30),
            ),
        };
        if retries.max < retries.base {
            self.error(&path.key("max"), "the longest pause is shorter than the first")
                .help("raise `max`, or lower `base`");
        }
        self.unwise_retries(&retries, raw, path);
        retries
    }

    /// What is allowed and hardly meant.
    fn unwise_retries(&mut self, retries: &Retries, raw: &RawRetries, path: &Path) {
        if raw.base.is_some() && retries.base < PAUSE_MIN {
            self.warning(&path.key("base"), "no pause is shorter than 50 ms: this has no effect")
                .help("set 50ms or more");
        }
        if raw.retry_after_max.is_some() && retries.retry_after_max < retries.base {
            self.warning(
                &path.key("retry_after_max"),
                "what a provider asks for is never waited: no pause is shorter than `base`",
            )
            .help("raise it; the default is 30s");
        }
        for (name, given, pause) in [
            ("base", raw.base.is_some(), retries.base),
            ("max", raw.max.is_some(), retries.max),
            ("retry_after_max", raw.retry_after_max.is_some(), retries.retry_after_max),
        ] {
            if given && pause > PAUSES_MAX {
                self.warning(
                    &path.key(name),
                    "a request pauses for at most 60 s in all: after a longer pause it is not tried again",
                )
                .help("set 60s or less");
            }
        }
        if retries.attempts > CALLS_MAX {
            self.warning(&path.key("attempts"), "a request costs at most 20 calls in all")
                .help("set 20 or less");
        }
    }
}

impl From<RawProtected> for Protected {
    fn from(raw: RawProtected) -> Self {
        match raw {
            RawProtected::Paying => Self::Paying,
            RawProtected::Byok => Self::Byok,
        }
    }
}

impl From<RawLogLevel> for LogLevel {
    fn from(raw: RawLogLevel) -> Self {
        match raw {
            RawLogLevel::Trace => Self::Trace,
            RawLogLevel::Debug => Self::Debug,
            RawLogLevel::Info => Self::Info,
            RawLogLevel::Warn => Self::Warn,
            RawLogLevel::Error => Self::Error,
        }
    }
}
