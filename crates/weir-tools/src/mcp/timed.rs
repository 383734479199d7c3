//! How long operations of MCP take, by method and by what went wrong: what clients ask of weir, and what weir asks of tool
//! servers. Neither label holds a word that a client or a server has made up.

use std::time::Instant;

use metrics::histogram;

use crate::mcp::frame::{Frame, Kind};
use crate::mcp::link::{Answer, Trouble};
use crate::mcp::members::Members;
use crate::telemetry::TOOL_ERROR;

/// The requests that clients make, in all versions of the protocol that are spoken.
const METHODS: [&str; 20] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// The codes of JSON-RPC and of MCP itself.
const CODES: [&str; 9] =
    ["-32700", "-32600", "-32601", "-32602", "-32603", "-32002", "-32020", "-32021", "-32022"];

/// What stands for all other words, as OpenTelemetry has it.
const OTHER: &str = "_OTHER";

/// Whose time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// weir answers a client.
    Server,
    /// weir asks a tool server.
    Client,
}

/// An operation under way; one that is dropped before its end was cancelled.
pub(crate) struct Timed {
    side: Side,
    method: &'static str,
    error: &'static str,
    began: Instant,
}

impl Timed {
    /// Begins with a request.
    pub(crate) fn begin(side: Side, request: &Frame) -> Self {
        let known = |method| METHODS.into_iter().find(|known| *known == method);
        let method = request.method().and_then(known).unwrap_or(OTHER);
        Self { side, method, error: "cancelled", began: Instant::now() }
    }

    /// Ends with an answer, or with none.
    pub(crate) fn ended(mut self, answer: Result<&Answer, &Trouble>) {
        self.error = match answer {
            Ok(answer) => error_of(&answer.frame),
            Err(trouble) => word(trouble),
        };
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let labels = [("mcp_method_name", self.method), ("error_type", self.error)];
        match self.side {
            Side::Server => histogram!("mcp_server_operation_duration_seconds", &labels),
            Side::Client => histogram!("mcp_client_operation_duration_seconds", &labels),
        }
        .record(self.began.elapsed());
    }
}

/// The error that an answer tells; empty for none.
fn error_of(answer: &Frame) -> &'static str {
    let text = std::str::from_utf8(answer.bytes()).unwrap_or_default();
    if matches!(answer.kind(), Kind::Response { error: true }) {
        let code = Members::read(text)
            .ok()
            .and_then(|members| Members::read(members.get("error")?).ok()?.get("code"));
        return CODES.into_iter().find(|known| code == Some(known)).unwrap_or(OTHER);
    }
    // Results may be long, and most are no errors.
    let failed = text.contains("\"isError\"")
        && answer
            .result()
            .and_then(|result| Members::read(result).ok())
            .is_some_and(|result| result.get("isError") == Some("true"));
    if failed { TOOL_ERROR } else { "" }
}

const fn word(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable(_) | Trouble::Down(_) => "unreachable",
        Trouble::Ended => "ended",
        Trouble::TooLong | Trouble::Malformed(_) => "malformed",
        Trouble::Stuck => "timeout",
        Trouble::Status(_) => "status",
        Trouble::IdTaken | Trouble::Busy => "busy",
        Trouble::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_become_labels() {
        let request = |method: &str| Frame::request("1", method, "{}");
        for (method, expected) in
            [("tools/call", "tools/call"), ("canary/sk-abc123DEF456ghi", OTHER), ("", OTHER)]
        {
            assert_eq!(Timed::begin(Side::Server, &request(method)).method, expected);
        }
        for (member, value, expected) in [
            ("result", r#"{"content":[]}"#, ""),
            ("result", r#"{"content":[{"text":"\"isError\":true"}],"isError":false}"#, ""),
            ("result", r#"{"content":[{"isError":true}]}"#, ""),
            ("result", r#"{"isError":true}"#, TOOL_ERROR),
            ("error", r#"{"code":-32602,"message":"canary"}"#, "-32602"),
            ("error", r#"{"code":7,"message":"canary"}"#, OTHER),
            ("error", r#""canary""#, OTHER),
        ] {
            assert_eq!(error_of(&Frame::answer("1", member, value)), expected, "{member} {value}");
        }
    }
}
