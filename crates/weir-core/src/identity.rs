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
