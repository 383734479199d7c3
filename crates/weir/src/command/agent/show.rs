//! How a turn is shown: as lines of JSON on stdout, or readable: what happens on stderr, the result on stdout.

use std::io::{self, Write as _};

use weir_core::tool::cleaned;
use weir_tools::agent::{Event, Events, Notice, TurnEnd, TurnResult};

use crate::exit::say;
use crate::output;

/// How much of arguments and errors is shown in the timeline, in characters. Denials are shown whole, below the answer.
const LINE_CHARS_MAX: usize = 200;

/// One event a line.
pub struct JsonLines;

impl Events for JsonLines {
    fn tell(&self, event: &Event<'_>) {
        let Ok(mut line) = serde_json::to_string(event) else { return };
        line.push('\n');
        let mut out = io::stdout().lock();
        // A reader that has left does not stop the turn.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// A line for what a person wants to see happen.
pub struct Readable;

impl Events for Readable {
    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Message { text, .. } => say(clean(text)),
            Event::ToolStarted { tool, args, .. } => {
                let args = if args.is_null() { String::new() } else { shortly(&args.to_string()) };
                say(format_args!("> {} {args}", shortly(tool)));
            }
            Event::ToolCompleted { tool, success, ended, error, denial, elapsed_ms, .. } => {
                let tool = shortly(tool);
                match (denial, error) {
                    (Some(denial), _) => say(format_args!("! {tool} {ended}: {}", denial.kind.as_str())),
                    (None, Some(error)) => say(format_args!("! {tool} {ended}: {}", shortly(error))),
                    (None, None) if *success => say(format_args!("< {tool} {ended}, {elapsed_ms} ms")),
                    (None, None) => say(format_args!("! {tool} {ended}")),
                }
            }
            // The first is known to who typed it, the others are told where they matter.
            Event::TurnStarted { .. }
            | Event::ApprovalRequested { .. }
            | Event::Advice { .. }
            | Event::Result(_) => {}
        }
    }
}

/// Shows what came of a turn: the answer, then every call that did not run.
///
/// # Errors
/// Stdout cannot be written.
pub fn result(result: &TurnResult) -> io::Result<()> {
    let mut text = String::new();
    if result.end == TurnEnd::Answered {
        text.push_str(&clean(&result.text));
        text.push('\n');
    }
    for notice in &result.notices {
        text.push_str(&fields(notice));
    }
    output::text(&text)
}

/// A denial as fields; what does not apply is left out.
fn fields(notice: &Notice) -> String {
    let denial = &notice.denial;
    let head = if notice.pending.is_some() { "Waits for an approval" } else { "Blocked" };
    let mut text = format!("\n{head}: {}\n", denial.what());
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<12}{}\n", cleaned(value, usize::MAX)));
        }
    };
    field("reason", &denial.reason);
    field("workaround", &denial.workaround);
    if let Some(pending) = &notice.pending {
        field("approval", &format!("{} (until {})", pending.id, pending.expires_at));
        field("approve", &format!("weir approvals approve {} --as NAME", pending.id));
    }
    if let Some(decision) = denial.decision {
        field("decision", &format!("{decision} (weir explain {decision})"));
    }
    text
}

/// A foreign text without what moves a cursor or changes colours; its lines stay.
pub fn clean(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean_line).collect();
    lines.join("\n")
}

fn clean_line(line: &str) -> String {
    let indent: String = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
    let rest: Vec<String> = line.trim_start().split(' ').map(|word| cleaned(word, usize::MAX)).collect();
    format!("{indent}{}", rest.join(" ")).trim_end().to_owned()
}

fn shortly(text: &str) -> String {
    cleaned(text, LINE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_keeps_its_lines_and_loses_what_acts() {
        assert_eq!(clean("a\u{1b}[2J b\n    x  = 1\r\n\tend\u{7}"), "a [2J b\n    x  = 1\n\tend");
        assert_eq!(
            shortly(&serde_json::Value::from("é".repeat(500)).to_string()).chars().count(),
            LINE_CHARS_MAX
        );
    }
}
