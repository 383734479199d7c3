//! The person at the terminal, asked about calls that wait for an approval.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};
use tokio::sync::Mutex;
use weir_core::tool::cleaned;
use weir_tools::PendingApproval;
use weir_tools::agent::Person;
use weir_tools::approval::{Reply, reply_of};

use crate::exit::say;

/// How much of a question is shown, in characters.
const QUESTION_CHARS_MAX: usize = 2_000;

/// How much of one argument's value is shown, in characters.
const VALUE_CHARS_MAX: usize = 2_000;

/// How many arguments are shown.
const VALUES_MAX: usize = 40;

/// How often a person is asked again who says something else.
const ASKED_MAX: usize = 5;

/// Whoever types into this.
pub struct AtTerminal<R> {
    input: Arc<Mutex<R>>,
}

impl<R: AsyncBufRead + Unpin + Send> AtTerminal<R> {
    /// Reads answers from here.
    pub fn new(input: R) -> Self {
        Self { input: Arc::new(Mutex::new(input)) }
    }

    async fn answer(&self, pending: &PendingApproval, args: &Json, may_approve: bool) -> Option<bool> {
        say(format_args!("\n? {}", cleaned(&pending.question, QUESTION_CHARS_MAX)));
        say(shown(args));
        if !may_approve {
            say(format_args!(
                "  Somebody else must approve it, before {}: weir approvals approve {} --as NAME",
                pending.expires_at, pending.id
            ));
        }
        let choices = if may_approve {
            "  yes, no, or an empty line to go on without an answer:"
        } else {
            "  no, or an empty line to go on without waiting:"
        };
        for _ in 0..ASKED_MAX {
            say(choices);
            let mut line = String::new();
            // A terminal that is gone has no more answers.
            let read = self.input.lock().await.read_line(&mut line).await;
            if !matches!(read, Ok(1..)) || line.trim().is_empty() {
                return None;
            }
            match reply_of(&line) {
                Some(Reply::Deny) => return Some(false),
                Some(Reply::ApproveOnce | Reply::ApproveAlways) if may_approve => return Some(true),
                Some(_) => say("  A yes of yours does not count here (`tools.approvals.approver`)."),
                None => {}
            }
        }
        None
    }
}

impl<R: AsyncBufRead + Unpin + Send> Person for AtTerminal<R> {
    fn ask<'a>(
        &'a self,
        pending: &'a PendingApproval,
        args: &'a Json,
        may_approve: bool,
    ) -> BoxFuture<'a, Option<bool>> {
        self.answer(pending, args, may_approve).boxed()
    }
}

/// What the tool would be given, a line for each argument: who says yes says it to these values. What is cut says so.
fn shown(args: &Json) -> String {
    let Some(members) = args.as_object() else { return String::new() };
    let line = |(name, value): (&String, &Json)| {
        let value = value.as_str().map_or_else(|| value.to_string(), |text| Json::from(text).to_string());
        let chars = value.chars().count();
        let cut = if chars > VALUE_CHARS_MAX {
            format!(" [cut: {chars} characters in all; say no if you must see them]")
        } else {
            String::new()
        };
        format!("    {} = {}{cut}", cleaned(name, 100), cleaned(&value, VALUE_CHARS_MAX))
    };
    let lines: Vec<String> = members.iter().take(VALUES_MAX).map(line).collect();
    let more = members.len().saturating_sub(VALUES_MAX);
    let more = if more > 0 { format!("\n    [{more} more]") } else { String::new() };
    format!("{}{more}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_yes_counts_only_of_those_who_may_say_it_and_a_no_always() {
        let pending = PendingApproval {
            id: "apr_1".to_owned(),
            question: "'user:ada' wants to".to_owned(),
            expires_at: weir_core::Timestamp::UNIX_EPOCH,
        };
        let table = [
            ("yes\n", true, Some(true)),
            ("hm\nOK\n", true, Some(true)),
            ("n\n", true, Some(false)),
            ("no\n", false, Some(false)),
            ("yes\nno\n", false, Some(false)),
            ("yes\n\n", false, None),
            ("\n", true, None),
            ("", true, None),
            ("a\nb\nc\nd\ne\nyes\n", true, None),
        ];
        for (typed, may_approve, expected) in table {
            let person = AtTerminal::new(typed.as_bytes());
            assert_eq!(
                person.ask(&pending, &serde_json::json!({"path": "a"}), may_approve).await,
                expected,
                "{typed:?} {may_approve}"
            );
        }
    }

    #[test]
    fn who_is_asked_sees_what_the_tool_would_be_given() {
        let args = serde_json::json!({"path": "a\u{1b}[2J.sh", "n": 3, "text": "x".repeat(5_000)});
        let text = shown(&args);
        assert!(text.contains("path = \"a\\u001b[2J.sh\"") && text.contains("n = 3"), "{text}");
        assert!(text.contains("[cut: 5002 characters in all"), "{text}");
        assert!(text.len() < 3_000 && !text.contains('\u{1b}'));
    }
}
