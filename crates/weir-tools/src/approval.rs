//! Approvals around the store's own: digests, words for people, the webhook, and what a person's words mean.

mod digest;
mod origin;
mod reply;
mod webhook;

pub use digest::digest_of;
pub use origin::{Origin, OriginAnswer};
pub use reply::{Reply, reply_of};
pub(crate) use webhook::Webhook;

use uuid::Builder;
use weir_core::Timestamp;
use weir_core::tool::{cleaned, quoted};
use weir_store::database::Approval;

/// How long a list of names in a question may be, in characters.
const NAMES_CHARS_MAX: usize = 300;

/// The id of an approval made at `at`: they sort by time.
pub(crate) fn approval_id(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let id = Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
    format!("apr_{}", id.as_hyphenated())
}

/// What a person is asked. The values of arguments are not in it.
#[must_use]
pub fn question_text(approval: &Approval) -> String {
    let question = &approval.question;
    let server = if question.server.is_empty() {
        String::new()
    } else {
        format!(" of server {}", quoted(&question.server))
    };
    let args = if question.args.is_empty() {
        "no arguments".to_owned()
    } else {
        format!("the arguments {}", cleaned(&question.args.join(", "), NAMES_CHARS_MAX))
    };
    let by = match (&question.rule, &question.policy) {
        (_, Some(policy)) => format!("policy {}", quoted(policy)),
        (Some(rule), None) => format!("rule {}", quoted(rule)),
        (None, None) => "weir".to_owned(),
    };
    format!(
        "{} wants to call tool {}{server} with {args} on channel {}. {by} asks for an approval: {}",
        quoted(&approval.caller),
        quoted(&question.tool),
        quoted(&question.channel),
        cleaned(&question.reason, weir_core::tool::QUOTED_CHARS_MAX),
    )
}
