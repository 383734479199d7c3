//! `then`, in the words of the rule's boundary.

use weir_core::failure::{Class, Owner, Retry};
use weir_core::tool::PermissionLevel;
use weir_core::{Action, Boundary};

use super::draft::Reader;
use super::words::{self, PER_SECONDS_MAX, one_of, parse_per};
use crate::rule::{ClassThen, LevelThen, LimitThen, Report, Then, ToolThen};
use crate::yaml::{Node, Value};

const REQUESTS_MAX: i64 = 1_000_000_000;

/// Reads `then`; what is wrong is reported.
pub(super) fn read(reader: &mut Reader<'_, '_>, node: &Node<'_>, on: Boundary) -> Option<Then> {
    match on {
        Boundary::Request => request(reader, node),
        Boundary::Failure => failure(reader, node).map(Then::Class),
        Boundary::Tool => tool(reader, node),
    }
}

/// A word of `then`, or why it is none.
fn word(text: &str, on: &str, words: &[&'static str]) -> Result<&'static str, words::Complaint> {
    let what = format!("`then` for a rule on `{on}`:");
    one_of(&what, text, words.iter().copied(), |word| word)
}

fn request(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Then> {
    let mut known: Vec<&'static str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    known.push("skip");
    match &node.value {
        Value::Str(text) => {
            let text = reader.checked(node.span, "then", word(text, "request", &known))?;
            Some(text.parse().map_or(Then::Skip, Then::Action))
        }
        Value::Map(entries) if !entries.is_empty() => {
            reader.known_keys(entries, "then", &["rate-limit"]);
            limit(reader, node.get("rate-limit")?)
        }
        _ => {
            let help =
                format!("it is one of {}, or {{rate-limit: {{requests: 60, per: 1m}}}}", known.join(", "));
            reader.error(node.span, "then", format!("`then` is an action, not {}", node.kind()), Some(help))
        }
    }
}

fn limit(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Then> {
    let path = "then.rate-limit";
    let Value::Map(entries) = &node.value else {
        let help = Some("write {requests: 60, per: 1m}".to_owned());
        return reader.error(node.span, path, format!("a limit is a mapping, not {}", node.kind()), help);
    };
    reader.known_keys(entries, path, &["requests", "per"]);
    let requests = reader.required(node, path, "requests").and_then(|requests| {
        let count = reader.int(requests, "then.rate-limit.requests", 1..=REQUESTS_MAX)?;
        u64::try_from(count).ok()
    });
    let per = reader.required(node, path, "per").and_then(|per| {
        let text = reader.text(per, "then.rate-limit.per")?;
        let Some(seconds) = parse_per(&text) else {
            let days = PER_SECONDS_MAX / (24 * 3600);
            let help = Some(format!("write it as 30s, 1m, 1h or 1d; at most {days} days"));
            return reader.error(per.span, "then.rate-limit.per", format!("`{text}` is no window"), help);
        };
        Some((text, seconds))
    });
    let (requests, (per, per_s)) = (requests?, per?);
    Some(Then::Limit(LimitThen { requests, per: per.into(), per_s }))
}

fn failure(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<ClassThen> {
    let Value::Map(entries) = &node.value else {
        let help = Some("write {class: quota_exhausted}".to_owned());
        return reader.error(
            node.span,
            "then",
            format!("`then` is a mapping with a class, not {}", node.kind()),
            help,
        );
    };
    reader.known_keys(entries, "then", &["class", "owner", "retry", "report"]);
    let class = reader
        .required(node, "then", "class")
        .and_then(|class| reader.word(class, "then.class", "class", Class::ALL, Class::as_str));
    let owner = optional(reader, node, "owner", OWNERS, owner_word);
    let retry = optional(reader, node, "retry", RETRIES, retry_word);
    let report = optional(reader, node, "report", Report::ALL, Report::as_str);
    Some(ClassThen { class: class?, owner: owner?, retry: retry?, report: report? })
}

const OWNERS: [Owner; 4] = [Owner::Operator, Owner::Provider, Owner::User, Owner::Caller];
const RETRIES: [Retry; 3] = [Retry::Same, Retry::Failover, Retry::Never];

const fn owner_word(owner: Owner) -> &'static str {
    match owner {
        Owner::Operator => "operator",
        Owner::Provider => "provider",
        Owner::User => "user",
        Owner::Caller => "caller",
    }
}

const fn retry_word(retry: Retry) -> &'static str {
    match retry {
        Retry::Same => "same",
        Retry::Failover => "failover",
        Retry::Never => "never",
    }
}

/// A key that may be left out: nothing when its value is wrong, which is reported.
fn optional<T: Copy>(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
    key: &'static str,
    all: impl IntoIterator<Item = T> + Clone,
    word: impl Fn(T) -> &'static str,
) -> Option<Option<T>> {
    match node.get(key) {
        None => Some(None),
        Some(value) => reader.word(value, &format!("then.{key}"), key, all, word).map(Some),
    }
}

fn tool(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Then> {
    let known: Vec<&'static str> = ToolThen::ALL.iter().map(|then| then.as_str()).collect();
    match &node.value {
        Value::Str(text) => {
            let text = reader.checked(node.span, "then", word(text, "tool", &known))?;
            ToolThen::ALL.into_iter().find(|then| then.as_str() == text).map(Then::Tool)
        }
        Value::Map(entries) if !entries.is_empty() => {
            reader.known_keys(entries, "then", &["level"]);
            let level = node.get("level")?;
            let level =
                reader.word(level, "then.level", "level", PermissionLevel::ALL, PermissionLevel::token)?;
            Some(Then::Level(LevelThen { level }))
        }
        _ => {
            let help = format!("it is one of {}, or {{level: execute}}", known.join(", "));
            reader.error(node.span, "then", format!("`then` is an answer, not {}", node.kind()), Some(help))
        }
    }
}
