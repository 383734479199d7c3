//! The audit list: who did what through the admin API or the command line.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde_json::{Value, json};
use weir_store::database::{AuditEntry, AuditFilter};

use crate::console::{Console, Shared};
use crate::problem::Problem;
use crate::query::{Paging, Parameters};

/// Who changed what and when, newest first.
#[utoipa::path(get, path = "/api/audit", operation_id = "listAudit", tag = "service",
    params(
        ("since" = Option<String>, Query, description = "A time, or a duration before now such as 24h"),
        ("actor" = Option<String>, Query, description = "Whose changes"),
        ("action" = Option<String>, Query, description = "An action such as rules.put, or its first word alone"),
        ("limit" = Option<u32>, Query, description = "Items of a page, 1 to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "`{items, next}`, newest first", body = Object)))]
pub(crate) async fn list(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let (entries, next) = page(&console, query.as_deref()).await?;
    Ok(Json(json!({ "items": entries, "next": next })))
}

/// A page of the list, and the cursor of the next.
pub(crate) async fn page(
    console: &Shared,
    query: Option<&str>,
) -> Result<(Vec<AuditEntry>, Option<String>), Problem> {
    let mut parameters = Parameters::read(query, &["since", "limit", "cursor", "actor", "action"]);
    let Paging { since, limit, .. } = Paging::read(&mut parameters, console.now());
    let before =
        parameters.take_with("cursor", |text| text.parse::<u64>().map_err(|_| "it is no cursor".to_owned()));
    let (author, action) = (parameters.take("actor"), parameters.take("action"));
    parameters.finish()?;
    let filter = AuditFilter { since, author, action, before, limit };
    let entries = console.parts.database.audit_find(&filter).await;
    let entries = entries.map_err(|error| Problem::store_unavailable(&error))?;
    let full = entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = entries.last().filter(|entry| full && entry.id > 1).map(|entry| entry.id.to_string());
    Ok((entries, next))
}
