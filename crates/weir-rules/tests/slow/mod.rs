//! A second implementation of the decision: slow, obvious, and without anything in common with the first but the parser.
//!
//! It walks the syntax tree with values of any type, looks at every rule in turn, and knows neither types nor an index.

use std::collections::BTreeMap;

use cel::Program;
use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use weir_core::Action;
use weir_rules::{Fact, FactType, Rule, Then, prompt_window};

#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Time(Timestamp),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    /// A map whose absent members are empty and whose names are in lower case.
    Headers(BTreeMap<String, Value>),
    Network(ipnet::IpNet),
}

type Failure = &'static str;
type Vars = BTreeMap<String, Value>;

fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap()), Value::Int)
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(members) => Value::Map(members.iter().map(|(k, v)| (k.clone(), from_json(v))).collect()),
    }
}

/// All facts as variables, those left out empty.
pub fn variables(facts: &Json, now: Timestamp) -> Vars {
    let mut roots: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for fact in Fact::ALL {
        let given = facts.get(fact.root()).and_then(|root| root.get(fact.name()));
        let value = match (fact.ty(), given) {
            (FactType::Bool, given) => Value::Bool(given.and_then(Json::as_bool).unwrap_or(false)),
            (FactType::Int, given) => Value::Int(given.and_then(Json::as_i64).unwrap_or(0)),
            (FactType::Double, given) => Value::Double(given.and_then(Json::as_f64).unwrap_or(0.0)),
            (FactType::String, given) => {
                let text = given.and_then(Json::as_str).unwrap_or("");
                let prompt = matches!(fact, Fact::RequestUserPrompt | Fact::RequestSystemPrompt);
                Value::Text(if prompt { prompt_window(text).into_owned() } else { text.to_owned() })
            }
            (FactType::Timestamp, _) => continue,
            (FactType::StringList, given) => from_json(given.unwrap_or(&json!([]))),
            (FactType::StringMap, given) => {
                let empty = serde_json::Map::new();
                let members = given.and_then(Json::as_object).unwrap_or(&empty);
                Value::Headers(members.iter().map(|(k, v)| (k.to_ascii_lowercase(), from_json(v))).collect())
            }
            (FactType::Dynamic, given) => from_json(given.unwrap_or(&json!({}))),
        };
        roots.entry(fact.root().to_owned()).or_default().insert(fact.name().to_owned(), value);
    }
    let mut vars: Vars = roots.into_iter().map(|(root, fields)| (root, Value::Map(fields))).collect();
    vars.insert("now".to_owned(), Value::Time(now));
    vars
}

/// The syntax trees of the rules' conditions.
pub fn parse(rules: &[Rule]) -> Vec<Program> {
    rules.iter().map(|rule| Program::compile(&rule.when).unwrap()).collect()
}

fn holds(program: &Program, vars: &Vars) -> Result<bool, Failure> {
    truth(eval(program.expression(), vars)?)
}

fn truth(value: Value) -> Result<bool, Failure> {
    if let Value::Bool(value) = value { Ok(value) } else { Err("no bool") }
}

fn text(value: Value) -> Result<String, Failure> {
    if let Value::Text(value) = value { Ok(value) } else { Err("no text") }
}

fn eval(node: &IdedExpr, vars: &Vars) -> Result<Value, Failure> {
    match &node.expr {
        Expr::Literal(LiteralValue::Boolean(value)) => Ok(Value::Bool(*value.inner())),
        Expr::Literal(LiteralValue::Int(value)) => Ok(Value::Int(*value.inner())),
        Expr::Literal(LiteralValue::Double(value)) => Ok(Value::Double(*value.inner())),
        Expr::Literal(LiteralValue::String(value)) => Ok(Value::Text(value.inner().to_owned())),
        Expr::Literal(LiteralValue::Null) => Ok(Value::Null),
        Expr::Ident(name) => vars.get(name).cloned().ok_or("unknown name"),
        Expr::Select(select) if select.test => match eval(&select.operand, vars)? {
            Value::Map(members) => Ok(Value::Bool(members.contains_key(&select.field))),
            Value::Headers(members) => {
                Ok(Value::Bool(members.contains_key(&select.field.to_ascii_lowercase())))
            }
            _ => Err("no map"),
        },
        Expr::Select(select) => member(eval(&select.operand, vars)?, &select.field),
        Expr::List(list) => {
            Ok(Value::List(list.elements.iter().map(|e| eval(e, vars)).collect::<Result<_, _>>()?))
        }
        Expr::Comprehension(of) => comprehension(of, vars),
        Expr::Call(call) => {
            let target = call.target.as_deref();
            function(&call.func_name, target, &call.args, vars)
        }
        _ => Err("unsupported"),
    }
}

fn member(of: Value, name: &str) -> Result<Value, Failure> {
    match of {
        Value::Map(members) => members.get(name).cloned().ok_or("no member"),
        Value::Headers(members) => {
            Ok(members.get(&name.to_ascii_lowercase()).cloned().unwrap_or(Value::Text(String::new())))
        }
        _ => Err("no map"),
    }
}

fn comprehension(of: &ComprehensionExpr, vars: &Vars) -> Result<Value, Failure> {
    let items: Vec<Value> = match eval(&of.iter_range, vars)? {
        Value::List(items) => items,
        Value::Map(members) | Value::Headers(members) => members.into_keys().map(Value::Text).collect(),
        _ => return Err("no list"),
    };
    let exists = matches!(&of.accu_init.expr, Expr::Literal(LiteralValue::Boolean(value)) if !*value.inner());
    let Expr::Call(step) = &of.loop_step.expr else { return Err("unsupported") };
    let mut failure = None;
    for item in items {
        let mut inner = vars.clone();
        inner.insert(of.iter_var.clone(), item);
        match eval(&step.args[1], &inner).and_then(truth) {
            Ok(held) if held == exists => return Ok(Value::Bool(exists)),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(Value::Bool(!exists)), Err)
}

fn logic(args: &[IdedExpr], vars: &Vars, decisive: bool) -> Result<Value, Failure> {
    let sides: Vec<_> = args.iter().map(|arg| eval(arg, vars).and_then(truth)).collect();
    if sides.contains(&Ok(decisive)) {
        return Ok(Value::Bool(decisive));
    }
    for side in sides {
        side?;
    }
    Ok(Value::Bool(!decisive))
}

fn function(name: &str, target: Option<&IdedExpr>, args: &[IdedExpr], vars: &Vars) -> Result<Value, Failure> {
    match name {
        "_&&_" => return logic(args, vars, false),
        "_||_" => return logic(args, vars, true),
        "_?_:_" => {
            let branch = if truth(eval(&args[0], vars)?)? { 1 } else { 2 };
            return eval(&args[branch], vars);
        }
        _ => {}
    }
    let values: Result<Vec<Value>, Failure> =
        target.into_iter().chain(args).map(|arg| eval(arg, vars)).collect();
    let mut values = values?.into_iter();
    let (first, second) = (values.next().ok_or("no argument")?, values.next());
    match (name, second) {
        ("!_", None) => Ok(Value::Bool(!truth(first)?)),
        ("-_", None) => match first {
            Value::Int(value) => value.checked_neg().map(Value::Int).ok_or("overflow"),
            Value::Double(value) => Ok(Value::Double(-value)),
            _ => Err("no number"),
        },
        ("size", None) => match first {
            Value::Text(text) => Ok(Value::Int(text.chars().count() as i64)),
            Value::List(items) => Ok(Value::Int(items.len() as i64)),
            Value::Map(members) | Value::Headers(members) => Ok(Value::Int(members.len() as i64)),
            _ => Err("no size"),
        },
        ("lowerAscii", None) => Ok(Value::Text(text(first)?.to_ascii_lowercase())),
        ("cidr", None) => Ok(Value::Network(text(first)?.parse().map_err(|_| "no network")?)),
        ("timestamp", None) => Ok(Value::Time(text(first)?.parse().map_err(|_| "no time")?)),
        ("getHours", None) => match first {
            Value::Time(time) => Ok(Value::Int(time.to_zoned(jiff::tz::TimeZone::UTC).hour().into())),
            _ => Err("no time"),
        },
        (_, Some(second)) => binary(name, first, second),
        _ => Err("unsupported function"),
    }
}

fn binary(name: &str, a: Value, b: Value) -> Result<Value, Failure> {
    Ok(match name {
        "_==_" => Value::Bool(same(&a, &b)),
        "_!=_" => Value::Bool(!same(&a, &b)),
        "_<_" => Value::Bool(order(&a, &b)?.is_some_and(|o| o.is_lt())),
        "_<=_" => Value::Bool(order(&a, &b)?.is_some_and(|o| o.is_le())),
        "_>_" => Value::Bool(order(&a, &b)?.is_some_and(|o| o.is_gt())),
        "_>=_" => Value::Bool(order(&a, &b)?.is_some_and(|o| o.is_ge())),
        "@in" => match (a, b) {
            (a, Value::List(items)) => Value::Bool(items.iter().any(|item| same(item, &a))),
            (Value::Text(name), Value::Map(members)) => Value::Bool(members.contains_key(&name)),
            (Value::Text(name), Value::Headers(members)) => {
                Value::Bool(members.contains_key(&name.to_ascii_lowercase()))
            }
            _ => return Err("no list"),
        },
        "contains" => Value::Bool(text(a)?.contains(&text(b)?)),
        "startsWith" => Value::Bool(text(a)?.starts_with(&text(b)?)),
        "endsWith" => Value::Bool(text(a)?.ends_with(&text(b)?)),
        "matches" => Value::Bool(regex::Regex::new(&text(b)?).unwrap().is_match(&text(a)?)),
        "containsIP" => {
            let (Value::Network(network), address) = (a, text(b)?) else { return Err("no network") };
            match address.parse::<std::net::IpAddr>() {
                Ok(address) => Value::Bool(network.contains(&address.to_canonical())),
                Err(_) if address.is_empty() => Value::Bool(false),
                Err(_) => return Err("no address"),
            }
        }
        "_[_]" => match (a, b) {
            (Value::List(items), Value::Int(at)) => {
                usize::try_from(at).ok().and_then(|at| items.get(at).cloned()).ok_or("no element")?
            }
            (map, Value::Text(name)) => member(map, &name)?,
            _ => return Err("no element"),
        },
        "_+_" | "_-_" | "_*_" | "_/_" | "_%_" => arithmetic(name, a, b)?,
        _ => return Err("unsupported function"),
    })
}

fn arithmetic(name: &str, a: Value, b: Value) -> Result<Value, Failure> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => match name {
            "_+_" => a.checked_add(b),
            "_-_" => a.checked_sub(b),
            "_*_" => a.checked_mul(b),
            "_/_" => a.checked_div(b),
            _ => a.checked_rem(b),
        }
        .map(Value::Int)
        .ok_or("no result"),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(match name {
            "_+_" => a + b,
            "_-_" => a - b,
            "_*_" => a * b,
            "_/_" => a / b,
            _ => return Err("no remainder of doubles"),
        })),
        (Value::Text(a), Value::Text(b)) if name == "_+_" => Ok(Value::Text(a + &b)),
        _ => Err("no operator"),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
        }
        _ => matches!(order(a, b), Ok(Some(std::cmp::Ordering::Equal))),
    }
}

/// Ints and doubles are compared as doubles: the numbers of these tests are small enough.
fn order(a: &Value, b: &Value) -> Result<Option<std::cmp::Ordering>, Failure> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Int(a), Value::Double(b)) => Ok((*a as f64).partial_cmp(b)),
        (Value::Double(a), Value::Int(b)) => Ok(a.partial_cmp(&(*b as f64))),
        (Value::Double(a), Value::Double(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Time(a), Value::Time(b)) => Ok(Some(a.cmp(b))),
        _ => Err("no order"),
    }
}

/// What the decision must be: outcome, deciding rule, matched, errored, score, the rules whose limits count.
#[derive(Debug, PartialEq)]
pub struct Expected {
    pub outcome: String,
    pub rule: Option<String>,
    pub matched: Vec<String>,
    pub errored: Vec<String>,
    pub sus_score: i64,
    pub limits: Vec<String>,
}

/// Decides by looking at one rule after another, as design section 1 says it.
pub fn decide(rules: &[Rule], programs: &[Program], facts: &Json, subject: &str, at: Timestamp) -> Expected {
    let vars = variables(facts, at);
    let (mut matched, mut errored) = (Vec::new(), Vec::new());
    for (rule, program) in rules.iter().zip(programs) {
        let off = rule.mode == weir_core::Mode::Off || rule.expires.is_some_and(|expires| expires <= at);
        if off || share(&rule.id, subject) >= u64::from(rule.rollout) {
            continue;
        }
        match holds(program, &vars) {
            Ok(true) => matched.push(rule),
            Ok(false) => {}
            Err(_) => errored.push(rule.id.to_string()),
        }
    }
    let enforced: Vec<&&Rule> = matched.iter().filter(|r| r.mode == weir_core::Mode::Enforce).collect();
    let skip = enforced.iter().find(|r| r.then == Then::Skip);
    let mut decided: Option<(Action, &Rule)> = None;
    for action in Action::ALL {
        if let Some(rule) = enforced.iter().find(|r| r.then == Then::Action(action)) {
            decided = Some((action, rule));
        }
    }
    let (outcome, rule) = match (skip, decided) {
        (Some(rule), _) => (Action::Nothing, Some(rule.id.to_string())),
        (None, Some((action, rule))) => (action, Some(rule.id.to_string())),
        (None, None) => (Action::Nothing, None),
    };
    let limited = skip.is_none() && outcome != Action::Block;
    let limits = enforced.iter().filter(|r| limited && matches!(r.then, Then::Limit(_)));
    Expected {
        outcome: outcome.as_str().to_owned(),
        rule,
        matched: matched.iter().map(|r| r.id.to_string()).collect(),
        errored,
        sus_score: enforced.iter().map(|r| r.score).sum(),
        limits: limits.map(|r| r.id.to_string()).collect(),
    }
}

fn share(id: &str, subject: &str) -> u64 {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(format!("{id}|{subject}"));
    u64::from_be_bytes(digest[..8].try_into().unwrap()) % 100
}
