//! What can be proven of conditions from their typed form.

use std::cmp::Ordering;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;

use crate::expr::{CompareOp, Const, Expr, Number, TextOp, TextTest};
use crate::facts::Fact;

/// A condition as the parts that must all hold.
pub(super) struct Proof {
    /// Fingerprints of the parts, sorted.
    parts: Vec<u64>,
    /// Each with the fingerprint of its part.
    tests: Vec<(u64, Test)>,
    never: bool,
}

/// A part whose relation to others is known.
enum Test {
    /// A text is one of these, sorted.
    Is(u64, Vec<Box<str>>),
    Text(u64, TextTest),
    Number(Fact, CompareOp, Number),
    Flag(Fact, bool),
}

impl Proof {
    pub(super) fn of(condition: &Expr) -> Self {
        let parts: &[Expr] = match condition {
            Expr::And(parts) => parts,
            Expr::Const(Const::Bool(true)) => &[],
            other => std::slice::from_ref(other),
        };
        let mut prints: Vec<u64> = parts.iter().map(fingerprint).collect();
        prints.sort_unstable();
        prints.dedup();
        let tests: Vec<(u64, Test)> =
            parts.iter().filter_map(|part| Some((fingerprint(part), Test::of(part)?))).collect();
        let never = parts.iter().any(|part| matches!(part, Expr::Const(Const::Bool(false))))
            || tests
                .iter()
                .enumerate()
                .any(|(at, (_, a))| tests.iter().skip(at + 1).any(|(_, b)| a.excludes(b)));
        Self { parts: prints, tests, never }
    }

    /// Whether it cannot hold.
    pub(super) const fn never(&self) -> bool {
        self.never
    }

    /// What it is, as far as being the same goes.
    pub(super) fn parts(&self) -> &[u64] {
        &self.parts
    }

    /// Whether the other holds whenever this one does: each part of the other is one of this one's. Parts that hold
    /// cannot have failed, so that errors change nothing.
    pub(super) fn implies(&self, other: &Self) -> bool {
        let mine = |print: &u64| self.parts.binary_search(print).is_ok();
        if other.parts.iter().all(mine) {
            return true;
        }
        // What is not among them word for word must be a test that one of this one's implies.
        other.parts.iter().filter(|print| !mine(print)).all(|print| {
            let missing = other.tests.iter().find(|(of, _)| of == print);
            missing.is_some_and(|(_, test)| self.tests.iter().any(|(_, mine)| mine.implies(test)))
        })
    }
}

/// The same for parts that are the same: their debug form names everything, patterns included.
fn fingerprint(part: &Expr) -> u64 {
    hash(&format!("{part:?}"))
}

fn hash(value: &impl Hash) -> u64 {
    FixedState::with_seed(7).hash_one(value)
}

impl Test {
    fn of(part: &Expr) -> Option<Self> {
        Some(match part {
            Expr::Text(test) if test.op == TextOp::Equals => {
                Self::Is(hash(&test.text), vec![test.literal.clone()])
            }
            Expr::Text(test) => Self::Text(hash(&test.text), TextTest::clone(test)),
            Expr::OneOf(of) => Self::Is(hash(&of.0), of.1.to_vec()),
            Expr::Number(fact, op, literal) => Self::Number(*fact, *op, *literal),
            Expr::Fact(fact) => Self::Flag(*fact, true),
            Expr::Not(of) => match &**of {
                Expr::Fact(fact) => Self::Flag(*fact, false),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Whether both cannot hold.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Is(a, mine), Self::Is(b, others)) => {
                a == b && !mine.iter().any(|literal| others.contains(literal))
            }
            (Self::Is(a, mine), Self::Text(b, test)) | (Self::Text(b, test), Self::Is(a, mine)) => {
                a == b && !mine.iter().any(|literal| test.op.holds(literal, &test.literal))
            }
            (Self::Number(a, op, x), Self::Number(b, other, y)) => {
                a == b && disjoint((*op, *x), (*other, *y))
            }
            (Self::Flag(a, mine), Self::Flag(b, other)) => a == b && mine != other,
            _ => false,
        }
    }

    /// Whether the other holds whenever this one does.
    fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Is(a, mine), Self::Is(b, others)) => {
                a == b && mine.iter().all(|literal| others.contains(literal))
            }
            (Self::Is(a, mine), Self::Text(b, test)) => {
                a == b && mine.iter().all(|literal| test.op.holds(literal, &test.literal))
            }
            (Self::Number(a, op, x), Self::Number(b, other, y)) => a == b && within((*op, *x), (*other, *y)),
            _ => false,
        }
    }
}

/// Whether a number that one bound admits is always admitted by the other.
fn within((op, x): (CompareOp, Number), (other, y): (CompareOp, Number)) -> bool {
    use CompareOp::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
    let Some(order) = x.compare(y) else { return false };
    match (op, other) {
        (Equal, other) => other.admits(Some(order)),
        (Greater, Greater) | (AtLeast, AtLeast) | (Greater, AtLeast) => order != Ordering::Less,
        (AtLeast, Greater) => order == Ordering::Greater,
        (Less, Less) | (AtMost, AtMost) | (Less, AtMost) => order != Ordering::Greater,
        (AtMost, Less) => order == Ordering::Less,
        (Greater, NotEqual) => order != Ordering::Less,
        (AtLeast, NotEqual) => order == Ordering::Greater,
        (Less, NotEqual) => order != Ordering::Greater,
        (AtMost, NotEqual) => order == Ordering::Less,
        _ => false,
    }
}

/// Whether no number is admitted by both.
fn disjoint(a: (CompareOp, Number), b: (CompareOp, Number)) -> bool {
    let negated = |op| {
        Some(match op {
            CompareOp::Equal => CompareOp::NotEqual,
            CompareOp::NotEqual => CompareOp::Equal,
            CompareOp::Less => CompareOp::AtLeast,
            CompareOp::AtLeast => CompareOp::Less,
            CompareOp::Greater => CompareOp::AtMost,
            CompareOp::AtMost => CompareOp::Greater,
        })
    };
    negated(b.0).is_some_and(|op| within(a, (op, b.1))) || negated(a.0).is_some_and(|op| within(b, (op, a.1)))
}
