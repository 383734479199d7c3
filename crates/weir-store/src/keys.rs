//! API keys of callers, and callers' own provider keys at rest.
//!
//! A caller's key is 256 random bits. What is stored is `HMAC-SHA256(pepper, key)`: without the pepper, which lies in
//! the database's table `meta`, a leaked list of hashes cannot even be tried against a leaked list of keys. No slow
//! hash is needed for a text of this entropy, and it would be a way to exhaust the gateway.
//!
//! Callers' own provider keys must be read again, so they are sealed with AES-256-GCM. See [`Sealer`] for what that
//! protects against.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use weir_core::secret::{Secret, expose};

use crate::error::{ErrorKind, Result, StoreError};

/// What keys made by weir begin with.
pub const KEY_PREFIX: &str = "weir_sk_";

/// How much of a key may be shown: the word and six characters, 36 of its 256 bits.
const SHOWN_CHARS: usize = KEY_PREFIX.len() + 6;

/// The hash of a caller's key, by which it is looked up. Not a secret.
#[derive(Clone, Copy, Debug, Eq)]
pub struct KeyHash([u8; 32]);

impl PartialEq for KeyHash {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for KeyHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl KeyHash {
    /// As it is stored: lower-case hexadecimal.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    pub(crate) fn from_hex(text: &str) -> Result<Self> {
        let bytes = unhex(text).and_then(|b| <[u8; 32]>::try_from(b).ok());
        bytes.map(Self).ok_or_else(|| StoreError::corrupt("the hash of a key", "not 64 hexadecimal digits"))
    }

    /// The id of the key with this hash: `key_` and its first 16 digits. Configured keys get theirs so, too, and keep
    /// it over restarts as long as the database's pepper stays.
    #[must_use]
    pub fn key_id(&self) -> String {
        let mut id = String::from("key_");
        id.extend(self.to_hex().chars().take(16));
        id
    }
}

/// A key that has just been made. The plain text is shown once and kept nowhere.
pub struct GeneratedKey {
    /// Its id, derived from its hash.
    pub id: String,
    /// The key itself, `weir_sk_…`.
    pub plain: Secret,
    /// Its beginning, which may be shown in lists.
    pub prefix: String,
    /// What is stored.
    pub hash: KeyHash,
}

/// Hashes callers' keys with the database's pepper.
#[derive(Clone)]
pub struct KeyHasher {
    keyed: Hmac<Sha256>,
}

impl KeyHasher {
    /// A hasher with this pepper.
    #[must_use]
    pub fn new(pepper: &[u8]) -> Self {
        Self { keyed: mac(pepper) }
    }

    /// The hash of a presented or configured key.
    #[must_use]
    pub fn hash(&self, key: &str) -> KeyHash {
        let mut keyed = self.keyed.clone();
        keyed.update(key.as_bytes());
        KeyHash(keyed.finalize().into_bytes().into())
    }

    /// Makes a new key of 256 bits.
    pub fn generate(&self, rng: &mut impl CryptoRng) -> GeneratedKey {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let plain = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let hash = self.hash(&plain);
        let prefix = plain.chars().take(SHOWN_CHARS).collect();
        GeneratedKey { id: hash.key_id(), plain: plain.into(), prefix, hash }
    }
}

/// A provider key at rest: nonce and ciphertext in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// Seals callers' own provider keys with AES-256-GCM, bound to the key's id and the provider's name.
///
/// The sealing key comes from a secret that nodes share. With SQLite it lies in a file of mode 600 beside the
/// database, so that a copy of the database alone (a backup, a support bundle) does not give the provider keys
/// away. With PostgreSQL it lies in the table `meta`: that protects against what shows the table of keys only (a
/// query's output, a log, a partial dump), not against one who reads the whole database. Neither protects against
/// one who reads this process or its data folder. The binding keeps one who may write the table from moving a
/// sealed key to an API key of his own.
#[derive(Clone)]
pub struct Sealer {
    key: std::sync::Arc<RandomizedNonceKey>,
}

impl Sealer {
    /// A sealer whose key is derived from this secret.
    ///
    /// # Errors
    /// `Refused` if the cipher cannot be set up.
    pub fn new(secret: &[u8]) -> Result<Self> {
        let mut derive = mac(secret);
        derive.update(b"weir: callers' own provider keys, v1");
        let key = RandomizedNonceKey::new(&AES_256_GCM, &derive.finalize().into_bytes())
            .map_err(|_| StoreError::new(ErrorKind::Refused, "the sealing key cannot be used"))?;
        Ok(Self { key: std::sync::Arc::new(key) })
    }

    /// Seals a provider key of the API key `key_id`.
    ///
    /// # Errors
    /// `Refused` if the cipher or the system's randomness fails.
    pub fn seal(&self, key_id: &str, provider: &str, plain: &Secret) -> Result<Sealed> {
        let mut body = expose(plain).as_bytes().to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(binding(key_id, provider), &mut body)
            .map_err(|_| StoreError::new(ErrorKind::Refused, "a provider key could not be sealed"))?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut body);
        Ok(Sealed(STANDARD.encode(bytes)))
    }

    /// Opens what was sealed for the same API key and provider.
    ///
    /// # Errors
    /// `Corrupt` if it was sealed for another key or provider, with another secret, or was changed.
    pub fn open(&self, key_id: &str, provider: &str, sealed: &Sealed) -> Result<Secret> {
        self.try_open(key_id, provider, sealed).ok_or_else(|| {
            let message =
                format!("the key of provider `{provider}` in `{key_id}` was sealed with another secret");
            StoreError::new(ErrorKind::Corrupt, message)
        })
    }

    fn try_open(&self, key_id: &str, provider: &str, sealed: &Sealed) -> Option<Secret> {
        let bytes = STANDARD.decode(&sealed.0).ok()?;
        let (nonce, body) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let plain = self.key.open_in_place(nonce, binding(key_id, provider), &mut body).ok()?;
        std::str::from_utf8(plain).ok().map(|text| Secret::from(text.to_owned()))
    }
}

/// Length first, so that no two pairs give the same bytes.
fn binding(key_id: &str, provider: &str) -> Aad<String> {
    Aad::from(format!("{}:{key_id}{provider}", key_id.len()))
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| std::str::from_utf8(two).ok().and_then(|t| u8::from_str_radix(t, 16).ok())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_hash_and_only_under_its_pepper() {
        let hasher = KeyHasher::new(b"pepper");
        let made = hasher.generate(&mut rand::rng());
        let plain = expose(&made.plain);
        assert!(plain.starts_with(KEY_PREFIX) && plain.starts_with(&made.prefix));
        assert_eq!(plain.len(), KEY_PREFIX.len() + 43);
        assert_eq!(hasher.hash(plain), made.hash);
        assert_eq!(KeyHash::from_hex(&made.hash.to_hex()), Ok(made.hash));
        assert_eq!(made.id, made.hash.key_id());
        assert_ne!(KeyHasher::new(b"other").hash(plain), made.hash);
        assert_ne!(hasher.generate(&mut rand::rng()).hash, made.hash);
        assert!(KeyHash::from_hex("00").is_err() && KeyHash::from_hex("zz").is_err());
    }

    #[test]
    fn a_sealed_key_opens_only_for_its_owner_its_provider_and_its_secret() {
        let sealer = Sealer::new(b"secret").unwrap();
        let sealed = sealer.seal("key_1", "openai", &"sk-own".to_owned().into()).unwrap();
        assert!(!sealed.0.contains("sk-own"));
        assert_eq!(expose(&sealer.open("key_1", "openai", &sealed).unwrap()), "sk-own");
        let table = [
            (sealer.open("key_2", "openai", &sealed), "another key"),
            (sealer.open("key_1", "anthropic", &sealed), "another provider"),
            (sealer.open("key_1o", "penai", &sealed), "the same letters, cut elsewhere"),
            (Sealer::new(b"other").unwrap().open("key_1", "openai", &sealed), "another secret"),
            (sealer.open("key_1", "openai", &Sealed(String::new())), "nothing"),
        ];
        for (opened, what) in table {
            assert_eq!(opened.map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
        }
    }
}
