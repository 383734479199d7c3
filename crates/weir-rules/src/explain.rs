//! Why a rule matched, or did not: the parts of its condition with their truth and the values that they saw.
//!
//! This reads what was recorded of a decision; it never decides anew. What was not recorded (prompts, headers,
//! arguments) is said to be so, and so is every part that cannot be told without it or from the recorded outcome.

mod part;
mod past;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use weir_core::{Boundary, Errored, Matched, Mode};

use crate::compile::{self, dissect};
use crate::rule::Rule;
use crate::set::RuleSet;

pub use past::Past;

/// Near misses that are told of one decision; of more it is said how many.
pub const NEAR_MISSES_MAX: usize = 10;

/// The characters of a text that are shown of a value.
pub const VALUE_CHARS_MAX: usize = 200;

/// The elements of a list that are shown of a value.
pub const VALUE_ITEMS_MAX: usize = 20;

/// What a part of a condition came to on the recorded facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It could not be evaluated.
    Error,
    /// It reads what was not recorded.
    NotRecorded,
}

impl Truth {
    /// The word for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Error => "error",
            Self::NotRecorded => "not recorded",
        }
    }
}

/// How a part is made of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// All of its parts must hold (`&&`).
    All,
    /// One of its parts must hold (`||`).
    Any,
    /// Its part must not hold (`!`).
    Not,
    /// A comparison, a call or a fact: what has no parts.
    Test,
}

/// What a part of a condition saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// The fact or the expression, as the rule writes it.
    pub text: String,
    /// Its value, cut at [`VALUE_CHARS_MAX`] characters; null when it is not known.
    pub value: Json,
    /// Whether it was recorded.
    pub recorded: bool,
    /// Why there is no value, where it could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A condition or a part of one, on the recorded facts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// How it is made of others.
    pub kind: PartKind,
    /// Its text, as the rule writes it.
    pub text: String,
    /// Where the text begins in the condition, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it came to.
    pub truth: Truth,
    /// Why it could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the truth follows from the recorded outcome, because what the part reads was not recorded.
    pub inferred: bool,
    /// Whether the whole condition is what it is because of this part.
    pub decisive: bool,
    /// What it saw; empty for one that has parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Seen>,
    /// Its parts, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl Part {
    /// Calls `visit` with the part and all parts of it, with their depth, in the order of the text.
    pub fn walk(&self, visit: &mut dyn FnMut(&Part, usize)) {
        self.walk_from(0, visit);
    }

    /// Why it could not be evaluated, for who shows all parts and values: none where a part of it, or a value that it
    /// saw, says the same.
    #[must_use]
    pub fn error_of_its_own(&self) -> Option<&str> {
        let error = self.error.as_deref()?;
        let parts = self.parts.iter().map(|part| part.error.as_deref());
        let values = self.values.iter().map(|seen| seen.error.as_deref());
        parts.chain(values).all(|below| below != Some(error)).then_some(error)
    }

    fn walk_from(&self, depth: usize, visit: &mut dyn FnMut(&Part, usize)) {
        visit(self, depth);
        for part in &self.parts {
            part.walk_from(depth + 1, visit);
        }
    }
}

/// Whether the text of a rule was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFrom {
    /// It is the text that decided.
    AsDecided,
    /// The text that decided is no longer kept, or the rule is the remote classifier's own.
    NotKept,
}

/// One rule and what it came to in a recorded decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedRule {
    /// The rule's id.
    pub rule: String,
    /// The version of its text that decided.
    pub version: String,
    /// What it asked for.
    pub action: String,
    /// Whether it counted.
    pub mode: Mode,
    /// Where its text was found.
    pub text: TextFrom,
    /// Its condition; none when the text is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The rule's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The condition with its parts; none when the text is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Part>,
    /// The error that was recorded, of a rule that could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ExplainedRule {
    /// The error that was recorded, for who shows the condition too: none where that says the same.
    #[must_use]
    pub fn error_beside_condition(&self) -> Option<&str> {
        let shown = self.condition.as_ref().and_then(|condition| condition.error.as_deref());
        self.error.as_deref().filter(|error| shown != Some(error))
    }
}

/// The rules that matched in a recorded decision, each with its condition as `sets` have it: the first set that has the
/// version that decided.
#[must_use]
pub fn matched(matched: &[Matched], sets: &[&RuleSet], past: &Past<'_>) -> Vec<ExplainedRule> {
    let found: Vec<(ExplainedRule, Option<&Rule>)> = matched
        .iter()
        .map(|listed| {
            let rule = find(sets, &listed.rule, Some(&listed.version));
            let explained = ExplainedRule {
                version: listed.version.clone(),
                action: listed.action.clone(),
                mode: listed.mode,
                ..told(&listed.rule, rule)
            };
            (explained, rule)
        })
        .collect();
    with_conditions(found, past, Some(Truth::True))
}

/// The rules that could not be evaluated in a recorded decision.
#[must_use]
pub fn errored(errored: &[Errored], sets: &[&RuleSet], past: &Past<'_>) -> Vec<ExplainedRule> {
    let found: Vec<(ExplainedRule, Option<&Rule>)> = errored
        .iter()
        .map(|listed| {
            let rule = find(sets, &listed.rule, None);
            (ExplainedRule { error: Some(listed.error.clone()), ..told(&listed.rule, rule) }, rule)
        })
        .collect();
    with_conditions(found, past, None)
}

/// The enforced rules of a boundary of whose conjunction exactly one part was false, all others true, as far as
/// [`NEAR_MISSES_MAX`]; and how many more there are.
#[must_use]
pub fn near_misses(rules: &RuleSet, boundary: Boundary, past: &Past<'_>) -> (Vec<ExplainedRule>, usize) {
    let missed: Vec<&Rule> = past.near_misses(rules, boundary).collect();
    let more = missed.len().saturating_sub(NEAR_MISSES_MAX);
    let found = missed
        .into_iter()
        .take(NEAR_MISSES_MAX)
        .map(|rule| {
            (ExplainedRule { version: rule.version.to_string(), ..told(&rule.id, Some(rule)) }, Some(rule))
        })
        .collect();
    (with_conditions(found, past, None), more)
}

fn find<'r>(sets: &[&'r RuleSet], id: &str, version: Option<&str>) -> Option<&'r Rule> {
    let is_it = |rule: &&Rule| version.is_none_or(|version| *rule.version == *version);
    sets.iter().find_map(|set| set.get(id).filter(is_it))
}

/// What is known of a rule besides its condition's parts.
fn told(id: &str, rule: Option<&Rule>) -> ExplainedRule {
    ExplainedRule {
        rule: id.to_owned(),
        version: rule.map(|rule| rule.version.to_string()).unwrap_or_default(),
        action: rule.map(|rule| rule.then.word().to_owned()).unwrap_or_default(),
        mode: rule.map(|rule| rule.mode).unwrap_or_default(),
        text: if rule.is_some() { TextFrom::AsDecided } else { TextFrom::NotKept },
        when: rule.map(|rule| rule.when.to_string()),
        because: rule.and_then(|rule| rule.because.as_deref()).map(str::to_owned),
        expires: rule.and_then(|rule| rule.expires),
        condition: None,
        error: None,
    }
}

/// Takes the conditions apart, all on one thread, and reads their parts on the recorded facts.
fn with_conditions(
    found: Vec<(ExplainedRule, Option<&Rule>)>,
    past: &Past<'_>,
    outcome: Option<Truth>,
) -> Vec<ExplainedRule> {
    let rules: Vec<&Rule> = found.iter().filter_map(|(_, rule)| *rule).collect();
    let sources: Vec<compile::Source<'_>> =
        rules.iter().map(|rule| compile::Source { on: rule.on, when: &rule.when, forbidden: None }).collect();
    let mut pieces = if sources.is_empty() { Vec::new() } else { dissect::dissect_all(&sources) }.into_iter();
    found
        .into_iter()
        .map(|(mut explained, rule)| {
            if let Some(rule) = rule {
                explained.condition =
                    pieces.next().flatten().map(|piece| part::read(&piece, &rule.when, past, outcome));
            }
            explained
        })
        .collect()
}

#[cfg(test)]
mod tests;
