//! Approvals of tool calls, and the definitions of tools that an operator accepts.

use axum::extract::{RawQuery, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_core::Timestamp;
use weir_core::name::check_name;
use weir_core::tool::PermissionLevel;
use weir_store::database::{
    Answer, Answered, Approval, ApprovalFilter, ApprovalScope, ApprovalState, Page, StoredDefinition,
};

use crate::auth::Principal;
use crate::console::{Console, Shared};
use crate::decisions::page_problem;
use crate::extract::{Json as Body, Segment};
use crate::problem::{Fault, Problem};
use crate::query::{Parameters, limit, one_of};

/// What a person says.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Approve,
    Deny,
}

/// For what a yes holds.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// For one run of the call.
    Once,
    /// For every run of the same call in the same session.
    Session,
    /// For every run of the same call until `until`.
    Until,
}

/// An answer to an approval.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerRequest {
    /// `approve` or `deny`.
    pub(crate) answer: Word,
    /// For what a yes holds; once when left out.
    pub(crate) scope: Option<Scope>,
    /// Until when a yes holds.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) until: Option<Timestamp>,
    /// Who answers; the token's name when left out.
    pub(crate) by: Option<String>,
}

/// A tool whose definition is accepted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolName {
    /// The tool's server; empty for a built-in tool.
    server: String,
    /// The tool.
    name: String,
}

/// Tool calls that wait for a person, or did; newest first.
#[utoipa::path(get, path = "/api/approvals", operation_id = "listApprovals", tag = "tools",
    params(
        ("state" = Option<String>, Query, description = "pending, approved, denied or expired"),
        ("caller" = Option<String>, Query, description = "The identity's key of whoever called"),
        ("limit" = Option<u32>, Query, description = "Items of a page, 1 to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items, next}`, newest first", body = Object),
        (status = 400, description = "A parameter is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn list(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!(page(&console, query.as_deref()).await?)))
}

/// A page of the list.
pub(crate) async fn page(console: &Shared, query: Option<&str>) -> Result<Page<Approval>, Problem> {
    let mut parameters = Parameters::read(query, &["state", "caller", "limit", "cursor"]);
    let filter = ApprovalFilter {
        state: parameters.take_with("state", state),
        caller: parameters.take("caller"),
        limit: limit(&mut parameters),
        cursor: parameters.take("cursor"),
    };
    parameters.finish()?;
    let page = console.parts.database.approvals(&filter, console.now()).await;
    page.map_err(|error| page_problem(&error, filter.cursor.as_deref()))
}

fn state(word: &str) -> Result<ApprovalState, String> {
    let known = ApprovalState::ALL.into_iter().find(|state| state.as_str() == word);
    known
        .ok_or_else(|| one_of(word, &ApprovalState::ALL.map(ApprovalState::as_str)).err().unwrap_or_default())
}

/// One approval.
#[utoipa::path(get, path = "/api/approvals/{id}", operation_id = "getApproval", tag = "tools",
    params(("id" = String, Path, description = "`apr_…`, as the denial gives it")),
    responses(
        (status = 200, description = "The approval", body = Object),
        (status = 404, description = "There is no such approval", body = crate::problem::Details),
    ))]
pub(crate) async fn get(
    State(console): State<Console>,
    Segment(id): Segment,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!(find(&console, &id).await?)))
}

pub(crate) async fn find(console: &Shared, id: &str) -> Result<Approval, Problem> {
    let found = console.parts.database.approval(id, console.now()).await;
    found.map_err(|error| Problem::store_unavailable(&error))?.ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("there is no such approval")
}

/// Approves or denies: once, or for the session, or until a time.
#[utoipa::path(post, path = "/api/approvals/{id}", operation_id = "answerApproval", tag = "tools", request_body = AnswerRequest,
    params(("id" = String, Path, description = "`apr_…`, as the denial gives it")),
    responses(
        (status = 200, description = "The approval as it stands now", body = Object),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
        (status = 403, description = "Whoever answers may not approve this call", body = crate::problem::Details),
        (status = 404, description = "There is no such approval", body = crate::problem::Details),
        (status = 409, description = "It has another answer, or it is too late", body = crate::problem::Details),
    ))]
pub(crate) async fn answer(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
    Body(request): Body<AnswerRequest>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!(give(&console, &who, &id, &request).await?)))
}

/// Answers an approval: how it stands now.
pub(crate) async fn give(
    console: &Shared,
    who: &Principal,
    id: &str,
    request: &AnswerRequest,
) -> Result<Approval, Problem> {
    let now = console.now();
    let by = request.by.as_deref().map_or(&*who.name, str::trim).to_owned();
    let answer = check(request, &by, now)?;
    let approval = find(console, id).await?;
    if matches!(answer, Answer::Approve { .. }) {
        let in_force = console.parts.live.load();
        let approver = &in_force.config.tools.approvals.approver;
        approver
            .admits(&approval.caller, &by, who.role)
            .map_err(|why| Problem::new(StatusCode::FORBIDDEN, why))?;
    }
    let answered = console.parts.database.approval_answer(id, &answer, &by, now).await;
    match answered.map_err(|error| Problem::store_unavailable(&error))? {
        Answered::Taken(approval) => Ok(approval),
        // The same answer again is as good as the first.
        Answered::TooLate(approval) if approval.state == wanted(&answer) => Ok(approval),
        Answered::TooLate(approval) => Err(Problem::conflict(too_late(&approval))),
        Answered::Unknown => Err(unknown()),
    }
}

const fn wanted(answer: &Answer) -> ApprovalState {
    match answer {
        Answer::Approve { .. } => ApprovalState::Approved,
        Answer::Deny => ApprovalState::Denied,
    }
}

fn too_late(approval: &Approval) -> String {
    match (approval.state, &approval.answered_by) {
        (ApprovalState::Expired, _) => format!("the approval expired at {}", approval.expires_at),
        (state, Some(by)) => format!("the approval was {} by {by} before", state.as_str()),
        (state, None) => format!("the approval is {} already", state.as_str()),
    }
}

fn check(request: &AnswerRequest, by: &str, now: Timestamp) -> Result<Answer, Problem> {
    let mut faults = Vec::new();
    if let Err(why) = check_name(by) {
        faults.push(Fault::member("by", format!("it {why}")));
    }
    if request.until.is_some_and(|until| until <= now) {
        faults.push(Fault::member("until", "it must be a time to come"));
    }
    let scope = match (request.scope, request.until) {
        (Some(Scope::Once), _) | (None, None) => ApprovalScope::Once,
        (Some(Scope::Session), _) => ApprovalScope::Session,
        (Some(Scope::Until), _) | (None, Some(_)) => ApprovalScope::Until,
    };
    if scope == ApprovalScope::Until && request.until.is_none() {
        faults.push(Fault::member("until", "the scope `until` needs it"));
    }
    if !faults.is_empty() {
        return Err(Problem::bad_request("a member of the body is not as it should be", faults));
    }
    Ok(match request.answer {
        Word::Approve => Answer::Approve { scope, until: request.until },
        Word::Deny => Answer::Deny,
    })
}

/// Takes a grant back, or closes what waits.
#[utoipa::path(delete, path = "/api/approvals/{id}", operation_id = "withdrawApproval", tag = "tools",
    params(("id" = String, Path, description = "`apr_…`")),
    responses(
        (status = 204, description = "It lets no call through any more"),
        (status = 404, description = "There is no such approval", body = crate::problem::Details),
        (status = 409, description = "It is no yes that could still be used", body = crate::problem::Details),
    ))]
pub(crate) async fn withdraw(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
) -> Result<StatusCode, Problem> {
    let withdrawn = console.parts.database.approval_withdraw(&id, &who.name, console.now()).await;
    if withdrawn.map_err(|error| Problem::store_unavailable(&error))? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let approval = find(&console, &id).await?;
    Err(Problem::conflict(format!(
        "the approval is {}, and lets no call through that could be stopped",
        approval.state.as_str()
    )))
}

/// A tool as it is listed.
#[derive(Serialize)]
struct ListedTool<'k> {
    #[serde(flatten)]
    known: &'k StoredDefinition,
    /// Whether what was seen last is not what was accepted.
    changed: bool,
    /// The level that the configuration gives it.
    level: Option<PermissionLevel>,
}

/// The definitions of tools that were seen, and those that have changed since they were accepted.
#[utoipa::path(get, path = "/api/tools", operation_id = "listTools", tag = "tools",
    responses((status = 200, description = "`{items, next}`: the tools that were seen, and whether their definition is the accepted one", body = Object)))]
pub(crate) async fn tools(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    let known = console.parts.database.definitions(None).await;
    let known = known.map_err(|error| Problem::store_unavailable(&error))?;
    let in_force = console.parts.live.load();
    let items: Vec<ListedTool<'_>> = known
        .iter()
        .map(|known| ListedTool {
            known,
            changed: known.has_drifted(),
            level: in_force.config.tools.levels.get(&known.name).copied(),
        })
        .collect();
    Ok(Json(json!({ "items": items, "next": null })))
}

/// Accepts the definition of a tool that was seen last.
#[utoipa::path(post, path = "/api/tools/accept", operation_id = "acceptTool", tag = "tools", request_body = ToolName,
    responses(
        (status = 204, description = "The definition that was seen last is the accepted one"),
        (status = 404, description = "No such tool was seen", body = crate::problem::Details),
    ))]
pub(crate) async fn accept(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Body(tool): Body<ToolName>,
) -> Result<StatusCode, Problem> {
    accept_definition(&console, &tool.server, &tool.name, &who.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accepts the definition of a tool that was seen last.
pub(crate) async fn accept_definition(
    console: &Console,
    server: &str,
    name: &str,
    by: &str,
) -> Result<(), Problem> {
    let done = console.parts.database.definition_accept(server, name, by, console.now()).await;
    if done.map_err(|error| Problem::store_unavailable(&error))? {
        return Ok(());
    }
    Err(Problem::not_found("no such tool was seen"))
}
