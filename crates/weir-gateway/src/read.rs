//! Stage *read*: the body, whole, within its limit and its deadlines.

use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::poll;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use weir_dialect::Refusal;

/// How long a client may pause while it sends its body.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long the whole body may take, so that a drip cannot hold its memory for ever.
const WHOLE_MAX: Duration = Duration::from_secs(300);

/// What is set aside for a body before it has come, whatever its declared length says, in bytes.
const RESERVE_MAX: usize = 1024 * 1024;

/// A body that was not read: what to answer, and whether there is still somebody to answer.
pub(crate) struct Unread {
    pub(crate) refusal: Refusal,
    pub(crate) client_gone: bool,
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, client_gone: false }
    }
}

/// Reads the body. The time that was spent waiting for the client is added to `waited`.
///
/// # Errors
/// `payload_too_large`, by its declared length if it has one; `invalid_request` if it is compressed, breaks off or
/// takes too long.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    bytes_max: usize,
    waited: &mut Duration,
) -> Result<Bytes, Unread> {
    let too_large = || Refusal::PayloadTooLarge { limit_bytes: u64::try_from(bytes_max).unwrap_or(u64::MAX) };
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Refusal::invalid(
            None,
            "The body is compressed (`content-encoding`). Send it uncompressed.",
        )
        .into());
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(too_large().into());
    }
    collect(body, bytes_max, waited).await.map_err(|trouble| match trouble {
        Trouble::TooLarge => too_large().into(),
        Trouble::Slow => Refusal::body_incomplete().into(),
        Trouble::Broken => Unread { refusal: Refusal::body_incomplete(), client_gone: true },
    })
}

enum Trouble {
    TooLarge,
    Slow,
    Broken,
}

async fn collect(mut body: Incoming, bytes_max: usize, waited: &mut Duration) -> Result<Bytes, Trouble> {
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    let mut end = None;
    let expected = body.size_hint().exact().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    while let Some(frame) = next(&mut body, &mut end, waited).await? {
        let Ok(data) = frame.into_data() else { continue };
        // Most bodies come as one piece, which is then not copied.
        match first.take() {
            None if whole.is_empty() => first = Some(data),
            None => whole.extend_from_slice(&data),
            Some(begun) => {
                whole.reserve(expected.min(RESERVE_MAX).max(begun.len() + data.len()));
                whole.extend_from_slice(&begun);
                whole.extend_from_slice(&data);
            }
        }
        if first.as_ref().map_or(whole.len(), Bytes::len) > bytes_max {
            return Err(Trouble::TooLarge);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// The next piece, before it has paused for too long and before the whole has. Time is only looked at once something is
/// waited for: most bodies come with their head.
async fn next(
    body: &mut Incoming,
    end: &mut Option<Instant>,
    waited: &mut Duration,
) -> Result<Option<http_body::Frame<Bytes>>, Trouble> {
    let next = match poll!(body.frame()) {
        Poll::Ready(next) => next,
        Poll::Pending => {
            let now = Instant::now();
            let end = *end.get_or_insert(now + WHOLE_MAX);
            let next = tokio::time::timeout_at(end.min(now + PAUSE_MAX), body.frame()).await;
            *waited += now.elapsed();
            next.map_err(|_| Trouble::Slow)?
        }
    };
    next.transpose().map_err(|_| Trouble::Broken)
}

/// Copies what of a head lies in the connection's read buffer. Together with [`weir_dialect::RequestBody::leave_buffer`]
/// it gives that buffer back: a request that waits long would keep all of it for a few hundred bytes.
pub(crate) fn leave_buffer(head: &mut Parts) {
    for value in head.headers.values_mut() {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
    }
    if let Ok(copy) = head.uri.to_string().parse() {
        head.uri = copy;
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Uri};
    use weir_core::ApiKind;
    use weir_dialect::RequestBody;

    use super::*;

    #[test]
    fn nothing_of_a_request_that_waits_long_keeps_the_read_buffer() {
        let text: &[u8] = b"/v1/chat/completions?a=b|Bearer \xff|{\"model\": \"m\", \"messages\": []}";
        let buffer = Bytes::copy_from_slice(text);
        let mut parts = text.split(|byte| *byte == b'|').map(|part| buffer.slice_ref(part_of(&buffer, part)));
        let mut next = || parts.next().unwrap();
        let uri = Uri::from_maybe_shared(next()).unwrap();
        let value = HeaderValue::from_maybe_shared(next()).unwrap();
        let mut head = Request::post(uri).header("authorization", value).body(()).unwrap().into_parts().0;
        let mut body = RequestBody::read(ApiKind::ChatCompletions, next()).unwrap();
        assert!(!buffer.is_unique());
        leave_buffer(&mut head);
        body.leave_buffer();
        assert!(buffer.is_unique());
        assert_eq!(head.uri, "/v1/chat/completions?a=b");
        assert_eq!(head.headers["authorization"].as_bytes(), b"Bearer \xff");
        assert_eq!((body.model(), body.body_len()), ("m", 30));
    }

    /// The same bytes, where the buffer has them.
    fn part_of<'a>(buffer: &'a Bytes, part: &[u8]) -> &'a [u8] {
        let at = buffer.windows(part.len()).position(|window| window == part).unwrap();
        &buffer[at..at + part.len()]
    }
}
