//! What changed between two rule sets, rule by rule.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value as Json;

use crate::rule::Rule;
use crate::set::RuleSet;

/// How a rule differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Some of its keys have other values.
    Changed,
    /// It is as it was, but stands elsewhere among those that were there before.
    Reordered,
}

/// One rule that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The rule's id.
    pub rule: String,
    /// How it differs.
    pub kind: ChangeKind,
    /// The keys that differ, for a changed rule.
    pub fields: Vec<String>,
}

/// What changed from `old` to `new`: the removed rules in their old order, then the others in their new one.
#[must_use]
pub fn diff(old: &RuleSet, new: &RuleSet) -> Vec<Change> {
    let change = |rule: &Rule, kind, fields| Change { rule: rule.id.to_string(), kind, fields };
    let removed = old.rules().iter().filter(|r| new.get(&r.id).is_none());
    let mut changes: Vec<Change> = removed.map(|r| change(r, ChangeKind::Removed, Vec::new())).collect();
    let moved = moved_rules(old, new);
    for rule in new.rules() {
        match old.get(&rule.id) {
            None => changes.push(change(rule, ChangeKind::Added, Vec::new())),
            Some(before) if before.version != rule.version => {
                changes.push(change(rule, ChangeKind::Changed, changed_fields(before, rule)));
            }
            Some(_) if moved.contains(&&*rule.id) => {
                changes.push(change(rule, ChangeKind::Reordered, Vec::new()));
            }
            Some(_) => {}
        }
    }
    changes
}

/// One rule that differs, with the values of its keys before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleChange {
    /// The rule, and how it differs.
    #[serde(flatten)]
    pub change: Change,
    /// The keys whose values differ, in the order of the alphabet: all of a rule that is new or gone.
    pub values: Vec<ValueChange>,
}

/// The value of one key before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueChange {
    /// The key.
    pub key: String,
    /// Its value before; null when it was not written.
    pub from: Json,
    /// Its value now; null when it is not written.
    pub to: Json,
}

/// As [`diff`], with the values.
#[must_use]
pub fn diff_values(old: &RuleSet, new: &RuleSet) -> Vec<RuleChange> {
    let of = |rules: &RuleSet, id: &str| rules.get(id).map(members).unwrap_or_default();
    let with_values = |change: Change| {
        let (before, after) = (of(old, &change.rule), of(new, &change.rule));
        let value = |members: &serde_json::Map<String, Json>, key: &str| {
            members.get(key).cloned().unwrap_or_default()
        };
        let keys = changed_keys(&before, &after).into_iter();
        let values = keys
            .map(|key| ValueChange { from: value(&before, &key), to: value(&after, &key), key })
            .collect();
        RuleChange { change, values }
    };
    diff(old, new).into_iter().map(with_values).collect()
}

/// The keys whose values differ, in the order of the alphabet.
fn changed_fields(old: &Rule, new: &Rule) -> Vec<String> {
    changed_keys(&members(old), &members(new))
}

fn members(rule: &Rule) -> serde_json::Map<String, Json> {
    match rule.to_json() {
        Ok(Json::Object(members)) => members,
        _ => serde_json::Map::new(),
    }
}

fn changed_keys(old: &serde_json::Map<String, Json>, new: &serde_json::Map<String, Json>) -> Vec<String> {
    let mut keys: Vec<String> =
        old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The fewest rules of both sets that must have moved: those outside a longest run that kept its order.
fn moved_rules<'n>(old: &RuleSet, new: &'n RuleSet) -> Vec<&'n str> {
    let place: HashMap<&str, usize> = old.rules().iter().enumerate().map(|(at, r)| (&*r.id, at)).collect();
    let kept: Vec<(&str, usize)> =
        new.rules().iter().filter_map(|r| Some((&*r.id, *place.get(&*r.id)?))).collect();
    let in_order = longest_increasing(&kept.iter().map(|(_, at)| *at).collect::<Vec<_>>());
    kept.iter()
        .enumerate()
        .filter(|(at, _)| in_order.binary_search(at).is_err())
        .map(|(_, (id, _))| *id)
        .collect()
}

/// The positions of a longest increasing subsequence, in order (patience sorting).
fn longest_increasing(values: &[usize]) -> Vec<usize> {
    let mut tails: Vec<(usize, usize)> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let pile = tails.partition_point(|(_, tail)| tail < value);
        previous.push(pile.checked_sub(1).and_then(|p| tails.get(p)).map(|(at, _)| *at));
        match tails.get_mut(pile) {
            Some(tail) => *tail = (at, *value),
            None => tails.push((at, *value)),
        }
    }
    let mut run = Vec::with_capacity(tails.len());
    let mut next = tails.last().map(|(at, _)| *at);
    while let Some(at) = next {
        run.push(at);
        next = previous.get(at).copied().flatten();
    }
    run.reverse();
    run
}
