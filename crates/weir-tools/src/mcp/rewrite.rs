//! Ids and progress tokens: read where they lie, and made unique where many clients share one server.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::json;

use crate::mcp::frame::{Frame, IdKey, place_in, splice};
use crate::mcp::link::Outlet;
use crate::mcp::link::Pending;
use crate::mcp::members::Members;

/// The member of `_meta` that names the subscription a notification belongs to.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What weir's own ids begin with.
const OWN: &str = "weir-";

/// Counts what must be unique on one connection.
#[derive(Debug, Default)]
pub(crate) struct Numbers(AtomicU64);

impl Numbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An id for a request of weir's own, as text of JSON.
    pub(crate) fn own_id(&self) -> String {
        format!("\"{OWN}{}\"", self.next())
    }

    /// The request with a number in place of its id and of its progress token.
    pub(crate) fn numbered(&self, frame: &Frame) -> Frame {
        let number = self.next().to_string();
        let frame = frame.with_id(&number);
        with_member(&frame, "progressToken", &number)
    }
}

/// The text of a member of a message's `params._meta`.
fn meta(frame: &Frame, name: &str) -> Option<String> {
    let params = Members::read(frame.params()?).ok()?;
    params.object("_meta")?.get(name).map(ToOwned::to_owned)
}

/// The message with another value of a member of `params._meta` that it has.
fn with_member(frame: &Frame, name: &str, value: &str) -> Frame {
    let replaced = frame.params().and_then(|params| {
        let raw = Members::read(params).ok()?.object("_meta")?.get(name)?;
        let place = place_in(params, raw)?;
        String::from_utf8(splice(params.as_bytes(), &place, value.as_bytes()).to_vec()).ok()
    });
    replaced.map_or_else(|| frame.clone(), |params| frame.with_params(&params))
}

/// A request's id and progress token as they are written.
pub(crate) fn asked(frame: &Frame) -> (String, Option<String>) {
    (frame.id().unwrap_or_default().to_owned(), meta(frame, "progressToken"))
}

/// The token of a progress notification.
pub(crate) fn progress_token(frame: &Frame) -> Option<String> {
    if frame.method() != Some("notifications/progress") {
        return None;
    }
    Members::read(frame.params()?).ok()?.get("progressToken").map(ToOwned::to_owned)
}

/// A notification of a shared server with the token or the id that its client wrote, and where it goes.
pub(crate) fn restored(frame: &Frame, pending: &Pending) -> Option<(Outlet, Frame)> {
    if let Some(token) = progress_token(frame) {
        let (outlet, own) = pending.by_token(&IdKey::of(&token))?;
        let params = frame.params()?;
        let place = place_in(params, Members::read(params).ok()?.get("progressToken")?)?;
        let params = splice(params.as_bytes(), &place, own.unwrap_or(token).as_bytes());
        return Some((outlet, frame.with_params(std::str::from_utf8(&params).ok()?)));
    }
    let id = meta(frame, SUBSCRIPTION)?;
    let (outlet, own) = pending.by_id(&IdKey::of(&id))?;
    Some((outlet, with_member(frame, SUBSCRIPTION, &own)))
}

/// Tells a server that nobody waits for an answer any more.
pub(crate) fn cancelled(id: &str) -> Bytes {
    let id: serde_json::Value = serde_json::from_str(id).unwrap_or_default();
    let message = json!({
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": id, "reason": "nobody waits for the answer any more"},
    });
    Bytes::from(message.to_string())
}

#[cfg(test)]
mod tests;
