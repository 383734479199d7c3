//! API keys made at run time. A key is shown once, when it is made; what is stored is its hash.

use std::collections::{BTreeMap, HashMap};

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_config::Config;
use weir_core::Timestamp;
use weir_core::secret::{Secret, expose};
use weir_store::database::{KeyOrigin, KeyOwner, NewKey, OwnerFault};

use crate::auth::Principal;
use crate::console::{Console, Shared};
use crate::extract::{Json as Body, Segment};
use crate::problem::{Fault, Problem};

/// How long a caller's own provider key may be, in octets.
const BYOK_BYTES_MAX: usize = 4096;

/// A key to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyRequest {
    /// Whose it is.
    pub(crate) user: String,
    /// The organisation.
    pub(crate) org: Option<String>,
    /// The project.
    pub(crate) project: Option<String>,
    /// The plan.
    pub(crate) plan: Option<String>,
    /// Tags that rules may read.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// How much it may spend, in US dollars; left out: no limit.
    pub(crate) budget_usd: Option<f64>,
    /// The caller's own keys by the provider's name.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) byok: BTreeMap<String, Secret>,
    /// The channel of its tool calls.
    pub(crate) channel: Option<String>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    /// Names it from now on.
    pub(crate) id: String,
    /// The key. It is not shown again.
    pub(crate) key: String,
}

/// A key as it is listed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListedKey {
    pub(crate) id: String,
    /// How it begins; null for a key of the configuration.
    pub(crate) prefix: Option<String>,
    pub(crate) user: String,
    pub(crate) org: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) plan: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) budget_usd: Option<f64>,
    pub(crate) channel: Option<String>,
    /// What it has spent.
    pub(crate) spent_usd: f64,
    /// The providers for which it holds the caller's own key.
    pub(crate) byok: Vec<String>,
    /// `runtime` or `configured`.
    pub(crate) origin: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) created_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) revoked_at: Option<Timestamp>,
}

impl ListedKey {
    fn new(id: String, owner: KeyOwner, spent_microusd: u64, byok: Vec<String>, origin: KeyOrigin) -> Self {
        let KeyOwner { user, org, project, plan, tags, budget_usd, channel } = owner;
        #[expect(clippy::cast_precision_loss, reason = "dollars are shown; 2^53 millionths are nine billion")]
        let spent_usd = spent_microusd as f64 / 1e6;
        Self {
            id,
            prefix: None,
            user,
            org,
            project,
            plan,
            tags,
            budget_usd,
            channel,
            spent_usd,
            byok,
            origin: origin.as_str(),
            created_at: None,
            revoked_at: None,
        }
    }
}

/// All API keys, those of the configuration first; never a key itself.
#[utoipa::path(get, path = "/api/keys", operation_id = "listKeys", tag = "keys",
    responses((status = 200, description = "`{items, next}`: all keys, revoked ones included, without the keys themselves", body = Object)))]
pub(crate) async fn list(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "items": all(&console).await?, "next": null })))
}

/// All keys, those of the configuration first.
pub(crate) async fn all(console: &Shared) -> Result<Vec<ListedKey>, Problem> {
    let stored = console.parts.database.keys_all(true).await;
    let stored = stored.map_err(|error| Problem::store_unavailable(&error))?;
    let valid = console.parts.directory.keys();
    // What this node has counted and not yet written is newer than what is stored.
    let spent: HashMap<&str, u64> = valid.iter().map(|key| (key.id.as_str(), key.spent())).collect();
    let configured = valid.iter().filter(|key| key.origin == KeyOrigin::Configured).map(|key| {
        let byok = key.byok.keys().cloned().collect();
        ListedKey::new(key.id.clone(), key.owner.clone(), key.spent(), byok, key.origin)
    });
    let stored = stored.into_iter().map(|key| {
        let spent = spent.get(key.id.as_str()).copied().unwrap_or(key.spent_microusd);
        let byok = key.byok.into_keys().collect();
        ListedKey {
            prefix: Some(key.prefix),
            created_at: Some(key.created_at),
            revoked_at: key.revoked_at,
            ..ListedKey::new(key.id, key.owner, spent, byok, key.origin)
        }
    });
    Ok(configured.chain(stored).collect())
}

/// Makes an API key. It is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/keys", operation_id = "createKey", tag = "keys", request_body = NewKeyRequest,
    responses(
        (status = 201, description = "The key, which is shown this once", body = CreatedKey),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn create(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Body(request): Body<NewKeyRequest>,
) -> Result<Response, Problem> {
    let created = make(&console, &who, request).await?;
    let location = format!("/api/keys/{}", created.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(created)).into_response())
}

/// What would keep a key from being made so.
pub(crate) fn check(console: &Shared, request: NewKeyRequest) -> Result<(), Problem> {
    checked(request, &console.parts.live.config()).map(drop)
}

/// Makes a key.
pub(crate) async fn make(
    console: &Shared,
    who: &Principal,
    request: NewKeyRequest,
) -> Result<CreatedKey, Problem> {
    let (owner, byok) = checked(request, &console.parts.live.config())?;
    let database = &console.parts.database;
    let made = database.hasher().generate(&mut rand::rng());
    let sealed = byok
        .iter()
        .map(|(provider, key)| Ok((provider.clone(), database.sealer().seal(&made.id, provider, key)?)))
        .collect::<Result<_, weir_store::StoreError>>()
        .map_err(|error| Problem::store_unavailable(&error))?;
    let detail = json!({ "user": owner.user, "org": owner.org, "byok": byok.keys().collect::<Vec<_>>() });
    let key = NewKey {
        id: made.id.clone(),
        hash: made.hash,
        prefix: made.prefix,
        owner,
        byok: sealed,
        created_at: console.now(),
        origin: KeyOrigin::Runtime,
    };
    database.key_insert(&key).await.map_err(|error| Problem::store_unavailable(&error))?;
    console.audit(&who.name, "key.create", &key.id, detail).await;
    console.follow_own_write().await;
    Ok(CreatedKey { id: made.id, key: expose(&made.plain).to_owned() })
}

/// Ends a key: it is refused within a second on every node.
#[utoipa::path(delete, path = "/api/keys/{id}", operation_id = "revokeKey", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 204, description = "It is not valid any more"),
        (status = 404, description = "There is no valid key with this id", body = crate::problem::Details),
        (status = 409, description = "The key is in the configuration", body = crate::problem::Details),
    ))]
pub(crate) async fn revoke(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
) -> Result<StatusCode, Problem> {
    let revoked = console.parts.database.key_revoke(&id, console.now()).await;
    if revoked.map_err(|error| Problem::store_unavailable(&error))? {
        console.audit(&who.name, "key.revoke", &id, json!({})).await;
        console.follow_own_write().await;
        return Ok(StatusCode::NO_CONTENT);
    }
    let configured = console.parts.directory.keys();
    if configured.iter().any(|key| key.id == id && key.origin == KeyOrigin::Configured) {
        return Err(Problem::conflict("this key is in the configuration; take it out there"));
    }
    Err(Problem::not_found("there is no valid key with this id"))
}

/// Checks what the types cannot; names everything that is wrong.
fn checked(request: NewKeyRequest, config: &Config) -> Result<(KeyOwner, BTreeMap<String, Secret>), Problem> {
    let NewKeyRequest { user, org, project, plan, tags, budget_usd, byok, channel } = request;
    let owner = KeyOwner { user, org, project, plan, tags, budget_usd, channel }.checked();
    let told = |fault: &OwnerFault| Fault::member(fault.member, format!("it {}", fault.message));
    let mut faults: Vec<Fault> = owner.as_ref().err().into_iter().flatten().map(told).collect();
    faults.extend(byok.iter().filter_map(|(provider, key)| {
        Some(Fault::member(format!("byok.{provider}"), byok_fault(provider, expose(key), config)?))
    }));
    match owner {
        Ok(owner) if faults.is_empty() => Ok((owner, byok)),
        _ => Err(Problem::bad_request("a member of the body is not as it should be", faults)),
    }
}

fn byok_fault(provider: &str, key: &str, config: &Config) -> Option<String> {
    if config.provider(provider).is_none() {
        let names: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
        return Some(format!("there is no such provider; there are: {}", names.join(", ")));
    }
    // It is sent in a header.
    let fits = !key.trim().is_empty()
        && key.len() <= BYOK_BYTES_MAX
        && key.bytes().all(|b| (0x20..0x7f).contains(&b));
    (!fits).then(|| format!("a key has 1 to {BYOK_BYTES_MAX} printable ASCII characters"))
}
