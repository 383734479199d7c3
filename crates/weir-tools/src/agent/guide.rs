//! What the model is told before it begins (spec C2).

use weir_config::config::Tools;
use weir_core::tool::{PermissionLevel, cleaned, quoted};

/// How much is said of the roots, in characters.
const ROOTS_CHARS_MAX: usize = 1_000;

/// The system prompt of a turn: how tools are to be used, and what this channel with its ceiling may do.
#[must_use]
pub fn system_prompt(tools: &Tools, channel: &str, ceiling: PermissionLevel) -> String {
    let mut text = "You are an agent with tools. Use them where they help, then answer the user. A call may be denied: \
                    its result then says what was blocked, why, and what would help. Tell the user all three; never \
                    invent a result."
        .to_owned();
    if ceiling < PermissionLevel::Dangerous {
        let channel = quoted(channel);
        text.push_str(&format!(
            " This session is on channel {channel}, which grants at most {ceiling}: calls that need more are denied."
        ));
    }
    let roots: Vec<String> =
        tools.allowed_roots.iter().map(|root| quoted(&root.display().to_string())).collect();
    if !roots.is_empty() {
        text.push_str(&format!(
            " Files are within {}; relative paths start at the first.",
            cleaned(&roots.join(", "), ROOTS_CHARS_MAX)
        ));
    }
    text
}
