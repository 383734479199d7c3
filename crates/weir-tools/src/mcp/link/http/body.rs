//! Bodies of answers, within their limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::mcp::frame::FRAME_BYTES_MAX;
use crate::mcp::link::Trouble;

/// How long, and for how many frames, a stream is read on after its answer.
const READ_OUT: Duration = Duration::from_secs(1);
const READ_OUT_FRAMES: usize = 8;

/// Reads what is left of a stream after its answer, which is its end: only then can its connection be used again.
pub(super) async fn read_out(mut body: Incoming) {
    let _ = tokio::time::timeout(READ_OUT, async {
        // What is not at its end by then is dropped with its connection.
        for _ in 0..READ_OUT_FRAMES {
            if !matches!(body.frame().await, Some(Ok(_))) {
                return;
            }
        }
    })
    .await;
}

/// Reads a whole body.
pub(super) async fn gather(mut body: Incoming) -> Result<Bytes, Trouble> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Trouble::Ended)?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > FRAME_BYTES_MAX {
                return Err(Trouble::TooLong);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}
