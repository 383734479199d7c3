//! What other systems tell of identities: sign-ups, plans, verifications, blocks (spec A9, design section 6).

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use weir_core::identity::{FingerprintParts, IdentityKey, IdentityKind};
use weir_core::name::{check_name, check_tags};
use weir_store::database::IdentityChange;

use crate::console::{Console, Shared};
use crate::extract::{BODY_BYTES_MAX, Json as Body, parse_json, read, wording};
use crate::problem::{Fault, Problem};

/// How many events one call may bring.
pub const EVENTS_MAX: usize = 1000;

/// A batch of events. Each is read by itself, so that a malformed one does not spoil the others.
#[derive(Deserialize, ToSchema)]
pub struct EventBatch {
    /// The events, in the order in which they are applied.
    #[schema(value_type = Vec<Event>)]
    pub events: Vec<Value>,
}

/// One event.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Event {
    /// Any word; a word that ends in `signup` makes its time the start of the identity.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub occurred_at: Option<Timestamp>,
    /// What it says.
    pub data: EventData,
}

/// What an event says of a user. What is absent or null stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EventData {
    /// The user.
    pub kilo_user_id: String,
    /// The plan; empty: none.
    #[serde(default)]
    pub plan: Option<String>,
    /// Whether the user is verified.
    #[serde(default)]
    pub verified: Option<bool>,
    /// Whether the user is blocked.
    #[serde(default)]
    pub blocked: Option<bool>,
    /// The tags, in place of those before.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// When the user came to be.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<Timestamp>,
    /// How many days ago that was, where the time itself is not known.
    #[serde(default)]
    pub age_days: Option<u32>,
}

/// A sign-up or a sign-in; the members of [`EventData`] stand beside these.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AuthEvent {
    /// Which of the two.
    pub event_type: AuthEventType,
    /// When it happened.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub occurred_at: Option<Timestamp>,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthEventType {
    /// The user came to be.
    Signup,
    /// The user came back.
    Signin,
}

/// What became of a batch.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct EventsAccepted {
    /// How many events were applied.
    pub accepted: usize,
    /// Those that could not be read.
    pub rejected: Vec<RejectedEvent>,
}

/// An event that could not be read.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RejectedEvent {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// The member that is wrong, where one is.
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// Reads one event of a batch.
///
/// # Errors
/// The member that is wrong and why, without its value.
pub fn read_event(
    event: &Value,
    now: Timestamp,
) -> Result<(IdentityKey, IdentityChange), (Option<String>, String)> {
    let event: Event = serde_path_to_error::deserialize(event).map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        let Fault { path, message, help, .. } = wording::fault(path, error.inner());
        (path, help.map_or_else(|| message.clone(), |help| format!("{message}; {help}")))
    })?;
    let signup = event.kind.to_ascii_lowercase().ends_with("signup");
    change(event.data, signup, event.occurred_at, now)
        .map_err(|(path, why)| (Some(format!("data.{path}")), why))
}

/// What the data of an event change, and whose they are.
///
/// # Errors
/// The member that is wrong and why.
pub fn change(
    data: EventData,
    signup: bool,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(IdentityKey, IdentityChange), (&'static str, String)> {
    let key = IdentityKey::derive(Some(&data.kilo_user_id), FingerprintParts::default());
    if key.kind() != IdentityKind::User {
        return Err(("kilo_user_id", "it names no user".to_owned()));
    }
    check_name(&data.kilo_user_id).map_err(|why| ("kilo_user_id", format!("it {why}")))?;
    // An empty plan is none.
    let plan = data.plan.as_deref().filter(|plan| !plan.is_empty());
    plan.map_or(Ok(()), check_name).map_err(|why| ("plan", format!("it {why}")))?;
    check_tags(data.tags.as_deref().unwrap_or_default()).map_err(|why| ("tags", format!("it {why}")))?;
    let by_age = data.age_days.and_then(|days| {
        occurred_at.unwrap_or(now).checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).ok()
    });
    let created_at = data.created_at.or(by_age).or_else(|| signup.then(|| occurred_at.unwrap_or(now)));
    let EventData { plan, verified, blocked, tags, .. } = data;
    Ok((key, IdentityChange { plan, verified, blocked, tags, created_at }))
}

/// A sign-up or a sign-in, told by the product.
#[utoipa::path(post, path = "/api/auth-event", operation_id = "authEvent", tag = "abuse service", request_body = AuthEvent,
    security(("bearer" = []), ("access_client_id" = [], "access_client_secret" = [])),
    responses(
        (status = 202, description = "It is applied", body = EventsAccepted),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn auth_event(
    State(console): State<Console>,
    request: Request,
) -> Result<(StatusCode, Json<EventsAccepted>), Problem> {
    let body = read(request, BODY_BYTES_MAX).await?;
    let AuthEvent { event_type, occurred_at } = parse_json(&body)?;
    // The rest of the same object.
    let data: EventData = parse_json(&body)?;
    let signup = event_type == AuthEventType::Signup;
    let (key, change) = change(data, signup, occurred_at, console.now()).map_err(|(path, why)| {
        Problem::bad_request("a member of the body is not as it should be", vec![Fault::member(path, why)])
    })?;
    merge(&console, &key, change).await?;
    console.follow_own_write().await;
    Ok((StatusCode::ACCEPTED, Json(EventsAccepted { accepted: 1, rejected: Vec::new() })))
}

/// What else the product knows of its users: plan, verification, tags.
#[utoipa::path(post, path = "/api/events", operation_id = "events", tag = "abuse service", request_body = EventBatch,
    security(("bearer" = []), ("access_client_id" = [], "access_client_secret" = [])),
    responses(
        (status = 202, description = "Those that could be read are applied; the others are listed", body = EventsAccepted),
        (status = 400, description = "There is no list of events, or it is too long", body = crate::problem::Details),
    ))]
pub(crate) async fn events(
    State(console): State<Console>,
    Body(batch): Body<EventBatch>,
) -> Result<(StatusCode, Json<EventsAccepted>), Problem> {
    if batch.events.len() > EVENTS_MAX {
        let fault = Fault::member("events", format!("there may be {EVENTS_MAX} events at most"));
        return Err(Problem::bad_request("a member of the body is not as it should be", vec![fault]));
    }
    let mut accepted = EventsAccepted::default();
    for (index, event) in batch.events.iter().enumerate() {
        match read_event(event, console.now()) {
            Ok((key, change)) => {
                merge(&console, &key, change).await?;
                accepted.accepted += 1;
            }
            Err((path, message)) => accepted.rejected.push(RejectedEvent { index, path, message }),
        }
    }
    console.follow_own_write().await;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Writes what is new of an identity; an event that says nothing new writes nothing.
async fn merge(console: &Shared, key: &IdentityKey, change: IdentityChange) -> Result<(), Problem> {
    if change == IdentityChange::default() {
        return Ok(());
    }
    let merged = console.parts.database.identity_merge(key, change, console.now()).await;
    merged.map_err(|error| Problem::store_unavailable(&error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn events_say_what_changes() {
        let now = at("2026-11-20T10:00:00Z");
        let created = |text: &str| IdentityChange { created_at: Some(at(text)), ..IdentityChange::default() };
        let table: &[(Value, IdentityChange)] = &[
            (
                json!({"type": "plan.changed", "data": {"kilo_user_id": "u", "plan": "pro"}}),
                IdentityChange { plan: Some("pro".into()), ..IdentityChange::default() },
            ),
            (
                json!({"type": "x", "data": {"kilo_user_id": " u ", "verified": true, "blocked": false, "tags": ["a"], "other": 7}}),
                IdentityChange {
                    verified: Some(true),
                    blocked: Some(false),
                    tags: Some(vec!["a".into()]),
                    ..IdentityChange::default()
                },
            ),
            (json!({"type": "user.signup", "data": {"kilo_user_id": "u"}}), created("2026-11-20T10:00:00Z")),
            (
                json!({"type": "signup", "occurred_at": "2026-11-01T00:00:00Z", "data": {"kilo_user_id": "u"}}),
                created("2026-11-01T00:00:00Z"),
            ),
            (
                json!({"type": "signup", "data": {"kilo_user_id": "u", "created_at": "2025-01-01T00:00:00Z"}}),
                created("2025-01-01T00:00:00Z"),
            ),
            (
                json!({"type": "y", "data": {"kilo_user_id": "u", "age_days": 10}}),
                created("2026-11-10T10:00:00Z"),
            ),
            (json!({"type": "z", "data": {"kilo_user_id": "u", "plan": null}}), IdentityChange::default()),
        ];
        for (event, expected) in table {
            let (key, change) = read_event(event, now).unwrap();
            assert_eq!((key.as_str(), &change), ("user:u", expected), "{event}");
        }
    }

    #[test]
    fn malformed_events_name_their_member() {
        let now = at("2026-11-20T10:00:00Z");
        let table: &[(Value, Option<&str>)] = &[
            (json!(7), None),
            (json!({"data": {"kilo_user_id": "u"}}), Some("type")),
            (json!({"type": "x"}), Some("data")),
            (json!({"type": 7, "data": {"kilo_user_id": "u"}}), Some("type")),
            (json!({"type": "x", "data": {"kilo_user_id": 7}}), Some("data.kilo_user_id")),
            (json!({"type": "x", "data": {"kilo_user_id": "anon:1.2.3.4"}}), Some("data.kilo_user_id")),
            (json!({"type": "x", "data": {"kilo_user_id": "u", "verified": "yes"}}), Some("data.verified")),
            (json!({"type": "x", "data": {"kilo_user_id": "u", "tags": [""]}}), Some("data.tags")),
            (json!({"type": "x", "data": {"kilo_user_id": "a\u{0}"}}), Some("data.kilo_user_id")),
            (json!({"type": "x", "data": {"kilo_user_id": "u", "plan": "a\nb"}}), Some("data.plan")),
            (json!({"type": "x", "occurred_at": "soon", "data": {"kilo_user_id": "u"}}), Some("occurred_at")),
        ];
        for (event, expected) in table {
            let (path, _) = read_event(event, now).unwrap_err();
            assert_eq!(path.as_deref(), *expected, "{event}");
        }
    }
}
