//! Evaluation. Errors are values; `&&`, `||`, `exists` and `all` absorb them as CEL does.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::text::is_one_of;
use super::time::parse_duration;
use super::{
    ArithOp, CompareOp, Const, Expr, Fault, JOINED_BYTES_MAX, Number, Quantified, Reason, STEPS_MAX,
    TimePart, VARIABLES_MAX, Value,
};
use crate::facts::{Fact, FactType, Facts, Slot};

/// What is found out once and shared by all conditions of a decision.
#[derive(Default)]
pub(crate) struct Scratch {
    address: OnceCell<Option<IpAddr>>,
    steps: Cell<u32>,
}

/// What a condition is evaluated in.
#[derive(Clone)]
pub(crate) struct Env<'e> {
    pub(crate) facts: &'e Facts<'e>,
    now: Timestamp,
    scratch: &'e Scratch,
    variables: [Value<'e>; VARIABLES_MAX],
}

impl<'e> Env<'e> {
    pub(crate) fn new(facts: &'e Facts<'e>, at: Timestamp, scratch: &'e Scratch) -> Self {
        let now = facts.now().unwrap_or(at);
        Self { facts, now, scratch, variables: [Value::Null, Value::Null] }
    }

    /// The client's address; nothing when the fact is empty or no address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        *self.scratch.address.get_or_init(|| parse_address(self.facts.str(Fact::RequestIp)))
    }

    fn with_variable(&self, at: usize, value: Value<'e>) -> Self {
        let mut inner = self.clone();
        if let Some(variable) = inner.variables.get_mut(at) {
            *variable = value;
        }
        inner
    }

    fn step(&self) -> Result<(), Fault> {
        let steps = self.scratch.steps.get() + 1;
        self.scratch.steps.set(steps);
        if steps > STEPS_MAX { Err(Reason::TooManySteps.into()) } else { Ok(()) }
    }
}

pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

impl Expr {
    /// Evaluates a whole condition.
    pub(crate) fn holds(&self, env: &Env<'_>) -> Result<bool, Fault> {
        env.scratch.steps.set(0);
        self.test(env)
    }

    /// Evaluates an expression of any type by itself, for people who want to see its value.
    pub(crate) fn value<'e>(&'e self, env: &Env<'e>) -> Result<Value<'e>, Fault> {
        env.scratch.steps.set(0);
        self.eval(env)
    }

    /// Evaluates an expression that is boolean. What is frequent and needs no value of its own stays in this one small
    /// function.
    fn test(&self, env: &Env<'_>) -> Result<bool, Fault> {
        match self {
            Self::Text(test) => Ok(test.holds(env)),
            Self::Number(fact, op, literal) => Ok(op.admits(numeric(env.facts, *fact).compare(*literal))),
            Self::OneOf(of) => Ok(is_one_of(&of.0, &of.1, env)),
            Self::ListHas(fact, wanted) => Ok(env.facts.list(*fact).iter().any(|item| **item == **wanted)),
            Self::And(parts) => every(parts, env),
            Self::Or(parts) => any(parts, env),
            Self::Not(inner) => inner.test(env).map(|held| !held),
            Self::Ints(op, sides) => Ok(op.admits(Some(sides.0.int(env)?.cmp(&sides.1.int(env)?)))),
            Self::Fact(fact) if fact.ty() == FactType::Bool => Ok(env.facts.bool(*fact)),
            other => other.test_value(env),
        }
    }

    #[inline(never)]
    fn test_value(&self, env: &Env<'_>) -> Result<bool, Fault> {
        match self {
            Self::Compare(op, sides) => compare(*op, &sides.0.eval(env)?, &sides.1.eval(env)?),
            Self::Matches(of, pattern) => Ok(pattern.regex.is_match(&of.eval(env)?.into_str()?)),
            Self::Find(op, sides) => {
                let (text, other) = (sides.0.eval(env)?.into_str()?, sides.1.eval(env)?.into_str()?);
                Ok(op.holds(&text, &other))
            }
            Self::Within(network, of) => within(network, of, env),
            Self::HasName(fact, name) => {
                let name = name.eval(env)?.into_str()?;
                Ok(env.facts.map(*fact).contains(&lower(name)))
            }
            Self::HasMember(of, name) => has_member(&of.eval(env)?, name),
            Self::In(sides) => contains(&sides.1.eval(env)?, &sides.0.eval(env)?),
            Self::Quantified(quantified) => quantify(quantified, env),
            Self::Unrecorded(fact) => Err(Reason::NotRecorded(*fact).into()),
            other => other.eval(env)?.into_bool(),
        }
    }

    /// Evaluates an expression that is an int, without the detour over values of any type.
    fn int(&self, env: &Env<'_>) -> Result<i64, Fault> {
        match self {
            Self::Const(Const::Int(value)) => Ok(*value),
            Self::Fact(fact) => Ok(env.facts.int(*fact)),
            Self::Arith(op, sides) => op.ints(sides.0.int(env)?, sides.1.int(env)?),
            Self::Size(of) => match &**of {
                Self::Fact(fact) if fact.ty() == FactType::String => {
                    Ok(i64::try_from(env.facts.str(*fact).chars().count()).unwrap_or(i64::MAX))
                }
                other => other.size_value(env),
            },
            other => other.int_value(env),
        }
    }

    #[inline(never)]
    fn size_value(&self, env: &Env<'_>) -> Result<i64, Fault> {
        size(&self.eval(env)?)
    }

    #[inline(never)]
    fn int_value(&self, env: &Env<'_>) -> Result<i64, Fault> {
        match self.eval(env)? {
            Value::Int(value) => Ok(value),
            value => Err(Reason::WrongType("int", value.kind()).into()),
        }
    }

    #[inline(never)]
    fn eval<'e>(&'e self, env: &Env<'e>) -> Result<Value<'e>, Fault> {
        match self {
            Self::Const(value) => Ok(Value::from_const(value)),
            Self::Fact(fact) => Ok(read(env, *fact)),
            Self::Header(fact, name) => Ok(Value::str(env.facts.map(*fact).get(name).unwrap_or_default())),
            Self::Lookup(fact, name) => {
                let name = name.eval(env)?.into_str()?;
                Ok(Value::str(env.facts.map(*fact).get(&lower(name)).unwrap_or_default()))
            }
            Self::Var(at) => Ok(env.variables.get(*at).cloned().unwrap_or(Value::Null)),
            Self::Member(of, name) => member(&of.eval(env)?, name),
            Self::Index(sides) => index(&sides.0.eval(env)?, &sides.1.eval(env)?),
            Self::If(parts) => {
                if parts.0.test(env)? {
                    parts.1.eval(env)
                } else {
                    parts.2.eval(env)
                }
            }
            Self::Lower(of) => Ok(Value::Str(lower(of.eval(env)?.into_str()?))),
            Self::Size(of) => size(&of.eval(env)?).map(Value::Int),
            Self::Arith(op, sides) => op.apply(sides.0.eval(env)?, sides.1.eval(env)?),
            Self::Negate(of) => negate(of.eval(env)?),
            Self::ToTime(of) => match of.eval(env)? {
                time @ Value::Time(_) => Ok(time),
                other => other.into_str()?.parse().map(Value::Time).map_err(|_| Reason::NoTime.into()),
            },
            Self::ToDuration(of) => match of.eval(env)? {
                duration @ Value::Duration(_) => Ok(duration),
                other => parse_duration(&other.into_str()?)
                    .map(Value::Duration)
                    .ok_or_else(|| Reason::NoDuration.into()),
            },
            Self::TimePart(part, of) => time_part(*part, &of.0.eval(env)?, of.1.as_ref()),
            Self::Unrecorded(fact) => Err(Reason::NotRecorded(*fact).into()),
            boolean => boolean.test(env).map(Value::Bool),
        }
    }
}

fn every(parts: &[Expr], env: &Env<'_>) -> Result<bool, Fault> {
    let mut fault = None;
    for part in parts {
        match part.test(env) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(met) => fault = Some(Fault::of_two(fault, met)),
        }
    }
    fault.map_or(Ok(true), Err)
}

fn any(parts: &[Expr], env: &Env<'_>) -> Result<bool, Fault> {
    let mut fault = None;
    for part in parts {
        match part.test(env) {
            Ok(false) => {}
            Ok(true) => return Ok(true),
            Err(met) => fault = Some(Fault::of_two(fault, met)),
        }
    }
    fault.map_or(Ok(false), Err)
}

/// A numeric fact.
#[inline]
pub(crate) fn numeric(facts: &Facts<'_>, fact: Fact) -> Number {
    match facts.slot(fact) {
        Slot::Double(value) => Number::Double(value),
        Slot::Int(value) => Number::Int(value),
        _ => Number::Int(0),
    }
}

fn read<'e>(env: &Env<'e>, fact: Fact) -> Value<'e> {
    if fact == Fact::Now {
        return Value::Time(env.now);
    }
    match env.facts.slot(fact) {
        Slot::Bool(value) => Value::Bool(value),
        Slot::Int(value) => Value::Int(value),
        Slot::Double(value) => Value::Double(value),
        Slot::Str(value) => Value::str(value),
        Slot::Time(value) => Value::Time(value),
        Slot::List(items) => Value::Strings(items),
        Slot::Map(map) => Value::Map(map),
        Slot::Json(value) => Value::from_json(value),
    }
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { text }
}

impl CompareOp {
    /// Whether the operator holds for two values in this order; for what has no order only `!=` does.
    #[inline]
    pub(crate) fn admits(self, order: Option<Ordering>) -> bool {
        match (self, order) {
            (Self::NotEqual, None) => true,
            (_, None) => false,
            (Self::Equal, Some(order)) => order.is_eq(),
            (Self::NotEqual, Some(order)) => order.is_ne(),
            (Self::Less, Some(order)) => order.is_lt(),
            (Self::AtMost, Some(order)) => order.is_le(),
            (Self::Greater, Some(order)) => order.is_gt(),
            (Self::AtLeast, Some(order)) => order.is_ge(),
        }
    }
}

fn compare(op: CompareOp, left: &Value<'_>, right: &Value<'_>) -> Result<bool, Fault> {
    match op {
        CompareOp::Equal => Ok(left.equals(right)),
        CompareOp::NotEqual => Ok(!left.equals(right)),
        ordered => Ok(ordered.admits(left.order(right, op.as_str())?)),
    }
}

/// An empty text is an address that is not known, and in no network.
fn within(network: &IpNet, of: &Expr, env: &Env<'_>) -> Result<bool, Fault> {
    if let Expr::Fact(Fact::RequestIp) = of {
        return match env.address() {
            Some(address) => Ok(network.contains(&address)),
            None if env.facts.str(Fact::RequestIp).is_empty() => Ok(false),
            None => Err(Reason::NoAddress.into()),
        };
    }
    let text = of.eval(env)?.into_str()?;
    match parse_address(&text) {
        Some(address) => Ok(network.contains(&address)),
        None if text.is_empty() => Ok(false),
        None => Err(Reason::NoAddress.into()),
    }
}

fn member<'e>(of: &Value<'e>, name: &Arc<str>) -> Result<Value<'e>, Fault> {
    match of {
        Value::JsonMap(members) => members
            .get(&**name)
            .map(Value::from_json)
            .ok_or_else(|| Reason::NoMember(Arc::clone(name)).into()),
        // An unset dynamic fact has no members.
        Value::Null => Err(Reason::NoMember(Arc::clone(name)).into()),
        other => Err(Reason::WrongType("map", other.kind()).into()),
    }
}

fn has_member(of: &Value<'_>, name: &str) -> Result<bool, Fault> {
    match of {
        Value::JsonMap(members) => Ok(members.contains_key(name)),
        Value::Null => Ok(false),
        other => Err(Reason::WrongType("map", other.kind()).into()),
    }
}

fn index<'e>(of: &Value<'e>, at: &Value<'_>) -> Result<Value<'e>, Fault> {
    fn element<T>(items: &[T], at: i64) -> Result<&T, Fault> {
        usize::try_from(at).ok().and_then(|at| items.get(at)).ok_or_else(|| Reason::NoElement(at).into())
    }
    match (of, at) {
        (Value::Strings(items), Value::Int(at)) => element(items, *at).map(|item| Value::str(item)),
        (Value::Consts(items), Value::Int(at)) => element(items, *at).map(Value::from_const),
        (Value::JsonList(items), Value::Int(at)) => element(items, *at).map(Value::from_json),
        (Value::JsonMap(members), Value::Str(name)) => members
            .get(&**name)
            .map(Value::from_json)
            .ok_or_else(|| Reason::NoMember(name.as_ref().into()).into()),
        (Value::Null, Value::Str(name)) => Err(Reason::NoMember(name.as_ref().into()).into()),
        _ => Err(Reason::NoOverload("[]", of.kind(), at.kind()).into()),
    }
}

fn contains(of: &Value<'_>, wanted: &Value<'_>) -> Result<bool, Fault> {
    match of {
        Value::Strings(items) => {
            Ok(matches!(wanted, Value::Str(wanted) if items.iter().any(|item| *item == **wanted)))
        }
        Value::Consts(items) => Ok(items.iter().any(|item| Value::from_const(item).equals(wanted))),
        Value::JsonList(items) => Ok(items.iter().any(|item| Value::from_json(item).equals(wanted))),
        Value::JsonMap(members) => {
            Ok(matches!(wanted, Value::Str(wanted) if members.contains_key(wanted.as_ref())))
        }
        other => Err(Reason::NoOverload("in", wanted.kind(), other.kind()).into()),
    }
}

fn size(of: &Value<'_>) -> Result<i64, Fault> {
    let count = match of {
        Value::Str(text) => text.chars().count(),
        Value::Strings(items) => items.len(),
        Value::Consts(items) => items.len(),
        Value::JsonList(items) => items.len(),
        Value::JsonMap(members) => members.len(),
        Value::Map(map) => {
            let mut count = 0;
            map.for_each(&mut |_, _| count += 1);
            count
        }
        other => return Err(Reason::WrongType("string, list or map", other.kind()).into()),
    };
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

fn negate<'e>(of: Value<'_>) -> Result<Value<'e>, Fault> {
    match of {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(|| Reason::Overflow("-").into()),
        Value::Double(value) => Ok(Value::Double(-value)),
        Value::Duration(value) => {
            value.checked_neg().map(Value::Duration).ok_or_else(|| Reason::Overflow("-").into())
        }
        other => Err(Reason::WrongType("number", other.kind()).into()),
    }
}

fn time_part<'e>(
    part: TimePart,
    of: &Value<'_>,
    zone: Option<&jiff::tz::TimeZone>,
) -> Result<Value<'e>, Fault> {
    match of {
        Value::Time(time) => Ok(Value::Int(part.of_time(*time, zone))),
        Value::Duration(duration) if part.of_durations() => Ok(Value::Int(part.of_duration(*duration))),
        other => Err(Reason::WrongType("timestamp", other.kind()).into()),
    }
}

impl ArithOp {
    fn apply<'e>(self, left: Value<'e>, right: Value<'e>) -> Result<Value<'e>, Fault> {
        let overflow = || -> Fault { Reason::Overflow(self.as_str()).into() };
        match (left, right) {
            (Value::Int(a), Value::Int(b)) => self.ints(a, b).map(Value::Int),
            (Value::Double(a), Value::Double(b)) => self.doubles(a, b).map(Value::Double),
            (Value::Time(a), Value::Duration(b)) if self == Self::Add => {
                a.checked_add(b).map(Value::Time).map_err(|_| overflow())
            }
            (Value::Duration(a), Value::Time(b)) if self == Self::Add => {
                b.checked_add(a).map(Value::Time).map_err(|_| overflow())
            }
            (Value::Time(a), Value::Duration(b)) if self == Self::Subtract => {
                a.checked_sub(b).map(Value::Time).map_err(|_| overflow())
            }
            (Value::Time(a), Value::Time(b)) if self == Self::Subtract => {
                Ok(Value::Duration(a.duration_since(b)))
            }
            (Value::Duration(a), Value::Duration(b)) if self == Self::Add => {
                a.checked_add(b).map(Value::Duration).ok_or_else(overflow)
            }
            (Value::Duration(a), Value::Duration(b)) if self == Self::Subtract => {
                a.checked_sub(b).map(Value::Duration).ok_or_else(overflow)
            }
            (Value::Str(a), Value::Str(b)) if self == Self::Add => {
                if a.len() + b.len() > JOINED_BYTES_MAX {
                    return Err(Reason::TooLong.into());
                }
                Ok(Value::Str(a + b))
            }
            (a, b) => Err(Reason::NoOverload(self.as_str(), a.kind(), b.kind()).into()),
        }
    }

    fn ints(self, a: i64, b: i64) -> Result<i64, Fault> {
        if b == 0 && matches!(self, Self::Divide | Self::Remainder) {
            return Err(Reason::DivisionByZero.into());
        }
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => a.checked_div(b),
            Self::Remainder => a.checked_rem(b),
        }
        .ok_or_else(|| Reason::Overflow(self.as_str()).into())
    }

    fn doubles(self, a: f64, b: f64) -> Result<f64, Fault> {
        match self {
            Self::Add => Ok(a + b),
            Self::Subtract => Ok(a - b),
            Self::Multiply => Ok(a * b),
            Self::Divide => Ok(a / b),
            Self::Remainder => Err(Reason::NoOverload("%", "double", "double").into()),
        }
    }
}

/// What `exists` or `all` has found so far.
struct Quantifier<'q> {
    of: &'q Quantified,
    fault: Option<Fault>,
    decided: bool,
}

impl<'q> Quantifier<'q> {
    fn see<'e>(&mut self, env: &Env<'e>, value: Value<'e>)
    where
        'q: 'e,
    {
        if self.decided {
            return;
        }
        let held = env.step().and_then(|()| self.of.body.test(&env.with_variable(self.of.variable, value)));
        match held {
            Ok(held) => self.decided = held != self.of.all,
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
        }
    }

    fn result(self) -> Result<bool, Fault> {
        match (self.decided, self.fault) {
            (true, _) => Ok(!self.of.all),
            (false, Some(fault)) => Err(fault),
            (false, None) => Ok(self.of.all),
        }
    }
}

fn quantify(of: &Quantified, env: &Env<'_>) -> Result<bool, Fault> {
    // Beyond the limit nothing is looked at any more, so that nesting does not multiply what is left.
    env.step()?;
    let range = of.range.eval(env)?;
    let mut quantifier = Quantifier { of, fault: None, decided: false };
    match range {
        Value::Strings(items) => items.iter().for_each(|item| quantifier.see(env, Value::str(item))),
        Value::Consts(items) => items.iter().for_each(|item| quantifier.see(env, Value::from_const(item))),
        Value::JsonList(items) => items.iter().for_each(|item| quantifier.see(env, Value::from_json(item))),
        Value::JsonMap(members) => members.keys().for_each(|name| quantifier.see(env, Value::str(name))),
        Value::Map(map) => map.for_each(&mut |name, _| quantifier.see(env, Value::str(name))),
        other => return Err(Reason::WrongType("list or map", other.kind()).into()),
    }
    quantifier.result()
}
