//! A small HTTP client: one connection for each request, nothing retried, nothing hidden.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::deadline::within;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The body as text.
    ///
    /// # Panics
    /// It is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The payloads of the `data:` lines of an event stream, in order.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        let lines = self.text().lines();
        lines.filter_map(|line| line.strip_prefix("data:")).map(|data| data.trim().to_owned()).collect()
    }
}

/// Sends a request and reads the whole answer.
///
/// # Panics
/// There was no whole answer.
pub async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
    try_request(method, url, headers, body).await.unwrap_or_else(|e| panic!("{method} {url}: {e}"))
}

/// Sends a request and reads the whole answer, or says why there was none.
///
/// # Errors
/// The connection was refused, cut or answered with something that is not HTTP.
pub async fn try_request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Response, String> {
    let mut stream = try_stream(method, url, headers, body).await?;
    let mut body = Vec::new();
    while let Some(chunk) = stream.next_chunk().await {
        body.extend_from_slice(&chunk?);
    }
    Ok(Response { status: stream.status, headers: stream.headers.clone(), body: body.into() })
}

/// `GET`, without headers.
pub async fn get(url: &str) -> Response {
    request("GET", url, &[], "").await
}

/// `POST` of a JSON body.
pub async fn post_json(url: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let headers: Vec<_> = [("content-type", "application/json")].iter().chain(headers).copied().collect();
    request("POST", url, &headers, body.to_string()).await
}

/// An answer whose body is read chunk by chunk. Dropping it closes the connection.
#[derive(Debug)]
pub struct Streaming {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Streaming {
    /// The next chunk as it came off the wire; `None` at a proper end, an error when the stream was cut.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            let frame = within("the next chunk of an answer", self.body.frame()).await?;
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                Ok(Err(_trailers)) => {}
                Err(error) => return Some(Err(format!("{error:?}"))),
            }
        }
    }

    /// The next chunk as text.
    ///
    /// # Panics
    /// The stream has ended, was cut, or is not UTF-8.
    pub async fn next_text(&mut self) -> String {
        let chunk = self.next_chunk().await.expect("the stream goes on").expect("the stream is whole");
        String::from_utf8(chunk.to_vec()).expect("the chunk is UTF-8")
    }
}

/// Sends a request and gives the answer as soon as its head is there.
///
/// # Panics
/// No head came.
pub async fn stream(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Streaming {
    try_stream(method, url, headers, body).await.unwrap_or_else(|e| panic!("{method} {url}: {e}"))
}

/// As [`stream`], but says why no head came.
///
/// # Errors
/// The connection was refused or cut before the head.
pub async fn try_stream(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Streaming, String> {
    let (authority, path) = split(url);
    let tcp = connect(authority).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(|e| format!("{e:?}"))?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        // Its error is the request's error, which is told there.
        let _ = connection.await;
    }));
    let mut request = hyper::Request::builder().method(method).uri(path).header(HOST, authority);
    for (name, value) in headers {
        // From bytes, so that values that are not UTF-8 cannot be asked for by mistake only.
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    let request = request.body(Full::new(body.into())).expect("a well-formed request");
    let what = format!("the head of the answer to {method} {url}");
    let answer = within(&what, sender.send_request(request)).await.map_err(|e| format!("{e:?}"))?;
    let (head, body) = answer.into_parts();
    Ok(Streaming { status: head.status.as_u16(), headers: head.headers, body, _connection: connection })
}

/// A TCP connection that speaks whatever bytes the test wants.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects to the host of a URL.
    ///
    /// # Panics
    /// The connection was refused.
    pub async fn connect(url: &str) -> Self {
        Self(connect(split(url).0).await.unwrap_or_else(|e| panic!("{url}: {e}")))
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The peer has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Reads until the peer closes the connection; what came before a reset counts.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        let _ = within("the peer to close the connection", self.0.read_to_end(&mut read)).await;
        read
    }

    /// Reads until `end` has been seen, or the peer closes.
    pub async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        let what = format!("{:?} from the peer", String::from_utf8_lossy(end));
        while !read.windows(end.len()).any(|window| window == end) {
            if within(&what, self.0.read_buf(&mut read)).await.unwrap_or(0) == 0 {
                break;
            }
        }
        read
    }
}

/// Sends raw bytes to the host of a URL and reads until the peer closes.
pub async fn raw(url: &str, bytes: &[u8]) -> Vec<u8> {
    let mut connection = Raw::connect(url).await;
    let _ = connection.send(bytes).await;
    connection.read_to_end().await
}

async fn connect(authority: &str) -> Result<TcpStream, String> {
    let tcp = TcpStream::connect(authority).await.map_err(|e| e.to_string())?;
    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
    Ok(tcp)
}

/// `http://127.0.0.1:1/a?b` -> (`127.0.0.1:1`, `/a?b`).
fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("only http:// is spoken here: {url}"));
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{ScriptedUpstream, refused_url};

    #[tokio::test]
    async fn raw_bytes_go_out_as_they_are() {
        let upstream = ScriptedUpstream::start().await;
        let url = upstream.base_url();
        let answer = raw(&url, b"GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        let mut connection = Raw::connect(&url).await;
        connection.send(b"GET /v1/models HTTP/1.1\r\nhost: a\r\nx: \xff\r\n\r\n").await.unwrap();
        assert!(connection.read_until(b"\r\n\r\n").await.starts_with(b"HTTP/1.1 200"));
        assert_eq!(upstream.last().headers["x"].as_bytes(), b"\xff");
    }

    #[tokio::test]
    async fn a_request_that_gets_no_answer_is_an_error() {
        assert!(try_request("GET", &refused_url(), &[], "").await.is_err());
        let upstream = ScriptedUpstream::start().await;
        let answer = get(&format!("{}/models?limit=1", upstream.base_url())).await;
        assert_eq!((answer.status, upstream.last().path.as_str()), (200, "/v1/models?limit=1"));
    }
}
