//! Regular expressions: compiled once, replaced by a plain test where they are one, and searched for literals that every
//! match must contain.

use std::sync::Arc;

use regex::RegexBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::Patterns;
use crate::expr::{Pattern, Required, TextOp};

/// How much memory one compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A required literal that is shorter is no help: it is everywhere.
const REQUIRED_BYTES_MIN: usize = 3;

/// How many required literals are worth looking for.
const REQUIRED_MAX: usize = 16;

/// What a regular expression comes to.
pub(super) enum Meaning {
    /// A literal at a certain place.
    Plain(TextOp, Box<str>),
    /// Everything matches.
    Anything,
    Regex(Arc<Pattern>),
}

/// Compiles a regular expression.
pub(super) fn compile(source: &str, patterns: &mut Patterns) -> Result<Meaning, String> {
    let hir = regex_syntax::parse(source).map_err(|error| reason(&error.to_string()))?;
    if let Some(plain) = plain(&hir) {
        return Ok(plain);
    }
    if let Some(known) = patterns.get(source) {
        return Ok(Meaning::Regex(Arc::clone(known)));
    }
    let regex = RegexBuilder::new(source)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| reason(&error.to_string()))?;
    let pattern = Arc::new(Pattern { regex, required: required(&hir) });
    patterns.insert(source.to_owned(), Arc::clone(&pattern));
    Ok(Meaning::Regex(pattern))
}

/// The last line of the library's message: the ones before it draw the pattern, which a diagnostic shows anyway.
fn reason(message: &str) -> String {
    message.lines().last().unwrap_or(message).trim_start_matches("error: ").to_owned()
}

/// A pattern that is a literal, at the beginning, at the end, both or anywhere.
fn plain(hir: &Hir) -> Option<Meaning> {
    let parts: &[Hir] = match hir.kind() {
        HirKind::Empty => return Some(Meaning::Anything),
        HirKind::Concat(parts) => parts,
        _ => std::slice::from_ref(hir),
    };
    let look = |part: Option<&Hir>, wanted: Look| part.is_some_and(|p| *p.kind() == HirKind::Look(wanted));
    let starts = look(parts.first(), Look::Start);
    let ends = look(parts.last(), Look::End);
    let inner = parts.get(usize::from(starts)..parts.len() - usize::from(ends))?;
    let [only] = inner else { return None };
    let HirKind::Literal(literal) = only.kind() else { return None };
    let text = std::str::from_utf8(&literal.0).ok()?.into();
    let op = match (starts, ends) {
        (true, true) => TextOp::Equals,
        (true, false) => TextOp::StartsWith,
        (false, true) => TextOp::EndsWith,
        (false, false) => TextOp::Contains,
    };
    Some(Meaning::Plain(op, text))
}

/// Literals of which every match contains at least one.
pub(super) fn required(hir: &Hir) -> Option<Required> {
    let best = |fold: bool| {
        let literals = needed(hir, fold)?;
        let shortest = literals.iter().map(|literal| literal.len()).min()?;
        (shortest >= REQUIRED_BYTES_MIN && literals.len() <= REQUIRED_MAX)
            .then_some(Required { literals, fold })
    };
    best(false).or_else(|| best(true))
}

fn needed(hir: &Hir, fold: bool) -> Option<Vec<Box<str>>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => longest_run(std::slice::from_ref(hir), fold),
        HirKind::Capture(capture) => needed(&capture.sub, fold),
        HirKind::Repetition(repetition) if repetition.min > 0 => needed(&repetition.sub, fold),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(needed(branch, fold)?);
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let nested =
                parts.iter().filter(|part| piece(part, fold).is_none()).filter_map(|part| needed(part, fold));
            let run = longest_run(parts, fold);
            nested
                .chain(run)
                .max_by_key(|literals| literals.iter().map(|literal| literal.len()).min().unwrap_or(0))
        }
        _ => None,
    }
}

/// The longest literal that neighbouring parts make up.
fn longest_run(parts: &[Hir], fold: bool) -> Option<Vec<Box<str>>> {
    let (mut best, mut run) = (String::new(), String::new());
    for part in parts {
        match piece(part, fold) {
            Some(text) => run.push_str(&text),
            None => run.clear(),
        }
        if run.len() > best.len() {
            best.clone_from(&run);
        }
    }
    (!best.is_empty()).then(|| vec![best.into_boxed_str()])
}

/// The one text that a part stands for: a literal or, when case does not count, a letter in both cases.
fn piece(part: &Hir, fold: bool) -> Option<String> {
    match part.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(if fold { text.to_ascii_lowercase() } else { text.to_owned() })
        }
        HirKind::Class(class) if fold => letter_in_both_cases(class).map(String::from),
        _ => None,
    }
}

fn letter_in_both_cases(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let [upper, lower] = class.ranges() else { return None };
    let single = upper.start() == upper.end() && lower.start() == lower.end();
    let pair = upper.start().is_ascii_uppercase() && upper.start().to_ascii_lowercase() == lower.start();
    (single && pair).then(|| lower.start())
}
