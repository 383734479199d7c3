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
    let known = || Fact::ALL.iter().filter(|f| f.is_known_on(on));
    let (message, help) = match check_root(name, on) {
        Err(complaint) => complaint,
        Ok(()) => (format!("unknown fact `{name}`"), None),
    };
    if !boundaries_of(name).is_empty() || help.as_ref().is_some_and(|help| help.starts_with("did you mean")) {
        return (message, help);
    }
    let nearest = did_you_mean(name, known().map(|f| f.name()));
    let field = nearest.and_then(|nearest| known().find(|f| f.name() == nearest));
    let help =
        field.map_or_else(|| format!("a text is written in quotes: \"{name}\""), |field| meant(field.path()));
    (message, Some(help))
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
