//! The static types of the rule language.

use crate::expr::Const;
use crate::facts::{Fact, FactType};

/// What is known of an expression's value when the rules are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    Int,
    Double,
    Str,
    Time,
    Duration,
    List(Box<Type>),
    /// A map of strings.
    Map,
    /// Known only at run time.
    Dyn,
}

impl Type {
    pub(super) fn of_fact(fact: Fact) -> Self {
        match fact.ty() {
            FactType::Bool => Self::Bool,
            FactType::Int => Self::Int,
            FactType::Double => Self::Double,
            FactType::String => Self::Str,
            FactType::Timestamp => Self::Time,
            FactType::StringList => Self::List(Box::new(Self::Str)),
            FactType::StringMap => Self::Map,
            FactType::Dynamic => Self::Dyn,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Str => "string",
            Self::Time => "timestamp",
            Self::Duration => "duration",
            Self::List(_) => "list",
            Self::Map => "map",
            Self::Dyn => "dynamic value",
        }
    }

    pub(super) fn with_article(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Int => "an int".to_owned(),
            other => format!("a {}", other.name()),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    /// Whether values of the two types can be equal.
    pub(super) fn comparable_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) => a.comparable_with(b),
            _ => self == other || self.is_number() && other.is_number(),
        }
    }

    /// Whether values of the two types have an order.
    pub(super) fn ordered_with(&self, other: &Self) -> bool {
        let has_order = |ty: &Self| {
            matches!(ty, Self::Int | Self::Double | Self::Str | Self::Time | Self::Duration | Self::Dyn)
        };
        has_order(self) && has_order(other) && self.comparable_with(other)
    }

    /// Whether a value of the type may be used where one of the other is wanted.
    pub(super) fn fits(&self, wanted: &Self) -> bool {
        self == wanted || *self == Self::Dyn
    }
}

pub(super) fn type_of_const(value: &Const) -> Type {
    match value {
        Const::Null => Type::Null,
        Const::Bool(_) => Type::Bool,
        Const::Int(_) => Type::Int,
        Const::Double(_) => Type::Double,
        Const::Str(_) => Type::Str,
        Const::Time(_) => Type::Time,
        Const::Duration(_) => Type::Duration,
        Const::List(items) => Type::List(Box::new(items.first().map_or(Type::Dyn, type_of_const))),
    }
}
