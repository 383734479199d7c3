//! Conditions over facts of which some were not recorded.
//!
//! What reads such a fact becomes an error, which `&&` and `||` absorb like any other. So a record is replayed by the
//! same evaluation as a request that waits, and that one pays nothing for it.

use super::{Expr, Quantified};
use crate::facts::{Fact, FactSet};

impl Expr {
    /// The condition where `unknown` cannot be read.
    pub(crate) fn without(&self, unknown: FactSet) -> Self {
        if let Some(fact) = self.own_fact().filter(|fact| unknown.has(*fact)) {
            return Self::Unrecorded(fact);
        }
        let one = |of: &Self| Box::new(of.without(unknown));
        let two = |sides: &(Self, Self)| Box::new((sides.0.without(unknown), sides.1.without(unknown)));
        let all = |parts: &[Self]| parts.iter().map(|part| part.without(unknown)).collect();
        match self {
            Self::Const(_)
            | Self::Fact(_)
            | Self::Header(..)
            | Self::Var(_)
            | Self::Text(_)
            | Self::OneOf(_)
            | Self::Number(..)
            | Self::ListHas(..)
            | Self::Unrecorded(_) => self.clone(),
            Self::Lookup(fact, of) => Self::Lookup(*fact, one(of)),
            Self::Member(of, name) => Self::Member(one(of), name.clone()),
            // The names of the arguments are recorded, their values are not.
            Self::HasMember(of, _) if matches!(**of, Self::Fact(Fact::CallArgs)) => self.clone(),
            Self::HasMember(of, name) => Self::HasMember(one(of), name.clone()),
            Self::HasName(fact, of) => Self::HasName(*fact, one(of)),
            Self::Not(of) => Self::Not(one(of)),
            Self::Matches(of, pattern) => Self::Matches(one(of), pattern.clone()),
            Self::Within(network, of) => Self::Within(*network, one(of)),
            Self::Lower(of) => Self::Lower(one(of)),
            Self::Size(of) => Self::Size(one(of)),
            Self::Negate(of) => Self::Negate(one(of)),
            Self::ToTime(of) => Self::ToTime(one(of)),
            Self::ToDuration(of) => Self::ToDuration(one(of)),
            Self::And(parts) => Self::And(all(parts)),
            Self::Or(parts) => Self::Or(all(parts)),
            Self::If(parts) => {
                let [test, then, other] = [&parts.0, &parts.1, &parts.2].map(|part| part.without(unknown));
                Self::If(Box::new((test, then, other)))
            }
            Self::Index(sides) => Self::Index(two(sides)),
            Self::Compare(op, sides) => Self::Compare(*op, two(sides)),
            Self::Ints(op, sides) => Self::Ints(*op, two(sides)),
            Self::In(sides) => Self::In(two(sides)),
            Self::Find(op, sides) => Self::Find(*op, two(sides)),
            Self::Arith(op, sides) => Self::Arith(*op, two(sides)),
            Self::Quantified(of) => Self::Quantified(Box::new(Quantified {
                all: of.all,
                range: of.range.without(unknown),
                variable: of.variable,
                body: of.body.without(unknown),
            })),
            Self::TimePart(part, of) => {
                Self::TimePart(*part, Box::new((of.0.without(unknown), of.1.clone())))
            }
        }
    }

    /// Whether something of the condition reads a fact that was not recorded.
    pub(crate) fn is_blind(&self) -> bool {
        matches!(self, Self::Unrecorded(_)) || self.children().into_iter().any(Self::is_blind)
    }
}
