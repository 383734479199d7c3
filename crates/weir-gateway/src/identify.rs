//! Stage *identify*: where a request comes from and who it is counted as.

use std::net::IpAddr;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName};
use weir_core::identity::{ANONYMOUS_PREFIX, FingerprintParts};
use weir_core::record::IdentityFacts;
use weir_core::{IdentityKey, Timestamp};
use weir_store::database::IdentityRow;

use crate::callers::Caller;
use crate::settings::Settings;

/// What client headers are cut to, in characters (spec A3 step 5).
const HEADER_CHARS_MAX: usize = 500;

// As constants: a look-up by text reads the name anew each time.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const COUNTRY: HeaderName = HeaderName::from_static("x-vercel-ip-country");
const CITY: HeaderName = HeaderName::from_static("x-vercel-ip-city");
const LATITUDE: HeaderName = HeaderName::from_static("x-vercel-ip-latitude");
const LONGITUDE: HeaderName = HeaderName::from_static("x-vercel-ip-longitude");
const FEATURE: HeaderName = HeaderName::from_static("x-weir-feature");
const EDITOR: HeaderName = HeaderName::from_static("x-weir-editor");
const PROJECT: HeaderName = HeaderName::from_static("x-weir-project");

/// The other end of a connection.
pub(crate) struct Peer {
    address: IpAddr,
    /// The same as text: most requests are recorded with it.
    text: String,
}

impl Peer {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self { address, text: address.to_string() }
    }
}

/// Where a request comes from, as far as its headers can be believed.
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    pub(crate) address_text: String,
    pub(crate) user_agent: String,
    pub(crate) ja4: String,
    pub(crate) country: String,
    pub(crate) city: String,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) feature: String,
    pub(crate) editor: String,
    pub(crate) project: String,
}

impl Origin {
    /// Reads the headers; those that only a proxy may set are believed from trusted peers only.
    pub(crate) fn read(headers: &HeaderMap, peer: &Peer, settings: &Settings) -> Self {
        let forwarded: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or_default())
            .collect();
        let address = weir_core::address::client_address(
            peer.address,
            forwarded.iter().copied(),
            &settings.trusted_proxies,
        );
        let trusted = settings.trusted_proxies.trusts(peer.address);
        let from_proxy = |name: &HeaderName| if trusted { text(headers, name) } else { String::new() };
        Self {
            address,
            address_text: if address == peer.address { peer.text.clone() } else { address.to_string() },
            user_agent: text(headers, &USER_AGENT),
            ja4: from_proxy(&settings.fingerprint_header),
            country: from_proxy(&COUNTRY),
            city: from_proxy(&CITY),
            latitude: from_proxy(&LATITUDE).parse().ok(),
            longitude: from_proxy(&LONGITUDE).parse().ok(),
            feature: text(headers, &FEATURE),
            editor: text(headers, &EDITOR),
            project: text(headers, &PROJECT),
        }
    }

    /// The identity that the caller is judged as.
    pub(crate) fn identity(&self, caller: &Caller) -> IdentityKey {
        let parts = FingerprintParts {
            address: Some(&self.address_text),
            ja4: Some(&self.ja4),
            user_agent: Some(&self.user_agent),
        };
        IdentityKey::derive(caller.key().map(|key| key.owner.user.as_str()), parts)
    }
}

/// A header's text, cut and trimmed; bytes that are no UTF-8 are replaced, so that they can neither fail a request
/// nor hide from a rule.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let Some(value) = headers.get(name) else { return String::new() };
    let whole = String::from_utf8_lossy(value.as_bytes());
    match whole.char_indices().nth(HEADER_CHARS_MAX) {
        None => whole.trim().to_owned(),
        Some((end, _)) => whole.get(..end).unwrap_or_default().trim().to_owned(),
    }
}

/// The user id of a caller: the key's user, or `anon:` and the address.
pub(crate) fn user_id(caller: &Caller, address: IpAddr) -> String {
    match caller.key() {
        Some(key) => key.owner.user.trim().to_owned(),
        None => format!("{ANONYMOUS_PREFIX}{address}"),
    }
}

/// The facts of an identity: what its key says, with what events have told of it since.
pub(crate) fn facts(
    key: &IdentityKey,
    caller: &Caller,
    origin: &Origin,
    row: &IdentityRow,
    now: Timestamp,
) -> IdentityFacts {
    let owner = caller.key().map(|key| &key.owner);
    let plan = row.plan.clone().or_else(|| owner.and_then(|o| o.plan.clone())).unwrap_or_default();
    let mut tags = owner.map(|o| o.tags.clone()).unwrap_or_default();
    tags.extend(row.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect::<Vec<_>>());
    let project = owner.and_then(|o| o.project.clone()).unwrap_or_else(|| origin.project.clone());
    IdentityFacts {
        key: key.as_str().to_owned(),
        kind: key.kind().as_str().to_owned(),
        user_id: user_id(caller, origin.address),
        org_id: owner.and_then(|o| o.org.clone()).unwrap_or_default(),
        project_id: project,
        plan,
        verified: row.verified,
        blocked: row.blocked,
        age_days: age_days(row.created_at, now),
        tags,
    }
}

fn age_days(created_at: Option<Timestamp>, now: Timestamp) -> i64 {
    const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
    created_at.map_or(0, |created| (now.as_second() - created.as_second()).max(0) / SECONDS_PER_DAY)
}
