//! Answers over HTTP, and what refuses a request before it is a message for anybody.

use std::future::Future;
use std::time::Duration;

use ::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use ::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::body::McpBody;
use crate::mcp::frame::{FRAME_BYTES_MAX, Frame, Malformed};
use crate::mcp::headers::SESSION;
use crate::mcp::hub::Listening;
use crate::mcp::link::Answer;

/// How long an answer is waited for before its head is sent as that of a stream: clients give up on a silent head.
const STREAM_AFTER: Duration = Duration::from_secs(5);

/// Headers and body differ.
const HEADER_MISMATCH: i64 = -32020;

/// The version is none that is spoken.
const UNSUPPORTED_VERSION: i64 = -32022;

/// The request is wrong as such.
const INVALID_REQUEST: i64 = -32600;

/// A request that is refused.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    code: i64,
    said: String,
    id: String,
}

impl Refused {
    fn new(status: StatusCode, code: i64, said: impl Into<String>) -> Self {
        Self { status, code, said: said.into(), id: "null".to_owned() }
    }

    fn of(self, frame: &Frame) -> Self {
        // The id of an answer would be taken for that of a request.
        let id = frame.id().filter(|_| frame.method().is_some()).unwrap_or("null").to_owned();
        Self { id, ..self }
    }

    pub(crate) fn unknown_server(name: &str) -> Self {
        let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
        let said = format!("no tool server `{name}` is configured: see `tools.mcp_servers`");
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, said)
    }

    pub(crate) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "the method is not taken here")
    }

    pub(crate) fn origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            INVALID_REQUEST,
            "pages of other sites are not served: `Origin` or `Host` is not this machine",
        )
    }

    pub(crate) fn header(said: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, said)
    }

    pub(crate) fn media_type() -> Self {
        let said = "a message is sent with `content-type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, said)
    }

    pub(crate) fn not_acceptable() -> Self {
        let said = "a client must accept `application/json` and `text/event-stream`";
        Self::new(StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST, said)
    }

    pub(crate) fn slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST, "the message did not come in in time")
    }

    pub(crate) fn cut() -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, "the message was cut off")
    }

    pub(crate) fn too_long() -> Self {
        let said = format!("the message is longer than {} MiB", FRAME_BYTES_MAX / (1024 * 1024));
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, said)
    }

    pub(crate) fn malformed(error: &Malformed) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.code(), error.to_string())
    }

    pub(crate) fn version(frame: &Frame) -> Self {
        let said = "`mcp-protocol-version` is no version of the protocol, such as 2025-11-25";
        Self::new(StatusCode::BAD_REQUEST, UNSUPPORTED_VERSION, said).of(frame)
    }

    pub(crate) fn mismatch(frame: &Frame, said: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, HEADER_MISMATCH, said).of(frame)
    }

    pub(crate) fn no_session() -> Self {
        let said =
            "the header `mcp-session-id` is missing: begin with `initialize`, or name the version in `_meta`";
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, said)
    }

    pub(crate) fn unknown_session() -> Self {
        let said = "the session is not known, or over: begin again with `initialize`";
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, said)
    }

    pub(crate) fn too_many_sessions() -> Self {
        let said = "too many sessions are open: end one with DELETE, or try later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, INVALID_REQUEST, said)
    }

    pub(crate) fn listened_to() -> Self {
        Self::new(StatusCode::CONFLICT, INVALID_REQUEST, "this session has such a stream already")
    }

    pub(crate) fn response(self) -> Response<McpBody> {
        let error = json!({"code": self.code, "message": self.said}).to_string();
        let frame = Frame::answer(&self.id, "error", &error);
        let mut response = json_response(self.status, frame.bytes().clone());
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
        }
        response
    }
}

fn json_response(status: StatusCode, bytes: Bytes) -> Response<McpBody> {
    let mut response = Response::new(McpBody::whole(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<McpBody> {
    let mut response = Response::new(McpBody::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// An answer that is one message. A server's own status counts where it says that the request was wrong: to a client a
/// 404 would mean that its session is gone, which only weir can say.
pub(crate) fn whole(answer: &Answer, session: Option<&str>) -> Response<McpBody> {
    let status =
        answer.status.filter(|status| *status == 400).and_then(|status| StatusCode::from_u16(status).ok());
    with_session(json_response(status.unwrap_or(StatusCode::OK), answer.frame.bytes().clone()), session)
}

/// A stream of events.
pub(crate) fn events(body: McpBody, session: Option<&str>) -> Response<McpBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    with_session(response, session)
}

fn with_session(mut response: Response<McpBody>, session: Option<&str>) -> Response<McpBody> {
    if let Some(id) = session.and_then(|id| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert(SESSION, id);
    }
    response
}

/// The answer to a request as a stream that ends with it. Its head goes at once, also when the answer takes long.
pub(crate) fn streamed(
    answering: impl Future<Output = Option<Answer>> + Send + 'static,
    frames: mpsc::Receiver<Frame>,
    listening: Listening,
    session: Option<&str>,
) -> Response<McpBody> {
    let (work, answered) = started(answering);
    events(McpBody::until(None, frames, answered, (work, listening)), session)
}

/// It goes on by itself, so that its deadlines hold for a client that does not read, and ends with the answer's body, that
/// is when the client goes away.
fn started(
    answering: impl Future<Output = Option<Answer>> + Send + 'static,
) -> (AbortOnDropHandle<()>, oneshot::Receiver<Option<Answer>>) {
    let (tx, answered) = oneshot::channel();
    let work = tokio::spawn(async move {
        // Nobody hears it when the client has gone away.
        let _ = tx.send(answering.await);
    });
    (AbortOnDropHandle::new(work), answered)
}

/// The answer to a request: one message when nothing comes before it, whose status can say that the request was wrong;
/// else a stream that ends with it.
pub(crate) async fn given(
    answering: impl Future<Output = Option<Answer>> + Send + 'static,
    mut frames: mpsc::Receiver<Frame>,
    listening: Listening,
) -> Response<McpBody> {
    let (work, mut answered) = started(answering);
    let first = tokio::select! {
        biased;
        frame = frames.recv() => frame,
        answer = &mut answered => {
            let answer = answer.unwrap_or_default();
            let Ok(first) = frames.try_recv() else {
                return answer.map_or_else(|| empty(StatusCode::ACCEPTED), |answer| whole(&answer, None));
            };
            let (again, answered) = oneshot::channel();
            let _ = again.send(answer);
            return events(McpBody::until(Some(first), frames, answered, (work, listening)), None);
        }
        () = tokio::time::sleep(STREAM_AFTER) => None,
    };
    events(McpBody::until(first, frames, answered, (work, listening)), None)
}
