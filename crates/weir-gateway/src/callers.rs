//! Who presents what: keys from headers, and the caller they belong to.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use weir_core::secret::Secret;
use weir_dialect::Refusal;
use weir_store::directory::{ApiKey, Directory};

/// The word that says "I have no key" where a client library insists on one (design, section 6).
const ANONYMOUS_WORD: &str = "anonymous";

/// The header that brings the caller's own key for the resolved model's provider.
pub(crate) const BYOK_HEADER: &str = "x-weir-byok";

/// The longest key of a provider's, in bytes: those that are signed tokens are long.
const OWN_KEY_BYTES_MAX: usize = 4096;

// As constants: a look-up by text reads the name anew each time.
const BYOK: HeaderName = HeaderName::from_static(BYOK_HEADER);
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who a request comes from.
#[derive(Clone)]
pub(crate) enum Caller {
    /// A valid key, with the caller's own provider key if one was brought along.
    Keyed(Arc<ApiKey>, Option<Secret>),
    /// No key, or the word `anonymous`.
    Anonymous,
    /// A key that is not valid now. Never served as anonymous: a blocked user would escape that way.
    Invalid,
}

impl Caller {
    /// Reads the key headers; both given and one wrong, or of different keys, is invalid.
    pub(crate) fn read(headers: &HeaderMap, directory: &Directory) -> Self {
        let mut found: Option<Arc<ApiKey>> = None;
        for presented in [bearer(headers), plain(headers, &X_API_KEY)] {
            match presented {
                Presented::Nothing => {}
                Presented::Unreadable => return Self::Invalid,
                Presented::Key(text) => match directory.find_key(text) {
                    Some(key) if found.as_ref().is_none_or(|other| other.id == key.id) => found = Some(key),
                    _ => return Self::Invalid,
                },
            }
        }
        match found {
            None => Self::Anonymous,
            Some(key) => match text(headers, &BYOK) {
                Presented::Key(own) if !own.is_empty() => Self::Keyed(key, Some(Secret::from(own))),
                // What cannot be read is refused by `check_own_key`.
                Presented::Key(_) | Presented::Nothing | Presented::Unreadable => Self::Keyed(key, None),
            },
        }
    }

    /// The key, when there is a valid one.
    pub(crate) fn key(&self) -> Option<&Arc<ApiKey>> {
        match self {
            Self::Keyed(key, _) => Some(key),
            Self::Anonymous | Self::Invalid => None,
        }
    }
}

/// A caller's own key that cannot be read must not fall to the platform's.
///
/// # Errors
/// `invalid_request`.
pub(crate) fn check_own_key(headers: &HeaderMap) -> Result<(), Refusal> {
    match text(headers, &BYOK) {
        Presented::Unreadable => Err(Refusal::header_not_text(BYOK_HEADER)),
        Presented::Key("") => Err(Refusal::invalid(
            None,
            format!("The header `{BYOK_HEADER}` is empty: put your provider's key there, or leave it out."),
        )),
        Presented::Key(key)
            if key.len() > OWN_KEY_BYTES_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Err(Refusal::invalid(
                None,
                format!(
                    "The header `{BYOK_HEADER}` holds no key: one is a single word of visible ASCII, of at most {OWN_KEY_BYTES_MAX} bytes. Send your provider's key as it was given."
                ),
            ))
        }
        Presented::Nothing | Presented::Key(_) => Ok(()),
    }
}

enum Presented<'a> {
    Nothing,
    Unreadable,
    Key(&'a str),
}

fn plain<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Presented<'a> {
    match text(headers, name) {
        Presented::Key("" | ANONYMOUS_WORD) => Presented::Nothing,
        presented => presented,
    }
}

/// The header's text, as it is. Given twice it is not readable: another program on the way may look at the other one.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Presented<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(_), Some(_)) => Presented::Unreadable,
        (Some(value), None) => match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Presented::Key(text.trim()),
            Err(_) => Presented::Unreadable,
        },
    }
}

fn bearer(headers: &HeaderMap) -> Presented<'_> {
    let Presented::Key(text) = plain(headers, &AUTHORIZATION) else {
        return plain(headers, &AUTHORIZATION);
    };
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Unreadable;
    }
    match rest.trim() {
        "" | ANONYMOUS_WORD => Presented::Nothing,
        key => Presented::Key(key),
    }
}
