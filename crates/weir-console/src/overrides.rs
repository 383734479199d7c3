//! Levels of tools and ceilings of channels: how they stand, and what operators set above the configuration.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_core::name::check_name;
use weir_core::tool::{CeilingStanding, PermissionLevel, ToolStanding};
use weir_store::database::{Override, OverrideKind, StoredDefinition};
use weir_store::{ErrorKind, StoreError};

use crate::auth::Principal;
use crate::console::{Console, Shared};
use crate::extract::{Json as Body, Segment};
use crate::problem::{Fault, Problem};

/// A level that an operator sets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LevelRequest {
    /// `none`, `read_only`, `write`, `execute` or `dangerous`.
    level: String,
}

/// How a tool stands, with what is known of its definition and who set its level.
#[derive(Serialize)]
pub(crate) struct ListedTool {
    #[serde(flatten)]
    pub(crate) standing: ToolStanding,
    /// What the store knows of its definition.
    pub(crate) definition: Option<StoredDefinition>,
    /// Whether what was seen last is not what was accepted.
    pub(crate) changed: bool,
    /// The override, with who set it and when.
    pub(crate) set: Option<Override>,
}

/// How a channel stands, with who set its ceiling.
#[derive(Serialize)]
pub(crate) struct ListedCeiling {
    #[serde(flatten)]
    pub(crate) standing: CeilingStanding,
    /// The override, with who set it and when.
    pub(crate) set: Option<Override>,
}

impl Shared {
    /// All tools that somebody knows of, by server and name.
    pub(crate) async fn tools(&self) -> Result<Vec<ListedTool>, Problem> {
        let database = &self.parts.database;
        let unavailable = |error: StoreError| Problem::store_unavailable(&error);
        let definitions = database.definitions(None).await.map_err(unavailable)?;
        let overrides = database.overrides().await.map_err(unavailable)?;
        let Some(point) = &self.tool_point else { return Ok(Vec::new()) };
        let known: Vec<_> =
            definitions.iter().map(|known| (known.server.clone(), known.name.clone())).collect();
        let listed = point.standings(&known).into_iter().map(|standing| {
            let same =
                |known: &&StoredDefinition| known.server == standing.server && known.name == standing.name;
            let definition = definitions.iter().find(same).cloned();
            ListedTool {
                changed: definition.as_ref().is_some_and(StoredDefinition::has_drifted),
                definition,
                set: overrides.levels.get(&standing.name).cloned(),
                standing,
            }
        });
        Ok(listed.collect())
    }

    /// The ceilings of all channels that somebody has named, and last that of all others.
    pub(crate) async fn ceilings(&self) -> Result<Vec<ListedCeiling>, Problem> {
        let overrides = self.parts.database.overrides().await;
        let overrides = overrides.map_err(|error| Problem::store_unavailable(&error))?;
        let Some(point) = &self.tool_point else { return Ok(Vec::new()) };
        let listed = point.ceilings().into_iter().map(|standing| {
            let set = standing.channel.as_ref().and_then(|channel| overrides.ceilings.get(channel)).cloned();
            ListedCeiling { standing, set }
        });
        Ok(listed.collect())
    }

    /// Sets a level above the configuration.
    pub(crate) async fn set_override(
        &self,
        kind: OverrideKind,
        name: &str,
        level: &str,
        by: &str,
    ) -> Result<(), Problem> {
        let mut faults = Vec::new();
        if let Err(why) = check_name(name) {
            faults.push(Fault::member("name", format!("it {why}")));
        }
        let level = PermissionLevel::parse(level);
        if level.is_none() {
            let levels: Vec<&str> = PermissionLevel::ALL.iter().map(|level| level.token()).collect();
            faults.push(Fault::member("level", format!("it must be one of {}", levels.join(", "))));
        }
        let Some(level) = level.filter(|_| faults.is_empty()) else {
            return Err(Problem::bad_request("what was sent is not as it should be", faults));
        };
        let set = self.parts.database.override_set(kind, name, level, by, self.now()).await;
        set.map_err(|error| match error.kind() {
            ErrorKind::Refused => Problem::conflict(error.to_string()),
            _ => Problem::store_unavailable(&error),
        })?;
        self.follow_own_write().await;
        Ok(())
    }

    /// Takes a level back.
    pub(crate) async fn remove_override(
        &self,
        kind: OverrideKind,
        name: &str,
        by: &str,
    ) -> Result<(), Problem> {
        let removed = self.parts.database.override_remove(kind, name, by, self.now()).await;
        if !removed.map_err(|error| Problem::store_unavailable(&error))? {
            return Err(Problem::not_found(format!("no operator has set anything for `{name}`")));
        }
        self.follow_own_write().await;
        Ok(())
    }
}

/// The level of every known tool, and which layer decides it.
#[utoipa::path(get, path = "/api/tools/levels", operation_id = "listToolLevels", tag = "tools",
    responses((status = 200, description = "`{items, next}`: the level of every tool that is known, and the layer that decides it", body = Object)))]
pub(crate) async fn levels(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "items": console.tools().await?, "next": null })))
}

/// Sets the level of a tool above the configuration.
#[utoipa::path(put, path = "/api/tools/levels/{name}", operation_id = "setToolLevel", tag = "tools", request_body = LevelRequest,
    params(("name" = String, Path, description = "The tool's name")),
    responses(
        (status = 204, description = "The level counts, above the configuration's, on every node within a second"),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
        (status = 409, description = "There are too many overrides", body = crate::problem::Details),
    ))]
pub(crate) async fn set_level(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(name): Segment,
    Body(request): Body<LevelRequest>,
) -> Result<StatusCode, Problem> {
    console.set_override(OverrideKind::Tool, &name, &request.level, &who.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a set level back: the configuration decides again.
#[utoipa::path(delete, path = "/api/tools/levels/{name}", operation_id = "resetToolLevel", tag = "tools",
    params(("name" = String, Path, description = "The tool's name")),
    responses(
        (status = 204, description = "What the configuration says counts again"),
        (status = 404, description = "No operator has set a level for it", body = crate::problem::Details),
    ))]
pub(crate) async fn reset_level(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(name): Segment,
) -> Result<StatusCode, Problem> {
    console.remove_override(OverrideKind::Tool, &name, &who.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ceiling of every known channel, and which layer decides it.
#[utoipa::path(get, path = "/api/tools/ceilings", operation_id = "listCeilings", tag = "tools",
    responses((status = 200, description = "`{items, next}`: the ceiling of every channel that is named and, last and with no name, of all others", body = Object)))]
pub(crate) async fn ceilings(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "items": console.ceilings().await?, "next": null })))
}

/// Sets the ceiling of a channel above the configuration.
#[utoipa::path(put, path = "/api/tools/ceilings/{channel}", operation_id = "setCeiling", tag = "tools", request_body = LevelRequest,
    params(("channel" = String, Path, description = "The channel's name")),
    responses(
        (status = 204, description = "The ceiling counts, above the configuration's, on every node within a second"),
        (status = 400, description = "A member is not as it should be", body = crate::problem::Details),
        (status = 409, description = "There are too many overrides", body = crate::problem::Details),
    ))]
pub(crate) async fn set_ceiling(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(channel): Segment,
    Body(request): Body<LevelRequest>,
) -> Result<StatusCode, Problem> {
    console.set_override(OverrideKind::Channel, &channel, &request.level, &who.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a set ceiling back: the configuration decides again.
#[utoipa::path(delete, path = "/api/tools/ceilings/{channel}", operation_id = "resetCeiling", tag = "tools",
    params(("channel" = String, Path, description = "The channel's name")),
    responses(
        (status = 204, description = "What the configuration says counts again"),
        (status = 404, description = "No operator has set a ceiling for it", body = crate::problem::Details),
    ))]
pub(crate) async fn reset_ceiling(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(channel): Segment,
) -> Result<StatusCode, Problem> {
    console.remove_override(OverrideKind::Channel, &channel, &who.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
