//! Numbers: equality by hash, thresholds sorted so that those a value passes are a run.

use std::cmp::Ordering;

use super::{Candidates, Map, Rules, rules_by};
use crate::expr::{CompareOp, Number};

/// A number such that equal ones are the same, whatever their types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Exact {
    Int(i64),
    Bits(u64),
}

impl From<Number> for Exact {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "taken only where the comparison says that it is exact"
    )]
    fn from(number: Number) -> Self {
        match number {
            Number::Int(value) => Self::Int(value),
            Number::Double(value) => {
                let int = value as i64;
                match Number::Int(int).compare(number) {
                    Some(Ordering::Equal) => Self::Int(int),
                    _ => Self::Bits(value.to_bits()),
                }
            }
        }
    }
}

/// A literal that a value must pass; a strict one must not be met exactly.
#[derive(Clone, Copy, Debug)]
struct Threshold {
    literal: Number,
    strict: bool,
    rule: u32,
}

/// The rules by their tests of one numeric fact.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    equal: Map<Exact, Rules>,
    /// `>` and `>=`, the lowest literal first: a value passes a run from the beginning.
    least: Box<[Threshold]>,
    /// `<` and `<=`, the highest literal first: likewise.
    most: Box<[Threshold]>,
}

#[derive(Default)]
pub(super) struct NumbersBuilder {
    equal: Map<Exact, Vec<u32>>,
    least: Vec<Threshold>,
    most: Vec<Threshold>,
}

impl NumbersBuilder {
    pub(super) fn add(&mut self, op: CompareOp, literal: Number, rule: u32) {
        let threshold = |strict| Threshold { literal, strict, rule };
        match op {
            CompareOp::Equal => self.equal.entry(literal.into()).or_default().push(rule),
            CompareOp::Greater => self.least.push(threshold(true)),
            CompareOp::AtLeast => self.least.push(threshold(false)),
            CompareOp::Less => self.most.push(threshold(true)),
            CompareOp::AtMost => self.most.push(threshold(false)),
            // The plan never asks for it.
            CompareOp::NotEqual => {}
        }
    }

    pub(super) fn finish(mut self) -> Numbers {
        let order = |a: &Threshold, b: &Threshold| a.literal.compare(b.literal).unwrap_or(Ordering::Equal);
        self.least.sort_by(|a, b| order(a, b).then(a.strict.cmp(&b.strict)));
        self.most.sort_by(|a, b| order(b, a).then(a.strict.cmp(&b.strict)));
        Numbers { equal: rules_by(self.equal), least: self.least.into(), most: self.most.into() }
    }
}

impl Numbers {
    pub(super) fn find(&self, value: Number, found: &mut Candidates) {
        if !self.equal.is_empty()
            && let Some(rules) = self.equal.get(&value.into())
        {
            rules.add_to(found);
        }
        add_passed(&self.least, value, Ordering::Greater, found);
        add_passed(&self.most, value, Ordering::Less, found);
    }
}

fn add_passed(thresholds: &[Threshold], value: Number, beyond: Ordering, found: &mut Candidates) {
    let passed = thresholds.partition_point(|threshold| match value.compare(threshold.literal) {
        Some(Ordering::Equal) => !threshold.strict,
        Some(order) => order == beyond,
        None => false,
    });
    thresholds.iter().take(passed).for_each(|threshold| found.add(threshold.rule));
}
