//! Denials in what tools themselves return: some say so with a marker at the beginning (spec C5, LATER).

use weir_core::tool::{Denial, DenialKind, QUOTED_CHARS_MAX, cleaned};

/// What other programs mark a denial of theirs with.
const MARKERS: [&str; 2] = ["[policy-blocked]", "[policy-denied]"];

/// The text for the model of what a tool returned: one with a marker becomes a denial in weir's shape, anything else, and
/// what has that shape already, stays as it is.
#[must_use]
pub fn with_shape(tool: &str, channel: &str, content: &str) -> String {
    let Some(reason) = MARKERS.iter().find_map(|marker| content.trim_start().strip_prefix(marker)) else {
        return content.to_owned();
    };
    if content.contains("Workaround:") {
        return content.to_owned();
    }
    let denial = Denial {
        kind: DenialKind::PolicyDenied,
        tool: cleaned(tool, QUOTED_CHARS_MAX),
        channel: cleaned(channel, QUOTED_CHARS_MAX),
        required: None,
        allowed: None,
        rule: None,
        policy: Some("tool".to_owned()),
        reason: cleaned(reason, QUOTED_CHARS_MAX),
        workaround: "address the reason, use a permitted alternative, or ask the user".to_owned(),
        alternatives: Vec::new(),
        approval_id: None,
        permanent: true,
        decision: None,
    };
    denial.message()
}
