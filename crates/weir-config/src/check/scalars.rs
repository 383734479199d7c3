//! Durations, addresses, URLs, words of HTTP and secrets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use url::Url;
use weir_core::address::TrustedProxies;
use weir_core::secret::{Secret, expose};

use super::Check;
use crate::path::Path;
use crate::raw::{RawAddress, RawDuration, RawNetwork, RawSecret};

/// The longest duration: a hundred years, so that a sum of some never overflows.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Reads `500ms`, `30s`, `1m`, `1h`, `1d`.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?)).filter(|duration| *duration <= DURATION_MAX)
}

impl Check<'_, '_> {
    /// A duration that may be zero.
    pub(super) fn duration(&mut self, raw: Option<&RawDuration>, path: &Path, default: Duration) -> Duration {
        let Some(raw) = raw else { return default };
        parse_duration(raw.0.trim()).unwrap_or_else(|| {
            let message = format!("{} is no duration", self.shown(path));
            self.error(path, message)
                .help("write a whole number and a unit: `500ms`, `30s`, `1m`, `1h`, `1d`");
            default
        })
    }

    /// A duration above zero.
    pub(super) fn positive(&mut self, raw: Option<&RawDuration>, path: &Path, default: Duration) -> Duration {
        let duration = self.duration(raw, path, default);
        if duration.is_zero() {
            self.error(path, "the duration must be above zero");
            return default;
        }
        duration
    }

    pub(super) fn address(&mut self, raw: Option<&RawAddress>, path: &Path, default_port: u16) -> SocketAddr {
        let default = SocketAddr::from(([127, 0, 0, 1], default_port));
        let Some(raw) = raw else { return default };
        raw.0.trim().parse().unwrap_or_else(|_| {
            let message = format!("{} is no address with a port", self.shown(path));
            self.error(path, message)
                .help("write an IP address and a port: `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:0`");
            default
        })
    }

    pub(super) fn trusted_proxies(&mut self, raw: Option<&[RawNetwork]>, path: &Path) -> TrustedProxies {
        let Some(raw) = raw else { return TrustedProxies::new(vec![IpAddr::from([127, 0, 0, 1]).into()]) };
        self.networks(raw, path)
    }

    pub(super) fn networks(&mut self, raw: &[RawNetwork], path: &Path) -> TrustedProxies {
        let networks =
            raw.iter().enumerate().filter_map(|(i, network)| self.network(network, &path.index(i)));
        TrustedProxies::new(networks.collect())
    }

    fn network(&mut self, raw: &RawNetwork, path: &Path) -> Option<IpNet> {
        let text = raw.0.trim();
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        if network.is_none() {
            let message = format!("{} is no network", self.shown(path));
            self.error(path, message)
                .help("write an address or a network: `127.0.0.1`, `10.0.0.0/8`, `fd00::/8`");
        }
        network
    }

    /// An `http` or `https` URL; an empty text is none.
    pub(super) fn optional_url(&mut self, raw: Option<&String>, path: &Path) -> Option<Url> {
        let text = raw.map(|text| text.trim()).filter(|text| !text.is_empty())?;
        self.http_url(text, path)
    }

    pub(super) fn http_url(&mut self, text: &str, path: &Path) -> Option<Url> {
        let help = "write it whole: `https://api.example.com/v1`";
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
            Ok(_) => {
                let message = format!("{} is no `http` or `https` URL", self.shown(path));
                self.error(path, message).help(help);
                None
            }
            Err(error) => {
                let message = format!("{} is no URL: {error}", self.shown(path));
                self.error(path, message).help(help);
                None
            }
        }
    }

    /// The name of a header in lower case.
    pub(super) fn header_name(&mut self, name: &str, path: &Path) -> String {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            let place = self.key_place(path);
            self.report
                .error(place, path, "this is no name of an HTTP header")
                .help("letters, digits and `-`, such as `x-vercel-ja4-digest`");
        }
        name.to_ascii_lowercase()
    }

    /// A secret; `file:PATH`, where it is written so, is read. `None` when it cannot be, which is reported.
    pub(super) fn secret(&mut self, raw: &RawSecret, path: &Path) -> Option<Secret> {
        self.secret_text(&raw.0, path).map(Secret::from)
    }

    pub(super) fn secret_text(&mut self, text: &str, path: &Path) -> Option<String> {
        // What a variable brings is the secret itself: only the file may say where else to look.
        let written = self.document.at(path).and_then(|node| node.written.as_deref()).unwrap_or(text);
        let Some(file) = text.strip_prefix("file:").filter(|_| written.starts_with("file:")) else {
            return Some(text.to_owned());
        };
        match self.sources.read_file(&self.path_from(file)) {
            Ok(content) => Some(content.trim_end_matches(['\n', '\r']).to_owned()),
            Err(why) => {
                self.error(path, format!("the file of this secret cannot be read: {why}")).help(
                    "`file:PATH` reads a file; a relative path starts at the configuration file's folder",
                );
                None
            }
        }
    }

    /// A secret that is there and that a header can carry; an empty one is `None`.
    pub(super) fn key(&mut self, raw: &RawSecret, path: &Path) -> Option<Secret> {
        let secret = self.secret(raw, path)?;
        if !expose(&secret).chars().all(|c| c.is_ascii_graphic()) {
            self.error(path, "this key cannot be sent in a header")
                .help("a key has letters, digits and signs of ASCII, and no space or line break");
            return None;
        }
        Some(secret).filter(|secret| !expose(secret).is_empty())
    }

    /// A key that must not be empty.
    pub(super) fn required_key(&mut self, raw: &RawSecret, path: &Path) -> Option<Secret> {
        let before = self.report.has_error_within(path);
        let key = self.key(raw, path);
        if key.is_none() && !before && !self.report.has_error_within(path) {
            self.error(path, "the key is empty").help("give it a value, or remove the entry");
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let table = [
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("30s", Some(30_000)),
            ("1m", Some(60_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("30", None),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1w", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("40000d", None),
        ];
        for (text, millis) in table {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
