//! Facts read from JSON: lines of `weir decide`, examples of rules, recorded decisions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use weir_core::Boundary;

use super::{Fact, FactType, Facts, boundaries_of, roots_on};
use crate::suggest::did_you_mean;

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
    /// `weir decide` takes it: `provider`, `operation`, `model`, `status`, `headers`, `body`, `credential_owner` side by
    /// side; roots that are given win over them.
    ///
    /// # Errors
    /// No object, an unknown fact, one that the boundary does not know, or a value of another type.
    pub fn from_json(boundary: Boundary, facts: &Json) -> Result<Self, FactError> {
        let Json::Object(roots) = facts else {
            return Err(FactError::new("", format!("facts must be an object, not {}", kind_of(facts))));
        };
        let mut read = Self { boundary, values: Vec::new() };
        if boundary == Boundary::Failure {
            read.read_failure_line(roots)?;
        }
        for (root, value) in roots {
            if boundary != Boundary::Failure || !FAILURE_LINE.contains(&root.as_str()) {
                read.read_root(root, value)?;
            }
        }
        Ok(read)
    }

    /// The boundary that these facts are of.
    #[must_use]
    pub fn boundary(&self) -> Boundary {
        self.boundary
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

    /// Sets a fact to a text, whatever else was given for it before.
    pub(crate) fn put_str(&mut self, fact: Fact, value: String) {
        self.values.push((fact, Owned::Str(value)));
    }
}

/// The members of a line of `weir decide --on failure` that are read here.
const FAILURE_LINE: [&str; 7] =
    ["provider", "operation", "model", "status", "headers", "body", "credential_owner"];

impl OwnedFacts {
    fn read_failure_line(&mut self, line: &Map<String, Json>) -> Result<(), FactError> {
        let simple = [
            ("provider", Fact::FailureProvider),
            ("operation", Fact::FailureOperation),
            ("model", Fact::FailureModel),
            ("headers", Fact::FailureHeaders),
            ("credential_owner", Fact::CredentialOwner),
        ];
        for (name, fact) in simple {
            if let Some(value) = line.get(name) {
                self.put_named(name, fact, value)?;
            }
        }
        match line.get("status") {
            None | Some(Json::Null) => {}
            Some(value) => {
                self.put_named("status", Fact::FailureStatus, value)?;
                self.put_named("status", Fact::FailureHttpStatus, value)?;
            }
        }
        if let Some(body) = line.get("body") {
            let text = match body {
                Json::String(text) => text.to_lowercase(),
                other => other.to_string().to_lowercase(),
            };
            self.put_str(Fact::FailureText, text);
        }
        Ok(())
    }

    fn put_named(&mut self, name: &str, fact: Fact, value: &Json) -> Result<(), FactError> {
        self.put(fact, value).map_err(|error| FactError {
            message: error.message.replacen(&fact.path(), name, 1),
            path: error.path.replacen(&fact.path(), name, 1),
        })
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
