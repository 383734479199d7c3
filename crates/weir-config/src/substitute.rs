//! `${NAME}` and `${NAME:-default}` in texts. What is put in is never read as YAML again: it cannot add a key, end
//! a list or become `null`.

use std::ops::Range;

use crate::Sources;
use crate::document::{Node, Place, Value};
use crate::path::Path;
use crate::report::Report;

/// A part of a text, by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Stands for itself.
    Literal(Range<usize>),
    /// `$${`, which stands for `${`.
    Escape,
    /// `${NAME}` or `${NAME:-default}`.
    Variable {
        /// The whole of it.
        whole: Range<usize>,
        /// The name.
        name: Range<usize>,
        /// The default.
        default: Option<Range<usize>>,
    },
}

/// A `${` that begins no variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadVariable {
    /// What is wrong.
    pub message: &'static str,
    /// The offset of the `${`.
    pub at: usize,
}

const HELP: &str = "write `${NAME}` or `${NAME:-default}`; `$${` stands for a literal `${`";

/// Takes a text apart.
///
/// # Errors
/// A `${` that is not closed, or whose name is none.
pub fn pieces(text: &str) -> Result<Vec<Piece>, BadVariable> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find("${")) {
        let at = from + found;
        if text.get(..at).is_some_and(|before| before.ends_with('$')) && at > from {
            push_literal(&mut pieces, from..at - 1);
            pieces.push(Piece::Escape);
            from = at + 2;
            continue;
        }
        push_literal(&mut pieces, from..at);
        let variable = variable(text, at)?;
        if let Piece::Variable { whole, .. } = &variable {
            from = whole.end;
        }
        pieces.push(variable);
    }
    push_literal(&mut pieces, from..text.len());
    Ok(pieces)
}

fn push_literal(pieces: &mut Vec<Piece>, range: Range<usize>) {
    if !range.is_empty() {
        pieces.push(Piece::Literal(range));
    }
}

fn variable(text: &str, at: usize) -> Result<Piece, BadVariable> {
    let start = at + 2;
    let unclosed = BadVariable { message: "`${` without `}`", at };
    let end = text.get(start..).and_then(|rest| rest.find('}')).ok_or(unclosed)? + start;
    let inner = text.get(start..end).unwrap_or_default();
    let (name, default) = match inner.find(":-") {
        Some(split) => (start..start + split, Some(start + split + 2..end)),
        None => (start..end, None),
    };
    if !is_name(text.get(name.clone()).unwrap_or_default()) {
        return Err(BadVariable { message: "no name of a variable after `${`", at });
    }
    Ok(Piece::Variable { whole: at..end + 1, name, default })
}

/// The length of the variable that a text begins with.
#[must_use]
pub fn variable_at(text: &str) -> Option<usize> {
    match variable(text, 0) {
        Ok(Piece::Variable { whole, .. }) => Some(whole.end),
        _ => None,
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Puts the variables into all texts of a document. A text whose variable has no value becomes [`Value::Broken`],
/// so that its absence is reported once.
pub fn substitute(node: &mut Node, sources: &dyn Sources, report: &mut Report<'_>) {
    walk(node, &Path::root(), sources, report);
}

fn walk(node: &mut Node, path: &Path, sources: &dyn Sources, report: &mut Report<'_>) {
    match &mut node.value {
        Value::List(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                walk(item, &path.index(i), sources, report);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                walk(&mut entry.node, &path.key(&entry.key), sources, report);
            }
        }
        Value::Text(text) if text.contains("${") => {
            let written = text.clone();
            match filled(&written, node.place, path, sources, report) {
                None => node.value = Value::Broken,
                Some((filled, replaced)) => {
                    node.value = Value::Text(filled);
                    node.written = replaced.then_some(written);
                }
            }
        }
        _ => {}
    }
}

/// The text with its variables, and whether there was one.
fn filled(
    text: &str,
    place: Place,
    path: &Path,
    sources: &dyn Sources,
    report: &mut Report<'_>,
) -> Option<(String, bool)> {
    let pieces = match pieces(text) {
        Ok(pieces) => pieces,
        Err(bad) => {
            report.error(report.within(place, "${"), path, bad.message).help(HELP);
            return None;
        }
    };
    let mut out = Some(String::with_capacity(text.len()));
    let mut replaced = false;
    for piece in pieces {
        let value = match &piece {
            Piece::Escape => Some("${".to_owned()),
            Piece::Literal(range) => text.get(range.clone()).map(str::to_owned),
            Piece::Variable { whole, name, default } => {
                replaced = true;
                let name = text.get(name.clone()).unwrap_or_default();
                let default = default.clone().and_then(|range| text.get(range));
                let value = value_of(name, default, sources);
                if value.is_none() {
                    let at = report.within(place, text.get(whole.clone()).unwrap_or_default());
                    unset(name, at, path, report);
                }
                value
            }
        };
        out = out.zip(value).map(|(out, value)| out + &value);
    }
    out.map(|out| (out, replaced))
}

/// As in a shell, `:-` also stands in for an empty value.
fn value_of(name: &str, default: Option<&str>, sources: &dyn Sources) -> Option<String> {
    match (sources.variable(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Some(default.to_owned()),
        (Some(value), _) => Some(value),
        (None, default) => default.map(str::to_owned),
    }
}

fn unset(name: &str, at: Place, path: &Path, report: &mut Report<'_>) {
    report
        .error(at, path, format!("the environment variable `{name}` is not set"))
        .help(format!("set it, or give a default: `${{{name}:-…}}`"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_apart() {
        let shown = |text: &str| match pieces(text) {
            Ok(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(range) => format!("[{}]", &text[range.clone()]),
                    Piece::Escape => "<escape>".to_owned(),
                    Piece::Variable { name, default, .. } => {
                        format!("<{}|{:?}>", &text[name.clone()], default.clone().map(|d| &text[d]))
                    }
                })
                .collect::<String>(),
            Err(bad) => format!("{} at {}", bad.message, bad.at),
        };
        let table = [
            ("plain $5 {x}", "[plain $5 {x}]"),
            ("${A}", "<A|None>"),
            ("a${A}b${B:-}c", "[a]<A|None>[b]<B|Some(\"\")>[c]"),
            ("${A:-x:-y}", "<A|Some(\"x:-y\")>"),
            ("$${A}", "<escape>[A}]"),
            ("x$${A}${B}", "[x]<escape>[A}]<B|None>"),
            ("${A}${B}", "<A|None><B|None>"),
            ("${A", "`${` without `}` at 0"),
            ("x${}", "no name of a variable after `${` at 1"),
            ("${1A}", "no name of a variable after `${` at 0"),
            ("${A-b}", "no name of a variable after `${` at 0"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
