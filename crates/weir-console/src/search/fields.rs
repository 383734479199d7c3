//! The members of a record that can be searched by, with the shortest name that means one of them alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;
use weir_core::record::{ProviderCall, Record, RecordedFacts, RequestResult, ToolRecord, Usage};
use weir_core::{Boundary, Decision, DecisionId, IdentityKind, Timestamp};

use super::member;
use crate::decisions::outcomes;
use crate::query::one_of;

/// Where names without a place of their own are looked for, in this order: `model` is the request's, `status` the answer's.
const PLACES: [&str; 9] = [
    "",
    "facts.request.",
    "facts.identity.",
    "facts.stats.",
    "result.",
    "result.usage.",
    "result.tool.",
    "call.",
    "result.timings.",
];

/// The places that facts have in rules, and in records.
const ROOTS: [&str; 3] = ["request.", "identity.", "stats."];

/// The words of members that have no others.
fn words_of(path: &str) -> Option<Vec<&'static str>> {
    match path {
        "outcome" => Some(outcomes(None)),
        "boundary" => Some(Boundary::ALL.map(Boundary::as_str).to_vec()),
        "source" => Some(vec!["fresh", "cache", "static"]),
        "facts.identity.kind" => Some(vec![IdentityKind::User.as_str(), IdentityKind::Anonymous.as_str()]),
        _ => None,
    }
}

/// Why no record can have this value: a word that the member never has, or no number where it has numbers.
pub(super) fn check(path: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    if let Some(words) = words_of(path) {
        return one_of(value, &words).map(|_| ());
    }
    match member(&EXAMPLE, path) {
        Value::Bool(_) => one_of(value, &["true", "false"]).map(|_| ()),
        Value::Number(_) if value.parse::<f64>().is_err() => Err("it is a number".to_owned()),
        _ => Ok(()),
    }
}

/// A record in which every member is there.
static EXAMPLE: LazyLock<Value> = LazyLock::new(example);

/// Every name, and the path that it stands for.
static NAMES: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let mut paths = Vec::new();
    collect(&EXAMPLE, String::new(), &mut paths);
    // Made once, and there for as long as the process.
    let paths: Vec<&'static str> = paths.into_iter().map(|path| &*Box::leak(path.into_boxed_str())).collect();
    let mut names = BTreeMap::new();
    for place in PLACES {
        for path in &paths {
            let rest = path.strip_prefix(place).filter(|rest| place.is_empty() || !rest.contains('.'));
            if let Some(rest) = rest {
                names.entry(rest.to_owned()).or_insert(*path);
            }
        }
    }
    for path in &paths {
        if let Some(fact) =
            path.strip_prefix("facts.").filter(|fact| ROOTS.iter().any(|root| fact.starts_with(root)))
        {
            names.entry(fact.to_owned()).or_insert(*path);
        }
    }
    names
});

/// The facts of a request and of an identity that are texts: they stand in a stored record as they are.
static TEXTS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let facts = serde_json::to_value(RecordedFacts::default()).unwrap_or_default();
    let mut texts = BTreeSet::new();
    for group in ["request", "identity"] {
        let members = facts.get(group).and_then(Value::as_object).into_iter().flatten();
        let names = members.filter(|(_, value)| value.is_string()).map(|(name, _)| name);
        texts.extend(names.map(|name| format!("facts.{group}.{name}")));
    }
    texts
});

/// Whether the member is a text that a stored record has as it is.
pub(super) fn is_text(path: &str) -> bool {
    TEXTS.contains(path)
}

fn example() -> Value {
    let id = DecisionId::new(Timestamp::UNIX_EPOCH, [0; 10]);
    let record = Record {
        decision: Decision::unasked(id, String::new(), 0, Timestamp::UNIX_EPOCH),
        result: RequestResult {
            usage: Some(Usage::default()),
            tool: Some(Box::new(ToolRecord::default())),
            ..RequestResult::default()
        },
        facts: RecordedFacts::default(),
        call: Some(ProviderCall::default()),
    };
    serde_json::to_value(&record).unwrap_or_default()
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    let Value::Object(members) = value else { return paths.push(path) };
    for (name, value) in members {
        let separator = if path.is_empty() { "" } else { "." };
        collect(value, format!("{path}{separator}{name}"), paths);
    }
}

/// The path that a name stands for.
pub(super) fn path_of(name: &str) -> Option<&'static str> {
    NAMES.get(name).copied()
}

/// Names that have something in common with one that is unknown, or a few that are asked for most.
pub(super) fn near(name: &str) -> Vec<&'static str> {
    let name = name.to_lowercase();
    let begin: String = name.chars().take(3).collect();
    let is_alike = |known: &str| begin.chars().count() == 3 && known.starts_with(&begin);
    let is_within =
        |known: &str| name.len() > 2 && known.len() > 2 && (known.contains(&name) || name.contains(known));
    let mut near: Vec<&'static str> = all().filter(|known| is_alike(known)).collect();
    near.extend(all().filter(|known| !is_alike(known) && is_within(known)));
    near.truncate(4);
    if near.is_empty() { vec!["model", "status", "user_id", "ip", "user_agent", "error_type"] } else { near }
}

/// All names without a place.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    NAMES.keys().map(String::as_str).filter(|name| !name.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_where_they_can_be() {
        for (name, path) in [
            ("model", "facts.request.model"),
            ("request.model", "facts.request.model"),
            ("facts.request.model", "facts.request.model"),
            ("status", "result.status"),
            ("plan", "facts.identity.plan"),
            ("requests_1h", "facts.stats.requests_1h"),
            ("input_tokens", "result.usage.input_tokens"),
            ("outcome", "outcome"),
            ("sus_score", "sus_score"),
            ("total_ms", "result.timings.total_ms"),
            ("tags", "facts.identity.tags"),
        ] {
            assert_eq!(path_of(name), Some(path), "{name}");
        }
        let texts = ["facts.request.user_agent", "facts.identity.plan"];
        assert!(texts.into_iter().all(is_text));
        assert!(!["facts.request.free", "facts.identity.tags", "at", "id"].into_iter().any(is_text));
        assert_eq!(path_of("prompt"), None);
        assert!(near("user_agnt").contains(&"user_agent"));
        assert!(all().count() > 50);
    }
}
