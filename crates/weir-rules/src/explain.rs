//! Why a rule matched, or did not: the parts of its condition with their truth and the values that they saw.
//!
//! This reads what was recorded of a decision; it never decides anew. What was not recorded (prompts, headers,
//! arguments) is said to be so, and so is every part that cannot be told without it.

use serde::Serialize;
use serde_json::Value as Json;
use weir_core::Mode;

/// Near misses that are told of one decision; of more it is said how many.
pub const NEAR_MISSES_MAX: usize = 10;

/// The characters of a text that are shown of a value.
pub const VALUE_CHARS_MAX: usize = 200;

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

    fn walk_from(&self, depth: usize, visit: &mut dyn FnMut(&Part, usize)) {
        visit(self, depth);
        for part in &self.parts {
            part.walk_from(depth + 1, visit);
        }
    }
}

/// Where the text of a rule was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFrom {
    /// It is the text that decided.
    AsDecided,
    /// The text that decided is no longer kept.
    NotKept,
    /// The rule is not one of this weir's: the remote classifier's.
    Remote,
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
    pub expires: Option<String>,
    /// The condition with its parts; none when the text is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Part>,
    /// The error that was recorded, of a rule that could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
