//! What is counted: a kind and its words, kept as one text with tabs between them.

use serde::{Deserialize, Serialize};

/// The kinds of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TallyKind {
    /// Requests by their outcome.
    Request,
    /// Tool calls by their outcome.
    Tool,
    /// Requests that ended with an error or a refusal, by its `error_type`.
    Refusal,
    /// Failed calls of providers.
    Failure,
    /// Rules that matched.
    Rule,
    /// Rules that could not be evaluated.
    RuleError,
}

impl TallyKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Request, Self::Tool, Self::Refusal, Self::Failure, Self::Rule, Self::RuleError];

    /// The word in the table and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Tool => "tool",
            Self::Refusal => "refusal",
            Self::Failure => "failure",
            Self::Rule => "rule",
            Self::RuleError => "rule_error",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What was counted. Every word is one of weir's own or a name that the operator chose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TallyKey {
    /// A request.
    Request {
        /// What was enforced, or [`weir_core::record::REFUSED`].
        outcome: String,
    },
    /// A tool call.
    Tool {
        /// What was decided.
        outcome: String,
        /// How it ended, in the words of its record.
        ended: String,
        /// The kind of its denial; empty when it was not denied.
        denial: String,
    },
    /// A request that ended with an error or a refusal.
    Refusal {
        /// The `error_type` of the answer.
        error_type: String,
        /// The stage at which it ended; empty when that was not before the upstream call.
        stage: String,
        /// Which limit ended it: `abuse`, `free-model`, `address`, `rule`; empty for none.
        limit: String,
    },
    /// A failed call of a provider.
    Failure {
        /// What it was.
        class: String,
        /// The provider.
        provider: String,
        /// Who must act.
        owner: String,
        /// Whether it is reported: `page`, `log`, `none`.
        report: String,
        /// Whose credential was used.
        credential: String,
        /// The rule that classed it; empty when none did.
        rule: String,
    },
    /// A rule that matched.
    Rule {
        /// Its id.
        rule: String,
        /// The version of its text.
        version: String,
        /// `enforce` or `shadow`.
        mode: String,
        /// What it asked for.
        action: String,
        /// `request`, `failure` or `tool`.
        boundary: String,
    },
    /// A rule that could not be evaluated.
    RuleError {
        /// Its id.
        rule: String,
        /// `request`, `failure` or `tool`.
        boundary: String,
    },
    /// Keys beyond [`super::KEYS_MAX`].
    Other {
        /// What they were of.
        of: TallyKind,
    },
}

/// What stands for keys beyond the cap.
pub(super) const OTHER: &str = "other";

impl TallyKey {
    /// What it is a count of.
    #[must_use]
    pub const fn kind(&self) -> TallyKind {
        match self {
            Self::Request { .. } => TallyKind::Request,
            Self::Tool { .. } => TallyKind::Tool,
            Self::Refusal { .. } => TallyKind::Refusal,
            Self::Failure { .. } => TallyKind::Failure,
            Self::Rule { .. } => TallyKind::Rule,
            Self::RuleError { .. } => TallyKind::RuleError,
            Self::Other { of } => *of,
        }
    }

    /// Reads the text of a key; none for what this version does not know.
    pub(crate) fn read(kind: &str, text: &str) -> Option<Self> {
        let kind = TallyKind::of_word(kind)?;
        // The other kinds have more than one word.
        if text == OTHER && kind != TallyKind::Request {
            return Some(Self::Other { of: kind });
        }
        let mut words = text.split(SEPARATOR).map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        Some(match kind {
            TallyKind::Request => Self::Request { outcome: next() },
            TallyKind::Tool => Self::Tool { outcome: next(), ended: next(), denial: next() },
            TallyKind::Refusal => Self::Refusal { error_type: next(), stage: next(), limit: next() },
            TallyKind::Failure => Self::Failure {
                class: next(),
                provider: next(),
                owner: next(),
                report: next(),
                credential: next(),
                rule: next(),
            },
            TallyKind::Rule => {
                Self::Rule { rule: next(), version: next(), mode: next(), action: next(), boundary: next() }
            }
            TallyKind::RuleError => Self::RuleError { rule: next(), boundary: next() },
        })
    }
}

/// Stands between the words of a key.
pub(crate) const SEPARATOR: char = '\t';

/// Longest word of a key, in bytes.
const WORD_BYTES_MAX: usize = 200;

/// Writes a key into a buffer that is used again and again: the kind first, then its words.
pub(super) fn write(buffer: &mut String, kind: TallyKind, words: &[&str]) {
    buffer.clear();
    buffer.push_str(kind.as_str());
    for word in words {
        buffer.push(SEPARATOR);
        push(buffer, word);
    }
}

/// A word without what separates, and no longer than a word may be.
fn push(buffer: &mut String, word: &str) {
    let end = word.floor_char_boundary(WORD_BYTES_MAX);
    let word = word.get(..end).unwrap_or_default();
    if word.bytes().any(|byte| byte < b' ') {
        buffer.extend(word.chars().map(|c| if c.is_control() { ' ' } else { c }));
    } else {
        buffer.push_str(word);
    }
}

/// The kind of a written key and its words.
pub(super) fn split(text: &str) -> (&str, &str) {
    text.split_once(SEPARATOR).unwrap_or((text, ""))
}
