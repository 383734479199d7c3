//! How a turn is shown: as lines of JSON on stdout, or readable: what happens on stderr, the result on stdout.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A line for what a person wants to see happen; and what the model says as it comes, where somebody watches.
pub struct Readable {
    live: Option<Live>,
    /// Whether the last piece of text did not end its line.
    open: AtomicBool,
}

/// Where text is shown as it comes: on stdout if that is a terminal, which then need not show the answer again; else on
/// stderr if that is one. What is read by programs is whole and comes once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Live {
    Stdout,
    Stderr,
}

impl Live {
    fn here() -> Option<Self> {
        if io::stdout().is_terminal() {
            Some(Self::Stdout)
        } else {
            io::stderr().is_terminal().then_some(Self::Stderr)
        }
    }

    fn show(self, text: &str) {
        // A reader that has left does not stop the turn.
        let _ = match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(text.as_bytes()),
        };
    }
}

impl Readable {
    /// For the terminals that are there.
    pub fn new() -> Self {
        Self { live: Live::here(), open: AtomicBool::new(false) }
    }

    fn piece(&self, text: &str) {
        if let Some(live) = self.live {
            let shown = harmless(text);
            if let Some(last) = shown.chars().last() {
                self.open.store(last != '\n', Ordering::Relaxed);
                live.show(&shown);
            }
        }
    }

    /// Ends the line of a text that was shown in pieces.
    fn end_line(&self) {
        if let Some(live) = self.live.filter(|_| self.open.swap(false, Ordering::Relaxed)) {
            live.show("\n");
        }
    }
}

/// A piece of a foreign text without what acts; its spaces and line ends stay.
fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' | ' ' => Some(c),
        c if cleaned(c.encode_utf8(&mut [0; 4]), 1).is_empty() => None,
        c => Some(c),
    };
    text.chars().filter_map(shown).collect()
}

impl Events for Readable {
    fn tell(&self, event: &Event<'_>) {
        if !matches!(event, Event::TextDelta { .. }) {
            self.end_line();
        }
        match event {
            Event::TextDelta { text, .. } => self.piece(text),
            Event::Message { .. } if self.live.is_some() => {}
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
    if result.end == TurnEnd::Answered && Live::here() != Some(Live::Stdout) {
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
    fn a_piece_keeps_its_spaces_and_loses_what_acts() {
        assert_eq!(harmless(" a\u{1b}[2J\u{202e}b \n\tc\u{7} "), " a[2Jb \n\tc ");
    }

    #[test]
    fn a_foreign_text_keeps_its_lines_and_loses_what_acts() {
        assert_eq!(clean("a\u{1b}[2J b\n    x  = 1\r\n\tend\u{7}"), "a [2J b\n    x  = 1\n\tend");
        assert_eq!(
            shortly(&serde_json::Value::from("é".repeat(500)).to_string()).chars().count(),
            LINE_CHARS_MAX
        );
    }
}
