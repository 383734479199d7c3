//! The description of the admin API.

use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::problem::Details;

/// What the description says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "weir admin API",
        description = "Rules, keys, decisions, identities, and the abuse service. Errors are RFC 9457 problem \
                       details. A viewer's token may read; everything else needs an operator's.",
    ),
    components(schemas(Details)),
    modifiers(&Credentials),
    security(("bearer" = []))
)]
pub(crate) struct Api;

/// The kinds of credentials.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let header = |name: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name)));
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        components.add_security_scheme("access_client_id", header("CF-Access-Client-Id"));
        components.add_security_scheme("access_client_secret", header("CF-Access-Client-Secret"));
    }
}

/// The description of the admin API (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    crate::routes::description()
}

/// This description.
#[utoipa::path(get, path = "/api/openapi.json", operation_id = "openapi", tag = "service", responses((status = 200, description = "This description", body = Object)))]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
