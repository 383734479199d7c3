//! Backtests over HTTP.
//!
//! Starting and stopping one needs an operator: it costs a processor for as long as it runs, and who tries rules writes
//! rules. Reading the result is a viewer's.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_core::Boundary;
use weir_rules::{LoadOptions, Loaded, SourceFile};

use super::jobs::{Busy, Job, RUNNING_MAX};
use super::run::Asked;
use super::since::parse_time;
use crate::auth::Principal;
use crate::console::{Console, Shared};
use crate::extract::{RULES_BYTES_MAX, Segment, parse_json, read};
use crate::problem::{Fault, Problem};
use crate::rulebook::{ApplyError, STORED_NAME};

/// How long a time is replayed unless told otherwise.
const SINCE: &str = "24h";

/// What to replay.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBacktest {
    /// The candidate as one rule file; left out, with `files` left out too: the rules in force
    pub(crate) rules: Option<String>,
    /// The candidate as several rule files
    pub(crate) files: Option<Vec<NamedFile>>,
    /// A time, or a duration before now such as `24h`, which it is when left out
    pub(crate) since: Option<String>,
    /// A time, or a duration before now; left out: now
    pub(crate) until: Option<String>,
    /// `request`, `failure` or `tool` alone
    pub(crate) boundary: Option<String>,
}

/// One rule file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedFile {
    /// Its name, for diagnostics
    pub(crate) name: String,
    /// Its text
    pub(crate) text: String,
}

/// Replays recorded decisions through candidate rules, in the background.
#[utoipa::path(post, path = "/api/backtests", operation_id = "startBacktest", tag = "rules", request_body = NewBacktest,
    responses(
        (status = 202, description = "`{id}`: it runs; `Location` says where to ask after it", body = Object),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
        (status = 422, description = "The rules have errors", body = crate::problem::Details),
        (status = 429, description = "As many backtests run as may at a time", body = crate::problem::Details),
    ))]
pub(crate) async fn start(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let body = read(request, RULES_BYTES_MAX).await?;
    let job = begin(&console, parse_json(&body)?, &who).await?;
    let mut response = (StatusCode::ACCEPTED, Json(json!({ "id": job.id }))).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/backtests/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Starts a backtest: what the endpoint and the page do.
pub(crate) async fn begin(console: &Shared, new: NewBacktest, who: &Principal) -> Result<Arc<Job>, Problem> {
    let now = console.now();
    let mut faults = Vec::new();
    let mut time = |name: &str, text: Option<&str>| {
        let read = text.map(|text| parse_time(text, now)).transpose();
        read.map_err(|error| faults.push(Fault::member(name, error.to_string()))).unwrap_or_default()
    };
    let since = time("since", Some(new.since.as_deref().unwrap_or(SINCE)));
    let until = time("until", new.until.as_deref());
    let boundary = new.boundary.as_deref().and_then(|word| {
        let found = Boundary::ALL.into_iter().find(|boundary| boundary.as_str() == word);
        if found.is_none() {
            faults.push(Fault::member("boundary", "it must be request, failure or tool"));
        }
        found
    });
    if new.rules.is_some() && new.files.is_some() {
        faults.push(Fault::member("files", "the rules are given twice: as `rules` and as `files`"));
    }
    if until.zip(since).is_some_and(|(until, since)| until <= since) {
        faults.push(Fault::member("until", "it must be later than `since`"));
    }
    let Some(since) = since.filter(|_| faults.is_empty()) else {
        return Err(Problem::bad_request("a member of the body is not as it should be", faults));
    };
    let Loaded { rules, warnings } = candidate(console, new.rules, new.files).await?;
    let asked = Asked { rules: Arc::new(rules), since, until, boundary };
    let started = console.backtests.start(console.parts.database.clone(), asked, warnings, &who.name, now);
    started.map_err(|Busy| {
        let said = format!("{RUNNING_MAX} backtests run already: wait until one ends, or stop one");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, said)
    })
}

/// Loads the candidate, off the threads that serve.
async fn candidate(
    console: &Shared,
    rules: Option<String>,
    files: Option<Vec<NamedFile>>,
) -> Result<Loaded, Problem> {
    let files: Vec<SourceFile> = match (rules, files) {
        (Some(text), _) => vec![SourceFile { name: STORED_NAME.to_owned(), text }],
        (None, Some(files)) => {
            files.into_iter().map(|file| SourceFile { name: file.name, text: file.text }).collect()
        }
        (None, None) => {
            let (_, text) = console.parts.rulebook.export().await?;
            vec![SourceFile { name: STORED_NAME.to_owned(), text }]
        }
    };
    let options = LoadOptions { now: console.now() };
    let loaded = tokio::task::spawn_blocking(move || weir_rules::load(&files, &options)).await;
    let loaded = loaded.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    loaded.map_err(|failure| ApplyError::Diagnostics(failure.diagnostics).into())
}

fn summary(job: &Job) -> Value {
    json!({
        "id": job.id,
        "state": job.state(),
        "started_at": job.started_at,
        "by": job.by,
        "since": job.since,
        "until": job.until,
        "boundary": job.boundary,
        "rules": job.rules,
        "progress": { "done": job.progress.done(), "total": job.progress.total() },
    })
}

/// The backtests that this node knows of.
#[utoipa::path(get, path = "/api/backtests", operation_id = "listBacktests", tag = "rules",
    responses((status = 200, description = "`{items, next}`: the backtests of this node without their reports, newest first", body = Object)))]
pub(crate) async fn list(State(console): State<Console>) -> Json<Value> {
    let items: Vec<Value> = console.backtests.list().iter().map(|job| summary(job)).collect();
    Json(json!({ "items": items, "next": null }))
}

/// How far a backtest is, and its report once it is done.
#[utoipa::path(get, path = "/api/backtests/{id}", operation_id = "getBacktest", tag = "rules", params(("id" = String, Path, description = "The backtest's id")),
    responses(
        (status = 200, description = "`{id, state, progress: {done, total}, report, error, warnings, …}`; `state` is running, done, stopped or failed, `report` null while it runs", body = Object),
        (status = 404, description = "This node has no such backtest", body = crate::problem::Details),
    ))]
pub(crate) async fn get(
    State(console): State<Console>,
    Segment(id): Segment,
) -> Result<Json<Value>, Problem> {
    let job = find(&console, &id)?;
    let mut view = summary(&job);
    let ended = job.outcome();
    if let Some(members) = view.as_object_mut() {
        let report = ended.as_ref().and_then(|ended| ended.report.clone());
        members.insert("report".to_owned(), json!(report));
        members.insert("error".to_owned(), json!(ended.and_then(|ended| ended.error)));
        members.insert("warnings".to_owned(), json!(job.warnings));
    }
    Ok(Json(view))
}

/// Stops a backtest; what was replayed so far stays.
#[utoipa::path(delete, path = "/api/backtests/{id}", operation_id = "stopBacktest", tag = "rules", params(("id" = String, Path, description = "The backtest's id")),
    responses(
        (status = 202, description = "It ends after the records that it is at, with a report of what was seen", body = Object),
        (status = 404, description = "This node has no such backtest", body = crate::problem::Details),
    ))]
pub(crate) async fn stop(
    State(console): State<Console>,
    Segment(id): Segment,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let job = find(&console, &id)?;
    job.progress.stop();
    Ok((StatusCode::ACCEPTED, Json(summary(&job))))
}

/// A backtest of this node.
pub(crate) fn find(console: &Shared, id: &str) -> Result<Arc<Job>, Problem> {
    console.backtests.get(id).ok_or_else(|| {
        Problem::not_found(
            "this node has no such backtest: they are forgotten when it restarts and when newer ones come",
        )
    })
}
