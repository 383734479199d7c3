//! A failure as a line of `weir decide` or an example of a rule gives it: flat, with the body as it came.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use weir_dialect::failure::{Evidence, FailureInput, Phase, Via};

use super::CredentialOwner;
use crate::facts::FactError;
use crate::facts::kind_of;
use crate::suggest::did_you_mean;

/// The members of such a line.
const MEMBERS: [&str; 8] =
    ["provider", "operation", "model", "status", "headers", "body", "transport", "credential_owner"];

/// A failure that was read from such a line.
pub(crate) struct FailureLine {
    /// What it says.
    pub(crate) evidence: Evidence,
    /// Whose credential was used.
    pub(crate) credential: CredentialOwner,
}

impl FailureLine {
    /// Whether a member of a failure's facts belongs to the line rather than being a root.
    pub(crate) fn has(member: &str) -> bool {
        MEMBERS.contains(&member)
    }

    /// Reads a line. Nothing where it has no member of one: the facts are given by root then.
    pub(crate) fn read(line: &Map<String, Json>, now: Option<Timestamp>) -> Result<Option<Self>, FactError> {
        if !line.keys().any(|member| Self::has(member)) {
            return Ok(None);
        }
        let headers = headers(line)?;
        let pairs: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = match line.get("body") {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let transport = word(line, "transport", Via::ALL, Via::as_str)?;
        let evidence = Evidence::read(&FailureInput {
            provider: text(line, "provider")?,
            operation: text(line, "operation")?,
            model: text(line, "model")?,
            status: status(line)?,
            headers: &pairs,
            body: body.as_bytes(),
            transport,
            phase: Phase::of(transport, !body.is_empty()),
            now,
            ..FailureInput::default()
        });
        let credential = word(line, "credential_owner", CredentialOwner::ALL, CredentialOwner::as_str)?;
        Ok(Some(Self { evidence, credential }))
    }
}

fn wrong(path: impl Into<String>, should: &str, value: &Json) -> FactError {
    let path = path.into();
    FactError { message: format!("`{path}` must be {should}, not {}", kind_of(value)), path }
}

fn text<'l>(line: &'l Map<String, Json>, name: &str) -> Result<&'l str, FactError> {
    match line.get(name) {
        None | Some(Json::Null) => Ok(""),
        Some(Json::String(text)) => Ok(text),
        Some(other) => Err(wrong(name, "a string", other)),
    }
}

fn status(line: &Map<String, Json>) -> Result<Option<u16>, FactError> {
    let Some(value) = line.get("status").filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_i64().ok_or_else(|| wrong("status", "an int", value))?;
    match u16::try_from(number).ok().filter(|status| *status < 1000) {
        Some(status) => Ok(Some(status).filter(|status| *status > 0)),
        None => Err(FactError {
            message: format!("`status` is {number}, which is no HTTP status"),
            path: "status".into(),
        }),
    }
}

fn headers(line: &Map<String, Json>) -> Result<BTreeMap<String, String>, FactError> {
    match line.get("headers") {
        None | Some(Json::Null) => Ok(BTreeMap::new()),
        Some(Json::Object(members)) => members
            .iter()
            .map(|(name, value)| match value {
                Json::String(value) => Ok((name.clone(), value.clone())),
                other => Err(wrong(format!("headers.{name}"), "a string", other)),
            })
            .collect(),
        Some(other) => Err(wrong("headers", "a map of strings", other)),
    }
}

/// One of some words, the default where there is none.
fn word<T: Copy + Default, const N: usize>(
    line: &Map<String, Json>,
    name: &str,
    all: [T; N],
    as_str: fn(T) -> &'static str,
) -> Result<T, FactError> {
    let text = text(line, name)?;
    if text.is_empty() {
        return Ok(T::default());
    }
    all.into_iter().find(|word| as_str(*word) == text).ok_or_else(|| {
        let words: Vec<&str> = all.into_iter().map(as_str).collect();
        let mut message = format!("`{name}` is `{text}`, but must be one of {}", words.join(", "));
        if let Some(meant) = did_you_mean(text, words) {
            message.push_str(&format!("; did you mean `{meant}`?"));
        }
        FactError { message, path: name.to_owned() }
    })
}
