//! The parts of one condition, read on recorded facts.

use serde_json::{Value as Json, json};

use super::{Part, PartKind, Past, Seen, Truth, VALUE_CHARS_MAX, VALUE_ITEMS_MAX};
use crate::compile::dissect::{Operand, Piece, PieceKind};
use crate::expr::{Env, Value};

/// Reads a condition. `outcome` is what the record says that it came to, where it says so.
pub(super) fn read(piece: &Piece, when: &str, past: &Past<'_>, outcome: Option<Truth>) -> Part {
    let mut part = past.read(|env| part(piece, when, past, env));
    if let Some(outcome) = outcome {
        infer(&mut part, outcome);
    }
    mark(&mut part);
    part
}

fn part(piece: &Piece, when: &str, past: &Past<'_>, env: &Env<'_>) -> Part {
    let (truth, fault) = past.truth(&piece.expr, env);
    Part {
        kind: match piece.kind {
            PieceKind::All => PartKind::All,
            PieceKind::Any => PartKind::Any,
            PieceKind::Not => PartKind::Not,
            PieceKind::Test => PartKind::Test,
        },
        text: text(when, piece.span),
        start: piece.span.0,
        end: piece.span.1,
        truth,
        error: fault.map(|fault| fault.to_string()),
        inferred: false,
        decisive: false,
        values: piece.operands.iter().map(|operand| seen(operand, when, past, env)).collect(),
        parts: piece.pieces.iter().map(|piece| part(piece, when, past, env)).collect(),
    }
}

/// On one line.
fn text(when: &str, (start, end): (usize, usize)) -> String {
    let text = when.get(start..end).unwrap_or(when);
    if text.contains('\n') {
        text.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
    } else {
        text.trim().to_owned()
    }
}

fn seen(operand: &Operand, when: &str, past: &Past<'_>, env: &Env<'_>) -> Seen {
    let text = text(when, operand.span);
    match past.known(&operand.expr).value(env) {
        Ok(value) => Seen { text, value: shown(&value), recorded: true, error: None },
        Err(fault) if fault.is_of_unrecorded() => {
            Seen { text, value: Json::Null, recorded: false, error: None }
        }
        Err(fault) => Seen { text, value: Json::Null, recorded: true, error: Some(fault.to_string()) },
    }
}

fn shown(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::Str(value) => json!(cut(value)),
        Value::Time(value) => json!(value.to_string()),
        Value::Duration(value) => json!(value.to_string()),
        Value::Map(_) | Value::JsonMap(_) => json!("a map"),
        Value::Strings(_) | Value::Consts(_) | Value::JsonList(_) => {
            let items = value.items().unwrap_or_default();
            let mut told: Vec<Json> = items.iter().take(VALUE_ITEMS_MAX).map(shown).collect();
            if let Some(more) = items.len().checked_sub(VALUE_ITEMS_MAX + 1) {
                told.push(json!(format!("… and {} more", more + 1)));
            }
            Json::Array(told)
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What follows from the recorded outcome for parts that could not be read.
fn infer(part: &mut Part, outcome: Truth) {
    if part.truth == Truth::NotRecorded {
        part.truth = outcome;
        part.inferred = true;
    }
    if part.truth != outcome {
        return;
    }
    let opposite = if outcome == Truth::True { Truth::False } else { Truth::True };
    match (part.kind, outcome) {
        (PartKind::All, Truth::True) | (PartKind::Any, Truth::False) => {
            part.parts.iter_mut().for_each(|part| infer(part, outcome));
        }
        // One of them settled it; when all others did not, it was the one that was not recorded.
        (PartKind::All, Truth::False) | (PartKind::Any, Truth::True) => {
            let mut open: Vec<&mut Part> =
                part.parts.iter_mut().filter(|part| part.truth != opposite).collect();
            if let [only] = open.as_mut_slice() {
                infer(only, outcome);
            }
        }
        (PartKind::Not, Truth::True | Truth::False) => {
            part.parts.iter_mut().for_each(|part| infer(part, opposite));
        }
        _ => {}
    }
}

/// Marks the parts that make the whole what it is.
fn mark(part: &mut Part) {
    part.decisive = true;
    let (kind, truth) = (part.kind, part.truth);
    for inner in &mut part.parts {
        let decides = match (kind, truth) {
            (PartKind::Not, _) | (PartKind::All, Truth::True) | (PartKind::Any, Truth::False) => true,
            (PartKind::All | PartKind::Any, truth) => inner.truth == truth,
            (PartKind::Test, _) => false,
        };
        if decides {
            mark(inner);
        }
    }
}
