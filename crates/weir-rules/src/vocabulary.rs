//! The words of conditions, for editors: facts with their types and functions with an example, each with the line that
//! the reference has about it.
//!
//! Nothing is listed here: facts come from their table, functions from the compiler's, and what is said of them from
//! `docs/rules.md`, which people read.

use std::sync::LazyLock;

use serde::Serialize;
use weir_core::Boundary;

use crate::compile::functions;
use crate::facts::Fact;

/// The reference.
const REFERENCE: &str = include_str!("../../../docs/rules.md");

/// A fact as an editor offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactWord {
    /// `request.model`.
    pub name: String,
    /// `string`.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// What it is; empty where its name says it all.
    pub about: &'static str,
    /// The words that it can hold; empty where any text is possible.
    pub words: &'static [&'static str],
    /// The boundaries whose rules may read it.
    pub on: Vec<&'static str>,
}

/// A function as an editor offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionWord {
    /// `startsWith`.
    pub name: &'static str,
    /// `text.startsWith("begin")`.
    pub usage: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Whether it is called on a value, after a point.
    pub is_method: bool,
}

/// All words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vocabulary {
    /// All facts.
    pub facts: Vec<FactWord>,
    /// All functions.
    pub functions: Vec<FunctionWord>,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary {
    facts: Fact::ALL.iter().map(|fact| fact_word(*fact)).collect(),
    functions: functions().map(|(name, usage)| function_word(name, usage)).collect(),
});

/// The words that conditions are made of.
#[must_use]
pub fn vocabulary() -> &'static Vocabulary {
    &VOCABULARY
}

fn fact_word(fact: Fact) -> FactWord {
    let name = fact.path();
    let row = rows().find(|row| row.first().is_some_and(|cell| cell.trim_matches('`') == name));
    FactWord {
        about: row.and_then(|row| row.get(2).copied()).unwrap_or_default(),
        ty: fact.ty().as_str(),
        words: fact.words(),
        on: fact.boundaries().iter().map(|boundary: &Boundary| boundary.as_str()).collect(),
        name,
    }
}

fn function_word(name: &'static str, usage: &'static str) -> FunctionWord {
    let row = rows().find(|row| row.first().is_some_and(|cell| is_about(cell, name)));
    let called = format!("{name}(");
    FunctionWord {
        name,
        usage,
        about: row.and_then(|row| row.get(1).copied()).unwrap_or_default(),
        is_method: !usage.starts_with(&called),
    }
}

/// Whether a cell of the reference names a function: `` `text.contains("x")` ``, or `` `getMonth` `` after another.
fn is_about(cell: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut code = cell.split('`').skip(1).step_by(2);
    code.any(|code| code.split(|c| !is_part(c)).any(|word| word == name))
}

/// The rows of all tables of the reference, as cells.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    REFERENCE.lines().filter_map(|line| {
        let inner = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(inner.split(" | ").map(str::trim).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_with_what_the_reference_says() {
        let words = vocabulary();
        assert_eq!(words.facts.len(), Fact::ALL.len());
        let fact = |name: &str| words.facts.iter().find(|fact| fact.name == name).unwrap();
        assert_eq!(fact("request.model").about, "the model that was asked for");
        assert_eq!(
            (fact("request.model").ty, &*fact("request.model").on),
            ("string", &["request", "failure"][..])
        );
        assert_eq!(fact("now").ty, "timestamp");
        for function in &words.functions {
            assert!(!function.about.is_empty(), "{} is not in the reference", function.name);
        }
        let method = |name: &str| words.functions.iter().find(|f| f.name == name).unwrap().is_method;
        assert_eq!(["size", "contains", "cidr", "getHours"].map(method), [false, true, false, true]);
    }
}
