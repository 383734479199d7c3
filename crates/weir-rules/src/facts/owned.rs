//! Facts read from JSON: lines of `weir decide`, examples of rules, recorded decisions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use weir_core::Boundary;

use super::{Fact, FactType, Facts, boundaries_of, roots_on};
use crate::failure::{self, FailureLine};
use crate::suggest::did_you_mean;

/// What is known besides the facts of a failure: given facts win over it.
#[derive(Clone, Copy)]
pub struct World<'w> {
    /// The time, for hints that name a point in time.
    pub now: Option<Timestamp>,
    /// Whether the provider with a name is one's own (`house: true`).
    pub is_house: &'w dyn Fn(&str) -> bool,
}

impl Default for World<'_> {
    fn default() -> Self {
        Self { now: None, is_house: &|_| false }
    }
}

/// A fact that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FactError {
    /// What is wrong, for people.
    pub message: String,
    /// Where, such as `request.model`.
    pub path: String,
}

impl FactError {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), path: path.into() }
    }
}

#[derive(Clone, Debug)]
enum Owned {
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(String),
    Time(Timestamp),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
    Json(Json),
}

/// Facts that own what they hold.
///
/// ```
/// use weir_core::Boundary;
/// use weir_rules::{Fact, OwnedFacts};
///
/// let line = serde_json::json!({"request": {"model": "sim/echo"}, "identity": {"tags": ["a"]}});
/// let owned = OwnedFacts::from_json(Boundary::Request, &line).unwrap();
/// assert_eq!(owned.as_facts().str(Fact::RequestModel), "sim/echo");
///
/// let error = OwnedFacts::from_json(Boundary::Request, &serde_json::json!({"request": {"modell": "x"}})).unwrap_err();
/// assert_eq!(error.path, "request.modell");
/// assert_eq!(error.message, "unknown fact `request.modell`; did you mean `request.model`?");
/// ```
#[derive(Clone, Debug)]
pub struct OwnedFacts {
    boundary: Boundary,
    values: Vec<(Fact, Owned)>,
}

impl OwnedFacts {
    /// Reads facts that are nested by root. Facts left out are empty or zero. A failure may also be given as
    /// `weir decide` takes it: `provider`, `operation`, `model`, `status`, `headers`, `body`, `transport`,
    /// `credential_owner` side by side; roots that are given win over them.
    ///
    /// # Errors
    /// No object, an unknown fact, one that the boundary does not know, or a value of another type.
    pub fn from_json(boundary: Boundary, facts: &Json) -> Result<Self, FactError> {
        Self::from_json_in(boundary, facts, &World::default())
    }

    /// Reads facts as [`Self::from_json`] does, with what is known besides them.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_json_in(boundary: Boundary, facts: &Json, world: &World<'_>) -> Result<Self, FactError> {
        let Json::Object(roots) = facts else {
            return Err(FactError::new("", format!("facts must be an object, not {}", kind_of(facts))));
        };
        let mut read = Self { boundary, values: Vec::new() };
        if boundary == Boundary::Failure {
            read.read_failure_line(roots, world)?;
        }
        for (root, value) in roots {
            if boundary != Boundary::Failure || !FailureLine::has(root) {
                read.read_root(root, value)?;
            }
        }
        Ok(read)
    }

    /// The facts, to decide on.
    #[must_use]
    pub fn as_facts(&self) -> Facts<'_> {
        let mut facts = Facts::new(self.boundary);
        for (fact, value) in &self.values {
            match value {
                Owned::Bool(value) => facts.set_bool(*fact, *value),
                Owned::Int(value) => facts.set_int(*fact, *value),
                Owned::Double(value) => facts.set_double(*fact, *value),
                Owned::Str(value) => facts.set_str(*fact, value),
                Owned::Time(value) => facts.set_timestamp(*fact, *value),
                Owned::List(value) => facts.set_list(*fact, value),
                Owned::Map(value) => facts.set_map(*fact, value),
                Owned::Json(value) => facts.set_dynamic(*fact, value),
            }
        }
        facts
    }

    fn read_root(&mut self, root: &str, value: &Json) -> Result<(), FactError> {
        let boundaries = boundaries_of(root);
        if !boundaries.contains(&self.boundary) {
            return Err(unknown_root(root, !boundaries.is_empty(), self.boundary));
        }
        if let Some(fact) = Fact::find(root, "") {
            return self.put(fact, value);
        }
        let Json::Object(fields) = value else {
            return Err(FactError::new(root, format!("`{root}` must be an object, not {}", kind_of(value))));
        };
        for (name, value) in fields {
            let fact = Fact::find(root, name).ok_or_else(|| unknown_field(root, name))?;
            self.put(fact, value)?;
        }
        Ok(())
    }

    fn put(&mut self, fact: Fact, value: &Json) -> Result<(), FactError> {
        let value = read_value(fact, value)?;
        self.values.push((fact, value));
        Ok(())
    }
}

impl OwnedFacts {
    /// Reads the members of a failure's line, side by side.
    fn read_failure_line(&mut self, line: &Map<String, Json>, world: &World<'_>) -> Result<(), FactError> {
        let given = line.get(Fact::Now.root()).and_then(Json::as_str).and_then(|now| now.parse().ok());
        let Some(FailureLine { evidence, credential }) = FailureLine::read(line, given.or(world.now))? else {
            return Ok(());
        };
        let house = (world.is_house)(&evidence.provider)
            || evidence.named_provider.as_deref().is_some_and(world.is_house);
        for (fact, text) in failure::strings(&evidence) {
            self.values.push((fact, Owned::Str(text.to_owned())));
        }
        self.values.extend([
            (Fact::CredentialOwner, Owned::Str(credential.as_str().to_owned())),
            (Fact::FailureStatus, Owned::Int(i64::from(evidence.status))),
            (Fact::FailureHttpStatus, Owned::Int(i64::from(evidence.http_status))),
            (Fact::FailureRetryAfterS, Owned::Double(evidence.retry_after_s.unwrap_or(0.0))),
            (Fact::FailureHouse, Owned::Bool(house)),
            (Fact::FailureHeaders, Owned::Map(evidence.headers)),
        ]);
        Ok(())
    }
}

fn read_value(fact: Fact, value: &Json) -> Result<Owned, FactError> {
    let wrong = || wrong_type(fact, value);
    Ok(match fact.ty() {
        FactType::Bool => Owned::Bool(value.as_bool().ok_or_else(wrong)?),
        FactType::Int => Owned::Int(value.as_i64().ok_or_else(wrong)?),
        FactType::Double => Owned::Double(value.as_f64().ok_or_else(wrong)?),
        FactType::String => Owned::Str(value.as_str().ok_or_else(wrong)?.to_owned()),
        FactType::Timestamp => Owned::Time(read_time(fact, value.as_str().ok_or_else(wrong)?)?),
        FactType::StringList => Owned::List(read_list(fact, value.as_array().ok_or_else(wrong)?)?),
        FactType::StringMap => Owned::Map(read_map(fact, value.as_object().ok_or_else(wrong)?)?),
        FactType::Dynamic => Owned::Json(value.clone()),
    })
}

fn read_time(fact: Fact, text: &str) -> Result<Timestamp, FactError> {
    text.parse().map_err(|_| {
        FactError::new(
            fact.path(),
            format!("`{}` must be a time such as 2026-11-20T10:00:00Z, not `{text}`", fact.path()),
        )
    })
}

fn read_list(fact: Fact, items: &[Json]) -> Result<Vec<String>, FactError> {
    let read = |(at, item): (usize, &Json)| {
        item.as_str().map(str::to_owned).ok_or_else(|| {
            let path = format!("{}[{at}]", fact.path());
            FactError::new(&path, format!("`{path}` must be a string, not {}", kind_of(item)))
        })
    };
    items.iter().enumerate().map(read).collect()
}

/// Names are looked up in lower case, so they are kept so.
fn read_map(fact: Fact, members: &Map<String, Json>) -> Result<BTreeMap<String, String>, FactError> {
    let read = |(name, value): (&String, &Json)| {
        let value = value.as_str().ok_or_else(|| {
            let path = format!("{}.{name}", fact.path());
            FactError::new(&path, format!("`{path}` must be a string, not {}", kind_of(value)))
        })?;
        Ok((name.to_ascii_lowercase(), value.to_owned()))
    };
    members.iter().map(read).collect()
}

fn wrong_type(fact: Fact, value: &Json) -> FactError {
    let path = fact.path();
    let message = format!("`{path}` must be {}, not {}", with_article(fact.ty()), kind_of(value));
    FactError { message, path }
}

fn with_article(ty: FactType) -> String {
    let article = if ty == FactType::Int { "an" } else { "a" };
    format!("{article} {}", ty.as_str())
}

fn unknown_root(root: &str, known_elsewhere: bool, boundary: Boundary) -> FactError {
    let on = boundary.as_str();
    if known_elsewhere {
        let message = format!("rules on `{on}` cannot read `{root}`");
        return FactError::new(root, message);
    }
    let mut message = format!("unknown fact `{root}`");
    if let Some(name) = did_you_mean(root, roots_on(boundary)) {
        message.push_str(&format!("; did you mean `{name}`?"));
    }
    FactError::new(root, message)
}

fn unknown_field(root: &str, name: &str) -> FactError {
    let path = format!("{root}.{name}");
    let mut message = format!("unknown fact `{path}`");
    let fields = Fact::ALL.iter().filter(|f| f.root() == root).map(|f| f.name());
    if let Some(known) = did_you_mean(name, fields) {
        message.push_str(&format!("; did you mean `{root}.{known}`?"));
    }
    FactError::new(path, message)
}

/// What a JSON value is, for messages.
pub(crate) fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(n) if n.is_f64() => "a double",
        Json::Number(_) => "an int",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
