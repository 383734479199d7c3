//! OpenID AuthZEN 1.0: any program may ask whether a tool call may run (design, section 6).

use std::future::Future;
use std::pin::Pin;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_core::DecisionId;
use weir_core::name::check_name;
use weir_core::tool::{Arguments, CallSource, CeilingStanding, Denial, PermissionLevel, ToolStanding};

use crate::console::Console;
use crate::extract::Json as Body;
use crate::problem::{Fault, Problem};

/// Evaluations of one request.
const EVALUATIONS_MAX: usize = 100;

/// A call that is asked about.
#[derive(Clone)]
pub struct AskedCall {
    /// The user whose call it is, if it is a user's.
    pub user: Option<String>,
    /// The agent whose call it is; empty when unknown.
    pub agent: String,
    /// The tool.
    pub tool: String,
    /// Its server.
    pub server: String,
    /// Its level, by the asking program.
    pub level: Option<PermissionLevel>,
    /// The channel.
    pub channel: String,
    /// The session.
    pub session: String,
    /// Where the call comes from.
    pub source: CallSource,
    /// What it asks for.
    pub args: Arguments,
}

/// The answer about a call.
#[derive(Clone, Debug)]
pub struct PointAnswer {
    /// Whether it may run.
    pub allowed: bool,
    /// Why not.
    pub denial: Option<Denial>,
    /// The line for the model.
    pub message: Option<String>,
    /// The decision, for `weir explain`.
    pub decision: DecisionId,
}

/// The gate before tools, as this plane needs it: the boundaries do not know each other.
pub trait ToolPoint: Send + Sync {
    /// How every tool stands: those that are known by server and name, and those that the gate knows of itself.
    fn standings(&self, known: &[(String, String)]) -> Vec<ToolStanding>;

    /// How every channel stands that somebody has named, and last how all others do.
    fn ceilings(&self) -> Vec<CeilingStanding>;

    /// Decides about a call that another program runs, and records it.
    fn evaluate(&self, call: AskedCall) -> Pin<Box<dyn Future<Output = PointAnswer> + Send + '_>>;
}

/// Whose call it is, or which tool is called.
#[derive(Clone, Deserialize, ToSchema)]
struct Entity {
    /// `user` or `agent`; `tool`.
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    properties: Value,
}

#[derive(Clone, Deserialize, ToSchema)]
struct Action {
    /// `call`.
    name: String,
}

/// One question. Members that are left out of an item of a batch are those of the batch.
#[derive(Clone, Default, Deserialize, ToSchema)]
pub(crate) struct Evaluation {
    subject: Option<Entity>,
    action: Option<Action>,
    resource: Option<Entity>,
    /// `{channel, session?, args, source?}`
    #[schema(value_type = Option<Object>)]
    context: Option<Value>,
}

/// Many questions.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Evaluations {
    #[serde(flatten)]
    defaults: Evaluation,
    #[serde(default)]
    evaluations: Vec<Evaluation>,
    #[serde(default)]
    options: Options,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
struct Options {
    #[serde(default)]
    evaluations_semantic: Semantic,
}

/// When to stop asking.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// Whether a tool call may run, in the words of OpenID AuthZEN.
#[utoipa::path(post, path = "/access/v1/evaluation", operation_id = "evaluateAccess", tag = "tools", request_body = Evaluation,
    responses(
        (status = 200, description = "`{decision, context: {denial, message, decision_id}}`", body = Object),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn evaluation(
    State(console): State<Console>,
    headers: HeaderMap,
    Body(request): Body<Evaluation>,
) -> Result<Response, Problem> {
    let point = point(&console)?;
    let call = read(request, "").map_err(refused)?;
    let answer = point.evaluate(call).await;
    Ok(answered(&headers, answer_json(&answer)))
}

/// The same for several calls at once.
#[utoipa::path(post, path = "/access/v1/evaluations", operation_id = "evaluateAccessMany", tag = "tools", request_body = Evaluations,
    responses(
        (status = 200, description = "`{evaluations: [{decision, context}]}`; without `evaluations` as for one", body = Object),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn evaluations(
    State(console): State<Console>,
    headers: HeaderMap,
    Body(request): Body<Evaluations>,
) -> Result<Response, Problem> {
    let point = point(&console)?;
    let Evaluations { defaults, evaluations, options } = request;
    if evaluations.is_empty() {
        let call = read(defaults, "").map_err(refused)?;
        let answer = point.evaluate(call).await;
        return Ok(answered(&headers, answer_json(&answer)));
    }
    if evaluations.len() > EVALUATIONS_MAX {
        let fault = Fault::member("evaluations", format!("there may be {EVALUATIONS_MAX} at most"));
        return Err(refused(vec![fault]));
    }
    let mut calls = Vec::with_capacity(evaluations.len());
    let mut faults = Vec::new();
    for (at, item) in evaluations.into_iter().enumerate() {
        let whole = Evaluation {
            subject: item.subject.or_else(|| defaults.subject.clone()),
            action: item.action.or_else(|| defaults.action.clone()),
            resource: item.resource.or_else(|| defaults.resource.clone()),
            context: item.context.or_else(|| defaults.context.clone()),
        };
        match read(whole, &format!("evaluations[{at}].")) {
            Ok(call) => calls.push(call),
            Err(found) => faults.extend(found),
        }
    }
    // Before any of them is decided, since deciding may use up an approval.
    if !faults.is_empty() {
        return Err(refused(faults));
    }
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        let answer = point.evaluate(call).await;
        answers.push(answer_json(&answer));
        let stops = match options.evaluations_semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !answer.allowed,
            Semantic::PermitOnFirstPermit => answer.allowed,
        };
        if stops {
            break;
        }
    }
    Ok(answered(&headers, json!({ "evaluations": answers })))
}

fn point(console: &Console) -> Result<&dyn ToolPoint, Problem> {
    let none = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this node has no gate before tools");
    console.tool_point.as_deref().ok_or_else(none)
}

fn refused(faults: Vec<Fault>) -> Problem {
    Problem::bad_request("a member of the body is not as it should be", faults)
}

fn answer_json(answer: &PointAnswer) -> Value {
    json!({
        "decision": answer.allowed,
        "context": {
            "denial": answer.denial,
            "message": answer.message,
            "decision_id": answer.decision,
        },
    })
}

/// AuthZEN: a given `X-Request-ID` is repeated.
fn answered(headers: &HeaderMap, body: Value) -> Response {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let mut response = Json(body).into_response();
    if let Some(id) = headers.get(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    response
}

/// Reads one question; names everything that is wrong with it, below `at`.
fn read(question: Evaluation, at: &str) -> Result<AskedCall, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut fault = |path: &str, message: String| faults.push(Fault::member(format!("{at}{path}"), message));
    let context = question.context.unwrap_or_default();
    // What cannot be read is refused and never left out: a rule would then judge another call than the one that runs.
    if !(context.is_null() || context.is_object()) {
        fault("context", "it must be an object".to_owned());
    }
    for name in ["agent", "channel", "session"] {
        if context.get(name).is_some_and(|value| !(value.is_null() || value.is_string())) {
            fault(&format!("context.{name}"), "it must be a text".to_owned());
        }
    }
    if context.get("args").is_some_and(|value| !(value.is_null() || value.is_object())) {
        fault("context.args", "it must be an object, the arguments by their names".to_owned());
    }
    let word = |name: &str| context.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut call = AskedCall {
        user: None,
        agent: word("agent"),
        tool: String::new(),
        server: String::new(),
        level: None,
        channel: word("channel"),
        session: word("session"),
        source: CallSource::Unknown,
        args: Arguments::new(context.get("args").cloned().unwrap_or_default()),
    };
    match question.subject {
        None => fault("subject", "it is missing".to_owned()),
        Some(subject) => {
            if let Err(why) = check_name(&subject.id) {
                fault("subject.id", format!("it {why}"));
            }
            match subject.kind.as_str() {
                "user" => call.user = Some(subject.id),
                "agent" => call.agent = subject.id,
                _ => fault("subject.type", "it must be user or agent".to_owned()),
            }
        }
    }
    match question.action {
        None => fault("action", "it is missing".to_owned()),
        Some(action) if action.name != "call" => fault("action.name", "it must be call".to_owned()),
        Some(_) => {}
    }
    match question.resource {
        None => fault("resource", "it is missing".to_owned()),
        Some(resource) => {
            if resource.kind != "tool" {
                fault("resource.type", "it must be tool".to_owned());
            }
            if resource.id.is_empty() {
                fault("resource.id", "it must not be empty".to_owned());
            }
            let property = |name: &str| resource.properties.get(name).filter(|value| !value.is_null());
            if property("server").is_some_and(|server| !server.is_string()) {
                fault("resource.properties.server", "it must be a text".to_owned());
            }
            call.server = property("server").and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Some(level) = property("level") {
                call.level = level.as_str().and_then(PermissionLevel::parse);
                if call.level.is_none() {
                    let levels = PermissionLevel::ALL.map(PermissionLevel::token).join(", ");
                    fault("resource.properties.level", format!("it must be one of {levels}"));
                }
            }
            call.tool = resource.id;
        }
    }
    if let Some(source) = context.get("source").filter(|source| !source.is_null()) {
        match CallSource::ALL.into_iter().find(|known| source.as_str() == Some(known.as_str())) {
            Some(known) => call.source = known,
            None => {
                let words = CallSource::ALL.map(CallSource::as_str).join(", ");
                fault("context.source", format!("it must be one of {words}"));
            }
        }
    }
    if faults.is_empty() { Ok(call) } else { Err(faults) }
}
