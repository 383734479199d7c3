//! Bytes to text: compressed bodies are opened, bounded; what is no UTF-8 is replaced.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};

/// How much of a body is read, in bytes, before and after decompression.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The text of a body.
pub(super) fn text<'b>(body: &'b [u8], encoding: Option<&str>) -> Cow<'b, str> {
    match inflated(body, encoding) {
        Some(open) => Cow::Owned(String::from_utf8_lossy(&open).into_owned()),
        None => String::from_utf8_lossy(body.get(..BODY_BYTES_MAX).unwrap_or(body)),
    }
}

/// The decompressed body, as far as it can be; nothing where it is not compressed. A body that says that it is, but is
/// not, was decompressed on the way.
fn inflated(body: &[u8], encoding: Option<&str>) -> Option<Vec<u8>> {
    let limit = u64::try_from(BODY_BYTES_MAX).ok()?;
    let mut open = Vec::new();
    let says_deflate = encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("deflate"));
    // What was read before an error counts: a body cut short still says what it says.
    let _ = match body {
        [0x1f, 0x8b, 8, ..] => GzDecoder::new(body).take(limit).read_to_end(&mut open),
        [0x78, ..] if says_deflate => ZlibDecoder::new(body).take(limit).read_to_end(&mut open),
        _ => return None,
    };
    (!open.is_empty()).then_some(open)
}
