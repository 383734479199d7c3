//! weir's own typed form of a condition: what CEL is lowered to, and all that is evaluated while a request waits.
//!
//! The compiler has checked every type, so evaluation meets a value of another type only where a dynamic fact is read.
//! Nothing here allocates but lower-casing and joining strings outside of the tests that need neither.

mod eval;
mod text;
pub(crate) mod time;
mod unrecorded;
mod value;

use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use crate::facts::Fact;

pub(crate) use eval::{Env, Scratch, numeric};
pub(crate) use text::{Text, TextOp, TextSource, TextTest};
pub(crate) use time::TimePart;
pub(crate) use value::{Fault, Reason, Value};

/// How many elements `exists` and `all` may look at in one evaluation of one condition.
pub(crate) const STEPS_MAX: u32 = 10_000;

/// How long a string that a rule puts together may become, in bytes.
pub(crate) const JOINED_BYTES_MAX: usize = 4 * 1024;

/// How deep `exists` and `all` may be nested in each other.
pub(crate) const VARIABLES_MAX: usize = 2;

/// A condition or a part of one.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Const(Const),
    Fact(Fact),
    /// A member of a map of strings; the name is in lower case.
    Header(Fact, Arc<str>),
    /// The same, with a name that is computed.
    Lookup(Fact, Box<Expr>),
    /// The variable of an enclosing `exists` or `all`.
    Var(usize),
    /// A member of a dynamic value.
    Member(Box<Expr>, Arc<str>),
    /// An element of a list, or a member of a dynamic value by a computed name.
    Index(Box<(Expr, Expr)>),
    HasMember(Box<Expr>, Arc<str>),
    /// Whether a map of strings has a name.
    HasName(Fact, Box<Expr>),
    Not(Box<Expr>),
    And(Box<[Expr]>),
    Or(Box<[Expr]>),
    If(Box<(Expr, Expr, Expr)>),
    Compare(CompareOp, Box<(Expr, Expr)>),
    In(Box<(Expr, Expr)>),
    /// A string fact against a literal.
    Text(Box<TextTest>),
    /// A string fact against several literals, sorted.
    OneOf(Box<(Text, Box<[Box<str>]>)>),
    /// Two ints that are computed.
    Ints(CompareOp, Box<(Expr, Expr)>),
    /// A numeric fact against a literal.
    Number(Fact, CompareOp, Number),
    /// Whether a list of strings has an element.
    ListHas(Fact, Box<str>),
    Find(TextOp, Box<(Expr, Expr)>),
    Matches(Box<Expr>, Arc<Pattern>),
    Within(IpNet, Box<Expr>),
    Lower(Box<Expr>),
    Size(Box<Expr>),
    Arith(ArithOp, Box<(Expr, Expr)>),
    Negate(Box<Expr>),
    Quantified(Box<Quantified>),
    ToTime(Box<Expr>),
    ToDuration(Box<Expr>),
    TimePart(TimePart, Box<(Expr, Option<TimeZone>)>),
    /// What reads a fact that was not recorded: an error, where a record is replayed. The compiler makes none.
    Unrecorded(Fact),
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Const {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(Box<str>),
    Time(Timestamp),
    Duration(SignedDuration),
    List(Box<[Const]>),
}

/// A literal number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CompareOp {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl CompareOp {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    /// The operator with its sides exchanged.
    pub(crate) const fn flipped(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArithOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl ArithOp {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// `exists` or `all` over something that is known only at run time.
#[derive(Clone, Debug)]
pub(crate) struct Quantified {
    pub(crate) all: bool,
    pub(crate) range: Expr,
    pub(crate) variable: usize,
    pub(crate) body: Expr,
}

/// A regular expression, compiled when the rules are loaded.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    /// Literals of which every match contains at least one; none where no such set is known.
    pub(crate) required: Option<Required>,
}

/// Literals of which a matching text contains at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Required {
    pub(crate) literals: Vec<Box<str>>,
    /// Whether upper and lower case count as one; the literals are in lower case then.
    pub(crate) fold: bool,
}

impl Expr {
    pub(crate) const TRUE: Self = Self::Const(Const::Bool(true));
    pub(crate) const FALSE: Self = Self::Const(Const::Bool(false));

    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Const(Const::Bool(value)) => Self::Const(Const::Bool(!value)),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// All of `parts`, flattened, the cheap ones first. Errors are absorbed whatever the order.
    pub(crate) fn all_of(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Const(Const::Bool(true)) => {}
                Self::Const(Const::Bool(false)) => return Self::FALSE,
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        Self::chain(flat, Self::TRUE, Self::And)
    }

    /// Any of `parts`, likewise.
    pub(crate) fn any_of(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Const(Const::Bool(false)) => {}
                Self::Const(Const::Bool(true)) => return Self::TRUE,
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        Self::chain(flat, Self::FALSE, Self::Or)
    }

    fn chain(mut flat: Vec<Self>, empty: Self, make: fn(Box<[Self]>) -> Self) -> Self {
        flat.sort_by_key(Self::cost);
        match (flat.pop(), flat.is_empty()) {
            (None, _) => empty,
            (Some(only), true) => only,
            (Some(last), false) => {
                flat.push(last);
                make(flat.into_boxed_slice())
            }
        }
    }

    /// A rough order of what is cheap to evaluate.
    fn cost(&self) -> u32 {
        match self {
            Self::Const(_) => 0,
            Self::Fact(_) | Self::Number(..) | Self::Var(_) => 1,
            Self::Not(inner) => inner.cost(),
            Self::Text(test) if test.op == TextOp::Equals => 2 + test.text.cost(),
            Self::OneOf(of) => 4 + of.0.cost(),
            Self::Text(test) => 5 + test.text.cost(),
            Self::ListHas(..) | Self::Header(..) | Self::HasName(..) => 8,
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::cost).sum::<u32>() + 1,
            Self::Compare(_, sides)
            | Self::Ints(_, sides)
            | Self::In(sides)
            | Self::Arith(_, sides)
            | Self::Index(sides) => 4 + sides.0.cost() + sides.1.cost(),
            Self::Within(_, of) | Self::Size(of) | Self::HasMember(of, _) | Self::Member(of, _) => {
                10 + of.cost()
            }
            Self::Matches(of, _) => 60 + of.cost(),
            Self::Lower(of) => 60 + of.cost(),
            Self::Quantified(_) => 100,
            _ => 30,
        }
    }

    /// The parts that an expression is made of.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Const(_)
            | Self::Fact(_)
            | Self::Header(..)
            | Self::Var(_)
            | Self::Text(_)
            | Self::OneOf(_)
            | Self::Number(..)
            | Self::ListHas(..)
            | Self::Unrecorded(_) => Vec::new(),
            Self::Lookup(_, of)
            | Self::Member(of, _)
            | Self::HasMember(of, _)
            | Self::HasName(_, of)
            | Self::Not(of)
            | Self::Matches(of, _)
            | Self::Within(_, of)
            | Self::Lower(of)
            | Self::Size(of)
            | Self::Negate(of)
            | Self::ToTime(of)
            | Self::ToDuration(of) => vec![of],
            Self::And(parts) | Self::Or(parts) => parts.iter().collect(),
            Self::If(parts) => vec![&parts.0, &parts.1, &parts.2],
            Self::Index(sides)
            | Self::Compare(_, sides)
            | Self::Ints(_, sides)
            | Self::In(sides)
            | Self::Find(_, sides)
            | Self::Arith(_, sides) => vec![&sides.0, &sides.1],
            Self::Quantified(of) => vec![&of.range, &of.body],
            Self::TimePart(_, of) => vec![&of.0],
        }
    }

    /// The fact that this very node reads.
    pub(crate) fn own_fact(&self) -> Option<Fact> {
        match self {
            Self::Fact(fact)
            | Self::Header(fact, _)
            | Self::Lookup(fact, _)
            | Self::HasName(fact, _)
            | Self::Number(fact, ..)
            | Self::ListHas(fact, _) => Some(*fact),
            Self::Text(test) => Some(test.text.source.fact()),
            Self::OneOf(of) => Some(of.0.source.fact()),
            _ => None,
        }
    }

    /// Calls `visit` with every fact that the condition reads.
    pub(crate) fn facts(&self, visit: &mut dyn FnMut(Fact)) {
        if let Some(fact) = self.own_fact() {
            visit(fact);
        }
        for child in self.children() {
            child.facts(visit);
        }
    }
}

#[cfg(test)]
mod tests;
