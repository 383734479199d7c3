//! The files of the console: compiled in, so that the binary needs nothing beside it.
//!
//! A page names them with a part of their hash, so that a browser may keep them for good; by their bare names they can
//! be asked for, too, and are then asked for again each time.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// The sign of the console, as part of a page.
pub(crate) const LOGO: &str = include_str!("../assets/icon.svg");

/// Name, media type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("console.css", "text/css; charset=utf-8", include_str!("../assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("../assets/console.js")),
    ("editor.js", "text/javascript; charset=utf-8", include_str!("../assets/editor.js")),
    ("icon.svg", "image/svg+xml", LOGO),
];

/// Digits of the hash in a name.
const HASH_DIGITS: usize = 12;

struct Asset {
    name: &'static str,
    /// `console.0123456789ab.css`.
    hashed: String,
    kind: &'static str,
    content: &'static str,
    tag: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| FILES.into_iter().map(asset).collect());

fn asset((name, kind, content): (&'static str, &'static str, &'static str)) -> Asset {
    let digest = Sha256::digest(content.as_bytes());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hash: String = hash.chars().take(HASH_DIGITS).collect();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    Asset { name, hashed: format!("{stem}.{hash}.{extension}"), kind, content, tag: format!("\"{hash}\"") }
}

/// The path of a file as a page names it.
pub(crate) fn path(name: &str) -> String {
    let hashed = ASSETS.iter().find(|asset| asset.name == name).map_or(name, |asset| &asset.hashed);
    format!("/assets/{hashed}")
}

/// Serves a file; 304 when the browser has it.
pub(crate) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name || asset.hashed == name) else {
        return Problem::not_found("there is no such file").into_response();
    };
    let keep = if asset.hashed == name { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    let head = [
        (header::ETAG, HeaderValue::from_str(&asset.tag).unwrap_or(HeaderValue::from_static(""))),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
    ];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.tag))
    {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, asset.content).into_response()
}
