//! Names of facts and functions that do not exist, and what was probably meant.

use weir_core::Boundary;

use super::calls::FUNCTIONS;
use crate::facts::{Fact, boundaries_of, roots_on};
use crate::suggest::did_you_mean;

type Complaint = (String, Option<String>);

fn meant(word: impl std::fmt::Display) -> String {
    format!("did you mean `{word}`?")
}

fn list_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Whether rules of a boundary may read a root.
pub(super) fn check_root(root: &str, on: Boundary) -> Result<(), Complaint> {
    let boundaries = boundaries_of(root);
    if boundaries.contains(&on) {
        return Ok(());
    }
    let known = || format!("rules on `{}` read {}", on.as_str(), list_of(roots_on(on)));
    if !boundaries.is_empty() {
        let message = format!("`{root}` is an unknown fact for a rule on `{}`", on.as_str());
        return Err((message, Some(known())));
    }
    let help = did_you_mean(root, roots_on(on)).map_or_else(known, meant);
    Err((format!("unknown fact `{root}`"), Some(help)))
}

/// A word that stands alone and is no variable.
pub(super) fn unknown_name(name: &str, on: Boundary) -> Complaint {
    if boundaries_of(name).contains(&on) {
        let fields = Fact::ALL.iter().filter(|f| f.root() == name).map(|f| f.name());
        let message = format!("`{name}` is no value: read one of its fields");
        return (message, Some(format!("its fields are {}", list_of(fields))));
    }
    let field = Fact::ALL.iter().find(|f| f.is_known_on(on) && f.name() == name);
    match (field, check_root(name, on)) {
        (Some(field), _) => (format!("unknown fact `{name}`"), Some(meant(field.path()))),
        (None, Err((message, help))) => {
            let text = Some(format!("a text is written in quotes: \"{name}\""));
            let guessed =
                help.filter(|help| help.starts_with("did you mean") || boundaries_of(name).len() == 1);
            (message, guessed.or(text))
        }
        (None, Ok(())) => (format!("unknown fact `{name}`"), None),
    }
}

/// A field that its root does not have.
pub(super) fn unknown_field(root: &str, name: &str) -> Complaint {
    let fields = || Fact::ALL.iter().filter(|f| f.root() == root).map(|f| f.name());
    let help = match did_you_mean(name, fields()) {
        Some(field) => meant(format!("{root}.{field}")),
        None => format!("the fields of `{root}` are {}", list_of(fields())),
    };
    (format!("unknown fact `{root}.{name}`"), Some(help))
}

/// A function that does not exist.
pub(super) fn unknown_function(name: &str) -> Complaint {
    let message = format!("unknown function `{name}`");
    let help = match did_you_mean(name, FUNCTIONS.iter().copied()) {
        Some(known) => meant(known),
        None => format!("the functions are {}", list_of(FUNCTIONS.iter().copied())),
    };
    (message, Some(help))
}
