//! Tests of one string fact against a literal: the forms that an index can decide.

use std::sync::Arc;

use super::Env;
use crate::facts::{Fact, Facts};

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TextSource {
    Fact(Fact),
    /// A member of a map of strings; the name is in lower case.
    Header(Fact, Arc<str>),
}

impl TextSource {
    pub(crate) fn fact(&self) -> Fact {
        match self {
            Self::Fact(fact) | Self::Header(fact, _) => *fact,
        }
    }

    #[inline]
    pub(crate) fn read<'e>(&self, facts: &'e Facts<'_>) -> &'e str {
        match self {
            Self::Fact(fact) => facts.str(*fact),
            Self::Header(fact, name) => facts.map(*fact).get(name).unwrap_or_default(),
        }
    }
}

/// A text, as it is or with the ASCII letters in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    pub(crate) source: TextSource,
    pub(crate) fold: bool,
}

impl Text {
    pub(super) fn cost(&self) -> u32 {
        let source = match &self.source {
            TextSource::Fact(fact) if fact.is_prompt() || *fact == Fact::FailureText => 50,
            TextSource::Fact(_) => 0,
            TextSource::Header(..) => 6,
        };
        source + u32::from(self.fold)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TextOp {
    Equals,
    Contains,
    StartsWith,
    EndsWith,
}

impl TextOp {
    /// Whether the relation holds between a text and another.
    #[inline]
    pub(crate) fn holds(self, text: &str, other: &str) -> bool {
        match self {
            Self::Equals => text == other,
            Self::Contains => contains(text.as_bytes(), other.as_bytes()),
            Self::StartsWith => text.starts_with(other),
            Self::EndsWith => text.ends_with(other),
        }
    }

    /// The same with the text's ASCII letters in lower case; `other` is so already.
    #[inline]
    fn holds_folded(self, text: &str, other: &str) -> bool {
        let (text, other) = (text.as_bytes(), other.as_bytes());
        match self {
            Self::Equals => text.eq_ignore_ascii_case(other),
            Self::StartsWith => text.get(..other.len()).is_some_and(|head| head.eq_ignore_ascii_case(other)),
            Self::EndsWith => text
                .len()
                .checked_sub(other.len())
                .and_then(|at| text.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(other)),
            Self::Contains => contains_folded(text, other),
        }
    }
}

/// Texts up to this length are searched for one byte of the other text: preparing a better search costs more than it.
const SHORT_TEXT_BYTES: usize = 512;

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    if text.len() > SHORT_TEXT_BYTES {
        return memchr::memmem::find(text, wanted).is_some();
    }
    let Some((at, rarest)) = rarest(wanted) else { return true };
    let hits = memchr::memchr_iter(rarest, text);
    hits.filter_map(|hit| text.get(hit.checked_sub(at)?..)).any(|here| here.starts_with(wanted))
}

/// The byte among the first ones that is probably the rarest in names, agents and paths, and its place.
fn rarest(wanted: &[u8]) -> Option<(usize, u8)> {
    const LOOKED_AT: usize = 12;
    let commonness = |byte: u8| match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 3,
        b'a'..=b'z' | b'0'..=b'9' | b' ' | b'.' | b'-' | b'/' => 2,
        _ => 1,
    };
    wanted.iter().copied().take(LOOKED_AT).enumerate().min_by_key(|(_, byte)| commonness(*byte))
}

fn contains_folded(text: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return true };
    let mut rest = text;
    while let Some(at) = memchr::memchr2(*first, first.to_ascii_uppercase(), rest) {
        let Some(here) = rest.get(at..) else { return false };
        match here.get(..wanted.len()) {
            Some(part) if part.eq_ignore_ascii_case(wanted) => return true,
            Some(_) => rest = here.get(1..).unwrap_or_default(),
            None => return false,
        }
    }
    false
}

/// A text against a literal. With `fold` the literal is in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TextTest {
    pub(crate) text: Text,
    pub(crate) op: TextOp,
    pub(crate) literal: Box<str>,
}

impl TextTest {
    #[inline]
    pub(crate) fn holds(&self, env: &Env<'_>) -> bool {
        let text = self.text.source.read(env.facts);
        if self.text.fold {
            self.op.holds_folded(text, &self.literal)
        } else {
            self.op.holds(text, &self.literal)
        }
    }
}

/// Whether a text is one of the sorted literals.
#[inline]
pub(crate) fn is_one_of(text: &Text, literals: &[Box<str>], env: &Env<'_>) -> bool {
    let value = text.source.read(env.facts);
    if text.fold {
        return literals.iter().any(|literal| literal.as_bytes().eq_ignore_ascii_case(value.as_bytes()));
    }
    literals.binary_search_by(|literal| (**literal).cmp(value)).is_ok()
}
