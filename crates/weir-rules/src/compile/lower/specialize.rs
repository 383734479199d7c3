//! Narrow forms: what compares a fact with literals becomes a test that is cheap, cannot fail, and can be indexed.

use crate::expr::{CompareOp, Const, Expr, Number, Text, TextOp, TextSource, TextTest};
use crate::facts::{Fact, FactType};

/// The string fact that an expression is, as it is or in lower case.
fn as_text(expr: &Expr) -> Option<Text> {
    let plain = |source| Some(Text { source, fold: false });
    match expr {
        Expr::Fact(fact) if fact.ty() == FactType::String => plain(TextSource::Fact(*fact)),
        Expr::Header(fact, name) => plain(TextSource::Header(*fact, name.clone())),
        Expr::Lower(of) => as_text(of).map(|text| Text { fold: true, ..text }),
        _ => None,
    }
}

fn as_number_fact(expr: &Expr) -> Option<Fact> {
    match expr {
        Expr::Fact(fact) if matches!(fact.ty(), FactType::Int | FactType::Double) => Some(*fact),
        _ => None,
    }
}

fn as_number(expr: &Expr) -> Option<Number> {
    match expr {
        Expr::Const(Const::Int(value)) => Some(Number::Int(*value)),
        Expr::Const(Const::Double(value)) => Some(Number::Double(*value)),
        _ => None,
    }
}

/// A string test.
pub(super) fn find(op: TextOp, text: Expr, other: Expr) -> Expr {
    let Expr::Const(Const::Str(literal)) = &other else { return generic(op, text, other) };
    let Some(of) = as_text(&text) else { return generic(op, text, other) };
    // Lower-cased text never holds an upper-case letter.
    if of.fold && literal.bytes().any(|b| b.is_ascii_uppercase()) {
        return Expr::FALSE;
    }
    if literal.is_empty() && op != TextOp::Equals {
        return Expr::TRUE;
    }
    Expr::Text(Box::new(TextTest { text: of, op, literal: literal.clone() }))
}

fn generic(op: TextOp, text: Expr, other: Expr) -> Expr {
    match op {
        TextOp::Equals => Expr::Compare(CompareOp::Equal, Box::new((text, other))),
        _ => Expr::Find(op, Box::new((text, other))),
    }
}

/// A comparison; with `ints` both sides are known to be ints.
pub(super) fn compare(op: CompareOp, left: Expr, right: Expr, ints: bool) -> Expr {
    if matches!(left, Expr::Const(_)) && !matches!(right, Expr::Const(_)) {
        return compare(op.flipped(), right, left, ints);
    }
    if let (Some(fact), Some(literal)) = (as_number_fact(&left), as_number(&right)) {
        return Expr::Number(fact, op, literal);
    }
    match (op, &right) {
        (CompareOp::Equal, Expr::Const(Const::Str(_))) => find(TextOp::Equals, left, right),
        (CompareOp::NotEqual, Expr::Const(Const::Str(_))) => find(TextOp::Equals, left, right).negated(),
        (CompareOp::Equal, Expr::Const(Const::Bool(wanted))) if is_static_bool(&left) => flag(left, *wanted),
        (CompareOp::NotEqual, Expr::Const(Const::Bool(wanted))) if is_static_bool(&left) => {
            flag(left, !*wanted)
        }
        _ if ints => Expr::Ints(op, Box::new((left, right))),
        _ => Expr::Compare(op, Box::new((left, right))),
    }
}

/// Whether an expression is surely boolean, so that comparing it with `true` leaves it as it is.
fn is_static_bool(expr: &Expr) -> bool {
    match expr {
        Expr::Fact(fact) => fact.ty() == FactType::Bool,
        Expr::Text(_) | Expr::Number(..) | Expr::OneOf(_) | Expr::ListHas(..) => true,
        Expr::Not(of) => is_static_bool(of),
        _ => false,
    }
}

fn flag(expr: Expr, wanted: bool) -> Expr {
    if wanted { expr } else { expr.negated() }
}

/// `in`.
pub(super) fn membership(wanted: Expr, of: Expr) -> Expr {
    match (&wanted, &of) {
        (_, Expr::Const(Const::List(items))) if items.is_empty() && is_safe(&wanted) => Expr::FALSE,
        (_, Expr::Const(Const::List(items))) => {
            one_of(&wanted, items).unwrap_or_else(|| plain_in(wanted, of))
        }
        (Expr::Const(Const::Str(word)), Expr::Fact(fact)) if fact.ty() == FactType::StringList => {
            Expr::ListHas(*fact, word.clone())
        }
        (Expr::Const(Const::Str(name)), Expr::Fact(fact)) if fact.ty() == FactType::StringMap => {
            let name = Const::Str(name.to_ascii_lowercase().into());
            Expr::HasName(*fact, Box::new(Expr::Const(name)))
        }
        (_, Expr::Fact(fact)) if fact.ty() == FactType::StringMap => Expr::HasName(*fact, Box::new(wanted)),
        _ => plain_in(wanted, of),
    }
}

fn plain_in(wanted: Expr, of: Expr) -> Expr {
    Expr::In(Box::new((wanted, of)))
}

/// Whether reading the expression cannot fail.
fn is_safe(expr: &Expr) -> bool {
    matches!(expr, Expr::Fact(_) | Expr::Header(..) | Expr::Const(_))
}

fn one_of(wanted: &Expr, items: &[Const]) -> Option<Expr> {
    if let Some(fact) = as_number_fact(wanted) {
        let tests = items.iter().map(|item| {
            let literal = as_number(&Expr::Const(item.clone()))?;
            Some(Expr::Number(fact, CompareOp::Equal, literal))
        });
        return Some(Expr::any_of(tests.collect::<Option<Vec<_>>>()?));
    }
    let text = as_text(wanted)?;
    let mut literals: Vec<Box<str>> = Vec::with_capacity(items.len());
    for item in items {
        let Const::Str(word) = item else { return None };
        if !(text.fold && word.bytes().any(|b| b.is_ascii_uppercase())) {
            literals.push(word.clone());
        }
    }
    literals.sort_unstable();
    literals.dedup();
    match literals.as_slice() {
        [] => Some(Expr::FALSE),
        [only] => Some(Expr::Text(Box::new(TextTest { text, op: TextOp::Equals, literal: only.clone() }))),
        _ => Some(Expr::OneOf(Box::new((text, literals.into_boxed_slice())))),
    }
}

/// `exists` over a list of strings: whether it has one of some words.
pub(super) fn exists_in_list(fact: Fact, variable: usize, body: &Expr) -> Option<Expr> {
    match body {
        Expr::Compare(CompareOp::Equal, sides) => match (&sides.0, &sides.1) {
            (Expr::Var(at), Expr::Const(Const::Str(word))) if *at == variable => {
                Some(Expr::ListHas(fact, word.clone()))
            }
            _ => None,
        },
        Expr::In(sides) => match (&sides.0, &sides.1) {
            (Expr::Var(at), Expr::Const(Const::List(words))) if *at == variable => {
                let tests = words.iter().map(|word| match word {
                    Const::Str(word) => Some(Expr::ListHas(fact, word.clone())),
                    _ => None,
                });
                Some(Expr::any_of(tests.collect::<Option<Vec<_>>>()?))
            }
            _ => None,
        },
        Expr::Or(parts) => {
            let tests = parts.iter().map(|part| exists_in_list(fact, variable, part));
            Some(Expr::any_of(tests.collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}
