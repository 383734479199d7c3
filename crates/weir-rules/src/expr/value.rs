//! Values at run time, and what can go wrong with them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};

use super::{Const, Number, STEPS_MAX};
use crate::facts::{Fact, StringMap};

/// A value; what it borrows lives as long as the facts and the rule.
#[derive(Clone)]
pub(crate) enum Value<'e> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(Cow<'e, str>),
    Time(Timestamp),
    Duration(SignedDuration),
    Strings(&'e [String]),
    Consts(&'e [Const]),
    Map(&'e dyn StringMap),
    JsonList(&'e [Json]),
    JsonMap(&'e Map<String, Json>),
}

/// A condition could not be evaluated. Boxed, so that a result of evaluation travels in registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(Box<Reason>);

impl From<Reason> for Fault {
    #[cold]
    fn from(reason: Reason) -> Self {
        Self(Box::new(reason))
    }
}

impl Fault {
    /// Whether a fact was read that was not recorded.
    pub(crate) fn is_of_unrecorded(&self) -> bool {
        matches!(*self.0, Reason::NotRecorded(_))
    }

    /// What `&&` or `||` ends with that met both: the first, but rather what was not recorded, which might have settled it
    /// while an error could not.
    #[cold]
    pub(crate) fn of_two(earlier: Option<Self>, later: Self) -> Self {
        match earlier {
            Some(earlier) if earlier.is_of_unrecorded() || !later.is_of_unrecorded() => earlier,
            _ => later,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a condition could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    NoMember(Arc<str>),
    NoElement(i64),
    NoOverload(&'static str, &'static str, &'static str),
    WrongType(&'static str, &'static str),
    Overflow(&'static str),
    DivisionByZero,
    NoAddress,
    NoTime,
    NoDuration,
    TooManySteps,
    TooLong,
    NotRecorded(Fact),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMember(name) => write!(f, "there is no member `{name}`: test it with has()"),
            Self::NoElement(at) => write!(f, "there is no element {at}"),
            Self::NoOverload(operator, left, right) => {
                write!(f, "`{operator}` is not defined for {left} and {right}")
            }
            Self::WrongType(wanted, found) => write!(f, "expected {wanted}, found {found}"),
            Self::Overflow(operator) => write!(f, "the result of `{operator}` is out of range"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::NoAddress => f.write_str("containsIP() was given a text that is no address"),
            Self::NoTime => f.write_str("timestamp() was given a text that is no time"),
            Self::NoDuration => f.write_str("duration() was given a text that is no duration"),
            Self::TooManySteps => write!(f, "exists() and all() looked at more than {STEPS_MAX} elements"),
            Self::TooLong => f.write_str("a string became too long"),
            Self::NotRecorded(fact) => write!(f, "`{}` is not recorded", fact.path()),
        }
    }
}

impl<'e> Value<'e> {
    pub(crate) fn str(text: &'e str) -> Self {
        Self::Str(Cow::Borrowed(text))
    }

    pub(crate) fn from_const(value: &'e Const) -> Self {
        match value {
            Const::Null => Self::Null,
            Const::Bool(value) => Self::Bool(*value),
            Const::Int(value) => Self::Int(*value),
            Const::Double(value) => Self::Double(*value),
            Const::Str(value) => Self::str(value),
            Const::Time(value) => Self::Time(*value),
            Const::Duration(value) => Self::Duration(*value),
            Const::List(items) => Self::Consts(items),
        }
    }

    /// A JSON value. An integer beyond 64 signed bits is a double.
    pub(crate) fn from_json(value: &'e Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(value) => Self::str(value),
            Json::Array(items) => Self::JsonList(items),
            Json::Object(members) => Self::JsonMap(members),
        }
    }

    /// What the value is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Str(_) => "string",
            Self::Time(_) => "timestamp",
            Self::Duration(_) => "duration",
            Self::Strings(_) | Self::Consts(_) | Self::JsonList(_) => "list",
            Self::Map(_) | Self::JsonMap(_) => "map",
        }
    }

    pub(crate) fn into_bool(self) -> Result<bool, Fault> {
        match self {
            Self::Bool(value) => Ok(value),
            other => Err(Reason::WrongType("bool", other.kind()).into()),
        }
    }

    pub(crate) fn into_str(self) -> Result<Cow<'e, str>, Fault> {
        match self {
            Self::Str(value) => Ok(value),
            other => Err(Reason::WrongType("string", other.kind()).into()),
        }
    }

    fn number(&self) -> Option<Number> {
        match self {
            Self::Int(value) => Some(Number::Int(*value)),
            Self::Double(value) => Some(Number::Double(*value)),
            _ => None,
        }
    }

    /// The elements of a list; nothing for another value.
    pub(crate) fn items(&self) -> Option<Vec<Value<'e>>> {
        Some(match self {
            Self::Strings(items) => items.iter().map(|item| Self::str(item)).collect(),
            Self::Consts(items) => items.iter().map(Self::from_const).collect(),
            Self::JsonList(items) => items.iter().map(Self::from_json).collect(),
            _ => return None,
        })
    }

    /// CEL's equality: numbers by value whatever their type, values of different types are different.
    pub(crate) fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Str(a), Value::Str(b)) => a == b,
            (Self::Time(a), Value::Time(b)) => a == b,
            (Self::Duration(a), Value::Duration(b)) => a == b,
            (Self::JsonMap(a), Value::JsonMap(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(name, value)| {
                        b.get(name)
                            .is_some_and(|other| Value::from_json(value).equals(&Value::from_json(other)))
                    })
            }
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.compare(b) == Some(Ordering::Equal),
                _ => match (self.items(), other.items()) {
                    (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.equals(b)),
                    _ => false,
                },
            },
        }
    }

    /// The order of two values; nothing when a number is none.
    pub(crate) fn order(&self, other: &Value<'_>, operator: &'static str) -> Result<Option<Ordering>, Fault> {
        match (self, other) {
            (Self::Str(a), Value::Str(b)) => Ok(Some(a.as_bytes().cmp(b.as_bytes()))),
            (Self::Time(a), Value::Time(b)) => Ok(Some(a.cmp(b))),
            (Self::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => Ok(a.compare(b)),
                _ => Err(Reason::NoOverload(operator, self.kind(), other.kind()).into()),
            },
        }
    }
}

impl Number {
    /// The exact order of two numbers, whatever their types; nothing when one is no number.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Double(b)) => compare_int_double(a, b),
            (Self::Double(a), Self::Int(b)) => compare_int_double(b, a).map(Ordering::reverse),
        }
    }
}

/// 2 to the power of 63: the first double that no 64-bit integer reaches.
const INT_END: f64 = 9_223_372_036_854_775_808.0;

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn compare_int_double(int: i64, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        None
    } else if double >= INT_END {
        Some(Ordering::Less)
    } else if double < -INT_END {
        Some(Ordering::Greater)
    } else {
        let whole = double.trunc();
        Some(int.cmp(&(whole as i64)).then_with(|| 0.0_f64.total_cmp(&(double - whole + 0.0))))
    }
}
