//! The rules over HTTP: a thin layer over the [`Rulebook`](crate::rulebook::Rulebook).

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_rules::{Diagnostic, SourceFile};

use crate::auth::Principal;
use crate::console::Console;
use crate::extract::{Json as Body, RULES_BYTES_MAX, Segment, if_match, parse_json, read};
use crate::problem::{Fault, Problem};
use crate::query::{Parameters, limit};
use crate::rulebook::{Applied, ApplyError, STORED_NAME};

const YAML: &str = "application/yaml";

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Diagnostics(diagnostics) => {
                let errors: Vec<Fault> = diagnostics.iter().filter(|d| d.is_error()).map(fault).collect();
                let detail = format!("the rules have {} error(s); nothing was changed", errors.len());
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(errors)
            }
            ApplyError::Conflict { current, .. } => {
                let detail = format!(
                    "{error}; nothing was changed: read /api/rules/history/{current}, and send it again"
                );
                Self::conflict(detail).with_epoch(current)
            }
            ApplyError::FilesAreMaster(files) => {
                let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                let names = files.join(", ");
                Self::conflict(format!("the rules are written in files; change them there: {names}"))
                    .with_files(files)
            }
            ApplyError::RuleExists(_) | ApplyError::NotStopped(_) => Self::conflict(error.to_string()),
            ApplyError::UnknownRule(_) | ApplyError::UnknownEpoch(_) => Self::not_found(error.to_string()),
            ApplyError::Store(error) => Self::store_unavailable(&error),
        }
    }
}

fn fault(diagnostic: &Diagnostic) -> Fault {
    let number = |n: usize| u32::try_from(n).ok().filter(|n| *n > 0);
    Fault {
        rule: diagnostic.rule.clone(),
        path: Some(diagnostic.path.clone()).filter(|path| !path.is_empty()),
        line: number(diagnostic.line),
        column: number(diagnostic.column),
        message: diagnostic.message.clone(),
        help: diagnostic.help.clone(),
    }
}

/// An answer about the rules of an epoch.
fn with_epoch(epoch: u64, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{epoch}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn applied(applied: &Applied) -> Response {
    with_epoch(applied.epoch, Json(applied))
}

/// The text of a body, and whether it is JSON.
async fn text(request: Request) -> Result<(String, bool), Problem> {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let declared = declared.unwrap_or_default().to_ascii_lowercase();
    let body = read(request, RULES_BYTES_MAX).await?;
    let text = String::from_utf8(body.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::bad_request(format!("the body is no UTF-8 after {at} bytes"), Vec::new())
    })?;
    let is_json =
        declared.contains("json") || (!declared.contains("yaml") && text.trim_start().starts_with('{'));
    Ok((text, is_json))
}

/// A whole set: a rule file, or the same as JSON. `epoch`, which `GET` gives beside `rules`, is passed over.
async fn whole_set(request: Request) -> Result<Vec<SourceFile>, Problem> {
    let (mut text, is_json) = text(request).await?;
    if text.trim().is_empty() {
        // It was probably forgotten, and would remove everything.
        return Err(Problem::bad_request(
            "the body is empty; to remove all rules send `rules: []`",
            Vec::new(),
        ));
    }
    if is_json {
        let mut value: Value = parse_json(text.as_bytes())?;
        if value.is_array() {
            text = json!({ "rules": value }).to_string();
        } else if value.as_object_mut().is_some_and(|members| members.remove("epoch").is_some()) {
            text = value.to_string();
        }
    }
    Ok(vec![SourceFile { name: STORED_NAME.to_owned(), text }])
}

/// One rule.
async fn one_rule(request: Request) -> Result<String, Problem> {
    let (text, is_json) = text(request).await?;
    if is_json {
        parse_json::<Value>(text.as_bytes())?;
    }
    Ok(text)
}

fn wants_yaml(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("yaml"))
}

/// The rules in force and their epoch.
#[utoipa::path(get, path = "/api/rules", operation_id = "listRules", tag = "rules",
    responses((status = 200, description = "`{epoch, rules}`; with `Accept: application/yaml` the rule file. `ETag` is the epoch", body = Object)))]
pub(crate) async fn list(State(console): State<Console>, headers: HeaderMap) -> Result<Response, Problem> {
    let book = &console.parts.rulebook;
    if wants_yaml(&headers) {
        let (epoch, text) = book.export().await?;
        return Ok(with_epoch(epoch, ([(header::CONTENT_TYPE, YAML)], text)));
    }
    let active = book.current().await?;
    let body = Json(json!({ "epoch": active.epoch, "rules": active.rules.rules() }));
    Ok(with_epoch(active.epoch, body))
}

/// Replaces the whole set of rules.
#[utoipa::path(put, path = "/api/rules", operation_id = "replaceRules", tag = "rules",
    request_body(content = String, content_type = "application/yaml", description = "A rule file, or the same as JSON"),
    params(("If-Match" = Option<String>, Header, description = "The epoch that this is based on")),
    responses(
        (status = 200, description = "`{epoch, changes, warnings}`: the set is in force", body = Object),
        (status = 409, description = "Another epoch is in force, or the rules are written in files", body = crate::problem::Details),
        (status = 422, description = "The rules have errors; the old ones stay", body = crate::problem::Details),
    ))]
pub(crate) async fn replace(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    request: Request,
) -> Result<Response, Problem> {
    let expected = if_match(request.headers())?;
    let files = whole_set(request).await?;
    Ok(applied(&console.parts.rulebook.apply(&files, &who.name, expected).await?))
}

/// Adds a rule.
#[utoipa::path(post, path = "/api/rules", operation_id = "addRule", tag = "rules",
    request_body(content = String, content_type = "application/yaml", description = "One rule, in YAML or JSON"),
    params(("If-Match" = Option<String>, Header, description = "The epoch that this is based on")),
    responses(
        (status = 201, description = "`{id, epoch, changes, warnings}`: it is in force, after all others", body = Object),
        (status = 409, description = "There is such a rule, another epoch is in force, or the rules are written in files", body = crate::problem::Details),
        (status = 422, description = "The rule has errors", body = crate::problem::Details),
    ))]
pub(crate) async fn add(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    request: Request,
) -> Result<Response, Problem> {
    let expected = if_match(request.headers())?;
    let text = one_rule(request).await?;
    let (id, Applied { epoch, changes, warnings }) =
        console.parts.rulebook.add(&text, &who.name, expected).await?;
    let location = format!("/api/rules/{}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
    let location = location.replace("%2D", "-");
    let body = Json(json!({ "id": id, "epoch": epoch, "changes": changes, "warnings": warnings }));
    Ok(with_epoch(epoch, (StatusCode::CREATED, [(header::LOCATION, location)], body)))
}

/// One rule.
#[utoipa::path(get, path = "/api/rules/{id}", operation_id = "getRule", tag = "rules", params(("id" = String, Path, description = "The rule's id")),
    responses(
        (status = 200, description = "The rule with its keys", body = Object),
        (status = 404, description = "There is no such rule", body = crate::problem::Details),
    ))]
pub(crate) async fn get(State(console): State<Console>, Segment(id): Segment) -> Result<Response, Problem> {
    let active = console.parts.rulebook.current().await?;
    match active.rules.get(&id) {
        Some(rule) => Ok(with_epoch(active.epoch, Json(json!(rule)))),
        None => Err(ApplyError::UnknownRule(id).into()),
    }
}

/// Replaces a rule, or adds it.
#[utoipa::path(put, path = "/api/rules/{id}", operation_id = "putRule", tag = "rules",
    request_body(content = String, content_type = "application/yaml", description = "The rule, in YAML or JSON"),
    params(
        ("id" = String, Path, description = "The rule's id"),
        ("If-Match" = Option<String>, Header, description = "The epoch that this is based on"),
    ),
    responses(
        (status = 200, description = "`{epoch, changes, warnings}`: it is in force, in its old place", body = Object),
        (status = 404, description = "There is no such rule", body = crate::problem::Details),
        (status = 409, description = "Another epoch is in force, or the rules are written in files", body = crate::problem::Details),
        (status = 422, description = "The rule has errors, or another id", body = crate::problem::Details),
    ))]
pub(crate) async fn put(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
    request: Request,
) -> Result<Response, Problem> {
    let expected = if_match(request.headers())?;
    let text = one_rule(request).await?;
    Ok(applied(&console.parts.rulebook.put(&id, &text, &who.name, expected).await?))
}

/// Removes a rule.
#[utoipa::path(delete, path = "/api/rules/{id}", operation_id = "deleteRule", tag = "rules",
    params(
        ("id" = String, Path, description = "The rule's id"),
        ("If-Match" = Option<String>, Header, description = "The epoch that this is based on"),
    ),
    responses(
        (status = 204, description = "It is gone; `ETag` is the new epoch"),
        (status = 404, description = "There is no such rule", body = crate::problem::Details),
        (status = 409, description = "Another epoch is in force, or the rules are written in files", body = crate::problem::Details),
    ))]
pub(crate) async fn delete(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let applied = console.parts.rulebook.delete(&id, &who.name, if_match(&headers)?).await?;
    Ok(with_epoch(applied.epoch, StatusCode::NO_CONTENT))
}

/// What loading these rules would say; nothing is changed.
#[utoipa::path(post, path = "/api/rules/check", operation_id = "checkRules", tag = "rules",
    request_body(content = String, content_type = "application/yaml", description = "A rule file, or the same as JSON"),
    responses((status = 200, description = "`{diagnostics}`: errors and warnings; nothing is changed", body = Object)))]
pub(crate) async fn check(State(console): State<Console>, request: Request) -> Result<Json<Value>, Problem> {
    let files = whole_set(request).await?;
    Ok(Json(json!({ "diagnostics": console.parts.rulebook.check(&files).await })))
}

/// The versions of the rules: who, when, and what each changed.
#[utoipa::path(get, path = "/api/rules/history", operation_id = "listRulesHistory", tag = "rules",
    params(("limit" = Option<u32>, Query, description = "Sets at most, 1 to 1000")),
    responses((status = 200, description = "`{items, next}`: epoch, time, author, summary and changes (each rule with the values of its keys before and after) of each set, newest first", body = Object)))]
pub(crate) async fn history(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &["limit"]);
    let limit = limit(&mut parameters);
    parameters.finish()?;
    Ok(Json(json!({ "items": console.parts.rulebook.history(limit).await?, "next": null })))
}

/// The rules as they were at an epoch.
#[utoipa::path(get, path = "/api/rules/history/{epoch}", operation_id = "getRulesVersion", tag = "rules",
    params(("epoch" = u64, Path, description = "The set's epoch")),
    responses(
        (status = 200, description = "The set with its text", body = Object),
        (status = 404, description = "The history has no such set", body = crate::problem::Details),
    ))]
pub(crate) async fn version(
    State(console): State<Console>,
    Segment(epoch): Segment,
) -> Result<Json<Value>, Problem> {
    let unknown = || Problem::not_found(format!("the history has no rules of epoch {epoch}"));
    let number = epoch.parse().map_err(|_| unknown())?;
    Ok(Json(json!(console.parts.rulebook.version(number).await?)))
}

/// Puts a rule that its stop-loss has stopped in force again.
#[utoipa::path(post, path = "/api/rules/{id}/resume", operation_id = "resumeRule", tag = "rules", params(("id" = String, Path, description = "The rule's id")),
    responses(
        (status = 200, description = "The stop that was lifted: the rule is enforced again, also where the rules are written in files", body = Object),
        (status = 404, description = "There is no such rule", body = crate::problem::Details),
        (status = 409, description = "The rule is not stopped", body = crate::problem::Details),
    ))]
pub(crate) async fn resume(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!(console.parts.rulebook.resume(&id, &who.name).await?)))
}

/// Where to roll back to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// The epoch of the set that is to be in force again.
    epoch: u64,
}

/// Puts the rules of an earlier epoch in force again, as a new one.
#[utoipa::path(post, path = "/api/rules/rollback", operation_id = "rollbackRules", tag = "rules", request_body = Rollback,
    params(("If-Match" = Option<String>, Header, description = "The epoch that this is based on")),
    responses(
        (status = 200, description = "`{epoch, changes, warnings}`: the old set is in force under a new epoch", body = Object),
        (status = 404, description = "The history has no such set", body = crate::problem::Details),
        (status = 409, description = "Another epoch is in force, or the rules are written in files", body = crate::problem::Details),
    ))]
pub(crate) async fn rollback(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    Body(Rollback { epoch }): Body<Rollback>,
) -> Result<Response, Problem> {
    let expected = if_match(&headers)?;
    Ok(applied(&console.parts.rulebook.rollback(epoch, &who.name, expected).await?))
}
