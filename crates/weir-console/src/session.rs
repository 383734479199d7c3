//! Sign-ins of people: a cookie that any node accepts, bound to the token it was made with.
//!
//! The cookie holds 256 random bits. The store holds a hash of them, and a second hash over them and the token together,
//! so that a session ends when its token is renamed, changed or no longer configured, and the table helps nobody to guess
//! a token. The token against forged requests is a third hash of the same bits: nothing more to keep.

mod attempts;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use rand::Rng as _;
use sha2::{Digest, Sha256};
use weir_store::StoreError;
use weir_store::database::StoredSession;

pub(crate) use attempts::Attempts;

use crate::auth::{Authenticator, Principal, TokenHash};
use crate::console::Shared;
use crate::problem::Problem;

/// How long a session may last.
pub const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// How long a session lasts without being used.
pub const IDLE: Duration = Duration::from_secs(60 * 60);
/// How often it is noted that a session is in use; within it a session may end this much early.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// Bytes of a session's secret.
const SECRET_BYTES: usize = 32;

/// The cookie's name.
const COOKIE: &str = "weir-session";
/// Its name where the browser came by https: a cookie so named can come from nowhere else.
const SECURE_COOKIE: &str = "__Host-weir-session";

/// What a session's secret is hashed for; the words keep the hashes apart.
#[derive(Clone, Copy)]
enum Use {
    Stored,
    Bond,
    Csrf,
}

/// The secret in a cookie.
struct SessionSecret(String);

impl SessionSecret {
    fn generate() -> Self {
        let mut bytes = [0_u8; SECRET_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(hex(&bytes))
    }

    fn hash(&self, usage: Use, with: &[u8]) -> String {
        let word: &[u8] = match usage {
            Use::Stored => b"weir session stored|",
            Use::Bond => b"weir session bond|",
            Use::Csrf => b"weir session csrf|",
        };
        hex(&Sha256::new()
            .chain_update(word)
            .chain_update(&self.0)
            .chain_update(b"|")
            .chain_update(with)
            .finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A session that counts.
pub(crate) struct Session {
    /// Whose it is.
    pub(crate) principal: Principal,
    /// What forms must send along.
    pub(crate) csrf: String,
    /// When it ends, however much it is used.
    pub(crate) ends_at: Timestamp,
}

/// Opens a session for the holder of a token: the cookie to set.
pub(crate) async fn open(
    console: &Shared,
    principal: &Principal,
    token: &TokenHash,
    secure: bool,
) -> Result<(Session, HeaderValue), Problem> {
    let now = console.now();
    let secret = SessionSecret::generate();
    let stored = StoredSession {
        hash: secret.hash(Use::Stored, &[]),
        name: principal.name.to_string(),
        role: principal.role.as_str().to_owned(),
        bond: secret.hash(Use::Bond, token),
        created_at: now,
        seen_at: now,
    };
    let added = console.parts.database.session_add(&stored, before(now, LIFETIME), before(now, IDLE)).await;
    added.map_err(|error| Problem::store_unavailable(&error))?;
    let session = Session {
        principal: principal.clone(),
        csrf: secret.hash(Use::Csrf, &[]),
        ends_at: now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX),
    };
    Ok((session, cookie(&secret.0, secure, LIFETIME)))
}

/// The session that a request shows, if it still counts. `idle`: the request says nothing of a person being there.
pub(crate) async fn find(
    console: &Shared,
    authenticator: &Authenticator,
    headers: &HeaderMap,
    idle: bool,
) -> Result<Option<Session>, StoreError> {
    let Some(secret) = presented(headers) else { return Ok(None) };
    let hash = secret.hash(Use::Stored, &[]);
    let Some(stored) = console.parts.database.session(&hash).await? else { return Ok(None) };
    let now = console.now();
    if stored.created_at <= before(now, LIFETIME) || stored.seen_at <= before(now, IDLE) {
        return Ok(None);
    }
    let Some(principal) =
        authenticator.named(&stored.name, &stored.role, |token| secret.hash(Use::Bond, token) == stored.bond)
    else {
        return Ok(None);
    };
    if !idle && stored.seen_at <= before(now, NOTED_EVERY) {
        console.parts.database.session_seen(&hash, now).await?;
    }
    let ends_at = stored.created_at.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX);
    Ok(Some(Session { principal, csrf: secret.hash(Use::Csrf, &[]), ends_at }))
}

/// Ends the session that a request shows: the cookies to set.
pub(crate) async fn end(console: &Shared, headers: &HeaderMap) -> Result<[HeaderValue; 2], Problem> {
    if let Some(secret) = presented(headers) {
        let ended = console.parts.database.session_end(&secret.hash(Use::Stored, &[])).await;
        ended.map_err(|error| Problem::store_unavailable(&error))?;
    }
    Ok([cookie("", false, Duration::ZERO), cookie("", true, Duration::ZERO)])
}

/// The value of a cookie that was sent.
pub(crate) fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (n, value) = pair.trim().split_once('=')?;
        (n == name).then_some(value)
    })
}

fn presented(headers: &HeaderMap) -> Option<SessionSecret> {
    let value = cookie_of(headers, SECURE_COOKIE).or_else(|| cookie_of(headers, COOKIE))?;
    let is_ours = value.len() == 2 * SECRET_BYTES && value.bytes().all(|b| b.is_ascii_hexdigit());
    is_ours.then(|| SessionSecret(value.to_owned()))
}

/// Whether a request shows a cookie of a session, good or not.
pub(crate) fn is_presented(headers: &HeaderMap) -> bool {
    presented(headers).is_some()
}

fn cookie(value: &str, secure: bool, age: Duration) -> HeaderValue {
    let (name, secure) = if secure { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let text =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", age.as_secs());
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
