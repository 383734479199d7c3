//! What was decided and what was used.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use serde_json::Value;
use weir_core::record::Record;
use weir_core::{Action, Boundary, DecisionId};
use weir_store::database::{DecisionFilter, UsageFilter};
use weir_store::{ErrorKind, StoreError};

use crate::console::{Console, Shared};
use crate::extract::Segment;
use crate::identities::{KEY_FORM, identity_key};
use crate::problem::{Fault, Problem};
use crate::query::{Paging, PagingParameters, Parameters, one_of};

/// Recorded decisions, newest first.
#[utoipa::path(get, path = "/api/decisions", operation_id = "listDecisions", tag = "decisions",
    params(
        ("boundary" = Option<String>, Query, description = "request, failure or tool"),
        ("outcome" = Option<String>, Query, description = "What was enforced, in the boundary's own word: `rate-limit` also where a rule's limit refused what passed otherwise"),
        ("subject" = Option<String>, Query, description = "The identity's key"),
        ("rule" = Option<String>, Query, description = "The rule that decided, or whose limit refused"),
        PagingParameters,
    ),
    responses(
        (status = 200, description = "`{items, next}`, newest first. With `searched_to`, a time, the page is not full because much was looked at: `next` leads on", body = Object),
        (status = 400, description = "A parameter is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn list(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &[&FILTERS[..], &Paging::NAMES].concat());
    let filter = filter(&mut parameters, console.now());
    parameters.finish()?;
    page(console.parts.database.decisions(&filter).await, filter.cursor.as_deref())
}

/// The parameters that a list of decisions is narrowed by.
pub(crate) const FILTERS: [&str; 4] = ["boundary", "outcome", "subject", "rule"];

/// What a list of decisions is narrowed to.
pub(crate) fn filter(parameters: &mut Parameters, now: Timestamp) -> DecisionFilter {
    let boundary = parameters.take_with("boundary", boundary);
    let outcome = parameters.take_with("outcome", |word| outcome(word, boundary));
    let subject = subject(parameters);
    let Paging { since, limit, cursor } = Paging::read(parameters, now);
    DecisionFilter { boundary, outcome, subject, rule: parameters.take("rule"), since, limit, cursor }
}

fn boundary(word: &str) -> Result<Boundary, String> {
    let found = Boundary::ALL.into_iter().find(|boundary| boundary.as_str() == word);
    found.ok_or_else(|| one_of(word, &Boundary::ALL.map(Boundary::as_str)).err().unwrap_or_default())
}

/// The outcomes of tool calls, from the mildest.
pub(crate) const TOOL_OUTCOMES: [&str; 3] = ["allow", "require-approval", "deny"];

/// The outcomes that a decision of this boundary, or of any, can have.
pub(crate) fn outcomes(boundary: Option<Boundary>) -> Vec<&'static str> {
    let requests = Action::ALL.map(Action::as_str);
    match boundary {
        Some(Boundary::Request) => requests.to_vec(),
        Some(Boundary::Tool) => TOOL_OUTCOMES.to_vec(),
        // A failure lies within the record of its request.
        Some(Boundary::Failure) | None => [&requests[..], &TOOL_OUTCOMES].concat(),
    }
}

fn outcome(word: &str, boundary: Option<Boundary>) -> Result<String, String> {
    one_of(word, &outcomes(boundary)).map(str::to_owned)
}

/// The key of an identity; a name alone is answered with the key that was probably meant.
fn subject(parameters: &mut Parameters) -> Option<String> {
    parameters.take_with("subject", |text| match identity_key(text.to_owned()) {
        Ok(key) => Ok(key.as_str().to_owned()),
        Err(_) => {
            let named = format!("user:{text}");
            let is_name = !text.contains(':') && identity_key(named.clone()).is_ok();
            let meant = if is_name { format!("did you mean `{named}`? ") } else { String::new() };
            Err(format!("{meant}it must be {KEY_FORM}"))
        }
    })
}

/// One recorded decision.
#[utoipa::path(get, path = "/api/decisions/{id}", operation_id = "getDecision", tag = "decisions",
    params(("id" = String, Path, description = "`dec_…`, as `x-weir-decision` gives it")),
    responses(
        (status = 200, description = "The record", body = Object),
        (status = 404, description = "There is no such decision", body = crate::problem::Details),
    ))]
pub(crate) async fn get(
    State(console): State<Console>,
    Segment(id): Segment,
) -> Result<Json<Value>, Problem> {
    answer(&find_by_text(&console, &id).await?)
}

/// The record of a decision, by its id as it was written in a path.
pub(crate) async fn find_by_text(console: &Shared, id: &str) -> Result<Record, Problem> {
    let id: DecisionId = id.parse().map_err(|_| {
        Problem::not_found(
            "this is no decision's id: expected `dec_` and a UUID, as `x-weir-decision` gives it",
        )
    })?;
    let unknown = || {
        Problem::not_found(if id.is_recent(console.now()) {
            "there is no decision with this id yet: it is recorded when its request has ended, so try again then"
        } else {
            "there is no decision with this id, or it is kept no longer"
        })
    };
    let record = find(console, &id).await.map_err(|error| Problem::store_unavailable(&error))?;
    record.ok_or_else(unknown)
}

/// A decision that was answered a moment ago may still wait for being written.
async fn find(console: &Shared, id: &DecisionId) -> Result<Option<Record>, StoreError> {
    let found = console.parts.database.decision(id).await?;
    if found.is_some() || console.parts.recorder.pending() == 0 {
        return Ok(found);
    }
    console.parts.recorder.flush().await?;
    console.parts.database.decision(id).await
}

/// Tokens and cost of each request, newest first.
#[utoipa::path(get, path = "/api/usage", operation_id = "listUsage", tag = "decisions",
    params(
        ("subject" = Option<String>, Query, description = "The identity's key"),
        PagingParameters,
    ),
    responses(
        (status = 200, description = "`{items, next}`, newest first; of an item with `estimated: true` weir has estimated tokens that the provider has not counted. With `searched_to`, a time, the page is not full because much was looked at: `next` leads on", body = Object),
        (status = 400, description = "A parameter is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn usage(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let known = [&["subject"][..], &Paging::NAMES].concat();
    let mut parameters = Parameters::read(query.as_deref(), &known);
    let Paging { since, limit, cursor } = Paging::read(&mut parameters, console.now());
    let filter = UsageFilter { subject: subject(&mut parameters), since, limit, cursor };
    parameters.finish()?;
    page(console.parts.database.usage(&filter).await, filter.cursor.as_deref())
}

/// One page of a list, or what was wrong with asking for it.
fn page(
    found: Result<impl serde::Serialize, StoreError>,
    cursor: Option<&str>,
) -> Result<Json<Value>, Problem> {
    answer(&found.map_err(|error| page_problem(&error, cursor))?)
}

/// What was wrong with asking for a page.
pub(crate) fn page_problem(error: &StoreError, cursor: Option<&str>) -> Problem {
    if error.kind() == ErrorKind::Refused && cursor.is_some() {
        let fault = Fault::member("cursor", "it is no cursor of this list");
        return Problem::bad_request("a parameter of the query is not as it should be", vec![fault]);
    }
    Problem::store_unavailable(error)
}

pub(crate) fn answer(value: &impl serde::Serialize) -> Result<Json<Value>, Problem> {
    serde_json::to_value(value).map(Json).map_err(|error| Problem::store_unavailable(&error))
}
