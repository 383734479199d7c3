//! What a client says of itself: the version of the protocol that it speaks, and whether its person can be asked.

use serde_json::Value;

use crate::mcp::answer::Form;
use crate::mcp::frame::Frame;

/// The member of a request's `_meta` that names its version, since 2026-07-28.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The member of a request's `_meta` that says what its client can do, since 2026-07-28.
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The first version without sessions: every request says who asks, and input is asked for in results.
const WITHOUT_SESSIONS: &str = "2026-07-28";

/// How a client's person can be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Not at all.
    #[default]
    No,
    /// By a request to the client, while its own waits.
    Elicitation,
    /// By a result that says what is missing; the client sends its request again with it.
    InputRequired,
}

/// What a client has said of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    elicits: bool,
    speaks: Option<String>,
}

impl Client {
    /// Reads `initialize`.
    pub(crate) fn introduces_itself(&mut self, initialize: &Frame) {
        let params: Value =
            initialize.params().and_then(|p| serde_json::from_str(p).ok()).unwrap_or_default();
        self.elicits = shows_forms(params.get("capabilities"));
    }

    /// Reads the server's answer to `initialize`, which settles the version.
    pub(crate) fn is_answered(&mut self, answer: &Frame) {
        let result: Value = answer.result().and_then(|r| serde_json::from_str(r).ok()).unwrap_or_default();
        self.speaks = result.get("protocolVersion").and_then(Value::as_str).map(ToOwned::to_owned);
    }

    /// How the answer to a request must look, and how the person behind it can be asked.
    pub(crate) fn of_request(&self, meta: &Value) -> (Form, Asking) {
        match meta.get(META_VERSION).and_then(Value::as_str) {
            Some(version) if is_without_sessions(version) => {
                let elicits = shows_forms(meta.get(META_CAPABILITIES));
                let asking = if elicits { Asking::InputRequired } else { Asking::No };
                (Form { says_complete: true, promised: false }, asking)
            }
            _ => (Form::default(), if self.elicits { Asking::Elicitation } else { Asking::No }),
        }
    }
}

/// Whether a version has no sessions. Versions are dates, and later ones go on as the last one that is known.
pub(crate) fn is_without_sessions(version: &str) -> bool {
    version.len() == WITHOUT_SESSIONS.len() && version >= WITHOUT_SESSIONS
}

/// The version that a request names in its `_meta`.
pub(crate) fn version_in(meta: &Value) -> Option<&str> {
    meta.get(META_VERSION).and_then(Value::as_str)
}

/// Whether a client can show its person a form. `{}` is a form; `{"url": {}}` alone is not.
fn shows_forms(capabilities: Option<&Value>) -> bool {
    match capabilities.and_then(|capabilities| capabilities.get("elicitation")).and_then(Value::as_object) {
        Some(kinds) => kinds.is_empty() || kinds.contains_key("form"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_client_is_asked_in_the_way_of_its_version_and_only_if_it_can() {
        let table = [
            (json!({}), json!({}), Asking::No),
            (json!({"elicitation": {}}), json!({}), Asking::Elicitation),
            (json!({"elicitation": {"form": {}, "url": {}}}), json!({}), Asking::Elicitation),
            (json!({"elicitation": {"url": {}}}), json!({}), Asking::No),
            (json!({"elicitation": {}}), json!({META_VERSION: "2026-07-28"}), Asking::No),
            (
                json!({}),
                json!({META_VERSION: "2026-07-28", META_CAPABILITIES: {"elicitation": {}}}),
                Asking::InputRequired,
            ),
            (
                json!({}),
                json!({META_VERSION: "2025-11-25", META_CAPABILITIES: {"elicitation": {}}}),
                Asking::No,
            ),
        ];
        for (capabilities, meta, asking) in table {
            let mut client = Client::default();
            let params = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": capabilities}});
            client.introduces_itself(&Frame::read(params.to_string().into()).unwrap());
            assert_eq!(client.of_request(&meta).1, asking, "{capabilities} {meta}");
        }
    }
}
