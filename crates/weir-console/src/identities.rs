//! Identities: what is known of them, what they are exempt from, and their cached actions.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_core::action::parse_cached;
use weir_core::name::check_tags;
use weir_core::record::{IdentityFacts, Record, Stats};
use weir_core::{Boundary, DecisionId, IdentityKey, IdentityKind};
use weir_store::StoreError;
use weir_store::database::{DecisionFilter, IdentityChange};

use crate::abuse::facts;
use crate::auth::Principal;
use crate::console::{Console, Shared};
use crate::extract::{Json as Body, Segment};
use crate::problem::{Fault, Problem};

/// How long a key may be, in octets.
const KEY_BYTES_MAX: usize = 1024;
/// How long an identity may be exempt at most: ten years.
const EXEMPTION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Decisions that are shown of an identity; the list of decisions has all.
const RECENT_MAX: u32 = 10;
/// How far back they are looked for, so that an identity that was never seen costs no walk through all records.
const RECENT_WITHIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is known of an identity.
#[derive(Serialize, ToSchema)]
pub(crate) struct IdentityView {
    pub(crate) key: String,
    /// How it stands now: `exempt`, the cached action where one enforces, or `none`.
    pub(crate) standing: String,
    /// What the action cache holds; null when it holds nothing or does not answer.
    pub(crate) action: Option<String>,
    /// When that runs out; null when it does not, which is so of everything that weir caches.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) action_expires_at: Option<Timestamp>,
    /// Until when no rule is enforced on it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) exempt_until: Option<Timestamp>,
    /// `identity.*` as rules read them.
    #[schema(value_type = Object)]
    pub(crate) facts: IdentityFacts,
    /// Of its tags, those that were set on it: what the tags' endpoint replaces.
    pub(crate) own_tags: Vec<String>,
    /// Of its tags, those that come with its API keys.
    pub(crate) key_tags: Vec<String>,
    /// `stats.*` as rules read them.
    #[schema(value_type = Object)]
    pub(crate) stats: Stats,
    /// Its latest decisions, newest first.
    pub(crate) recent: Vec<RecentDecision>,
}

/// A decision about an identity, in a line.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecentDecision {
    #[schema(value_type = String)]
    pub(crate) id: DecisionId,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Timestamp,
    /// `request` or `tool`.
    #[schema(value_type = String)]
    pub(crate) boundary: Boundary,
    /// What was enforced, in the boundary's own word.
    pub(crate) outcome: String,
    /// The rule that decided, or whose limit refused.
    pub(crate) rule: Option<String>,
    /// The model or the tool that was asked for.
    pub(crate) asked: String,
    /// The HTTP status; 0 of a tool call.
    pub(crate) status: u16,
    /// Where it is explained.
    pub(crate) explanation: String,
}

impl From<Record> for RecentDecision {
    fn from(record: Record) -> Self {
        let (outcome, rule) = record.enforced();
        let (outcome, rule) = (outcome.to_owned(), rule.map(str::to_owned));
        let (decision, result) = (record.decision, record.result);
        Self {
            id: decision.id,
            at: decision.at,
            boundary: decision.boundary,
            outcome,
            rule,
            asked: result.tool.map_or(record.facts.request.model, |tool| tool.name),
            status: result.status,
            explanation: format!("/api/decisions/{}/explanation", decision.id),
        }
    }
}

/// How long an identity is exempt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exemption {
    /// The end, to come.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) until: Timestamp,
}

/// All tags of an identity.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tags {
    pub(crate) tags: Vec<String>,
}

/// How a key is written.
pub(crate) const KEY_FORM: &str = "`user:` and an id, or `fingerprint:` and 64 hexadecimal digits";

/// Reads the key in the path: `user:…`, or `fingerprint:` and 64 hexadecimal digits.
pub(crate) fn identity_key(segment: String) -> Result<IdentityKey, Problem> {
    let is_hex =
        |digits: &str| digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let valid = match segment.split_once(':') {
        Some(("user", id)) => {
            !id.trim().is_empty() && !id.contains(char::is_control) && segment.len() <= KEY_BYTES_MAX
        }
        Some(("fingerprint", digits)) => is_hex(digits),
        _ => false,
    };
    if valid {
        return Ok(IdentityKey::from_stored(segment));
    }
    Err(Problem::bad_request(
        "this is no key of an identity",
        vec![Fault::member("key", format!("it must be {KEY_FORM}"))],
    ))
}

/// How an identity stands: its action, exemption, facts, counters and latest decisions.
#[utoipa::path(get, path = "/api/identities/{key}", operation_id = "getIdentity", tag = "identities",
    params(("key" = String, Path, description = "`user:…` or `fingerprint:…`, percent-encoded")),
    responses(
        (status = 200, description = "What is known of it; of an unknown identity, nothing", body = IdentityView),
        (status = 400, description = "This is no key of an identity", body = crate::problem::Details),
    ))]
pub(crate) async fn get(
    State(console): State<Console>,
    Segment(key): Segment,
) -> Result<Json<IdentityView>, Problem> {
    Ok(Json(view(&console, &identity_key(key)?).await?))
}

/// What is known of an identity.
pub(crate) async fn view(console: &Shared, key: &IdentityKey) -> Result<IdentityView, Problem> {
    // From the store, not from the directory: an operator looks here to see what was written.
    let row =
        console.parts.database.identity(key).await.map_err(|error| Problem::store_unavailable(&error))?;
    let cached = console.parts.cache.action_with_ttl(key).await.unwrap_or_else(|error| {
        tracing::warn!(identity_key = %key, %error, "the action cache could not be read");
        None
    });
    let (action, left) = cached.map_or((None, None), |(action, left)| (Some(action), left));
    let user_id = match key.kind() {
        IdentityKind::User => key.as_str().trim_start_matches("user:"),
        IdentityKind::Anonymous => "",
    };
    let owners = facts::Owners::of(&console.parts.directory, user_id, None);
    let now = console.now();
    let facts = facts::identity(key, user_id, &owners, row.as_ref(), now);
    let stats = console.parts.cache.stats_read(key, now).await;
    let exempt_until = row.as_ref().and_then(|row| row.exempt_until);
    Ok(IdentityView {
        key: key.as_str().to_owned(),
        standing: standing(exempt_until.is_some_and(|until| until > now), action.as_deref()),
        action,
        action_expires_at: left.and_then(|left| now.checked_add(left).ok()),
        exempt_until,
        facts,
        own_tags: row.map(|row| row.tags).unwrap_or_default(),
        key_tags: owners.tags().to_vec(),
        stats,
        recent: recent(console, key).await?,
    })
}

/// What would be enforced now of all that is known without asking the rules.
fn standing(exempt: bool, action: Option<&str>) -> String {
    let enforced = action.and_then(|word| parse_cached(word).ok()).filter(|action| action.enforces());
    match (exempt, enforced) {
        (true, _) => "exempt".to_owned(),
        (false, Some(action)) => action.as_str().to_owned(),
        (false, None) => "none".to_owned(),
    }
}

async fn recent(console: &Shared, key: &IdentityKey) -> Result<Vec<RecentDecision>, Problem> {
    let filter = DecisionFilter {
        subject: Some(key.as_str().to_owned()),
        limit: RECENT_MAX,
        since: console.now().checked_sub(RECENT_WITHIN).ok(),
        ..DecisionFilter::default()
    };
    let page = console.parts.database.decisions(&filter).await;
    let page = page.map_err(|error| Problem::store_unavailable(&error))?;
    Ok(page.items.into_iter().map(RecentDecision::from).collect())
}

/// Forgets the cached action of an identity.
#[utoipa::path(delete, path = "/api/identities/{key}/action", operation_id = "clearAction", tag = "identities",
    params(("key" = String, Path, description = "The identity's key, percent-encoded")),
    responses((status = 204, description = "Nothing is cached for it")))]
pub(crate) async fn clear_action(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
) -> Result<StatusCode, Problem> {
    let key = identity_key(key)?;
    let was_cached = console.parts.cache.action_delete(&key).await.map_err(|error| cache_problem(&error))?;
    console.audit(&who.name, "action.clear", key.as_str(), json!({ "was_cached": was_cached })).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the cached actions of all identities.
#[utoipa::path(delete, path = "/api/actions", operation_id = "clearActions", tag = "identities",
    responses((status = 200, description = "`{cleared}`: how many actions were cached", body = Object)))]
pub(crate) async fn clear_actions(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
) -> Result<Json<Value>, Problem> {
    let cleared = console.parts.cache.actions_clear().await.map_err(|error| cache_problem(&error))?;
    console.audit(&who.name, "actions.clear", "", json!({ "cleared": cleared })).await;
    Ok(Json(json!({ "cleared": cleared })))
}

/// Exempts an identity from enforcement until a time.
#[utoipa::path(put, path = "/api/identities/{key}/exemption", operation_id = "exemptIdentity", tag = "identities", request_body = Exemption,
    params(("key" = String, Path, description = "The identity's key, percent-encoded")),
    responses(
        (status = 200, description = "`{key, exempt_until}`", body = Object),
        (status = 400, description = "The time is not to come", body = crate::problem::Details),
    ))]
pub(crate) async fn exempt(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
    Body(Exemption { until }): Body<Exemption>,
) -> Result<Json<Value>, Problem> {
    let key = identity_key(key)?;
    let now = console.now();
    if until <= now || now.checked_add(EXEMPTION_MAX).is_ok_and(|latest| until > latest) {
        let fault = Fault::member("until", "it must be a time to come, within ten years");
        return Err(Problem::bad_request("a member of the body is not as it should be", vec![fault]));
    }
    set_exemption(&console, &key, Some(until), &who).await?;
    Ok(Json(json!({ "key": key, "exempt_until": until })))
}

/// Ends an exemption.
#[utoipa::path(delete, path = "/api/identities/{key}/exemption", operation_id = "endExemption", tag = "identities",
    params(("key" = String, Path, description = "The identity's key, percent-encoded")),
    responses((status = 204, description = "It is not exempt")))]
pub(crate) async fn end_exemption(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
) -> Result<StatusCode, Problem> {
    set_exemption(&console, &identity_key(key)?, None, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The audit list gets its entry in the store's own transaction.
async fn set_exemption(
    console: &Shared,
    key: &IdentityKey,
    until: Option<Timestamp>,
    who: &Principal,
) -> Result<(), Problem> {
    let stored = console.parts.database.identity_exempt(key, until, &who.name, console.now()).await;
    stored.map_err(|error| Problem::store_unavailable(&error))?;
    console.follow_own_write().await;
    Ok(())
}

/// Sets the tags of an identity, which rules read as `identity.tags`.
#[utoipa::path(put, path = "/api/identities/{key}/tags", operation_id = "setTags", tag = "identities", request_body = Tags,
    params(("key" = String, Path, description = "The identity's key, percent-encoded")),
    responses(
        (status = 200, description = "`{key, tags}`: all tags that it has now", body = Object),
        (status = 400, description = "These cannot be tags", body = crate::problem::Details),
    ))]
pub(crate) async fn set_tags(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
    Body(Tags { mut tags }): Body<Tags>,
) -> Result<Json<Value>, Problem> {
    let key = identity_key(key)?;
    check_tags(&tags).map_err(|why| {
        let fault = Fault::member("tags", format!("it {why}"));
        Problem::bad_request("a member of the body is not as it should be", vec![fault])
    })?;
    tags.sort_unstable();
    tags.dedup();
    let change = IdentityChange { tags: Some(tags.clone()), ..IdentityChange::default() };
    let merged = console.parts.database.identity_merge(&key, change, console.now()).await;
    merged.map_err(|error| Problem::store_unavailable(&error))?;
    console.audit(&who.name, "identity.tags", key.as_str(), json!({ "tags": tags })).await;
    console.follow_own_write().await;
    Ok(Json(json!({ "key": key, "tags": tags })))
}

fn cache_problem(error: &StoreError) -> Problem {
    tracing::error!(%error, "the admin API could not use the cache");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the cache cannot be used now; try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_two_kinds() {
        let hex = "22af7331d27fdc39ab1c65981a5123550cb5ae7e038be2d2c1d3909d81c56d4a";
        let table = [
            ("user:a".to_owned(), true),
            ("user:a:b/c d".to_owned(), true),
            (format!("fingerprint:{hex}"), true),
            (format!("fingerprint:{}", hex.to_uppercase()), false),
            ("fingerprint:12".to_owned(), false),
            ("user:".to_owned(), false),
            ("user: ".to_owned(), false),
            ("user:a\nb".to_owned(), false),
            ("demo".to_owned(), false),
            (format!("user:{}", "x".repeat(2000)), false),
        ];
        for (key, valid) in table {
            assert_eq!(identity_key(key.clone()).is_ok(), valid, "{key}");
        }
    }
}
