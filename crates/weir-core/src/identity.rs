//! Who a request is counted and judged as (spec A4, with the mended fingerprint).

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Whether the caller is known by name or only by a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// A user id is known.
    User,
    /// Only address, TLS digest and user agent are known.
    Anonymous,
}

impl IdentityKind {
    /// The word in rules and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Anonymous => "anonymous",
        }
    }
}

/// The key of an identity: `user:` and the trimmed id, or `fingerprint:` and a lower-case SHA-256.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdentityKey(String);

/// What anonymous callers are told apart by. An empty part counts as missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct FingerprintParts<'a> {
    /// The client's address as [`crate::address::client_address`] derives it.
    pub address: Option<&'a str>,
    /// The TLS digest header, believed from trusted peers only.
    pub ja4: Option<&'a str>,
    /// The `user-agent` header.
    pub user_agent: Option<&'a str>,
}

/// Prefix of the ids of anonymous callers (spec A3 step 9): they never become a user's key.
pub const ANONYMOUS_PREFIX: &str = "anon:";

impl IdentityKey {
    /// Derives the key (spec A4): a user id that is not blank and does not begin with `anon:` names a user,
    /// anything else falls back to the fingerprint.
    #[must_use]
    pub fn derive(user_id: Option<&str>, parts: FingerprintParts<'_>) -> Self {
        match user_id.map(str::trim) {
            Some(id) if !id.is_empty() && !id.starts_with(ANONYMOUS_PREFIX) => Self(format!("user:{id}")),
            _ => Self::fingerprint(parts),
        }
    }

    fn fingerprint(parts: FingerprintParts<'_>) -> Self {
        fn or<'a>(part: Option<&'a str>, placeholder: &'a str) -> &'a str {
            part.filter(|p| !p.is_empty()).unwrap_or(placeholder)
        }
        let mut hasher = Sha256::new();
        hasher.update(or(parts.address, "unknown_ip"));
        hasher.update("|");
        hasher.update(or(parts.ja4, "no_ja4"));
        hasher.update("|");
        hasher.update(or(parts.user_agent, "no_ua"));
        let mut key = String::with_capacity("fingerprint:".len() + 64);
        key.push_str("fingerprint:");
        for byte in hasher.finalize() {
            // Writing into a String cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        Self(key)
    }

    /// Takes a key over as it stands, for instance from the store or the command line.
    #[must_use]
    pub fn from_stored(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key names a user.
    #[must_use]
    pub fn kind(&self) -> IdentityKind {
        if self.0.starts_with("user:") { IdentityKind::User } else { IdentityKind::Anonymous }
    }
}

impl fmt::Display for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JA4: &str = "t13d1516h2_8daaf6152771_b186095e22b6";
    /// Of `unknown_ip|no_ja4|no_ua`.
    const NOTHING_KNOWN: &str =
        "fingerprint:22af7331d27fdc39ab1c65981a5123550cb5ae7e038be2d2c1d3909d81c56d4a";

    fn parts<'a>(address: &'a str, ja4: &'a str, user_agent: &'a str) -> FingerprintParts<'a> {
        FingerprintParts { address: Some(address), ja4: Some(ja4), user_agent: Some(user_agent) }
    }

    #[test]
    fn a_user_is_known_by_the_id_and_anybody_else_by_a_fingerprint() {
        let all = parts("203.0.113.5", JA4, "curl/8.5.0");
        let of_all = "fingerprint:24b4c772199fea4008e910b321b49779eeb16d93a45a2ad2e3b78645718eb256";
        let table = [
            (Some(" u1 "), FingerprintParts::default(), "user:u1"),
            (Some("u1"), all, "user:u1"),
            (Some("user:u1"), all, "user:user:u1"),
            (None, FingerprintParts::default(), NOTHING_KNOWN),
            (Some("   "), FingerprintParts::default(), NOTHING_KNOWN),
            (Some("anon:203.0.113.5"), FingerprintParts::default(), NOTHING_KNOWN),
            (None, parts("", "", ""), NOTHING_KNOWN),
            (None, all, of_all),
        ];
        for (user_id, parts, expected) in table {
            let key = IdentityKey::derive(user_id, parts);
            assert_eq!((key.as_str(), key.to_string().as_str()), (expected, expected), "{user_id:?}");
            let kind = if expected.starts_with("user:") { "user" } else { "anonymous" };
            assert_eq!(key.kind().as_str(), kind, "{expected}");
            assert_eq!(IdentityKey::from_stored(expected), key);
        }
    }

    #[test]
    fn each_part_makes_another_fingerprint_and_none_can_be_moved_into_its_neighbour() {
        let others = [
            parts("203.0.113.6", JA4, "curl/8.5.0"),
            parts("203.0.113.5", "", "curl/8.5.0"),
            parts("203.0.113.5", JA4, "curl/8.5.1"),
            parts("203.0.113.5", "", "b|curl/8.5.0"),
            parts("203.0.113.5", "b", "curl/8.5.0|"),
        ];
        let keys: std::collections::BTreeSet<_> =
            others.into_iter().map(|parts| IdentityKey::derive(None, parts)).collect();
        assert_eq!(keys.len(), others.len());
    }
}
