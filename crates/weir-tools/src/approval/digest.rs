//! The digest of a call's arguments.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use weir_core::tool::Arguments;

/// The largest integer up to which every one has a number of its own in the canonical form.
const EXACT_MAX: u64 = 1 << 53;

/// `sha256:` and the digest of the canonical arguments (RFC 8785). The canonical form knows doubles only, so integers
/// beyond 2^53, of which it takes several for one, are digested besides.
///
/// ```
/// use serde_json::json;
/// use weir_core::tool::Arguments;
/// use weir_tools::approval::digest_of;
///
/// let digest = |args| digest_of(&Arguments::new(args));
/// assert_eq!(digest(json!({"a": 1, "b": 2})), digest(json!({"b": 2, "a": 1.0})));
/// assert_ne!(digest(json!({"n": 9007199254740993_u64})), digest(json!({"n": 9007199254740992_u64})));
/// ```
#[must_use]
pub fn digest_of(args: &Arguments) -> String {
    let mut hasher = Sha256::new();
    match serde_json_canonicalizer::to_vec(args.as_value()) {
        Ok(canonical) => hasher.update(canonical),
        // Not possible for what was read as JSON; what is written then still differs where the arguments do.
        Err(_) => hasher.update(args.as_value().to_string()),
    }
    let mut open = vec![args.as_value()];
    while let Some(value) = open.pop() {
        match value {
            Json::Array(items) => open.extend(items),
            Json::Object(members) => open.extend(members.values()),
            Json::Number(number) => {
                let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
                if size.is_some_and(|size| size > EXACT_MAX) {
                    hasher.update([0]);
                    hasher.update(number.to_string());
                }
            }
            Json::Null | Json::Bool(_) | Json::String(_) => {}
        }
    }
    let mut text = String::from("sha256:");
    for byte in hasher.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
