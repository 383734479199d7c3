//! Secrets: never a literal in the result, always a variable.

use std::collections::{BTreeMap, BTreeSet};

/// The variables that the result reads.
#[derive(Default)]
pub(super) struct Variables {
    names: BTreeSet<String>,
    /// Those that are read because the file, or LiteLLM without a word of the file, reads them: never a literal's.
    own: BTreeSet<String>,
    /// Literals that stood in the file, and the variables that stand for them.
    literals: BTreeMap<String, String>,
}

/// A value as it is written in the result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    /// `${NAME}`.
    pub(super) text: String,
    /// Whether a literal stood there.
    pub(super) was_literal: bool,
}

/// The variable that a value of LiteLLM's reads: `os.environ/NAME`.
pub(super) fn environment(value: &str) -> Option<&str> {
    let name = value.strip_prefix("os.environ/")?;
    let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (named && name.chars().next().is_some_and(|c| !c.is_ascii_digit())).then_some(name)
}

impl Variables {
    /// Variables of which none is read yet, and some will be by their own names.
    pub(super) fn reserving(own: BTreeSet<String>) -> Self {
        Self { own, ..Self::default() }
    }

    /// Those that were read by their own names.
    pub(super) fn own(&self) -> &BTreeSet<String> {
        &self.own
    }

    /// A reference to a variable by its own name.
    pub(super) fn read(&mut self, name: &str) -> String {
        self.own.insert(name.to_owned());
        self.refer(name)
    }

    fn refer(&mut self, name: &str) -> String {
        self.names.insert(name.to_owned());
        format!("${{{name}}}")
    }

    /// A secret as a reference: to the variable that it names, else to one that is called `usual`, or alike when that
    /// is read by its own name or stands for another literal.
    pub(super) fn secret(&mut self, value: &str, usual: &str) -> Reference {
        if let Some(name) = environment(value) {
            return Reference { text: self.read(name), was_literal: false };
        }
        if let Some(name) = self.literals.get(value).cloned() {
            return Reference { text: self.refer(&name), was_literal: true };
        }
        let mut name = usual.to_owned();
        let mut number = 1;
        while self.own.contains(&name) || self.names.contains(&name) {
            number += 1;
            name = format!("{usual}_{number}");
        }
        self.literals.insert(value.to_owned(), name.clone());
        Reference { text: self.refer(&name), was_literal: true }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }
}
