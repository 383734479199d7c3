//! Where traces and metrics are sent, and how: the configured endpoint, and the variables of OpenTelemetry beside it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::sampler::Sampler;

/// How often spans are sent, unless enough of them come together before.
const SPANS_EVERY: Duration = Duration::from_secs(1);

/// How often metrics are sent.
const METRICS_EVERY: Duration = Duration::from_secs(60);

/// How long one try of sending takes at most.
const TRY_MAX: Duration = Duration::from_secs(10);

/// The shortest time that may be set, and the longest.
const TIME_MIN: Duration = Duration::from_millis(10);
const TIME_MAX: Duration = Duration::from_secs(3600);

/// How many attributes and headers may be set.
const LISTED_MAX: usize = 64;

/// Where traces and metrics go.
#[derive(Clone)]
pub struct Settings {
    pub(crate) traces: Uri,
    pub(crate) metrics: Uri,
    /// Their values may be keys: they are marked as sensitive, and shown nowhere.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose certificates are trusted, where those of the public web are not meant.
    pub(crate) roots: Option<RootCertStore>,
    /// What describes this process.
    pub(crate) resource: Vec<(String, String)>,
    /// Which traces are kept.
    pub sampler: Sampler,
    pub(crate) spans_every: Duration,
    pub(crate) metrics_every: Duration,
    pub(crate) try_max: Duration,
}

/// The endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(String);

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Sends to `endpoint`, to which `/v1/traces` and `/v1/metrics` are appended. `variable` gives a variable of the
    /// environment; what one says that cannot be used is left aside, as OpenTelemetry wants it, and told in the warnings.
    ///
    /// # Errors
    /// The endpoint makes no URL of http or https.
    pub fn new(
        endpoint: &str,
        version: &str,
        instance: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<String>), SettingsError> {
        let set = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let mut warnings = Vec::new();
        let mut time = |name: &str, usual: Duration| {
            set(name).map_or(usual, |value| {
                read_time(&value).unwrap_or_else(|| {
                    warnings
                        .push(format!("{name}: `{value}` is no time in milliseconds between 10 and 3600000"));
                    usual
                })
            })
        };
        let spans_every = time("OTEL_BSP_SCHEDULE_DELAY", SPANS_EVERY);
        let metrics_every = time("OTEL_METRIC_EXPORT_INTERVAL", METRICS_EVERY);
        let try_max = time("OTEL_EXPORTER_OTLP_TIMEOUT", TRY_MAX);
        let sampler = set("OTEL_TRACES_SAMPLER")
            .map(|name| Sampler::parse(&name, set("OTEL_TRACES_SAMPLER_ARG").as_deref()));
        let sampler = sampler.unwrap_or_else(|| Ok(Sampler::default())).unwrap_or_else(|wrong| {
            warnings.push(wrong);
            Sampler::default()
        });
        let mut resource = vec![
            ("service.name".to_owned(), "weir".to_owned()),
            ("service.version".to_owned(), version.to_owned()),
            ("service.instance.id".to_owned(), instance.to_owned()),
        ];
        for (name, value) in listed(&set, "OTEL_RESOURCE_ATTRIBUTES", &mut warnings) {
            put(&mut resource, name, value);
        }
        if let Some(name) = set("OTEL_SERVICE_NAME") {
            put(&mut resource, "service.name".to_owned(), name);
        }
        let mut headers = Vec::new();
        for (name, value) in listed(&set, "OTEL_EXPORTER_OTLP_HEADERS", &mut warnings) {
            match (HeaderName::try_from(&name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.push((name, value));
                }
                _ => warnings.push(format!("OTEL_EXPORTER_OTLP_HEADERS: the header `{name}` cannot be sent")),
            }
        }
        let roots = set("OTEL_EXPORTER_OTLP_CERTIFICATE").and_then(|file| {
            certificates(&file)
                .map_err(|error| warnings.push(format!("OTEL_EXPORTER_OTLP_CERTIFICATE: `{file}`: {error}")))
                .ok()
        });
        let (traces, metrics) = (below(endpoint, "/v1/traces")?, below(endpoint, "/v1/metrics")?);
        let settings =
            Self { traces, metrics, headers, roots, resource, sampler, spans_every, metrics_every, try_max };
        Ok((settings, warnings))
    }
}

/// The URL of a signal.
fn below(endpoint: &str, path: &str) -> Result<Uri, SettingsError> {
    let base = endpoint.trim_end_matches('/');
    let uri = format!("{base}{path}").parse::<Uri>();
    uri.ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()).ok_or_else(|| {
        SettingsError(
            "the endpoint is no URL that begins with http:// or https:// and has no query; give the collector's base \
             URL, such as http://127.0.0.1:4318"
                .to_owned(),
        )
    })
}

/// The certificates of a file in PEM.
fn certificates(file: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(roots) }
}

fn read_time(value: &str) -> Option<Duration> {
    let time = Duration::from_millis(value.parse().ok()?);
    (TIME_MIN..=TIME_MAX).contains(&time).then_some(time)
}

fn put(list: &mut Vec<(String, String)>, name: String, value: String) {
    match list.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = value,
        None => list.push((name, value)),
    }
}

/// A list of `name=value,…` with per-cent encoded values (W3C Baggage). The values may be secrets: no warning names one.
fn listed(
    set: &impl Fn(&str) -> Option<String>,
    variable: &str,
    warnings: &mut Vec<String>,
) -> Vec<(String, String)> {
    let Some(text) = set(variable) else { return Vec::new() };
    let mut list = Vec::new();
    for (at, entry) in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
        if at >= LISTED_MAX {
            warnings.push(format!("{variable}: only the first {LISTED_MAX} entries count"));
            break;
        }
        let read = entry
            .split_once('=')
            .and_then(|(name, value)| Some((decoded(name.trim())?, decoded(value.trim())?)));
        match read.filter(|(name, _)| !name.is_empty()) {
            Some(entry) => list.push(entry),
            None => warnings.push(format!("{variable}: entry {} is no `name=value`", at + 1)),
        }
    }
    list
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::new("https://otel.test:4318/base/", "1.2.3", "node-1", find).unwrap()
    }

    #[test]
    fn the_paths_of_the_signals_are_appended() {
        let (settings, warnings) = with(&[]);
        assert_eq!(settings.traces, "https://otel.test:4318/base/v1/traces");
        assert_eq!(settings.metrics, "https://otel.test:4318/base/v1/metrics");
        assert_eq!((settings.spans_every, settings.metrics_every), (SPANS_EVERY, METRICS_EVERY));
        assert!(warnings.is_empty() && settings.resource.contains(&("service.name".into(), "weir".into())));
        for bad in ["otel.test:4318", "ftp://otel.test", "http://otel.test?key=x", ""] {
            let error = Settings::new(bad, "", "", |_| None).err().unwrap().to_string();
            assert!(error.contains("http://127.0.0.1:4318") && !error.contains("key=x"), "{error}");
        }
    }

    #[test]
    fn the_variables_of_opentelemetry_are_honoured() {
        let (settings, warnings) = with(&[
            ("OTEL_SERVICE_NAME", "edge"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other, deployment.environment.name=pro%20d,service.instance.id=x",
            ),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=se%3Dcret,x-tenant=a"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", " "),
        ]);
        assert_eq!(warnings, Vec::<String>::new());
        let attribute =
            |name: &str| settings.resource.iter().find(|(known, _)| known == name).unwrap().1.as_str();
        assert_eq!(
            (
                attribute("service.name"),
                attribute("deployment.environment.name"),
                attribute("service.instance.id")
            ),
            ("edge", "pro d", "x")
        );
        assert_eq!(settings.headers.len(), 2);
        assert!(!format!("{:?}", settings.headers).contains("cret"), "{:?}", settings.headers);
        assert_eq!(settings.sampler, Sampler::parse("parentbased_traceidratio", Some("0.25")).unwrap());
        assert_eq!((settings.spans_every.as_millis(), settings.try_max), (50, TRY_MAX));
    }

    #[test]
    fn what_cannot_be_used_is_left_aside_and_told_without_its_value() {
        let (settings, warnings) = with(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "nothing,=x,a=%zz"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "bad name=secret,good=secret"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
        ]);
        assert_eq!(warnings.len(), 8, "{warnings:?}");
        assert!(settings.roots.is_none() && warnings.concat().contains("there is no certificate in it"));
        assert!(!warnings.concat().contains("secret"), "{warnings:?}");
        assert_eq!((settings.headers.len(), settings.sampler), (1, Sampler::default()));
        assert_eq!(settings.metrics_every, METRICS_EVERY);
    }
}
