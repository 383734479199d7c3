//! A recorded tool call in words.

use weir_core::record::{Record, ToolRecord};
use weir_core::tool::PermissionLevel;

use super::Text;

/// What was called, by whom, and on what it was decided.
pub(super) fn call(text: &mut Text, record: &Record, tool: &ToolRecord) {
    let server = if tool.server.is_empty() { String::new() } else { format!(" of {}", tool.server) };
    text.named("tool", &format!("{}{server}", tool.name));
    let args = if tool.args.is_empty() { "none".to_owned() } else { tool.args.join(", ") };
    text.named("arguments", &format!("{args} ({})", tool.args_digest));
    text.named("subject", &record.decision.subject);
    let level = |level: Option<PermissionLevel>| level.map_or("unknown", PermissionLevel::token);
    text.named("level", &format!("{} (the tool's own: {})", level(tool.level), level(tool.tool_level)));
    text.named("channel", &format!("{} (ceiling: {})", tool.channel, level(tool.ceiling)));
    let from = [("agent", &tool.agent), ("session", &tool.session), ("source", &tool.source)];
    let from: Vec<String> = from
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    text.list("from", from);
}

/// Why it did not run, or by which approval it did.
pub(super) fn ended(text: &mut Text, tool: &ToolRecord) {
    if let Some(approval) = &tool.approval_id {
        text.named("approval", &format!("{approval} let it through"));
    }
    if let Some(denial) = &tool.denial {
        text.named("denial", denial.kind.as_str());
        text.named("why", &denial.reason);
        text.named("workaround", &denial.workaround);
        text.list("approval", denial.approval_id.clone());
    }
}
