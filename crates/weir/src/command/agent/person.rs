//! The person at the terminal, asked about calls that wait for an approval.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};
use tokio::sync::Mutex;
use weir_core::tool::cleaned;
use weir_tools::PendingApproval;
use weir_tools::agent::Person;
use weir_tools::approval::{Reply, reply_of};

use crate::exit::say;

/// How much of a question is shown, in characters.
const QUESTION_CHARS_MAX: usize = 2_000;

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

    async fn answer(&self, pending: &PendingApproval, may_approve: bool) -> Option<bool> {
        say(format_args!("\n? {}", cleaned(&pending.question, QUESTION_CHARS_MAX)));
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
    fn ask<'a>(&'a self, pending: &'a PendingApproval, may_approve: bool) -> BoxFuture<'a, Option<bool>> {
        self.answer(pending, may_approve).boxed()
    }
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
            assert_eq!(person.ask(&pending, may_approve).await, expected, "{typed:?} {may_approve}");
        }
    }
}
