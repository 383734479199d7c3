//! Scripts: an answer as a list of steps, some of which wait for the test and none of which waits for time.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::Unfinished;
use crate::server::{Body, Cut};

/// Size of the pieces in which the large answers are made; nothing larger is ever held.
const PIECE_BYTES: usize = 64 * 1024;

/// Holds back steps of a script until the test lets them go. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiting step pass, now or when it comes.
    pub fn release(&self) {
        self.0.add_permits(1);
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0.close();
    }

    async fn pass(&self) {
        // An error means that the gate was opened for good.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// What an upstream answers.
#[derive(Clone, Debug)]
pub struct Script {
    status: u16,
    headers: Vec<(String, String)>,
    before_head: Vec<Step>,
    body: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Bytes),
    /// The same bytes many times, made as they are sent.
    Repeat(Bytes, u64),
    Wait(Gate),
    /// The connection is closed without a proper end.
    Cut,
    /// Nothing more, for ever.
    Hang,
}

impl Script {
    /// An answer without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), before_head: Vec::new(), body: Vec::new() }
    }

    /// A JSON answer.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::body(status, "application/json", body.to_string())
    }

    /// An answer with this body, whole and with its length.
    #[must_use]
    pub fn body(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self::status(status)
            .header("content-type", content_type)
            .header("content-length", &body.len().to_string())
            .step(Step::Send(body))
    }

    /// An error as OpenAI and its like word it.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let error = serde_json::json!({"message": message, "type": code, "param": null, "code": code});
        Self::json(status, &serde_json::json!({"error": error}))
    }

    /// An event stream, these chunks one after the other, as they are.
    #[must_use]
    pub fn chunks<C: Into<Bytes>>(chunks: impl IntoIterator<Item = C>) -> Self {
        chunks.into_iter().fold(Self::event_stream(), |script, chunk| script.step(Step::Send(chunk.into())))
    }

    /// As [`chunks`](Self::chunks), but each chunk waits for one [`Gate::release`]. The head goes at once.
    #[must_use]
    pub fn gated<C: Into<Bytes>>(gate: &Gate, chunks: impl IntoIterator<Item = C>) -> Self {
        chunks.into_iter().fold(Self::event_stream(), |script, chunk| {
            script.step(Step::Wait(gate.clone())).step(Step::Send(chunk.into()))
        })
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn cut_before_head() -> Self {
        Self::status(200).before_head(Step::Cut)
    }

    /// Promises a JSON body of `promised` bytes and closes the connection after `sent` of them.
    #[must_use]
    pub fn cut_mid_body(promised: usize, sent: usize) -> Self {
        Self::status(200)
            .header("content-type", "application/json")
            .header("content-length", &promised.to_string())
            .step(Step::Send(vec![b' '; sent].into()))
            .step(Step::Cut)
    }

    /// An event stream that closes the connection after these chunks.
    #[must_use]
    pub fn cut_mid_stream<C: Into<Bytes>>(chunks: impl IntoIterator<Item = C>) -> Self {
        Self::chunks(chunks).step(Step::Cut)
    }

    /// Never sends a head.
    #[must_use]
    pub fn hang() -> Self {
        Self::status(200).before_head(Step::Hang)
    }

    /// An event stream that says nothing more after these chunks.
    #[must_use]
    pub fn hang_mid_stream<C: Into<Bytes>>(chunks: impl IntoIterator<Item = C>) -> Self {
        Self::chunks(chunks).step(Step::Hang)
    }

    /// Says that it is an event stream, and is none.
    #[must_use]
    pub fn garbage() -> Self {
        Self::chunks([
            Bytes::from_static(b"<html>\x00\xff\xfe not an event\n\n"),
            Bytes::from_static(b"data: {\"choices\": [}\n\ndata\n\nid: 7\n\n"),
            Bytes::from_static(b"\xf0\x9f trailing without an end"),
        ])
    }

    /// Says that it is JSON, and is none.
    #[must_use]
    pub fn malformed_json() -> Self {
        Self::body(200, "application/json", "{\"id\": \"chatcmpl-1\", \"choices\": [")
    }

    /// One event of about `bytes` bytes on one line, made as it is sent.
    #[must_use]
    pub fn endless_line(bytes: u64) -> Self {
        let piece = Bytes::from(vec![b'x'; PIECE_BYTES]);
        Self::chunks(["data: "]).step(Step::Repeat(piece, pieces(bytes))).step(Step::Send("\n\n".into()))
    }

    /// A chat stream of about `bytes` bytes in events of about a kilobyte, made as it is sent, with usage and the
    /// terminal event.
    #[must_use]
    pub fn large_stream(model: &str, bytes: u64) -> Self {
        let event = super::answers::chat_event(model, &"0123456789abcdef".repeat(50));
        let piece = Bytes::from(event.repeat(PIECE_BYTES / event.len()));
        let script = Self::event_stream().step(Step::Repeat(piece, pieces(bytes)));
        super::answers::chat_end(model).into_iter().fold(script, |script, end| script.step(Step::Send(end)))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Holds the head back until the gate lets it go.
    #[must_use]
    pub fn held_by(self, gate: &Gate) -> Self {
        self.before_head(Step::Wait(gate.clone()))
    }

    fn event_stream() -> Self {
        Self::status(200).header("content-type", "text/event-stream")
    }

    fn before_head(mut self, step: Step) -> Self {
        self.before_head.push(step);
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.body.push(step);
        self
    }

    pub(super) async fn play(self, unfinished: Unfinished) -> Result<Response<Body>, Cut> {
        let Self { status, headers, before_head, body } = self;
        for step in before_head {
            match step {
                Step::Wait(gate) => gate.pass().await,
                Step::Hang => std::future::pending().await,
                Step::Cut => {
                    unfinished.finish();
                    return Err(Cut);
                }
                Step::Send(_) | Step::Repeat(..) => unreachable!("bodies come after heads"),
            }
        }
        let mut response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body(play_body(body, unfinished)).expect("a well-formed answer"))
    }
}

fn pieces(bytes: u64) -> u64 {
    bytes.div_ceil(PIECE_BYTES as u64)
}

/// The steps that are left, and the guard that counts the answer as aborted if they are never played out.
struct Playing {
    steps: std::vec::IntoIter<Step>,
    repeating: Option<(Bytes, u64)>,
    unfinished: Option<Unfinished>,
}

fn play_body(steps: Vec<Step>, unfinished: Unfinished) -> Body {
    if steps.is_empty() {
        unfinished.finish();
        return crate::server::full(Bytes::new());
    }
    let playing = Playing { steps: steps.into_iter(), repeating: None, unfinished: Some(unfinished) };
    let frames = stream::unfold(playing, |mut playing| async move {
        let next = playing.next().await?;
        Some((next.map(Frame::data), playing))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Playing {
    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        loop {
            if let Some(piece) = self.repeated() {
                return Some(Ok(piece));
            }
            match self.steps.next() {
                Some(Step::Send(bytes)) => {
                    // With its last byte handed over, an answer with a length is never polled again.
                    if self.steps.as_slice().is_empty() {
                        self.finish();
                    }
                    return Some(Ok(bytes));
                }
                Some(Step::Repeat(bytes, times)) => self.repeating = Some((bytes, times)),
                Some(Step::Wait(gate)) => gate.pass().await,
                Some(Step::Hang) => std::future::pending().await,
                Some(Step::Cut) => {
                    // Lets what was sent before reach the socket: an error in the same turn would discard it.
                    tokio::task::yield_now().await;
                    self.finish();
                    return Some(Err(Cut));
                }
                None => {
                    self.finish();
                    return None;
                }
            }
        }
    }

    fn repeated(&mut self) -> Option<Bytes> {
        let (piece, left) = self.repeating.as_mut()?;
        if *left == 0 {
            self.repeating = None;
            return None;
        }
        *left -= 1;
        Some(piece.clone())
    }

    fn finish(&mut self) {
        if let Some(unfinished) = self.unfinished.take() {
            unfinished.finish();
        }
    }
}
